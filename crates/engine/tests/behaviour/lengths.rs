//! Responses with less information than before: a body of unknown length must end where the file does, and a
//! response without a version neither replaces data nor is joined to it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use towline_engine::{ErrorKind, Event, Options, Session};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, Resource, Scope};
use towline_testkit::content;

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

const SIZE: u64 = 3 * MIB;
const HALF: u64 = SIZE / 2;
/// Too large to be stored whole.
const SHORT: u64 = 700_000;
const SEED: u64 = 411;

fn options(place: &Place) -> Options {
    let mut options = place.options();
    options.connections = Some(1);
    options.http.retries = 4;
    options
}

fn file(seed: u64, size: u64, tag: Option<&str>) -> Resource {
    let tag = tag.map_or(ETag::None, |tag| ETag::Custom(format!("\"{tag}\"")));
    Resource::new("/a.iso", seed, size).etag(tag).last_modified(None)
}

/// Fetches half of a file of known length, and stops.
fn begin(place: &Place, resource: Resource) -> SocketAddr {
    let origin = Origin::builder().resource(resource.fault(Fault::StallAt(HALF, None))).start().unwrap();
    let mut live = Live::start(Session::builder(options(place)));
    live.handle.add(spec(&origin, "/a.iso")).unwrap();
    live.handle.close();
    live.wait_for("half of the file", |event| match event {
        Event::Progress(progress) => progress.done_bytes == HALF,
        _ => false,
    });
    live.handle.stop();
    live.end();
    origin.addr()
}

/// Continues from a server at the same address, without ranges and without a length.
fn go_on(place: &Place, at: SocketAddr, resource: Resource, length: Length) -> Vec<ErrorKind> {
    let resource = resource.ranges(Ranges::Ignored).length(length);
    let origin = Origin::builder().bind(at.to_string()).resource(resource).start().unwrap();
    fetch(options(place), [spec(&origin, "/a.iso")]).failure_kinds()
}

/// The version in progress is resumed once a server has it again, and nothing else is left.
fn is_gone_on_with(place: &Place, at: SocketAddr, resource: Resource) {
    is_gone_on_with_beside(place, at, resource);
    assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
}

fn is_gone_on_with_beside(place: &Place, at: SocketAddr, resource: Resource) {
    let origin = Origin::builder().bind(at.to_string()).resource(resource).start().unwrap();
    let run = fetch(options(place), [spec(&origin, "/a.iso")]);
    run.assert_done(1);
    assert!(run.resumed_bytes() > 0, "what had come was lost");
    place.assert_content("a.iso", SEED, SIZE);
}

#[test]
fn a_shorter_body_is_not_the_file_and_what_was_begun_stays() {
    with_watchdog(LONG, || {
        for length in [Length::Chunked, Length::UntilClose] {
            for (seed, tag) in [(SEED, None), (SEED, Some("a")), (412, None)] {
                let place = Place::new();
                let at = begin(&place, file(SEED, SIZE, Some("a")));
                let kinds = go_on(&place, at, file(seed, SHORT, tag), length);
                assert_eq!(kinds, [ErrorKind::Changed], "{length:?} {seed} {tag:?}");
                assert!(!place.file("a.iso").exists());
                is_gone_on_with(&place, at, file(SEED, SIZE, Some("a")));
            }
        }
    });
}

#[test]
fn a_longer_body_of_the_same_version_is_not_the_file() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, Some("a")));
        let kinds = go_on(&place, at, file(SEED, SIZE + 1, Some("a")), Length::Chunked);
        assert_eq!(kinds, [ErrorKind::Changed]);
        is_gone_on_with(&place, at, file(SEED, SIZE, Some("a")));
    });
}

#[test]
fn a_body_of_the_same_version_that_ends_where_the_file_does_is_the_file() {
    with_watchdog(LONG, || {
        for length in [Length::Chunked, Length::UntilClose] {
            let place = Place::new();
            let at = begin(&place, file(SEED, SIZE, Some("a")));
            assert_eq!(go_on(&place, at, file(SEED, SIZE, Some("a")), length), []);
            place.assert_content("a.iso", SEED, SIZE);
            assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
        }
    });
}

