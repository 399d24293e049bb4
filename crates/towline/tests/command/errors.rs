//! Each thing that goes wrong has its message and its exit code.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource as Limited, Rlimit, getrlimit};
use sha2::{Digest as _, Sha256};
use towline_origin::{Fault, Length, Origin, Resource};
use towline_testkit::servers::Nginx;
use towline_testkit::{MIB, cannot_test, content, journal_bytes, leftovers, tool, wait_until};

use crate::common::{BINARY, Place, Towline};

/// An origin with `/a.bin`: 5000 bytes, seed 1.
fn small() -> Origin {
    Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap()
}

fn sha256_hex(seed: u64, size: u64) -> String {
    Sha256::digest(content(seed, size)).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_404_names_the_url_and_the_status() {
    let (origin, place) = (small(), Place::new());
    let url = origin.url("/none.bin");
    place
        .towline(&["-d", "out", &url])
        .run()
        .code(1)
        .says(&[&format!("towline: {url}: the server answered 404 Not Found"), "→ check the URL"])
        .writes_nothing();
    assert_eq!(place.leftovers(), Vec::<String>::new());
}

#[test]
fn the_advice_fits_the_status() {
    let cases: [(&[u16], &str); 4] = [
        (&[400, 404, 405, 410, 414, 418, 451, 501, 505], "→ check the URL, or ask the owner of the server"),
        (&[401, 403], "→ the server wants credentials, or refuses access"),
        (&[429, 503], "→ the server is busy; run the same command again later"),
        (&[500, 502, 504], "→ the server is in trouble; run the same command again later"),
    ];
    let (origin, place) = (small(), Place::new());
    let url = origin.url("/a.bin");
    for (statuses, advice) in cases {
        for status in statuses {
            origin.set_faults([Fault::Status { code: *status, times: None, retry_after: None }.into()]);
            let said = format!("the server answered {status}");
            place.towline(&["--retries", "0", "-d", "out", &url]).run().code(1).says(&[&said, advice]);
        }
    }
}

#[test]
fn no_retries_means_one_request() {
    let status = Fault::Status { code: 503, times: None, retry_after: None };
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).fault(status).start().unwrap();
    let place = Place::new();
    let outcome = place.towline(&["--retries", "0", "-d", "out", &origin.url("/a.bin")]).run().code(1).says(&["503"]);
    assert!(!outcome.stderr.contains("tried"), "{outcome}");
    assert_eq!(origin.stats().requests, 1);
}

#[test]
fn a_refused_connection_says_how_often_it_was_tried() {
    let place = Place::new();
    // Nobody listens there.
    let url = "http://127.0.0.1:1/a.bin";
    place.towline(&["--retries", "1", "-d", "out", url]).run().code(1).says(&[
        url,
        "connection refused",
        "(tried 2 times)",
        "→ run the same command again",
    ]);
}

#[test]
fn an_unknown_host_is_named() {
    let place = Place::new();
    place
        .towline(&["--retries", "0", "-d", "out", "http://no-such-host.invalid/a"])
        .run()
        .code(1)
        .says(&["towline: http://no-such-host.invalid/a: ", "no-such-host.invalid"]);
}

/// Towline with a small file system of its own as `out`, in a namespace that takes it away again.
fn on_mount(place: &Place, mount_options: &str, used_bytes: u64, args: &[&str]) -> Option<Towline> {
    const SCRIPT: &str = r#"mount -t tmpfs -o "$1" tmpfs "$2" && { [ "$3" = 0 ] || head -c "$3" /dev/zero >"$2/other"; } && shift 3 && exec "$@""#;
    let unshare = tool("unshare")?;
    let out = place.out("");
    fs::create_dir_all(&out).unwrap();
    let mounted = |namespaces: &[&str], program: &Path| {
        let mut command = Command::new(&unshare);
        command
            .args(namespaces)
            .args(["sh", "-c", SCRIPT, "sh", mount_options])
            .arg(&out)
            .arg(used_bytes.to_string())
            .arg(program);
        command
    };
    let ways: [&[&str]; 2] = [&["-m"], &["-r", "-m"]];
    let works = |way: &&&[&str]| mounted(way, Path::new("true")).output().is_ok_and(|output| output.status.success());
    let Some(way) = ways.iter().find(works) else {
        cannot_test("a file system cannot be mounted in a namespace");
        return None;
    };
    let mut command = mounted(way, Path::new(BINARY));
    command.args(args);
    Some(Towline::new(command, place))
}

