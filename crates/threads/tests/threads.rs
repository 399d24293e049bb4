//! Starting, listing and joining threads.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::Event;
use towline_threads::thread::{self, JoinError, JoinHandle};

const LIMIT: Duration = Duration::from_secs(60);

/// A thread that runs until the event is set.
fn waiting(name: &str) -> (JoinHandle<u8>, Arc<Event>) {
    let go = Arc::new(Event::new());
    let waits = Arc::clone(&go);
    let handle = thread::Builder::new()
        .name(name)
        .spawn(move || {
            waits.wait();
            7
        })
        .unwrap();
    (handle, go)
}

#[test]
fn a_join_that_timed_out_can_be_asked_for_again() {
    with_watchdog(LIMIT, || {
        let (mut handle, go) = waiting("asked-twice");
        let early = handle.join_timeout(Duration::from_millis(5));
        assert!(matches!(early, Err(JoinError::Timeout)));
        assert!(handle.is_alive());
        go.set();
        assert_eq!(handle.join_timeout(LIMIT).unwrap(), 7);
        assert!(!handle.is_alive());
        let again = handle.join_timeout(Duration::ZERO);
        assert!(matches!(again, Err(JoinError::Taken)));
        assert!(matches!(handle.join(), Err(JoinError::Taken)));
    });
}

#[test]
fn a_timeout_too_long_for_the_clock_waits_to_the_end() {
    with_watchdog(LIMIT, || {
        let mut handle = thread::spawn(|| 1);
        assert_eq!(handle.join_timeout(Duration::MAX).unwrap(), 1);
    });
}

#[test]
fn a_panic_is_the_result_with_its_payload() {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);
    with_watchdog(LIMIT, || {
        let handle = thread::spawn(|| -> u8 { std::panic::panic_any(Payload(9)) });
        match handle.join() {
            Err(JoinError::Panicked(payload)) => {
                assert_eq!(payload.downcast_ref::<Payload>(), Some(&Payload(9)));
            }
            other => panic!("{other:?}"),
        }
        let error = thread::spawn(|| -> u8 { panic!("number {}", 5) }).join().unwrap_err();
        assert_eq!(error.panic_message(), Some("number 5"));
        assert_eq!(error.to_string(), "the thread panicked: number 5");
    });
}

#[test]
fn a_thread_that_joins_itself_gets_an_error() {
    with_watchdog(LIMIT, || {
        let (gives, takes) = mpsc::channel::<JoinHandle<bool>>();
        let (tells, hears) = mpsc::channel();
        let handle = thread::spawn(move || {
            let own = takes.recv().unwrap();
            tells.send(matches!(own.join(), Err(JoinError::Itself))).unwrap();
            true
        });
        gives.send(handle).unwrap();
        assert_eq!(hears.recv(), Ok(true));
    });
}

#[test]
fn a_thread_is_listed_while_it_runs_and_not_after() {
    with_watchdog(LIMIT, || {
        let (handle, go) = waiting("listed-one");
        let info = handle.info();
        let listed = |id: u64| thread::enumerate().iter().any(|thread| thread.id() == id);
        assert!(listed(info.id()));
        assert!(listed(thread::main_thread().id()));
        assert!(thread::active_count() >= 2);
        go.set();
        handle.join().unwrap();
        assert!(!listed(info.id()));
        assert!(!info.is_alive());
        assert_eq!(info.name(), "listed-one");
    });
}

#[test]
fn a_thread_that_panics_leaves_the_list() {
    with_watchdog(LIMIT, || {
        let handle = thread::spawn(|| -> u8 { panic!("gone") });
        let id = handle.info().id();
        assert!(handle.join().is_err());
        assert!(thread::enumerate().iter().all(|thread| thread.id() != id));
    });
}

#[test]
fn a_thread_knows_its_own_name_and_number() {
    with_watchdog(LIMIT, || {
        let handle = thread::Builder::new().name("knows").spawn(thread::current).unwrap();
        let outside = handle.info();
        let inside = handle.join().unwrap();
        assert_eq!(inside.id(), outside.id());
        assert_eq!(inside.name(), "knows");
    });
}

#[test]
fn a_foreign_thread_is_listed_once_it_asks_and_leaves_when_it_ends() {
    with_watchdog(LIMIT, || {
        let info = std::thread::spawn(|| {
            let info = thread::current();
            assert!(thread::enumerate().iter().any(|t| t.id() == info.id()));
            info
        })
        .join()
        .unwrap();
        assert!(info.daemon());
        assert!(thread::enumerate().iter().all(|t| t.id() != info.id()));
    });
}

#[test]
fn a_child_has_the_daemon_flag_of_its_parent_unless_it_asks_for_another() {
    with_watchdog(LIMIT, || {
        for flag in [true, false] {
            let parent = thread::Builder::new().daemon(flag).spawn(move || {
                let child = thread::spawn(|| thread::current().daemon());
                let other = thread::Builder::new().daemon(!flag).spawn(|| thread::current().daemon()).unwrap();
                (child.join().unwrap(), other.join().unwrap())
            });
            assert_eq!(parent.unwrap().join().unwrap(), (flag, !flag));
        }
        // This thread was not started by the crate: its flag is not passed on.
        assert!(!thread::spawn(|| thread::current().daemon()).join().unwrap());
    });
}

#[test]
fn main_has_a_name_and_the_first_number() {
    assert_eq!(thread::main_thread().name(), "MainThread");
    assert_eq!(thread::main_thread().id(), 1);
    assert!(thread::main_thread().is_alive());
}
