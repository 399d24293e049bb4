//! Standard output, the status file and `towline status`: data for programs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};

use serde_json::Value;
use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{MIB, journal_bytes, wait_for, wait_until};

use crate::common::Place;

/// A batch of `count` files of 256 KiB that takes some seconds.
fn slow_batch(place: &Place, count: u64) -> Origin {
    let origin = Origin::builder()
        .files("/{}.bin", count, 256 * 1024, 1)
        .fault(Fault::RatePerServer(2_000_000))
        .start()
        .unwrap();
    place.write("list.txt", &(0..count).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    origin
}

#[test]
fn events_are_one_json_object_a_line_and_tell_each_file_from_start_to_end() {
    let origin =
        Origin::builder().files("/{}.bin", 3, 2 * MIB, 1).fault(Fault::RatePerServer(3_000_000)).start().unwrap();
    let place = Place::new();
    let urls = [0, 1, 2].map(|number| origin.url(&format!("/{number}.bin")));
    let none = origin.url("/none.bin");
    let args = ["--progress", "json", "-d", "out", &urls[0], &urls[1], &urls[2], &none];
    let outcome = place.towline(&args).run().code(1);

    let events = outcome.lines();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let jobs = |events: &[&Value]| events.iter().filter_map(|event| event["job"].as_u64()).collect::<BTreeSet<_>>();
    assert_eq!(jobs(&of("started")), BTreeSet::from([0, 1, 2, 3]));
    assert_eq!(jobs(&of("finished")), BTreeSet::from([0, 1, 2]));
    assert_eq!(of("finished").len(), 3);
    let in_progress: Vec<&Value> =
        of("progress").into_iter().flat_map(|event| event["files"].as_array().unwrap()).collect();
    assert!(jobs(&in_progress).is_superset(&BTreeSet::from([0, 1, 2])), "{outcome}");
    let failed = of("failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["url"], none.as_str());
    assert_eq!(failed[0]["error"]["status"], 404);
    assert_eq!(failed[0]["error"]["advice_code"], "check_url");
    assert_eq!(failed[0]["error"]["advice"], "check the URL, or ask the owner of the server");
    for finished in of("finished") {
        let begun = events.iter().position(|event| event["event"] == "started" && event["job"] == finished["job"]);
        let ended = events.iter().position(|event| event == finished);
        assert!(begun < ended);
        assert_eq!(finished["bytes"], 2 * MIB);
        assert_eq!(finished["how"], "fetched");
    }
    let summary = events.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["done_files"], 3);
    assert_eq!(summary["failed_files"], 1);
    assert_eq!(summary["failures"][0]["error"], failed[0]["error"]);
    assert_eq!(summary["interrupted"], false);
    assert_eq!(of("summary").len(), 1);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_events_and_the_file_still_arrives() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 4 * MIB))
        .fault(Fault::RatePerConnection(1_000_000))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let (reader, writer) = io::pipe().unwrap();
    let running = place.towline(&["--progress", "json", "-x", "2", "-d", "out", &url]).stdout(writer).start();
    let mut first = String::new();
    BufReader::new(reader).read_line(&mut first).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["event"], "started");

    let outcome = running.finish().code(0).says(&["out/a.bin: 4.00 MiB in "]);
    assert!(!outcome.stderr.contains("towline: "), "a closed pipe is no failure: {outcome}");
    place.check("a.bin", 1, 4 * MIB);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn the_exit_code_is_that_of_the_work_when_nobody_reads_the_events() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    let place = Place::new();
    let wrong = format!("md5={}", "0".repeat(32));
    let (none, there) = (origin.url("/none.bin"), origin.url("/a.bin"));
    let cases: [(&[&str], i32, &[&str]); 2] = [
        (
            &[&none, &there],
            1,
            &["towline: 1 of 2 files failed:", "the server answered 404 Not Found", "1 file, 4.88 KiB"],
        ),
        (&["--checksum", &wrong, "-o", "b.bin", &there], 4, &["does not have the md5 digest"]),
    ];
    for (args, code, words) in cases {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let args = [&["--progress", "json", "-d", "out"][..], args].concat();
        place.towline(&args).stdout(writer).run().code(code).says(words);
    }
    place.check("a.bin", 1, 5000);
}

