//! The protocol in every schedule of a few threads.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --release -p towline-threads --lib queue::loom
//! ```

use loom::{model, thread};

use super::{GetError, LifoQueue, PutErrorKind, Queue};

#[test]
fn two_putters_and_one_getter_share_a_queue_with_room_for_one() {
    model(|| {
        let queue = Queue::bounded(1);
        let putters = [1, 2].map(|item| {
            let queue = queue.clone();
            thread::spawn(move || queue.put(item).unwrap())
        });
        let mut taken = [queue.get().unwrap(), queue.get().unwrap()];
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        for putter in putters {
            putter.join().unwrap();
        }
        assert_eq!((queue.len(), queue.unfinished()), (0, 2));
    });
}

#[test]
fn a_putter_that_waits_hears_of_the_shutdown() {
    model(|| {
        let queue = Queue::bounded(1);
        queue.put(1).unwrap();
        let other = queue.clone();
        let putter = thread::spawn(move || other.put(2).unwrap_err());
        queue.shutdown();
        let error = putter.join().unwrap();
        assert_eq!(error.kind(), PutErrorKind::ShutDown);
        assert_eq!(error.into_inner(), 2);
        assert_eq!((queue.len(), queue.unfinished()), (1, 1));
    });
}

#[test]
fn a_putter_is_let_in_or_hears_of_the_shutdown() {
    model(|| {
        let queue = LifoQueue::bounded(1);
        queue.put(1).unwrap();
        let other = queue.clone();
        let putter = thread::spawn(move || other.put(2).is_ok());
        let other = queue.clone();
        let closer = thread::spawn(move || other.shutdown());
        let mut taken = 0;
        while queue.get().is_ok() {
            taken += 1;
        }
        closer.join().unwrap();
        let put = putter.join().unwrap();
        assert_eq!(taken, 1 + usize::from(put));
        assert_eq!(queue.unfinished(), taken);
    });
}

#[test]
fn one_item_ends_the_wait_of_one_of_two_getters() {
    model(|| {
        let queue = Queue::new();
        let getters = [(), ()].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || queue.get())
        });
        queue.put('i').unwrap();
        queue.shutdown();
        let got = getters.map(|getter| getter.join().unwrap());
        assert!(got == [Ok('i'), Err(GetError::ShutDown)] || got == [Err(GetError::ShutDown), Ok('i')]);
    });
}

#[test]
fn two_items_end_the_waits_of_two_getters() {
    model(|| {
        let queue = Queue::new();
        let getters = [(), ()].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || queue.get())
        });
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        let mut got = getters.map(|getter| getter.join().unwrap().unwrap());
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn the_last_of_two_reports_ends_a_join() {
    model(|| {
        let queue = Queue::new();
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        let workers = [(), ()].map(|()| {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.get().unwrap();
                queue.task_done().unwrap();
            })
        });
        queue.join();
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn a_join_ends_although_more_is_put_meanwhile() {
    model(|| {
        let queue = Queue::new();
        queue.put(1).unwrap();
        let other = queue.clone();
        let worker = thread::spawn(move || {
            for _ in 0..2 {
                other.get().unwrap();
                other.task_done().unwrap();
            }
        });
        let other = queue.clone();
        let joiner = thread::spawn(move || other.join());
        queue.put(2).unwrap();
        worker.join().unwrap();
        joiner.join().unwrap();
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn one_of_two_reports_on_one_item_is_an_error() {
    model(|| {
        let queue = Queue::new();
        queue.put('i').unwrap();
        let other = queue.clone();
        let worker = thread::spawn(move || other.task_done().is_ok());
        let ours = queue.task_done().is_ok();
        assert!(worker.join().unwrap() != ours);
        assert_eq!(queue.unfinished(), 0);
    });
}

#[test]
fn an_immediate_shutdown_ends_a_join() {
    model(|| {
        let queue = Queue::new();
        queue.put(1).unwrap();
        let other = queue.clone();
        let joiner = thread::spawn(move || other.join());
        queue.shutdown_immediate();
        joiner.join().unwrap();
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    });
}
