//! A timer calls a function after a while, unless it is cancelled before.
//!
//! From the chapter on timers: the user is reminded after some time, and an answer that comes
//! sooner cancels the reminder. Cancelling one that has gone off does nothing and is no error.
//!
//! `cargo run -p towline-threads --example timer_cancel`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::time::Duration;

use towline_threads::sync::Event;
use towline_threads::thread;
use towline_threads::timer::Timer;

static REMINDED: Event = Event::new();

fn main() -> Result<(), Box<dyn Error>> {
    // `run` waits for threads that are left, and so it would for a timer.
    thread::run(|| -> Result<(), Box<dyn Error>> {
        let reminder = Timer::new(Duration::from_millis(20), || {
            println!("timer: are you still there?");
            REMINDED.set();
        });
        reminder.start()?;
        // This user says nothing.
        REMINDED.wait();
        reminder.cancel();
        println!("main: too late to cancel, and no harm done");

        let reminder = Timer::new(Duration::from_secs(3600), || println!("timer: an hour has gone by"));
        reminder.start()?;
        println!("main: the answer is here, the second timer is cancelled");
        reminder.cancel();
        Ok(())
    })?;
    println!("main: the end, without an hour of waiting");
    Ok(())
}
