//! What each server must pass: every case goes every way, with files of its own. In the server's log
//! is what it was really asked for.

use std::thread;

use towline_testkit::{MIB, journal_bytes, wait_until};

use super::server::Server;
use crate::common::{Place, Towline};

const BIG_BYTES: u64 = 64 * MIB;
/// No connection has brought a large file before the others are there, however fast it is.
const NOT_AT_ONCE: [&str; 2] = ["--limit-rate", "16M"];
const FILES: u64 = 1000;
const FILE_BYTES: u64 = 1024;
/// A file that comes slowly enough for something to happen meanwhile.
const SLOW_BYTES: u64 = 24 * MIB;
const SLOW: [&str; 4] = ["--limit-rate", "12M", "--save-interval", "100ms"];
/// What a file is, and what it becomes.
const OLD: u64 = 70;
const NEW: u64 = 71;

/// All cases as tests of the module that this stands in. `$start` starts its server, if that can be
/// tested here.
macro_rules! every_case {
    ($start:ident) => {
        crate::cases::every_case! { $start:
            a_large_file_comes_in_pieces_and_a_second_run_finds_it
            a_thousand_small_files_come_with_one_request_each
            a_file_that_was_killed_half_way_goes_on
            a_file_that_changed_after_a_kill_begins_again
            a_file_that_changes_meanwhile_begins_again
            a_complete_file_is_not_replaced_by_a_changed_one_unless_that_is_wanted
            a_tree_of_index_pages_comes_and_nothing_beside_it
        }
    };
    ($start:ident: $($case:ident)+) => {$(
        #[test]
        fn $case() {
            if let Some(server) = $start() {
                crate::cases::$case(&server);
            }
        }
    )+};
}
pub(crate) use every_case;

/// A way in which files come.
struct Way {
    name: &'static str,
    is_tls: bool,
    option: &'static str,
    /// As servers write it.
    protocol: &'static str,
}

static WAYS: [Way; 3] = [
    Way { name: "plain", is_tls: false, option: "--http1.1", protocol: "HTTP/1.1" },
    Way { name: "tls", is_tls: true, option: "--http1.1", protocol: "HTTP/1.1" },
    Way { name: "http2", is_tls: true, option: "--http2", protocol: "HTTP/2.0" },
];

/// All ways at once, for they mostly wait.
fn each_way(server: &Server, case: impl Fn(&Fetch<'_>) + Sync) {
    thread::scope(|scope| {
        for way in &WAYS {
            let case = &case;
            let go = move || case(&Fetch { server, way, ca_file: server.ca_file(), name: format!("{}.bin", way.name) });
            thread::Builder::new().name(way.name.to_owned()).spawn_scoped(scope, go).unwrap();
        }
    });
}

/// A file of a server, and the way it comes.
struct Fetch<'a> {
    server: &'a Server,
    way: &'a Way,
    ca_file: String,
    name: String,
}

impl Fetch<'_> {
    fn put(&self, seed: u64, size: u64) {
        self.server.put(&self.name, seed, size);
    }

    /// A run that fetches the file.
    fn run(&self, place: &Place, more: &[&str]) -> Towline {
        let url = self.server.url(self.way.is_tls, &self.name);
        self.batch(place, &[&["-x", "8", &url][..], more].concat())
    }

    /// A run that fetches what `more` says.
    fn batch(&self, place: &Place, more: &[&str]) -> Towline {
        place.towline(&[&["-d", "out", "--ca-file", &self.ca_file, self.way.option][..], more].concat())
    }

    /// How many bytes an unfinished file has for sure.
    fn kept_bytes(&self, place: &Place) -> u64 {
        journal_bytes(&place.out(&format!("{}.towline.json", self.name)))
    }

    /// Kills a slow run when it has `least_bytes`; how many it has left.
    fn killed(&self, place: &Place, least_bytes: u64) -> u64 {
        let running = self.run(place, &SLOW).start();
        wait_until("bytes in the journal", || self.kept_bytes(place) >= least_bytes);
        running.kill();
        let kept = self.kept_bytes(place);
        assert!(kept < SLOW_BYTES, "nothing is left to be fetched");
        kept
    }

    /// Fails unless the file is this content, and nothing else is there.
    fn arrived(&self, place: &Place, seed: u64, size: u64) {
        place.check(&self.name, seed, size);
        assert_eq!(place.leftovers(), [self.name.as_str()]);
    }
}

pub(crate) fn a_large_file_comes_in_pieces_and_a_second_run_finds_it(server: &Server) {
    each_way(server, |fetch| {
        fetch.put(OLD, BIG_BYTES);
        let place = Place::new();
        let outcome = fetch.run(&place, &NOT_AT_ONCE).run().code(0).writes_nothing();
        outcome.says(&[&format!("{}: 64.0 MiB in ", fetch.name)]);
        fetch.arrived(&place, OLD, BIG_BYTES);
        let piece = format!("GET /{} {} 206", fetch.name, fetch.way.protocol);
        // How many depends on the machine; one stream would be one answer without a range.
        wait_until("pieces in the log", || server.logged(|line| line == piece) >= 2);

        let found = format!("{}: already there (same validator)", fetch.name);
        fetch.run(&place, &[]).run().code(0).says(&[&found]);
        fetch.arrived(&place, OLD, BIG_BYTES);
    });
}

