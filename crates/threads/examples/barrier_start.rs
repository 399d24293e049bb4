//! Workers get ready on their own and then start together.
//!
//! From the chapter on barriers: a fixed number of threads prepare themselves, and none begins
//! before all of them are ready. If one of them fails, `abort` tells those that wait.
//!
//! `cargo run -p towline-threads --example barrier_start`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use towline_threads::sync::{Barrier, BrokenBarrier};
use towline_threads::thread;

const WORKERS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    // The action is run once, by the last to arrive, before anybody goes on.
    let start = Arc::new(Barrier::with_action(WORKERS, || println!("all {WORKERS} are ready"))?);
    let mut workers = Vec::new();
    for number in 1..=WORKERS {
        let start = Arc::clone(&start);
        workers.push(thread::spawn(move || work(number, &start)));
    }
    let mut places = Vec::new();
    for worker in workers {
        places.push(worker.join()??);
    }
    places.sort_unstable();
    println!("places of arrival: {places:?}");

    // Two are expected, one comes, and the other never will.
    let start = Arc::new(Barrier::new(2)?);
    let waits = Arc::clone(&start);
    let punctual = thread::spawn(move || waits.wait());
    start.abort();
    println!("given up: {}, and the one that came knows: {}", start.broken(), punctual.join()?.is_err());
    Ok(())
}

fn work(number: usize, start: &Barrier) -> Result<usize, BrokenBarrier> {
    println!("worker {number}: ready");
    let place = start.wait()?;
    println!("worker {number}: working");
    Ok(place)
}
