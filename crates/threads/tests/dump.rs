//! `thread::dump` names what each thread waits for.

use std::sync::Arc;
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::{Event, Lock, Semaphore};
use towline_threads::{Queue, ThreadPoolExecutor, thread};

/// The line of this thread in the dump, once it waits.
fn line_of(name: &str) -> String {
    loop {
        let dump = thread::dump();
        let found = dump.threads().iter().find(|thread| thread.info().name() == name && thread.waits_for().is_some());
        if let Some(thread) = found {
            return thread.to_string();
        }
        std::thread::yield_now();
    }
}

#[test]
fn each_thread_is_there_with_what_it_waits_for() {
    with_watchdog(Duration::from_secs(60), || {
        let lock = Arc::new(Lock::named("accounts", ()));
        let go = Arc::new(Event::new());
        let semaphore = Arc::new(Semaphore::new(0));
        let queue = Queue::<u8>::new();
        let held_by = {
            let (lock, go) = (Arc::clone(&lock), Arc::clone(&go));
            let holds = Arc::new(Event::new());
            let tell = Arc::clone(&holds);
            let holder = thread::Builder::new()
                .name("transfer-2")
                .spawn(move || {
                    let _held = lock.acquire().unwrap();
                    tell.set();
                    go.wait();
                })
                .unwrap();
            holds.wait();
            holder
        };
        let spawn =
            |name: &str, f: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name).daemon(true).spawn(f).unwrap();
        let mut threads = vec![held_by];
        let wants = Arc::clone(&lock);
        threads.push(spawn("transfer-1", Box::new(move || drop(wants.acquire()))));
        let wants = Arc::clone(&semaphore);
        threads.push(spawn("connects", Box::new(move || drop(wants.acquire()))));
        let wants = queue.clone();
        threads.push(spawn("consumer", Box::new(move || assert!(wants.get().is_err()))));

        assert!(
            line_of("transfer-1").ends_with("waits for Lock `accounts` held by transfer-2"),
            "{}",
            line_of("transfer-1")
        );
        assert!(line_of("transfer-2").contains("waits for Event made at "), "{}", line_of("transfer-2"));
        assert!(line_of("connects").contains("daemon): waits for Semaphore made at "), "{}", line_of("connects"));
        assert!(line_of("consumer").contains("waits for Queue made at "), "{}", line_of("consumer"));
        assert!(thread::dump().to_string().contains("MainThread (1)"), "{}", thread::dump());

        go.set();
        semaphore.release(1);
        queue.shutdown();
        for thread in threads {
            let name = thread.name().to_owned();
            thread.join().unwrap();
            assert!(!thread::dump().threads().iter().any(|thread| thread.info().name() == name), "{name} has ended");
        }
    });
}

#[test]
fn a_thread_that_joins_another_and_a_worker_without_work_are_named() {
    with_watchdog(Duration::from_secs(60), || {
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let last = thread::Builder::new().name("the-last").spawn(move || waits.wait()).unwrap();
        let joiner = thread::Builder::new().name("joiner").spawn(move || last.join().unwrap()).unwrap();
        assert!(line_of("joiner").ends_with("waits for thread the-last to end"));
        go.set();
        joiner.join().unwrap();

        let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("idle").build().unwrap();
        pool.submit(|| ()).unwrap().result().unwrap();
        assert!(line_of("idle_0").ends_with("waits for work"));
    });
}
