//! Every interleaving of a few threads, for the task's states and for the backlog.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p towline-threads --release --lib loom_tests`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as PlainUsize, Ordering};

use loom::thread;

use super::backlog::{Backlog, Pushed};
use super::cell::{self, TaskCell, Verdict, is_done};
use super::watch::{Parker, Watch, Watcher};

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

type Cell = TaskCell<Box<dyn FnOnce() -> u32 + Send>, u32>;

fn seven() -> Arc<Cell> {
    Arc::new(TaskCell::new(Box::new(|| 7)))
}

/// What a worker, and a waiter that helps, does with a task.
fn run(cell: &Cell) -> bool {
    let Some(work) = cell.claim() else { return false };
    cell.finish(Ok(work()));
    true
}

/// What `result` does, without the help.
fn wait(cell: &Cell) {
    let parker = Parker::new();
    let watch: Arc<dyn Watch> = parker.clone();
    if let Err(Watcher::Watch(watch, key)) = cell.add(Watcher::Watch(watch, 0)) {
        watch.done(key);
    }
    assert!(parker.wait(None));
}

#[test]
fn a_waiter_sees_the_whole_result() {
    model(|| {
        let cell = seven();
        let runs = Arc::clone(&cell);
        let worker = thread::spawn(move || run(&runs));
        wait(&cell);
        assert_eq!(cell.take().unwrap().unwrap(), 7);
        assert!(cell.take().is_none());
        assert!(worker.join().unwrap());
    });
}

#[test]
fn a_task_runs_or_is_cancelled_and_its_waiter_is_told_either_way() {
    model(|| {
        let cell = seven();
        let runs = Arc::clone(&cell);
        let cancels = Arc::clone(&cell);
        let worker = thread::spawn(move || run(&runs));
        let canceller =
            thread::spawn(move || cancels.settle(Verdict::Cancelled).map(|_| drop(cancels.abandoned())).is_some());
        wait(&cell);
        let (ran, cancelled) = (worker.join().unwrap(), canceller.join().unwrap());
        assert!(ran != cancelled, "one of them, not both");
        assert_eq!(cell.take().is_some(), ran);
        assert_eq!(cell.stage() == cell::CANCELLED, cancelled);
    });
}

#[test]
fn a_claim_in_place_and_a_worker_run_the_task_once() {
    model(|| {
        let cell = seven();
        let runs = Arc::clone(&cell);
        let worker = thread::spawn(move || run(&runs));
        let claimed = run(&cell);
        if !claimed {
            wait(&cell);
        }
        assert_eq!(cell.take().unwrap().unwrap(), 7);
        assert!(worker.join().unwrap() != claimed);
    });
}

#[test]
fn every_callback_runs_once_whether_it_comes_early_or_late() {
    model(|| {
        let cell = seven();
        let calls = Arc::new(PlainUsize::new(0));
        let runs = Arc::clone(&cell);
        let worker = thread::spawn(move || {
            let work = runs.claim().unwrap();
            for callback in runs.finish(Ok(work())) {
                callback(super::FutureStatus::Finished);
            }
        });
        let adders: Vec<_> = (0..2)
            .map(|_| {
                let (cell, calls) = (Arc::clone(&cell), Arc::clone(&calls));
                thread::spawn(move || {
                    let callback = Box::new(move |_| {
                        calls.fetch_add(1, Ordering::SeqCst);
                    });
                    if let Err(Watcher::Callback(callback)) = cell.add(Watcher::Callback(callback)) {
                        callback(super::FutureStatus::Finished);
                    }
                })
            })
            .collect();
        worker.join().unwrap();
        adders.into_iter().for_each(|adder| adder.join().unwrap());
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_reason_is_there_when_the_pool_is_seen_to_be_broken() {
    model(|| {
        let cell = seven();
        let breaks = Arc::clone(&cell);
        let breaker = thread::spawn(move || {
            breaks.settle(Verdict::Broken("why".into())).map(|_| drop(breaks.abandoned()));
        });
        if is_done(cell.stage()) {
            assert_eq!(cell.broken().as_deref(), Some("why"));
        }
        breaker.join().unwrap();
        assert_eq!(cell.broken().as_deref(), Some("why"));
    });
}

#[test]
fn a_watcher_that_is_taken_back_leaves_the_others_alone() {
    model(|| {
        let cell = seven();
        let runs = Arc::clone(&cell);
        let worker = thread::spawn(move || run(&runs));
        let gone: Arc<dyn Watch> = Parker::new();
        if cell.add(Watcher::Watch(Arc::clone(&gone), 0)).is_ok() {
            cell.remove(&gone);
        }
        wait(&cell);
        worker.join().unwrap();
    });
}

#[test]
fn a_parked_worker_gets_the_task_that_is_pushed() {
    model(|| {
        let backlog = Arc::new(Backlog::new());
        let pops = Arc::clone(&backlog);
        let worker = thread::spawn(move || pops.pop(|| ()));
        let _ = backlog.push(1);
        assert_eq!(worker.join().unwrap(), Some(1));
    });
}

#[test]
fn two_workers_and_two_tasks_find_each_other() {
    model(|| {
        let backlog = Arc::new(Backlog::new());
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let backlog = Arc::clone(&backlog);
                thread::spawn(move || backlog.pop(|| ()))
            })
            .collect();
        let _ = backlog.push(1);
        let _ = backlog.push(2);
        let got: u32 = workers.into_iter().map(|worker| worker.join().unwrap().unwrap()).sum();
        assert_eq!(got, 3);
    });
}

#[test]
fn a_task_that_nobody_heard_is_found_by_the_worker_that_is_busy() {
    model(|| {
        let backlog = Arc::new(Backlog::new());
        let pops = Arc::clone(&backlog);
        // The worker takes two tasks; whatever `push` says, both are seen.
        let worker = thread::spawn(move || (pops.pop(|| ()).unwrap(), pops.pop(|| ()).unwrap()));
        let first = backlog.push(1).unwrap();
        let second = backlog.push(2).unwrap();
        assert!(matches!((first, second), (Pushed::Heard | Pushed::Unheard, Pushed::Heard | Pushed::Unheard)));
        assert_eq!(worker.join().unwrap(), (1, 2), "in order");
    });
}

#[test]
fn closing_ends_a_worker_and_refuses_a_submitter_and_loses_nothing() {
    model(|| {
        let backlog = Arc::new(Backlog::new());
        let (pops, pushes) = (Arc::clone(&backlog), Arc::clone(&backlog));
        let worker = thread::spawn(move || std::iter::from_fn(|| pops.pop(|| ())).count());
        let submitter = thread::spawn(move || pushes.push(1).is_ok());
        let taken = backlog.close(true).len();
        let accepted = usize::from(submitter.join().unwrap());
        assert_eq!(worker.join().unwrap() + taken, accepted);
    });
}
