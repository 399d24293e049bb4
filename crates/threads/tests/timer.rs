//! Timers: they fire once or are cancelled, never both.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use towline_testkit::with_watchdog;
use towline_threads::sync::Event;
use towline_threads::thread::{self, JoinError};
use towline_threads::timer::{Timer, TimerError};

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(2);
/// Nobody lives to see it.
const NEVER: Duration = Duration::from_secs(1_000_000);

#[test]
fn a_timer_fires_once_and_not_before_its_time() {
    with_watchdog(LIMIT, || {
        let delay = Duration::from_millis(30);
        let (tells, hears) = mpsc::channel();
        let timer = Timer::new(delay, move || tells.send(Instant::now()).unwrap());
        assert!(!timer.is_alive());
        assert!(!timer.fired());
        let begin = Instant::now();
        timer.start().unwrap();
        timer.join().unwrap();
        assert!(timer.fired());
        assert!(!timer.is_alive());
        assert!(hears.recv().unwrap() - begin >= delay);
        assert!(hears.recv().is_err(), "once");
    });
}

#[test]
fn a_timer_is_started_once() {
    with_watchdog(LIMIT, || {
        let timer = Timer::new(NEVER, || ());
        timer.start().unwrap();
        assert!(matches!(timer.start(), Err(TimerError::AlreadyStarted)));
        timer.cancel();
        timer.join().unwrap();
        assert!(matches!(timer.start(), Err(TimerError::AlreadyStarted)));
    });
}

#[test]
fn a_timer_that_could_not_be_started_can_be_started_again() {
    with_watchdog(LIMIT, || {
        let timer = Timer::new(Duration::ZERO, || ()).name("a\0b");
        for _ in 0..2 {
            match timer.start() {
                Err(TimerError::Start(error)) => assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(timer.join(), Err(JoinError::NotStarted)));
        let renamed = timer.name("ab");
        renamed.start().unwrap();
        renamed.join().unwrap();
        assert!(renamed.fired());
    });
}

#[test]
fn a_timer_that_is_cancelled_ends_at_once_and_drops_its_closure() {
    with_watchdog(LIMIT, || {
        let kept = Arc::new(());
        let keeps = Arc::clone(&kept);
        let timer = Timer::new(NEVER, move || drop(keeps));
        timer.start().unwrap();
        assert!(timer.is_alive());
        assert!(matches!(timer.join_timeout(MOMENT), Err(JoinError::Timeout)));
        timer.cancel();
        assert_eq!(Arc::strong_count(&kept), 1);
        timer.join().unwrap();
        assert!(!timer.is_alive());
        assert!(!timer.fired());
    });
}

#[test]
fn a_timer_that_is_cancelled_before_its_start_never_fires() {
    with_watchdog(LIMIT, || {
        let kept = Arc::new(());
        let keeps = Arc::clone(&kept);
        let timer = Timer::new(Duration::ZERO, move || drop(keeps));
        timer.cancel();
        assert_eq!(Arc::strong_count(&kept), 1);
        timer.start().unwrap();
        timer.join().unwrap();
        assert!(!timer.fired());
        assert!(matches!(timer.start(), Err(TimerError::AlreadyStarted)));
    });
}

#[test]
fn to_cancel_twice_or_after_it_has_fired_is_no_error() {
    with_watchdog(LIMIT, || {
        let cancelled = Timer::new(NEVER, || ());
        cancelled.start().unwrap();
        cancelled.cancel();
        cancelled.cancel();
        cancelled.join().unwrap();
        cancelled.cancel();

        let fired = Timer::new(Duration::ZERO, || ());
        fired.start().unwrap();
        fired.join().unwrap();
        fired.cancel();
        fired.cancel();
        assert!(fired.fired());
        fired.join().unwrap();
    });
}

#[test]
fn a_timer_fires_or_is_cancelled_and_never_both() {
    with_watchdog(LIMIT, || {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let runs = Arc::new(AtomicUsize::new(0));
            let counts = Arc::clone(&runs);
            let timer = Timer::new(Duration::from_micros(random.u64(0..150)), move || {
                counts.fetch_add(1, Ordering::AcqRel);
            });
            timer.start().unwrap();
            for _ in 0..random.u8(0..20) {
                std::thread::yield_now();
            }
            timer.cancel();
            let fired = timer.fired();
            timer.join().unwrap();
            assert_eq!(timer.fired(), fired, "after a cancel nothing begins");
            assert_eq!(runs.load(Ordering::Acquire), usize::from(fired));
            assert_eq!(Arc::strong_count(&runs), 1);
        }
    });
}

