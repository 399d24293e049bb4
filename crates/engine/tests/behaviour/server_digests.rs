//! Digests that servers send with their files: which of them count, and what happens to a file with another
//! digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256};
use towline_engine::{Advice, Blame, ErrorKind, Event, Options, Session};
use towline_origin::{ETag, Fault, Origin, Resource, Scope, Validators};
use towline_testkit::content;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, spec, with_watchdog};

/// One that is stored whole, and one that is fetched in pieces.
const SIZES: [u64; 2] = [4 << 10, 4 * MIB];
const RATE_PER_CONNECTION: u64 = 3_000_000;

fn sha256(seed: u64, size: u64) -> String {
    STANDARD.encode(Sha256::digest(content(seed, size)))
}

fn md5(seed: u64, size: u64) -> String {
    STANDARD.encode(Md5::digest(content(seed, size)))
}

fn crc32c(seed: u64, size: u64) -> String {
    STANDARD.encode(crc32c::crc32c(&content(seed, size)).to_be_bytes())
}

/// Each field, with the digest of this content.
fn fields(seed: u64, size: u64) -> [(&'static str, String); 6] {
    [
        ("Repr-Digest", format!("sha-256=:{}:", sha256(seed, size))),
        ("Content-Digest", format!("md5=:{}:", md5(seed, size))),
        ("Digest", format!("MD5={}", md5(seed, size))),
        ("Content-MD5", md5(seed, size)),
        ("x-goog-hash", format!("crc32c={},md5={}", crc32c(seed, size), md5(seed, size))),
        ("x-goog-hash", format!("crc32c={}", crc32c(seed, size))),
    ]
}

/// Fetches `/a.bin` over several connections, from a server slow enough to use them all.
fn fetch_file(place: &Place, resource: Resource, change: impl FnOnce(&mut Options)) -> Run {
    let fault = Fault::RatePerConnection(RATE_PER_CONNECTION);
    let origin = Origin::builder().resource(resource).fault(fault).start().unwrap();
    let mut options = place.options();
    options.connections = Some(4);
    change(&mut options);
    fetch(options, [spec(&origin, "/a.bin")])
}

fn remarks(run: &Run) -> Vec<&str> {
    let remarks = run.events.iter().filter_map(|event| match event {
        Event::Remark { message, .. } => Some(message.as_str()),
        _ => None,
    });
    remarks.collect()
}

#[test]
fn a_right_digest_lets_a_file_through_in_whatever_field_it_stands() {
    with_watchdog(LONG, || {
        for size in SIZES {
            for (name, value) in fields(801, size) {
                // On each range too, where those of a single message are wrong and do not count.
                let place = Place::new();
                let run = fetch_file(&place, Resource::new("/a.bin", 801, size).header(name, &value), |_| {});
                run.assert_done(1);
                assert_eq!(run.restarts(), 0, "{name}");
                assert_eq!(remarks(&run), [""; 0], "{name}");
                place.assert_content("a.bin", 801, size);
                assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{name}");
            }
        }
    });
}

#[test]
fn a_wrong_digest_is_told_with_its_field_and_the_next_run_fetches_again() {
    with_watchdog(LONG, || {
        for size in SIZES {
            for (name, value) in fields(803, size) {
                let place = Place::new();
                let run = fetch_file(&place, Resource::new("/a.bin", 802, size).header(name, &value), |_| {});
                assert_eq!(run.failure_kinds(), [ErrorKind::Digest], "{name}, {size}");
                let failure = run.failures()[0];
                assert_eq!(failure.blame, Blame::Peer);
                for text in [name, "expected ", "found "] {
                    assert!(failure.message.contains(text), "{text:?} is missing: {}", failure.message);
                }
                assert_eq!(failure.advice, Some(Advice::RunAgainOrIgnoreServerDigest));
                assert!(!place.file("a.bin").exists());

                // As with the user's digest: what was fetched in pieces is known to be wrong.
                assert_eq!(!place.leftovers(&[]).is_empty(), size == SIZES[1], "{:?}", place.leftovers(&[]));
                let run = fetch_file(&place, Resource::new("/a.bin", 803, size).header(name, &value), |_| {});
                run.assert_done(1);
                assert_eq!(run.finished()[0].fetched_bytes, size);
                place.assert_content("a.bin", 803, size);
                assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
            }
        }
    });
}

#[test]
fn a_wrong_digest_is_passed_over_where_nobody_wants_it() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let wrong = format!("sha-256=:{}:", sha256(805, size));
            let resource = || Resource::new("/a.bin", 804, size).header("Repr-Digest", &wrong);
            let place = Place::new();
            fetch_file(&place, resource(), |options| options.http.server_digests = false).assert_done(1);
            place.assert_content("a.bin", 804, size);

            // The user's digest outranks the server's.
            let place = Place::new();
            let origin = Origin::builder().resource(resource()).start().unwrap();
            let checksum = format!("blake3={}", blake3::hash(&content(804, size)).to_hex()).parse().unwrap();
            fetch(place.options(), [spec(&origin, "/a.bin").checksum(checksum)]).assert_done(1);
            place.assert_content("a.bin", 804, size);

            // Nobody knows whether it covers the stored or the sent bytes.
            let place = Place::new();
            fetch_file(&place, resource().header("Content-Encoding", "gzip"), |_| {}).assert_done(1);
            place.assert_content("a.bin", 804, size);
        }
    });
}

