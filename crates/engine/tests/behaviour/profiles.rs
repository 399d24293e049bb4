//! Jobs with their own connection options: proxies and TLS. A connection serves only jobs with equal options.
//! Also the rate limit per host.

use std::io::{Read, Write};
use std::net::TcpListener;

use towline_engine::options::ProxyChoice;
use towline_engine::{ErrorKind, Event, JobId, Session};
use towline_origin::Origin;

use crate::common::{LONG, Live, Place, fetch, spec, with_watchdog};

const BYTES: u64 = 40_000;

#[test]
fn what_one_job_accepts_serves_no_other() {
    with_watchdog(LONG, || {
        for http2 in [false, true] {
            let origin = Origin::builder().tls(true).http2(http2).files("/{}.bin", 8, BYTES, 30).start().unwrap();
            let place = Place::new();
            let authority = place.trusting(&origin).http.ca_file.unwrap();
            let mut options = place.options();
            // One after the other, so that a connection is idle when the next job needs one.
            (options.jobs, options.http.retries) = (1, 0);
            let of = |number: u32| spec(&origin, &format!("/{number}.bin"));
            let specs = [
                of(0).insecure(true),
                of(1),
                of(2).insecure(true),
                of(3).insecure(false),
                of(4).ca_file(&authority),
                of(5),
                of(6).ca_file(&authority),
            ];
            let run = fetch(options, specs);
            assert_eq!(run.failure_kinds(), [ErrorKind::Tls; 3], "HTTP/2 {http2}");
            for number in [0, 2, 4, 6_u32] {
                place.assert_content(&format!("{number}.bin"), 30 + u64::from(number), BYTES);
            }
            let mut paths: Vec<_> = origin.requests().into_iter().map(|request| request.path).collect();
            paths.sort();
            paths.dedup();
            assert_eq!(paths, ["/0.bin", "/2.bin", "/4.bin", "/6.bin"], "HTTP/2 {http2}");
        }
    });
}

/// A proxy that responds to each request itself. Returns its URL.
fn proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let is_for_proxy = head.starts_with(b"GET http://");
                let text = if is_for_proxy { "by proxy" } else { "directly" };
                let length = text.len();
                let _ =
                    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}");
            });
        }
    });
    url
}

#[test]
fn a_job_has_a_proxy_of_its_own() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 4, BYTES, 50).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        (options.jobs, options.http.retries) = (1, 0);
        let through = ProxyChoice::parse(&proxy(), "").unwrap();
        let run = fetch(
            options,
            [
                spec(&origin, "/0.bin"),
                spec(&origin, "/1.bin").proxy(through.clone()),
                spec(&origin, "/2.bin"),
                spec(&origin, "/3.bin").proxy(through),
            ],
        );
        run.assert_done(4);
        place.assert_content("0.bin", 50, BYTES);
        place.assert_content("2.bin", 52, BYTES);
        for name in ["1.bin", "3.bin"] {
            assert_eq!(std::fs::read(place.file(name)).unwrap(), b"by proxy");
        }
        assert!(origin.requests().iter().all(|request| ["/0.bin", "/2.bin"].contains(&request.path.as_str())));
    });
}

#[test]
fn a_proxy_of_its_own_that_cannot_be_used_is_no_direct_way() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 3, BYTES, 60).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 0;
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let dead = ProxyChoice::parse(&format!("http://{closed}"), "").unwrap();
        let missing = place.beside("no-such-authority.pem");
        let specs =
            [spec(&origin, "/0.bin").proxy(dead), spec(&origin, "/1.bin").ca_file(missing), spec(&origin, "/2.bin")];
        let run = fetch(options, specs);
        let mut kinds = run.failure_kinds();
        kinds.sort_by_key(|kind| kind.name());
        assert_eq!(kinds, [ErrorKind::Proxy, ErrorKind::Usage]);
        place.assert_content("2.bin", 62, BYTES);
        assert!(origin.requests().iter().all(|request| request.path == "/2.bin"));
    });
}

#[test]
fn a_host_is_limited_for_all_its_files_and_no_other_host_is() {
    with_watchdog(LONG, || {
        let (size, bps) = (300_000, 400_000);
        let slow = Origin::builder().files("/{}.bin", 4, size, 70).start().unwrap();
        let other = Origin::builder().files("/other{}.bin", 1, size, 80).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.limit_rate_per_host_bps = Some(bps);
        let live = Live::start(Session::builder(options));
        for number in 0..4 {
            live.handle.add(spec(&slow, &format!("/{number}.bin"))).unwrap();
        }
        let free = live.handle.add(spec(&other, "/other0.bin")).unwrap();
        live.handle.close();
        let run = live.end();
        run.assert_done(5);
        let seconds = |of: fn(JobId, JobId) -> bool| {
            let ended = run.events.iter().filter_map(|event| match event {
                Event::Finished { job, seconds, .. } if of(*job, free) => Some(*seconds),
                _ => None,
            });
            ended.fold(0.0, f64::max)
        };
        // A burst of 50 ms passes at once, and nobody waits after the last bytes of a file.
        let least = 4.0 * size as f64 / bps as f64 / 2.0;
        let last = seconds(|job, free| job != free);
        assert!(last >= least, "the host's files took {last} s");
        // One host's limit is not the other's: with it, its file would have had its share of the time.
        assert!(seconds(|job, free| job == free) < last, "the other host waited too");
    });
}
