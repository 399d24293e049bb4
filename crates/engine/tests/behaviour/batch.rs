//! Lists: many small files at once, and second runs that fetch only what is missing.

use std::fs;
use std::io::Cursor;
use std::net::TcpListener;
use std::time::Duration;

use towline_engine::event::How;
use towline_engine::feed::{Batch, Feed, ListSource, ledger_status};
use towline_engine::options::Existing;
use towline_engine::{ErrorKind, Event, Session};
use towline_origin::{ETag, Fault, Origin, OriginBuilder, Resource, Scope, Switch};
use towline_testkit::content;

use crate::common::{LONG, Live, Place, Run, fetch_list, with_watchdog};

const FILES: u64 = 300;
const BYTES: u64 = 2000;
const SEED: u64 = 1000;

fn read_once(list: &str) -> ListSource {
    ListSource::Reader(Box::new(Cursor::new(list.to_owned().into_bytes())))
}

fn count(run: &Run, how: How) -> usize {
    run.finished().iter().filter(|file| file.how == how).count()
}

#[test]
fn a_file_that_was_outdated_when_it_was_complete_is_replaced_in_the_next_run() {
    with_watchdog(LONG, || {
        let new = "\"new\"".to_owned();
        let change = Fault::ChangeEtagAt { request: 2, etag: new, seed: 32 };
        let file = Resource::new("/a.bin", 31, 3_000_000).fault(change);
        // Slow enough for the closing check.
        let origin = Origin::builder().resource(file).fault(Fault::RatePerConnection(1_300_000)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        let list = origin.url("/a.bin");
        fetch_list(options.clone(), read_once(&list), false).assert_done(1);
        place.assert_content("a.bin", 31, 3_000_000);
        fetch_list(options.clone(), read_once(&list), false).assert_done(1);
        place.assert_content("a.bin", 32, 3_000_000);
        let run = fetch_list(options, read_once(&list), false);
        assert_eq!(count(&run, How::ThereByLedger), 1);
        assert_eq!(place.leftovers(&["a.bin", ".towline"]), [""; 0]);
    });
}

#[test]
fn three_hundred_files_arrive_over_http2_and_only_what_is_missing_is_fetched_again() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().tls(true).http2(true).files("/many/{}.bin", FILES, BYTES, SEED).start().unwrap();
        let place = Place::new();
        let options = place.trusting(&origin);
        let list: String = (0..FILES).map(|number| origin.url(&format!("/many/{number}.bin")) + "\n").collect();
        let list_file = place.beside("list.txt");
        fs::write(&list_file, &list).unwrap();

        let run = fetch_list(options.clone(), ListSource::File(list_file.clone()), false);
        run.assert_done(FILES as usize);
        assert!(run.summary().total_files_exact);
        assert_eq!(run.summary().total_files, FILES);
        let stats = origin.stats();
        assert!(stats.http2_requests >= FILES, "{} requests came over HTTP/2", stats.http2_requests);
        assert!(stats.connections_opened <= 6, "{} connections", stats.connections_opened);
        let names: Vec<String> = (0..FILES).map(|number| format!("{number}.bin")).collect();
        for (name, seed) in names.iter().zip(SEED..) {
            place.assert_content(name, seed, BYTES);
        }
        let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
        expected.push(".towline");
        assert_eq!(place.leftovers(&expected), [""; 0]);
        let status = ledger_status(&place.dir()).unwrap().unwrap();
        assert_eq!((status.total, status.done, status.failed), (FILES, FILES, 0));

        // The same list, but one that can be read only once.
        let run = fetch_list(options.clone(), read_once(&list), false);
        run.assert_done(FILES as usize);
        assert_eq!(count(&run, How::ThereByLedger), FILES as usize);
        assert_eq!(origin.stats().requests, stats.requests);

        for missing in ["7.bin", "150.bin", "299.bin"] {
            fs::remove_file(place.file(missing)).unwrap();
        }
        let run = fetch_list(options, ListSource::File(list_file), false);
        run.assert_done(FILES as usize);
        assert_eq!(count(&run, How::Fetched), 3);
        assert_eq!(count(&run, How::ThereByLedger), FILES as usize - 3);
        assert_eq!(origin.stats().requests, stats.requests + 3);
        for missing in [7, 150, 299] {
            place.assert_content(&format!("{missing}.bin"), SEED + missing, BYTES);
        }
    });
}