#[test]
fn a_malformed_digest_is_remarked_on_and_stops_nothing() {
    with_watchdog(LONG, || {
        for size in SIZES {
            for (name, value) in [("Repr-Digest", "sha-256=nonsense"), ("Content-MD5", "?"), ("x-goog-hash", "md5=1")] {
                let place = Place::new();
                let run = fetch_file(&place, Resource::new("/a.bin", 806, size).header(name, value), |_| {});
                run.assert_done(1);
                place.assert_content("a.bin", 806, size);
                let remarks = remarks(&run);
                assert_eq!(remarks.len(), 1, "{remarks:?}");
                assert!(remarks[0].contains(name), "{remarks:?}");
            }
        }
    });
}

#[test]
fn a_digest_of_the_first_answer_is_compared_after_a_run_that_saw_only_ranges() {
    with_watchdog(LONG, || {
        let (size, half) = (2 * MIB, MIB);
        let wrong = md5(808, size);
        let resource = || Resource::new("/a.bin", 807, size).header("Content-MD5", &wrong);
        let origin = Origin::builder().resource(resource().fault(Fault::StallAt(half, None))).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        let mut live = Live::start(Session::builder(options.clone()));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for("half of the file", |event| match event {
            Event::Progress(progress) => progress.done_bytes == half,
            _ => false,
        });
        live.handle.stop();
        assert_eq!(live.end().summary().kept_bytes, half);

        origin.set_resource(resource());
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        assert_eq!(run.resumed_bytes(), half);
        assert_eq!(run.failure_kinds(), [ErrorKind::Digest]);
        assert!(run.failures()[0].message.contains("Content-MD5"), "{}", run.failures()[0].message);
        assert!(!place.file("a.bin").exists());
    });
}

