//! Supervised runs: the end, interrupts, panics, threads that do not stop.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::supervisor::{
    Crew, Interrupt, InterruptTrigger, ManualInterrupt, Outcome, SuperviseError, Supervised, Supervisor,
};
use towline_threads::sync::Event;
use towline_threads::{CancelReason, CancelToken, Queue};

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than the watchdog: a run that waited for it would fail its test.
const FOREVER: Duration = Duration::from_secs(600);
const MOMENT: Duration = Duration::from_millis(5);

type Init = Box<dyn FnMut(&Crew) -> io::Result<()> + Send>;
type Hook = Box<dyn FnMut() + Send>;

/// Hooks made of closures; notes in which order they were called.
struct Script {
    init: Init,
    on_step: Hook,
    on_interrupt: Hook,
    log: Arc<Mutex<Vec<String>>>,
    crew: Option<Crew>,
}

impl Script {
    fn new(init: impl FnMut(&Crew) -> io::Result<()> + Send + 'static) -> Self {
        Self {
            init: Box::new(init),
            on_step: Box::new(|| ()),
            on_interrupt: Box::new(|| ()),
            log: Arc::default(),
            crew: None,
        }
    }

    fn on_step(mut self, hook: impl FnMut() + Send + 'static) -> Self {
        self.on_step = Box::new(hook);
        self
    }

    fn on_interrupt(mut self, hook: impl FnMut() + Send + 'static) -> Self {
        self.on_interrupt = Box::new(hook);
        self
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn count(&self, entry: &str) -> usize {
        self.log().iter().filter(|line| *line == entry).count()
    }

    fn note(&self, entry: &str) {
        self.log.lock().unwrap().push(entry.to_owned());
    }
}

impl Supervised for Script {
    fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
        self.crew = Some(crew.clone());
        (self.init)(crew)
    }

    fn run_step(&mut self) {
        self.note("step");
        (self.on_step)();
    }

    fn run_interrupt(&mut self, interrupt: Interrupt) {
        self.note(&format!("interrupt: {interrupt}"));
        (self.on_interrupt)();
    }
}

/// A thread that runs until it is told to stop.
fn spawn_obedient(crew: &Crew, name: &str) -> io::Result<()> {
    let token = crew.cancel_token().clone();
    crew.spawn(name, move || {
        token.wait();
    })
}

fn supervisor() -> (Supervisor, InterruptTrigger) {
    let (source, trigger) = ManualInterrupt::new();
    let supervisor = Supervisor::new(3).run_sleep(FOREVER).grace(FOREVER).interrupts(source);
    (supervisor, trigger)
}

#[test]
fn a_run_ends_as_soon_as_its_last_thread_and_a_step_comes_after_that() {
    with_watchdog(LIMIT, || {
        let done = Queue::new();
        let (results, seen) = (done.clone(), Arc::new(Mutex::new(Vec::new())));
        let (sees, taken) = (Arc::clone(&seen), done);
        let mut script = Script::new(move |crew| {
            for number in 0..crew.threads_number() {
                let results = results.clone();
                crew.spawn(format!("worker-{number}"), move || {
                    results.put(number).unwrap();
                })?;
            }
            Ok(())
        })
        .on_step(move || {
            while let Ok(number) = taken.try_get() {
                sees.lock().unwrap().push(number);
            }
        });
        // No step but the first and the last: the next would come after the watchdog.
        let (supervisor, trigger) = supervisor();
        let outcome = supervisor.run(&mut script).unwrap();
        assert_eq!(outcome, Outcome::Finished);
        let mut numbers = seen.lock().unwrap().clone();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2]);
        let crew = script.crew.unwrap();
        assert!(!crew.is_alive() && !crew.is_interrupt());
        assert!(!trigger.send(Interrupt::Requested), "the run is over");
        assert!(crew.spawn("late", || ()).is_err());
    });
}

#[test]
fn steps_come_at_each_interval() {
    with_watchdog(LIMIT, || {
        let enough = Arc::new(Event::new());
        let waits = Arc::clone(&enough);
        let mut steps = 0;
        let mut script = Script::new(move |crew| {
            let waits = Arc::clone(&waits);
            crew.spawn("waits for the fifth step", move || waits.wait())
        })
        .on_step(move || {
            steps += 1;
            if steps == 5 {
                enough.set();
            }
        });
        let outcome = Supervisor::new(1).run_sleep(MOMENT).run(&mut script);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert!(script.count("step") >= 6, "five, and the last one");
    });
}

