//! `Future` is a `std::future::Future`, for any runtime; here for one of a few lines and for tokio.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::ThreadPoolExecutor;
use towline_threads::executor::TaskError;
use towline_threads::sync::Event;

const LIMIT: Duration = Duration::from_secs(60);

/// Wakes the thread that polls.
struct Bell(Event);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.set();
    }
}

fn block_on<F: Future>(future: F) -> (F::Output, usize) {
    let bell = Arc::new(Bell(Event::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    for polls in 1.. {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, polls);
        }
        bell.0.wait();
        bell.0.clear();
    }
    unreachable!("it is ready at last")
}

#[test]
fn a_future_that_is_polled_before_its_task_is_done_wakes_its_async_task() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let mut future = pool
            .submit(move || {
                waits.wait();
                42
            })
            .unwrap();
        let bell = Arc::new(Bell(Event::new()));
        let waker = Waker::from(Arc::clone(&bell));
        let early = pin!(&mut future).as_mut().poll(&mut Context::from_waker(&waker));
        assert!(early.is_pending() && !bell.0.is_set());
        go.set();
        bell.0.wait();
        assert_eq!(block_on(future).0.unwrap(), 42);
    });
}

#[test]
fn a_panic_and_a_cancellation_come_through_await() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let bad = pool.submit(|| -> u8 { panic!("no luck") }).unwrap();
        assert_eq!(block_on(bad).0.unwrap_err().panic_message(), Some("no luck"));
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let busy = pool.submit(move || waits.wait()).unwrap();
        let pending = pool.submit(|| ()).unwrap();
        assert!(pending.cancel());
        assert!(matches!(block_on(pending).0, Err(TaskError::Cancelled)));
        go.set();
        busy.result().unwrap();
    });
}

#[cfg(not(any(loom, shuttle)))]
#[test]
fn tokio_awaits_a_thousand_of_them() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let futures: Vec<_> = (0..1000_u32).map(|n| pool.submit(move || n).unwrap()).collect();
        let sum = runtime.block_on(async {
            let mut sum = 0;
            for future in futures {
                sum += future.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 499_500);
    });
}
