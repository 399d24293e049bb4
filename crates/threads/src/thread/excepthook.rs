//! The hook that is called when a thread ends by a panic.
//!
//! There is one hook per process. The thread that panicked calls it while it is still listed,
//! before a join returns the panic. The lock around the hook is held only to copy a pointer, never
//! while the hook runs.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use super::info::ThreadInfo;
use crate::panic::{self, Payload};

/// A thread that ended by a panic, and the panic's payload.
pub struct Excepted<'a> {
    thread: &'a ThreadInfo,
    payload: &'a (dyn Any + Send),
}

type Hook = dyn Fn(&Excepted<'_>) + Send + Sync;

static HOOK: Mutex<Option<Arc<Hook>>> = Mutex::new(None);

/// Sets the hook to call whenever a thread that this crate started ends by a panic.
///
/// Like Python's `threading.excepthook`; it replaces an earlier hook. The hook is called in the
/// thread that panicked, after its closure has unwound. The standard library's panic hook has
/// already run, and the panic is still the result of [`join`](super::JoinHandle::join): this hook
/// tells *which* thread has ended, whether or not it is ever joined.
///
/// A panic in a pool's task is not reported here, because it ends no thread: it is the result of
/// the task's [`Future`](crate::Future). A panic in the hook itself is caught.
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

/// Removes the hook.
///
/// A thread that is ending at this moment may still call it.
///
/// ```
/// use towline_threads::thread;
///
/// thread::clear_excepthook(); // there need not be one
/// ```
pub fn clear_excepthook() {
    replace(None);
}

/// Calls the hook, if there is one, for `thread`, which ends by a panic. Runs in that thread.
pub(super) fn report(thread: &ThreadInfo, payload: &Payload) {
    let hook = HOOK.lock().clone();
    let Some(hook) = hook else {
        return;
    };
    let payload: &(dyn Any + Send) = &**payload;
    // The hook is moved in because this may drop it: its destructor is user code as well.
    let called = catch_unwind(AssertUnwindSafe(move || hook(&Excepted { thread, payload })));
    if let Err(payload) = called {
        panic::drop_quietly(payload);
    }
}

/// Reports a panic that was caught before the thread's closure ended.
pub(crate) fn report_panic(payload: &Payload) {
    report(&super::current(), payload);
}

fn replace(hook: Option<Arc<Hook>>) {
    let before = std::mem::replace(&mut *HOOK.lock(), hook);
    // Not under the lock: its destructor is user code.
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
