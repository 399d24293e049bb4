//! A hundred tasks count in one map, and none of them is lost.
//!
//! From the chapter on the lock as the simplest of the tools: a pool of a hundred threads adds to a
//! counter that is kept in a map. Here the map is *inside* the lock: there is no way to it but
//! through `acquire`, and dropping the guard is the release, so neither can be forgotten.
//!
//! `cargo run -p towline-threads --example lock_counter`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use towline_threads::ThreadPoolExecutor;
use towline_threads::deadlock::Deadlock;
use towline_threads::sync::Lock;

type Visits = BTreeMap<&'static str, u32>;

const VISITS: usize = 100;
const PAGES: [&str; 4] = ["about", "contact", "help", "start"];

fn main() -> Result<(), Box<dyn Error>> {
    let visits = Arc::new(Lock::new(Visits::new()));

    let pool = ThreadPoolExecutor::new(VISITS)?;
    let mut tasks = Vec::new();
    for visit in 0..VISITS {
        let visits = Arc::clone(&visits);
        tasks.push(pool.submit(move || count(PAGES[visit % PAGES.len()], &visits))?);
    }
    for task in tasks {
        task.result()??;
    }

    let visits = visits.acquire()?;
    for (page, number) in visits.iter() {
        println!("{page}: {number}");
    }
    println!("in all: {}", visits.values().sum::<u32>());
    Ok(())
}

fn count(page: &'static str, visits: &Lock<Visits>) -> Result<(), Deadlock> {
    *visits.acquire()?.entry(page).or_default() += 1;
    Ok(())
}
