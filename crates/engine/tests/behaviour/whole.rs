//! Whole files: every size, both protocols, with and without a length, at a limited rate.

use std::time::{Duration, Instant};

use towline_engine::Event;
use towline_engine::event::How;
use towline_origin::{Fault, Length, Origin, Resource};

use crate::common::{LONG, MIB, Place, fetch, spec, with_watchdog};

/// Around the limits between storing whole, one stream, and pieces.
const SIZES: [u64; 7] = [0, 1, 4 << 10, 64 << 10, (64 << 10) + 1, MIB, 9 * MIB + 17];

#[test]
fn every_size_arrives_over_plain_http_and_is_there_the_second_time() {
    with_watchdog(LONG, || every_size_arrives_once(false));
}

#[test]
fn every_size_arrives_over_tls_and_http2_and_is_there_the_second_time() {
    with_watchdog(LONG, || every_size_arrives_once(true));
}

fn every_size_arrives_once(is_tls: bool) {
    let mut builder = Origin::builder().tls(is_tls).http2(is_tls);
    for (size, seed) in SIZES.into_iter().zip(1..) {
        builder = builder.resource(Resource::new(format!("/{size}.bin"), seed, size));
    }
    let origin = builder.start().unwrap();
    let place = Place::new();
    let options = if is_tls { place.trusting(&origin) } else { place.options() };
    let names = SIZES.map(|size| format!("{size}.bin"));
    let expected: Vec<&str> = names.iter().map(String::as_str).collect();
    let specs = || SIZES.map(|size| spec(&origin, &format!("/{size}.bin")));

    let run = fetch(options.clone(), specs());
    run.assert_done(SIZES.len());
    for (size, seed) in SIZES.into_iter().zip(1..) {
        place.assert_content(&format!("{size}.bin"), seed, size);
    }
    assert_eq!(place.leftovers(&expected), [""; 0]);
    let finished = run.finished();
    assert!(finished.iter().all(|file| file.how == How::Fetched && file.fetched_bytes == file.bytes), "{finished:?}");
    let wanted = if is_tls { "HTTP/2" } else { "HTTP/1.1" };
    for event in &run.events {
        if let Event::Answered { protocol, .. } = event {
            assert_eq!(*protocol, Some(wanted));
        }
    }

    // Slow enough that the responses deliver little before they are aborted.
    origin.set_faults([Fault::RatePerConnection(2_000_000).into()]);
    let before = origin.stats().body_bytes;
    let run = fetch(options, specs());
    run.assert_done(SIZES.len());
    for file in run.finished() {
        assert!(file.how.was_there() && file.how != How::Skipped, "{file:?}");
        assert_eq!(file.fetched_bytes, 0, "{file:?}");
    }
    assert_eq!(run.summary().there_files, SIZES.len() as u64);
    let sent = origin.stats().body_bytes - before;
    assert!(sent < 2 * MIB, "{sent} bytes were sent for files that are there");
    assert_eq!(place.leftovers(&expected), [""; 0]);
}

#[test]
fn a_file_without_a_length_ends_where_its_body_ends() {
    with_watchdog(LONG, || {
        for is_tls in [false, true] {
            let sizes = [0, 1000, 3 * MIB];
            let mut builder = Origin::builder().tls(is_tls).http2(is_tls);
            for size in sizes {
                builder =
                    builder.resource(Resource::new(format!("/{size}.bin"), size + 1, size).length(Length::Chunked));
            }
            let origin = builder.start().unwrap();
            let place = Place::new();
            let options = if is_tls { place.trusting(&origin) } else { place.options() };
            let run = fetch(options, sizes.map(|size| spec(&origin, &format!("/{size}.bin"))));
            run.assert_done(sizes.len());
            for size in sizes {
                let name = format!("{size}.bin");
                place.assert_content(&name, size + 1, size);
                assert!(run.finished().iter().any(|file| file.path.ends_with(&name) && file.bytes == size));
            }
            let is_unknown = |event: &Event| match event {
                Event::Answered { total_bytes, path, .. } => path.ends_with("3145728.bin") && total_bytes.is_none(),
                _ => false,
            };
            assert!(run.events.iter().any(is_unknown));
            assert_eq!(place.leftovers(&["0.bin", "1000.bin", "3145728.bin"]), [""; 0]);
        }
    });
}

#[test]
fn a_rate_limit_is_kept() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(Resource::new("/a.bin", 3, 2 * MIB)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.limit_rate_bps = Some(MIB);
        let began = Instant::now();
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        let took = began.elapsed();
        run.assert_done(1);
        place.assert_content("a.bin", 3, 2 * MIB);
        assert!(took >= Duration::from_millis(1500) && took <= Duration::from_millis(3500), "{took:?}");
    });
}