#[test]
fn a_body_of_another_version_is_that_version_however_long_it_is() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, Some("a")));
        assert_eq!(go_on(&place, at, file(412, SHORT, Some("b")), Length::Chunked), []);
        place.assert_content("a.iso", 412, SHORT);
    });
}

#[test]
fn a_body_of_the_right_length_that_names_no_version_is_not_the_file_where_one_was_begun() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, Some("a")));
        let resource = file(412, SIZE, None).ranges(Ranges::Ignored);
        let origin = Origin::builder().bind(at.to_string()).resource(resource).start().unwrap();
        let run = fetch(options(&place), [spec(&origin, "/a.iso")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
        drop(origin);
        is_gone_on_with(&place, at, file(SEED, SIZE, Some("a")));
    });
}

#[test]
fn an_empty_answer_without_a_version_replaces_nothing() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, None));
        let resource = file(SEED, 0, None).ranges(Ranges::Ignored);
        let origin = Origin::builder().bind(at.to_string()).resource(resource).start().unwrap();
        let run = fetch(options(&place), [spec(&origin, "/a.iso")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
        drop(origin);
        is_gone_on_with(&place, at, file(SEED, SIZE, None));
    });
}

#[test]
fn a_mirror_that_takes_over_has_a_file_of_the_same_length() {
    with_watchdog(LONG, || {
        for length in [Length::Known, Length::UntilClose] {
            let mirror = file(412, SHORT, None).ranges(Ranges::Ignored).length(length);
            let mirror = Origin::builder().resource(mirror).start().unwrap();
            let first = file(SEED, SIZE, Some("a")).fault(Fault::CutAt(HALF).first(1));
            let first = first
                .fault(Fault::Status { code: 404, times: None, retry_after: None }.when(Scope::every().starting_at(2)));
            let first = Origin::builder().resource(first).start().unwrap();
            let place = Place::new();
            let spec = spec(&first, "/a.iso").mirror(mirror.url("/a.iso").parse().unwrap());
            let run = fetch(options(&place), [spec]);
            assert_eq!(run.failure_kinds().len(), 1, "{length:?}");
            assert!(!place.file("a.iso").exists(), "{length:?}");
        }
    });
}

#[test]
fn a_mirror_beside_a_file_that_tells_no_version_mixes_nothing() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, None));
        // Both have a new version now, of the same length.
        let first = Origin::builder().bind(at.to_string()).resource(file(412, SIZE, None)).start().unwrap();
        let mirror = Origin::builder().resource(file(412, SIZE, None)).start().unwrap();
        let spec = spec(&first, "/a.iso").mirror(mirror.url("/a.iso").parse().unwrap());
        fetch(options(&place), [spec]).assert_done(1);
        place.assert_content("a.iso", 412, SIZE);
    });
}

#[test]
fn a_redirect_to_another_name_leaves_what_was_begun_where_it_is() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, Some("a")));
        let elsewhere = Origin::builder().resource(Resource::new("/b.bin", 413, 5000)).start().unwrap();
        let moved = file(SEED, SIZE, Some("a")).redirect(302, &elsewhere.url("/b.bin"));
        let origin = Origin::builder().bind(at.to_string()).resource(moved).start().unwrap();
        fetch(options(&place), [spec(&origin, "/a.iso")]);
        drop(origin);
        is_gone_on_with_beside(&place, at, file(SEED, SIZE, Some("a")));
    });
}

#[test]
fn a_settled_date_keeps_what_came_of_a_body_without_a_length() {
    with_watchdog(LONG, || {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let resource = || file(SEED, SIZE, None).last_modified(Some(date)).length(Length::Chunked);
        let place = Place::new();
        let at = begin(&place, resource());
        is_gone_on_with(&place, at, resource());
    });
}