#[test]
fn a_bad_line_and_a_missing_file_are_two_failures_and_stop_nothing() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 2, BYTES, SEED).start().unwrap();
        let place = Place::new();
        let urls = ["/0.bin", "/missing.bin", "/1.bin"].map(|path| origin.url(path));
        let list = format!("# three files\n\nthis is no URL\n{}\n{}\n{}\n", urls[0], urls[1], urls[2]);

        let run = fetch_list(place.options(), read_once(&list), false);
        assert_eq!((run.summary().done_files, run.summary().failed_files), (2, 2));
        assert_eq!(run.summary().total_files, 4);
        let mut failures: Vec<(&str, ErrorKind)> =
            run.summary().failures.iter().map(|failure| (failure.url.as_str(), failure.error.kind)).collect();
        failures.sort_by_key(|(url, _)| *url != "line 3");
        assert_eq!(failures, [("line 3", ErrorKind::ListLine), (urls[1].as_str(), ErrorKind::Status(404))]);
        place.assert_content("0.bin", SEED, BYTES);
        place.assert_content("1.bin", SEED + 1, BYTES);
        assert_eq!(origin.stats().requests, 3);

        // A permanent failure is reported again but not retried.
        let run = fetch_list(place.options(), read_once(&list), false);
        assert_eq!((run.summary().there_files, run.summary().failed_files), (2, 2));
        assert!(run.failure_kinds().contains(&ErrorKind::Status(404)), "{:?}", run.failure_kinds());
        assert_eq!(origin.stats().requests, 3);

        // Unless the user asks for it.
        origin.add(Resource::new("/missing.bin", 1, BYTES));
        let run = fetch_list(place.options(), read_once(&list), true);
        assert_eq!(run.failure_kinds(), [ErrorKind::ListLine]);
        assert_eq!(origin.stats().requests, 4);
        place.assert_content("missing.bin", 1, BYTES);
        assert_eq!(place.leftovers(&["0.bin", "1.bin", "missing.bin", ".towline"]), [""; 0]);
    });
}

#[test]
fn a_large_file_that_was_changed_since_counts_only_if_all_of_it_is_the_same() {
    const LARGE: u64 = 3 << 20;
    with_watchdog(LONG, || {
        for is_same in [true, false] {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 77, LARGE)).start().unwrap();
            let place = Place::new();
            let list = || read_once(&(origin.url("/a.bin") + "\n"));
            fetch_list(place.options(), list(), false).assert_done(1);
            // As an editor or a copy of the whole directory would.
            let mut content = fs::read(place.file("a.bin")).unwrap();
            if !is_same {
                content[LARGE as usize / 2 + 300_000..][..100].fill(b'x');
            }
            fs::write(place.file("new"), &content).unwrap();
            fs::rename(place.file("new"), place.file("a.bin")).unwrap();
            for _ in 0..2 {
                let run = fetch_list(place.options(), list(), false);
                match is_same {
                    true => run.assert_done(1),
                    false => assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]),
                }
                assert_eq!(fs::read(place.file("a.bin")).unwrap(), content);
            }
        }
    });
}

/// Stops a list with the last two of these entries, which share a name and a tag, then fetches all three.
fn kept_apart(builder: OriginBuilder, paths: [&str; 3]) {
    const LARGE: u64 = 4 << 20;
    let slow = Switch::default();
    slow.on();
    let fault = Fault::RatePerConnection(1_000_000).when(Scope::every().while_on(&slow));
    let origin = builder.fault(fault).start().unwrap();
    let place = Place::new();
    let mut options = place.options();
    options.save_interval = Duration::from_millis(50);
    let list = |paths: &[&str]| read_once(&paths.iter().map(|path| origin.url(path) + "\n").collect::<String>());
    let batch = Batch::open(list(&paths[1..]), &place.dir(), false, false).unwrap();
    let mut live = Live::start(Session::builder(options.clone()).feed(batch));
    live.handle.close();
    live.wait_for_share(20);
    live.handle.stop();
    live.end();
    slow.off();
    // With one more line before the others.
    fetch_list(options, list(&paths), false).assert_done(3);
    let names = place.leftovers(&[".towline"]);
    assert!(names.len() == 3 && names.iter().all(|name| name.ends_with(".bin")), "{names:?}");
    let wanted: Vec<Vec<u8>> = (90..93).map(|seed| content(seed, LARGE)).collect();
    let found: Vec<Vec<u8>> = names.iter().map(|name| fs::read(place.file(name)).unwrap()).collect();
    assert!(wanted.iter().all(|content| found.contains(content)), "one is missing, or mixed");
}

#[test]
fn entries_of_one_name_and_one_tag_keep_apart_what_each_began() {
    const LARGE: u64 = 4 << 20;
    with_watchdog(LONG * 2, || {
        let tag = || ETag::Custom("\"one\"".to_owned());
        let paths = ["/0/a.bin", "/1/a.bin", "/2/a.bin"];
        let resources = paths.into_iter().zip(90..).map(|(path, seed)| Resource::new(path, seed, LARGE).etag(tag()));
        kept_apart(resources.fold(Origin::builder(), |builder, resource| builder.resource(resource)), paths);

        let of_query = |query, seed| Fault::OtherContent { from: 0, seed }.when(Scope::every().only_query(query));
        let resource = Resource::new("/a.bin", 90, LARGE).etag(tag());
        let resource = resource.fault(of_query("id=1", 91)).fault(of_query("id=2", 92));
        kept_apart(Origin::builder().resource(resource), ["/a.bin?id=0", "/a.bin?id=1", "/a.bin?id=2"]);
    });
}

