//! `--on-complete`: runs a program for each finished file, one after the other, on a thread of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use towline_engine::event::How;
use towline_engine::{Event, Reporter};
use towline_threads::queue::Queue;
use towline_threads::thread::{Builder, JoinHandle};

use crate::complaint::Complaint;
use crate::exit_codes;
use crate::say::say;

/// Up to this many programs that fail are named.
const FAILURES_SAID_MAX: u64 = 10;

/// A finished file.
struct Finished {
    path: PathBuf,
    url: String,
    bytes: u64,
    how: How,
}

/// Takes the finished files.
pub(crate) struct OnComplete(Queue<Finished>);

/// The thread that runs the programs.
pub(crate) struct Running {
    files: Queue<Finished>,
    thread: JoinHandle<u64>,
}

impl Reporter for OnComplete {
    fn report(&mut self, event: &Event) {
        let Event::Finished { url, path, bytes, how, .. } = event else { return };
        // A file that was left alone is somebody else's. One that was there may be one that an interrupted run missed.
        if !matches!(how, How::Skipped | How::NotNewer) {
            let _ = self.0.put(Finished { path: path.clone(), url: url.clone(), bytes: *bytes, how: *how });
        }
    }
}

/// Starts the thread that runs `program`.
///
/// # Errors
/// If no thread can be started.
pub(crate) fn start(program: OsString) -> Result<(OnComplete, Running), Complaint> {
    let files: Queue<Finished> = Queue::new();
    let taken = files.clone();
    let thread = Builder::new()
        .name("on-complete")
        .daemon(true)
        .spawn(move || {
            let mut failed = 0;
            while let Ok(file) = taken.get() {
                if let Err(why) = run(&program, &file) {
                    failed += 1;
                    if failed <= FAILURES_SAID_MAX {
                        say(&format!("towline: {}: --on-complete: {why}", file.path.display()));
                    }
                }
            }
            failed
        })
        .map_err(|error| Complaint::machine(format!("cannot start a thread for --on-complete: {error}")))?;
    Ok((OnComplete(files.clone()), Running { files, thread }))
}

/// No shell: names from servers are no commands.
fn run(program: &OsString, file: &Finished) -> Result<(), String> {
    // As in events.
    let how = json!(file.how);
    // A path that a program would take for an option.
    let is_like_option = file.path.as_os_str().as_encoded_bytes().starts_with(b"-");
    let path = if is_like_option { Path::new(".").join(&file.path) } else { file.path.clone() };
    let status = Command::new(program)
        .arg(&path)
        .env("TOWLINE_FILE_PATH", &path)
        .env("TOWLINE_FILE_URL", &file.url)
        .env("TOWLINE_FILE_BYTES", file.bytes.to_string())
        .env("TOWLINE_FILE_HOW", how.as_str().unwrap_or_default())
        .stdin(Stdio::null())
        // Standard output is for events.
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{} ended with {status}", program.display())),
        Err(error) => Err(format!("{} cannot be run: {error}", program.display())),
    }
}

impl Running {
    /// All files have ended: waits for the programs that are left.
    ///
    /// # Errors
    /// If a program failed.
    pub(crate) fn end(self) -> Result<(), Complaint> {
        self.files.shutdown();
        let failed = self.thread.join().unwrap_or(1);
        match failed {
            0 => Ok(()),
            failed => Err(Complaint::new(exit_codes::FAILED, format!("--on-complete: {failed} of its runs failed"))),
        }
    }
}
