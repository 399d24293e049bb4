//! Tasks are taken in the order in which they are done: pieces of a file, each put in its place.
//!
//! From the chapter on `as_completed`, five downloads by two workers, and from the downloader at
//! the end of that text, which writes each piece at its offset as soon as it is there. The server
//! here answers in an order of its own; two pieces are under way at any time.
//!
//! `cargo run -p towline-threads --example pool_as_completed`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;

use towline_threads::ThreadPoolExecutor;
use towline_threads::executor::as_completed;
use towline_threads::sync::Event;

const FILE: &str = "The pieces come in any order and end up where they belong.";
const PIECE_BYTES: usize = 12;
/// Each piece in it is under way when its turn comes: it is one of the first two that are left.
const ORDER_OF_ANSWERS: [usize; 5] = [1, 2, 0, 4, 3];

struct Piece {
    offset: usize,
    bytes: &'static [u8],
}

fn main() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPoolExecutor::new(2)?;
    let answers: [Arc<Event>; 5] = Default::default();
    let mut futures = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        let answer = Arc::clone(answer);
        futures.push(pool.submit(move || {
            answer.wait();
            fetch(number * PIECE_BYTES)
        })?);
    }

    let mut file = vec![b'.'; FILE.len()];
    let mut completed = as_completed(futures);
    for number in ORDER_OF_ANSWERS {
        answers[number].set();
        let future = completed.next().ok_or("a piece is missing")?;
        let Piece { offset, bytes } = future.result()?;
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        println!("{}", str::from_utf8(&file)?);
    }
    println!("every piece is there: {}", completed.next().is_none());
    Ok(())
}

fn fetch(offset: usize) -> Piece {
    let end = FILE.len().min(offset + PIECE_BYTES);
    Piece { offset, bytes: &FILE.as_bytes()[offset..end] }
}
