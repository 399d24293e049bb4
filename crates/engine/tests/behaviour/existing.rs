//! An existing file has the name. Only evidence makes it the requested file; its length never does.

use std::fs::{self, File};
use std::io::Cursor;
use std::time::{Duration, SystemTime};

use towline_engine::event::{Event, How};
use towline_engine::feed::ListSource;
use towline_engine::options::Existing;
use towline_engine::{ErrorKind, Session};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, Resource, Scope, Switch, Validators};
use towline_testkit::content;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, fetch_list, spec, with_watchdog};

const SIZES: [u64; 3] = [20_000, 300_000, 3 * MIB];

#[test]
fn a_file_of_the_same_size_is_not_the_file_and_stays_as_it_is() {
    with_watchdog(LONG, || {
        for size in SIZES {
            for ranges in [Ranges::Honoured, Ranges::Ignored] {
                let origin =
                    Origin::builder().resource(Resource::new("/a.bin", 21, size).ranges(ranges)).start().unwrap();
                let place = Place::new();
                let other = content(22, size);
                fs::write(place.file("a.bin"), &other).unwrap();
                let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
                assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{size} {ranges:?}");
                assert!(fs::read(place.file("a.bin")).unwrap() == other, "{size} {ranges:?}");
                assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{size} {ranges:?}");

                let mut options = place.options();
                options.trust_size = true;
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                assert_eq!(run.finished()[0].how, How::ThereBySize, "{size} {ranges:?}");

                let mut options = place.options();
                options.existing = Existing::Overwrite;
                fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
                place.assert_content("a.bin", 21, size);
            }
        }
    });
}

/// One file at a time: the second one is prepared while the first stands still, and somebody puts a file in its place
/// before the first is given up and it is requested.
fn with_a_file_that_came_meanwhile(size: u64, content: &[u8], existing: Existing) -> (Place, Run) {
    let still = Resource::new("/still.bin", 24, 200_000).fault(Fault::StallAt(100_000, None));
    let origin = Origin::builder().resource(still).resource(Resource::new("/a.bin", 25, size)).start().unwrap();
    let place = Place::new();
    let mut options = place.options();
    (options.jobs, options.existing) = (1, existing);
    let mut live = Live::start(Session::builder(options));
    let first = live.handle.add(spec(&origin, "/still.bin")).unwrap();
    live.handle.add(spec(&origin, "/a.bin")).unwrap();
    live.handle.close();
    let is_second = |event: &Event| matches!(event, Event::Started { url, .. } if url.ends_with("/a.bin"));
    live.wait_for("the second file to be prepared", is_second);
    fs::write(place.file("a.bin"), content).unwrap();
    live.handle.cancel(first);
    (place, live.end())
}

#[test]
fn a_file_that_came_after_the_directory_was_listed_is_noticed() {
    with_watchdog(LONG, || {
        for size in [20_000, 300_000] {
            let (place, run) = with_a_file_that_came_meanwhile(size, b"mine", Existing::Fail);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{size}");
            assert_eq!(fs::read(place.file("a.bin")).unwrap(), b"mine");
            let still = ["still.bin.towline", "still.bin.towline.json"];
            assert_eq!(place.leftovers(&[&["a.bin"], &still[..]].concat()), [""; 0]);

            let (_, run) = with_a_file_that_came_meanwhile(size, &content(25, size), Existing::Fail);
            assert_eq!(run.finished().iter().map(|file| file.how).collect::<Vec<_>>(), [How::ThereByContent], "{size}");

            let (place, run) = with_a_file_that_came_meanwhile(size, b"mine", Existing::AutoRename);
            assert_eq!(run.finished().len(), 1, "{size}");
            assert_eq!(fs::read(place.file("a.bin")).unwrap(), b"mine");
            place.assert_content("a.1.bin", 25, size);
        }
    });
}

#[test]
fn a_file_of_the_same_content_is_the_file() {
    with_watchdog(LONG, || {
        for (size, how) in SIZES.into_iter().zip([How::ThereByContent, How::ThereByContent, How::ThereBySamples]) {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 23, size)).start().unwrap();
            let place = Place::new();
            fs::write(place.file("a.bin"), content(23, size)).unwrap();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(run.finished()[0].how, how, "{size}");
        }
    });
}

#[test]
fn a_file_that_was_changed_since_it_was_fetched_is_another_one() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 24, size)).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            if run.finished()[0].how != How::ThereByValidator {
                // This file system stores no notes, so the rest does not apply.
                return;
            }
            let mut edited = content(24, size);
            edited[size as usize / 3] ^= 1;
            fs::write(place.file("a.bin"), &edited).unwrap();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{size}");
            assert!(fs::read(place.file("a.bin")).unwrap() == edited, "{size}");
        }
    });
}

