//! Partial files: only those that match a journal of ours are ours, and interference is detected.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use towline_engine::options::Existing;
use towline_engine::{ErrorKind, Event, Options, Session};
use towline_origin::{ETag, Fault, Length, Origin, Resource, Scope};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, until, with_watchdog};

const SIZES: [u64; 2] = [3000, 6 * MIB];
const LARGE: u64 = 8 * MIB;
const RATE_PER_CONNECTION: u64 = 4_000_000;

fn one_connection(place: &Place) -> Options {
    let mut options = place.options();
    options.connections = Some(1);
    options
}

/// A server slow enough to stop the download halfway.
fn slow_origin(seed: u64) -> Origin {
    let rate = Fault::RatePerConnection(RATE_PER_CONNECTION);
    Origin::builder().resource(Resource::new("/a.bin", seed, LARGE)).fault(rate).start().unwrap()
}

/// Starts a download and stops it; returns how many bytes are kept.
fn begin(place: &Place, origin: &Origin, path: &str) -> u64 {
    let mut live = Live::start(Session::builder(one_connection(place)));
    live.handle.add(spec(origin, path)).unwrap();
    live.wait_for_share(30);
    live.handle.stop();
    live.end().summary().kept_bytes
}

#[test]
fn what_has_our_partial_name_and_no_journal_is_set_aside() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 31, size)).start().unwrap();
            let place = Place::new();
            fs::write(place.file("a.bin.towline"), "precious, not ours").unwrap();
            fs::set_permissions(place.file("a.bin.towline"), Permissions::from_mode(0o644)).unwrap();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", 31, size);
            assert_eq!(place.leftovers(&["a.bin"]), ["a.bin.towline.1"], "{size}");
            assert_eq!(fs::read_to_string(place.file("a.bin.towline.1")).unwrap(), "precious, not ours");
            assert_eq!(fs::metadata(place.file("a.bin.towline.1")).unwrap().permissions().mode() & 0o777, 0o644);
            let is_said =
                |event: &Event| matches!(event, Event::Warning { message, .. } if message.contains("kept as"));
            assert!(run.events.iter().any(is_said), "nobody was told");
        }
    });
}

#[test]
fn starting_over_leaves_nothing_of_what_was_begun_however_small_the_file_is_now() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let place = Place::new();
            assert!(begin(&place, &slow_origin(32), "/a.bin") > 0);
            let origin = Origin::builder().resource(Resource::new("/a.bin", 33, size)).start().unwrap();
            let mut anew = place.options();
            anew.resume = false;
            fetch(anew, [spec(&origin, "/a.bin")]).assert_done(1);
            place.assert_content("a.bin", 33, size);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{size}");
        }
    });
}

#[test]
fn what_was_begun_stays_beside_a_file_that_only_its_size_speaks_for() {
    with_watchdog(LONG, || {
        let (place, origin) = (Place::new(), slow_origin(37));
        assert!(begin(&place, &origin, "/a.bin") > 0);
        fs::write(place.file("a.bin"), vec![b'm'; LARGE as usize]).unwrap();
        let mut trusting = place.options();
        trusting.trust_size = true;
        fetch(trusting, [spec(&origin, "/a.bin")]).assert_done(1);
        assert_eq!(place.leftovers(&["a.bin"]), ["a.bin.towline", "a.bin.towline.json"]);
    });
}

