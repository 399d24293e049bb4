//! Every interleaving of a few threads at a barrier, a condition and a semaphore's count.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p towline-threads --release --lib loom_tests`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as PlainUsize, Ordering};

use loom::thread;

use super::barrier::Barrier;
use super::event::Event;
use super::semaphore::Semaphore;

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(f);
}

#[test]
fn two_parties_get_the_places_0_and_1_and_the_action_runs_once() {
    model(|| {
        let actions = Arc::new(PlainUsize::new(0));
        let counts = Arc::clone(&actions);
        let action = move || {
            counts.fetch_add(1, Ordering::SeqCst);
        };
        let barrier = Arc::new(Barrier::with_action(2, action).unwrap());
        let other = Arc::clone(&barrier);
        let second = thread::spawn(move || other.wait().unwrap());
        let first = barrier.wait().unwrap();
        assert_eq!(first + second.join().unwrap(), 1);
        assert_eq!(actions.load(Ordering::SeqCst), 1);
        assert_eq!(barrier.n_waiting(), 0);
    });
}

#[test]
fn a_barrier_is_used_again_at_once() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2).unwrap());
        let other = Arc::clone(&barrier);
        let second = thread::spawn(move || (other.wait().unwrap(), other.wait().unwrap()));
        let first = (barrier.wait().unwrap(), barrier.wait().unwrap());
        let second = second.join().unwrap();
        assert_eq!((first.0 + second.0, first.1 + second.1), (1, 1));
    });
}

#[test]
fn a_barrier_that_is_aborted_lets_all_through_or_none() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2).unwrap());
        let (waits, aborts) = (Arc::clone(&barrier), Arc::clone(&barrier));
        let second = thread::spawn(move || waits.wait().is_ok());
        let breaker = thread::spawn(move || aborts.abort());
        let first = barrier.wait().is_ok();
        assert_eq!(first, second.join().unwrap());
        breaker.join().unwrap();
        assert!(barrier.broken());
        barrier.reset();
        assert!(!barrier.broken());
    });
}

#[test]
fn an_event_that_is_set_releases_its_waiter_though_it_is_cleared() {
    model(|| {
        let event = Arc::new(Event::new());
        let sets = Arc::clone(&event);
        let setter = thread::spawn(move || sets.set());
        event.wait();
        event.clear();
        setter.join().unwrap();
        assert!(!event.is_set());
    });
}

#[test]
fn two_that_want_one_permit_have_it_one_after_the_other() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let inside = Arc::new(PlainUsize::new(0));
        let enter = |semaphore: &Semaphore, inside: &PlainUsize| {
            let _permit = semaphore.acquire();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            inside.fetch_sub(1, Ordering::SeqCst);
        };
        let (other, counts) = (Arc::clone(&semaphore), Arc::clone(&inside));
        let second = thread::spawn(move || enter(&other, &counts));
        enter(&semaphore, &inside);
        second.join().unwrap();
        assert_eq!(semaphore.available(), 1);
    });
}
