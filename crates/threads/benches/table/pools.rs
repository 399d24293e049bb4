//! The pools under test, behind one face.
//!
//! Every one gives a handle for each task and the task's result for each handle. A pool that has no
//! handle of its own gets a channel for one value (`oneshot`).

use std::thread;
use std::time::Duration;

use towline_threads::{Future, ThreadPoolExecutor};

use crate::case::{Case, OURS};
use crate::meter::Figures;

/// A pool under test.
pub(crate) trait Pool {
    const NAME: &'static str;

    /// What a task's result is fetched with.
    type Handle<T: Send + 'static>;

    fn start(workers: usize) -> Self;

    fn submit<F, T>(&self, task: F) -> Self::Handle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;

    /// Waits for the result.
    fn result<T: Send + 'static>(&self, handle: Self::Handle<T>) -> T;

    /// Waits for all results, in the order of the handles, and adds them up.
    fn sum(&self, handles: Vec<Self::Handle<u64>>) -> u64 {
        handles.into_iter().map(|handle| self.result(handle)).sum()
    }
}

/// Measures a pool: how much work, how many workers.
pub(crate) type Measure = fn(u64, usize) -> Figures;

/// A case for each pool, ours first. `$measure` is a function over a [`Pool`], which is in scope.
macro_rules! pool_cases {
    ($measure:ident, $size:expr, $workers:expr, $setting:expr) => {{
        use $crate::pools::{Crossbeam, Measure, Ours, Rayon, RustyPool, Threadpool, TokioBlocking, TokioSpawn};
        let pools = [
            (Ours::NAME, $measure::<Ours> as Measure),
            (Crossbeam::NAME, $measure::<Crossbeam> as Measure),
            (Threadpool::NAME, $measure::<Threadpool> as Measure),
            (RustyPool::NAME, $measure::<RustyPool> as Measure),
            (Rayon::NAME, $measure::<Rayon> as Measure),
            (TokioSpawn::NAME, $measure::<TokioSpawn> as Measure),
            (TokioBlocking::NAME, $measure::<TokioBlocking> as Measure),
        ];
        $crate::pools::cases_of(pools, $size, $workers, $setting)
    }};
}
pub(crate) use pool_cases;

pub(crate) fn cases_of<const N: usize>(
    pools: [(&'static str, Measure); N],
    size: u64,
    workers: usize,
    setting: &str,
) -> Vec<Case> {
    pools.into_iter().map(|(name, measure)| Case::new(name, setting, move || measure(size, workers))).collect()
}

/// `4 workers`.
pub(crate) fn workers_text(workers: usize) -> String {
    if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") }
}

pub(crate) struct Ours(ThreadPoolExecutor);

impl Pool for Ours {
    const NAME: &'static str = OURS;

    type Handle<T: Send + 'static> = Future<T>;

    fn start(workers: usize) -> Self {
        Self(ThreadPoolExecutor::new(workers).expect("there is at least one worker"))
    }

    fn submit<F, T>(&self, task: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.0.submit(task).expect("the pool is open")
    }

    fn result<T: Send + 'static>(&self, handle: Future<T>) -> T {
        handle.result().expect("the task has a result")
    }
}

/// What one writes without a pool: threads that take boxed closures out of a channel.
pub(crate) struct Crossbeam {
    jobs: crossbeam_channel::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Pool for Crossbeam {
    const NAME: &'static str = "crossbeam-channel + oneshot";

    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn start(workers: usize) -> Self {
        let (jobs, incoming) = crossbeam_channel::unbounded::<Job>();
        for _ in 0..workers {
            let incoming = incoming.clone();
            thread::spawn(move || {
                for job in incoming {
                    job();
                }
            });
        }
        Self { jobs }
    }

    fn submit<F, T>(&self, task: F) -> oneshot::Receiver<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, receiver) = with_answer(task);
        if self.jobs.send(Box::new(job)).is_err() {
            unreachable!("the workers listen as long as there is a sender");
        }
        receiver
    }

    fn result<T: Send + 'static>(&self, handle: oneshot::Receiver<T>) -> T {
        handle.recv().expect("the task answers")
    }
}

