//! At its end a program waits for its threads, but not for its daemons.
//!
//! From the chapter on one thread without and with the daemon flag: nobody joins the thread, and
//! the flag alone decides whether its last line is ever printed.
//!
//! `cargo run -p towline-threads --example daemon`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::io;

use towline_threads::sync::Event;
use towline_threads::thread;

static STARTED: Event = Event::new();
static MAIN_IS_DONE: Event = Event::new();
static NEVER_SET: Event = Event::new();

fn main() -> io::Result<()> {
    println!("main: starts two threads");
    // Returns when the last thread that is no daemon has ended.
    thread::run(start_threads)?;

    let daemons: Vec<String> =
        thread::enumerate().iter().filter(|thread| thread.daemon()).map(|thread| thread.name().to_owned()).collect();
    println!("main: leaves {daemons:?} behind");
    Ok(())
}

fn start_threads() -> io::Result<()> {
    for (name, daemon, until) in [("worker", false, &MAIN_IS_DONE), ("watcher", true, &NEVER_SET)] {
        thread::Builder::new().name(name).daemon(daemon).spawn(move || work(until))?;
        STARTED.wait();
        STARTED.clear();
    }
    println!("main: all done");
    MAIN_IS_DONE.set();
    Ok(())
}

fn work(until: &Event) {
    let own = thread::current();
    println!("{}: starting", own.name());
    STARTED.set();
    until.wait();
    println!("{}: finishing", own.name());
}
