//! A pool takes tasks at once and gives a future for each: is it done, cancel it, what came of it.
//!
//! From the chapter on the pool of threads and from the one on `submit`: two downloads, the second
//! of which is cancelled. That fails where two workers have begun both, and succeeds where one
//! worker has not got to it. Then four divisions, one of them impossible.
//!
//! `cargo run -p towline-threads --example pool_submit`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use towline_threads::ThreadPoolExecutor;
use towline_threads::sync::{Event, Semaphore};

fn main() -> Result<(), Box<dyn Error>> {
    cancel_the_second(2)?;
    cancel_the_second(1)?;
    divisions()
}

fn cancel_the_second(workers: usize) -> Result<(), Box<dyn Error>> {
    let pool = ThreadPoolExecutor::new(workers)?;
    let (begun, answer) = (Arc::new(Semaphore::new(0)), Arc::new(Event::new()));
    let download = |video: &'static str| {
        let (begun, answer) = (Arc::clone(&begun), Arc::clone(&answer));
        move || {
            begun.release(1);
            answer.wait();
            video
        }
    };
    let mut first = pool.submit(download("first video"))?;
    let second = pool.submit(download("second video"))?;
    // As many downloads as there are workers have begun, and none of them has its answer.
    for _ in 0..workers {
        begun.acquire().forget();
    }

    println!("workers: {workers}");
    println!("  first is done: {}", first.done());
    println!("  second is cancelled: {}", second.cancel());
    if let Err(error) = first.result_timeout(Duration::from_millis(5)) {
        println!("  first: {error}");
    }
    answer.set();
    println!("  first: {}", first.result()?);
    // Waits as well, and leaves the result where it is.
    match second.exception() {
        Some(error) => println!("  second: {error}"),
        None => println!("  second: {}", second.result()?),
    }
    Ok(())
}

fn divisions() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPoolExecutor::new(2)?;
    let mut futures = Vec::new();
    for (a, b) in [(2.0, 1.0), (2.0, 0.0), (10.0, 2.0), (3.0, 2.0)] {
        futures.push(pool.submit(move || divide(a, b))?);
    }
    println!("divisions:");
    for future in futures {
        // The outer error is the pool's (cancelled, panicked, …), the inner one is the task's own.
        match future.result()? {
            Ok(quotient) => println!("  {quotient}"),
            Err(error) => println!("  {error}"),
        }
    }
    Ok(())
}

fn divide(a: f64, b: f64) -> Result<f64, &'static str> {
    if b == 0.0 { Err("division by zero") } else { Ok(a / b) }
}
