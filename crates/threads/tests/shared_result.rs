//! Results that several threads read, payloads that stay, callbacks that get the value, pools that are let go.

use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use towline_threads::executor::{ReturnWhen, TaskError, as_completed, wait};
use towline_threads::sync::Event;
use towline_threads::thread as threads;
use towline_threads::{Future, ThreadPoolExecutor};

#[test]
fn a_shared_result_is_read_by_all_and_made_once() {
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let go = Arc::new(Event::new());
    let waits = Arc::clone(&go);
    let shared = pool
        .submit(move || {
            waits.wait();
            vec![1, 2, 3]
        })
        .unwrap()
        .shared();
    assert!(matches!(shared.result_timeout(Duration::from_millis(1)), Err(TaskError::Timeout)));
    let together = Barrier::new(5);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                assert_eq!(shared.result().unwrap(), &[1, 2, 3]);
            });
        }
        together.wait();
        go.set();
    });
    assert!(std::ptr::eq(shared.result().unwrap(), shared.clone().result().unwrap()));
}

#[test]
fn a_shared_failure_is_told_to_each_reader() {
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let shared = pool.submit(|| -> u8 { panic!("no luck") }).unwrap().shared();
    for _ in 0..2 {
        assert_eq!(shared.result().unwrap_err().panic_message(), Some("no luck"));
    }
    let go = Arc::new(Event::new());
    let waits = Arc::clone(&go);
    let busy = pool.submit(move || waits.wait()).unwrap();
    let cancelled = pool.submit(|| ()).unwrap().shared();
    assert!(cancelled.cancel());
    assert!(matches!(cancelled.result(), Err(TaskError::Cancelled)));
    go.set();
    busy.result().unwrap();
}

#[test]
fn futures_behind_an_arc_are_waited_for_together() {
    let pool = ThreadPoolExecutor::new(2).unwrap();
    let futures: Vec<Arc<Future<i32>>> = (0..4).map(|number| Arc::new(pool.submit(move || number).unwrap())).collect();
    assert_eq!(wait(futures.clone(), ReturnWhen::AllCompleted, None).done.len(), 4);
    let mut values: Vec<i32> = as_completed(futures)
        .map(|future| Arc::into_inner(future).map_or(-1, |future| future.result().unwrap()))
        .collect();
    values.sort_unstable();
    assert_eq!(values, [0, 1, 2, 3]);
}

#[test]
fn a_callback_gets_the_value_or_the_error() {
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let (told, hears) = mpsc::channel();
    for fails in [false, true] {
        let told = told.clone();
        let future = pool.submit(move || if fails { panic!("no luck") } else { "value" }).unwrap();
        future.on_done(move |result| {
            told.send(result.map_err(|error| error.panic_message().map(str::to_owned))).unwrap();
        });
    }
    assert_eq!(hears.recv().unwrap(), Ok("value"));
    assert_eq!(hears.recv().unwrap(), Err(Some("no luck".to_owned())));
}

#[test]
fn the_payload_of_a_panic_can_be_read_and_is_still_there() {
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let mut future = pool.submit(|| -> u8 { std::panic::panic_any(String::from("owned")) }).unwrap();
    assert!(future.exception().is_some());
    for _ in 0..2 {
        let payload = future.panic_payload().unwrap();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "owned");
    }
    match future.result() {
        Err(TaskError::Panicked(payload)) => assert_eq!(*payload.downcast::<String>().unwrap(), "owned"),
        other => panic!("{other:?}"),
    }
    let mut fine = pool.submit(|| 1).unwrap();
    assert!(fine.exception().is_none() && fine.panic_payload().is_none());
}

#[test]
fn a_pool_that_is_let_go_does_not_wait_and_its_tasks_run() {
    let pool = ThreadPoolExecutor::new(1).unwrap();
    let go = Arc::new(Event::new());
    let waits = Arc::clone(&go);
    let first = pool.submit(move || waits.wait()).unwrap();
    let second = pool.submit(|| 2).unwrap();
    // The first task waits until after that.
    pool.detach();
    go.set();
    first.result().unwrap();
    assert_eq!(second.result().unwrap(), 2);
}

#[test]
fn a_broken_pool_says_why() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(|| Err("no licence".into())).build().unwrap();
    assert!(!pool.is_broken());
    pool.submit(|| ()).unwrap().result().unwrap_err();
    assert!(pool.is_broken());
    assert!(pool.broken().unwrap().contains("no licence"));
}

#[test]
fn a_thread_is_joined_by_its_info_by_several_and_not_by_itself() {
    let go = Arc::new(Event::new());
    let waits = Arc::clone(&go);
    let worker = threads::spawn(move || {
        waits.wait();
        threads::current().join()
    });
    let info = worker.info();
    assert!(matches!(info.join_timeout(Duration::from_millis(1)), Err(threads::JoinError::Timeout)));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| info.join().unwrap());
        }
        go.set();
    });
    assert!(matches!(worker.join().unwrap(), Err(threads::JoinError::Itself)));
    info.join().unwrap();
    assert!(matches!(threads::main_thread().join(), Err(threads::JoinError::Itself)));
}

#[test]
fn the_workers_of_a_pool_are_joined_one_by_one() {
    let pool = ThreadPoolExecutor::builder().max_workers(3).thread_name_prefix("joined").build().unwrap();
    let together = Arc::new(Barrier::new(3));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let together = Arc::clone(&together);
            pool.submit(move || together.wait().is_leader()).unwrap()
        })
        .collect();
    assert_eq!(tasks.into_iter().map(|task| task.result().unwrap()).filter(|leads| *leads).count(), 1);
    let workers = pool.workers();
    let names: Vec<&str> = workers.iter().map(threads::ThreadInfo::name).collect();
    assert_eq!(names, ["joined_0", "joined_1", "joined_2"]);
    pool.shutdown(false, false);
    workers.iter().for_each(|worker| worker.join().unwrap());
    assert!(pool.workers().is_empty());
}

#[test]
fn a_barrier_may_have_a_timeout_of_its_own() {
    let barrier = towline_threads::sync::Barrier::new(2).unwrap().timeout(Duration::from_millis(5));
    assert!(barrier.wait().is_err());
    barrier.reset();
    // Another one counts more.
    assert!(barrier.wait_timeout(Duration::ZERO).is_err());
}
