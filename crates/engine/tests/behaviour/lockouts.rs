//! Servers that are honest now, after odd responses or with few words: a run or two suffice, and bytes of two
//! versions are never mixed.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use towline_engine::{ErrorKind, JobSpec};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, Resource, Scope, Validators};
use towline_testkit::content;

use crate::common::{LONG, MIB, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 2 * MIB;
const OLD: u64 = 880;
const NEW: u64 = 881;

fn silent(seed: u64) -> Resource {
    Resource::new("/a.bin", seed, SIZE).fault(Fault::Validators(Validators::Neither))
}

fn digest(seed: u64) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(content(seed, SIZE))))
}

fn run(place: &Place, retries: u32, job: JobSpec) -> Run {
    let mut options = place.options();
    (options.http.retries, options.connections) = (retries, Some(1));
    fetch(options, [job])
}

/// The right content within so many runs, and nothing else under the final name before that.
fn is_right_within(place: &Place, runs: usize, seed: u64, job: impl Fn() -> JobSpec) {
    for _ in 0..runs {
        let ended = run(place, 3, job());
        if ended.failures().is_empty() {
            return place.assert_content("a.bin", seed, SIZE);
        }
        assert!(!place.file("a.bin").exists(), "{:?}", ended.failures());
    }
    panic!("the server is locked out");
}

#[test]
fn digests_of_later_responses_that_contradict_each_other_never_let_versions_mix() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(silent(OLD).fault(Fault::CutAt(SIZE / 2))).start().unwrap();
        let place = Place::new();
        let job = || spec(&origin, "/a.bin");
        assert_eq!(run(&place, 0, job()).failures().len(), 1);
        let cut = silent(OLD).header("Repr-Digest", &digest(OLD)).fault(Fault::CutAt(SIZE / 4));
        origin.set_resource(cut);
        assert_eq!(run(&place, 0, job()).failures().len(), 1);
        origin.set_resource(silent(NEW).header("Repr-Digest", &digest(NEW)));
        is_right_within(&place, 2, NEW, job);
    });
}

#[test]
fn a_digest_that_later_responses_do_not_repeat_keeps_nobody_from_going_on() {
    with_watchdog(LONG, || {
        let cases = [Ranges::Honoured, Ranges::Ignored].into_iter().flat_map(|ranges| [(ranges, OLD), (ranges, NEW)]);
        for (ranges, now) in cases {
            let whole = silent(OLD).header("Repr-Digest", &digest(OLD)).fault(Fault::CutAt(SIZE / 2));
            let origin = Origin::builder().resource(whole).start().unwrap();
            let place = Place::new();
            let job = || spec(&origin, "/a.bin");
            assert_eq!(run(&place, 0, job()).failures().len(), 1);
            origin.set_resource(silent(now).ranges(ranges));
            is_right_within(&place, if now == OLD { 1 } else { 2 }, now, job);
        }
    });
}

#[test]
fn a_digest_of_another_place_does_not_lock_out_the_file_that_moved() {
    with_watchdog(LONG, || {
        let elsewhere = Resource::new("/v0/a.bin", OLD, SIZE).last_modified(None).header("Repr-Digest", &digest(OLD));
        let location = "/v0/a.bin".to_owned();
        let origin = Origin::builder()
            .resource(Resource::new("/a.bin", 1, 1).fault(Fault::Redirect { status: 302, location }))
            .resource(elsewhere.fault(Fault::CutAt(SIZE / 2)))
            .start()
            .unwrap();
        let place = Place::new();
        let job = || spec(&origin, "/a.bin");
        assert_eq!(run(&place, 0, job()).failures().len(), 1);
        origin.set_resource(Resource::new("/a.bin", NEW, SIZE).last_modified(None));
        is_right_within(&place, 1, NEW, job);
    });
}