#[test]
fn an_entry_of_a_list_is_looked_at_again_when_its_file_was_touched() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 3, 5000, 25).start().unwrap();
        let place = Place::new();
        let list = || {
            let urls: String = (0..3).map(|number| origin.url(&format!("/{number}.bin")) + "\n").collect();
            ListSource::Reader(Box::new(Cursor::new(urls.into_bytes())))
        };
        fetch_list(place.options(), list(), false).assert_done(3);
        let touch = |name: &str, content: &[u8]| {
            fs::write(place.file(name), content).unwrap();
            let time = SystemTime::now() - Duration::from_secs(1000);
            File::options().write(true).open(place.file(name)).unwrap().set_modified(time).unwrap();
        };
        // The same content with another time, and other content with the same length.
        touch("0.bin", &content(25, 5000));
        touch("1.bin", &content(99, 5000));
        let run = fetch_list(place.options(), list(), false);
        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
        assert_eq!(run.summary().done_files, 2);
        assert!(run.finished().iter().any(|file| file.how == How::ThereByContent));
    });
}

#[test]
fn files_of_a_list_that_change_names_are_noticed_although_they_came_at_the_same_time() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 40, 5000, 25).start().unwrap();
        let place = Place::new();
        let list = || {
            let urls: String = (0..40).map(|number| origin.url(&format!("/{number}.bin")) + "\n").collect();
            ListSource::Reader(Box::new(Cursor::new(urls.into_bytes())))
        };
        fetch_list(place.options(), list(), false).assert_done(40);
        for number in (0..40).step_by(2) {
            let file = |number| place.file(&format!("{number}.bin"));
            fs::rename(file(number), place.beside("other")).unwrap();
            fs::rename(file(number + 1), file(number)).unwrap();
            fs::rename(place.beside("other"), file(number + 1)).unwrap();
        }
        let run = fetch_list(place.options(), list(), false);
        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken; 40]);
    });
}

#[test]
fn the_name_of_another_entry_is_left_to_it() {
    with_watchdog(LONG, || {
        let size = 2 * MIB;
        let origin = Origin::builder()
            .resource(Resource::new("/x/a.bin", 26, size))
            .resource(Resource::new("/y/a.bin", 27, size))
            .start()
            .unwrap();
        let place = Place::new();
        let list = |path: &str| ListSource::Reader(Box::new(Cursor::new(origin.url(path).into_bytes())));
        fetch_list(place.options(), list("/x/a.bin"), false).assert_done(1);
        let run = fetch_list(place.options(), list("/y/a.bin"), false);
        run.assert_done(1);
        place.assert_content("a.bin", 26, size);
        place.assert_content("a.1.bin", 27, size);
        let mut options = place.options();
        options.existing = Existing::AutoRename;
        fetch_list(options, list("/y/a.bin"), false).assert_done(1);
        place.assert_content("a.1.bin", 27, size);
    });
}

/// A server that never reports a version and does not support ranges.
fn silent(seed: u64, size: u64, length: Length) -> Resource {
    let resource = Resource::new("/a.bin", seed, size).etag(ETag::None).last_modified(None);
    resource.ranges(Ranges::Ignored).length(length)
}

#[test]
fn what_was_left_as_it_is_by_a_url_without_versions_is_there() {
    with_watchdog(LONG, || {
        for length in [Length::Known, Length::Chunked] {
            let origin = Origin::builder().resource(silent(31, 3 * MIB, length)).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            if length == Length::Chunked {
                // Without even a length, nothing shows that the server still has this file.
                assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
                continue;
            }
            run.assert_done(1);
            assert_eq!(run.finished()[0].how, How::ThereByNote, "{length:?}");

            // Another query may mean another file, and a file that was touched is not unchanged.
            let run = fetch(place.options(), [spec(&origin, "/a.bin?id=2").output("a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{length:?}");
            let other = Place::new();
            fetch(other.options(), [spec(&origin, "/a.bin?id=2").output("a.bin")]).assert_done(1);
            let run = fetch(other.options(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{length:?}");
            let file = File::options().write(true).open(place.file("a.bin")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(100)).unwrap();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{length:?}");
            place.assert_content("a.bin", 31, 3 * MIB);
        }
    });
}

#[test]
fn a_list_finds_its_large_files_although_its_ledger_is_gone() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(silent(32, 3 * MIB, Length::Known)).start().unwrap();
        let place = Place::new();
        let list = || ListSource::Reader(Box::new(Cursor::new((origin.url("/a.bin") + "\n").into_bytes())));
        fetch_list(place.options(), list(), false).assert_done(1);
        fs::remove_dir_all(place.file(".towline")).unwrap();
        let run = fetch_list(place.options(), list(), false);
        run.assert_done(1);
        assert_eq!(run.finished()[0].how, How::ThereByNote);
    });
}

#[test]
fn a_finished_file_is_not_the_one_of_another_query_because_their_tags_are_the_same() {
    with_watchdog(LONG, || {
        for size in [300_000, 3 * MIB] {
            let tagged = Resource::new("/a.bin", 33, size).etag(ETag::Custom("\"1\"".to_owned()));
            let other = Fault::OtherContent { from: 0, seed: 34 }.when(Scope::every().only_query("id=2"));
            let origin = Origin::builder().resource(tagged.fault(other)).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, "/a.bin?id=1").output("o.bin")]).assert_done(1);
            let two = || spec(&origin, "/a.bin?id=2").output("o.bin");
            let run = fetch(place.options(), [two()]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{size}");
            let mut options = place.options();
            options.existing = Existing::Overwrite;
            fetch(options, [two()]).assert_done(1);
            place.assert_content("o.bin", 34, size);
        }
    });
}

