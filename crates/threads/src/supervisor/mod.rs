//! N workers, a step at a fixed interval, and an orderly shutdown on an interrupt.
//!
//! A [`Supervised`] type says which threads to start, what to do every
//! [`run_sleep`](Supervisor::run_sleep) (such as saving progress) and what to do on an interrupt.
//! [`Supervisor::run`] calls these hooks only in the thread that called it, so they share
//! `&mut self` without a lock; the workers see the [`Crew`] and its
//! [`CancelToken`](crate::CancelToken).
//!
//! Interrupts come from an [`InterruptSource`]. The library installs no signal handlers by itself;
//! a program gives its supervisor `signals::Signals` (feature `signals`, on Unix), a test a
//! [`ManualInterrupt`].
//!
//! ```
//! use std::io;
//! use std::time::Duration;
//! use towline_threads::Queue;
//! use towline_threads::supervisor::{Crew, Outcome, Supervised, Supervisor};
//!
//! struct Squares {
//!     jobs: Queue<u64>,
//!     results: Queue<u64>,
//!     sum: u64,
//! }
//!
//! impl Supervised for Squares {
//!     fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
//!         for number in 0..crew.threads_number() {
//!             let (jobs, results) = (self.jobs.clone(), self.results.clone());
//!             let token = crew.cancel_token().clone();
//!             crew.spawn(format!("square-{number}"), move || {
//!                 while !token.is_cancelled()
//!                     && let Ok(job) = jobs.get()
//!                 {
//!                     results.put(job * job).unwrap();
//!                 }
//!             })?;
//!         }
//!         Ok(())
//!     }
//!
//!     fn run_step(&mut self) {
//!         while let Ok(square) = self.results.try_get() {
//!             self.sum += square;
//!         }
//!     }
//! }
//!
//! let mut squares = Squares { jobs: Queue::new(), results: Queue::new(), sum: 0 };
//! for n in 1..=10 {
//!     squares.jobs.put(n).unwrap();
//! }
//! squares.jobs.shutdown();
//! let outcome = Supervisor::new(4)
//!     .run_sleep(Duration::from_millis(100))
//!     .run(&mut squares)
//!     .unwrap();
//! assert_eq!(outcome, Outcome::Finished);
//! assert_eq!(squares.sum, 385); // the last step runs after the last thread
//! ```

mod crew;
mod error;
mod hub;
mod interrupt;
mod outcome;
mod run;
#[cfg(all(unix, feature = "signals"))]
pub mod signals;
mod source;

pub use crew::Crew;
pub use error::{SuperviseError, ThreadPanic};
pub use interrupt::Interrupt;
pub use outcome::Outcome;
pub use run::{Supervised, Supervisor};
pub use source::{InterruptSink, InterruptSource, InterruptTrigger, ManualInterrupt};
