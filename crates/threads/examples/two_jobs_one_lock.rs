//! Two jobs add to the same number; whoever has the lock keeps it for the whole job.
//!
//! From the chapter on the lock as a pair of calls around a loop: one job adds 1 ten times, the
//! other adds 10 ten times. Their lines never mix, since the second gets the lock only when the
//! first has let go of it.
//!
//! `cargo run -p towline-threads --example two_jobs_one_lock`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;

use towline_threads::deadlock::Deadlock;
use towline_threads::sync::{Event, Lock};
use towline_threads::thread;

static SUM: Lock<u32> = Lock::new(0);
static A_JOB_HAS_THE_LOCK: Event = Event::new();

fn main() -> Result<(), Box<dyn Error>> {
    let ones = thread::spawn(|| job("job 1", 1));
    // Only to have the same output each time: job 1 comes first.
    A_JOB_HAS_THE_LOCK.wait();
    let tens = thread::spawn(|| job("job 2", 10));

    ones.join()??;
    tens.join()??;
    println!("in the end: {}", *SUM.acquire()?);
    Ok(())
}

fn job(name: &str, step: u32) -> Result<(), Deadlock> {
    let mut sum = SUM.acquire()?;
    A_JOB_HAS_THE_LOCK.set();
    for _ in 0..10 {
        *sum += step;
        println!("{name}: {}", *sum);
    }
    Ok(())
}