#[test]
fn a_number_that_we_choose_replaces_nobodys_file() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .resource(Resource::new("/0/a.bin", 96, BYTES))
            .resource(Resource::new("/1/a.bin", 97, BYTES))
            .start()
            .unwrap();
        let place = Place::new();
        fs::create_dir_all(place.dir()).unwrap();
        fs::write(place.file("a.1.bin"), "a diary").unwrap();
        let mut options = place.options();
        options.existing = Existing::Overwrite;
        let list = origin.url("/0/a.bin") + "\n" + &origin.url("/1/a.bin") + "\n";
        fetch_list(options, read_once(&list), false).assert_done(2);
        assert_eq!(fs::read(place.file("a.1.bin")).unwrap(), b"a diary");
        assert_eq!(place.leftovers(&[".towline"]), ["a.1.bin", "a.2.bin", "a.bin"]);
    });
}

/// A kill came after a file of the list got its name, and before its row was written. The name belongs to nobody then,
/// and which entry gets it next is left to chance.
#[test]
fn a_file_that_an_interrupted_run_left_keeps_no_other_entry_away() {
    with_watchdog(LONG, || {
        for (was_interrupted, existing) in [(true, Existing::Fail), (true, Existing::Skip), (false, Existing::Fail)] {
            let named = |number: u64| {
                let resource = Resource::new(format!("/get/{number}"), SEED + number, BYTES + number);
                resource.content_disposition("attachment; filename=report.bin")
            };
            let origin = (0..3).fold(Origin::builder(), |origin, number| origin.resource(named(number)));
            let origin = origin.start().unwrap();
            let place = Place::new();
            let list: String = (0..3).map(|number| origin.url(&format!("/get/{number}")) + "\n").collect();
            let mut before = Batch::open(read_once("http://127.0.0.1:1/other\n"), &place.dir(), false, false).unwrap();
            if !was_interrupted {
                before.close().unwrap();
            }
            drop(before);
            // It may be the user's as well, so it stays.
            fs::write(place.file("report.bin"), "left").unwrap();
            let mut options = place.options();
            options.existing = existing;
            for _ in 0..2 {
                let run = fetch_list(options.clone(), read_once(&list), false);
                assert_eq!(fs::read(place.file("report.bin")).unwrap(), b"left");
                match was_interrupted {
                    true => {
                        run.assert_done(3);
                        assert_eq!(
                            place.leftovers(&[
                                "report.bin",
                                "report.1.bin",
                                "report.2.bin",
                                "report.3.bin",
                                ".towline"
                            ]),
                            [""; 0]
                        );
                        assert!(place.file("report.3.bin").exists());
                    }
                    false => assert_eq!(run.failure_kinds()[..1], [ErrorKind::NameTaken]),
                }
            }
        }
    });
}

#[test]
fn two_users_of_one_server_have_entries_of_their_own() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 1, BYTES, SEED).start().unwrap();
        let place = Place::new();
        let of = |user: &str| origin.url("/0.bin").replace("http://", &format!("http://{user}@")) + "\n";
        let run = fetch_list(place.options(), read_once(&(of("alice:a") + &of("bob:b") + &of("bob:c"))), false);
        assert_eq!((count(&run, How::Fetched), run.summary().total_files), (2, 2));
        assert_eq!(place.leftovers(&[".towline"]), ["0.1.bin", "0.bin"]);
        // Another password is no other user. What carol gets is compared: here it is the same.
        let run = fetch_list(place.options(), read_once(&(of("alice:x") + &of("carol:y"))), false);
        let found = (count(&run, How::ThereByLedger), count(&run, How::ThereByContent));
        assert_eq!(found, (1, 1), "{:?}", run.finished());
        assert_eq!(place.leftovers(&[".towline"]), ["0.1.bin", "0.bin"]);
    });
}

/// The files of the silent host wait for the one connection that is to show its protocol.
#[test]
fn a_host_whose_handshake_never_ends_holds_up_nobody_else() {
    with_watchdog(LONG, || {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = silent.local_addr().unwrap();
        let origin = Origin::builder().files("/{}.bin", 40, 2000, 1).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.connect_timeout = Duration::from_secs(20);
        let mut list: String = (0..20).map(|number| format!("https://{at}/{number}.bin\n")).collect();
        list.extend((0..40).map(|number| origin.url(&format!("/{number}.bin\n"))));
        let batch = Batch::open(read_once(&list), &options.dir, false, false).unwrap();
        let mut live = Live::start(Session::builder(options).feed(batch));
        let (mut finished, mut failed) = (0, 0);
        live.wait_for("the files of the other host", |event| {
            finished += usize::from(matches!(event, Event::Finished { .. }));
            failed += usize::from(matches!(event, Event::Failed { .. } | Event::Retrying { .. }));
            finished == 40
        });
        assert_eq!(failed, 0, "files of the other host waited for a timeout");
        live.handle.stop();
        live.end();
        drop(silent);
    });
}
