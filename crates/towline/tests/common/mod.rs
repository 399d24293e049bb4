//! What the command's tests share: the real binary as a child that is watched and cannot hang, and a
//! place that it downloads into. What those of other crates could use too is in `towline-testkit`.

pub(crate) mod proxy;
mod schema;

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write as _};
use std::ops::Deref;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, fcntl_setfl, mkfifoat};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::BpfProgram;
use serde_json::Value;
use towline_testkit::json_lines;

/// A run that takes longer hangs.
const RUN_MAX: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(10);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_towline");

/// Takes everything out of a command's environment that changes what towline does.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let lower = name.to_string_lossy().to_ascii_lowercase();
        let counts = lower.starts_with("towline_") || lower.ends_with("_proxy");
        if counts || ["no_color", "request_method", "tmux"].contains(&lower.as_str()) {
            command.env_remove(name);
        }
    }
    command.env("TERM", "dumb");
    // Not the developer's own.
    command.env("TOWLINE_CONFIG", "/dev/null");
}

/// A directory to work in; downloads go to `out` below it.
pub(crate) struct Place(towline_testkit::Place);

impl Deref for Place {
    type Target = towline_testkit::Place;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(towline_testkit::Place::new("out"))
    }

    /// A file or directory in `out`.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.file(name)
    }

    /// Makes a named pipe beside `out`.
    pub(crate) fn fifo(&self, name: &str) {
        mkfifoat(CWD, self.beside(name), Mode::RUSR | Mode::WUSR).unwrap();
    }

    /// A run of towline with this as its directory.
    pub(crate) fn towline(&self, args: &[&str]) -> Towline {
        let mut command = Command::new(BINARY);
        command.args(args);
        Towline::new(command, self)
    }

    /// Fails unless the file in `out` is the content `seed`.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, seed: u64, size: u64) {
        self.assert_content(name, seed, size);
    }

    /// Everything in `out`, sorted.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.0.leftovers(&[])
    }

    /// Everything in `out` but the files `0.bin`, `1.bin` and so on up to `count`.
    pub(crate) fn leftovers_beside_numbered(&self, count: u64) -> Vec<String> {
        let mut names = self.leftovers();
        names.retain(|name| !(0..count).any(|number| *name == format!("{number}.bin")));
        names
    }
}

