//! Cancel tokens: escalation, children, waits and callbacks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::Event;
use towline_threads::{CancelReason, CancelToken, thread};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_reason_only_escalates() {
    let token = CancelToken::new();
    assert_eq!(token.reason(), None);
    token.cancel(CancelReason::Interrupt);
    token.cancel(CancelReason::Stop);
    assert_eq!(token.reason(), Some(CancelReason::Interrupt));
    token.cancel(CancelReason::Terminate);
    assert_eq!(token.reason(), Some(CancelReason::Terminate));
}

#[test]
fn a_parent_cancels_its_children_and_a_child_leaves_its_parent_alone() {
    let parent = CancelToken::new();
    let (one, other) = (parent.child(), parent.child());
    let grandchild = one.child();
    one.cancel(CancelReason::Failed);
    assert_eq!(grandchild.reason(), Some(CancelReason::Failed));
    assert!(!parent.is_cancelled());
    assert!(!other.is_cancelled());
    parent.cancel(CancelReason::Stop);
    assert_eq!(other.reason(), Some(CancelReason::Stop));
    assert_eq!(one.reason(), Some(CancelReason::Failed));
    assert!(parent.child().is_cancelled(), "born cancelled");
}

#[test]
fn a_waiter_is_woken_by_a_cancel_above_it() {
    with_watchdog(LIMIT, || {
        let parent = CancelToken::new();
        let child = parent.child();
        let ready = Arc::new(Event::new());
        let says = Arc::clone(&ready);
        let waiter = thread::spawn(move || {
            says.set();
            child.wait()
        });
        ready.wait();
        parent.cancel(CancelReason::Interrupt);
        assert_eq!(waiter.join().unwrap(), CancelReason::Interrupt);
    });
}

#[test]
fn a_callback_runs_once_and_at_once_if_it_comes_late() {
    let token = CancelToken::new();
    let (tells, hears) = mpsc::channel();
    let late = tells.clone();
    let _first = token.on_cancel(move |reason| tells.send(("first", reason)).unwrap());
    token.cancel(CancelReason::Stop);
    token.cancel(CancelReason::Terminate);
    let _late = token.on_cancel(move |reason| late.send(("late", reason)).unwrap());
    let heard: Vec<_> = hears.try_iter().collect();
    assert_eq!(heard, [("first", CancelReason::Stop), ("late", CancelReason::Terminate)]);
}

#[test]
fn a_registration_that_is_dropped_is_not_called_and_a_detached_one_is() {
    let token = CancelToken::new();
    let (tells, hears) = mpsc::channel();
    let kept = tells.clone();
    drop(token.on_cancel(move |_| tells.send("dropped").unwrap()));
    token.on_cancel(move |_| kept.send("detached").unwrap()).detach();
    token.cancel(CancelReason::Stop);
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), ["detached"]);
}

#[test]
fn a_callback_may_use_its_token() {
    with_watchdog(LIMIT, || {
        let token = CancelToken::new();
        let (own, (tells, hears)) = (token.clone(), mpsc::channel());
        token
            .on_cancel(move |_| {
                // Would wait for ever if the lock were held.
                own.cancel(CancelReason::Terminate);
                let child = own.child();
                tells.send(child.reason()).unwrap();
            })
            .detach();
        token.cancel(CancelReason::Stop);
        assert_eq!(hears.recv(), Ok(Some(CancelReason::Terminate)));
    });
}

#[test]
fn a_callback_that_panics_does_not_stop_the_others() {
    let token = CancelToken::new();
    let (tells, hears) = mpsc::channel();
    token.on_cancel(|_| panic!("bad callback")).detach();
    token.on_cancel(move |reason| tells.send(reason).unwrap()).detach();
    let outcome = catch_unwind(AssertUnwindSafe(|| token.cancel(CancelReason::Failed)));
    assert!(outcome.is_err(), "the panic is passed on");
    assert_eq!(hears.try_recv(), Ok(CancelReason::Failed));
}

#[test]
fn whichever_of_two_calls_returns_first_everything_below_is_cancelled_by_then() {
    for round in 0..200 {
        let top = CancelToken::new();
        let mut leaves = Vec::new();
        for _ in 0..50 {
            let middle = top.child();
            leaves.extend((0..10).map(|_| middle.child()));
            leaves.push(middle);
        }
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    top.cancel(CancelReason::Stop);
                    assert!(leaves.iter().all(CancelToken::is_cancelled), "round {round}");
                });
            }
        });
    }
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_keeps_no_callback_from_running() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let token = CancelToken::new();
    let ran = Arc::new(AtomicUsize::new(0));
    for number in 0..4 {
        let ran = Arc::clone(&ran);
        token
            .on_cancel(move |_| {
                ran.fetch_add(1, Ordering::SeqCst);
                match number {
                    0 => panic!("the first"),
                    _ => std::panic::panic_any(Bad),
                }
            })
            .detach();
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| token.cancel(CancelReason::Stop)));
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"the first"));
    assert_eq!(ran.load(Ordering::SeqCst), 4);
}
