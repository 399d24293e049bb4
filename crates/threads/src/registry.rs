//! The list of live threads: one record each, one lock around the list.
//!
//! The thread that starts another one enrols it before it runs; the new thread leaves the list when
//! its closure has ended. Threads started elsewhere enrol when they first ask who they are, and
//! leave through the destructor of their thread-local seat.
//!
//! No hand-written protocol depends on these locks, so they are `parking_lot`'s under loom and
//! shuttle too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::agent_id::AgentId;
use crate::facade;
use crate::holder::Owner;
use crate::naming::Name;

/// What the crate knows about one thread.
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) daemon: bool,
    origin: Origin,
    alive: AtomicBool,
    /// What the thread is blocked on.
    waiting: Mutex<Option<Waiting>>,
}

/// Who started a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Main,
    Ours,
    Foreign,
}

/// What a thread is blocked on.
pub(crate) enum Waiting {
    /// Something that nobody holds: an event, a queue, a barrier.
    Object { kind: &'static str, name: Name },
    /// A lock, and where to read who holds it.
    Lock { kind: &'static str, name: Name, owner: Owner },
    /// The end of a thread.
    Thread { name: String },
    /// A task's result.
    Task,
    /// New tasks: the thread is an idle worker.
    Work,
}

impl Record {
    fn new(id: u64, name: String, daemon: bool, origin: Origin) -> Arc<Self> {
        Arc::new(Self { id, name, daemon, origin, alive: AtomicBool::new(true), waiting: Mutex::new(None) })
    }

    /// The thread's number, as used in agents' numbers.
    pub(crate) fn number(&self) -> u32 {
        // Two threads with the same number could share a lock: panic instead.
        u32::try_from(self.id).unwrap_or_else(|_| panic!("a process can start {} threads, not more", u32::MAX))
    }

    /// What the thread is blocked on, in words.
    pub(crate) fn waits_for(&self) -> Option<String> {
        self.waiting.lock().as_ref().map(ToString::to_string)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// The daemon flag that threads started by this one inherit.
    ///
    /// Nobody chose the flag of a foreign thread, so it is not passed on.
    pub(crate) fn heritage(&self) -> bool {
        self.daemon && self.origin == Origin::Ours
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { kind, name } => write!(f, "waits for {kind} {name}"),
            Self::Lock { kind, name, owner } => {
                write!(f, "waits for {kind} {name}")?;
                match owner.get() {
                    None => Ok(()),
                    Some(holder) => write!(f, " held by {}", describe(holder)),
                }
            }
            Self::Thread { name } => write!(f, "waits for thread {name} to end"),
            Self::Task => f.write_str("waits for a task"),
            Self::Work => f.write_str("waits for work"),
        }
    }
}

const MAIN_ID: u64 = 1;

static MAIN: LazyLock<Arc<Record>> =
    LazyLock::new(|| Record::new(MAIN_ID, "MainThread".to_owned(), false, Origin::Main));

/// All live threads except the main one, by number.
static THREADS: Mutex<BTreeMap<u64, Arc<Record>>> = Mutex::new(BTreeMap::new());
/// Notified whenever a thread leaves the list.
static LEFT: Condvar = Condvar::new();

/// Whether a thread has claimed the main thread's record.
static MAIN_SEATED: AtomicBool = AtomicBool::new(false);

static NEXT_ID: AtomicU64 = AtomicU64::new(MAIN_ID + 1);
static NEXT_NAME: AtomicU64 = AtomicU64::new(1);
static NEXT_FOREIGN: AtomicU64 = AtomicU64::new(1);

/// The record of the running thread; it leaves the list with the thread.
struct Seat(Arc<Record>);

impl Drop for Seat {
    fn drop(&mut self) {
        if self.0.origin != Origin::Main {
            leave(&self.0);
        }
    }
}

facade::local! {
    static CURRENT: RefCell<Option<Seat>> = RefCell::new(None);
}

/// Adds a thread that is about to start to the list.
pub(crate) fn enrol(name: Option<String>, daemon: bool) -> Arc<Record> {
    let name = name.unwrap_or_else(|| format!("Thread-{}", NEXT_NAME.fetch_add(1, Ordering::Relaxed)));
    insert(Record::new(next_id(), name, daemon, Origin::Ours))
}

/// Tells the running thread which record is its own.
pub(crate) fn sit_down(record: Arc<Record>) {
    // Fails only while the thread's thread-locals are being destroyed.
    let _ = CURRENT.try_with(|seat| *seat.borrow_mut() = Some(Seat(record)));
}

/// Removes a thread from the list; a second call is harmless.
pub(crate) fn leave(record: &Record) {
    record.alive.store(false, Ordering::Release);
    THREADS.lock().remove(&record.id);
    LEFT.notify_all();
}

pub(crate) fn main_record() -> Arc<Record> {
    Arc::clone(&MAIN)
}

pub(crate) fn current_record() -> Arc<Record> {
    CURRENT
        .try_with(|seat| {
            let mut seat = seat.borrow_mut();
            Arc::clone(&seat.get_or_insert_with(|| Seat(adopt())).0)
        })
        .unwrap_or_else(|_| {
            // The thread's last destructors are running: it has left the list.
            let record = Record::new(next_id(), "(ending)".to_owned(), true, Origin::Foreign);
            record.alive.store(false, Ordering::Release);
            record
        })
}

/// The number of the running thread.
pub(crate) fn current_number() -> u32 {
    current_record().number()
}

/// Notes what the running thread is blocked on; returns what was noted before.
pub(crate) fn set_waiting(waiting: Option<Waiting>) -> Option<Waiting> {
    let record = current_record();
    let mut place = record.waiting.lock();
    std::mem::replace(&mut *place, waiting)
}

/// The name of an agent's thread, and the task's number if the agent is a task.
pub(crate) fn describe(agent: AgentId) -> String {
    let number = agent.thread();
    let name = if u64::from(number) == MAIN_ID {
        main_record().name.clone()
    } else {
        match THREADS.lock().get(&u64::from(number)) {
            Some(record) => record.name.clone(),
            None => format!("thread #{number}"),
        }
    };
    if agent.is_task() { format!("{name} (task {})", agent.task()) } else { name }
}

/// The main thread first, then the others by number.
pub(crate) fn live() -> Vec<Arc<Record>> {
    let threads = THREADS.lock();
    std::iter::once(main_record()).chain(threads.values().cloned()).collect()
}

pub(crate) fn count() -> usize {
    THREADS.lock().len() + 1
}

/// Blocks until a thread has left the list; false if the time is up first.
pub(crate) fn wait_until_gone(record: &Record, deadline: Option<Instant>) -> bool {
    let mut threads = THREADS.lock();
    while record.is_alive() {
        match deadline {
            None => LEFT.wait(&mut threads),
            Some(deadline) if LEFT.wait_until(&mut threads, deadline).timed_out() => return !record.is_alive(),
            Some(_) => {}
        }
    }
    true
}

/// The threads that are in [`wait_for_non_daemons`], in order of arrival. Locked after `THREADS`.
static IN_RUN: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Blocks until all our non-daemon threads have ended, except the caller.
///
/// If others wait for the caller, it does not wait for threads that are already waiting here: those
/// wait for it.
pub(crate) fn wait_for_non_daemons() {
    let own = current_record();
    let mut threads = THREADS.lock();
    let waited_for = own.origin == Origin::Ours && !own.daemon;
    let before = if waited_for { IN_RUN.lock().clone() } else { Vec::new() };
    IN_RUN.lock().push(own.id);
    while threads.values().any(|thread| {
        thread.origin == Origin::Ours && !thread.daemon && thread.id != own.id && !before.contains(&thread.id)
    }) {
        LEFT.wait(&mut threads);
    }
    IN_RUN.lock().retain(|id| *id != own.id);
}

/// Enrols a thread that this crate did not start.
fn adopt() -> Arc<Record> {
    let native = std::thread::current();
    // Only one thread gets the main record and its number: two threads with the same number could enter the same `RLock`.
    if is_main() && !MAIN_SEATED.swap(true, Ordering::Relaxed) {
        return main_record();
    }
    let name = native.name().map(str::to_owned);
    let name = name.unwrap_or_else(|| format!("Foreign-{}", NEXT_FOREIGN.fetch_add(1, Ordering::Relaxed)));
    insert(Record::new(next_id(), name, true, Origin::Foreign))
}

/// Whether the running thread is the one that the process started with, whatever it is called. The system knows: inside a
/// library, another program's main thread is it, and no thread of ours.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_main() -> bool {
    // SAFETY: both calls only return a number.
    #[expect(unsafe_code, reason = "system calls that the standard library does not offer")]
    unsafe {
        libc::getpid() == libc::gettid()
    }
}

/// Elsewhere, by the name that the standard library gives it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_main() -> bool {
    std::thread::current().name() == Some("main")
}

fn insert(record: Arc<Record>) -> Arc<Record> {
    THREADS.lock().insert(record.id, Arc::clone(&record));
    record
}

fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}
