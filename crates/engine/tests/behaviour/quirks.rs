//! What servers and CDNs do that HTTP forbids or leaves open: the file still completes, in one version, and no
//! existing data is fetched again needlessly.

use std::time::{Duration, Instant, SystemTime};

use towline_engine::{ErrorKind, Event, JobSpec, Options, Session};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, RequestLog, Resource, Scope};

use crate::common::{LONG, Live, MIB, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 8 * MIB;
const RATE_PER_CONNECTION: u64 = 2_000_000;
const PATH: &str = "/a.iso";

fn origin(resource: Resource) -> Origin {
    Origin::builder().resource(resource).fault(Fault::RatePerConnection(RATE_PER_CONNECTION)).start().unwrap()
}

fn options(place: &Place) -> Options {
    let mut options = place.options();
    options.connections = Some(4);
    options
}

/// Fetches the file and fails unless it is this content.
fn fetch_well(place: &Place, origin: &Origin, seed: u64, size: u64) -> Run {
    let run = fetch(options(place), [spec(origin, PATH)]);
    run.assert_done(1);
    place.assert_content("a.iso", seed, size);
    assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    run
}

/// Stops a session once more than 40 % of its one file has arrived; returns how many bytes are kept.
fn begin_and_stop(place: &Place, job: JobSpec) -> u64 {
    let mut live = Live::start(Session::builder(options(place)));
    live.handle.add(job).unwrap();
    live.handle.close();
    live.wait_for_share(40);
    live.handle.stop();
    let kept_bytes = live.end().summary().kept_bytes;
    assert!(kept_bytes > SIZE / 4 && kept_bytes < SIZE, "{kept_bytes} bytes are kept");
    kept_bytes
}

/// Fails unless what was kept stayed and only the rest was fetched.
fn assert_went_on(run: &Run, kept_bytes: u64) {
    assert_eq!((run.restarts(), run.resumed_bytes()), (0, kept_bytes));
    assert_eq!(run.finished()[0].fetched_bytes, SIZE - kept_bytes);
}

/// How many requests from number `from` on match.
fn count(origin: &Origin, from: usize, fits: impl Fn(&RequestLog) -> bool) -> usize {
    origin.requests()[from..].iter().filter(|request| fits(request)).count()
}

fn warns(run: &Run, text: &str) -> bool {
    run.events.iter().any(|event| matches!(event, Event::Warning { message, .. } if message.contains(text)))
}

#[test]
fn if_range_that_is_answered_with_the_whole_file_is_left_out_from_then_on() {
    with_watchdog(LONG, || {
        let origin = origin(Resource::new(PATH, 801, SIZE).fault(Fault::IgnoreIfRange));
        let place = Place::new();
        let run = fetch_well(&place, &origin, 801, SIZE);
        assert_eq!((run.ranges(), run.restarts()), (vec![true], 0));
        // As many as are requested at once.
        assert!((1..=3).contains(&count(&origin, 0, |request| request.header("if-range").is_some())));
        assert_eq!(count(&origin, 0, |request| request.range.is_none()), 1);
    });
}

#[test]
fn a_stopped_file_goes_on_although_if_range_is_answered_with_the_whole_file() {
    with_watchdog(LONG, || {
        let origin = origin(Resource::new(PATH, 802, SIZE));
        let place = Place::new();
        let kept_bytes = begin_and_stop(&place, spec(&origin, PATH));
        origin.set_resource(Resource::new(PATH, 802, SIZE).fault(Fault::IgnoreIfRange));
        let asked = origin.requests().len();
        let run = fetch_well(&place, &origin, 802, SIZE);
        assert_went_on(&run, kept_bytes);
        assert_eq!(count(&origin, asked, |request| request.range.is_none()), 0);
    });
}

#[test]
fn ranges_that_are_ignored_now_and_then_are_asked_for_again() {
    with_watchdog(LONG, || {
        let ignores = Fault::IgnoreRange.when(Scope::every().starting_at(3).only_ranges().now_and_then(30, 3));
        // A settled date identifies the version.
        let origin = origin(Resource::new(PATH, 803, SIZE).etag(ETag::None).fault(ignores));
        let place = Place::new();
        let mut options = options(&place);
        options.piece_size_bytes = 256 << 10;
        let run = fetch(options, [spec(&origin, PATH)]);
        run.assert_done(1);
        place.assert_content("a.iso", 803, SIZE);
        assert_eq!((run.ranges(), run.restarts()), (vec![true], 0));
        assert!(count(&origin, 0, |request| request.range.is_some() && request.status == 200) > 0);
        assert_eq!(count(&origin, 0, |request| request.range.is_none()), 1);
    });
}

#[test]
fn a_stopped_file_loses_nothing_where_ranges_are_ignored_since() {
    with_watchdog(LONG, || {
        let first = origin(Resource::new(PATH, 804, SIZE));
        let place = Place::new();
        let kept_bytes = begin_and_stop(&place, spec(&first, PATH));
        first.set_resource(Resource::new(PATH, 804, SIZE).ranges(Ranges::Ignored));

        // One stream from the first byte overwrites existing data; if it breaks off, nothing is lost.
        let mut live = Live::start(Session::builder(options(&place)));
        live.handle.add(spec(&first, PATH)).unwrap();
        live.wait_for("the end of ranges", |event| matches!(event, Event::Ranges { segmented: false, .. }));
        live.handle.stop();
        let run = live.end();
        assert_eq!((run.restarts(), run.summary().kept_bytes), (0, kept_bytes));

        let asked = first.requests().len();
        let run = fetch_well(&place, &first, 804, SIZE);
        assert_went_on(&run, kept_bytes);
        assert_eq!(run.ranges(), [false]);
        assert_eq!(count(&first, asked, |request| request.range.is_none()), 1);
        // Once with If-Range, and a few times without.
        assert!(
            (2..=4).contains(&count(&first, asked, |request| request.range.is_some() && !request.is_conditional()))
        );
    });
}

#[test]
fn a_weak_tag_is_compared_and_never_sent() {
    with_watchdog(LONG, || {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let weak = |seed, seconds| {
            let resource = Resource::new(PATH, seed, SIZE).etag(ETag::Custom("W/\"same\"".to_owned()));
            resource.last_modified(at(seconds))
        };
        let origin = origin(weak(805, 1_000_000_000));
        let place = Place::new();
        let kept_bytes = begin_and_stop(&place, spec(&origin, PATH));
        let run = fetch_well(&place, &origin, 805, SIZE);
        assert_went_on(&run, kept_bytes);
        assert_eq!(count(&origin, 0, |request| request.header("if-range").is_some()), 0);

        // The same weak tag with another time may be another version: nothing is certain.
        let place = Place::new();
        begin_and_stop(&place, spec(&origin, PATH));
        origin.set_resource(weak(806, 1_000_000_001));
        let run = fetch(place.options(), [spec(&origin, PATH)]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
        assert_eq!(run.restarts(), 0);
        assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"]);
    });
}

#[test]
fn a_file_with_a_date_and_no_tag_is_known_by_its_date() {
    with_watchdog(LONG, || {
        let dated = |seed, seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            Resource::new(PATH, seed, SIZE).etag(ETag::None).last_modified(Some(time))
        };
        let origin = origin(dated(807, 1_000_000_000));
        let place = Place::new();
        let kept_bytes = begin_and_stop(&place, spec(&origin, PATH));
        let run = fetch_well(&place, &origin, 807, SIZE);
        assert_went_on(&run, kept_bytes);
        assert!(!warns(&run, "cannot be checked"));

        let place = Place::new();
        begin_and_stop(&place, spec(&origin, PATH));
        origin.set_resource(dated(808, 1_000_000_001));
        let run = fetch_well(&place, &origin, 808, SIZE);
        assert_eq!(run.restarts(), 1);
    });
}

#[test]
fn without_tag_and_date_nothing_is_fetched_in_pieces_beside_each_other() {
    with_watchdog(LONG, || {
        let origin = origin(Resource::new(PATH, 809, SIZE).etag(ETag::None).last_modified(None));
        let place = Place::new();
        let run = fetch_well(&place, &origin, 809, SIZE);
        assert!(run.ranges().is_empty(), "{:?}", run.ranges());
        assert_eq!(origin.stats().requests, 1);
    });
}

#[test]
fn a_server_that_closes_after_each_answer_is_connected_to_again() {
    with_watchdog(LONG, || {
        let origin = origin(Resource::new(PATH, 810, SIZE).fault(Fault::CloseAfterEach));
        let place = Place::new();
        let run = fetch_well(&place, &origin, 810, SIZE);
        assert_eq!((run.ranges(), run.restarts(), run.retries().len()), (vec![true], 0, 0));
        let stats = origin.stats();
        // The last one may have been closed before it carried a request.
        assert!(stats.connections_opened >= stats.requests, "{stats:?}");
    });
}

#[test]
fn answers_of_http_1_0_are_as_good_as_others() {
    with_watchdog(LONG, || {
        let old = origin(Resource::new(PATH, 811, SIZE).fault(Fault::Http10));
        let place = Place::new();
        let run = fetch_well(&place, &old, 811, SIZE);
        assert_eq!((run.ranges(), run.restarts(), run.retries().len()), (vec![true], 0, 0));

        // A body that ends with its connection, as from the oldest servers.
        let oldest = origin(Resource::new(PATH, 812, SIZE).ranges(Ranges::Ignored).length(Length::UntilClose));
        let place = Place::new();
        let run = fetch_well(&place, &oldest, 812, SIZE);
        assert_eq!((run.restarts(), count(&oldest, 0, |request| !request.is_conditional())), (0, 1));
    });
}

#[test]
fn what_comes_encoded_is_fetched_in_one_stream_and_never_added_to() {
    with_watchdog(LONG, || {
        let encoded = |seed| {
            let gzip = Fault::Header { name: "Content-Encoding".to_owned(), value: b"gzip".to_vec() };
            // A strong tag would be that of a stored file.
            Resource::new(PATH, seed, SIZE).etag(ETag::Custom("W/\"on-the-way\"".to_owned())).fault(gzip)
        };
        let at_once = origin(encoded(813));
        let place = Place::new();
        let run = fetch_well(&place, &at_once, 813, SIZE);
        assert!(warns(&run, "stored as sent"));
        assert_eq!(count(&at_once, 0, |request| !request.is_conditional()), 1);

        let later = origin(Resource::new(PATH, 814, SIZE));
        let place = Place::new();
        begin_and_stop(&place, spec(&later, PATH));
        later.set_resource(encoded(814));
        // Neither the same nor another version: existing data stays until the user discards it.
        let run = fetch(place.options(), [spec(&later, PATH)]);
        assert_eq!((run.failure_kinds(), run.restarts()), (vec![ErrorKind::Changed], 0));
        let mut options = place.options();
        options.resume = false;
        fetch(options, [spec(&later, PATH)]).assert_done(1);
        place.assert_content("a.iso", 814, SIZE);
    });
}

#[test]
fn ranges_that_are_refused_with_the_right_length_are_no_change() {
    with_watchdog(LONG, || {
        let refusing = |seed| Resource::new(PATH, seed, SIZE).fault(Fault::RefuseRange);
        let at_once = origin(refusing(815));
        let place = Place::new();
        let run = fetch_well(&place, &at_once, 815, SIZE);
        assert_eq!((run.ranges(), run.restarts()), (vec![false], 0));
        assert_eq!(count(&at_once, 0, |request| request.range.is_none()), 1);

        let later = origin(Resource::new(PATH, 816, SIZE));
        let place = Place::new();
        let kept_bytes = begin_and_stop(&place, spec(&later, PATH));
        later.set_resource(refusing(816));
        let run = fetch_well(&place, &later, 816, SIZE);
        assert_went_on(&run, kept_bytes);
    });
}

#[test]
fn a_range_that_is_refused_because_the_file_is_shorter_now_is_a_change() {
    with_watchdog(LONG, || {
        let same_tag = |seed, size| Resource::new(PATH, seed, size).etag(ETag::Custom("\"same\"".to_owned()));
        let origin = origin(same_tag(817, SIZE));
        let place = Place::new();
        begin_and_stop(&place, spec(&origin, PATH));
        origin.set_resource(same_tag(818, 100_000));
        let run = fetch_well(&place, &origin, 818, 100_000);
        assert_eq!(run.restarts(), 1);
    });
}

#[test]
fn other_ranges_than_those_asked_for_are_not_used() {
    with_watchdog(LONG, || {
        let moved = Fault::OtherRange { by: 4096 };
        let always = origin(Resource::new(PATH, 819, SIZE).fault(moved.clone()));
        let place = Place::new();
        let run = fetch_well(&place, &always, 819, SIZE);
        assert_eq!((run.ranges(), run.restarts()), (vec![false], 0));

        let value = format!("bytes 0-{}/{SIZE}", SIZE - 1).into_bytes();
        let twice = Fault::RawHeader([b"Content-Range: ".to_vec(), value].concat()).when(Scope::every().only_ranges());
        let contradicts = origin(Resource::new(PATH, 822, SIZE).fault(twice));
        let place = Place::new();
        let run = fetch_well(&place, &contradicts, 822, SIZE);
        assert_eq!((run.ranges(), run.restarts()), (vec![false], 0));

        let some = moved.when(Scope::every().starting_at(3).first(4).only_ranges());
        let for_a_while = origin(Resource::new(PATH, 820, SIZE).fault(some));
        let place = Place::new();
        let run = fetch_well(&place, &for_a_while, 820, SIZE);
        assert_eq!((run.ranges(), run.restarts()), (vec![true], 0));
    });
}

#[test]
fn a_tail_that_stalls_is_raced_by_a_second_connection() {
    with_watchdog(LONG, || {
        let size = 4 * MIB;
        // The first range, which no other request asks for while it runs.
        let stalls = Fault::StallAt(300_000, None).when(Scope::every().starting_at(2).first(2));
        let origin = origin(Resource::new(PATH, 821, size).fault(stalls));
        let place = Place::new();
        let mut options = options(&place);
        options.connections = Some(2);
        options.http.stall_timeout = LONG;
        options.http.response_timeout = LONG;
        let began = Instant::now();
        let run = fetch(options, [spec(&origin, PATH)]);
        let took = began.elapsed();
        run.assert_done(1);
        place.assert_content("a.iso", 821, size);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
        assert!(took < Duration::from_secs(10), "the stalled connection was waited for: {took:?}");
        assert_eq!((run.restarts(), run.retries().len()), (0, 0));
        assert_eq!(run.finished()[0].fetched_bytes, size);
    });
}
