//! A pool that has nothing to do.

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::case::{Case, Row};
use crate::goal::{Goal, ours};
use crate::group::{Group, Scale, Unit};
use crate::meter::{Figure, Figures};
use crate::pools::{Pool, pool_cases, workers_text};
use crate::system;
use crate::table;

pub(crate) static GROUP: Group = Group {
    name: "idle",
    title: "An idle pool",
    about: "Each worker runs one task; half a second later the pool has nothing to do for 5 s. The table counts \
            voluntary context switches and preemptions during these 5 s, over all threads except the main one. Workers \
            met: the number of different threads that ran the tasks.",
    unit: Unit::SWITCHES,
    columns: &[Figure::Involuntary, Figure::Workers],
    cases,
    goals,
};

const IDLE_MS: u64 = 5_000;
const WORKERS: usize = 4;

/// For threads that look around for work before they go to sleep.
const SETTLE: Duration = Duration::from_millis(500);
/// A pool may have run two tasks on one thread; they are not waited for any longer than this.
const MEET: Duration = Duration::from_secs(2);

fn cases(scale: Scale) -> Vec<Case> {
    pool_cases!(measure, scale.of(IDLE_MS), WORKERS, &workers_text(WORKERS))
}

fn measure<P: Pool>(idle_ms: u64, workers: usize) -> Figures {
    let pool = P::start(workers);
    let meeting = Arc::new(Meeting { arrived: Mutex::new(0), everybody: Condvar::new() });
    let handles: Vec<_> = (0..workers)
        .map(|_| {
            let meeting = Arc::clone(&meeting);
            pool.submit(move || {
                meeting.wait_for(workers);
                thread::current().id()
            })
        })
        .collect();
    let met: HashSet<_> = handles.into_iter().map(|handle| pool.result(handle)).collect();

    thread::sleep(SETTLE);
    let before = system::switches_by_thread();
    thread::sleep(Duration::from_millis(idle_ms));
    let after = system::switches_by_thread();

    let mut figures = Figures(vec![(Figure::Workers, met.len() as f64)]);
    if let (Some(before), Some(after)) = (before, after) {
        let mut voluntary = 0.0;
        let mut involuntary = 0.0;
        for (thread, now) in &after {
            let then = before.get(thread).copied();
            voluntary += now.voluntary - then.map_or(0.0, |then| then.voluntary);
            involuntary += now.involuntary - then.map_or(0.0, |then| then.involuntary);
        }
        figures.0.push((Figure::Main, voluntary));
        figures.0.push((Figure::Involuntary, involuntary));
    }
    // It was there until now.
    black_box(&pool);
    figures
}

/// Where tasks wait for one another, so that each is on a thread of its own.
struct Meeting {
    arrived: Mutex<usize>,
    everybody: Condvar,
}

impl Meeting {
    fn wait_for(&self, number: usize) {
        let mut arrived = self.arrived.lock().expect("nobody panics here");
        *arrived += 1;
        self.everybody.notify_all();
        let waited = self.everybody.wait_timeout_while(arrived, MEET, |arrived| *arrived < number);
        drop(waited.expect("nobody panics here"));
    }
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let seen = ours(rows, &workers_text(WORKERS));
    vec![Goal::at_most("idle costs nothing: no voluntary context switch", seen, 0.0, table::figure)]
}
