//! A thread with a name: it is started, it is joined, and then the program looks at who is running.
//!
//! From the first chapter on threads: one thread does a job, the main thread waits for it and
//! lists what runs. What the job returns, also a panic, is what the join gives.
//!
//! `cargo run -p towline-threads --example start_and_join`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;

use towline_threads::thread;

fn main() -> Result<(), Box<dyn Error>> {
    println!("main: starts a thread");
    let worker = thread::Builder::new().name("thread_job").spawn(thread_job)?;

    // Blocks until the thread has ended.
    let letters = worker.join()?;
    println!("main: the name has {letters} letters");

    println!("main: threads running now: {}", thread::active_count());
    let names: Vec<String> = thread::enumerate().iter().map(|thread| thread.name().to_owned()).collect();
    println!("main: their names are {names:?}");
    println!("main: this one is {}", thread::current().name());

    // A panic ends its own thread and no other; it is not lost.
    let unlucky = thread::spawn::<(), _>(|| panic!("out of luck"));
    if let Err(error) = unlucky.join() {
        println!("main: {error}");
    }
    Ok(())
}

fn thread_job() -> usize {
    let own = thread::current();
    println!("{}: starts, and {} threads are running", own.name(), thread::active_count());
    println!("{}: ends", own.name());
    own.name().chars().filter(|letter| letter.is_alphabetic()).count()
}
