//! A lost update: two threads read, both add one, both write, and one of the two is gone.
//!
//! From the chapters on race conditions and on mending one with a lock: a database of one number,
//! updated twice at once. Rust refuses a plain number that two threads write to; an atomic that is
//! read and written in two steps makes the same mistake without any undefined behaviour. A barrier
//! between the two steps makes sure that it is seen each time, and not once in a million runs.
//!
//! `cargo run -p towline-threads --example race_condition`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use towline_threads::ThreadPoolExecutor;
use towline_threads::deadlock::Deadlock;
use towline_threads::sync::{Barrier, BrokenBarrier, Lock};

/// What an update has read, and what it wrote.
type Update = (u32, u32);

struct Racy {
    value: AtomicU32,
    both_have_read: Barrier,
}

impl Racy {
    fn update(&self) -> Result<Update, BrokenBarrier> {
        let read = self.value.load(Ordering::SeqCst);
        self.both_have_read.wait()?;
        // What was read is stale by now, for the other is about to write as well.
        self.value.store(read + 1, Ordering::SeqCst);
        Ok((read, read + 1))
    }
}

struct Mended {
    value: Lock<u32>,
}

impl Mended {
    fn update(&self) -> Result<Update, Deadlock> {
        let mut value = self.value.acquire()?;
        let read = *value;
        // The other may run now, but it does not get past its own `acquire`.
        std::thread::yield_now();
        *value = read + 1;
        Ok((read, *value))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let racy = Arc::new(Racy { value: AtomicU32::new(0), both_have_read: Barrier::new(2)? });
    let database = Arc::clone(&racy);
    println!("without a lock:");
    two_at_once(move || database.update())?;
    println!("  the value is {}", racy.value.load(Ordering::SeqCst));

    let mended = Arc::new(Mended { value: Lock::new(0) });
    let database = Arc::clone(&mended);
    println!("with a lock:");
    two_at_once(move || database.update())?;
    println!("  the value is {}", *mended.value.acquire()?);
    Ok(())
}

fn two_at_once<F, E>(update: F) -> Result<(), Box<dyn Error>>
where
    F: Fn() -> Result<Update, E> + Clone + Send + 'static,
    E: Error + Send + 'static,
{
    let pool = ThreadPoolExecutor::new(2)?;
    let first = pool.submit(update.clone())?;
    let second = pool.submit(update)?;
    let mut updates = [first.result()??, second.result()??];
    // Which of the two came first is up to the system.
    updates.sort_unstable();
    for (read, wrote) in updates {
        println!("  one update read {read} and wrote {wrote}");
    }
    Ok(())
}
