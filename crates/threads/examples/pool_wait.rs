//! Waiting for many tasks: until all are done, until one is, or until one has failed.
//!
//! From the chapter on `wait`: it takes the tasks, a condition and a timeout, and tells those that
//! are done from those that are not.
//!
//! `cargo run -p towline-threads --example pool_wait`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use towline_threads::executor::{Future, ReturnWhen, TaskError, wait};
use towline_threads::sync::Event;
use towline_threads::{CancelReason, CancelToken, ThreadPoolExecutor};

fn main() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPoolExecutor::new(3)?;
    let answers: [Arc<Event>; 3] = Default::default();
    let mut futures = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let answer = Arc::clone(answer);
        futures.push(pool.submit(move || {
            answer.wait();
            index + 1
        })?);
    }

    let waited = wait(futures, ReturnWhen::AllCompleted, Some(Duration::from_millis(5)));
    println!("after 5 ms: {} done, {} not", waited.done.len(), waited.not_done.len());

    answers[1].set();
    let waited = wait(waited.not_done, ReturnWhen::FirstCompleted, None);
    println!("the first to be done: {:?}", videos(waited.done)?);

    answers[0].set();
    answers[2].set();
    let waited = wait(waited.not_done, ReturnWhen::AllCompleted, None);
    println!("all the others: {:?}, left: {}", videos(waited.done)?, waited.not_done.len());

    first_failure(&pool)
}

/// Where one failure makes the rest pointless, the rest can be told to stop.
fn first_failure(pool: &ThreadPoolExecutor) -> Result<(), Box<dyn Error>> {
    let token = CancelToken::new();
    let told = token.clone();
    let patient = pool.submit(move || told.wait())?;
    let hopeless = pool.submit(|| -> CancelReason { panic!("no such video") })?;

    let waited = wait([patient, hopeless], ReturnWhen::FirstException, None);
    for future in waited.done {
        if let Err(error) = future.result() {
            println!("the wait is over: {error}");
        }
    }
    token.cancel(CancelReason::Failed);
    for future in waited.not_done {
        println!("the other one: {}", future.result()?);
    }
    Ok(())
}

fn videos(done: Vec<Future<usize>>) -> Result<Vec<usize>, TaskError> {
    let mut videos = done.into_iter().map(Future::result).collect::<Result<Vec<_>, _>>()?;
    videos.sort_unstable();
    Ok(videos)
}