#[test]
fn starting_over_sets_aside_what_is_not_certainly_ours() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let (slow, now) = (slow_origin(35), Origin::builder().resource(Resource::new("/a.bin", 36, size)));
            let now = now.start().unwrap();
            let prepared = || {
                let place = Place::new();
                assert!(begin(&place, &slow, "/a.bin") > 0);
                place
            };
            let start_over = |place: &Place, kept: &[&str]| {
                let mut anew = place.options();
                anew.resume = false;
                fetch(anew, [spec(&now, "/a.bin")]).assert_done(1);
                place.assert_content("a.bin", 36, size);
                assert_eq!(place.leftovers(&["a.bin"]), kept, "{size}");
            };

            // Another program's file, as long as the one that the journal names.
            let place = prepared();
            let part = place.file("a.bin.towline");
            let own = vec![b'm'; fs::metadata(&part).unwrap().len() as usize];
            fs::write(place.file("own"), &own).unwrap();
            fs::rename(place.file("own"), &part).unwrap();
            start_over(&place, &["a.bin.towline.1"]);
            assert!(fs::read(place.file("a.bin.towline.1")).unwrap() == own);

            // A file with another name, as `cp -al` makes it: its content stays.
            let place = prepared();
            let part = place.file("a.bin.towline");
            let (held, beside) = (fs::read(&part).unwrap(), tempfile::tempdir().unwrap());
            fs::hard_link(&part, beside.path().join("copy")).unwrap();
            assert_eq!(fetch(place.options(), [spec(&slow, "/a.bin")]).failure_kinds(), [ErrorKind::Storage]);
            start_over(&place, &["a.bin.towline.1"]);
            assert!(fs::read(beside.path().join("copy")).unwrap() == held);

            // What a newer version has begun.
            for has_part in [true, false] {
                let place = prepared();
                fs::write(place.file("a.bin.towline.json"), r#"{"format":"towline-journal","version":99}"#).unwrap();
                if !has_part {
                    fs::remove_file(place.file("a.bin.towline")).unwrap();
                }
                let refused = fetch(place.options(), [spec(&slow, "/a.bin")]);
                assert!(!has_part || refused.failure_kinds() == [ErrorKind::JournalVersion]);
                let kept = ["a.bin.towline.1", "a.bin.towline.json.damaged-1"];
                start_over(&place, if has_part { &kept } else { &kept[1..] });
            }
        }
    });
}

#[test]
fn what_takes_our_names_while_the_server_is_asked_is_set_aside() {
    with_watchdog(LONG, || {
        for (taken, kept) in
            [("a.bin.towline", "a.bin.towline.1"), ("a.bin.towline.json", "a.bin.towline.json.damaged-1")]
        {
            let asked = Fault::Latency(Duration::from_secs(1));
            let origin = Origin::builder().resource(Resource::new("/a.bin", 34, LARGE)).fault(asked).start().unwrap();
            let place = Place::new();
            let live = Live::start(Session::builder(one_connection(&place)));
            live.handle.add(spec(&origin, "/a.bin")).unwrap();
            live.handle.close();
            until("the request", || !origin.requests().is_empty());
            fs::write(place.file(taken), "precious, not ours").unwrap();
            let run = live.end();
            run.assert_done(1);
            place.assert_content("a.bin", 34, LARGE);
            assert_eq!(place.leftovers(&["a.bin"]), [kept]);
            assert_eq!(fs::read_to_string(place.file(kept)).unwrap(), "precious, not ours");
        }
    });
}

#[test]
fn the_partial_file_of_another_program_is_left_alone() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 32, size)).start().unwrap();
            let place = Place::new();
            fs::write(place.file("a.bin.part"), "a browser's").unwrap();
            fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
            place.assert_content("a.bin", 32, size);
            assert_eq!(fs::read_to_string(place.file("a.bin.part")).unwrap(), "a browser's");
        }
    });
}

#[test]
fn what_could_not_be_a_partial_file_of_ours_is_an_error_and_not_touched() {
    with_watchdog(LONG, || {
        type Plant = fn(&Place);
        let plants: [Plant; 3] = [
            |place| {
                fs::write(place.beside("theirs"), "theirs").unwrap();
                fs::hard_link(place.beside("theirs"), place.file("a.bin.towline")).unwrap();
            },
            |place| {
                fs::write(place.beside("theirs"), "theirs").unwrap();
                symlink(place.beside("theirs"), place.file("a.bin.towline")).unwrap();
            },
            |place| {
                fs::write(place.beside("theirs"), "theirs").unwrap();
                fs::create_dir(place.file("a.bin.towline")).unwrap();
            },
        ];
        for (number, plant) in plants.iter().enumerate() {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 33, LARGE)).start().unwrap();
            let place = Place::new();
            plant(&place);
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Storage], "{number}");
            assert_eq!(fs::read_to_string(place.beside("theirs")).unwrap(), "theirs", "{number}");
            assert_eq!(place.leftovers(&[]), ["a.bin.towline"], "{number}");
        }
    });
}

