//! Who is told when a thread ends by a panic.
//!
//! The hook belongs to the process. It is called by the thread that panicked, while that thread is
//! still on the list and before anybody who joins it gets the panic. The lock around it is held for
//! as long as it takes to copy a pointer, never while the hook runs.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use super::info::ThreadInfo;
use crate::panic::{self, Payload};

/// A thread that ended by a panic, and what the panic said.
pub struct Excepted<'a> {
    thread: &'a ThreadInfo,
    payload: &'a (dyn Any + Send),
}

type Hook = dyn Fn(&Excepted<'_>) + Send + Sync;

static HOOK: Mutex<Option<Arc<Hook>>> = Mutex::new(None);

/// Has `hook` called whenever a thread that this crate started ends by a panic.
///
/// As Python's `threading.excepthook`; an earlier hook is replaced. The hook is called in the
/// thread that panicked, after its closure has unwound. The panic is still the result of
/// [`join`](super::JoinHandle::join), and the standard library's panic hook has been called before:
/// this one is for those who want to know *which* thread is gone, be it joined or not.
///
/// A panic in a pool's task is not reported here, for it ends no thread: it is the result of the
/// task's [`Future`](crate::Future). A hook that panics is survived.
///
/// ```
/// use std::sync::mpsc;
/// use towline_threads::thread;
///
/// let (tells, hears) = mpsc::channel();
/// thread::set_excepthook(move |excepted| {
///     tells.send(format!("{}: {}", excepted.thread().name(), excepted.message())).unwrap();
/// });
/// let worker = thread::Builder::new().name("reader").spawn::<(), _>(|| panic!("the disk is gone"))?;
/// assert!(worker.join().is_err());
/// assert_eq!(hears.recv().unwrap(), "reader: the disk is gone");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn set_excepthook(hook: impl Fn(&Excepted<'_>) + Send + Sync + 'static) {
    replace(Some(Arc::new(hook)));
}

/// Takes the hook away: from now on nobody is told.
///
/// A thread that ends at this moment may still be calling it.
///
/// ```
/// use towline_threads::thread;
///
/// thread::clear_excepthook(); // there need not be one
/// ```
pub fn clear_excepthook() {
    replace(None);
}

/// Tells the hook, if there is one, that `thread` ends by a panic. Called in that thread.
pub(super) fn report(thread: &ThreadInfo, payload: &Payload) {
    let hook = HOOK.lock().clone();
    let Some(hook) = hook else {
        return;
    };
    let payload: &(dyn Any + Send) = &**payload;
    // The hook is moved in, because it may die here: its destructor is the user's code as well.
    let called = catch_unwind(AssertUnwindSafe(move || hook(&Excepted { thread, payload })));
    if let Err(payload) = called {
        panic::drop_quietly(payload);
    }
}

/// For threads of ours whose panic is caught before their closure ends.
pub(crate) fn report_panic(payload: &Payload) {
    report(&super::current(), payload);
}

fn replace(hook: Option<Arc<Hook>>) {
    let before = std::mem::replace(&mut *HOOK.lock(), hook);
    // Not under the lock: its destructor is the user's code.
    drop(before);
}

impl Excepted<'_> {
    /// The thread that panicked.
    pub fn thread(&self) -> &ThreadInfo {
        self.thread
    }

    /// The text of the panic. A payload that is not text is described.
    pub fn message(&self) -> &str {
        panic::message(self.payload)
    }

    /// What the thread panicked with.
    pub fn payload(&self) -> &(dyn Any + Send) {
        self.payload
    }
}

impl fmt::Debug for Excepted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Excepted").field("thread", &self.thread).field("message", &self.message()).finish()
    }
}
