//! Lists in the formats of other programs, fetched.

use std::fs;
use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha1::{Digest as _, Sha1};
use towline_engine::event::How;
use towline_engine::feed::{Batch, ListOptions, ListSource};
use towline_engine::{ErrorKind, Session};
use towline_origin::{Fault, Origin, Resource, Scope};
use towline_testkit::content;

use crate::common::{LONG, MIB, Place, fetch_list, fetch_with, with_watchdog};

const SIZE: u64 = 4 * MIB;
const PIECE_BYTES: u64 = 256 << 10;
const SEED: u64 = 7;

fn source(list: impl Into<Vec<u8>>) -> ListSource {
    ListSource::Reader(Box::new(Cursor::new(list.into())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Metalink of one file, with the digests of its pieces and maybe that of the whole.
fn metalink(name: &str, urls: &[String], content: &[u8], has_whole: bool) -> String {
    let hash = |bytes: &[u8]| hex(&Sha1::digest(bytes));
    let pieces: String =
        content.chunks(PIECE_BYTES as usize).map(|piece| format!("<hash>{}</hash>", hash(piece))).collect();
    let whole = if has_whole { format!("<hash type=\"sha-1\">{}</hash>", hash(content)) } else { String::new() };
    let urls: String = urls.iter().map(|url| format!("<url>{url}</url>")).collect();
    format!(
        "<?xml version=\"1.0\"?><metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"{name}\">\
         <size>{}</size>{whole}<pieces type=\"sha-1\" length=\"{PIECE_BYTES}\">{pieces}</pieces>{urls}</file></metalink>",
        content.len()
    )
}

#[test]
fn a_wrong_piece_alone_is_fetched_again() {
    with_watchdog(LONG, || {
        for has_whole in [true, false] {
            // The first response has other bytes from the middle on.
            let lie = Fault::OtherContent { from: SIZE - PIECE_BYTES - 1000, seed: 99 };
            let file = Resource::new("/a.iso", SEED, SIZE).fault(lie.when(Scope::every().first(1)));
            let origin = Origin::builder().resource(file).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.connections = Some(1);
            let list = metalink("sub/a.iso", &[origin.url("/a.iso")], &content(SEED, SIZE), has_whole);
            let run = fetch_list(options, source(list), false);
            run.assert_done(1);
            place.assert_content("sub/a.iso", SEED, SIZE);
            let sent = origin.stats().body_bytes;
            // The last two pieces.
            assert!(sent > SIZE && sent <= SIZE + 2 * PIECE_BYTES, "{sent} bytes were sent");
        }
    });
}

#[test]
fn pieces_that_stay_wrong_fail_the_file() {
    with_watchdog(LONG, || {
        for size in [SIZE, 50_000] {
            let file = Resource::new("/a.iso", SEED + 1, size);
            let origin = Origin::builder().resource(file).start().unwrap();
            let place = Place::new();
            let list = metalink("a.iso", &[origin.url("/a.iso")], &content(SEED, size), false);
            let run = fetch_list(place.options(), source(list), false);
            assert_eq!(run.failure_kinds(), [ErrorKind::Digest]);
            assert!(!place.file("a.iso").exists());
        }
    });
}

#[test]
fn a_finished_file_is_compared_with_the_digests_of_its_pieces() {
    with_watchdog(LONG, || {
        for size in [SIZE, 2 * PIECE_BYTES] {
            let origin = Origin::builder().resource(Resource::new("/a.iso", SEED, size)).start().unwrap();
            let place = Place::new();
            let run = |seed: u64| {
                let list = metalink("a.iso", &[origin.url("/a.iso")], &content(seed, size), false);
                fetch_list(place.options(), source(list), false)
            };
            run(SEED).assert_done(1);
            let asked = origin.stats().requests;
            run(SEED).assert_done(1);
            assert_eq!(origin.stats().requests, asked, "its pieces are right");
            assert_eq!(run(SEED + 1).failure_kinds(), [ErrorKind::NameTaken]);
            place.assert_content("a.iso", SEED, size);
            let again = run(SEED);
            again.assert_done(1);
            assert_eq!(again.finished()[0].how, How::ThereByDigest, "it was in doubt");
            assert_eq!(run(SEED).finished()[0].how, How::ThereByLedger, "its pieces are known to be right");
        }
    });
}

#[test]
fn a_mirror_with_wrong_pieces_is_healed_from_the_other() {
    with_watchdog(LONG, || {
        let bad = Resource::new("/a.iso", SEED, SIZE).fault(Fault::OtherContent { from: MIB, seed: 98 });
        let bad = Origin::builder().resource(bad).start().unwrap();
        let good = Origin::builder().resource(Resource::new("/a.iso", SEED, SIZE)).start().unwrap();
        let place = Place::new();
        let urls = [good.url("/a.iso"), bad.url("/a.iso")];
        let list = metalink("a.iso", &urls, &content(SEED, SIZE), true);
        let run = fetch_list(place.options(), source(list), false);
        run.assert_done(1);
        place.assert_content("a.iso", SEED, SIZE);
    });
}

#[test]
fn a_list_of_each_format_is_fetched_and_known_in_the_second_run() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 3, 5000, SEED).start().unwrap();
        let url = |number: u64| origin.url(&format!("/{number}.bin"));
        let (a, b, c) = (url(0), url(1), url(2));
        let lists = [
            format!("{a}\n out=x/a\n{b}\t{b}\n out=b\n{c}\n out=c\n max-connection-per-server=2\n"),
            format!(
                "{{\"url\":\"{a}\",\"output\":\"x/a\"}}\n{{\"url\":\"{b}\",\"output\":\"b\"}}\n{{\"url\":\"{c}\",\"output\":\"c\",\"size\":5000}}\n"
            ),
            format!("url,output\n{a},x/a\n{b},b\n{c},c"),
        ];
        for list in &lists {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(list.as_bytes()).unwrap();
            for (list, is_file) in [(list.clone().into_bytes(), true), (gzip.finish().unwrap(), false)] {
                let place = Place::new();
                let path = place.beside("list");
                fs::write(&path, &list).unwrap();
                let open = || if is_file { ListSource::File(path.clone()) } else { source(list.clone()) };
                fetch_list(place.options(), open(), false).assert_done(3);
                place.assert_content("x/a", SEED, 5000);
                place.assert_content("b", SEED + 1, 5000);
                place.assert_content("c", SEED + 2, 5000);
                let requests = origin.stats().requests;
                fetch_list(place.options(), open(), false).assert_done(3);
                assert_eq!(origin.stats().requests, requests);
            }
        }
    });
}

