//! Final names: taken ones, shared ones, hostile ones, and partial files locked by somebody else.

use std::fs::{self, File};

use rustix::fs::{FlockOperation, flock};
use towline_engine::event::How;
use towline_engine::options::Existing;
use towline_engine::{Advice, Blame, ErrorKind, Session};
use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{content, leftovers};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

const SIZES: [u64; 2] = [4 << 10, MIB];
const OTHER: &[u8] = b"something of the user's";

/// A directory in which another file is named `a.bin`.
fn taken() -> Place {
    let place = Place::new();
    fs::write(place.file("a.bin"), OTHER).unwrap();
    place
}

fn origin(size: u64) -> Origin {
    Origin::builder().resource(Resource::new("/a.bin", 71, size)).start().unwrap()
}

#[test]
fn a_name_of_the_servers_that_differs_by_case_alone_is_another_name() {
    with_watchdog(LONG, || {
        for existing in [vec![b'x'; 5000], content(71, 5000)] {
            let resource = Resource::new("/f.zip", 71, 5000).content_disposition("attachment; filename=\"F.ZIP\"");
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            fs::write(place.file("f.zip"), &existing).unwrap();
            fetch(place.options(), [spec(&origin, "/f.zip")]).assert_done(1);
            place.assert_content("F.ZIP", 71, 5000);
            assert_eq!(fs::read(place.file("f.zip")).unwrap(), existing);
        }
    });
}

#[test]
fn a_name_that_another_file_has_is_an_error_that_says_what_to_do() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let (origin, place) = (origin(size), taken());
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
            let failure = run.failures()[0];
            assert_eq!(failure.blame, Blame::User);
            assert_eq!(failure.path, Some(place.file("a.bin")));
            // It may be the beginning of this file.
            assert_eq!(failure.advice, Some(Advice::AdoptOrChooseExisting));
            let mut adopting = place.options();
            adopting.adopt = true;
            let run = fetch(adopting, [spec(&origin, "/a.bin")]);
            assert_eq!(run.failures()[0].advice, Some(Advice::ChooseExisting), "it is not");
            assert_eq!(fs::read(place.file("a.bin")).unwrap(), OTHER);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}

#[test]
fn overwriting_replaces_the_other_file() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let (origin, place) = (origin(size), taken());
            let mut options = place.options();
            options.existing = Existing::Overwrite;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", 71, size);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}

#[test]
fn renaming_takes_the_next_free_number() {
    with_watchdog(LONG, || {
        for size in SIZES {
            let (origin, place) = (origin(size), taken());
            fs::write(place.file("a.1.bin"), OTHER).unwrap();
            let mut options = place.options();
            options.existing = Existing::AutoRename;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(run.finished()[0].path, place.file("a.2.bin"));
            place.assert_content("a.2.bin", 71, size);
            for untouched in ["a.bin", "a.1.bin"] {
                assert_eq!(fs::read(place.file(untouched)).unwrap(), OTHER);
            }
            assert_eq!(place.leftovers(&["a.bin", "a.1.bin", "a.2.bin"]), [""; 0]);
        }
    });
}

#[test]
fn skipping_leaves_the_other_file_and_asks_nobody() {
    with_watchdog(LONG, || {
        let (origin, place) = (origin(SIZES[0]), taken());
        let mut options = place.options();
        options.existing = Existing::Skip;
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.finished()[0].how, How::Skipped);
        assert_eq!(fs::read(place.file("a.bin")).unwrap(), OTHER);
        assert_eq!(origin.stats().requests, 0);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn a_directory_is_no_file_to_skip() {
    with_watchdog(LONG, || {
        let (origin, place) = (origin(SIZES[0]), Place::new());
        fs::create_dir(place.file("a.bin")).unwrap();
        let mut options = place.options();
        options.existing = Existing::Skip;
        assert_eq!(fetch(options, [spec(&origin, "/a.bin")]).failure_kinds(), [ErrorKind::NameTaken]);
        assert!(place.file("a.bin").is_dir());
    });
}

#[test]
fn the_second_job_for_one_name_fails() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 2, 300_000, 72).start().unwrap();
        let place = Place::new();
        let specs = ["/0.bin", "/1.bin"].map(|path| spec(&origin, path).output("same.bin"));
        let run = fetch(place.options(), specs);
        assert_eq!(run.summary().done_files, 1);
        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
        assert!(run.failures()[0].message.contains("same.bin"), "{}", run.failures()[0].message);
        place.assert_content("same.bin", 72, 300_000);
        assert_eq!(origin.stats().path("/1.bin").requests, 0);
        assert_eq!(place.leftovers(&["same.bin"]), [""; 0]);
    });
}

#[test]
fn hostile_names_stay_in_the_directory() {
    with_watchdog(LONG, || {
        let hostile =
            ["../../x", "/etc/w", "C:\\\\v", "con", "..", ".hidden", "gpj.\u{202e}exe", "y.towline", "%2e%2e%2fz"];
        let mut builder = Origin::builder();
        for (name, number) in hostile.iter().zip(0..) {
            let resource = Resource::new(format!("/{number}"), 80 + number, 5000);
            builder = builder.resource(resource.content_disposition(&format!("attachment; filename=\"{name}\"")));
        }
        let origin = builder.start().unwrap();
        let place = Place::new();
        let run = fetch(place.options(), (0..hostile.len()).map(|number| spec(&origin, &format!("/{number}"))));
        run.assert_done(hostile.len());
        for file in run.finished() {
            assert_eq!(file.path.parent(), Some(place.dir().as_path()), "{file:?}");
            let name = file.path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(!name.starts_with('.') && !name.ends_with(".towline"), "{name:?}");
            assert!(!name.contains(['/', '\\', ':', '\u{202e}']), "{name:?}");
            assert_eq!(fs::metadata(&file.path).unwrap().len(), 5000);
        }
        assert_eq!(place.leftovers(&[]).len(), hostile.len());
        assert_eq!(leftovers(place.root()), ["downloads"]);
    });
}

#[test]
fn a_file_that_another_session_fetches_is_locked() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .resource(Resource::new("/a.bin", 73, 8 * MIB))
            .fault(Fault::RatePerConnection(1_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        let mut live = Live::start(Session::builder(options.clone()));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.wait_for_share(1);
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Locked]);
        assert_eq!(run.failures()[0].blame, Blame::Machine);
        // The first one is not disturbed.
        live.wait_for_share(5);
        live.handle.stop();
        let first = live.end();
        assert!(first.failure_kinds().is_empty());
        assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"]);
    });
}

#[test]
fn a_partial_file_is_in_the_way_no_more_once_its_lock_is_free() {
    with_watchdog(LONG, || {
        let (origin, place) = (origin(SIZES[0]), Place::new());
        let part = File::create(place.file("a.bin.towline")).unwrap();
        flock(&part, FlockOperation::NonBlockingLockExclusive).unwrap();
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Locked]);
        assert_eq!(place.leftovers(&[]), ["a.bin.towline"]);
        drop(part);
        let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 71, SIZES[0]);
        // It has no journal, so it is not ours to write to.
        assert_eq!(place.leftovers(&["a.bin"]), ["a.bin.towline.1"]);
    });
}
