//! The toolkit under load: more threads than processors, on one processor, with seeded pauses.
//!
//! `TOWLINE_STRESS_SEED=n` replays a run; `TOWLINE_STRESS_ROUNDS=n` makes it longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use towline_testkit::{number, with_watchdog};
use towline_threads::executor::{ReturnWhen, TaskError, as_completed, wait};
use towline_threads::sync::{Barrier, BoundedSemaphore, Condition, Lock};
use towline_threads::{Queue, ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(120);

/// Runs `f` with some seeds; a failure says which.
fn with_seeds(f: impl Fn(u64) + Send + Sync + 'static) {
    let rounds = number("TOWLINE_STRESS_ROUNDS").unwrap_or(20);
    let first = number("TOWLINE_STRESS_SEED").unwrap_or(1);
    with_watchdog(LIMIT, move || {
        for seed in first..first + rounds {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(seed)));
            if let Err(payload) = outcome {
                let why = payload.downcast_ref::<String>().cloned().unwrap_or_default();
                panic!("{why} (replay: TOWLINE_STRESS_SEED={seed} TOWLINE_STRESS_ROUNDS=1)");
            }
        }
    });
}

/// Gives the processor away now and then, as the seed says.
fn jitter(random: &mut fastrand::Rng) {
    for _ in 0..random.u8(..4) {
        std::thread::yield_now();
    }
}

#[test]
fn pools_with_random_cancellations_and_shutdowns_end_every_future() {
    with_seeds(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let pool = Arc::new(ThreadPoolExecutor::new(random.usize(1..9)).unwrap());
        let ran = Arc::new(AtomicU64::new(0));
        let futures: Vec<_> = (0..500)
            .map(|_| {
                let (ran, mut own) = (Arc::clone(&ran), random.fork());
                let future = pool
                    .submit(move || {
                        jitter(&mut own);
                        ran.fetch_add(1, Ordering::Relaxed);
                        assert!(own.u8(..) > 2, "some panic");
                    })
                    .unwrap();
                if random.u8(..) < 32 {
                    future.cancel();
                }
                future
            })
            .collect();
        let (cancel, other) = (random.bool(), Arc::clone(&pool));
        let ends = thread::spawn(move || other.shutdown(true, cancel));
        let waited = wait(futures, ReturnWhen::AllCompleted, None);
        assert!(waited.not_done.is_empty());
        let mut counted = 0;
        for future in waited.done {
            match future.result() {
                Ok(()) | Err(TaskError::Panicked(_)) => counted += 1,
                Err(TaskError::Cancelled) => {}
                Err(other) => panic!("{other}"),
            }
        }
        ends.join().unwrap();
        assert_eq!(counted, ran.load(Ordering::Relaxed));
    });
}

#[test]
fn nested_tasks_under_load_all_come_back() {
    fn tree(pool: &Arc<ThreadPoolExecutor>, depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let children: Vec<_> = (0..3)
            .map(|_| {
                let inner = Arc::clone(pool);
                pool.submit(move || tree(&inner, depth - 1)).unwrap()
            })
            .collect();
        children.into_iter().map(|child| child.result().unwrap()).sum()
    }
    with_seeds(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let pool = Arc::new(ThreadPoolExecutor::new(random.usize(1..6)).unwrap());
        let roots: Vec<_> = (0..4)
            .map(|_| {
                let inner = Arc::clone(&pool);
                pool.submit(move || tree(&inner, 5)).unwrap()
            })
            .collect();
        for root in as_completed(roots) {
            assert_eq!(root.result().unwrap(), 243);
        }
    });
}

#[test]
fn queues_with_more_threads_than_processors_lose_nothing() {
    with_seeds(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let queue = if random.bool() { Queue::bounded(random.usize(1..5)) } else { Queue::new() };
        let sum = Arc::new(AtomicU64::new(0));
        let consumers: Vec<_> = (0..8)
            .map(|_| {
                let (queue, sum, mut own) = (queue.clone(), Arc::clone(&sum), random.fork());
                thread::spawn(move || {
                    while let Ok(item) = queue.get() {
                        jitter(&mut own);
                        sum.fetch_add(item, Ordering::Relaxed);
                        queue.task_done().unwrap();
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..8_u64)
            .map(|n| {
                let (queue, mut own) = (queue.clone(), random.fork());
                thread::spawn(move || {
                    for item in 0..200 {
                        jitter(&mut own);
                        queue.put(n * 200 + item).unwrap();
                    }
                })
            })
            .collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        queue.join();
        assert_eq!(sum.load(Ordering::Relaxed), 1600 * 1599 / 2);
        queue.shutdown();
        consumers.into_iter().for_each(|consumer| consumer.join().unwrap());
    });
}

#[test]
fn barriers_conditions_and_semaphores_keep_their_counts() {
    with_seeds(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let parties = random.usize(2..10);
        let barrier = Arc::new(Barrier::new(parties).unwrap());
        let inside = Arc::new(BoundedSemaphore::new(2));
        let now = Arc::new(AtomicU64::new(0));
        let total = Arc::new((Lock::new(0), Condition::new()));
        let threads: Vec<_> = (0..parties)
            .map(|_| {
                let (barrier, inside, now, total) =
                    (Arc::clone(&barrier), Arc::clone(&inside), Arc::clone(&now), Arc::clone(&total));
                let mut own = random.fork();
                thread::spawn(move || {
                    for round in 1..=10 {
                        {
                            let _permit = inside.acquire();
                            assert!(now.fetch_add(1, Ordering::SeqCst) < 2);
                            jitter(&mut own);
                            now.fetch_sub(1, Ordering::SeqCst);
                        }
                        let mut count = total.0.acquire().unwrap();
                        *count += 1;
                        total.1.notify_all();
                        total.1.wait_for(&mut count, |count| *count >= round * parties);
                        drop(count);
                        jitter(&mut own);
                        assert!(barrier.wait().unwrap() < parties);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*total.0.acquire().unwrap(), 10 * parties);
        assert_eq!(inside.available(), 2);
    });
}

/// The same tests once more with every thread on one processor, where a spin that does not yield
/// and a wake-up that is lost both show.
#[cfg(target_os = "linux")]
#[test]
fn all_of_it_on_one_processor() {
    const INSIDE: &str = "TOWLINE_STRESS_ON_ONE_PROCESSOR";
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let status = std::process::Command::new("taskset")
        .args(["--cpu-list", "0"])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .expect("taskset, from util-linux, is there");
    assert!(status.success(), "{status}");
}
