//! Work for the processor alone: as many threads as there are processors are faster than one.
//!
//! From the chapter on why threads do not help such work: there one interpreter lock lets a single
//! thread run at a time, and the sum by four threads is no faster than by one. Here nothing is in
//! the way. The work: which number below a limit takes longest to come down to 1, if even numbers
//! are halved and odd ones tripled and increased?
//!
//! `cargo run -p towline-threads --example cpu_bound`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::time::{Duration, Instant};

use towline_threads::ThreadPoolExecutor;

/// Shorter work would measure the system more than itself.
const WORK_MIN: Duration = Duration::from_millis(150);
/// Small enough for the threads to end at about the same time.
const CHUNK: u64 = 2_000;

/// The number of steps, and the number that takes them.
type Longest = (u32, u64);

fn main() -> Result<(), Box<dyn Error>> {
    // As much work as this machine and this build need for a while.
    let mut limit = 20 * CHUNK;
    let (alone, longest) = loop {
        let begun = Instant::now();
        let longest = one_thread(limit);
        if begun.elapsed() >= WORK_MIN {
            break (begun.elapsed(), longest);
        }
        limit *= 2;
    };

    let processors = std::thread::available_parallelism()?.get();
    let begun = Instant::now();
    let same = many_threads(processors, limit)?;
    let together = begun.elapsed();

    println!("below {limit}: {} takes {} steps", longest.1, longest.0);
    println!("the threads agree: {}", same == longest);
    println!("one thread: {} ms", alone.as_millis());
    println!("threads, {processors} of them: {} ms", together.as_millis());
    println!("ratio: {:.2}", alone.as_secs_f64() / together.as_secs_f64());
    Ok(())
}

fn one_thread(limit: u64) -> Longest {
    (0..limit / CHUNK).map(longest_in).max().unwrap_or_default()
}

fn many_threads(threads: usize, limit: u64) -> Result<Longest, Box<dyn Error>> {
    let pool = ThreadPoolExecutor::new(threads)?;
    let mut chunks = Vec::new();
    for chunk in 0..limit / CHUNK {
        chunks.push(pool.submit(move || longest_in(chunk))?);
    }
    let mut longest = Longest::default();
    for chunk in chunks {
        longest = longest.max(chunk.result()?);
    }
    Ok(longest)
}

fn longest_in(chunk: u64) -> Longest {
    let first = chunk * CHUNK + 1;
    (first..first + CHUNK).map(|number| (steps(number), number)).max().unwrap_or_default()
}

fn steps(mut number: u64) -> u32 {
    let mut steps = 0;
    while number != 1 {
        number = if number & 1 == 0 { number / 2 } else { 3 * number + 1 };
        steps += 1;
    }
    steps
}