#[test]
fn a_full_disk_says_how_much_is_needed_and_free_before_anything_is_fetched() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 64 * MIB)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let Some(towline) = on_mount(&place, "size=4m", 0, &["-d", "out", &url]) else { return };
    let too_small = "out/a.bin: cannot write: 64.0 MiB needed, 4.00 MiB free";
    towline.run().code(3).says(&[&url, too_small, "→ save it on a larger disk"]);
    // One that would hold it has something else on it.
    let Some(towline) = on_mount(&place, "size=66m", 8 * MIB, &["-d", "out", &url]) else { return };
    towline.run().code(3).says(&[&url, "out/a.bin: cannot write: 64.0 MiB needed, 58.0 MiB free", "→ make room"]);
}

#[test]
fn a_disk_that_becomes_full_meanwhile_is_this_machines_fault() {
    let resource = Resource::new("/a.bin", 1, 16 * MIB).length(Length::Chunked);
    let origin = Origin::builder().resource(resource).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let Some(towline) = on_mount(&place, "size=4m", 0, &["-d", "out", &url]) else { return };
    towline.run().code(3).says(&[&url, "no space left on device", "→ make room"]);
}

#[test]
fn a_file_beyond_the_limit_of_sizes_fails_and_the_others_arrive() {
    let origin = Origin::builder()
        .resource(Resource::new("/large.bin", 1, 4 * MIB))
        .resource(Resource::new("/growing.bin", 2, 4 * MIB).length(Length::Chunked))
        .resource(Resource::new("/small.bin", 3, 5000))
        .start()
        .unwrap();
    let place = Place::new();
    let urls = ["/large.bin", "/growing.bin", "/small.bin"].map(|path| origin.url(path));
    let limit = Rlimit { current: Some(MIB), maximum: Some(MIB) };
    // Without more ado the system would end the program (SIGXFSZ).
    place.towline(&["-d", "out", &urls[0], &urls[1], &urls[2]]).limit(Limited::Fsize, limit).run().code(3).says(&[
        "towline: 2 of 3 files failed:",
        "out/large.bin: ",
        "out/growing.bin: ",
        "file too large",
    ]);
    place.check("small.bin", 3, 5000);
    assert!(!place.out("large.bin").exists() && !place.out("growing.bin").exists());
}

#[test]
fn a_low_limit_of_descriptors_is_raised_as_far_as_it_may_be() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 8 * MIB))
        .fault(Fault::RatePerConnection(1_000_000))
        .start()
        .unwrap();
    let place = Place::new();
    let hard = getrlimit(Limited::Nofile).maximum.map_or(2048, |hard| hard.min(2048));
    let limit = Rlimit { current: Some(hard.min(128)), maximum: Some(hard) };
    let running = place.towline(&["-d", "out", &origin.url("/a.bin")]).limit(Limited::Nofile, limit).start();
    wait_until("the run to have begun", || journal_bytes(&place.out("a.bin.towline.json")) > 0);
    assert_eq!(running.descriptors_max(), (hard.to_string(), hard.to_string()));
}

