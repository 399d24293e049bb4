//! Texts for people, compared as a whole: help, summaries, status, info and errors. Each is a file in
//! `snapshots/`, and one that differs fails the test. Unless `CI` is set, the new text is also written
//! beside the old one, as `.snap.new`.

use std::fs;
use std::time::Duration;

use insta::Settings;
use towline_origin::{Fault, Origin, OriginBuilder, Resource};
use towline_testkit::{MIB, journal_bytes, wait_until};

use crate::common::{Place, Running, Towline};

/// The width of help texts; there is no terminal to take it from.
const COLUMNS: &str = "100";
/// A download that takes no time has no rate.
const LATENCY: Duration = Duration::from_millis(20);
const SLOW_BYTES: u64 = 4 * MIB;

/// Fails unless the text matches its snapshot. Ports, times and rates are masked.
fn assert_text(name: &str, text: &str) {
    let mut settings = Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:[0-9]{2,5}", "SERVER");
    settings.add_filter(r"in [0-9.]+ s, [0-9.]+ [KMG]?i?B/s \([0-9.]+ MB/s\)", "in TIME, RATE");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A run without progress lines, whose number depends on the speed of the machine.
fn towline(place: &Place, args: &[&str]) -> Towline {
    place.towline(args).env("TOWLINE_PROGRESS", "none")
}

/// An origin with three files of 5000 bytes, `/files/0.bin` to `/files/2.bin`.
fn builder() -> OriginBuilder {
    Origin::builder().files("/files/{}.bin", 3, 5000, 1).fault(Fault::Latency(LATENCY))
}

/// Writes a list of these paths of the origin.
fn write_list(place: &Place, origin: &Origin, paths: &[&str]) {
    place.write("list.txt", &paths.iter().map(|path| origin.url(path) + "\n").collect::<String>());
}

#[test]
fn help_has_these_words() {
    let place = Place::new();
    let cases: [(&str, &[&str]); 9] = [
        ("help", &["--help"]),
        ("help_get", &["get", "--help"]),
        ("help_info", &["info", "--help"]),
        ("help_status", &["status", "--help"]),
        ("help_demo", &["demo", "--help"]),
        ("help_ls", &["ls", "--help"]),
        ("help_login", &["login", "--help"]),
        ("help_logout", &["logout", "--help"]),
        ("help_accounts", &["accounts", "--help"]),
    ];
    for (name, args) in cases {
        let outcome = place.towline(args).env("COLUMNS", COLUMNS).run().code(0);
        assert_eq!(outcome.stderr, "");
        assert_text(name, &outcome.stdout);
    }
}

#[test]
fn a_file_ends_with_these_words() {
    let (origin, place) = (builder().start().unwrap(), Place::new());
    let url = origin.url("/files/0.bin");
    for name in ["file_fetched", "file_already_there"] {
        let outcome = towline(&place, &["-d", "out", &url]).run().code(0).writes_nothing();
        assert_text(name, &outcome.stderr);
    }
}

#[test]
fn a_list_ends_with_these_words() {
    let (origin, place) = (builder().start().unwrap(), Place::new());
    write_list(&place, &origin, &["/files/0.bin", "/files/1.bin", "/files/2.bin"]);
    for name in ["list_fetched", "list_already_there"] {
        let outcome = towline(&place, &["-i", "list.txt", "-d", "out"]).run().code(0).writes_nothing();
        assert_text(name, &outcome.stderr);
    }
}

#[test]
fn a_list_of_which_some_failed_ends_with_these_words() {
    let (origin, place) = (builder().start().unwrap(), Place::new());
    write_list(&place, &origin, &["/files/0.bin", "/files/9.bin", "/files/1.bin"]);
    for name in ["list_some_failed", "list_some_failed_before"] {
        let outcome = towline(&place, &["-i", "list.txt", "-d", "out"]).run().code(1).writes_nothing();
        assert_text(name, &outcome.stderr);
    }
    assert_text("status_some_failed", &place.towline(&["status", "out"]).run().code(0).stdout);
}

/// A file of which the server sends exactly half.
fn half() -> Resource {
    Resource::new("/slow.bin", 11, SLOW_BYTES).fault(Fault::StallAt(SLOW_BYTES / 2, None))
}

/// Interrupts a run once that half is in its journal, and returns what it prints.
fn interrupted_half_way(place: &Place, running: Running) -> String {
    let journal = place.out("slow.bin.towline.json");
    wait_until("a half in the journal", || journal_bytes(&journal) == SLOW_BYTES / 2);
    running.signal(libc::SIGINT);
    running.finish().signal(libc::SIGINT).writes_nothing().stderr
}

#[test]
fn an_interrupted_file_ends_with_these_words() {
    let (origin, place) = (Origin::builder().resource(half()).start().unwrap(), Place::new());
    let url = origin.url("/slow.bin");
    let running = towline(&place, &["-x", "1", "-d", "out", &url]).start();
    assert_text("file_interrupted", &interrupted_half_way(&place, running));
}

#[test]
fn an_interrupted_list_ends_with_these_words() {
    let (origin, place) = (builder().resource(half()).start().unwrap(), Place::new());
    write_list(&place, &origin, &["/files/0.bin", "/slow.bin"]);
    let running = towline(&place, &["-x", "1", "-i", "list.txt", "-d", "out"]).start();
    wait_until("one of them in the ledger", || {
        let statuses = place.towline(&["status", "out", "--json"]).run().lines();
        statuses.first().is_some_and(|status| status["ledger"]["done"] == 1)
    });
    assert_text("list_interrupted", &interrupted_half_way(&place, running));
    assert_text("status_interrupted", &place.towline(&["status", "out"]).run().code(0).stdout);
}

#[test]
fn what_a_server_says_is_told_in_these_words() {
    let (origin, place) = (builder().start().unwrap(), Place::new());
    assert_text("info", &place.towline(&["info", &origin.url("/files/0.bin")]).run().code(0).stdout);
}

#[test]
fn errors_have_these_words() {
    let (origin, place) = (builder().start().unwrap(), Place::new());
    let [there, taken, none] = [0, 1, 9].map(|number| origin.url(&format!("/files/{number}.bin")));
    fs::create_dir(place.out("")).unwrap();
    fs::write(place.out("1.bin"), "mine").unwrap();
    let wrong = format!("sha-256={}", "0".repeat(64));
    // Nobody listens there.
    let refused = "http://127.0.0.1:1/a.bin";
    let cases: [(&str, i32, &[&str]); 7] = [
        ("error_not_found", 1, &["-d", "out", &none]),
        ("error_refused", 1, &["--retries", "1", "-d", "out", refused]),
        ("error_name_taken", 1, &["-d", "out", &taken]),
        ("error_wrong_digest", 4, &["--checksum", &wrong, "-d", "out", &there]),
        ("error_no_url", 2, &["example.com/a"]),
        ("error_nothing_to_do", 2, &[]),
        ("error_unknown_option", 2, &["--overwrte", &there]),
    ];
    for (name, code, args) in cases {
        let outcome = towline(&place, args).run().code(code).writes_nothing();
        assert_text(name, &outcome.stderr);
    }
}

#[test]
fn each_shell_gets_completions_and_each_command_a_manual_page() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "nushell", "elvish", "powershell"] {
        let outcome = place.towline(&["completions", shell]).run().code(0);
        assert!(outcome.stdout.contains("limit-rate-per-host"), "{shell}");
    }
    place.towline(&["completions", "none"]).run().code(2).says(&["bash", "nushell"]);
    place.towline(&["man", "pages"]).run().code(0);
    for (page, text) in [("towline.1", "towline"), ("towline-get.1", "limit\\-rate"), ("towline-ls.1", "include")] {
        let page = fs::read_to_string(place.root().join("pages").join(page)).unwrap();
        assert!(page.contains(text), "{page}");
    }
}