#[test]
fn an_interrupt_runs_its_hook_once_stops_the_threads_and_saves_the_final_state() {
    with_watchdog(LIMIT, || {
        let (supervisor, trigger) = supervisor();
        let mut script = Script::new(move |crew| {
            for number in 0..3 {
                spawn_obedient(crew, &format!("worker-{number}"))?;
            }
            let trigger = trigger.clone();
            crew.spawn("interrupts", move || {
                assert!(trigger.send(Interrupt::Signal(2)));
            })
        });
        let outcome = supervisor.run(&mut script).unwrap();
        assert_eq!(outcome, Outcome::Interrupted(Interrupt::Signal(2)));
        assert_eq!(script.count("interrupt: SIGINT"), 1);
        assert_eq!(script.log().last().map(String::as_str), Some("step"));
        let crew = script.crew.unwrap();
        assert!(crew.is_interrupt());
        assert!(crew.names().is_empty());
        assert_eq!(crew.cancel_token().reason(), Some(CancelReason::Interrupt));
    });
}

#[test]
fn steps_go_on_during_the_grace() {
    with_watchdog(LIMIT, || {
        let (source, trigger) = ManualInterrupt::new();
        let (interrupted, enough) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (says, waits, asks) = (Arc::clone(&interrupted), Arc::clone(&enough), Arc::clone(&interrupted));
        let mut steps_since = 0;
        let mut script = Script::new(move |crew| {
            let waits = Arc::clone(&waits);
            crew.spawn("takes its time", move || waits.wait())?;
            trigger.send(Interrupt::Requested);
            Ok(())
        })
        .on_interrupt(move || says.set())
        .on_step(move || {
            steps_since += usize::from(asks.is_set());
            if steps_since == 3 {
                enough.set();
            }
        });
        let outcome = Supervisor::new(1).run_sleep(MOMENT).grace(FOREVER).interrupts(source).run(&mut script);
        assert_eq!(outcome.unwrap(), Outcome::Interrupted(Interrupt::Requested));
    });
}

#[test]
fn a_second_interrupt_terminates_and_ends_the_waiting_at_once() {
    with_watchdog(LIMIT, || {
        let (supervisor, trigger) = supervisor();
        let end = Arc::new(Event::new());
        let waits = Arc::clone(&end);
        let again = trigger.clone();
        let mut script = Script::new(move |crew| {
            let waits = Arc::clone(&waits);
            crew.spawn("stubborn", move || waits.wait())?;
            trigger.send(Interrupt::Signal(15));
            Ok(())
        })
        .on_interrupt(move || {
            again.send(Interrupt::Signal(15));
        });
        let outcome = supervisor.run(&mut script).unwrap();
        assert_eq!(outcome, Outcome::Interrupted(Interrupt::Signal(15)));
        assert_eq!(script.count("interrupt: SIGTERM"), 1);
        assert_eq!(script.log().last().map(String::as_str), Some("step"));
        let crew = script.crew.unwrap();
        assert_eq!(crew.names(), ["stubborn"]);
        assert_eq!(crew.cancel_token().reason(), Some(CancelReason::Terminate));
        end.set();
    });
}

#[test]
fn a_thread_that_does_not_end_within_the_grace_is_left_behind_by_name() {
    with_watchdog(LIMIT, || {
        let (source, trigger) = ManualInterrupt::new();
        let end = Arc::new(Event::new());
        let waits = Arc::clone(&end);
        let mut script = Script::new(move |crew| {
            let waits = Arc::clone(&waits);
            spawn_obedient(crew, "obedient")?;
            crew.spawn("deaf", move || waits.wait())?;
            trigger.send(Interrupt::Requested);
            Ok(())
        });
        let outcome =
            Supervisor::new(2).run_sleep(FOREVER).grace(Duration::from_millis(100)).interrupts(source).run(&mut script);
        assert_eq!(outcome.unwrap(), Outcome::Interrupted(Interrupt::Requested));
        assert_eq!(script.log().last().map(String::as_str), Some("step"));
        let crew = script.crew.unwrap();
        assert!(crew.names().contains(&"deaf".to_owned()));
        end.set();
    });
}