#[test]
fn too_few_descriptors_make_a_list_slower_and_fail_none_of_it() {
    let origin = Origin::builder().files("/{}.bin", 60, 40_000, 70).start().unwrap();
    let place = Place::new();
    place.write("list.txt", &(0..60).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    let limit = Rlimit { current: Some(22), maximum: Some(22) };
    place.towline(&["-i", "list.txt", "-d", "out"]).limit(Limited::Nofile, limit).run().code(0);
    for number in 0..60 {
        place.check(&format!("{number}.bin"), 70 + number, 40_000);
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let (origin, place) = (small(), Place::new());
    let url = origin.url("/a.bin");
    let Some(towline) = on_mount(&place, "ro", 0, &["-d", "out", &url]) else { return };
    towline.run().code(3).says(&[&url, "out/a.bin: ", "cannot write: read-only file system"]);
    place.write("list.txt", &url);
    let Some(towline) = on_mount(&place, "ro", 0, &["-d", "out", "-i", "list.txt"]) else { return };
    towline.run().code(3).says(&["towline: ", "out/.towline", "read-only file system"]);
    let Some(towline) = on_mount(&place, "ro", 0, &["-d", "out/below", &url]) else { return };
    towline.run().code(3).says(&["out/below", "read-only file system"]);
}

#[test]
fn a_second_towline_on_the_same_file_is_told_to_wait() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 1, 16 * MIB))
        .fault(Fault::RatePerConnection(400_000))
        .start()
        .unwrap();
    let place = Place::new();
    let url = origin.url("/a.bin");
    let first = place.towline(&["-x", "8", "-d", "out", &url]).start();
    wait_until("the first to have begun", || journal_bytes(&place.out("a.bin.towline.json")) > 0);
    place.towline(&["-d", "out", &url]).run().code(3).says(&[
        &url,
        "out/a.bin.towline",
        "another process is fetching this file",
        "→ wait for the other towline",
    ]);
    first.finish().code(0);
    place.check("a.bin", 1, 16 * MIB);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn a_second_batch_in_the_same_directory_is_told_to_wait() {
    let origin =
        Origin::builder().files("/{}.bin", 8, MIB, 1).fault(Fault::RatePerConnection(400_000)).start().unwrap();
    let place = Place::new();
    place.write("list.txt", &(0..8).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    let first = place.towline(&["-i", "list.txt", "-d", "out"]).start();
    wait_until("the first to have begun", || place.out("0.bin.towline").exists());
    place
        .towline(&["-i", "list.txt", "-d", "out"])
        .run()
        .code(3)
        .says(&["another towline is downloading into this directory", "→ wait for the other towline"]);
    first.finish().code(0);
    assert_eq!(place.leftovers_beside_numbered(8), [".towline"]);
}

#[test]
fn a_wrong_digest_is_4_and_a_right_one_0() {
    let (origin, place) = (small(), Place::new());
    let url = origin.url("/a.bin");
    let wrong = format!("sha-256={}", "0".repeat(64));
    place.towline(&["--checksum", &wrong, "-d", "out", &url]).run().code(4).says(&[
        &url,
        "out/a.bin",
        "does not have the sha-256 digest",
        "→ the next run fetches it again",
    ]);
    assert!(!place.out("a.bin").exists());

    let right = format!("sha256={}", sha256_hex(1, 5000));
    place.towline(&["--checksum", &right, "-d", "out", &url]).run().code(0);
    place.check("a.bin", 1, 5000);
    assert_eq!(place.leftovers(), ["a.bin"]);
    place.towline(&["--checksum", &right, "-d", "out", &url]).run().code(0).says(&["already there"]);
}

#[test]
fn what_is_wrongly_asked_for_is_2_says_what_is_allowed_and_starts_nothing() {
    let place = Place::new();
    place.write("list.txt", "http://127.0.0.1:1/a\n");
    let url = "http://127.0.0.1:1/a";
    let cases: [(&[&str], &[&str]); 20] = [
        (&[], &["nothing to download", "→ give a URL, or a list of URLs with -i"]),
        (&["nonsense"], &["not a URL: nonsense", "→ a URL begins with https:// or http://"]),
        (&["example.com/a"], &["not a URL: example.com/a", "→ write https://example.com/a"]),
        (&["ftp://h/a"], &["cannot fetch ftp://h/a", "→ only http:// and https:// are supported"]),
        (&["list.txt"], &["→ for a list of URLs, write -i list.txt"]),
        (&["-o", "a", url, "http://127.0.0.1:1/b"], &["-o names one file", "→ use -d"]),
        (&["-o", "a", "-i", "list.txt"], &["-o names one file"]),
        (&["-o", "a.towline", url], &["are reserved"]),
        (&["--checksum", "md5=00", url], &["--checksum", "32 hexadecimal digits"]),
        (&["--piece-size", "big", url], &["'big'", "--piece-size", "1024-based", "1000-based"]),
        (&["--piece-size", "0", url], &["must be more than 0"]),
        (&["--limit-rate", "fast", url], &["--limit-rate", "1024-based"]),
        (&["--connect-timeout", "1d", url], &["'1d'", "--connect-timeout", "ms, s, m or h"]),
        (&["--stall-timeout", "0", url], &["more than 0"]),
        (&["-x", "0", url], &["--connections", "1..10000"]),
        (&["-j", "many", url], &["--jobs", "1..10000"]),
        (&["-H", "no colon", url], &["--header", "'Name: value'"]),
        (&["--progress", "loud", url], &["auto, bar, lines, json, none"]),
        (&["--overwrite", "--skip-existing", url], &["--skip-existing cannot be used together"]),
        (&["--ca-file", "none.pem", url], &["none.pem", "--ca-file", "no such file"]),
    ];
    for (args, texts) in cases {
        place.towline(args).run().code(2).says(texts).writes_nothing();
        assert_eq!(leftovers(place.root()), ["list.txt"], "{args:?}");
    }
    place.towline(&[url]).env("TOWLINE_LIMIT_RATE", "x").run().code(2).says(&["--limit-rate", "1024-based"]);
    place.towline(&["-i", "none.txt", "-d", "out"]).run().code(2).says(&["none.txt", "no such file"]);
    place.towline(&["status", "none"]).run().code(2).says(&["there is no directory none"]);
}

#[test]
fn a_bad_line_of_a_list_is_named_by_its_number_and_the_others_arrive() {
    let origin = Origin::builder().files("/{}.bin", 2, 5000, 1).start().unwrap();
    let place = Place::new();
    let list = format!("# two files\n\n{}\nno url\n{}\n", origin.url("/0.bin"), origin.url("/1.bin"));
    place.write("list.txt", &list);
    for there in ["2 files, 9.77 KiB; fetched", "2 already there"] {
        place
            .towline(&["-i", "list.txt", "-d", "out"])
            .run()
            .code(1)
            .says(&["line 4", "not a URL", "no…", "1 of 3 files failed", there])
            .writes_nothing();
    }
    place.check("0.bin", 1, 5000);
    place.check("1.bin", 2, 5000);
    assert_eq!(place.leftovers_beside_numbered(2), [".towline"]);
}

#[test]
fn of_several_failures_the_worst_gives_the_code_and_each_is_said() {
    let (origin, place) = (small(), Place::new());
    place.write("list.txt", &format!("{}\n{}\n", origin.url("/none.bin"), origin.url("/a.bin")));
    place.towline(&["-i", "list.txt", "-d", "out"]).run().code(1).says(&[
        "1 file, 4.88 KiB",
        "towline: 1 of 2 files failed:",
        "/none.bin: the server answered 404",
    ]);
    // What failed for good is not asked for again, unless that is wanted.
    let before = origin.stats().requests;
    place.towline(&["-i", "list.txt", "-d", "out"]).run().code(1).says(&["404"]);
    assert_eq!(origin.stats().requests, before);
    origin.add(Resource::new("/none.bin", 2, 100));
    place.towline(&["--retry-failed", "-i", "list.txt", "-d", "out"]).run().code(0).says(&["2 files"]);
    place.check("none.bin", 2, 100);
}

#[test]
fn a_name_that_is_taken_is_1_and_names_the_three_ways_out() {
    let (origin, place) = (small(), Place::new());
    let url = origin.url("/a.bin");
    fs::create_dir(place.out("")).unwrap();
    fs::write(place.out("a.bin"), "mine").unwrap();
    place.towline(&["-d", "out", &url]).run().code(1).says(&[
        &url,
        "out/a.bin: another file has this name",
        "--overwrite, --auto-rename or --skip-existing",
    ]);
    assert_eq!(fs::read(place.out("a.bin")).unwrap(), b"mine");
    assert_eq!(place.leftovers(), ["a.bin"]);

    place.towline(&["--skip-existing", "-d", "out", &url]).run().code(0).says(&["left as it is"]);
    assert_eq!(fs::read(place.out("a.bin")).unwrap(), b"mine");
    place.towline(&["--auto-rename", "-d", "out", &url]).run().code(0);
    assert_eq!(fs::read(place.out("a.bin")).unwrap(), b"mine");
    place.check("a.1.bin", 1, 5000);
    place.towline(&["--overwrite", "-d", "out", &url]).run().code(0);
    place.check("a.bin", 1, 5000);
    assert_eq!(place.leftovers(), ["a.1.bin", "a.bin"]);
}

#[test]
fn the_list_itself_is_not_replaced_whatever_a_server_calls_its_file() {
    let content = Resource::new("/a.bin", 7, 5000).content_disposition("attachment; filename=\"list.txt\"");
    let origin = Origin::builder().resource(content).resource(Resource::new("/list.txt", 8, 5000)).start().unwrap();
    let place = Place::new();
    let list = format!("{}\n{}\n", origin.url("/a.bin"), origin.url("/list.txt"));
    fs::create_dir(place.out("")).unwrap();
    place.write("out/list.txt", &list);
    place.towline(&["--overwrite", "-i", "out/list.txt", "-d", "out"]).run().code(0);
    assert_eq!(fs::read_to_string(place.out("list.txt")).unwrap(), list);
    assert_eq!(place.leftovers(), [".towline", "list.1.txt", "list.2.txt", "list.txt"]);
}

#[test]
fn a_file_of_a_list_that_was_left_alone_is_skipped_and_not_to_be_fetched() {
    let (origin, place) = (small(), Place::new());
    fs::create_dir(place.out("")).unwrap();
    fs::write(place.out("a.bin"), "mine").unwrap();
    place.write("list.txt", &origin.url("/a.bin"));
    place.towline(&["--skip-existing", "-i", "list.txt", "-d", "out"]).run().code(0);
    let status = || place.towline(&["status", "out"]).run().code(0).stdout;
    assert!(status().contains("  skipped   1 (another file has the name)\n  to fetch  0\n"), "{}", status());
    // Without the option it is an entry like others.
    place.towline(&["-i", "list.txt", "-d", "out"]).run().code(1).says(&["another file has this name"]);
    place.towline(&["--overwrite", "-i", "list.txt", "-d", "out"]).run().code(0);
    place.check("a.bin", 1, 5000);
    assert!(status().starts_with("out: 1 of 1 files done\n"), "{}", status());
}

#[test]
fn a_file_of_the_same_size_is_the_file_only_for_who_says_so() {
    let (origin, place) = (small(), Place::new());
    let url = origin.url("/a.bin");
    fs::create_dir(place.out("")).unwrap();
    let mine = vec![b'm'; 5000];
    fs::write(place.out("a.bin"), &mine).unwrap();
    place.towline(&["-d", "out", &url]).run().code(1).says(&["out/a.bin: another file has this name"]);
    for (args, value) in [(&["--trust-size", "-d", "out", &url][..], ""), (&["-d", "out", &url][..], "1")] {
        let towline = place.towline(args).env("TOWLINE_TRUST_SIZE", value);
        towline.run().code(0).says(&["already there (compared by size only)"]);
    }
    assert_eq!(fs::read(place.out("a.bin")).unwrap(), mine);
    assert_eq!(place.leftovers(), ["a.bin"]);
}

#[test]
fn a_page_is_the_file_only_for_who_says_so() {
    let page = "<!DOCTYPE html><html><body>Please log in.</body></html>";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", page.len());
    let answer = Fault::Raw(format!("{head}{page}").into_bytes());
    let origin = Origin::builder().resource(Resource::new("/a.iso", 1, 5000).fault(answer)).start().unwrap();
    let place = Place::new();
    let url = origin.url("/a.iso");
    place.towline(&["--retries", "0", "-d", "out", &url]).run().code(1).says(&[&url, "--accept-html takes the page"]);
    assert!(!place.out("a.iso").exists());
    place.towline(&["--accept-html", "-d", "out", &url]).run().code(0);
    assert_eq!(fs::read_to_string(place.out("a.iso")).unwrap(), page);
}

#[test]
fn an_unknown_authority_is_refused_with_a_hint_and_insecure_says_what_it_does() {
    let Some(nginx) = Nginx::start() else { return };
    nginx.file("a.bin", 1, 5000);
    let place = Place::new();
    let url = nginx.tls_url("/a.bin");
    place.towline(&["-d", "out", &url]).run().code(1).says(&[
        &url,
        "the server's certificate was refused",
        "--ca-file",
    ]);
    assert_eq!(place.leftovers(), Vec::<String>::new());
    place
        .towline(&["--insecure", "-d", "out", &url])
        .run()
        .code(0)
        .says(&["towline: --insecure: certificates are not verified"]);
    place.check("a.bin", 1, 5000);
}

#[test]
fn an_output_that_can_be_no_file_is_called_what_it_is() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 5000)).start().unwrap();
    let place = Place::new();
    std::os::unix::fs::symlink("nowhere", place.root().join("link")).unwrap();
    fs::create_dir(place.root().join("directory")).unwrap();
    let url = origin.url("/a.bin");
    for (output, what) in [("link", "a symbolic link"), ("directory", "a directory")] {
        for option in ["--retries=1", "--overwrite"] {
            let outcome = place.towline(&["-o", output, option, &url]).run().code(1);
            let _ = outcome.says(&[&format!("{output}: {what} has this name"), "only files are replaced"]);
        }
    }
    let _ = place.towline(&["-o", "/dev/full/a", &url]).run().code(1).says(&["a device has its name"]);
    let _ = place.towline(&["-o", "/dev/full", &url]).run().code(3).says(&["cannot write the file to the output"]);
}