#[test]
fn what_an_earlier_build_left_is_gone_on_with() {
    with_watchdog(LONG, || {
        let origin = slow_origin(34);
        let place = Place::new();
        let kept_bytes = begin(&place, &origin, "/a.bin");
        // It used the same format under other names.
        fs::rename(place.file("a.bin.towline"), place.file("a.bin.part")).unwrap();
        fs::rename(place.file("a.bin.towline.json"), place.file("a.bin.part.json")).unwrap();
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        place.assert_content("a.bin", 34, LARGE);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn another_url_does_not_take_over_what_was_begun() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .resource(Resource::new("/x/a.bin", 35, LARGE))
            .resource(Resource::new("/y/a.bin", 36, LARGE))
            .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
            .start()
            .unwrap();
        let place = Place::new();
        let kept_bytes = begin(&place, &origin, "/x/a.bin");
        let run = fetch(place.options(), [spec(&origin, "/y/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
        let run = fetch(place.options(), [spec(&origin, "/x/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        place.assert_content("a.bin", 35, LARGE);
    });
}

#[test]
fn a_partial_file_that_somebody_cuts_meanwhile_is_whole_in_the_end() {
    with_watchdog(LONG, || {
        let origin = slow_origin(37);
        let place = Place::new();
        let mut options = one_connection(&place);
        // Nothing is saved meanwhile, so only the end can detect it.
        options.save_interval = Duration::from_secs(100);
        let mut live = Live::start(Session::builder(options));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for_share(30);
        let part = File::options().write(true).open(place.file("a.bin.towline")).unwrap();
        part.set_len(MIB).unwrap();
        part.set_len(LARGE).unwrap();
        let run = live.end();
        if place.file("a.bin").exists() {
            run.assert_done(1);
            place.assert_content("a.bin", 37, LARGE);
        } else {
            assert_eq!(run.failure_kinds(), [ErrorKind::Storage]);
        }
    });
}

/// Less than a block, so that no hole shows it.
#[test]
fn a_partial_file_that_loses_its_last_bytes_meanwhile_is_whole_in_the_end() {
    with_watchdog(LONG, || {
        for (saves, total) in [(100, Length::Known), (100, Length::Chunked), (0, Length::Chunked)] {
            let resource = Resource::new("/a.bin", 38, LARGE).length(total);
            let origin = Origin::builder().resource(resource.fault(Fault::RatePerConnection(4 << 20))).start().unwrap();
            let place = Place::new();
            let mut options = one_connection(&place);
            options.save_interval = if saves == 0 { Duration::from_millis(50) } else { Duration::from_secs(saves) };
            let mut live = Live::start(Session::builder(options.clone()));
            live.handle.add(spec(&origin, "/a.bin")).unwrap();
            live.handle.close();
            live.wait_for("some of it", |event| match event {
                Event::Progress(progress) => progress.done_bytes > 2 * MIB,
                _ => false,
            });
            let part = File::options().write(true).open(place.file("a.bin.towline")).unwrap();
            part.set_len(part.metadata().unwrap().len() - 1500).unwrap();
            let run = live.end();
            if run.failures().is_empty() {
                run.assert_done(1);
            } else {
                assert_eq!(run.failure_kinds(), [ErrorKind::Storage]);
                fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
            }
            place.assert_content("a.bin", 38, LARGE);
        }
    });
}

#[test]
fn what_somebody_puts_in_the_place_of_a_journal_is_kept() {
    with_watchdog(LONG, || {
        // Once it is detected when the next one is saved, at a stop, and once at the end.
        for (is_stopped, kept) in [(true, "a.bin.towline.json.damaged-1"), (false, "a.bin.towline.json")] {
            let origin = slow_origin(36);
            let place = Place::new();
            let mut options = one_connection(&place);
            options.save_interval = Duration::from_secs(100);
            let mut live = Live::start(Session::builder(options.clone()));
            live.handle.add(spec(&origin, "/a.bin")).unwrap();
            live.handle.close();
            live.wait_for_share(30);
            fs::write(place.beside("theirs"), "precious, not ours").unwrap();
            fs::rename(place.beside("theirs"), place.file("a.bin.towline.json")).unwrap();
            if is_stopped {
                live.handle.stop();
                live.end();
                fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
            } else {
                live.end().assert_done(1);
            }
            place.assert_content("a.bin", 36, LARGE);
            assert_eq!(place.leftovers(&["a.bin"]), [kept]);
            assert_eq!(fs::read_to_string(place.file(kept)).unwrap(), "precious, not ours");
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_punched_out_of_a_partial_file_comes_again() {
    use rustix::fs::{FallocateFlags, fallocate};

    with_watchdog(LONG, || {
        let origin = slow_origin(51);
        let place = Place::new();
        let kept_bytes = begin(&place, &origin, "/a.bin");
        let part = File::options().write(true).open(place.file("a.bin.towline")).unwrap();
        // The hole ends within a block, the rest of which stays.
        let punched = fallocate(&part, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 300_000, 300_000);
        if let Err(errno) = punched {
            // This file system has no holes, so the rest of the test does not apply.
            return assert_eq!(errno, rustix::io::Errno::OPNOTSUPP);
        }
        let run = fetch(one_connection(&place), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 51, LARGE);
        assert!((1..kept_bytes).contains(&run.resumed_bytes()), "{} of {kept_bytes}", run.resumed_bytes());
    });
}

#[test]
fn a_file_that_gets_another_name_goes_on_with_what_was_begun() {
    with_watchdog(LONG, || {
        let origin = slow_origin(52);
        let place = Place::new();
        let kept_bytes = begin(&place, &origin, "/a.bin");
        for name in ["a.bin", "a.1.bin"] {
            fs::write(place.file(name), "precious, not ours").unwrap();
        }
        let mut options = one_connection(&place);
        options.existing = Existing::AutoRename;
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        place.assert_content("a.2.bin", 52, LARGE);
        assert_eq!(fs::read_to_string(place.file("a.1.bin")).unwrap(), "precious, not ours");
        assert_eq!(place.leftovers(&["a.bin", "a.1.bin", "a.2.bin"]), [""; 0]);
    });
}

#[test]
fn a_file_that_gets_another_name_and_another_version_leaves_what_was_begun() {
    with_watchdog(LONG, || {
        for size in [3000, LARGE] {
            let origin = slow_origin(53);
            let place = Place::new();
            begin(&place, &origin, "/a.bin");
            fs::write(place.file("a.bin"), "precious, not ours").unwrap();
            origin.set_resource(Resource::new("/a.bin", 54, size).etag(ETag::Custom("\"other\"".to_owned())));
            let mut options = one_connection(&place);
            options.existing = Existing::AutoRename;
            fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
            place.assert_content("a.1.bin", 54, size);
            assert_eq!(fs::read_to_string(place.file("a.bin")).unwrap(), "precious, not ours");
            assert_eq!(place.leftovers(&["a.bin", "a.1.bin"]), ["a.bin.towline", "a.bin.towline.json"], "{size}");
        }
    });
}

#[test]
fn what_was_begun_stays_beside_a_file_that_is_left_alone() {
    with_watchdog(LONG, || {
        let origin = slow_origin(48);
        let place = Place::new();
        let kept_bytes = begin(&place, &origin, "/a.bin");
        fs::write(place.file("a.bin"), "precious, not ours").unwrap();
        let mut options = one_connection(&place);
        options.existing = Existing::Skip;
        fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
        fs::rename(place.file("a.bin"), place.beside("theirs")).unwrap();
        let run = fetch(one_connection(&place), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        place.assert_content("a.bin", 48, LARGE);
    });
}

/// Starts one version and continues with another, with something under a name of the old one.
fn change_beside(plant: impl Fn(&Place)) -> Place {
    let origin = slow_origin(44);
    let place = Place::new();
    begin(&place, &origin, "/a.bin");
    plant(&place);
    origin.set_resource(Resource::new("/a.bin", 45, LARGE));
    fetch(one_connection(&place), [spec(&origin, "/a.bin")]).assert_done(1);
    place.assert_content("a.bin", 45, LARGE);
    place
}

#[test]
fn what_has_a_name_that_ours_get_on_the_way_is_kept() {
    with_watchdog(LONG * 2, || {
        for (taken, kept) in [
            ("a.bin.towline.old", "a.bin.towline.old.1"),
            ("a.bin.towline.old.json", "a.bin.towline.old.json.damaged-1"),
            ("a.bin.towline.json.tmp", "a.bin.towline.json.tmp.damaged-1"),
        ] {
            let place = change_beside(|place| fs::write(place.file(taken), "precious, not ours").unwrap());
            assert_eq!(place.leftovers(&["a.bin"]), [kept]);
            assert_eq!(fs::read_to_string(place.file(kept)).unwrap(), "precious, not ours");
            let place = change_beside(|place| fs::create_dir(place.file(taken)).unwrap());
            assert_eq!(place.leftovers(&["a.bin"]), [kept], "a directory");
        }
    });
}

#[test]
fn an_old_version_that_a_kill_left_is_gone_on_with_or_goes() {
    with_watchdog(LONG * 2, || {
        let origin = slow_origin(46);
        let place = Place::new();
        let kept_bytes = begin(&place, &origin, "/a.bin");
        let saved = ["a.bin.towline", "a.bin.towline.json"].map(|name| fs::read(place.file(name)).unwrap());
        // The state between the two renames.
        fs::rename(place.file("a.bin.towline"), place.file("a.bin.towline.old")).unwrap();
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);

        // The new version has its name, and only the removal of the old one is left.
        origin.set_resource(Resource::new("/a.bin", 47, LARGE));
        let mut options = place.options();
        options.existing = Existing::Overwrite;
        fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
        for is_begun in [false, true] {
            if !is_begun {
                fs::write(place.file("a.bin.towline.old"), &saved[0]).unwrap();
            }
            fs::write(place.file("a.bin.towline.old.json"), &saved[1]).unwrap();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert!(run.finished()[0].how.was_there());
            place.assert_content("a.bin", 47, LARGE);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "half removed: {is_begun}");
        }
    });
}

#[test]
fn the_version_before_stays_until_the_new_one_is_complete() {
    with_watchdog(LONG, || {
        let origin = slow_origin(38);
        let place = Place::new();
        begin(&place, &origin, "/a.bin");
        let before = fs::read(place.file("a.bin.towline")).unwrap();
        // The new version stalls halfway.
        let new = Resource::new("/a.bin", 39, LARGE);
        origin.set_faults([Fault::RatePerConnection(RATE_PER_CONNECTION).into()]);
        origin.set_resource(new.clone().fault(Fault::StallAt(LARGE / 2, None)));
        let mut live = Live::start(Session::builder(one_connection(&place)));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.wait_for("the new version", |event| matches!(event, Event::Restarted { .. }));
        live.wait_for_share(30);
        live.handle.stop();
        live.end();
        assert!(fs::read(place.file("a.bin.towline.old")).unwrap() == before, "the old version was touched");
        assert_eq!(
            place.leftovers(&[]),
            ["a.bin.towline", "a.bin.towline.json", "a.bin.towline.old", "a.bin.towline.old.json"]
        );
        origin.set_resource(new);
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert!(run.resumed_bytes() > 0);
        place.assert_content("a.bin", 39, LARGE);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn one_answer_of_another_version_is_asked_for_again() {
    with_watchdog(LONG, || {
        let once = Scope::every().starting_at(2).times(1);
        let other = Fault::Validators(towline_origin::Validators::Tag("\"other\"".to_owned())).when(once);
        let cut = Fault::CutAt(LARGE / 2).when(Scope::every().first(1));
        let resource = Resource::new("/a.bin", 40, LARGE).etag(ETag::Strong).fault(cut).fault(other);
        let origin = Origin::builder().resource(resource).start().unwrap();
        let place = Place::new();
        let run = fetch(one_connection(&place), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.restarts(), 0);
        assert!(run.retries().contains(&ErrorKind::Changed), "{:?}", run.retries());
        place.assert_content("a.bin", 40, LARGE);
    });
}

#[test]
fn a_file_that_has_the_name_of_a_journal_and_is_none_is_kept() {
    with_watchdog(LONG, || {
        for size in SIZES {
            for text in ["notes of somebody", "{\"precious\": true}"] {
                let origin = Origin::builder().resource(Resource::new("/a.bin", 41, size)).start().unwrap();
                let place = Place::new();
                fs::write(place.file("a.bin.towline.json"), text).unwrap();
                let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
                run.assert_done(1);
                place.assert_content("a.bin", 41, size);
                // A small file needs no journal, so nothing is in the way.
                let kept = if size < 64 << 10 { "a.bin.towline.json" } else { "a.bin.towline.json.damaged-1" };
                assert_eq!(place.leftovers(&["a.bin"]), [kept], "{size}");
                assert_eq!(fs::read_to_string(place.file(kept)).unwrap(), text);
            }
        }
    });
}

#[test]
fn what_was_begun_stays_until_something_of_the_new_version_has_come() {
    with_watchdog(LONG, || {
        for status in [404, 503] {
            let origin = slow_origin(42);
            let place = Place::new();
            let kept_bytes = begin(&place, &origin, "/a.bin");
            // Two responses report another version, and then the file is gone.
            origin.set_resource(Resource::new("/a.bin", 43, LARGE));
            let gone = Fault::Status { code: status, times: None, retry_after: None };
            origin.set_faults([gone.when(Scope::every().starting_at(3))]);
            let mut options = one_connection(&place);
            options.http.retries = 1;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Status(status)]);
            assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"], "{status}");
            // The file is back, in the version in progress.
            origin.set_faults([]);
            origin.set_resource(Resource::new("/a.bin", 42, LARGE));
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(run.resumed_bytes(), kept_bytes, "{status}");
            place.assert_content("a.bin", 42, LARGE);
        }
    });
}

/// Keeps most of a file, as if its partial file had been copied just before its journal: these bytes are zeros.
fn copy_before_its_journal(origin: &Origin, place: &Place, options: &Options, unwritten: std::ops::Range<usize>) {
    let mut live = Live::start(Session::builder(options.clone()));
    live.handle.add(spec(origin, "/a.bin")).unwrap();
    live.handle.close();
    live.wait_for_share(70);
    live.handle.stop();
    live.end();
    let part = place.file("a.bin.towline");
    let mut copied = fs::read(&part).unwrap();
    copied[unwritten].fill(0);
    fs::remove_file(&part).unwrap();
    fs::write(&part, copied).unwrap();
}

#[test]
fn a_copy_whose_journal_claims_more_than_was_written_becomes_the_right_file() {
    with_watchdog(LONG, || {
        let stalls = || Fault::StallAt(LARGE * 3 / 4, None).when(Scope::every().first(1));
        let tagged = Resource::new("/a.bin", 291, LARGE).fault(stalls());
        let nameless = Resource::new("/a.bin", 291, LARGE).etag(ETag::None).last_modified(None).fault(stalls());
        let half = (LARGE / 2) as usize + 777;
        // Nothing stands before the first bytes that could be compared.
        for (resource, unwritten, is_resumed) in [(tagged, 1000..half, true), (nameless, 0..50_000, false)] {
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.connections = Some(1);
            copy_before_its_journal(&origin, &place, &options, unwritten.clone());
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", 291, LARGE);
            assert_eq!(run.resumed_bytes() > 0 && run.restarts() == 0, is_resumed, "what was written is gone on with");
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{unwritten:?}");
        }
    });
}

/// The file that the journal names may come back.
#[test]
fn a_journal_stays_while_another_file_has_the_name_of_the_partial_file() {
    with_watchdog(LONG, || {
        let (place, origin) = (Place::new(), slow_origin(38));
        let begun = begin(&place, &origin, "/a.bin");
        assert!(begun > 0);
        let part = place.file("a.bin.towline");
        fs::rename(&part, place.file("away")).unwrap();
        fs::write(&part, "theirs").unwrap();
        origin.set_resource(Resource::new("/a.bin", 38, LARGE).status(404));
        assert_eq!(fetch(place.options(), [spec(&origin, "/a.bin")]).failure_kinds().len(), 1);
        origin.set_resource(Resource::new("/a.bin", 38, LARGE));
        assert_eq!(fs::read(place.file("a.bin.towline.1")).unwrap(), b"theirs");
        fs::rename(place.file("away"), &part).unwrap();
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 38, LARGE);
        assert_eq!(run.resumed_bytes(), begun);
    });
}

/// A backup, say, brings it back alone.
#[test]
fn an_earlier_journal_does_not_fit_the_file_that_began_again() {
    with_watchdog(LONG, || {
        let (place, origin) = (Place::new(), slow_origin(301));
        begin(&place, &origin, "/a.bin");
        let journal = place.file("a.bin.towline.json");
        let earlier = fs::read(&journal).unwrap();
        origin.set_resource(Resource::new("/a.bin", 302, LARGE));
        let mut anew = one_connection(&place);
        anew.resume = false;
        let mut live = Live::start(Session::builder(anew));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.wait_for_share(20);
        live.handle.stop();
        live.end();
        fs::write(&journal, earlier).unwrap();
        origin.set_faults([]);
        origin.set_resource(Resource::new("/a.bin", 301, LARGE));
        let run = fetch(one_connection(&place), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Changed], "what is there is of the other version");
        assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"]);
    });
}

#[test]
fn a_sample_whose_range_is_ignored_is_asked_for_again() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(Resource::new("/a.bin", 303, LARGE)).start().unwrap();
        let stall = Fault::StallAt(LARGE * 3 / 4, None).when(Scope::every().first(1));
        origin.set_faults([stall]);
        let place = Place::new();
        copy_before_its_journal(&origin, &place, &one_connection(&place), 0..0);
        let ranges = || Scope::every().only_ranges();
        origin.set_faults([Fault::IgnoreRange.when(ranges().times(2))]);
        let run = fetch(one_connection(&place), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert!(run.resumed_bytes() > 0 && run.restarts() == 0);
        place.assert_content("a.bin", 303, LARGE);
    });
}
