//! SIGKILL and servers that go away: nothing that the journal claims is lost, and hardly anything is
//! fetched twice.

use std::fs;
use std::time::{Duration, Instant};

use towline_origin::{ETag, Fault, Origin, Resource, Scope};
use towline_testkit::servers::Nginx;
use towline_testkit::{MIB, journal_bytes, json_lines, wait_until};

use crate::common::Place;

const SIZE: u64 = 24 * MIB;
const CONNECTIONS: u64 = 8;
const RATE_BPS: u64 = 1_000_000;
/// Between the network and the journal on each connection.
const BUFFER_BYTES: u64 = 256 * 1024;

/// What comes between two steps, and a little more.
fn step_bytes(rate_bps: u64) -> u64 {
    rate_bps * 6 / 10
}

#[test]
fn a_file_that_was_killed_half_way_goes_on_and_hardly_anything_comes_twice() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 3, SIZE))
        .fault(Fault::RatePerConnection(RATE_BPS))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let again = || place.towline(&["-x", "8", "-d", "out", &url]);

    let running = again().start();
    let journal = place.out("a.bin.towline.json");
    wait_until("half of the file in the journal", || journal_bytes(&journal) >= SIZE / 2);
    running.kill();
    assert_eq!(place.leftovers(), ["a.bin.towline", "a.bin.towline.json"]);
    let kept = journal_bytes(&journal);

    again().run().code(0).says(&["the rest was already there"]);
    place.check("a.bin", 3, SIZE);
    assert_eq!(place.leftovers(), ["a.bin"]);
    let sent = origin.stats().body_bytes;
    let most = SIZE + step_bytes(RATE_BPS * CONNECTIONS) + CONNECTIONS * BUFFER_BYTES + SIZE / 10;
    assert!(sent <= most, "{sent} bytes were sent for {SIZE}, at most {most} are right; {kept} were in the journal");
}

#[test]
fn a_file_of_nginx_that_was_killed_half_way_goes_on() {
    let Some(nginx) = Nginx::start() else { return };
    nginx.file("a.bin", 4, SIZE);
    let place = Place::new();
    let url = nginx.url("/slow/a.bin");
    let again = || place.towline(&["-x", "8", "-d", "out", &url]);
    let running = again().start();
    wait_until("half of the file in the journal", || journal_bytes(&place.out("a.bin.towline.json")) >= SIZE / 2);
    running.kill();
    again().run().code(0).says(&["the rest was already there"]);
    place.check("a.bin", 4, SIZE);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn a_batch_that_was_killed_half_way_fetches_what_is_missing() {
    const FILES: u64 = 60;
    const FILE_BYTES: u64 = 256 * 1024;
    const SERVER_BPS: u64 = 4_000_000;
    let origin = Origin::builder()
        .files("/{}.bin", FILES, FILE_BYTES, 70)
        .fault(Fault::RatePerServer(SERVER_BPS))
        .start()
        .unwrap();
    let place = Place::new();
    place.write("list.txt", &(0..FILES).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    let again = || place.towline(&["-i", "list.txt", "-d", "out"]);

    let running = again().start();
    let complete = || place.leftovers().iter().filter(|name| name.ends_with(".bin")).count() as u64;
    wait_until("half of the files", || complete() >= FILES / 2);
    running.kill();
    assert!(complete() < FILES);

    again().run().code(0).says(&["60 files, 15.0 MiB", "already there"]);
    for number in 0..FILES {
        place.check(&format!("{number}.bin"), 70 + number, FILE_BYTES);
    }
    assert_eq!(place.leftovers_beside_numbered(FILES), [".towline"]);
    let sent = origin.stats().body_bytes;
    let all = FILES * FILE_BYTES;
    let most = all + step_bytes(SERVER_BPS) + origin.stats().connections_peak * BUFFER_BYTES + all / 10;
    assert!(sent <= most, "{sent} bytes were sent for {all}, at most {most} are right");

    let before = origin.stats().requests;
    again().run().code(0).says(&["60 already there"]);
    assert_eq!(origin.stats().requests, before);
}

#[test]
fn a_server_that_was_unplugged_for_five_seconds_is_gone_on_with() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 5, SIZE))
        .fault(Fault::RatePerConnection(RATE_BPS))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let running = place.towline(&["-x", "4", "-d", "out", "--progress", "json", &url]).start();
    wait_until("a quarter of the file", || journal_bytes(&place.out("a.bin.towline.json")) >= SIZE / 4);
    origin.stop();
    let stopped = Instant::now();
    wait_until("an event that it tries again", || {
        json_lines(&running.stdout()).iter().any(|event| event["event"] == "retrying")
    });
    wait_until("five seconds to pass", || stopped.elapsed() >= Duration::from_secs(5));
    origin.restart().unwrap();

    let outcome = running.finish().code(0);
    let finished = outcome.lines().into_iter().find(|event| event["event"] == "finished");
    assert_eq!(finished.unwrap()["how"], "fetched");
    place.check("a.bin", 5, SIZE);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn a_restart_forgets_what_is_there() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 6, 8 * MIB))
        .fault(Fault::RatePerConnection(2_000_000))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let running = place.towline(&["-x", "2", "-d", "out", &url]).start();
    wait_until("something in the journal", || journal_bytes(&place.out("a.bin.towline.json")) > 0);
    running.kill();
    origin.set_faults([]);
    let before = origin.stats().body_bytes;
    place.towline(&["--restart", "-d", "out", &url]).run().code(0);
    assert!(origin.stats().body_bytes - before >= 8 * MIB);
    place.check("a.bin", 6, 8 * MIB);
    assert_eq!(fs::read_dir(place.out("")).unwrap().count(), 1);
}