#[test]
fn the_version_that_was_begun_first_goes_on_when_it_is_served_again() {
    with_watchdog(LONG, || {
        for tag in [Some("a"), None] {
            let dated = |resource: Resource| match tag {
                Some(_) => resource,
                None => resource.last_modified(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))),
            };
            let place = Place::new();
            let at = begin(&place, dated(file(SEED, SIZE, tag)));
            let other = file(412, SIZE, Some("b")).fault(Fault::CutAt(400_000));
            assert_eq!(go_on(&place, at, other, Length::Known), [ErrorKind::Broken], "{tag:?}");
            is_gone_on_with(&place, at, dated(file(SEED, SIZE, tag)));
        }
    });
}

/// Without a version, only overlapping bytes show a change; a digest shows more.
#[test]
fn a_digest_that_only_later_answers_tell_is_checked() {
    with_watchdog(LONG, || {
        for name in ["Repr-Digest", "Digest"] {
            let place = Place::new();
            let at = begin(&place, file(SEED, SIZE, None));
            let value = match name {
                "Digest" => "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                _ => "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
            };
            let other = file(SEED, SIZE, None).fault(Fault::OtherContent { from: SIZE - 1000, seed: 413 });
            let origin = Origin::builder().bind(at.to_string()).resource(other.header(name, value)).start().unwrap();
            let run = fetch(options(&place), [spec(&origin, "/a.iso")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Digest], "{name}");
            assert!(!place.file("a.iso").exists());
        }
    });
}

/// Stale responses with the first version cost nothing of the newer one.
#[test]
fn what_came_of_another_version_stays_while_the_first_is_served_again() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, Some("a")));
        // Two responses to ranges show another version; the third delivers all but the end.
        let cut = |seed, tag: &str, at| {
            let nothing_more = Fault::CutAt(0).when(Scope::every().starting_at(4));
            file(seed, SIZE, Some(tag)).fault(Fault::CutAt(at).first(3)).fault(nothing_more)
        };
        let begun = |resource: Resource| {
            let origin = Origin::builder().bind(at.to_string()).resource(resource).start().unwrap();
            let mut options = options(&place);
            options.http.retries = 2;
            fetch(options, [spec(&origin, "/a.iso")]).failure_kinds()
        };
        assert_eq!(begun(cut(412, "b", SIZE - 400_000)), [ErrorKind::Broken]);
        assert_eq!(begun(cut(SEED, "a", 1000)), [ErrorKind::Broken]);
        let other = file(412, SIZE, Some("b"));
        let origin = Origin::builder().bind(at.to_string()).resource(other).start().unwrap();
        let run = fetch(options(&place), [spec(&origin, "/a.iso")]);
        run.assert_done(1);
        assert!(run.resumed_bytes() > 2 * MIB, "{} of b went on", run.resumed_bytes());
        place.assert_content("a.iso", 412, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

/// nginx does not repeat the validator in a 416.
#[test]
fn a_version_that_is_shorter_than_what_is_held_is_fetched() {
    with_watchdog(LONG, || {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let later = date + Duration::from_secs(86_400);
        let place = Place::new();
        let at = begin(&place, file(SEED, SIZE, None).last_modified(Some(date)));
        let bare = b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */900000\r\nContent-Length: 0\r\n\r\n";
        let short = file(412, 900_000, None).last_modified(Some(later));
        let short = short.fault(Fault::Raw(bare.to_vec()).when(Scope::every().only_ranges()));
        let origin = Origin::builder().bind(at.to_string()).resource(short).start().unwrap();
        let run = fetch(options(&place), [spec(&origin, "/a.iso")]);
        assert_eq!(run.failure_kinds(), []);
        place.assert_content("a.iso", 412, 900_000);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

/// A digest that can be forged identifies no version and blocks none.
#[test]
fn a_weak_digest_alone_does_not_keep_a_file_from_going_on() {
    with_watchdog(LONG, || {
        let right = BASE64_STANDARD.encode(Md5::digest(content(SEED, SIZE)));
        for (name, value) in [("Content-MD5", right.clone()), ("x-goog-hash", format!("md5={right}"))] {
            let place = Place::new();
            let at = begin(&place, file(SEED, SIZE, None).header(name, &value));
            is_gone_on_with(&place, at, file(SEED, SIZE, None).header(name, &value));
        }
    });
}