#[test]
fn events_that_cannot_be_written_are_3_and_the_file_still_arrives() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let words = ["out/a.bin: 4.88 KiB in ", "towline: cannot write the events to standard output: "];
    place.towline(&["--progress", "json", "-d", "out", &url]).stdout(full()).run().code(3).says(&words);
    place.check("a.bin", 1, 5000);

    let wrong = format!("md5={}", "0".repeat(32));
    let args = ["--progress", "json", "--checksum", &wrong, "-d", "out", "-o", "b.bin", &url];
    place.towline(&args).stdout(full()).run().code(4).says(&["cannot write the events", "the md5 digest"]);
    assert!(!place.out("b.bin").exists());
}

#[test]
fn an_answer_that_cannot_be_written_is_3() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let all: [&[&str]; 5] = [&["info", &url], &["info", "--json", &url], &["status", "."], &["--version"], &["--help"]];
    for args in all {
        place.towline(args).stdout(full()).run().code(3).says(&["towline: cannot write to standard output: "]);
    }
}

#[test]
fn without_events_standard_output_is_empty_and_q_says_nothing_of_success() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    for (progress, name) in [("auto", "a"), ("bar", "b"), ("lines", "c"), ("none", "d")] {
        let outcome = place.towline(&["--progress", progress, "-d", "out", "-o", name, &url]).run().code(0);
        let outcome = outcome.writes_nothing().says(&[&format!("out/{name}: 4.88 KiB in ")]);
        assert!(!outcome.stderr.contains(['\u{1b}', '\r']), "control codes without a terminal: {outcome}");
    }
    let outcome = place.towline(&["-q", "-d", "out", "-o", "e", &url]).run().code(0).writes_nothing();
    assert_eq!(outcome.stderr, "");
    place.towline(&["-q", &origin.url("/none")]).run().code(1).writes_nothing().says(&["404"]);
}

#[test]
fn options_can_come_from_the_environment() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    let place = Place::new();
    place.towline(&[&origin.url("/a.bin")]).env("TOWLINE_DIR", "out").env("TOWLINE_OUTPUT", "b").run().code(0);
    place.check("b", 1, 5000);
    place
        .towline(&["-o", "c", &origin.url("/a.bin")])
        .env("TOWLINE_DIR", "out")
        .env("TOWLINE_OUTPUT", "b")
        .run()
        .code(0);
    assert_eq!(place.leftovers(), ["b", "c"]);
}

#[test]
fn the_status_file_is_whole_json_at_every_moment_and_says_how_it_ended() {
    let place = Place::new();
    let origin = slow_batch(&place, 32);
    let mut running = place.towline(&["-i", "list.txt", "-d", "out", "--status-file", "status.json"]).start();
    let path = place.root().join("status.json");
    let mut seen = 0;
    running.while_running(|| {
        let Ok(text) = fs::read(&path) else { return };
        let status: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(status["format"], "towline-status");
        assert_eq!(status["version"], 1);
        if status["state"] == "running" {
            assert!(status["progress"]["total_files"].as_u64().unwrap() <= 32, "{status}");
            seen += 1;
        }
    });
    running.finish().code(0);
    assert!(seen > 0, "it never said that it runs");
    let status: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(status["state"], "done");
    assert_eq!(status["summary"]["done_files"], 32);

    place.write("list.txt", &origin.url("/none.bin"));
    place.towline(&["-i", "list.txt", "-d", "out", "--status-file", "status.json"]).run().code(1);
    let status: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(status["state"], "failed");
    assert_eq!(status["failures"][0]["error"]["status"], 404);
    assert_eq!(status["failures"][0]["error"]["advice_code"], "check_url");
    assert_eq!(status["failures"][0]["error"]["advice"], "check the URL, or ask the owner of the server");
}

