//! Named threads, a list of live threads, joins with a timeout, and a `main` that waits.
//!
//! Every thread started here has a name (`Thread-N` unless one is given), a number that is never
//! reused, and a *daemon* flag: [`run()`] waits for the threads that are not daemons and leaves the
//! others behind. A thread inherits the flag of the thread that starts it.
//!
//! The process-wide registry (`registry.rs`) holds one record for each live thread. This module fills
//! it, from whichever thread starts, ends or asks.
//!
//! ```
//! use towline_threads::thread;
//!
//! let worker = thread::Builder::new().name("adder").spawn(|| 2 + 2)?;
//! assert_eq!(worker.name(), "adder");
//! assert_eq!(worker.join().unwrap(), 4);
//! # Ok::<(), std::io::Error>(())
//! ```

mod builder;
mod dump;
mod excepthook;
mod handle;
mod info;
mod run;
mod runnable;

pub use builder::{Builder, spawn};
pub use dump::{Dump, DumpedThread, dump};
pub(crate) use excepthook::report_panic;
pub use excepthook::{Excepted, clear_excepthook, set_excepthook};
pub use handle::{JoinError, JoinHandle};
pub use info::{ThreadInfo, active_count, current, enumerate, main_thread};
pub use run::run;
pub use runnable::{Runnable, start};
