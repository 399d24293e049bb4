//! Optional requests (a trial of ranges, an extra connection) never fail a file that one stream can fetch.

use std::io::Cursor;

use towline_engine::feed::ListSource;
use towline_engine::options::HttpVersion;
use towline_engine::{Options, Session};
use towline_origin::{Above, Fault, Origin, Page, Resource, Rule, Scope};

use crate::common::{LONG, Live, MIB, Place, fetch, fetch_list, spec, with_watchdog};

const SIZE: u64 = 6 * MIB;
/// Slow enough that ranges are tried long before the first stream has everything.
const RATE_PER_CONNECTION: u64 = 3_000_000;

fn options(place: &Place, connections: usize) -> Options {
    let mut options = place.options();
    options.connections = Some(connections);
    options
}

/// The file completes, whatever happens to the requests after the first.
fn comes_all_the_same(what: &str, rules: &[Rule], requests_max: usize) {
    let mut builder = Origin::builder().resource(Resource::new("/a.bin", 7, SIZE));
    for rule in rules {
        builder = builder.fault(rule.clone());
    }
    let origin = builder.fault(Fault::RatePerConnection(RATE_PER_CONNECTION)).start().unwrap();
    let place = Place::new();
    let run = fetch(options(&place, 4), [spec(&origin, "/a.bin")]);
    run.assert_done(1);
    assert_eq!(run.restarts(), 0, "{what}");
    place.assert_content("a.bin", 7, SIZE);
    assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{what}");
    let asked = origin.requests().iter().filter(|request| !request.is_conditional()).count();
    assert!(asked <= requests_max, "{what}: {asked} requests");
}

fn status(code: u16) -> Fault {
    Fault::Status { code, times: None, retry_after: None }
}

#[test]
fn ranges_may_be_refused_with_any_status() {
    with_watchdog(LONG * 2, || {
        for code in [400, 401, 403, 404, 405, 410, 416, 429, 500, 501, 503] {
            // The whole file, three ranges at once, and two more trials of those that may pass.
            comes_all_the_same(&code.to_string(), &[status(code).when(Scope::every().only_ranges())], 6);
        }
    });
}

#[test]
fn ranges_may_be_refused_with_anything_else() {
    with_watchdog(LONG * 2, || {
        let ranges = || Scope::every().only_ranges();
        comes_all_the_same("a page", &[Fault::Page(Page::html("<html>no</html>")).when(ranges())], 5);
        comes_all_the_same("nonsense", &[Fault::Raw(b"no HTTP at all\r\n\r\n".to_vec()).when(ranges())], 5);
        comes_all_the_same("a cut", &[Fault::CutAt(0).when(ranges())], 5);
        let nowhere = Fault::Redirect { status: 302, location: "http://127.0.0.1:1/".to_owned() };
        let circle = Fault::Redirect { status: 302, location: "/a.bin".to_owned() };
        comes_all_the_same("a redirect to itself", &[circle.when(ranges())], 14);
        comes_all_the_same("a redirect to nowhere", &[nowhere.when(ranges())], 8);
    });
}

#[test]
fn a_link_that_works_once_brings_its_file() {
    with_watchdog(LONG, || {
        for code in [403, 404, 410] {
            // Its server offers ranges, so that three more are requested at once.
            comes_all_the_same(&code.to_string(), &[status(code).when(Scope::every().starting_at(2))], 4);
        }
    });
}

#[test]
fn one_connection_is_enough_for_a_large_file_whatever_is_said_to_others() {
    with_watchdog(LONG * 2, || {
        let limits = [Above::Reset, Above::Close, Above::Unavailable, Above::Status { code: 403, retry_after: None }];
        for above in limits {
            let limit = Fault::ConnectionLimit { max: 1, above };
            comes_all_the_same(&format!("{above:?}"), &[limit.into()], 12);
        }
    });
}

#[test]
fn one_connection_is_enough_for_a_list() {
    const FILES: u64 = 24;
    with_watchdog(LONG * 2, || {
        for above in [Above::Reset, Above::Close, Above::Unavailable] {
            let origin = Origin::builder()
                .files("/{}.bin", FILES, 3000, 70)
                .fault(Fault::ConnectionLimit { max: 1, above })
                .start()
                .unwrap();
            let place = Place::new();
            let list: String = (0..FILES).map(|number| origin.url(&format!("/{number}.bin")) + "\n").collect();
            let run = fetch_list(place.options(), ListSource::Reader(Box::new(Cursor::new(list.into_bytes()))), false);
            run.assert_done(FILES as usize);
            for number in 0..FILES {
                place.assert_content(&format!("{number}.bin"), 70 + number, 3000);
            }
        }
    });
}

