//! Checksums, for files fetched whole and in pieces.

use towline_engine::event::How;
use towline_engine::{Blame, Checksum, ErrorKind, Event};
use towline_origin::{Origin, Resource};
use towline_testkit::content;

use crate::common::{LONG, MIB, Place, fetch, sha256_of, spec, with_watchdog};

const SIZES: [u64; 2] = [4 << 10, 4 * MIB];

fn blake3_of(seed: u64, size: u64) -> Checksum {
    format!("blake3={}", blake3::hash(&content(seed, size)).to_hex()).parse().unwrap()
}

#[test]
fn a_right_digest_lets_a_file_through_and_knows_it_again() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let origin = Origin::builder()
                .resource(Resource::new("/a.bin", 61, size))
                .resource(Resource::new("/b.bin", 62, size))
                .start()
                .unwrap();
            let place = Place::new();
            let specs = || {
                let a = spec(&origin, "/a.bin").checksum(sha256_of(61, size));
                [a, spec(&origin, "/b.bin").checksum(blake3_of(62, size))]
            };
            let run = fetch(place.options(), specs());
            run.assert_done(2);
            assert!(run.finished().iter().all(|file| file.how == How::Fetched));
            place.assert_content("a.bin", 61, size);
            place.assert_content("b.bin", 62, size);
            assert_eq!(place.leftovers(&["a.bin", "b.bin"]), [""; 0]);

            let asked = origin.stats().requests;
            let run = fetch(place.options(), specs());
            run.assert_done(2);
            assert!(run.finished().iter().all(|file| file.how == How::ThereByDigest), "{:?}", run.finished());
            assert_eq!(origin.stats().requests, asked);
        }
    });
}

#[test]
fn a_wrong_digest_never_gives_a_final_name_and_the_next_run_fetches_again() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 63, size)).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin").checksum(sha256_of(64, size))]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Digest], "{size}");
            assert_eq!(run.failures()[0].blame, Blame::Peer);
            assert!(run.failures()[0].message.contains("sha-256"), "{}", run.failures()[0].message);
            assert!(!place.file("a.bin").exists());

            // A file stored whole is not kept at all; one fetched in pieces is known to be wrong.
            let is_kept = !place.leftovers(&[]).is_empty();
            assert_eq!(is_kept, size == SIZES[1], "{:?}", place.leftovers(&[]));
            let before = origin.stats().body_bytes;
            let run = fetch(place.options(), [spec(&origin, "/a.bin").checksum(sha256_of(64, size))]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Digest], "{size}");
            assert!(origin.stats().body_bytes - before >= size, "it is fetched again");
            let says_why =
                |event: &Event| matches!(event, Event::Restarted { reason, .. } if reason.contains("wrong digest"));
            assert_eq!(run.events.iter().any(says_why), is_kept);
            let run = fetch(place.options(), [spec(&origin, "/a.bin").checksum(sha256_of(63, size))]);
            run.assert_done(1);
            place.assert_content("a.bin", 63, size);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}

#[test]
fn a_file_with_a_wrong_digest_is_looked_at_again_when_another_one_is_given() {
    with_watchdog(LONG, || {
        let size = 3 << 20;
        let origin = Origin::builder().resource(Resource::new("/a.bin", 95, size)).start().unwrap();
        let place = Place::new();
        let right = blake3_of(95, size);
        let wrong: Checksum = format!("blake3={}", blake3::hash(b"a typing error")).parse().unwrap();
        let run = fetch(place.options(), [spec(&origin, "/a.bin").checksum(wrong)]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Digest]);
        let before = origin.stats().body_bytes;
        let run = fetch(place.options(), [spec(&origin, "/a.bin").checksum(right)]);
        run.assert_done(1);
        place.assert_content("a.bin", 95, size);
        assert!(origin.stats().body_bytes - before < size, "what was held was right");
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}
