//! The example `supervised_run`, run for real and interrupted for real.
#![cfg(all(unix, feature = "signals"))]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use towline_testkit::with_watchdog;

const LIMIT: Duration = Duration::from_secs(60);
/// So many that no test sees the end of them.
const ENDLESS: &str = "1000000";

#[test]
fn an_interrupt_saves_the_final_state_and_a_rerun_goes_on_from_it() {
    with_watchdog(LIMIT, || {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("progress.json");

        let mut run = Run::start(example(&out, ENDLESS));
        run.read_until("working");
        wait_for_progress(&out);
        run.signal(libc::SIGINT);
        let (lines, status) = run.finish();
        assert_eq!(status.signal(), Some(libc::SIGINT), "{lines:?}");
        let told = lines.iter().filter(|line| line.starts_with("interrupted by SIGINT")).count();
        assert_eq!(told, 1, "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("Interrupted"));

        let done = done_items(&out);
        assert!(!done.is_empty());
        let saved = format!("saved {} items", done.len());
        assert!(lines.contains(&saved), "{lines:?}");

        let goal = done.iter().max().unwrap() + 3;
        let mut rerun = Run::start(example(&out, &goal.to_string()));
        let first = rerun.read_line().unwrap();
        assert_eq!(first, format!("{} of {goal} items are done", done.len()));
        let (lines, status) = rerun.finish();
        assert!(status.success(), "{status}");
        assert_eq!(lines.last().map(String::as_str), Some("Finished"));
        assert_eq!(done_items(&out), (0..goal).collect::<Vec<u64>>());
    });
}

#[test]
fn a_process_ended_by_sigterm_says_so() {
    with_watchdog(LIMIT, || {
        let dir = tempfile::tempdir().unwrap();
        let mut run = Run::start(example(&dir.path().join("progress.json"), ENDLESS));
        run.read_until("working");
        run.signal(libc::SIGTERM);
        let (lines, status) = run.finish();
        assert_eq!(status.signal(), Some(libc::SIGTERM), "{lines:?}");
    });
}

#[test]
fn a_second_signal_ends_the_process_at_once_while_a_worker_refuses_to_stop() {
    with_watchdog(LIMIT, || {
        let dir = tempfile::tempdir().unwrap();
        let mut command = example(&dir.path().join("progress.json"), ENDLESS);
        // Longer than the watchdog: only the second signal can end this in time.
        command.args(["--stubborn", "--grace", "600"]);
        let mut run = Run::start(command);
        run.read_until("working");
        run.signal(libc::SIGINT);
        run.read_until("interrupted by SIGINT");
        run.signal(libc::SIGINT);
        let (lines, status) = run.finish();
        assert_eq!(status.signal(), Some(libc::SIGINT), "{lines:?}");
        assert!(!lines.iter().any(|line| line == "Interrupted"), "{lines:?}");
    });
}

#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    with_watchdog(LIMIT, || {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("progress.json");
        let mut command = example(&out, "60");
        let ignore_hangup = || {
            // SAFETY: SIG_IGN is a valid disposition, and no handler of ours is replaced.
            if unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) } == libc::SIG_ERR {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: all it calls is `signal`, which may be called between fork and exec.
        unsafe { command.pre_exec(ignore_hangup) };
        let mut run = Run::start(command);
        run.read_until("working");
        run.signal(libc::SIGHUP);
        let (lines, status) = run.finish();
        assert!(status.success(), "{status}: {lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("Finished"));
        assert_eq!(done_items(&out).len(), 60);
    });
}

/// A run of the example; it does not outlive the test.
struct Run {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Run {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.stdout.read_line(&mut line).unwrap();
        (length > 0).then(|| line.trim_end().to_owned())
    }

    fn read_until(&mut self, beginning: &str) {
        loop {
            match self.read_line() {
                Some(line) if line.starts_with(beginning) => return,
                Some(_) => {}
                None => panic!("the example ended before it said {beginning:?}"),
            }
        }
    }

    fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: the child has not been waited for, so the number is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// The rest of the output, and how the process ended.
    fn finish(mut self) -> (Vec<String>, ExitStatus) {
        let mut lines = Vec::new();
        while let Some(line) = self.read_line() {
            lines.push(line);
        }
        (lines, self.child.wait().unwrap())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Both fail if it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn example(out: &Path, items: &str) -> Command {
    let mut command = Command::new(example_path());
    command.args(["--workers", "3", "--items", items, "--out"]);
    command.arg(out);
    // SAFETY: between fork and exec the closure calls signal(2) alone, and allocates nothing.
    unsafe { command.pre_exec(take_signals) };
    command
}

/// Tests may be started with signals ignored (in the background of a script); their children not.
fn take_signals() -> std::io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: no handler is installed, only the default action.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

/// `target/debug/examples/supervised_run`, next to `target/debug/deps/`, where this test lies.
fn example_path() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join("supervised_run");
    assert!(path.exists(), "{} is missing: build it with `cargo build -p towline-threads --examples`", path.display());
    path
}

fn wait_for_progress(out: &Path) {
    // The file is replaced in one step, so whatever is there is whole.
    while !out.exists() || done_items(out).is_empty() {
        std::thread::yield_now();
    }
}

fn done_items(out: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(out).unwrap();
    let progress: serde_json::Value = serde_json::from_str(&text).unwrap();
    progress["done"].as_array().unwrap().iter().map(|item| item.as_u64().unwrap()).collect()
}