#[test]
fn a_cancel_while_the_closure_runs_does_not_disturb_it() {
    with_watchdog(LIMIT, || {
        let (busy, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (says, waits) = (Arc::clone(&busy), Arc::clone(&go));
        let timer = Timer::new(Duration::ZERO, move || {
            says.set();
            waits.wait();
        });
        timer.start().unwrap();
        busy.wait();
        timer.cancel();
        assert!(timer.fired() && timer.is_alive());
        go.set();
        timer.join().unwrap();
    });
}

#[test]
fn a_panic_in_the_closure_is_the_result_of_the_join() {
    with_watchdog(LIMIT, || {
        let timer = Timer::new(Duration::ZERO, || panic!("too late"));
        timer.start().unwrap();
        match timer.join() {
            Err(error @ JoinError::Panicked(_)) => assert_eq!(error.panic_message(), Some("too late")),
            other => panic!("{other:?}"),
        }
        assert!(timer.fired());
        assert!(matches!(timer.join(), Err(JoinError::Taken)));
    });
}

#[test]
fn to_join_before_the_start_is_an_error_and_not_a_hang() {
    with_watchdog(LIMIT, || {
        let timer = Timer::new(NEVER, || ());
        assert!(matches!(timer.join(), Err(JoinError::NotStarted)));
        assert!(matches!(timer.join_timeout(LIMIT), Err(JoinError::NotStarted)));
        timer.cancel();
        assert!(matches!(timer.join(), Err(JoinError::NotStarted)));
    });
}

#[test]
fn a_timer_that_joins_itself_gets_an_error() {
    with_watchdog(LIMIT, || {
        let (gives, takes) = mpsc::channel::<Arc<Timer>>();
        let (tells, hears) = mpsc::channel();
        let timer = Arc::new(Timer::new(Duration::ZERO, move || {
            let own = takes.recv().unwrap();
            tells.send(matches!(own.join(), Err(JoinError::Itself))).unwrap();
        }));
        timer.start().unwrap();
        gives.send(Arc::clone(&timer)).unwrap();
        assert_eq!(hears.recv(), Ok(true));
        timer.join().unwrap();
    });
}

#[test]
fn many_may_join_a_timer_and_again() {
    with_watchdog(LIMIT, || {
        let timer = Arc::new(Timer::new(NEVER, || ()));
        timer.start().unwrap();
        let joiners: Vec<_> = (0..3)
            .map(|number| {
                let timer = Arc::clone(&timer);
                thread::spawn(move || if number == 0 { timer.join_timeout(LIMIT) } else { timer.join() })
            })
            .collect();
        timer.cancel();
        for joiner in joiners {
            joiner.join().unwrap().unwrap();
        }
        timer.join().unwrap();
        timer.join_timeout(Duration::ZERO).unwrap();
    });
}

#[test]
fn a_timer_whose_handle_is_dropped_fires_all_the_same() {
    with_watchdog(LIMIT, || {
        let (tells, hears) = mpsc::channel();
        let timer = Timer::new(MOMENT, move || tells.send(1).unwrap());
        timer.start().unwrap();
        drop(timer);
        assert_eq!(hears.recv(), Ok(1));
    });
}

#[test]
fn a_delay_too_long_for_the_clock_is_one_without_end() {
    with_watchdog(LIMIT, || {
        let timer = Timer::new(Duration::MAX, || ());
        timer.start().unwrap();
        assert!(matches!(timer.join_timeout(MOMENT), Err(JoinError::Timeout)));
        timer.cancel();
        timer.join().unwrap();
        assert!(!timer.fired());
    });
}

#[test]
fn a_timer_is_a_thread_with_a_name_and_on_the_list() {
    with_watchdog(LIMIT, || {
        let plain = Timer::new(NEVER, || ());
        let named = Timer::new(NEVER, || ()).name("the-alarm");
        assert!(plain.info().is_none());
        plain.start().unwrap();
        named.start().unwrap();
        let plain_info = plain.info().unwrap();
        let number = plain_info.name().strip_prefix("Timer-").map(str::parse::<u64>);
        assert!(matches!(number, Some(Ok(_))), "{plain_info:?}");
        let listed = |name: &str| thread::enumerate().iter().any(|thread| thread.name() == name);
        assert!(listed(plain_info.name()) && listed("the-alarm"));
        plain.cancel();
        named.cancel();
        plain.join().unwrap();
        named.join().unwrap();
        assert!(!listed(plain_info.name()) && !listed("the-alarm"));
    });
}

#[test]
fn a_timer_has_the_daemon_flag_of_its_parent_unless_it_asks_for_another() {
    with_watchdog(LIMIT, || {
        for flag in [true, false] {
            let parent = thread::Builder::new().daemon(flag).spawn(move || {
                let (tells, hears) = mpsc::channel();
                let says = tells.clone();
                let heir = Timer::new(Duration::ZERO, move || says.send(thread::current().daemon()).unwrap());
                heir.start().unwrap();
                let inherited = hears.recv().unwrap();
                let other = Timer::new(Duration::ZERO, move || tells.send(thread::current().daemon()).unwrap());
                let other = other.daemon(!flag);
                other.start().unwrap();
                (inherited, hears.recv().unwrap())
            });
            assert_eq!(parent.unwrap().join().unwrap(), (flag, !flag));
        }
    });
}
