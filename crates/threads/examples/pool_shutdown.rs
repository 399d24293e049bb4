//! The end of a pool: it finishes what it has, or it drops what has not begun.
//!
//! From the chapters on a pool as a block that is entered and left, and on `shutdown` with its two
//! switches. In Rust the block is the scope of the variable: dropping the pool waits for its tasks.
//!
//! `cargo run -p towline-threads --example pool_shutdown`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use towline_threads::ThreadPoolExecutor;
use towline_threads::sync::Event;

fn main() -> Result<(), Box<dyn Error>> {
    println!("before the pool");
    {
        let pool = ThreadPoolExecutor::new(3)?;
        for number in 0..3 {
            // Nobody asks for the result; the task runs all the same.
            drop(pool.submit(move || println!("task {number}: finishing"))?);
        }
    }
    println!("after the pool");

    let pool = ThreadPoolExecutor::new(1)?;
    let (begun, answer) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (says, waits) = (Arc::clone(&begun), Arc::clone(&answer));
    let running = pool.submit(move || {
        says.set();
        waits.wait();
        "finished"
    })?;
    begun.wait();
    let mut pending = Vec::new();
    for number in 0..3 {
        pending.push(pool.submit(move || number)?);
    }

    // Does not wait, and cancels what has not begun.
    pool.shutdown(false, true);
    println!("cancelled: {} of {}", pending.iter().filter(|task| task.cancelled()).count(), pending.len());
    println!("the running one is cancelled: {}", running.cancelled());

    // Nothing goes in any more. What was refused comes back, to be run elsewhere.
    if let Err(refused) = pool.submit(|| "a late task") {
        println!("refused: {refused}");
        let task = refused.into_inner();
        println!("run here instead: {}", task());
    }

    answer.set();
    println!("the running one has {}", running.result()?);
    // A second time, and now until the worker is gone.
    pool.shutdown(true, false);
    Ok(())
}
