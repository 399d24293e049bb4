//! One function for many items: the results come in the order of the items.
//!
//! From the chapters on `map`: downloads that end in another order than they are handed over in,
//! and a division that takes its two arguments from two lists. An error stands in its own place;
//! what comes behind it is not lost.
//!
//! `cargo run -p towline-threads --example pool_map`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use towline_threads::ThreadPoolExecutor;
use towline_threads::deadlock::Deadlock;
use towline_threads::sync::{Event, Lock};

fn main() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPoolExecutor::new(2)?;
    downloads(&pool)?;
    divisions(&pool, [2, 2, 10], [1, 2, 2])?;
    divisions(&pool, [2, 2, 10], [1, 0, 2])
}

fn downloads(pool: &ThreadPoolExecutor) -> Result<(), Box<dyn Error>> {
    let finished = Arc::new(Lock::new(Vec::new()));
    let (notes, third_is_there) = (Arc::clone(&finished), Event::new());
    let download = move |video: u32| -> Result<u32, Deadlock> {
        if video == 1 {
            third_is_there.wait(); // the first is the slowest
        }
        notes.acquire()?.push(video);
        if video == 3 {
            third_is_there.set();
        }
        Ok(video)
    };
    for video in pool.map(download, [1, 2, 3])? {
        println!("video {} is handed over", video??);
    }
    println!("they were finished in the order {:?}", *finished.acquire()?);
    Ok(())
}

fn divisions(pool: &ThreadPoolExecutor, numbers: [i32; 3], divisors: [i32; 3]) -> Result<(), Box<dyn Error>> {
    let pairs = numbers.into_iter().zip(divisors);
    let quotients = pool.map(|(number, divisor): (i32, i32)| number / divisor, pairs)?;
    println!("{numbers:?} by {divisors:?}:");
    for quotient in quotients {
        match quotient {
            Ok(quotient) => println!("  {quotient}"),
            Err(error) => println!("  {error}"),
        }
    }
    Ok(())
}
