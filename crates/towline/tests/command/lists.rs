//! Lists of other programs, lists behind a URL, patterns in URLs, and directories that are kept.

use std::fs;

use md5::Digest as _;
use towline_origin::{Fault, Origin, Page, Resource};

use crate::common::Place;
use crate::forms::Forms;

const SIZE: u64 = 5000;
const SEED: u64 = 40;

fn origin() -> Origin {
    Origin::builder().files("/pub/dir/{}.bin", 3, SIZE, SEED).start().unwrap()
}

#[test]
fn a_list_of_another_program_is_fetched_unchanged() {
    let origin = origin();
    let url = |number: u64| origin.url(&format!("/pub/dir/{number}.bin"));
    let lists = [
        format!("# list\n{}\t{}\n  out=a\n  split=2\n  bt-seed-time=0\n{}\n\tout=b\n", url(0), url(0), url(1)),
        format!("{{\"url\":\"{}\",\"output\":\"a\"}}\n{{\"url\":\"{}\",\"output\":\"b\"}}\n", url(0), url(1)),
        format!("output,url\na,{}\nb,{}\n", url(0), url(1)),
        format!(
            "<?xml version=\"1.0\"?><metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"a\"><url>{}</url></file>\
             <file name=\"b\"><url>{}</url></file></metalink>",
            url(0),
            url(1)
        ),
    ];
    for list in &lists {
        for is_piped in [false, true] {
            let place = Place::new();
            place.write("list", list);
            let outcome = match is_piped {
                false => place.towline(&["-i", "list", "-d", "out"]).run(),
                true => place.towline(&["-i", "-", "-d", "out"]).input(list).run(),
            };
            let outcome = outcome.code(0);
            place.check("a", SEED, SIZE);
            place.check("b", SEED + 1, SIZE);
            if list.contains("bt-seed-time") {
                outcome.says(&["line 5: the option bt-seed-time is not known, and is ignored"]);
                let strict = place.towline(&["-i", "list", "-d", "other", "--strict"]).run();
                strict.code(2).says(&["the list has a bad line", "bt-seed-time"]);
            }
        }
    }
}

#[test]
fn entries_of_one_url_that_ask_for_something_else_are_files_of_their_own() {
    let forms = Forms::start(String::new());
    let url = forms.url("/f.txt");
    let names = |place: &Place| -> Vec<String> {
        let all = fs::read_dir(place.out("")).unwrap().map(|entry| entry.unwrap().path());
        let texts = all.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
        let mut ends: Vec<_> = texts.map(|text| text.split_whitespace().last().unwrap().to_owned()).collect();
        ends.sort_unstable();
        ends
    };
    let lists = [
        (format!("{url}\n  http-user=a\n{url}\n  http-user=b\n"), ["YTo=", "Yjo="]),
        (
            format!(
                "{{\"url\":\"{url}\",\"headers\":{{\"X-Key\":\"1\"}}}}\n{{\"url\":\"{url}\",\"headers\":{{\"X-Key\":\"2\"}}}}\n"
            ),
            ["1", "2"],
        ),
        (
            format!(
                "{{\"url\":\"{url}\",\"headers\":{{\"Authorization\":\"Bearer 1\"}}}}\n{{\"url\":\"{url}\",\"headers\":{{\"Authorization\":\"Bearer 2\"}}}}\n"
            ),
            ["1", "2"],
        ),
    ];
    for (list, expected) in lists {
        let place = Place::new();
        place.write("list", &list);
        let run = || place.towline(&["-i", "list", "-d", "out"]).run().code(0);
        drop(run());
        assert_eq!(names(&place), expected, "{list}");
        run().says(&["2 already there"]);
        assert_eq!(names(&place), expected, "{list}");
        place.write("list", &format!("{list}{list}"));
        run().says(&["2 lines of the list repeat others", "2 already there"]);
    }
    // What was begun for one is not gone on with for another.
    let origin = Origin::builder().files("/{}.bin", 1, 400_000, SEED).start().unwrap();
    let place = Place::new();
    origin.set_faults([Fault::CutAt(200_000).into()]);
    let get = |key: &str| {
        let header = format!("X-Key: {key}");
        place.towline(&["-d", "out", "--retries", "0", "-H", &header, &origin.url("/0.bin")]).run()
    };
    drop(get("1").code(1));
    let asked = origin.requests().len();
    origin.set_faults([]);
    drop(get("2").code(0));
    let first = &origin.requests()[asked];
    assert!(first.header("range").is_none_or(|range| range != "bytes=200000-399999"), "samples come first");
    place.check("0.bin", SEED, 400_000);

    let place = Place::new();
    place.write("list", &url);
    for user in ["a:1", "b:1"] {
        drop(place.towline(&["-i", "list", "-d", "out", "--auto-rename", "--user", user]).run().code(0));
    }
    assert_eq!(names(&place), ["YTox", "Yjox"]);
}

