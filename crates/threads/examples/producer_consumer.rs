//! A producer and a consumer with a small queue between them, and an event that ends it all.
//!
//! From the chapter on producer and consumer, where its text breaks off: messages come at their own
//! pace, the queue holds a few of them, and the main thread says when it is enough. Nothing that was
//! produced is lost: the queue is shut down behind the last message, not before it.
//!
//! `cargo run -p towline-threads --example producer_consumer`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use towline_threads::queue::{PutError, TaskDoneError};
use towline_threads::sync::Event;
use towline_threads::{Queue, thread};

const ENOUGH: u32 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let pipeline = Queue::bounded(4);
    let (enough, stop) = (Arc::new(Event::new()), Arc::new(Event::new()));

    let (messages, told) = (pipeline.clone(), Arc::clone(&stop));
    let producer = thread::spawn(move || produce(&messages, &told));
    let (messages, tells) = (pipeline.clone(), Arc::clone(&enough));
    let consumer = thread::spawn(move || consume(&messages, &tells));

    enough.wait();
    println!("main: that will do");
    stop.set();

    let produced = producer.join()??;
    // Not until the queue is empty, but until the work on its messages is done.
    pipeline.join();
    println!("main: produced {produced}, unfinished {}", pipeline.unfinished());
    println!("main: consumed {}", consumer.join()??);
    Ok(())
}

fn produce(messages: &Queue<u32>, stop: &Event) -> Result<u32, PutError<u32>> {
    let mut produced = 0;
    while !stop.is_set() {
        produced += 1;
        messages.put(produced)?; // waits while the queue is full
    }
    messages.shutdown();
    Ok(produced)
}

fn consume(messages: &Queue<u32>, enough: &Event) -> Result<u32, TaskDoneError> {
    let mut consumed = 0;
    while let Ok(message) = messages.get() {
        consumed += 1;
        if consumed <= ENOUGH {
            println!("consumer: message {message}");
        }
        if consumed == ENOUGH {
            enough.set();
        }
        messages.task_done()?;
    }
    Ok(consumed)
}
