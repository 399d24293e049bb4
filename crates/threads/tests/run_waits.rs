//! `thread::run` waits for every thread of the process, so it has a test process to itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::Event;
use towline_threads::thread;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn run_waits_for_threads_and_their_children_but_not_for_daemons() {
    with_watchdog(LIMIT, || {
        let ended = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(Event::new());
        let never = Arc::new(Event::new());

        let daemon = {
            let never = Arc::clone(&never);
            thread::Builder::new().daemon(true).spawn(move || never.wait()).unwrap()
        };
        let (counts, waits, starts) = (Arc::clone(&ended), Arc::clone(&go), Arc::clone(&go));
        let answer = thread::run(move || {
            thread::spawn(move || {
                waits.wait();
                let of_child = Arc::clone(&counts);
                thread::spawn(move || of_child.fetch_add(1, Ordering::AcqRel));
                counts.fetch_add(1, Ordering::AcqRel);
            });
            starts.set();
            "answer"
        });
        assert_eq!(answer, "answer");
        assert_eq!(ended.load(Ordering::Acquire), 2);
        assert!(daemon.is_alive());
        never.set();
        daemon.join().unwrap();

        // A main that panics waits as well.
        let counts = Arc::clone(&ended);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            thread::run(move || -> u8 {
                thread::spawn(move || counts.fetch_add(1, Ordering::AcqRel));
                panic!("main failed")
            })
        }));
        let payload = outcome.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"main failed"));
        assert_eq!(ended.load(Ordering::Acquire), 3);
    });
}