#[test]
fn status_tells_how_a_batch_stands_while_it_runs_and_after() {
    let place = Place::new();
    let _origin = slow_batch(&place, 32);
    let running = place.towline(&["-i", "list.txt", "-d", "out"]).start();
    wait_until("the ledger", || place.out(".towline").exists());
    let status = wait_for("some files to be done", || {
        let outcome = place.towline(&["status", "out", "--json"]).run();
        let status: Value = serde_json::from_str(&outcome.stdout).ok()?;
        (status["ledger"]["done"].as_u64()? > 0).then_some(status)
    });
    assert_eq!(status["ledger"]["running"], true, "{status}");
    assert_eq!(status["ledger"]["total"], 32);
    let human = place.towline(&["status", "out"]).run().code(0);
    assert!(human.stdout.contains(" of 32 files done, running\n"), "{human}");
    assert_eq!(human.stderr, "");
    running.finish().code(0);

    let human = place.towline(&["status", "out"]).run().code(0);
    assert!(human.stdout.starts_with("out: 32 of 32 files done\n"), "{human}");
    let status = place.towline(&["status", "out", "--json"]).run().code(0).lines().remove(0);
    assert_eq!(status["ledger"]["done"], 32);
    assert_eq!(status["ledger"]["pending"], 0);
    assert_eq!(status["ledger"]["running"], false);
    assert_eq!(status["files"].as_array().unwrap().len(), 0);
}

#[test]
fn status_tells_how_far_a_killed_file_has_come() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 8 * MIB))
        .fault(Fault::RatePerConnection(500_000))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let running = place.towline(&["-x", "4", "-d", "out", &url]).start();
    wait_until("something in the journal", || journal_bytes(&place.out("a.bin.towline.json")) > MIB);
    running.kill();
    let human = place.towline(&["status", "out"]).run().code(0);
    assert!(human.stdout.starts_with("a.bin: ") && human.stdout.contains(" of 8.00 MiB ("), "{human}");
    let status = place.towline(&["status", "out", "--json"]).run().code(0).lines().remove(0);
    assert_eq!(status["files"][0]["name"], "a.bin");
    assert_eq!(status["files"][0]["total_bytes"], 8 * MIB);
    assert_eq!(status["ledger"], Value::Null);

    // As builds before this one named it.
    fs::rename(place.out("a.bin.towline.json"), place.out("a.bin.part.json")).unwrap();
    let before = place.towline(&["status", "out", "--json"]).run().code(0).lines().remove(0);
    assert_eq!(before["files"], status["files"]);
}

#[test]
fn a_log_tells_every_request_and_no_secret() {
    let origin = Origin::builder().files("/{}.bin", 3, 5000, 11).start().unwrap();
    let place = Place::new();
    let secret = origin.url("/0.bin?token=hunter2").replace("http://", "http://me:hunter2@");
    let urls = [secret, origin.url("/1.bin"), origin.url("/missing.bin")];
    let log = place.root().join("towline.log");
    let args =
        ["-vv", "--log", log.to_str().unwrap(), "-H", "Authorization: Bearer hunter2", &urls[0], &urls[1], &urls[2]];
    let outcome = place.towline(&args).run().code(1);
    let written = fs::read_to_string(&log).unwrap();
    for text in [&written, &outcome.stderr] {
        assert!(!text.contains("hunter2"), "{text}");
        for said in ["job{id=0}:transfer{", "connected protocol=\"HTTP/1.1\"", "status=200", "status=404", "Finished"] {
            assert!(text.contains(said), "{said} in {text}");
        }
        assert_eq!(text.matches(" asks range=None").count(), 3, "{text}");
    }
    // It goes on with a log, and writes into nothing else.
    place.towline(&["-q", "--log", log.to_str().unwrap(), &urls[1], "--overwrite"]).run().code(0);
    assert!(fs::read_to_string(&log).unwrap().len() > written.len());
    let mine = place.root().join("mine");
    fs::write(&mine, "mine").unwrap();
    place.towline(&["--log", mine.to_str().unwrap(), &urls[1]]).run().code(2).says(&["not a Towline log"]);
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
}

#[test]
fn a_log_that_cannot_be_written_is_said_to_be_incomplete() {
    let origin = Origin::builder().files("/{}.bin", 1, 5000, 11).start().unwrap();
    let place = Place::new();
    let outcome = place.towline(&["--log", "/dev/full", "-d", "out", &origin.url("/0.bin")]).run().code(3);
    outcome.says(&["--log /dev/full: the log is incomplete", "No space left on device"]);
    place.check("0.bin", 11, 5000);
}
