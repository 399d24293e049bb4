//! Types that are threads.

use std::io;
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::thread::{self, Builder, JoinError, Runnable};

const LIMIT: Duration = Duration::from_secs(60);

/// Says who ran it.
struct Reporter {
    name: Option<&'static str>,
    daemon: Option<bool>,
}

impl Runnable for Reporter {
    type Output = (String, bool);

    fn run(self) -> (String, bool) {
        let own = thread::current();
        (own.name().to_owned(), own.daemon())
    }

    fn name(&self) -> Option<String> {
        self.name.map(str::to_owned)
    }

    fn daemon(&self) -> Option<bool> {
        self.daemon
    }
}

/// Owns what it works on, and gives back what it made of it.
struct Sorter(Vec<u32>);

impl Runnable for Sorter {
    type Output = Vec<u32>;

    fn run(mut self) -> Vec<u32> {
        self.0.sort_unstable();
        self.0
    }
}

struct Careless;

impl Runnable for Careless {
    type Output = ();

    fn run(self) {
        panic!("what does this do?");
    }
}

#[test]
fn a_type_can_be_a_thread() {
    with_watchdog(LIMIT, || {
        let sorter = thread::start(Sorter(vec![3, 1, 2]));
        assert!(sorter.name().starts_with("Thread-"), "{}", sorter.name());
        assert_eq!(sorter.join().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn a_runnable_says_its_name_and_whether_it_is_a_daemon() {
    with_watchdog(LIMIT, || {
        for flag in [true, false] {
            let reporter = thread::start(Reporter { name: Some("reporter"), daemon: Some(flag) });
            assert_eq!(reporter.name(), "reporter");
            assert_eq!(reporter.join().unwrap(), ("reporter".to_owned(), flag));
        }
    });
}

#[test]
fn what_was_given_to_the_builder_wins() {
    with_watchdog(LIMIT, || {
        let reporter = || Reporter { name: Some("of the type"), daemon: Some(true) };
        let named = Builder::new().name("of the builder").start(reporter()).unwrap();
        assert_eq!(named.join().unwrap(), ("of the builder".to_owned(), true));
        let flagged = Builder::new().daemon(false).start(reporter()).unwrap();
        assert_eq!(flagged.join().unwrap(), ("of the type".to_owned(), false));
    });
}

#[test]
fn a_runnable_that_asks_for_nothing_inherits_the_flag_of_its_parent() {
    with_watchdog(LIMIT, || {
        for flag in [true, false] {
            let parent = Builder::new().daemon(flag).spawn(|| {
                let child = thread::start(Reporter { name: None, daemon: None });
                child.join().unwrap().1
            });
            assert_eq!(parent.unwrap().join().unwrap(), flag);
        }
    });
}

#[test]
fn a_panic_of_a_runnable_is_the_result_of_its_thread() {
    with_watchdog(LIMIT, || match thread::start(Careless).join() {
        Err(error @ JoinError::Panicked(_)) => assert_eq!(error.panic_message(), Some("what does this do?")),
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_runnable_with_a_bad_name_is_an_error_of_the_builder() {
    let error = Builder::new().start(Reporter { name: Some("a\0b"), daemon: None }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