#[test]
fn a_size_that_a_list_gives_is_the_size_of_the_file() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 1, 5000, SEED).start().unwrap();
        for (size, is_right) in [(5000, true), (4999, false), (5001, false)] {
            let place = Place::new();
            let list = format!("{{\"url\":\"{}\",\"size\":{size}}}\n", origin.url("/0.bin"));
            let run = fetch_list(place.options(), source(list), false);
            assert_eq!(run.failure_kinds().is_empty(), is_right, "{size}");
            assert_eq!(place.file("0.bin").exists(), is_right, "{size}");
        }
    });
}

#[test]
fn a_bad_line_is_one_failure_or_keeps_a_strict_list_from_starting() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 1, 5000, SEED).start().unwrap();
        let lists = [
            format!("{}\nnowhere\n", origin.url("/0.bin")),
            format!("{}\n out=a\n split=many\n{}\n", origin.url("/1.bin"), origin.url("/0.bin")),
            format!("{{\"url\":\"{}\"}}\n{{}}\n", origin.url("/0.bin")),
        ];
        for list in lists {
            let place = Place::new();
            let requests = origin.stats().requests;
            let strict = ListOptions::default().strict(true);
            let error = Batch::open_as(source(list.clone()), strict, &place.options().dir, false, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.message().contains("line "), "{}", error.message());
            assert_eq!(origin.stats().requests, requests);
            let run = fetch_list(place.options(), source(list), false);
            assert_eq!(run.failure_kinds(), [ErrorKind::ListLine]);
            place.assert_content("0.bin", SEED, 5000);
        }
        let good = format!("{}\n", origin.url("/0.bin"));
        let place = Place::new();
        let strict = ListOptions::default().strict(true);
        let batch = Batch::open_as(source(good), strict, &place.options().dir, false, false).unwrap();
        fetch_with(Session::builder(place.options()).feed(batch), []).assert_done(1);
    });
}

#[test]
fn what_stands_before_the_damage_of_a_list_is_fetched() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 1, 5000, SEED).start().unwrap();
        let place = Place::new();
        let good = metalink("a", &[origin.url("/0.bin")], &content(SEED, 5000), true);
        let list = good.replace("</metalink>", "<file name=\"&bad;\"/></metalink>");
        let run = fetch_list(place.options(), source(list), false);
        assert_eq!(run.failure_kinds(), [ErrorKind::ListLine]);
        place.assert_content("a", SEED, 5000);
    });
}

#[test]
fn names_of_a_metalink_never_leave_the_directory() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 1, 5000, SEED).start().unwrap();
        for name in ["../up", "/tmp/absolute", "a/../../up", ".towline/ledger.sqlite", "a/"] {
            let place = Place::new();
            let list = metalink(name, &[origin.url("/0.bin")], &content(SEED, 5000), true);
            let run = fetch_list(place.options(), source(list), false);
            assert_eq!(run.failure_kinds().len(), 1, "{name}");
            assert_eq!(place.leftovers(&[".towline"]), [""; 0], "{name}");
        }
    });
}