/// A refusal of a range gives the length of the file, but not its version.
#[test]
fn a_version_shorter_than_what_came_of_a_file_of_unknown_length_is_fetched() {
    with_watchdog(LONG, || {
        let longer = Resource::new("/a.bin", OLD, 2 * SIZE).length(Length::Chunked);
        let origin = Origin::builder().resource(longer.fault(Fault::CutAt(SIZE + SIZE / 2))).start().unwrap();
        let place = Place::new();
        let job = || spec(&origin, "/a.bin");
        assert_eq!(run(&place, 0, job()).failures().len(), 1);
        let refusal = format!("HTTP/1.1 416 No\r\nContent-Range: bytes */{SIZE}\r\nContent-Length: 0\r\n\r\n");
        let refusal = Fault::Raw(refusal.into_bytes()).when(Scope::every().only_ranges());
        origin.set_resource(Resource::new("/a.bin", NEW, SIZE).fault(refusal));
        is_right_within(&place, 1, NEW, job);
    });
}

/// Which of the two lies, nobody knows: the same version cannot have two lengths, so what has come stays.
#[test]
fn a_response_that_was_longer_than_its_file_stays_until_somebody_starts_over() {
    with_watchdog(LONG, || {
        let tagged = |size| Resource::new("/a.bin", OLD, size).etag(ETag::Custom("\"1\"".to_owned()));
        let longer = tagged(SIZE + 2_000).length(Length::Chunked).fault(Fault::CutAt(SIZE + 1_000));
        let origin = Origin::builder().resource(longer).start().unwrap();
        let place = Place::new();
        let job = || spec(&origin, "/a.bin");
        assert_eq!(run(&place, 0, job()).failures().len(), 1);
        origin.set_resource(tagged(SIZE));
        assert_eq!(run(&place, 1, job()).failure_kinds(), [ErrorKind::Changed]);
        let mut anew = place.options();
        anew.resume = false;
        fetch(anew, [job()]).assert_done(1);
        place.assert_content("a.bin", OLD, SIZE);
    });
}

#[test]
fn an_encoded_response_that_broke_off_gives_way_to_the_file() {
    with_watchdog(LONG, || {
        for (before, after) in [("\"1-gzip\"", "\"1\""), ("\"1\"", "\"1\"")] {
            let encoded = Resource::new("/a.bin", NEW, SIZE / 2).etag(ETag::Custom(before.to_owned()));
            let encoded = encoded.header("Content-Encoding", "gzip").ranges(Ranges::Ignored);
            let origin = Origin::builder().resource(encoded.fault(Fault::CutAt(SIZE / 4))).start().unwrap();
            let place = Place::new();
            let job = || spec(&origin, "/a.bin");
            assert_eq!(run(&place, 0, job()).failures().len(), 1);
            origin.set_resource(Resource::new("/a.bin", OLD, SIZE).etag(ETag::Custom(after.to_owned())));
            is_right_within(&place, 1, OLD, job);
        }
    });
}

#[test]
fn a_checksum_that_the_existing_data_cannot_have_lets_the_file_start_over() {
    with_watchdog(LONG, || {
        let to = |place: &str| {
            let location = format!("/{place}/a.bin");
            Resource::new("/a.bin", 1, 1).fault(Fault::Redirect { status: 302, location })
        };
        let at = |place: &str, seed| Resource::new(format!("/{place}/a.bin"), seed, SIZE);
        let origin = Origin::builder()
            .resource(to("v0"))
            .resource(at("v0", OLD).fault(Fault::CutAt(SIZE / 2)))
            .resource(at("v1", NEW))
            .start()
            .unwrap();
        let place = Place::new();
        let checksum = format!("blake3={}", blake3::hash(&content(NEW, SIZE)).to_hex());
        let job = || spec(&origin, "/a.bin").checksum(checksum.parse().unwrap());
        assert_eq!(run(&place, 0, job()).failures().len(), 1);
        origin.set_resource(to("v1"));
        is_right_within(&place, 2, NEW, job);
    });
}

#[test]
fn a_dead_mirror_does_not_lock_out_a_source_that_has_another_version() {
    with_watchdog(LONG, || {
        let refused = Fault::Status { code: 502, times: None, retry_after: None };
        let file = |seed| Resource::new("/a.bin", seed, SIZE);
        let first = Origin::builder().resource(file(NEW).fault(refused)).start().unwrap();
        let mirror = Origin::builder().resource(file(OLD).fault(Fault::CutAt(SIZE / 2))).start().unwrap();
        let place = Place::new();
        let job = || spec(&first, "/a.bin").mirror(mirror.url("/a.bin").parse().unwrap());
        let begun = run(&place, 0, job());
        assert_eq!(begun.failure_kinds().len(), 1, "{:?}", begun.failures());
        assert!(place.file("a.bin.towline").exists(), "the mirror has brought something");
        first.set_resource(file(NEW));
        mirror.stop();
        is_right_within(&place, 2, NEW, job);
    });
}

