//! Runs one command and reports what it used. It is a process of its own, because the high-water mark of
//! a child's memory includes that of the process which started it.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The argument that makes the program a launcher.
pub const LAUNCH: &str = "launch";

/// What a process and the children it waited for used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// From its start to its end, in seconds.
    pub wall_s: f64,
    /// User and system time, in seconds.
    pub cpu_s: f64,
    /// The high-water mark of its resident memory, in bytes.
    pub memory_bytes: u64,
    /// Voluntary and involuntary context switches.
    pub switches: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Ending {
    Exit(i32),
    /// By the number of a signal.
    Signal(i32),
    TookTooLong,
}

/// How a command ended.
#[derive(Debug, Serialize, Deserialize)]
struct Ended {
    how: Ending,
    usage: Usage,
}

/// Runs `command` through `launcher` for at most `time_max`, with its output in the file `said`.
///
/// # Errors
/// What went wrong, in words: it cannot be started, exits with another code than 0, or takes too long.
pub fn launch(launcher: &Path, command: &Command, said: &Path, time_max: Duration) -> Result<Usage, String> {
    let report = said.with_extension("usage");
    let _ = fs::remove_file(&report);
    let status = launching(launcher, command, said, &report, time_max)
        .and_then(|mut launcher| launcher.status())
        .map_err(|error| format!("cannot start the launcher: {error}"))?;
    if !status.success() {
        return Err(format!("{}: {}", program(command), last_line(said)));
    }
    let text = fs::read_to_string(&report).map_err(|error| format!("no usage was reported: {error}"))?;
    let ended: Ended = serde_json::from_str(&text).map_err(|error| format!("no usage was reported: {error}"))?;
    match ended.how {
        Ending::Exit(0) => Ok(ended.usage),
        Ending::Exit(code) => Err(format!("exit code {code}: {}", last_line(said))),
        Ending::Signal(number) => Err(format!("signal {number} ended it: {}", last_line(said))),
        Ending::TookTooLong => Err(format!("took longer than {} s", time_max.as_secs_f64())),
    }
}

fn launching(
    launcher: &Path,
    command: &Command,
    said: &Path,
    report: &Path,
    time_max: Duration,
) -> io::Result<Command> {
    let output = File::create(said)?;
    let mut launching = Command::new(launcher);
    launching.arg(LAUNCH).arg(report).arg(time_max.as_millis().to_string());
    launching.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => launching.env(name, value),
            None => launching.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        launching.current_dir(dir);
    }
    launching.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    Ok(launching)
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn last_line(said: &Path) -> String {
    let text = fs::read(said).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}

/// The launcher itself: runs the command of `arguments` (`REPORT MILLISECONDS PROGRAM ARGUMENTS`).
#[must_use]
pub fn run_launcher(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the harness reads why a command could not be started")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let [report, time_max_ms, program, arguments @ ..] = arguments else {
        return Err(io::Error::other("usage: REPORT MILLISECONDS PROGRAM ARGUMENTS"));
    };
    let time_max = Duration::from_millis(time_max_ms.parse().map_err(io::Error::other)?);
    let began = Instant::now();
    let child = Command::new(program).args(arguments).spawn()?;
    let pid = child.id();
    // Ends with this process, which does not wait for it.
    thread::Builder::new().spawn(move || {
        thread::sleep(time_max);
        if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    })?;
    let (how, used) = wait(pid.cast_signed())?;
    let wall = began.elapsed();
    let how = if matches!(how, Ending::Signal(_)) && wall >= time_max { Ending::TookTooLong } else { how };
    let ended = Ended { how, usage: usage(&used, wall) };
    fs::write(PathBuf::from(report), serde_json::to_vec(&ended)?)
}

fn usage(used: &libc::rusage, wall: Duration) -> Usage {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Usage {
        wall_s: wall.as_secs_f64(),
        cpu_s: seconds(used.ru_utime) + seconds(used.ru_stime),
        // In KiB on Linux.
        memory_bytes: used.ru_maxrss.unsigned_abs() << 10,
        switches: (used.ru_nvcsw + used.ru_nivcsw).unsigned_abs(),
    }
}

/// Waits for a child; how it ended and what it used.
fn wait(pid: i32) -> io::Result<(Ending, libc::rusage)> {
    let mut status = 0;
    // SAFETY: a `rusage` is made of integers, which may all be 0.
    let mut used: libc::rusage = unsafe { mem::zeroed() };
    loop {
        // SAFETY: both are ours and may be written to; the child is ours, and nobody else waits for it.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
        if waited == pid {
            let has_exited = libc::WIFEXITED(status);
            let how = if has_exited {
                Ending::Exit(libc::WEXITSTATUS(status))
            } else {
                Ending::Signal(libc::WTERMSIG(status))
            };
            return Ok((how, used));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
