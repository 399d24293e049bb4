//! Rates and latencies, measured from the client's side.

use std::time::{Duration, Instant};

use towline_origin::{Fault, Origin, Resource};

use crate::client::Client;

/// Fails unless `elapsed` is half a second, give or take a quarter.
fn assert_half_a_second(elapsed: Duration) {
    let range = Duration::from_millis(375)..Duration::from_millis(625);
    assert!(range.contains(&elapsed), "{elapsed:?}");
}

fn origin(fault: Fault) -> Origin {
    Origin::builder().resource(Resource::new("/a.bin", 7, 200_000)).fault(fault).start().unwrap()
}

#[test]
fn the_rate_of_a_connection_is_kept_over_its_requests() {
    let origin = origin(Fault::RatePerConnection(800_000));
    let mut client = Client::connect(&origin);
    let start = Instant::now();
    for _ in 0..2 {
        client.get("/a.bin").assert_content(7, 0, 200_000);
    }
    assert_half_a_second(start.elapsed());
}

#[test]
fn the_rate_of_the_server_is_shared_by_connections() {
    let origin = origin(Fault::RatePerServer(800_000));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let answer = Client::connect(&origin).get("/a.bin");
                answer.assert_content(7, 0, 200_000);
            });
        }
    });
    assert_half_a_second(start.elapsed());
}

#[test]
fn a_trickle_is_the_rate_of_a_response() {
    let origin = origin(Fault::Trickle { bytes_per_sec: 400_000 });
    let start = Instant::now();
    Client::connect(&origin).get("/a.bin").assert_content(7, 0, 200_000);
    assert_half_a_second(start.elapsed());
}

#[test]
fn latency_comes_before_the_first_byte() {
    let pause = Duration::from_millis(80);
    let origin = origin(Fault::Latency(pause));
    let start = Instant::now();
    assert_eq!(Client::connect(&origin).get("/a.bin").status, 200);
    assert!(start.elapsed() >= pause);
}
