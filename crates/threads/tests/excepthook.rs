//! The hook for threads that end by a panic. It belongs to the process: one test at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::ThreadPoolExecutor;
use towline_threads::executor::TaskError;
use towline_threads::thread::{self, Builder, JoinError, JoinHandle};
use towline_threads::timer::Timer;

const LIMIT: Duration = Duration::from_secs(60);

/// Whose turn it is; takes the hook away at the end.
struct Turn {
    _guard: MutexGuard<'static, ()>,
}

fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    Turn { _guard: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
}

impl Drop for Turn {
    fn drop(&mut self) {
        thread::clear_excepthook();
    }
}

/// A thread that ends by a panic.
fn panicking(message: &'static str) -> JoinHandle<()> {
    thread::spawn(move || panic!("{message}"))
}

#[test]
fn the_hook_is_told_in_the_thread_that_panicked_and_before_its_join() {
    with_watchdog(LIMIT, || {
        let _turn = turn();
        let (tells, hears) = mpsc::channel();
        thread::set_excepthook(move |excepted| {
            let own = thread::current();
            assert!(own.is_alive());
            let said = (excepted.thread().name().to_owned(), excepted.message().to_owned());
            tells.send((said, own.id() == excepted.thread().id())).unwrap();
        });
        let worker = Builder::new().name("worker-3").spawn::<(), _>(|| panic!("gone: {}", 7)).unwrap();
        // Nobody has to join it to be told, but after the join it has been told.
        assert!(matches!(worker.join(), Err(JoinError::Panicked(_))));
        let told = (("worker-3".to_owned(), "gone: 7".to_owned()), true);
        assert_eq!(hears.try_recv(), Ok(told));
        assert!(thread::spawn(|| ()).join().is_ok());
        assert!(hears.try_recv().is_err(), "no panic, no call");
    });
}

#[test]
fn the_hook_gets_a_payload_that_is_not_text() {
    with_watchdog(LIMIT, || {
        let _turn = turn();
        let (tells, hears) = mpsc::channel();
        thread::set_excepthook(move |excepted| {
            tells.send((excepted.payload().downcast_ref::<u64>().copied(), excepted.message().to_owned())).unwrap();
        });
        let worker = thread::spawn::<(), _>(|| std::panic::panic_any(12_u64));
        match worker.join() {
            Err(JoinError::Panicked(payload)) => assert_eq!(payload.downcast_ref::<u64>(), Some(&12)),
            other => panic!("{other:?}"),
        }
        assert_eq!(hears.try_recv().unwrap().0, Some(12));
    });
}

#[test]
fn a_hook_that_panics_is_survived() {
    with_watchdog(LIMIT, || {
        let _turn = turn();
        thread::set_excepthook(|_| panic!("the hook is no better"));
        let error = panicking("the thread").join().unwrap_err();
        assert_eq!(error.panic_message(), Some("the thread"));
        // And the thread has left the list.
        let worker = panicking("another");
        let info = worker.info();
        assert!(worker.join().is_err());
        assert!(!info.is_alive());
    });
}

#[test]
fn a_hook_that_has_been_replaced_or_cleared_is_not_called() {
    with_watchdog(LIMIT, || {
        let _turn = turn();
        let kept = Arc::new(());
        let keeps = Arc::clone(&kept);
        thread::set_excepthook(move |_| unreachable!("replaced, with {keeps:?}"));
        let (tells, hears) = mpsc::channel();
        thread::set_excepthook(move |_| tells.send(()).unwrap());
        assert_eq!(Arc::strong_count(&kept), 1, "the old hook is dropped");
        assert!(panicking("one").join().is_err());
        assert_eq!(hears.recv(), Ok(()));
        thread::clear_excepthook();
        assert!(panicking("two").join().is_err());
        assert!(hears.recv().is_err(), "cleared and dropped");
    });
}

#[test]
fn a_hook_may_change_the_hook() {
    with_watchdog(LIMIT, || {
        let _turn = turn();
        thread::set_excepthook(|_| thread::clear_excepthook());
        assert!(panicking("the last that is told").join().is_err());
    });
}

#[test]
fn a_timers_panic_is_told_and_a_tasks_is_not() {
    with_watchdog(LIMIT, || {
        let _turn = turn();
        let (tells, hears) = mpsc::channel();
        thread::set_excepthook(move |excepted| tells.send(excepted.message().to_owned()).unwrap());
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let task = pool.submit(|| -> u8 { panic!("of a task") }).unwrap();
        assert!(matches!(task.result(), Err(TaskError::Panicked(_))));
        pool.shutdown(true, false);
        let timer = Timer::new(Duration::ZERO, || panic!("of a timer"));
        timer.start().unwrap();
        assert!(timer.join().is_err());
        assert_eq!(hears.try_recv(), Ok("of a timer".to_owned()));
        assert!(hears.try_recv().is_err());
    });
}
