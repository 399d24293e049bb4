//! `--adopt`: files that other programs have begun.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use sha2::{Digest as _, Sha256};
use towline_origin::{ETag, Fault, Length, Origin, Resource, fill};
use towline_testkit::wait_until;

use crate::common::Place;

const SEED: u64 = 62;
const SIZE: u64 = 6 << 20;
const HALF: usize = 4 << 20;

fn begun(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill(SEED, 0, &mut bytes);
    bytes
}

/// Puts a file into `out`, as another program would.
fn put(place: &Place, name: &str, content: &[u8]) {
    fs::create_dir_all(place.out("")).unwrap();
    fs::write(place.out(name), content).unwrap();
}

fn origin() -> Origin {
    Origin::builder()
        .resource(Resource::new("/a.bin", SEED, SIZE))
        .resource(Resource::new("/nameless.bin", SEED, SIZE).etag(ETag::None).last_modified(None))
        .resource(Resource::new("/no-ranges.bin", SEED, SIZE).fault(Fault::IgnoreRange))
        .resource(Resource::new("/chunked.bin", SEED, SIZE).length(Length::Chunked))
        .resource(Resource::new("/small.bin", SEED, 5000))
        .start()
        .unwrap()
}

#[test]
fn what_another_program_has_begun_is_gone_on_with() {
    let origin = origin();
    // Where nothing tells the version, a little of the end comes again.
    let cases = [
        ("a.bin", SIZE, HALF, "fetched 2.00 MiB in"),
        ("nameless.bin", SIZE, HALF, "fetched 2."),
        ("small.bin", 5000, 1234, "fetched 3"),
    ];
    for (name, size, half, fetched) in cases {
        let place = Place::new();
        put(&place, name, &begun(half));
        let inode = fs::metadata(place.out(name)).unwrap().ino();
        let url = origin.url(&format!("/{name}"));
        let without = place.towline(&["-d", "out", &url]).run();
        without.code(1).says(&["another file has this name"]);
        assert_eq!(fs::read(place.out(name)).unwrap(), begun(half));
        place.towline(&["-d", "out", "--adopt", &url]).run().code(0).says(&[fetched, "the rest was already there"]);
        place.check(name, SEED, size);
        assert_eq!(fs::metadata(place.out(name)).unwrap().ino(), inode, "it is the same file");
        assert_eq!(place.leftovers(), [name]);
    }
}

#[test]
fn what_is_not_its_beginning_stays_as_it_is() {
    let origin = origin();
    let mut other = begun(HALF);
    other[HALF - 1] ^= 1;
    let cases = [
        ("a.bin", other.clone(), "not the beginning of the server's file"),
        ("no-ranges.bin", begun(HALF), "another file has this name"),
    ];
    for (name, content, why) in cases {
        let place = Place::new();
        put(&place, name, &content);
        let url = origin.url(&format!("/{name}"));
        let run = |option: &str| place.towline(&["-d", "out", "--adopt", option, &url]).run();
        run("-v").code(1).says(&[why]);
        assert_eq!(fs::read(place.out(name)).unwrap(), content);
        assert_eq!(place.leftovers(), [name]);
        run("--skip-existing").code(0);
        assert_eq!(fs::read(place.out(name)).unwrap(), content);
        run("--overwrite").code(0);
        place.check(name, SEED, SIZE);
        assert_eq!(place.leftovers(), [name]);
    }
}

#[test]
fn what_is_known_by_other_names_is_left_alone() {
    let origin = origin();
    let url = origin.url("/a.bin");
    let refused = |prepare: &dyn Fn(&Place), why: &str| {
        let place = Place::new();
        put(&place, "a.bin", &begun(HALF));
        prepare(&place);
        let before = fs::read(place.out("a.bin")).unwrap();
        place.towline(&["-d", "out", "--adopt", &url]).run().code(1).says(&[why]);
        assert_eq!(fs::read(place.out("a.bin")).unwrap(), before);
    };
    refused(&|place| put(place, "a.bin.aria2", b"control"), "aria2 has not completed it");
    refused(&|place| fs::hard_link(place.out("a.bin"), place.out("b.bin")).unwrap(), "a hard link");
}

/// As programs leave it that fetch a file in several places at once.
fn put_segments(place: &Place, filled: &[Range<u64>]) {
    put(place, "a.bin", &[]);
    let file = fs::File::options().write(true).open(place.out("a.bin")).unwrap();
    file.set_len(SIZE).unwrap();
    let content = begun(SIZE as usize);
    for part in filled {
        file.write_all_at(&content[part.start as usize..part.end as usize], part.start).unwrap();
    }
}

