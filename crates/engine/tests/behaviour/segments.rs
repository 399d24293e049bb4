//! Several connections for one file: that they are used, that their limit is kept, and what happens if the
//! server does not support ranges.

use std::collections::HashSet;

use towline_origin::{Above, Fault, Origin, Ranges, Resource};

use crate::common::{LONG, MIB, Place, fetch, spec, with_watchdog};

#[test]
fn eight_connections_bring_one_file_and_little_of_it_twice() {
    with_watchdog(LONG, || {
        let size = 32 * MIB;
        let origin = Origin::builder()
            .resource(Resource::new("/a.iso", 5, size))
            .fault(Fault::RatePerConnection(4_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(8);
        let max_per_host = options.max_per_host as u64;
        let run = fetch(options, [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        place.assert_content("a.iso", 5, size);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
        assert_eq!(run.ranges(), [true]);

        let stats = origin.stats();
        assert!(stats.connections_peak >= 8, "{} connections at most", stats.connections_peak);
        assert!(stats.connections_peak <= max_per_host, "{} connections", stats.connections_peak);
        assert!(stats.body_bytes <= size + size / 4, "{} bytes were sent for {size}", stats.body_bytes);
        let requests = origin.requests();
        let starts: HashSet<&str> = requests
            .iter()
            .filter(|request| request.status == 206)
            .filter_map(|request| request.range.as_deref()?.split('-').next())
            .collect();
        assert!(starts.len() >= 7, "only {} ranges were asked for", starts.len());
    });
}

#[test]
fn the_caps_on_connections_are_exact() {
    with_watchdog(LONG, || {
        for (max_per_host, max_connections, expected) in [(3, 64, 3), (16, 2, 2)] {
            let origin = Origin::builder()
                .files("/{}.bin", 16, 100_000, 40)
                .fault(Fault::RatePerConnection(4_000_000))
                .start()
                .unwrap();
            let place = Place::new();
            let mut options = place.options();
            // A second worker would take over connections, and each closes its own a little later.
            options.threads = 1;
            options.max_per_host = max_per_host;
            options.max_connections = max_connections;
            let run = fetch(options, (0..16).map(|number| spec(&origin, &format!("/{number}.bin"))));
            run.assert_done(16);
            for number in 0..16 {
                place.assert_content(&format!("{number}.bin"), 40 + number, 100_000);
            }
            let peak = origin.stats().connections_peak;
            assert_eq!(peak, expected, "with {max_per_host} a host and {max_connections} in all");
        }
    });
}

#[test]
fn a_server_that_ignores_ranges_brings_the_file_in_one_stream() {
    with_watchdog(LONG, || {
        let size = 6 * MIB;
        let origin = Origin::builder()
            .resource(Resource::new("/a.iso", 6, size).ranges(Ranges::Ignored))
            .fault(Fault::RatePerConnection(6_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let run = fetch(options, [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        place.assert_content("a.iso", 6, size);
        assert_eq!(run.ranges(), [false]);
        assert_eq!(run.restarts(), 0);
        let whole = origin.requests().iter().filter(|request| request.range.is_none()).count();
        assert_eq!(whole, 1, "the first stream was given up");
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn a_server_that_refuses_ranges_is_not_asked_for_any() {
    with_watchdog(LONG, || {
        let size = 4 * MIB;
        let origin = Origin::builder()
            .resource(Resource::new("/a.iso", 7, size).ranges(Ranges::Refused))
            .fault(Fault::RatePerConnection(8_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let run = fetch(options, [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        place.assert_content("a.iso", 7, size);
        let requests = origin.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert_eq!(requests[0].range, None);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn a_server_that_serves_two_connections_gets_about_two() {
    with_watchdog(LONG, || {
        let size = 6 * MIB;
        let limit = Fault::ConnectionLimit { max: 2, above: Above::Unavailable };
        let origin = Origin::builder()
            .resource(Resource::new("/a.iso", 8, size))
            .fault(limit)
            .fault(Fault::RatePerConnection(4_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(8);
        let run = fetch(options, [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        place.assert_content("a.iso", 8, size);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
        // The first eight are tried; after that, it stops insisting.
        let refused = origin.requests().iter().filter(|request| request.status == 503).count();
        assert!((1..=12).contains(&refused), "{refused} requests were refused");
    });
}
