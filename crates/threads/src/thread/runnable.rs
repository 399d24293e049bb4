//! Types that run as threads, like Python's subclasses of `Thread`.

use std::io;

use super::builder::Builder;
use super::handle::JoinHandle;

/// Work for a thread, with the data it needs.
///
/// In Python, this is a subclass of `Thread` with its own `run`. Here, the value moves into the
/// thread, and [`join`](JoinHandle::join) returns what `run` returns.
///
/// ```
/// use towline_threads::thread::{self, Runnable};
///
/// struct Adder {
///     numbers: Vec<u32>,
/// }
///
/// impl Runnable for Adder {
///     type Output = u32;
///
///     fn run(self) -> u32 {
///         self.numbers.iter().sum()
///     }
///
///     fn name(&self) -> Option<String> {
///         Some(format!("adder of {}", self.numbers.len()))
///     }
/// }
///
/// let adder = thread::start(Adder { numbers: vec![1, 2, 3] });
/// assert_eq!(adder.name(), "adder of 3");
/// assert_eq!(adder.join().unwrap(), 6);
/// ```
///
/// In Python, starting a thread twice is a run-time error. Here, it does not compile:
///
/// ```compile_fail,E0382
/// use towline_threads::thread::{self, Runnable};
///
/// struct Once;
///
/// impl Runnable for Once {
///     type Output = ();
///
///     fn run(self) {}
/// }
///
/// let once = Once;
/// thread::start(once);
/// thread::start(once);
/// ```
pub trait Runnable {
    /// What the thread returns.
    type Output: Send + 'static;

    /// Does the work, in the thread.
    fn run(self) -> Self::Output;

    /// The thread's name; `None` for `Thread-N`. Called once, before the thread starts, in the
    /// thread that starts it.
    fn name(&self) -> Option<String> {
        None
    }

    /// Whether the thread is a daemon; `None` inherits the flag of the thread that starts it.
    /// Called like [`name`](Self::name).
    fn daemon(&self) -> Option<bool> {
        None
    }
}

/// Starts a thread that runs `runnable`, with the name and the flag that it asks for.
///
/// # Panics
///
/// If the operating system cannot create the thread, or if the name contains a NUL byte;
/// [`Builder::start`] returns that as an error.
pub fn start<R>(runnable: R) -> JoinHandle<R::Output>
where
    R: Runnable + Send + 'static,
{
    match Builder::new().start(runnable) {
        Ok(handle) => handle,
        Err(error) => panic!("the thread could not be started: {error}"),
    }
}

impl Builder {
    /// Starts a thread that runs `runnable`.
    ///
    /// The builder's name and flag take precedence over those that the runnable asks for.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    ///
    /// ```
    /// use towline_threads::thread::{Builder, Runnable, current};
    ///
    /// struct WhoAmI;
    ///
    /// impl Runnable for WhoAmI {
    ///     type Output = String;
    ///
    ///     fn run(self) -> String {
    ///         current().name().to_owned()
    ///     }
    /// }
    ///
    /// let thread = Builder::new().name("socrates").start(WhoAmI)?;
    /// assert_eq!(thread.join().unwrap(), "socrates");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn start<R>(self, runnable: R) -> io::Result<JoinHandle<R::Output>>
    where
        R: Runnable + Send + 'static,
    {
        self.or(runnable.name(), runnable.daemon()).spawn(move || runnable.run())
    }
}