/// A pipe that takes no byte more until somebody reads. While the reader lives, a write to it waits.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    // A byte at a time, or a little would still fit.
    for bytes in [&[b' '; 4096][..], b" "] {
        while writer.write(bytes).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// A run in the making.
pub(crate) struct Towline {
    command: Command,
    input: Option<String>,
    ignored: Option<libc::c_int>,
    limits: Vec<(Resource, Rlimit)>,
    refused: Vec<BpfProgram>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
}

impl Towline {
    pub(crate) fn new(mut command: Command, place: &Place) -> Self {
        clean(&mut command);
        command.current_dir(place.root());
        Self {
            command,
            input: None,
            ignored: None,
            limits: Vec::new(),
            refused: Vec::new(),
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it reads on standard input; nothing otherwise.
    pub(crate) fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    /// A signal that is ignored when it starts, as by nohup.
    pub(crate) fn ignoring(mut self, signal: libc::c_int) -> Self {
        self.ignored = Some(signal);
        self
    }

    /// What it may use.
    pub(crate) fn limit(mut self, resource: Resource, limit: Rlimit) -> Self {
        self.limits.push((resource, limit));
        self
    }

    /// System calls that fail for it, as they do on some file systems and in some containers.
    pub(crate) fn refused(mut self, filters: Vec<BpfProgram>) -> Self {
        self.refused = filters;
        self
    }

    /// Standard input comes from there.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Standard error goes there and is not kept.
    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// Standard output goes there and is not kept.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        let (ignored, limits) = (self.ignored, std::mem::take(&mut self.limits));
        let refused = std::mem::take(&mut self.refused);
        let prepare = move || -> io::Result<()> {
            set_signals(ignored)?;
            for (resource, limit) in &limits {
                setrlimit(*resource, *limit)?;
            }
            for filter in &refused {
                seccompiler::apply_filter(filter).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes the calls signal(2), setrlimit(2), prctl(2) and
        // seccomp(2) alone, and allocates nothing.
        unsafe {
            self.command.pre_exec(prepare);
        }
        let no_input = if self.input.is_some() { Stdio::piped } else { Stdio::null };
        let stdin = self.stdin.take().unwrap_or_else(no_input);
        let stdout = self.stdout.take().unwrap_or_else(Stdio::piped);
        let stderr = self.stderr.take().unwrap_or_else(Stdio::piped);
        let begun = Instant::now();
        let mut child = self.command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
        if let (Some(text), Some(mut stdin)) = (&self.input, child.stdin.take()) {
            // One that ends early does not read it.
            let _ = stdin.write_all(text.as_bytes());
        }
        let stdout = Captured::new(child.stdout.take());
        let stderr = Captured::new(child.stderr.take());
        Running { child, begun, stdout, stderr }
    }
}

/// Tests may be started with signals ignored (in the background of a script); their children not.
fn set_signals(ignored: Option<libc::c_int>) -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGXFSZ, libc::SIGCHLD] {
        let action = if ignored == Some(signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: no handler is installed, only the default action or none.
        if unsafe { libc::signal(signal, action) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// What a child writes, as far as it has come.
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn new(source: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = source.map(|mut source| {
            thread::spawn(move || {
                let mut buffer = [0; 8192];
                while let Ok(count @ 1..) = source.read(&mut buffer) {
                    kept.lock().unwrap().extend_from_slice(&buffer[..count]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text()
    }
}

/// A run; killed if it is dropped.
pub(crate) struct Running {
    child: Child,
    begun: Instant,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Looks again and again until it has ended.
    pub(crate) fn while_running(&mut self, mut look: impl FnMut()) {
        while self.is_running() {
            look();
            thread::sleep(TICK);
        }
    }

    /// Whether it has a thread of this name.
    pub(crate) fn has_thread(&self, name: &str) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return false };
        let mut names = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        names.any(|found| found.trim_end() == name)
    }

    /// The soft and the hard limit of its descriptors, as the system writes them.
    pub(crate) fn descriptors_max(&self) -> (String, String) {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill(2) takes two numbers; the child has not been waited for, so the id is its own.
        let status = unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        assert_eq!(status, 0, "{}", io::Error::last_os_error());
    }

    /// SIGKILL: it can do nothing about it.
    pub(crate) fn kill(mut self) {
        assert!(self.is_running(), "it was to be killed, but has ended: {}", self.stderr.text());
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "it ended before it was killed");
    }

    /// Waits for its end; one that does not end is killed and fails the test.
    pub(crate) fn finish(mut self) -> Outcome {
        let deadline = Instant::now() + RUN_MAX;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("still running after {RUN_MAX:?}; it said:\n{}", self.stderr.text());
            }
            thread::sleep(TICK);
        };
        let took = self.begun.elapsed();
        Outcome { status, took, stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) took: Duration,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Fails unless it ended with this code.
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        self
    }

    /// Fails unless it was ended by this signal.
    pub(crate) fn signal(self, signal: libc::c_int) -> Self {
        assert_eq!(self.status.signal(), Some(signal), "{self}");
        self
    }

    /// Fails unless standard error has all of these.
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not said by {self}");
        }
        self
    }

    /// Fails unless standard output is empty.
    pub(crate) fn writes_nothing(self) -> Self {
        assert_eq!(self.stdout, "", "{self}");
        self
    }

    /// Fails if any output has the text.
    pub(crate) fn hides(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{text:?} is shown by {self}");
        self
    }

    /// Standard output as one JSON value a line. Events have to fit their schema.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = json_lines(&self.stdout);
        lines.iter().filter(|line| line["event"].is_string()).for_each(schema::check);
        lines
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:?}\nstdout:\n{}\nstderr:\n{}", self.status, self.took, self.stdout, self.stderr)
    }
}
