//! Many clients share a few connections; a semaphore counts what is free.
//!
//! From the chapter on semaphores: a resource of limited capacity, such as a number of connections.
//! A bounded one also notices when more is given back than was ever there.
//!
//! `cargo run -p towline-threads --example semaphore_connections`
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use towline_threads::sync::BoundedSemaphore;
use towline_threads::thread;

const CONNECTIONS: usize = 3;
const CLIENTS: usize = 8;

struct Database {
    connections: BoundedSemaphore,
    in_use: AtomicUsize,
    most_in_use: AtomicUsize,
}

impl Database {
    fn query(&self, key: usize) -> usize {
        // Given back when this goes out of scope, however that happens.
        let _connection = self.connections.acquire();
        let in_use = self.in_use.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_use.fetch_max(in_use, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5)); // the answer takes a while
        self.in_use.fetch_sub(1, Ordering::SeqCst);
        key * key
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let database = Arc::new(Database {
        connections: BoundedSemaphore::new(CONNECTIONS),
        in_use: AtomicUsize::new(0),
        most_in_use: AtomicUsize::new(0),
    });

    let taken: Vec<_> = (0..CONNECTIONS).map(|_| database.connections.acquire()).collect();
    println!("{} taken, one more now: {}", taken.len(), database.connections.try_acquire().is_some());
    let patient = database.connections.acquire_timeout(Duration::from_millis(5)).is_some();
    println!("one more within 5 ms: {patient}");
    drop(taken);
    println!("all given back, free: {}", database.connections.available());

    let mut clients = Vec::new();
    for key in 1..=CLIENTS {
        let database = Arc::clone(&database);
        clients.push(thread::spawn(move || database.query(key)));
    }
    let mut sum = 0;
    for client in clients {
        sum += client.join()?;
    }
    println!("{CLIENTS} clients were served, the answers add up to {sum}");
    println!("connections in use at most: {}", database.most_in_use.load(Ordering::SeqCst));

    let refused = database.connections.release(1).is_err();
    println!("one too many given back, refused: {refused}, free: {}", database.connections.available());
    Ok(())
}