#[test]
fn a_list_that_says_two_things_of_one_file_is_not_done() {
    let origin = origin();
    let url = origin.url("/pub/dir/0.bin");
    let line = |size: u64| format!("{{\"url\":\"{url}\",\"size\":{size}}}\n");
    let place = Place::new();
    place.write("list", &(line(SIZE) + &line(SIZE + 1)));
    drop(place.towline(&["-i", "list", "-d", "out"]).run().code(1));
    place.check("0.bin", SEED, SIZE);
    // The same over two runs.
    let place = Place::new();
    for (size, code) in [(SIZE, 0), (SIZE, 0), (SIZE + 1, 1)] {
        place.write("list", &line(size));
        drop(place.towline(&["-i", "list", "-d", "out"]).run().code(code));
    }
    place.check("0.bin", SEED, SIZE);
}

#[test]
fn a_format_can_be_said() {
    let origin = origin();
    let place = Place::new();
    place.write(
        "list",
        &format!("{}\n{{\"url\":\"{}\"}}\n", origin.url("/pub/dir/0.bin"), origin.url("/pub/dir/1.bin")),
    );
    place.towline(&["-i", "list", "-d", "out"]).run().code(1).says(&["line 2"]);
    place.towline(&["-i", "list", "-d", "out", "--input-format", "jsonl"]).run().code(1).says(&["line 1: not JSON"]);
    place.check("1.bin", SEED + 1, SIZE);
    place.towline(&["-i", "list", "--input-format", "xml"]).run().code(2).says(&["plain, aria2, jsonl, csv, metalink"]);
    place.towline(&["--strict", &origin.url("/pub/dir/0.bin")]).run().code(2).says(&["--strict is for a list"]);
}

#[test]
fn a_list_may_be_behind_a_url() {
    let origin = origin();
    let list = format!("{}\n{}\n", origin.url("/pub/dir/0.bin"), origin.url("/pub/dir/1.bin"));
    let page = Page { content_type: "text/plain".to_owned(), ..Page::html(list) };
    let lists = Origin::builder()
        .resource(Resource::new("/list.txt", 1, 5).fault(Fault::Page(page)))
        .resource(Resource::new("/missing.txt", 1, 5).status(404))
        .start()
        .unwrap();
    let place = Place::new();
    let url = lists.url("/list.txt");
    place.towline(&["-i", &url, "-d", "out", "--dry-run"]).run().code(0).says(&["2 files"]);
    assert!(!place.out("").exists());
    place.towline(&["-i", &url, "-d", "out"]).run().code(0);
    place.check("0.bin", SEED, SIZE);
    place.check("1.bin", SEED + 1, SIZE);
    assert_eq!(place.leftovers(), [".towline", "0.bin", "1.bin"]);
    let missing = place.towline(&["-i", &lists.url("/missing.txt"), "-d", "other"]).run();
    missing.code(1).says(&["cannot fetch the list", "404"]);
    assert!(!place.root().join("other").exists());
}

#[test]
fn patterns_stand_for_several_urls() {
    let origin = origin();
    let place = Place::new();
    place.towline(&["-d", "out", &origin.url("/pub/dir/[0-1].{bin,bin}")]).run().code(0);
    assert_eq!(place.leftovers(), ["0.bin", "1.bin"]);
    place.towline(&["-d", "out", "-o", "file-#1", &origin.url("/pub/dir/[0-2].bin")]).run().code(0);
    place.check("file-2", SEED + 2, SIZE);
    let literal = place.towline(&["-d", "out", "--no-glob", &origin.url("/pub/dir/[0-2].bin")]).run();
    literal.code(1).says(&["404"]);
    let down = place.towline(&["-d", "out", &origin.url("/pub/dir/[2-0].bin")]).run();
    down.code(2).says(&["the range [2-0] goes down", "--no-glob"]);
    place.towline(&["-d", "out", "-o", "one", &origin.url("/pub/dir/[0-2].bin")]).run().code(2).says(&["#1"]);
    place.towline(&["-d", "out", "-o", "../#1", &origin.url("/pub/dir/[0-2].bin")]).run().code(2);
}

