//! This program as a child of the demo. It shares the terminal, so that its real progress display
//! shows. Dropping its value kills it.

use std::env;
use std::path::Path;
use std::process::{self, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use towline_threads::CancelToken;

use super::{WATCH_EVERY, failed, interrupted};
use crate::complaint::Complaint;
use crate::say::say;

/// How long the child has to end by itself: Ctrl-C reaches it directly.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long the child has to end after SIGTERM.
const ORDERLY: Duration = Duration::from_millis(2500);

/// A running child.
pub(super) struct Child {
    process: process::Child,
}

impl Child {
    /// Prints the command and starts it in `dir`, without the `TOWLINE_` variables.
    pub(super) fn start(dir: &Path, words: &[&str]) -> Result<Self, Complaint> {
        let program = env::current_exe().map_err(|error| failed(format!("cannot find this program: {error}")))?;
        let shown: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        say(&format!("   $ towline {}", shown.join(" ")));
        let mut command = Command::new(program);
        command.args(words).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"TOWLINE_") {
                command.env_remove(name);
            }
        }
        let process = command.spawn().map_err(|error| failed(format!("cannot start the command: {error}")))?;
        Ok(Self { process })
    }

    /// Waits for its end. Anything but success is an error.
    pub(super) fn succeeds(mut self, token: &CancelToken) -> Result<(), Complaint> {
        loop {
            match self.has_ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(failed(format!("the command failed ({status})"))),
                None => {}
            }
            if token.wait_timeout(WATCH_EVERY).is_some() {
                self.end();
                return Err(interrupted());
            }
        }
    }

    /// Its exit status, if it has ended.
    pub(super) fn has_ended(&mut self) -> Result<Option<ExitStatus>, Complaint> {
        self.process.try_wait().map_err(|error| failed(format!("cannot wait for the command: {error}")))
    }

    /// Kills it (SIGKILL).
    pub(super) fn kill(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Ends it in order: by the signal that it received with us, then by SIGTERM, then by SIGKILL.
    pub(super) fn end(&mut self) {
        if self.ends_within(PATIENCE) {
            return;
        }
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        if !self.ends_within(ORDERLY) {
            self.kill();
        }
    }

    fn ends_within(&mut self, patience: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(WATCH_EVERY);
        }
        false
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// A word as typed in a shell.
fn quoted(word: &str) -> String {
    if word == "*" { "'*'".to_owned() } else { word.to_owned() }
}
