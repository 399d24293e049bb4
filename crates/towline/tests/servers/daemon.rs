//! Programs that serve in the foreground, on ports that were free, until they are dropped.

use std::fs::{self, File};
use std::iter;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::servers::free_port;
use crate::common::{cannot_test, wait_for};

/// Somebody may take a port between looking and listening.
const TRIES: u32 = 5;
/// One that takes longer to end is killed.
const STOP_MAX: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(5);

/// A running program.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts what `command` makes of free ports, and waits until it listens on all of them. `dir`
    /// keeps what it says.
    pub(crate) fn start<const N: usize>(
        name: &str,
        dir: &Path,
        command: impl Fn([u16; N]) -> Command,
    ) -> (Self, [u16; N]) {
        let said = dir.join("said");
        for _ in 0..TRIES {
            let ports = [(); N].map(|()| free_port());
            let output = File::create(&said).unwrap();
            let mut command = command(ports);
            command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
            let mut daemon = Self { child: command.spawn().unwrap() };
            if daemon.listens(name, &ports) {
                return (daemon, ports);
            }
        }
        panic!("{name} does not start: {}", fs::read_to_string(&said).unwrap_or_default());
    }

    /// Whether it listens; if not, it has ended.
    fn listens(&mut self, name: &str, ports: &[u16]) -> bool {
        let is_open = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        let is_up = wait_for(name, || match self.child.try_wait().unwrap() {
            Some(_) => Some(false),
            None => ports.iter().all(is_open).then_some(true),
        });
        // It may have been another one that answered.
        is_up && self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Not SIGKILL at first: some have children that they must end.
            // SAFETY: kill(2) takes two numbers; the child has not been waited for, so the id is its own.
            unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        }
        let deadline = Instant::now() + STOP_MAX;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A module or library that tests need, below `/usr/lib` or one of the directories there; without it
/// they fail in CI and pass over elsewhere.
pub(crate) fn library(name: &str) -> Option<PathBuf> {
    let lib = Path::new("/usr/lib");
    let below = fs::read_dir(lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = iter::once(lib.to_owned()).chain(below).map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        cannot_test(&format!("{name} is not installed"));
    }
    found
}
