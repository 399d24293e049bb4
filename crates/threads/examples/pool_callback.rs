//! A function that is called when a task is done, whichever way it ends.
//!
//! From the chapter on what a future can do: callbacks are added to it. They are told how the task
//! ended; the result itself belongs to whoever owns the future.
//!
//! `cargo run -p towline-threads --example pool_callback`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use towline_threads::executor::FutureStatus;
use towline_threads::sync::Event;
use towline_threads::{ThreadPoolExecutor, thread};

fn main() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("pool").build()?;
    let answer = Arc::new(Event::new());
    let waits = Arc::clone(&answer);
    let download = pool.submit(move || {
        waits.wait();
        42
    })?;
    let broken = pool.submit(|| -> u32 { panic!("not a video") })?;
    let unwanted = pool.submit(|| 0)?;

    // In the order in which they are added, in the thread that makes the task done.
    download.add_done_callback(|status| tell("download, first callback", status));
    download.add_done_callback(|status| tell("download, second callback", status));
    broken.add_done_callback(|status| tell("broken", status));
    unwanted.add_done_callback(|status| tell("unwanted", status));

    // The only worker is busy. This one is done all the same, at once and for everybody.
    unwanted.cancel();

    answer.set();
    // Returns when the worker has ended, and so after all callbacks.
    pool.shutdown(true, false);
    // Too late to wait for: called here and now.
    download.add_done_callback(|status| tell("download, late callback", status));
    println!("result: {}", download.result()?);
    Ok(())
}

fn tell(what: &str, status: FutureStatus) {
    println!("{what}: {status:?}, says {}", thread::current().name());
}
