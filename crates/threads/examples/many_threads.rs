//! Several threads are started and joined by hand; what they fetch goes into one list.
//!
//! From the chapters on many threads handled by hand and on the usual course of such a program:
//! make the threads, name them, start them, collect under a lock, join them one after another.
//! The joins come in a fixed order; the ends of the threads do not.
//!
//! `cargo run -p towline-threads --example many_threads`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use towline_threads::deadlock::Deadlock;
use towline_threads::sync::Lock;
use towline_threads::thread;

const URLS: [&str; 3] =
    ["https://example.org/files/one.txt", "https://example.org/files/two.txt", "https://example.org/files/three.txt"];

fn main() -> Result<(), Box<dyn Error>> {
    let contents = Arc::new(Lock::new(Vec::new()));

    let mut threads = Vec::new();
    for (index, url) in URLS.into_iter().enumerate() {
        let name = format!("thread_{}", index + 1);
        println!("main: starts {name}");
        let contents = Arc::clone(&contents);
        threads.push(thread::Builder::new().name(name).spawn(move || download(url, &contents))?);
    }

    for thread in threads {
        let name = thread.name().to_owned();
        println!("main: waits for {name}");
        thread.join()??;
        println!("main: {name} is done");
    }

    println!("main: fetched {:?}", *contents.acquire()?);
    Ok(())
}

fn download(url: &str, contents: &Lock<Vec<String>>) -> Result<(), Deadlock> {
    let own = thread::current();
    println!("{}: starts on {url}", own.name());
    // The network takes its time, and more of it for a longer address.
    std::thread::sleep(Duration::from_millis(url.len() as u64));
    let file_name = url.rsplit('/').next().unwrap_or(url);
    contents.acquire()?.push(file_name.to_owned());
    println!("{}: has {file_name}", own.name());
    Ok(())
}