/// Two versions of a file that take turns are exchanged by two steps.
#[test]
fn a_kill_while_two_versions_are_exchanged_loses_neither() {
    const SIZE: u64 = 4 * MIB;
    let version = |seed, tag: &str| Resource::new("/a.bin", seed, SIZE).etag(ETag::Custom(format!("\"{tag}\"")));
    let origin = Origin::builder().resource(version(7, "a").fault(Fault::CutAt(MIB).first(1))).start().unwrap();
    let nothing_more = || Fault::CutAt(0).when(Scope::every().starting_at(2));
    origin.set_faults([nothing_more()]);
    let place = Place::new();
    let url = origin.url("/a.bin");
    let again = || place.towline(&["-x", "1", "--retries", "2", "-d", "out", &url]);
    again().run().code(1);
    // Two answers show another version, of the third most comes.
    origin.set_faults([]);
    let cut = version(8, "b").fault(Fault::CutAt(3 * MIB).first(3));
    origin.set_resource(cut.fault(Fault::CutAt(0).when(Scope::every().starting_at(4))));
    again().run().code(1);
    assert_eq!(journal_bytes(&place.out("a.bin.towline.json")), 3 * MIB);

    origin.set_resource(version(7, "a"));
    let held = place.root().join("exchanged");
    let running = again().env("TOWLINE_FAILPOINT", &format!("exchanged:{}", held.display())).start();
    wait_until("the exchange", || held.with_extension("reached").exists());
    running.kill();
    origin.set_resource(version(8, "b"));
    // All but the last quarter of it was there.
    again().run().code(0).says(&["fetched 1.00 MiB", "the rest was already there"]);
    place.check("a.bin", 8, SIZE);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

/// Before anything was saved, the journal names the file that it is of.
#[test]
fn what_takes_the_place_of_a_partial_file_of_which_nothing_was_saved_is_kept() {
    const THEIRS: &str = "precious, not ours";
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 6, SIZE))
        .fault(Fault::RatePerConnection(RATE_BPS * 8).first(1))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let again = || place.towline(&["-x", "1", "--save-interval", "1h", "-d", "out", &url]);
    let running = again().start();
    let part = place.out("a.bin.towline");
    wait_until("the partial file", || fs::read(&part).is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0)));
    running.kill();
    assert_eq!(journal_bytes(&place.out("a.bin.towline.json")), 0);
    let theirs = place.out("theirs");
    fs::write(&theirs, THEIRS).unwrap();
    fs::rename(&theirs, &part).unwrap();
    again().run().code(0).says(&["it is kept as"]);
    place.check("a.bin", 6, SIZE);
    assert_eq!(place.leftovers(), ["a.bin", "a.bin.towline.1"]);
    assert_eq!(fs::read_to_string(place.out("a.bin.towline.1")).unwrap(), THEIRS);
}