#[test]
fn two_answers_with_different_digests_are_two_versions_whatever_their_tags_are() {
    with_watchdog(LONG, || {
        let size = 6 * MIB;
        let with_digest = |seed: u64| Fault::Header {
            name: "Repr-Digest".to_owned(),
            value: format!("sha-256=:{}:", sha256(seed, size)).into_bytes(),
        };
        let resource = Resource::new("/a.bin", 809, size);
        let etag = resource.etag_text().unwrap();
        let resource = resource
            .fault(Fault::ChangeEtagAt { request: 3, etag, seed: 810 })
            .fault(with_digest(809).first(2))
            .fault(with_digest(810).when(Scope::every().starting_at(3)));
        let place = Place::new();
        let run = fetch_file(&place, resource, |_| {});
        run.assert_done(1);
        assert!(run.restarts() >= 1, "nobody was told that the file began again");
        place.assert_content("a.bin", 810, size);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn a_wrong_digest_on_one_later_answer_does_not_lock_the_server_out() {
    with_watchdog(LONG, || {
        let (size, half) = (2 * MIB, MIB);
        let resource = || Resource::new("/a.bin", 811, size).fault(Fault::Validators(Validators::Neither));
        let origin = Origin::builder().resource(resource().fault(Fault::CutAt(half))).start().unwrap();
        let place = Place::new();
        let again = |retries| {
            let mut options = place.options();
            options.http.retries = retries;
            fetch(options, [spec(&origin, "/a.bin")])
        };
        assert_eq!(again(0).failures().len(), 1);
        let wrong = format!("sha-256=:{}:", sha256(812, size));
        origin.set_resource(resource().header("Repr-Digest", &wrong).fault(Fault::CutAt(half / 2)));
        assert_eq!(again(0).failures().len(), 1);

        // The digest is checked at the end, and is forgotten together with the bytes.
        origin.set_resource(resource());
        let run = again(2);
        if !run.failures().is_empty() {
            assert_eq!(run.failure_kinds(), [ErrorKind::Digest]);
            again(2).assert_done(1);
        }
        place.assert_content("a.bin", 811, size);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

/// The user said that exactly this content is wrong; the server's digest of that time does not contradict that.
#[test]
fn after_a_wrong_checksum_the_server_is_asked_what_it_has_now() {
    with_watchdog(LONG, || {
        let size = 1_500_000;
        let field = |name: &str, seed| fields(seed, size).into_iter().find(|(field, _)| *field == name).unwrap().1;
        for name in ["Repr-Digest", "Content-MD5"] {
            for tag in [ETag::None, ETag::Strong] {
                let file = |seed: u64| {
                    let file = Resource::new("/a.bin", seed, size).etag(tag.clone()).last_modified(None);
                    file.header(name, &field(name, seed))
                };
                for now in [806, 807] {
                    let origin = Origin::builder().resource(file(806)).start().unwrap();
                    let place = Place::new();
                    let wrong = spec(&origin, "/a.bin").checksum(crate::common::sha256_of(808, size));
                    assert_eq!(fetch(place.options(), [wrong]).failure_kinds(), [ErrorKind::Digest]);
                    origin.set_resource(file(now));
                    let asked = origin.stats().requests;
                    fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
                    place.assert_content("a.bin", now, size);
                    assert!(origin.stats().requests > asked, "{name} {tag:?}");
                }
            }
        }
    });
}

/// A server that names no version, and gives a digest with whole files only.
#[test]
fn a_file_of_which_only_a_digest_is_known_goes_on_in_every_run() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let digest = format!("sha-256=:{}:", sha256(813, size)).into_bytes();
        let digest = Fault::Header { name: "Repr-Digest".to_owned(), value: digest };
        let resource = Resource::new("/a.bin", 813, size).etag(ETag::None).last_modified(None).fault(digest.first(1));
        let origin = Origin::builder().resource(resource).fault(Fault::RatePerConnection(4_000_000)).start().unwrap();
        for connections in [Some(1), None] {
            let place = Place::new();
            let mut options = place.options();
            options.connections = connections;
            let mut kept_bytes = 0;
            for share in [20, 40, 60] {
                let mut live = Live::start(Session::builder(options.clone()));
                live.handle.add(spec(&origin, "/a.bin")).unwrap();
                live.handle.close();
                live.wait_for_share(share);
                live.handle.stop();
                let run = live.end();
                assert_eq!((run.restarts(), run.resumed_bytes()), (0, kept_bytes), "{connections:?}, {share} %");
                kept_bytes = run.summary().kept_bytes;
            }
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(run.resumed_bytes(), kept_bytes);
            place.assert_content("a.bin", 813, size);
        }
    });
}