/// Ways in which ranges fail that work at first, or whose responses at least start.
fn failing_ranges() -> Vec<(&'static str, Vec<Rule>)> {
    let ranges = || Scope::every().only_ranges();
    let later = |from| Scope::every().only_ranges().starting_at(from);
    vec![
        ("each breaks off at once", vec![Fault::CutAt(100).when(ranges())]),
        ("each is reset", vec![Fault::ResetAt(1000).when(ranges())]),
        ("refused from the third on", vec![status(403).when(later(3))]),
        ("not found from the fourth on", vec![status(404).when(later(4))]),
        ("unavailable from the third on", vec![status(503).when(later(3))]),
        ("nonsense from the third on", vec![Fault::Raw(b"no HTTP at all\r\n\r\n".to_vec()).when(later(3))]),
        ("cut from the third on", vec![Fault::CutAt(0).when(later(3))]),
    ]
}

#[test]
fn ranges_that_fail_for_good_after_some_leave_one_stream() {
    with_watchdog(LONG * 3, || {
        for (what, rules) in failing_ranges() {
            let mut builder = Origin::builder().resource(Resource::new("/a.bin", 7, SIZE));
            for rule in rules {
                builder = builder.fault(rule);
            }
            let origin = builder.fault(Fault::RatePerConnection(RATE_PER_CONNECTION)).start().unwrap();
            let place = Place::new();
            let mut options = options(&place, 4);
            options.http.retries = 2;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            assert_eq!(run.summary().done_files, 1, "{what}: {:?}", run.failure_kinds());
            assert_eq!(run.restarts(), 0, "{what}");
            place.assert_content("a.bin", 7, SIZE);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{what}");
            assert!(origin.requests().len() <= 60, "{what}: {} requests", origin.requests().len());
        }
    });
}

#[test]
fn a_part_whose_ranges_always_fail_is_completed_by_one_stream() {
    with_watchdog(LONG * 2, || {
        for connections in [1, 4] {
            for fault in [Fault::CutAt(100), Fault::ResetAt(1000), status(500)] {
                let resource = Resource::new("/a.bin", 7, SIZE);
                let slow = Fault::RatePerConnection(RATE_PER_CONNECTION);
                let origin = Origin::builder().resource(resource).fault(slow.clone()).start().unwrap();
                let place = Place::new();
                let mut options = options(&place, connections);
                options.http.retries = 2;
                let mut live = Live::start(Session::builder(options.clone()));
                live.handle.add(spec(&origin, "/a.bin")).unwrap();
                live.wait_for_share(30);
                live.handle.stop();
                live.end();
                let what = format!("{fault:?}, {connections} connections");
                origin.set_faults([fault.when(Scope::every().only_ranges())]);
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                assert_eq!(run.summary().done_files, 1, "{what}: {:?}", run.failure_kinds());
                assert_eq!(run.restarts(), 0, "{what}");
                place.assert_content("a.bin", 7, SIZE);
            }
        }
    });
}

#[test]
fn one_stream_of_a_connection_is_enough_for_a_large_file() {
    with_watchdog(LONG * 2, || {
        for rule in [
            Fault::RefuseStream(7).when(Scope::every().only_ranges()),
            Fault::RefuseStream(7).when(Scope::every().only_ranges().starting_at(3)),
            Fault::RefuseStream(11).when(Scope::every().only_ranges()),
        ] {
            let what = format!("{rule:?}");
            let origin = Origin::builder()
                .tls(true)
                .http2(true)
                .resource(Resource::new("/a.bin", 7, SIZE))
                .fault(rule)
                .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
                .start()
                .unwrap();
            let place = Place::new();
            let mut options = place.trusting(&origin);
            options.connections = Some(4);
            options.http.version = HttpVersion::Http2;
            options.http.retries = 2;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            assert_eq!(run.summary().done_files, 1, "{what}: {:?}", run.failure_kinds());
            place.assert_content("a.bin", 7, SIZE);
            assert!(origin.requests().len() <= 60, "{what}: {} requests", origin.requests().len());
        }
    });
}
