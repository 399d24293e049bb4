//! A deadlock is an error that says who waits for whom, not a program that stands still.
//!
//! From the chapter on deadlock: the same lock taken twice by one thread, where an `RLock` counts
//! instead. And the classic that it warns of: two threads that take two locks in opposite order.
//! One of them is told; it lets go of what it has, and both get their work done.
//!
//! (The other mistake of that chapter, releasing a lock that nobody holds, cannot be written down
//! here: the release is the drop of a guard.)
//!
//! `cargo run -p towline-threads --example deadlock`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use towline_threads::deadlock::Deadlock;
use towline_threads::sync::{Event, Lock, RLock};
use towline_threads::thread;

/// Set once the thread holds its first lock.
static HOLDS_ONE: [Event; 2] = [Event::new(), Event::new()];

fn main() -> Result<(), Box<dyn Error>> {
    let lock = Lock::named("ledger", ());
    let held = lock.acquire()?;
    if let Err(deadlock) = lock.acquire() {
        println!("a Lock twice: {deadlock}");
    }
    drop(held);

    let counted = RLock::new(());
    let guards = [counted.acquire()?, counted.acquire()?, counted.acquire()?];
    println!("an RLock {} times: fine", guards.len());
    drop(guards);

    let accounts = Arc::new([Lock::named("a", 100), Lock::named("b", 100)]);
    let mut threads = Vec::new();
    for (from, amount) in [(0, 10), (1, 5)] {
        let accounts = Arc::clone(&accounts);
        let name = format!("transfer-{}", from + 1);
        threads.push(thread::Builder::new().name(name).spawn(move || transfer(&accounts, from, amount))?);
    }
    for thread in threads {
        thread.join()??;
    }
    println!("a has {}, b has {}", *accounts[0].acquire()?, *accounts[1].acquire()?);
    Ok(())
}

fn transfer(accounts: &[Lock<i32>; 2], from: usize, amount: i32) -> Result<(), Deadlock> {
    let to = 1 - from;
    let source = accounts[from].acquire()?;
    HOLDS_ONE[from].set();
    HOLDS_ONE[to].wait();
    // Each has what the other wants next.
    let (mut source, mut target) = match accounts[to].acquire() {
        Ok(target) => (source, target),
        Err(deadlock) => {
            println!("reported: {deadlock}");
            // Let the other pass; then begin with the lock that was missing.
            drop(source);
            let target = accounts[to].acquire()?;
            (accounts[from].acquire()?, target)
        }
    };
    *source -= amount;
    *target += amount;
    println!("{}: moved {amount}", thread::current().name());
    Ok(())
}