#[test]
fn directories_of_the_path_are_kept() {
    let origin = Origin::builder()
        .files("/pub/a%20b/{}.bin", 2, SIZE, SEED)
        .resource(Resource::new("/.towline/%2e%2e%2f/x.bin", SEED, SIZE))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/pub/a%20b/0.bin");
    for (args, path) in
        [(&["--keep-dirs"][..], "pub/a b/0.bin"), (&["--cut-dirs", "1"], "a b/0.bin"), (&["--cut-dirs", "9"], "0.bin")]
    {
        place.towline(&[args, &["-d", "out", &url]].concat()).run().code(0);
        place.check(path, SEED, SIZE);
    }
    // The second run of a list finds them, also what is not complete.
    place.write("list", &format!("{url}\n{}\n", origin.url("/pub/a%20b/1.bin")));
    for _ in 0..2 {
        place.towline(&["--keep-dirs", "-d", "listed", "-i", "list"]).run().code(0);
    }
    let there = place.towline(&["--keep-dirs", "-d", "listed", "-i", "list"]).run().code(0);
    there.says(&["2 already there"]);
    assert!(place.root().join("listed/pub/a b/1.bin").exists());
    assert!(!place.root().join("listed/pub/a b/pub").exists());
    place.towline(&["--keep-dirs", "-d", "odd", &origin.url("/.towline/%2e%2e%2f/x.bin")]).run().code(0);
    assert!(!place.root().join("odd/.towline").exists());
    let names: Vec<_> = fs::read_dir(place.root().join("odd")).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn one_url_in_two_directories_is_two_files() {
    let origin = Origin::builder().files("/{}.bin", 1, 5000, 90).start().unwrap();
    let place = Place::new();
    let url = origin.url("/0.bin");
    place.write("list", &format!("{url}\n  dir=a\n{url}\n  dir=b\n"));
    let run = || place.towline(&["-d", "out", "-i", "list"]).run();
    run().code(0);
    assert!(place.out("a/0.bin").exists() && place.out("b/0.bin").exists());
    run().code(0).says(&["2 already there"]);
    place.write("list", &format!("{url}\n  dir=c\n"));
    run().code(0);
    assert!(place.out("c/0.bin").exists());
}

#[test]
fn no_output_is_below_what_may_be_a_partial_file() {
    let origin = Origin::builder().files("/{}.bin", 2, 5000, 91).start().unwrap();
    let place = Place::new();
    place.write(
        "list",
        &format!("{}\n  out=a.bin.towline/z\n{}\n  out=a.bin\n", origin.url("/0.bin"), origin.url("/1.bin")),
    );
    let outcome = place.towline(&["-d", "out", "-i", "list"]).run().code(1);
    drop(outcome.says(&["names that end in .towline"]));
    assert!(place.out("a.bin").exists() && !place.out("a.bin.towline").exists());
}

/// The quote of the second line ends in the third.
#[test]
fn a_quote_out_of_its_place_hides_no_entry() {
    let origin = Origin::builder().files("/{}.bin", 3, 5000, 92).start().unwrap();
    let place = Place::new();
    let url = |number: u32| origin.url(&format!("/{number}.bin"));
    place.write("list", &format!("url,output\n{},\"a.bin\n{},\"b.bin\"\n{},c.bin\n", url(0), url(1), url(2)));
    let outcome = place.towline(&["-d", "out", "-i", "list"]).run().code(1);
    drop(outcome.says(&["line 2", "a line break in the field output"]));
    assert_eq!(place.leftovers(), [".towline", "c.bin"]);
    place.write("list", &format!("{{\"url\":\"{}\",\"output\":\"a\\nb\"}}\n", url(0)));
    place.towline(&["-d", "out", "-i", "list"]).run().code(1).says(&["a control character"]);
}

#[test]
fn entries_of_one_url_that_demand_other_digests_are_counted_each() {
    let origin = Origin::builder().files("/{}.bin", 1, 5000, 93).start().unwrap();
    let place = Place::new();
    let url = origin.url("/0.bin");
    let right = towline_testkit::content(93, 5000);
    let right: String = md5::Md5::digest(right).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = |digest: &str| format!("{{\"url\":\"{url}\",\"checksum\":\"md5={digest}\"}}\n");
    place.write("list", &(entry(&right) + &entry(&"0".repeat(32)) + &entry(&right)));
    place.towline(&["-d", "out", "-i", "list"]).run().code(4).says(&["1 line of the list repeats another"]);
    let outcome = place.towline(&["status", "--json", "out"]).run().code(0);
    let status = outcome.lines().remove(0);
    let counts = ["total", "done", "failed", "pending"].map(|count| status["ledger"][count].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1), Some(0)], "{status}");
    drop(place.towline(&["verify", "out"]).run().code(1));
}