pub(crate) struct Threadpool(threadpool::ThreadPool);

impl Pool for Threadpool {
    const NAME: &'static str = "threadpool + oneshot";

    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn start(workers: usize) -> Self {
        Self(threadpool::ThreadPool::new(workers))
    }

    fn submit<F, T>(&self, task: F) -> oneshot::Receiver<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, receiver) = with_answer(task);
        self.0.execute(job);
        receiver
    }

    fn result<T: Send + 'static>(&self, handle: oneshot::Receiver<T>) -> T {
        handle.recv().expect("the task answers")
    }
}

pub(crate) struct RustyPool(rusty_pool::ThreadPool);

impl Pool for RustyPool {
    const NAME: &'static str = "rusty_pool";

    type Handle<T: Send + 'static> = rusty_pool::JoinHandle<T>;

    fn start(workers: usize) -> Self {
        let pool = rusty_pool::ThreadPool::new(workers, workers, Duration::from_secs(60));
        pool.start_core_threads();
        Self(pool)
    }

    fn submit<F, T>(&self, task: F) -> rusty_pool::JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.0.evaluate(task)
    }

    fn result<T: Send + 'static>(&self, handle: rusty_pool::JoinHandle<T>) -> T {
        handle.await_complete()
    }
}

pub(crate) struct Rayon(rayon::ThreadPool);

impl Pool for Rayon {
    const NAME: &'static str = "rayon spawn_fifo + oneshot";

    type Handle<T: Send + 'static> = oneshot::Receiver<T>;

    fn start(workers: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
        Self(pool.expect("threads can be started"))
    }

    fn submit<F, T>(&self, task: F) -> oneshot::Receiver<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, receiver) = with_answer(task);
        self.0.spawn_fifo(job);
        receiver
    }

    fn result<T: Send + 'static>(&self, handle: oneshot::Receiver<T>) -> T {
        handle.recv().expect("the task answers")
    }
}

/// Tasks as futures on the runtime's workers.
pub(crate) struct TokioSpawn(tokio::runtime::Runtime);

impl Pool for TokioSpawn {
    const NAME: &'static str = "tokio spawn";

    type Handle<T: Send + 'static> = tokio::task::JoinHandle<T>;

    fn start(workers: usize) -> Self {
        Self(runtime(workers, 1))
    }

    fn submit<F, T>(&self, task: F) -> tokio::task::JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.0.spawn(async move { task() })
    }

    fn result<T: Send + 'static>(&self, handle: tokio::task::JoinHandle<T>) -> T {
        self.0.block_on(handle).expect("the task has a result")
    }

    fn sum(&self, handles: Vec<tokio::task::JoinHandle<u64>>) -> u64 {
        self.0.block_on(sum_of(handles))
    }
}

/// Tasks as closures on the runtime's threads for what blocks.
pub(crate) struct TokioBlocking(tokio::runtime::Runtime);

impl Pool for TokioBlocking {
    const NAME: &'static str = "tokio spawn_blocking";

    type Handle<T: Send + 'static> = tokio::task::JoinHandle<T>;

    fn start(workers: usize) -> Self {
        Self(runtime(1, workers))
    }

    fn submit<F, T>(&self, task: F) -> tokio::task::JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.0.spawn_blocking(task)
    }

    fn result<T: Send + 'static>(&self, handle: tokio::task::JoinHandle<T>) -> T {
        self.0.block_on(handle).expect("the task has a result")
    }

    fn sum(&self, handles: Vec<tokio::task::JoinHandle<u64>>) -> u64 {
        self.0.block_on(sum_of(handles))
    }
}

fn runtime(workers: usize, blocking: usize) -> tokio::runtime::Runtime {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).max_blocking_threads(blocking).build();
    runtime.expect("threads can be started")
}

/// Enters the runtime once, not once for each handle.
async fn sum_of(handles: Vec<tokio::task::JoinHandle<u64>>) -> u64 {
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.expect("the task has a result");
    }
    sum
}

/// A task that sends its result, and the end where it arrives.
fn with_answer<F, T>(task: F) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        // Whoever does not want the result has dropped the receiver.
        let _ = sender.send(task());
    };
    (job, receiver)
}
