//! How requests are made: headers, credentials, addresses, pauses, and the time of files.

use std::fs;
use std::time::{Duration, SystemTime};

use towline_origin::{Fault, Origin, Resource};

use crate::common::Place;

const SIZE: u64 = 5000;
const SEED: u64 = 60;

fn origin() -> Origin {
    Origin::builder().files("/{}.bin", 3, SIZE, SEED).start().unwrap()
}

/// The value of a header in the last request.
fn sent(origin: &Origin, name: &str) -> Option<String> {
    let request = origin.requests().pop().unwrap();
    request.headers.into_iter().find(|(held, _)| held == name).map(|(_, value)| value)
}

#[test]
fn headers_come_from_options_and_files() {
    let origin = origin();
    let place = Place::new();
    place.write("headers", "# ours\nX-One: 1\n\nX-Two: a: b\r\n");
    let url = origin.url("/0.bin");
    let outcome = place.towline(&["-d", "out", "-H", "@headers", "--referer", "https://example.org/x", &url]).run();
    outcome.code(0);
    let values = ["x-one", "x-two", "referer"].map(|name| sent(&origin, name).unwrap());
    assert_eq!(values, ["1", "a: b", "https://example.org/x"]);
    place.towline(&["-H", "@missing", &url]).run().code(2).says(&["--header @missing"]);
}

#[test]
fn a_name_and_a_password_go_to_the_own_server_and_are_shown_nowhere() {
    let other = origin();
    let origin = Origin::builder()
        .files("/{}.bin", 1, SIZE, SEED)
        .resource(Resource::new("/away", SEED, SIZE).redirect(302, &other.url("/1.bin")))
        .start()
        .unwrap();
    let place = Place::new();
    let run = |url: &str| place.towline(&["-d", "out", "-vv", "--user", "me:hunter2", url]).run();
    run(&origin.url("/0.bin")).code(0).hides("hunter2").hides("bWU6aHVudGVyMg");
    assert_eq!(sent(&origin, "authorization").unwrap(), "Basic bWU6aHVudGVyMg==");
    run(&origin.url("/away")).code(0).hides("hunter2");
    assert_eq!(sent(&other, "authorization"), None);
    let both = place.towline(&["--user", "me:x", "-H", "Authorization: y", &origin.url("/0.bin")]).run();
    both.code(2).says(&["cannot be used together"]);
    place.towline(&["--user", "hunter2", &origin.url("/0.bin")]).run().code(2).hides("hunter2");
}

#[test]
fn hosts_and_addresses_can_be_chosen() {
    let origin = origin();
    let place = Place::new();
    let port = origin.addr().port();
    let url = format!("http://example.invalid:{port}/0.bin");
    let resolve = format!("example.invalid:{port}:127.0.0.1");
    place.towline(&["-d", "out", "--resolve", &resolve, &url]).run().code(0);
    place.check("0.bin", SEED, SIZE);
    assert_eq!(sent(&origin, "host").unwrap(), format!("example.invalid:{port}"));
    let other_port = format!("example.invalid:{}:127.0.0.1", port.wrapping_add(1).max(1));
    let run = |args: &[&str]| place.towline(&[args, &["-d", "out", "--retries", "0"]].concat()).run();
    run(&["--resolve", &other_port, &url]).code(1).says(&["cannot be resolved"]);
    run(&["--resolve", "nonsense", &url]).code(2).says(&["HOST:PORT:ADDRESS"]);

    let url = origin.url("/1.bin");
    run(&["-4", &url]).code(0);
    run(&["-6", &origin.url("/2.bin")]).code(1).says(&["may not be connected to"]);
    run(&["-4", "-6", &url]).code(2);
    run(&["--interface", "127.0.0.1", &origin.url("/2.bin")]).code(0);
    // An address that is nobody's here (RFC 5737).
    run(&["--interface", "192.0.2.1", "-o", "x", &url]).code(1);
    run(&["--interface", "nothing0", "-o", "y", &url]).code(1);
    run(&["--interface", "a/b", &url]).code(2).says(&["a name such as eth0"]);
}

