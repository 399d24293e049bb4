//! Threads hand their results back through a queue.
//!
//! From the chapter on getting results out of threads: four lists are squared, each by a thread of
//! its own. A queue gives results in the order in which they come, so each says which list it is.
//!
//! `cargo run -p towline-threads --example queue_of_results`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::BTreeMap;
use std::error::Error;

use towline_threads::{Queue, thread};

fn main() -> Result<(), Box<dyn Error>> {
    let lists = [[1, 2, 3], [3, 4, 5], [4, 4, 4], [5, 5, 5]];
    println!("lists:   {lists:?}");

    let results = Queue::new();
    let mut threads = Vec::new();
    for (index, list) in lists.into_iter().enumerate() {
        let results = results.clone();
        threads.push(thread::spawn(move || results.put((index, squares(list)))));
    }
    for thread in threads {
        thread.join()??;
    }

    // Nothing more will come: `get` gives what is left and then says so.
    results.shutdown();
    let mut sorted = BTreeMap::new();
    while let Ok((index, list)) = results.get() {
        sorted.insert(index, list);
    }
    println!("squares: {:?}", sorted.into_values().collect::<Vec<_>>());
    Ok(())
}

fn squares(list: [u32; 3]) -> [u32; 3] {
    list.map(|number| number * number)
}
