//! Connections that break, stall or are cut off, and servers that go away and come back.

use std::time::Duration;

use towline_engine::{ErrorKind, Event, Options, Session};
use towline_origin::{Fault, Origin, Ranges, Resource, Scope};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

const SIZE: u64 = 4 * MIB;
const AT: u64 = 700_000;

fn with_connections(place: &Place, connections: usize) -> Options {
    let mut options = place.options();
    options.connections = Some(connections);
    options.http.stall_timeout = Duration::from_millis(300);
    options.http.response_timeout = Duration::from_millis(300);
    options
}

/// The first two requests fail at a byte; the third fetches the rest.
fn one_connection_survives(fault: Fault, kind: ErrorKind) {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 11, SIZE).fault(fault.first(2))).start().unwrap();
    let place = Place::new();
    let run = fetch(with_connections(&place, 1), [spec(&origin, "/a.bin")]);
    run.assert_done(1);
    place.assert_content("a.bin", 11, SIZE);
    let retries = run.retries();
    assert!(retries.len() >= 2, "{retries:?}");
    assert!(retries.contains(&kind), "{retries:?}");
    assert_eq!(run.restarts(), 0);
    assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
}

#[test]
fn a_connection_that_is_closed_early_is_replaced_and_the_file_goes_on() {
    with_watchdog(LONG, || one_connection_survives(Fault::CutAt(AT), ErrorKind::Broken));
}

#[test]
fn a_connection_that_is_reset_is_replaced_and_the_file_goes_on() {
    with_watchdog(LONG, || one_connection_survives(Fault::ResetAt(AT), ErrorKind::Broken));
}

#[test]
fn a_connection_that_stalls_is_replaced_and_the_file_goes_on() {
    with_watchdog(LONG, || one_connection_survives(Fault::StallAt(AT, None), ErrorKind::Stalled));
}

#[test]
fn several_connections_survive_cuts_resets_and_stalls() {
    with_watchdog(LONG, || {
        let faults = [Fault::CutAt(AT), Fault::ResetAt(AT), Fault::StallAt(AT, None)];
        let mut builder = Origin::builder();
        for (fault, number) in faults.into_iter().zip(0..) {
            let resource = Resource::new(format!("/{number}.bin"), 20 + number, SIZE);
            builder = builder.resource(resource.fault(fault.first(2)));
        }
        let origin = builder.start().unwrap();
        let place = Place::new();
        let run = fetch(with_connections(&place, 4), (0..3).map(|number| spec(&origin, &format!("/{number}.bin"))));
        run.assert_done(3);
        for number in 0..3 {
            place.assert_content(&format!("{number}.bin"), 20 + number, SIZE);
        }
        assert_eq!(place.leftovers(&["0.bin", "1.bin", "2.bin"]), [""; 0]);
    });
}

#[test]
fn a_server_that_always_cuts_and_serves_no_ranges_is_given_up() {
    with_watchdog(LONG, || {
        let resource = Resource::new("/a.bin", 12, MIB).ranges(Ranges::Refused).fault(Fault::CutAt(300_000));
        let origin = Origin::builder().resource(resource).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 2;
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Broken]);
        assert_eq!(run.failures()[0].attempts, 3);
        assert_eq!(run.retries(), [ErrorKind::Broken, ErrorKind::Broken]);
        assert_eq!(origin.stats().requests, 3);
        assert!(!place.file("a.bin").exists());
    });
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_gone_on_with() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let origin = Origin::builder()
            .resource(Resource::new("/a.bin", 13, size))
            .fault(Fault::RatePerConnection(3_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let mut live = Live::start(Session::builder(options));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for_share(30);
        origin.stop();
        live.wait_for("a retry", |event| matches!(event, Event::Retrying { .. }));
        origin.restart().unwrap();
        let run = live.end();
        run.assert_done(1);
        place.assert_content("a.bin", 13, size);
        assert_eq!(run.restarts(), 0);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

/// A network that forgot one idle connection has forgotten the others too.
#[test]
fn a_kept_connection_that_went_silent_is_not_replaced_by_another_that_was_kept() {
    with_watchdog(LONG, || {
        let mut builder = Origin::builder();
        for number in 0..3 {
            builder = builder.resource(Resource::new(format!("/{number}.bin"), 60 + number, SIZE));
        }
        for connection in 1..=2 {
            let scope = Scope::every().only_connection(connection).starting_at(3);
            builder = builder.fault(Fault::StallAt(0, None).when(scope));
        }
        // The first two start at once, over two connections, and the third when both are done.
        let origin = builder.fault(Fault::RatePerConnection(8_000_000)).start().unwrap();
        let place = Place::new();
        let mut options = with_connections(&place, 1);
        options.http.retries = 1;
        let mut live = Live::start(Session::builder(options));
        live.handle.add(spec(&origin, "/0.bin")).unwrap();
        live.handle.add(spec(&origin, "/1.bin")).unwrap();
        for _ in 0..2 {
            live.wait_for("both", |event| matches!(event, Event::Finished { .. }));
        }
        live.handle.add(spec(&origin, "/2.bin")).unwrap();
        live.handle.close();
        let run = live.end();
        run.assert_done(3);
        place.assert_content("2.bin", 62, SIZE);
    });
}
