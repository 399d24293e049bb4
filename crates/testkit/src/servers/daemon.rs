//! Runs a program that serves in the foreground, on free ports, until it is dropped.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{free_port, wait_for};

/// Another process may take a port before the program listens on it.
const TRIES: u32 = 5;
/// A program that takes longer to end is killed.
const STOP_MAX: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(5);

/// A running program.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts the command that `command` builds for some free ports, and waits until it listens on all
    /// of them. Its output goes to the file `said` in `dir`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start<const N: usize>(name: &str, dir: &Path, command: impl Fn([u16; N]) -> Command) -> (Self, [u16; N]) {
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

    /// Waits until it listens; `false` if it ends instead.
    fn listens(&mut self, name: &str, ports: &[u16]) -> bool {
        let is_open = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        let is_up = wait_for(name, || match self.child.try_wait().unwrap() {
            Some(_) => Some(false),
            None => ports.iter().all(is_open).then_some(true),
        });
        // Another process may have answered.
        is_up && self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Not SIGKILL at first: some have children to stop.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        let deadline = Instant::now() + STOP_MAX;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
