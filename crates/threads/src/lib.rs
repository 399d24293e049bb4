//! Python's `threading`, `queue` and `concurrent.futures`, redesigned for Rust: guards release on
//! drop, errors are values, closures are typed, and a timeout is a
//! [`Duration`](std::time::Duration). The crate needs no async runtime, starts no threads and
//! installs no signal handlers unless asked to, and it reports a deadlock instead of hanging.
//!
//! # In Python, here, and in std
//!
//! Types and methods keep their Python names.
//!
//! ## Threads
//!
//! | Python | here | std |
//! |---|---|---|
//! | `Thread(target=f).start()` | [`thread::spawn`], [`thread::Builder`] | [`std::thread::spawn`] |
//! | a subclass of `Thread` | [`thread::Runnable`], [`thread::start`] | nothing |
//! | `join()`, `join(timeout)` | [`join`](thread::JoinHandle::join), [`join_timeout`](thread::JoinHandle::join_timeout) | [`join`](std::thread::JoinHandle::join), without a timeout |
//! | `daemon`, the join at exit | [`Builder::daemon`](thread::Builder::daemon), [`thread::run`](thread::run()) | nothing: threads end with `main` |
//! | `current_thread`, `main_thread` | [`thread::current`], [`thread::main_thread`] | [`std::thread::current`] |
//! | `enumerate`, `active_count` | [`thread::enumerate`], [`thread::active_count`] | nothing |
//! | `excepthook` | [`thread::set_excepthook`] | [`std::panic::set_hook`], for every panic |
//! | `faulthandler.dump_traceback` | [`thread::dump`](thread::dump()): who waits for what | nothing |
//! | `local` | [`std::thread_local!`] | the same |
//! | `Timer` | [`Timer`] | nothing |
//!
//! ```
//! use std::time::Duration;
//! use towline_threads::thread;
//!
//! let mut thinker = thread::Builder::new().name("thinker").daemon(true).spawn(|| 6 * 7)?;
//! println!("{}", thread::dump()); // each thread, and what it waits for
//! let answer = thinker.join_timeout(Duration::from_secs(60)).unwrap();
//! assert_eq!(answer, 42);
//! assert!(thread::enumerate().iter().all(|thread| thread.name() != "thinker"));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A timer is a thread that waits, and does nothing if it is cancelled in time:
//!
//! ```
//! use std::time::Duration;
//! use towline_threads::Timer;
//!
//! let alarm = Timer::new(Duration::from_secs(3600), || println!("an hour has passed"));
//! alarm.start()?;
//! alarm.cancel();
//! alarm.join().unwrap(); // its thread has ended
//! assert!(!alarm.fired());
//! # Ok::<(), towline_threads::timer::TimerError>(())
//! ```
//!
//! ## Locks and other synchronization
//!
//! | Python | here | std |
//! |---|---|---|
//! | `Lock` | [`sync::Lock`] | [`std::sync::Mutex`]: a panic poisons it, a deadlock hangs |
//! | `RLock` | [`sync::RLock`] | nothing stable |
//! | `Condition` | [`sync::Condition`] | [`std::sync::Condvar`]: wakes in any order, and spuriously |
//! | `Semaphore`, `BoundedSemaphore` | [`sync::Semaphore`], [`sync::BoundedSemaphore`] | nothing |
//! | `Event` | [`sync::Event`] | nothing |
//! | `Barrier` | [`sync::Barrier`] | [`std::sync::Barrier`], without timeout, abort, reset and action |
//! | `acquire(timeout=t)` | [`acquire_timeout`](sync::Lock::acquire_timeout) | nothing |
//! | `acquire(blocking=False)` | [`try_acquire`](sync::Lock::try_acquire) | [`try_lock`](std::sync::Mutex::try_lock) |
//!
//! Two tasks take two locks in opposite order. One of them gets an error; once it releases its
//! lock, the other one continues:
//!
//! ```
//! use towline_threads::ThreadPoolExecutor;
//! use towline_threads::sync::{Barrier, Lock};
//!
//! let pool = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("clerk").build()?;
//! let (left, right) = (Lock::named("left", ()), Lock::named("right", ()));
//! let both_hold_one = Barrier::new(2).unwrap();
//! let take_both = |first: &Lock<()>, second: &Lock<()>| {
//!     let _held = first.acquire()?;
//!     both_hold_one.wait().unwrap();
//!     second.acquire().map(drop).inspect_err(|deadlock| println!("{deadlock}"))
//! };
//! let ended = pool.scope(|scope| {
//!     let tasks = [(&left, &right), (&right, &left)];
//!     let tasks = tasks.map(|(first, second)| scope.submit(move || take_both(first, second)).unwrap());
//!     tasks.map(|task| task.result().unwrap())
//! });
//! assert_eq!(ended.iter().filter(|end| end.is_err()).count(), 1);
//! # Ok::<(), towline_threads::executor::ExecutorError>(())
//! ```
//!
//! ```text
//! deadlock: clerk_0 (task 1) waits for Lock `right` held by clerk_1 (task 1); clerk_1 (task 1) waits for Lock `left` held by clerk_0 (task 1)
//! ```
//!
//! Three threads start together, and each knows the position in which it arrived:
//!
//! ```
//! use std::sync::Arc;
//! use towline_threads::{sync::Barrier, thread};
//!
//! let start = Arc::new(Barrier::with_action(3, || println!("off they go"))?);
//! let runners = [(); 3].map(|()| {
//!     let start = Arc::clone(&start);
//!     thread::spawn(move || start.wait())
//! });
//! let mut places = runners.map(|runner| runner.join().unwrap().unwrap());
//! places.sort_unstable();
//! assert_eq!(places, [0, 1, 2]);
//! # Ok::<(), towline_threads::sync::BarrierError>(())
//! ```
//!
//! ## Queues
//!
//! | Python | here | std |
//! |---|---|---|
//! | `Queue()`, `SimpleQueue()` | [`Queue::new`] | [`std::sync::mpsc::channel`]: one receiver |
//! | `Queue(n)` | [`Queue::bounded`] | [`std::sync::mpsc::sync_channel`]: one receiver |
//! | `LifoQueue`, `PriorityQueue` | [`LifoQueue`], [`PriorityQueue`] | nothing |
//! | `put`, `put_nowait`, `put(timeout=t)` | [`put`](Queue::put), [`try_put`](Queue::try_put), [`put_timeout`](Queue::put_timeout) | `send`, `try_send`, nothing |
//! | `get`, `get_nowait`, `get(timeout=t)` | [`get`](Queue::get), [`try_get`](Queue::try_get), [`get_timeout`](Queue::get_timeout) | `recv`, `try_recv`, `recv_timeout` |
//! | `task_done`, `join` | [`task_done`](Queue::task_done), [`join`](Queue::join) | nothing |
//! | `shutdown()` | [`shutdown`](Queue::shutdown) | dropping all senders |
//! | `shutdown(immediate=True)` | [`shutdown_immediate`](Queue::shutdown_immediate) | dropping the receiver |
//! | `qsize`, `empty`, `full` | [`len`](Queue::len), [`is_empty`](Queue::is_empty), [`is_full`](Queue::is_full) | nothing |
//!
//! ```
//! use towline_threads::{Queue, thread};
//!
//! let queue = Queue::bounded(8);
//! let add_up = |jobs: Queue<u32>| {
//!     let mut sum = 0;
//!     while let Ok(job) = jobs.get() {
//!         sum += job;
//!         jobs.task_done().unwrap();
//!     }
//!     sum
//! };
//! let workers = [queue.clone(), queue.clone()].map(|jobs| thread::spawn(move || add_up(jobs)));
//! (1..=10).for_each(|job| queue.put(job).unwrap());
//! queue.join(); // every job has been worked on
//! queue.shutdown(); // `get` fails once the queue is empty
//! assert_eq!(workers.map(|worker| worker.join().unwrap()).iter().sum::<u32>(), 55);
//! ```
//!
//! ## Pools and futures
//!
//! Of these, std has only [`std::thread::scope`], with a thread for each closure.
//!
//! | Python | here |
//! |---|---|
//! | `ThreadPoolExecutor(n)`, with a prefix, an initializer | [`ThreadPoolExecutor::new`], [`ThreadPoolExecutor::builder`] |
//! | the `with` statement | dropping the pool |
//! | `shutdown(wait, cancel_futures)` | [`shutdown`](ThreadPoolExecutor::shutdown) |
//! | `submit` | [`submit`](ThreadPoolExecutor::submit); [`scope`](ThreadPoolExecutor::scope) for closures that borrow |
//! | `map`, with a timeout, a buffersize | [`map`](ThreadPoolExecutor::map), [`map_with`](ThreadPoolExecutor::map_with) |
//! | `result()`, `result(timeout)` | [`result`](Future::result), [`result_timeout`](Future::result_timeout) |
//! | `exception()`, `exception(timeout)` | [`exception`](Future::exception), [`exception_timeout`](Future::exception_timeout) |
//! | `cancel`, `cancelled` | [`cancel`](Future::cancel), [`cancelled`](Future::cancelled) |
//! | `done`, `running` | [`done`](Future::done), [`running`](Future::running), [`status`](Future::status) |
//! | `add_done_callback` | [`add_done_callback`](Future::add_done_callback) |
//! | `wait` | [`executor::wait`](executor::wait()) |
//! | `as_completed` | [`executor::as_completed`](executor::as_completed()), [`executor::as_completed_timeout`] |
//!
//! A panic becomes the error of its task; the worker keeps running:
//!
//! ```
//! use towline_threads::ThreadPoolExecutor;
//!
//! let pool = ThreadPoolExecutor::new(4)?;
//! let good = pool.submit(|| 6 * 7).unwrap();
//! let bad = pool.submit(|| -> u32 { panic!("no luck") }).unwrap();
//! good.add_done_callback(|status| println!("the good one has {status:?}"));
//! assert_eq!(good.result().unwrap(), 42);
//! assert_eq!(bad.result().unwrap_err().panic_message(), Some("no luck"));
//! # Ok::<(), towline_threads::executor::ExecutorError>(())
//! ```
//!
//! `map` yields results in the order of the items, and can limit how far ahead it reads:
//!
//! ```
//! use towline_threads::ThreadPoolExecutor;
//! use towline_threads::executor::MapOptions;
//!
//! let pool = ThreadPoolExecutor::new(2)?;
//! let lengths = pool.map(str::len, ["one", "three", ""]).unwrap();
//! let lengths: Vec<usize> = lengths.map(|length| length.unwrap()).collect();
//! assert_eq!(lengths, [3, 5, 0]);
//!
//! let without_end = pool.map_with(MapOptions::new().buffersize(8), |n| n * n, 1_u64..).unwrap();
//! let first: Vec<u64> = without_end.take(3).map(|square| square.unwrap()).collect();
//! assert_eq!(first, [1, 4, 9]);
//! # Ok::<(), towline_threads::executor::ExecutorError>(())
//! ```
//!
//! Tasks may wait for tasks of their own pool, however small it is:
//!
//! ```
//! use std::sync::Arc;
//! use towline_threads::ThreadPoolExecutor;
//!
//! let pool = Arc::new(ThreadPoolExecutor::new(1)?); // in CPython a deadlock
//! let own = Arc::clone(&pool);
//! let outer = pool.submit(move || {
//!     let parts: Vec<_> = (1..=3_u32).map(|n| own.submit(move || n * n).unwrap()).collect();
//!     parts.into_iter().map(|part| part.result().unwrap()).sum::<u32>()
//! });
//! assert_eq!(outer.unwrap().result().unwrap(), 14);
//! # Ok::<(), towline_threads::executor::ExecutorError>(())
//! ```
//!
//! `as_completed` yields whichever task finishes next:
//!
//! ```
//! use std::sync::Arc;
//! use towline_threads::executor::as_completed;
//! use towline_threads::{ThreadPoolExecutor, sync::Event};
//!
//! let pool = ThreadPoolExecutor::new(2)?;
//! let go = Arc::new(Event::new());
//! let waits = Arc::clone(&go);
//! let slow = move || {
//!     waits.wait();
//!     "slow"
//! };
//! let futures = [pool.submit(slow).unwrap(), pool.submit(|| "quick").unwrap()];
//! let mut completed = as_completed(futures);
//! assert_eq!(completed.next().unwrap().result().unwrap(), "quick");
//! go.set();
//! assert_eq!(completed.next().unwrap().result().unwrap(), "slow");
//! # Ok::<(), towline_threads::executor::ExecutorError>(())
//! ```
//!
//! ## What Python does not have
//!
//! | here | what it is |
//! |---|---|
//! | [`CancelToken`] | tells many threads to stop, and why; reasons only escalate, and tokens form a tree |
//! | [`Supervisor`], [`Supervised`] | N workers, a step at a fixed interval, an orderly shutdown on an interrupt |
//! | [`deadlock`] | who waits for whom when a wait would never end |
//!
//! ```
//! use std::io;
//! use towline_threads::supervisor::{Crew, Outcome, Supervised, Supervisor};
//!
//! struct Steps(u32);
//!
//! impl Supervised for Steps {
//!     fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
//!         (0..crew.threads_number()).try_for_each(|n| crew.spawn(format!("worker-{n}"), || { /* work */ }))
//!     }
//!
//!     fn run_step(&mut self) {
//!         self.0 += 1; // save the progress, say
//!     }
//! }
//!
//! let mut steps = Steps(0);
//! assert_eq!(Supervisor::new(2).run(&mut steps).unwrap(), Outcome::Finished);
//! assert!(steps.0 >= 1); // the last step comes after the last thread
//! ```
//!
//! # Where it differs from CPython
//!
//! Each difference is deliberate and comes with its reason. Everything else is meant to behave as
//! in CPython 3.14. There is no global lock: threads run in parallel.
//!
//! ## Types and errors
//!
//! - **Only a lock's guard releases it**, once, and in its own thread unless it is [sent to
//!   another](sync::LockGuard::into_send) (CPython: any thread can release a `Lock`), because types
//!   rule out mistakes that a run-time check can only report. For the same reason, a negative
//!   semaphore, barrier or timeout does not compile.
//! - **The call that creates a thread starts it**, so no thread can be started twice or joined
//!   before its start. (A [`Timer`] has a separate `start`, and errors for both mistakes.)
//! - **A result can be taken once**: [`join`](thread::JoinHandle::join) and
//!   [`result`](Future::result) consume their handle (CPython hands the same object to every
//!   caller), because a value has one owner. After a timeout the caller can try again,
//!   [`exception`](Future::exception) leaves the result in place, and
//!   [`shared`](Future::shared) makes it one for several readers.
//! - **A panic takes the place of an exception**; the standard library's panic hook sees it first.
//!   An `Err` that a task returns is an ordinary value, because the caller expects it, so
//!   [`FirstException`](executor::ReturnWhen::FirstException) waits for a panic or a broken pool.
//! - **A thread's panic is the result of its join** (CPython: `join` does not report it), so it
//!   cannot get lost.
//! - **A refused value comes back**: the item of a failed [`put`](Queue::put), the closure of a
//!   failed [`submit`](ThreadPoolExecutor::submit), because the caller has no other copy.
//! - **Only a pool creates futures and sets their results**, so every future completes, exactly
//!   once.
//! - **A timeout beyond the clock's range means no timeout** (CPython: `OverflowError`), because
//!   that is what the caller meant.
//!
//! ## Threads
//!
//! - **[`thread::run`](thread::run()) joins the non-daemon threads**, not the end of the process,
//!   because no code of this crate runs after a Rust `main`.
//! - **A daemon flag is not inherited from a thread of another crate**, because nobody chose it.
//! - **[`thread::dump`](thread::dump()) names what each thread waits for and who holds it**; a
//!   stack trace, as `faulthandler` prints it, shows neither.
//!
//! ## Deadlocks
//!
//! - **A wait that closes a ring of waits is an error** ([`deadlock`]). This covers waits without a
//!   time limit for a `Lock`, an `RLock`, a task's result and the end of a thread. A named mistake
//!   can be fixed; a program that hangs says nothing.
//! - **A lock belongs to the task that took it**, not to its thread: a task that runs on top of the
//!   one that awaits it cannot enter that one's `RLock` (the attempt is reported as a deadlock),
//!   because it would find the data half changed.
//!
//! ## Locks and other synchronization
//!
//! - **A [`Condition`](sync::Condition) has no lock of its own**, and notifying does not require
//!   one (CPython: an error), because its queue has an internal lock, and a thread woken while the
//!   notifier holds the caller's lock would only block on that lock.
//! - **A [`Barrier`](sync::Barrier)'s action runs without the barrier's lock**, so `abort` and
//!   timeouts do not wait for it. **A timeout also covers the time in which the previous cycle
//!   leaves** (CPython: no limit there), because it is the caller's time.
//! - **Dropping the guard of a [`BoundedSemaphore`](sync::BoundedSemaphore) whose permit was
//!   already released by hand changes nothing**, because a destructor cannot fail; a `release` too
//!   many is an error.
//! - **`release(0)` does nothing** (CPython: `ValueError`), because a computed number may be 0.
//!
//! ## Queues
//!
//! - **A [`PriorityQueue`] returns equal items in insertion order** (CPython promises no order), so
//!   no item starves and callers need not add a counter.
//! - **A capacity of 0 panics** (CPython: no limit), because a limit computed as 0 should not
//!   silently vanish; [`Queue::new`] has no limit.
//! - **A queue's capacity is fixed** (CPython: `maxsize` can be assigned), because those who wait
//!   were told another one.
//! - **[`get_many`](Queue::get_many) takes all available items at once**, because a batch then
//!   costs one lock; **[`join_timeout`](Queue::join_timeout) gives up**, because a program's
//!   shutdown must not wait for a stuck worker.
//!
//! ## Pools
//!
//! - **A task may wait for tasks of its own pool** (CPython: a documented deadlock), because a worker
//!   that would only wait can run the task itself.
//! - **It runs the awaited task only**, because an unrelated task could need a lock that the waiter
//!   holds.
//! - **A wait with a timeout never runs a task**, because that could take longer.
//! - **Once it has used 512 KiB of its stack, a worker hands the awaited task to another thread**,
//!   because a chain of waits may be deeper than a stack. The worker waits meanwhile, so no more
//!   tasks run at a time than there are workers.
//! - **A cancelled task is done for everyone at once**, even if a shutdown cancels it, because in
//!   CPython a wait for it can hang ([92001](https://github.com/python/cpython/issues/92001),
//!   [109934](https://github.com/python/cpython/issues/109934)).
//! - **[`map`](ThreadPoolExecutor::map) continues after an error**, which takes the place of its
//!   item's result (CPython: the iteration ends), because one bad item says nothing about the
//!   others.
//! - **Dropping a [`Map`](executor::Map) cancels what has not started** (CPython: only if its
//!   generator is closed), because nobody can read those results.
//! - **[`submit`](ThreadPoolExecutor::submit) does not wait for its new thread to run** (CPython
//!   waits until it has started), because the task waits for the thread, not the caller.
//! - **A callback gets the status, or with [`on_done`](Future::on_done) the value** (CPython: the
//!   future), because a value has one owner; it runs outside all locks, and its panic is reported
//!   and goes no further.
//! - **[`buffersize`](executor::MapOptions::buffersize) is exactly the number of outstanding
//!   items** (CPython 3.14: one more), because it is a limit.
//! - **[`wait`](executor::wait()) returns lists in the order of its arguments** (CPython: sets),
//!   because callers can rely on a known order; a task given twice appears once.
//! - **A shutdown by one of the pool's own workers does not wait** (CPython: `RuntimeError`), because
//!   it would wait for itself.
//! - **A pool that can start no thread at all breaks**, and its futures say why (CPython: `submit`
//!   raises and the task stays queued), because nothing would ever run them.
//! - **Workers are daemons, and dropping a pool waits for all submitted tasks** (CPython: dropping
//!   does not wait, the end of the program does), because a pool has an owner;
//!   [`detach`](ThreadPoolExecutor::detach) lets it go. `thread::run` does not wait for them.
//! - **[`scope`](ThreadPoolExecutor::scope) takes closures that borrow**, because not all data is
//!   worth an `Arc`; a panic is the error of its task, where [`std::thread::scope`] panics.
//! - **[`Future`] is a [`std::future::Future`] too**, so async code can await it without blocking a
//!   thread.
//!
//! # Features
//!
//! - `signals` (default, Unix only): `supervisor::signals`, which turns SIGINT, SIGTERM and SIGHUP
//!   into interrupts. Only programs need it; nothing in this crate installs a signal handler by
//!   itself. Without it `signal-hook` is no dependency of this crate.
//!
//! There are no other features. `--cfg loom` and `--cfg shuttle` replace locks and atomics with
//! those of the tools of the same name, for this crate's own tests.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod cancel;
pub mod deadlock;
pub mod executor;
pub mod queue;
pub mod supervisor;
pub mod sync;
pub mod thread;
pub mod timer;

mod agent;
mod agent_id;
mod deadline;
mod facade;
mod holder;
mod naming;
mod panic;
mod registry;
mod waiting;

pub use cancel::{CancelReason, CancelToken};
pub use executor::{Future, ThreadPoolExecutor};
pub use queue::{LifoQueue, PriorityQueue, Queue};
pub use supervisor::{Interrupt, Supervised, Supervisor};
pub use timer::Timer;