#[test]
fn a_file_with_holes_is_gone_on_with_and_is_never_taken_for_whole() {
    let origin = origin();
    let url = origin.url("/a.bin");
    let quarter = SIZE / 4;
    let at = |segment: u64, share: u64| segment * quarter..segment * quarter + quarter * share / 100;
    let layouts = [
        vec![at(0, 99), at(1, 97), at(2, 99), at(3, 100)],
        vec![at(0, 100), at(1, 50), at(2, 3), at(3, 100)],
        vec![at(0, 40), at(2, 70)],
        vec![0..1_000_001, 1_200_003..SIZE],
    ];
    for filled in layouts {
        let place = Place::new();
        put_segments(&place, &filled);
        let before = fs::read(place.out("a.bin")).unwrap();
        place.towline(&["-d", "out", &url]).run().code(1).says(&["another file has this name"]);
        assert!(fs::read(place.out("a.bin")).unwrap() == before, "{filled:?}");
        place.towline(&["-d", "out", "--adopt", &url]).run().code(0).says(&["the rest was already there"]);
        place.check("a.bin", SEED, SIZE);
        assert_eq!(place.leftovers(), ["a.bin"]);
    }
}

#[test]
fn an_interruption_loses_nothing_of_what_was_adopted() {
    let origin = origin();
    let url = origin.url("/a.bin");
    for signal in [libc::SIGINT, libc::SIGKILL] {
        let place = Place::new();
        put(&place, "a.bin", &begun(HALF));
        // The samples are slow too.
        let args = ["-d", "out", "--adopt", "--limit-rate", "500k", "--save-interval", "10ms", &url];
        let running = place.towline(&args).start();
        wait_until("the file to be adopted", || place.out("a.bin.towline").exists());
        running.signal(signal);
        running.finish().signal(signal);
        assert!(!place.out("a.bin").exists());
        let second = place.towline(&["-d", "out", &url]).run();
        second.code(0).says(&["the rest was already there"]);
        place.check("a.bin", SEED, SIZE);
        assert_eq!(place.leftovers(), ["a.bin"]);
    }
}

#[test]
fn what_reads_as_zeros_is_fetched_again_wherever_it_begins_and_ends() {
    let origin = origin();
    let block = 1 << 16;
    let runs = [
        1_000_000..1_016_384,
        2_000_000..2_100_000,
        2_000_000..2_101_000,
        2_097_000..2_163_000,
        2_031_615..2_035_615,
        20 * block - 3..21 * block + 5,
        20 * block + 7..21 * block + 1,
        HALF - 70_001..HALF,
    ];
    for run in runs {
        let place = Place::new();
        let mut content = begun(HALF);
        content[run.clone()].fill(0);
        put(&place, "a.bin", &content);
        place.towline(&["-d", "out", "--adopt", &origin.url("/a.bin")]).run().code(0);
        assert!(fs::read(place.out("a.bin")).unwrap() == begun(SIZE as usize), "{run:?}");
    }
}

#[test]
fn a_file_that_has_all_its_room_and_not_all_its_content_is_never_taken_for_whole() {
    let origin = origin();
    let gaps = [4 << 20..6 << 20, 2 << 20..3 << 20, 1_100_000..1_150_000, 0..50_000];
    for (name, gap) in ["a.bin", "chunked.bin"].iter().flat_map(|name| gaps.clone().map(|gap| (*name, gap))) {
        let place = Place::new();
        let mut content = begun(SIZE as usize);
        content[gap.clone()].fill(0);
        put(&place, name, &content);
        place.towline(&["-d", "out", "--adopt", &origin.url(&format!("/{name}"))]).run().code(0);
        place.check(name, SEED, SIZE);
    }
    let place = Place::new();
    put(&place, "a.bin", &begun(SIZE as usize));
    place.towline(&["-d", "out", "--adopt", &origin.url("/a.bin")]).run().code(0);
    place.check("a.bin", SEED, SIZE);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn what_is_too_large_keeps_its_name() {
    let origin = origin();
    let place = Place::new();
    put(&place, "a.bin", &begun(HALF));
    let run = place.towline(&["-d", "out", "--adopt", "--max-size", "5M", &origin.url("/a.bin")]).run();
    run.code(1).says(&["at most 5.00 MiB are allowed"]);
    assert_eq!(fs::read(place.out("a.bin")).unwrap(), begun(HALF));
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn an_entry_with_a_digest_is_gone_on_with() {
    let origin = origin();
    let place = Place::new();
    put(&place, "a.bin", &begun(HALF));
    let digest = Sha256::digest(begun(SIZE as usize)).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    place.write("list", &format!("{}\n  checksum=sha-256={digest}\n", origin.url("/a.bin")));
    let run = place.towline(&["-d", "out", "-i", "list", "--input-format", "aria2", "--adopt"]).run();
    run.code(0).says(&["fetched 2.00 MiB in"]);
    place.check("a.bin", SEED, SIZE);
}

#[test]
fn a_list_goes_on_with_what_another_program_left_of_it() {
    let origin = origin();
    let place = Place::new();
    put(&place, "a.bin", &begun(HALF));
    place.write("list", &[origin.url("/a.bin"), origin.url("/small.bin")].join("\n"));
    place.towline(&["-d", "out", "-i", "list", "--adopt"]).run().code(0).says(&["fetched 2.00 MiB in"]);
    place.check("a.bin", SEED, SIZE);
    place.check("small.bin", SEED, 5000);
}
