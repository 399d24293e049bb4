//! What every thread is doing, to find out why a program hangs.

use std::fmt;

use super::info::ThreadInfo;
use crate::registry;

/// The live threads and what each is blocked on; prints one thread per line.
#[derive(Debug, Clone)]
pub struct Dump {
    threads: Vec<DumpedThread>,
}

/// One thread of a [`Dump`].
#[derive(Debug, Clone)]
pub struct DumpedThread {
    info: ThreadInfo,
    waits_for: Option<String>,
}

/// Lists every live thread with its number, its daemon flag and what it waits for.
///
/// CPython's `faulthandler` prints stacks instead. Only waits of this crate are known: a thread
/// that sleeps or reads a socket is shown as running. Each line is true for the moment it was
/// taken: the threads keep running.
///
/// ```
/// use std::sync::Arc;
/// use towline_threads::{sync::Event, thread};
///
/// let go = Arc::new(Event::new());
/// let waits = Arc::clone(&go);
/// let worker = thread::Builder::new().name("patient").spawn(move || waits.wait())?;
/// # let patient = |dump: &thread::Dump| dump.threads().iter().any(|t| t.info().name() == "patient" && t.waits_for().is_some());
/// # while !patient(&thread::dump()) { std::thread::yield_now() }
/// println!("{}", thread::dump());
/// // MainThread (1): running
/// // patient (2): waits for Event made at src/main.rs:4:19
/// go.set();
/// worker.join().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn dump() -> Dump {
    let threads = registry::live()
        .into_iter()
        .map(|record| DumpedThread { waits_for: record.waits_for(), info: ThreadInfo::new(record) })
        .collect();
    Dump { threads }
}

impl Dump {
    /// The threads: the main thread first, then by age.
    pub fn threads(&self) -> &[DumpedThread] {
        &self.threads
    }
}

impl DumpedThread {
    /// The thread's name, number and daemon flag.
    pub fn info(&self) -> &ThreadInfo {
        &self.info
    }

    /// What the thread is blocked on, in words; `None` if it is running.
    pub fn waits_for(&self) -> Option<&str> {
        self.waits_for.as_deref()
    }
}

impl fmt::Display for DumpedThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let daemon = if self.info.daemon() { ", daemon" } else { "" };
        let doing = self.waits_for().unwrap_or("running");
        write!(f, "{} ({}{daemon}): {doing}", self.info.name(), self.info.id())
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.threads.iter().try_for_each(|thread| writeln!(f, "{thread}"))
    }
}
