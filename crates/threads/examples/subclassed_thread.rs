//! A type that is a thread: its fields are the arguments, its `run` is the thread.
//!
//! From the chapter on threads that do not block one another: five objects of a class derived from
//! a thread are started in a loop. Here `run` also returns something, and the join hands it over.
//!
//! `cargo run -p towline-threads --example subclassed_thread`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::time::{Duration, Instant};

use towline_threads::thread::{self, Runnable};

const WORK: Duration = Duration::from_millis(20);

struct Sleeper {
    number: u32,
}

impl Runnable for Sleeper {
    type Output = Duration;

    fn run(self) -> Duration {
        println!("thread {}: starting", self.number);
        let begun = Instant::now();
        std::thread::sleep(WORK);
        println!("thread {}: finishing", self.number);
        begun.elapsed()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut sleepers = Vec::new();
    for number in 0..4 {
        sleepers.push(thread::start(Sleeper { number }));
    }
    // The same with a name (or a stack size, or the daemon flag).
    sleepers.push(thread::Builder::new().name("the last one").start(Sleeper { number: 4 })?);

    let mut slept = Duration::ZERO;
    for sleeper in sleepers {
        slept += sleeper.join()?;
    }
    // They slept side by side.
    println!("main: {} ms of sleep in {} ms", slept.as_millis(), begun.elapsed().as_millis());
    Ok(())
}