#[test]
fn what_towline_sends_itself_cannot_be_given() {
    let origin = Origin::builder().files("/{}.bin", 1, 1000, 1).start().unwrap();
    let place = Place::new();
    let url = origin.url("/0.bin");
    for header in ["Content-Length: 5", "Range: bytes=0-1", "Connection: close", "accept-encoding: gzip"] {
        let name = header.split(':').next().unwrap().to_ascii_lowercase();
        place.towline(&["-H", header, &url]).run().code(2).says(&["sets the field", &name]);
    }
    place.towline(&["-H", "X-A: 1", "-H", "X-A: 2", &url]).run().code(0);
    let sent = &origin.requests()[0].headers;
    assert_eq!(sent.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-a")).count(), 2, "{sent:?}");
}

#[test]
fn a_status_file_that_cannot_be_written_is_an_error_at_the_start() {
    let origin = Origin::builder().files("/{}.bin", 1, 1000, 1).start().unwrap();
    let place = Place::new();
    let both = place.root().join("both");
    let both = both.to_str().unwrap();
    for args in [&["--status-file", "/proc/towline.json"][..], &["--status-file", both, "--log", both]] {
        let url = origin.url("/0.bin");
        let args = [args, &[url.as_str()]].concat();
        place.towline(&args).run().code(2).says(&["--status-file"]);
    }
    assert_eq!(origin.stats().requests, 0);
}