/// Where publishing links the file, a kill may leave it with both names.
#[test]
fn a_file_that_has_its_final_and_its_partial_name_is_brought_to_its_end_if_it_is_whole() {
    with_watchdog(LONG, || {
        for (size, is_whole) in [(3 * MIB, true), (3 * MIB, false)] {
            let origin = Origin::builder().resource(Resource::new("/a.bin", 27, size)).start().unwrap();
            let place = Place::new();
            match is_whole {
                true => fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1),
                false => fs::write(place.file("a.bin"), content(28, size)).unwrap(),
            }
            fs::hard_link(place.file("a.bin"), place.file("a.bin.towline")).unwrap();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            match is_whole {
                true => {
                    run.assert_done(1);
                    assert_eq!(run.finished()[0].how.was_there(), is_whole);
                    place.assert_content("a.bin", 27, size);
                    assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
                }
                // Nothing proves that it is ours.
                false => {
                    assert_eq!(run.failure_kinds(), [ErrorKind::Storage]);
                    assert!(fs::read(place.file("a.bin")).unwrap() == content(28, size));
                    assert_eq!(place.leftovers(&["a.bin"]), ["a.bin.towline"]);
                }
            }
        }
    });
}

/// What a server may say without a change although the content has changed: a weak tag, or a date that was young.
#[test]
fn a_finished_file_is_compared_where_its_version_need_not_change_with_the_content() {
    with_watchdog(LONG, || {
        let now = SystemTime::now();
        let weak = |seed, size| {
            Resource::new("/a.bin", seed, size).etag(ETag::Custom("W/\"1\"".to_owned())).last_modified(None)
        };
        let young = move |seed, size| Resource::new("/a.bin", seed, size).etag(ETag::None).last_modified(Some(now));
        for size in [300_000, 3 * MIB] {
            for file in [&weak as &dyn Fn(u64, u64) -> Resource, &young] {
                let origin = Origin::builder().resource(file(41, size)).start().unwrap();
                let place = Place::new();
                fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
                let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
                run.assert_done(1);
                let expected = if size > MIB { How::ThereBySamples } else { How::ThereByContent };
                assert_eq!(run.finished()[0].how, expected);

                origin.set_resource(file(42, size));
                let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
                assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
                place.assert_content("a.bin", 41, size);
                let mut options = place.options();
                options.existing = Existing::Overwrite;
                fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
                place.assert_content("a.bin", 42, size);

                // Where it cannot be compared, that is enough for a file that is as it was left.
                if size > MIB {
                    origin.set_resource(file(42, size).ranges(Ranges::Ignored));
                    let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
                    run.assert_done(1);
                    assert_eq!(run.finished()[0].how, How::ThereByNote);
                }
            }
        }
    });
}

#[test]
fn a_finished_file_is_known_again_although_its_server_never_tells_a_length() {
    with_watchdog(LONG, || {
        let silent = |seed, size| Resource::new("/a.bin", seed, size).etag(ETag::None).last_modified(None);
        let dated = |seed, size| Resource::new("/a.bin", seed, size).etag(ETag::None);
        for (size, is_dated) in [(20_000, false), (300_000, false), (300_000, true), (3 * MIB, true)] {
            for ranges in [Ranges::Ignored, Ranges::Honoured] {
                let file = |seed, size| {
                    let file = if is_dated { dated(seed, size) } else { silent(seed, size) };
                    file.ranges(ranges).length(Length::Chunked)
                };
                let origin = Origin::builder().resource(file(43, size)).start().unwrap();
                let place = Place::new();
                fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
                fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);

                // A longer file that begins alike is another one, and so is a shorter one.
                for other in [size - 1, size + 1, 2 * size] {
                    if size > MIB && ranges == Ranges::Ignored {
                        continue;
                    }
                    origin.set_resource(file(43, other));
                    let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
                    assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{size} {other} {ranges:?}");
                    place.assert_content("a.bin", 43, size);
                }
            }
        }
    });
}