#[test]
fn a_final_status_is_retried_if_it_is_to_be() {
    let status = || Fault::Status { code: 404, times: Some(2), retry_after: None };
    let place = Place::new();
    let origin = Origin::builder().resource(Resource::new("/a.bin", SEED, SIZE).fault(status())).start().unwrap();
    place.towline(&["-d", "out", &origin.url("/a.bin")]).run().code(1).says(&["404"]);
    let origin = Origin::builder().resource(Resource::new("/a.bin", SEED, SIZE).fault(status())).start().unwrap();
    place.towline(&["-d", "out", "--retry-on", "404,410", &origin.url("/a.bin")]).run().code(0);
    place.check("a.bin", SEED, SIZE);
    place.towline(&["--retry-on", "200", &origin.url("/a.bin")]).run().code(2).says(&["400..=599"]);
}

#[test]
fn requests_to_a_host_keep_their_distance() {
    let origin = origin();
    let place = Place::new();
    let urls = [0, 1, 2].map(|number| origin.url(&format!("/{number}.bin")));
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    place.towline(&[&["-d", "out", "--delay-per-host", "300ms"], &urls[..]].concat()).run().code(0);
    let at: Vec<Duration> = origin.requests().iter().map(|request| request.at).collect();
    // The origin notes when a request arrives, which may be late.
    assert_eq!(at.len(), 3);
    assert!(at[2] - at[0] >= Duration::from_millis(500), "{at:?}");
}

#[test]
fn a_file_gets_the_time_of_the_server_if_it_is_to_have_it() {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for size in [SIZE, 300_000] {
        let file = Resource::new("/a.bin", SEED, size).last_modified(Some(then));
        let origin = Origin::builder().resource(file).start().unwrap();
        for (args, is_then) in [(&["--remote-time"][..], true), (&[], false)] {
            let place = Place::new();
            let url = origin.url("/a.bin");
            let args = [args, &["-d", "out", &url]].concat();
            place.towline(&args).run().code(0);
            let modified = fs::metadata(place.out("a.bin")).unwrap().modified().unwrap();
            assert_eq!(modified == then, is_then);
            place.towline(&args).run().code(0).says(&["already there"]);
        }
    }
}

#[test]
fn files_are_compared_with_a_file_of_digests() {
    let origin = origin();
    let place = Place::new();
    for number in 0..3_u64 {
        towline_testkit::write_seeded(&place.root().join(format!("{number}.bin")), SEED + number, SIZE);
    }
    let make = "sha256sum 0.bin ./1.bin > SHA256SUMS && md5sum --tag 2.bin >> SHA256SUMS";
    assert!(std::process::Command::new("sh").args(["-c", make]).current_dir(place.root()).status().unwrap().success());
    let urls = [0, 1, 2].map(|number| origin.url(&format!("/{number}.bin")));
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let sums = ["--checksum-file", "SHA256SUMS", "-d", "out"];
    place.towline(&[&sums, &urls[..]].concat()).run().code(0);
    place.write("list", &(urls.join("\n") + "\n" + &origin.url("/3.bin\n")));
    let list = place.towline(&["--checksum-file", "SHA256SUMS", "-d", "listed", "-i", "list"]).run();
    list.code(1).says(&["1 file of the list: no digest is given"]);

    // Another content under a name that has a digest.
    place.write("wrong", &(origin.url("/0.bin") + "\n  out=1.bin\n"));
    place.towline(&["--checksum-file", "SHA256SUMS", "-d", "wrong-out", "-i", "wrong"]).run().code(4);
    let other = place.towline(&[&sums[..], &["-o", "other.bin", urls[0]]].concat()).run();
    other.code(2).says(&["it has no digest of other.bin"]);
    place.write("bad", "nonsense\n");
    place.towline(&["--checksum-file", "bad", urls[0]]).run().code(2).says(&["line 1 has no digest"]);
}

#[test]
fn a_slow_connection_is_replaced_where_a_least_speed_is_asked_for() {
    let slow = Resource::new("/a.bin", SEED, 300_000).fault(Fault::Trickle { bytes_per_sec: 3000 });
    let origin = Origin::builder().resource(slow).start().unwrap();
    let place = Place::new();
    let outcome = place.towline(&["-d", "out", "--min-speed", "50k", "--retries", "0", &origin.url("/a.bin")]).run();
    outcome.code(1).says(&["came for 10 s", "are asked for"]);
}