#[test]
fn threads_may_be_added_by_threads() {
    with_watchdog(LIMIT, || {
        let done = Queue::new();
        let results = done.clone();
        let mut script = Script::new(move |crew| {
            let (adds, results) = (crew.clone(), results.clone());
            crew.spawn("parent", move || {
                for number in 0..5 {
                    let results = results.clone();
                    adds.spawn(format!("child-{number}"), move || {
                        results.put(number).unwrap();
                    })
                    .unwrap();
                }
            })
        });
        let (supervisor, _trigger) = supervisor();
        assert_eq!(supervisor.run(&mut script).unwrap(), Outcome::Finished);
        assert_eq!(done.len(), 5, "the run ended after the children");
    });
}

#[test]
fn panics_of_threads_are_reported_and_do_not_stop_the_others() {
    with_watchdog(LIMIT, || {
        let done = Queue::new();
        let results = done.clone();
        let mut script = Script::new(move |crew| {
            crew.spawn("bad", || panic!("disk {} is full", 1))?;
            let results = results.clone();
            crew.spawn("good", move || results.put("result").unwrap())
        });
        let (supervisor, _trigger) = supervisor();
        let error = supervisor.run(&mut script).unwrap_err();
        assert_eq!(error.to_string(), "a thread panicked: bad: disk 1 is full");
        assert_eq!(error.outcome(), Some(Outcome::Finished));
        assert_eq!(error.panics()[0].name, "bad");
        assert_eq!(error.panics()[0].message, "disk 1 is full");
        assert_eq!(done.try_get(), Ok("result"));
        assert_eq!(script.log().last().map(String::as_str), Some("step"));
    });
}

#[test]
fn a_hook_that_panics_stops_the_threads_first_and_then_goes_on_panicking() {
    with_watchdog(LIMIT, || {
        let token = CancelToken::new();
        let stopped = Arc::new(Event::new());
        let says = Arc::clone(&stopped);
        let mut script = Script::new(move |crew| {
            let (token, says) = (crew.cancel_token().clone(), Arc::clone(&says));
            crew.spawn("obedient", move || {
                token.wait();
                says.set();
            })
        })
        .on_step(|| panic!("no room for the progress file"));
        let (supervisor, _trigger) = supervisor();
        let supervisor = supervisor.cancel_token(token.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| supervisor.run(&mut script)));
        let payload = outcome.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"no room for the progress file"));
        assert!(stopped.is_set(), "the thread has ended before the panic went on");
        assert_eq!(token.reason(), Some(CancelReason::Failed));
        assert_eq!(script.count("step"), 1, "no hook runs after the panic");
    });
}

#[test]
fn an_error_at_the_start_stops_the_threads_that_are_there() {
    with_watchdog(LIMIT, || {
        let mut script = Script::new(|crew| {
            spawn_obedient(crew, "early")?;
            Err(io::Error::other("no more sockets"))
        });
        let (supervisor, _trigger) = supervisor();
        match supervisor.run(&mut script) {
            Err(SuperviseError::Init(error)) => assert_eq!(error.to_string(), "no more sockets"),
            other => panic!("{other:?}"),
        }
        assert_eq!(script.log(), ["step"]);
        assert!(!script.crew.unwrap().is_alive());
    });
}

#[test]
fn a_token_cancelled_from_elsewhere_is_no_interrupt() {
    with_watchdog(LIMIT, || {
        let outer = CancelToken::new();
        let inner = outer.child();
        let mut script = Script::new(move |crew| {
            spawn_obedient(crew, "obedient")?;
            outer.cancel(CancelReason::Stop);
            Ok(())
        });
        let (supervisor, _trigger) = supervisor();
        let outcome = supervisor.cancel_token(inner).run(&mut script);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
    });
}

#[test]
fn an_interrupt_during_the_last_step_counts() {
    with_watchdog(LIMIT, || {
        let (supervisor, trigger) = supervisor();
        let mut script = Script::new(|_crew| Ok(())).on_step(move || {
            trigger.send(Interrupt::Signal(2));
        });
        let outcome = supervisor.run(&mut script).unwrap();
        assert_eq!(outcome, Outcome::Interrupted(Interrupt::Signal(2)));
        assert_eq!(script.count("interrupt: SIGINT"), 1);
    });
}