pub(crate) fn a_thousand_small_files_come_with_one_request_each(server: &Server) {
    each_way(server, |fetch| {
        let name = |number: u64| format!("{}/{number}.bin", fetch.way.name);
        (0..FILES).for_each(|number| server.put(&name(number), OLD + number, FILE_BYTES));
        let place = Place::new();
        let urls = (0..FILES).map(|number| server.url(fetch.way.is_tls, &name(number)) + "\n");
        place.write("list.txt", &urls.collect::<String>());
        let all_arrived = || {
            (0..FILES).for_each(|number| place.check(&format!("{number}.bin"), OLD + number, FILE_BYTES));
            let names = place.leftovers();
            assert_eq!((names.len() as u64, names[0].as_str()), (FILES + 1, ".towline"));
        };
        fetch.batch(&place, &["-i", "list.txt"]).run().code(0).says(&["1000 files, "]).writes_nothing();
        all_arrived();
        let (begin, end) = (format!("GET /{}/", fetch.way.name), format!(" {} 200", fetch.way.protocol));
        let answers = || server.logged(|line| line.starts_with(&begin) && line.ends_with(&end));
        wait_until("a thousand answers in the log", || answers() >= FILES);

        fetch.batch(&place, &["-i", "list.txt"]).run().code(0).says(&["1000 already there"]);
        all_arrived();
        server.settle();
        assert_eq!(server.logged(|line| line.starts_with(&begin)), FILES, "each file needs one request");
    });
}

pub(crate) fn a_file_that_was_killed_half_way_goes_on(server: &Server) {
    each_way(server, |fetch| {
        fetch.put(OLD, SLOW_BYTES);
        let place = Place::new();
        let kept = fetch.killed(&place, SLOW_BYTES / 2);
        let outcome = fetch.run(&place, &["--progress", "json"]).run().code(0);
        fetch.arrived(&place, OLD, SLOW_BYTES);
        let events = outcome.lines();
        let event = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
        assert_eq!(event("answered")["resumed_bytes"], kept, "{outcome}");
        assert_eq!(event("finished")["fetched_bytes"], SLOW_BYTES - kept, "{outcome}");
    });
}

pub(crate) fn a_file_that_changed_after_a_kill_begins_again(server: &Server) {
    each_way(server, |fetch| {
        for new_bytes in [SLOW_BYTES, SLOW_BYTES - MIB] {
            fetch.put(OLD, SLOW_BYTES);
            let place = Place::new();
            fetch.killed(&place, 1);
            fetch.put(NEW, new_bytes);
            fetch.run(&place, &[]).run().code(0).says(&["starts over: the file on the server has changed"]);
            fetch.arrived(&place, NEW, new_bytes);
        }
    });
}

pub(crate) fn a_file_that_changes_meanwhile_begins_again(server: &Server) {
    each_way(server, |fetch| {
        fetch.put(OLD, SLOW_BYTES);
        let place = Place::new();
        let running = fetch.run(&place, &SLOW).start();
        wait_until("bytes in the journal", || fetch.kept_bytes(&place) > 0);
        fetch.put(NEW, SLOW_BYTES);
        // A piece shows it or, if all were requested before, the closing check.
        running.finish().code(0).says(&["starts over: the file on the server"]);
        fetch.arrived(&place, NEW, SLOW_BYTES);
    });
}

pub(crate) fn a_complete_file_is_not_replaced_by_a_changed_one_unless_that_is_wanted(server: &Server) {
    each_way(server, |fetch| {
        for new_bytes in [SLOW_BYTES, SLOW_BYTES - MIB] {
            fetch.put(OLD, SLOW_BYTES);
            let place = Place::new();
            fetch.run(&place, &[]).run().code(0);
            fetch.put(NEW, new_bytes);
            fetch.run(&place, &[]).run().code(1).says(&["has this name", "--overwrite"]);
            fetch.arrived(&place, OLD, SLOW_BYTES);
            fetch.run(&place, &["--overwrite"]).run().code(0);
            fetch.arrived(&place, NEW, new_bytes);
        }
    });
}

pub(crate) fn a_tree_of_index_pages_comes_and_nothing_beside_it(server: &Server) {
    each_way(server, |fetch| {
        let tree = format!("{}-tree", fetch.way.name);
        let files = [("one.bin", 1), ("a b/two #1.bin", 2), ("deep/er/x%.txt", 3), ("deep/&amp;.bin", 4)];
        files.iter().for_each(|(name, seed)| server.put(&format!("{tree}/{name}"), *seed, FILE_BYTES));
        server.put(&format!("{tree}-beside.bin"), NEW, FILE_BYTES);
        let place = Place::new();
        let url = server.url(fetch.way.is_tls, &format!("{tree}/"));
        let run = || fetch.batch(&place, &["--recursive-index", &url]).run().code(0);

        run().says(&["4 files, "]).writes_nothing();
        let is_whole = || {
            files.iter().for_each(|(name, seed)| place.check(name, *seed, FILE_BYTES));
            assert_eq!(place.leftovers(), [".towline", "a b", "deep", "one.bin"]);
        };
        is_whole();
        run().says(&["4 already there"]);
        is_whole();

        // What is new comes alone.
        server.put(&format!("{tree}/deep/new.bin"), NEW, FILE_BYTES);
        run().says(&["4 already there"]);
        place.check("deep/new.bin", NEW, FILE_BYTES);

        // So does what has changed.
        server.put(&format!("{tree}/one.bin"), OLD, 3 * FILE_BYTES);
        run().says(&["4 already there"]);
        place.check("one.bin", OLD, 3 * FILE_BYTES);
    });
}