#[test]
fn a_checksum_does_not_give_up_the_existing_data_for_a_wrong_file() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .resource(Resource::new("/a.bin", OLD, SIZE).fault(Fault::CutAt(SIZE / 2)))
            .start()
            .unwrap();
        let place = Place::new();
        let checksum = format!("blake3={}", blake3::hash(&content(OLD, SIZE)).to_hex());
        let job = || spec(&origin, "/a.bin").checksum(checksum.parse().unwrap());
        assert_eq!(run(&place, 0, job()).failures().len(), 1);
        // Another file for a while, without any version.
        origin.set_resource(silent(NEW));
        let odd = run(&place, 3, job());
        assert!(!odd.failures().is_empty() && !place.file("a.bin").exists());
        assert!(odd.failure_kinds().iter().all(|kind| *kind != ErrorKind::Internal));
        origin.set_resource(Resource::new("/a.bin", OLD, SIZE));
        is_right_within(&place, 1, OLD, job);
    });
}

/// RFC 9110, section 15.3.7: the response to `If-Range` need not repeat the version.
#[test]
fn ranges_that_never_name_the_version_lead_to_the_whole_file() {
    with_watchdog(LONG, || {
        let nameless = || Fault::Validators(Validators::Neither).when(Scope::every().only_ranges());
        let dated = || Resource::new("/a.bin", OLD, SIZE).fault(Fault::Validators(Validators::NoTag));
        let tagged = || Resource::new("/a.bin", OLD, SIZE).etag(ETag::Custom("\"1\"".to_owned()));
        for file in [dated as fn() -> Resource, tagged] {
            let origin = Origin::builder().resource(file().fault(Fault::CutAt(SIZE / 2))).start().unwrap();
            let place = Place::new();
            let job = || spec(&origin, "/a.bin");
            assert_eq!(run(&place, 0, job()).failures().len(), 1);
            origin.set_resource(file().fault(nameless()));
            is_right_within(&place, 1, OLD, job);
        }
    });
}

#[test]
fn an_earlier_date_that_has_settled_is_another_version_of_a_file_whose_date_was_young() {
    with_watchdog(LONG, || {
        let now = SystemTime::now();
        let dated = |seed, age| {
            let time = now - Duration::from_secs(age);
            let file = Resource::new("/a.bin", seed, SIZE).last_modified(Some(time));
            file.fault(Fault::Validators(Validators::NoTag))
        };
        for seed in [OLD, NEW] {
            let origin = Origin::builder().resource(dated(OLD, 5).fault(Fault::CutAt(SIZE / 2))).start().unwrap();
            let place = Place::new();
            let job = || spec(&origin, "/a.bin");
            assert_eq!(run(&place, 0, job()).failures().len(), 1);
            origin.set_resource(dated(seed, 86_400));
            is_right_within(&place, 1, seed, job);
        }
    });
}

/// A digest that the user does not want to believe any more tells no version.
#[test]
fn what_only_a_digest_told_goes_on_without_server_digests() {
    with_watchdog(LONG, || {
        let file = || silent(OLD).header("Repr-Digest", &digest(OLD));
        for ranges in [Ranges::Honoured, Ranges::Ignored] {
            let origin = Origin::builder().resource(file().fault(Fault::CutAt(SIZE / 2))).start().unwrap();
            let place = Place::new();
            assert_eq!(run(&place, 0, spec(&origin, "/a.bin")).failures().len(), 1);
            origin.set_resource(file().ranges(ranges));
            let mut options = place.options();
            options.http.server_digests = false;
            let ended = fetch(options, [spec(&origin, "/a.bin")]);
            ended.assert_done(1);
            place.assert_content("a.bin", OLD, SIZE);
            if ranges == Ranges::Honoured {
                assert!(ended.resumed_bytes() >= SIZE / 2 && ended.restarts() == 0);
            }
        }
    });
}