/// Two runs at once fetch one file, and the slower one leaves all of it beside the other's.
fn whole_beside_a_file(etag: &ETag, changed: &Switch) -> (Origin, Place) {
    let size = 3 * MIB;
    let slow = Switch::default();
    let other_version = Validators::Tag("\"other\"".to_owned());
    let mut resource = Resource::new("/a.bin", 41, size)
        .etag(etag.clone())
        .fault(Fault::RatePerConnection(4_000_000).when(Scope::every().while_on(&slow)))
        .fault(Fault::OtherContent { from: 0, seed: 42 }.when(Scope::every().while_on(changed)));
    if *etag == ETag::None {
        resource = resource.last_modified(None);
    } else {
        resource = resource.fault(Fault::Validators(other_version).when(Scope::every().while_on(changed)));
    }
    let origin = Origin::builder().resource(resource).start().unwrap();
    let first = Place::new();
    fetch(first.options(), [spec(&origin, "/a.bin")]).assert_done(1);
    slow.on();
    let place = Place::new();
    let mut options = place.options();
    options.connections = Some(1);
    let mut live = Live::start(Session::builder(options));
    live.handle.add(spec(&origin, "/a.bin")).unwrap();
    live.handle.close();
    live.wait_for_share(10);
    fs::rename(first.file("a.bin"), place.file("a.bin")).unwrap();
    slow.off();
    assert_eq!(live.end().failure_kinds(), [ErrorKind::NameTaken]);
    assert!(place.file("a.bin.towline").exists());
    (origin, place)
}

#[test]
fn what_is_whole_beside_a_file_is_no_reason_not_to_ask_its_server() {
    with_watchdog(LONG, || {
        for etag in [ETag::Custom("\"one\"".to_owned()), ETag::None] {
            for existing in [Existing::Fail, Existing::AutoRename, Existing::Overwrite] {
                let changed = Switch::default();
                let (origin, place) = whole_beside_a_file(&etag, &changed);
                changed.on();
                let mut options = place.options();
                options.existing = existing;
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                match existing {
                    Existing::Fail => {
                        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{etag:?}");
                        place.assert_content("a.bin", 41, 3 * MIB);
                    }
                    Existing::AutoRename => place.assert_content("a.1.bin", 42, 3 * MIB),
                    _ => place.assert_content("a.bin", 42, 3 * MIB),
                }
            }
        }
    });
}

#[test]
fn what_only_has_the_size_is_looked_at_again_by_a_run_that_does_not_trust_sizes() {
    with_watchdog(LONG, || {
        let size = 300_000;
        let origin = Origin::builder().resource(Resource::new("/a.bin", 21, size)).start().unwrap();
        let place = Place::new();
        fs::write(place.file("a.bin"), content(22, size)).unwrap();
        let list = || ListSource::Reader(Box::new(Cursor::new(origin.url("/a.bin\n").into_bytes())));
        let mut trusting = place.options();
        trusting.trust_size = true;
        let run = fetch_list(trusting, list(), false);
        assert_eq!(run.finished()[0].how, How::ThereBySize);
        let run = fetch_list(place.options(), list(), false);
        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
        let mut options = place.options();
        options.existing = Existing::Overwrite;
        fetch_list(options, list(), false).assert_done(1);
        place.assert_content("a.bin", 21, size);
    });
}

/// A link whose redirect leads to another query or user now, where the same tag and length stand for another file.
#[test]
fn a_finished_file_is_compared_where_its_link_leads_elsewhere_with_a_query_or_a_user() {
    with_watchdog(LONG, || {
        for targets in [["/p.bin?id=1", "/p.bin?id=2"], ["/token/aaaaaaaa1/p.bin", "/token/aaaaaaaa2/p.bin"]] {
            let path = |target: &str| target.split('?').next().unwrap().to_owned();
            let etag = || ETag::Custom("\"same\"".to_owned());
            let other = Fault::OtherContent { from: 0, seed: 861 };
            let other =
                if targets[1].contains('?') { other.when(Scope::every().only_query("id=2")) } else { other.into() };
            let second = Resource::new(path(targets[1]), 860, 3 * MIB).etag(etag()).fault(other);
            let origin = Origin::builder()
                .resource(Resource::new(path(targets[0]), 860, 3 * MIB).etag(etag()))
                .resource(second)
                .resource(Resource::new("/f", 1, 1).redirect(302, targets[0]))
                .start()
                .unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, "/f").output("f.bin")]).assert_done(1);
            origin.set_resource(Resource::new("/f", 1, 1).redirect(302, targets[1]));
            let run = fetch(place.options(), [spec(&origin, "/f").output("f.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken], "{targets:?}");
        }
    });
}
