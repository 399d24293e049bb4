//! Past bugs: each test is a defect that a review found, as a user would have seen it.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use towline_engine::feed::{Batch, ListSource};
use towline_engine::options::Existing;
use towline_engine::{Blame, ErrorKind, Event, JobId, JobSpec, Options, Session};
use towline_origin::{Fault, Origin, Resource, Scope};
use towline_testkit::Journal;

use crate::common::{LONG, Live, MIB, Place, fetch, spec, until, with_watchdog};

const SIZE: u64 = 4 * MIB;
/// Small enough to be stored whole.
const SMALL: u64 = 20_000;
const RATE_PER_CONNECTION: u64 = 4_000_000;
const OTHER: &[u8] = b"something of the user's";

fn slow_origin(resource: Resource) -> Origin {
    Origin::builder().resource(resource).fault(Fault::RatePerConnection(RATE_PER_CONNECTION)).start().unwrap()
}

fn one_connection(place: &Place) -> Options {
    let mut options = place.options();
    options.connections = Some(1);
    options
}

/// Stops a session once a tenth of its one file has arrived; returns how many bytes are kept.
fn begin_and_stop(options: Options, spec: JobSpec) -> u64 {
    let mut live = Live::start(Session::builder(options));
    live.handle.add(spec).unwrap();
    live.wait_for_share(10);
    live.handle.stop();
    let run = live.end();
    let kept_bytes = run.summary().kept_bytes;
    assert!(kept_bytes > 0 && kept_bytes < SIZE, "{kept_bytes} bytes are kept");
    kept_bytes
}

#[test]
fn a_file_that_has_become_small_is_published_without_a_byte_of_the_old_one() {
    with_watchdog(LONG, || {
        for (path, disposition) in [("/a.bin", None), ("/get", Some("attachment; filename=\"a.bin\""))] {
            let version = |seed, size| {
                let resource = Resource::new(path, seed, size);
                match disposition {
                    Some(text) => resource.content_disposition(text),
                    None => resource,
                }
            };
            let origin = slow_origin(version(201, SIZE));
            let place = Place::new();
            begin_and_stop(one_connection(&place), spec(&origin, path));
            assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"]);

            origin.set_faults([]);
            origin.set_resource(version(202, SMALL));
            let run = fetch(one_connection(&place), [spec(&origin, path)]);
            run.assert_done(1);
            assert_eq!(run.restarts(), 1, "{path}");
            place.assert_content("a.bin", 202, SMALL);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);

            let run = fetch(one_connection(&place), [spec(&origin, path)]);
            run.assert_done(1);
            assert!(run.finished()[0].how.was_there(), "{:?}", run.finished());
            place.assert_content("a.bin", 202, SMALL);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}

fn renaming(place: &Place) -> Options {
    let mut options = one_connection(place);
    options.existing = Existing::AutoRename;
    options
}

#[test]
fn a_large_file_whose_name_is_taken_meanwhile_gets_a_number() {
    with_watchdog(LONG, || {
        let origin = slow_origin(Resource::new("/a.bin", 211, SIZE));
        let place = Place::new();
        let mut live = Live::start(Session::builder(renaming(&place)));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for_share(10);
        fs::write(place.file("a.bin"), OTHER).unwrap();
        let run = live.end();
        run.assert_done(1);
        assert_eq!(run.finished()[0].path, place.file("a.1.bin"));
        place.assert_content("a.1.bin", 211, SIZE);
        assert_eq!(fs::read(place.file("a.bin")).unwrap(), OTHER);
        assert_eq!(place.leftovers(&["a.bin", "a.1.bin"]), [""; 0]);
    });
}

#[test]
fn a_small_file_whose_name_is_taken_meanwhile_gets_a_number() {
    with_watchdog(LONG, || {
        let late = Fault::Latency(Duration::from_millis(600)).first(1);
        let origin = Origin::builder().resource(Resource::new("/a.bin", 212, SMALL).fault(late)).start().unwrap();
        let place = Place::new();
        let live = Live::start(Session::builder(renaming(&place)));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        until("the request", || origin.stats().requests > 0);
        fs::write(place.file("a.bin"), OTHER).unwrap();
        let run = live.end();
        run.assert_done(1);
        assert_eq!(run.finished()[0].path, place.file("a.1.bin"));
        place.assert_content("a.1.bin", 212, SMALL);
        assert_eq!(fs::read(place.file("a.bin")).unwrap(), OTHER);
        assert_eq!(place.leftovers(&["a.bin", "a.1.bin"]), [""; 0]);
    });
}

#[test]
fn a_file_whose_name_is_taken_meanwhile_is_skipped_where_others_are() {
    with_watchdog(LONG, || {
        for size in [SMALL, SIZE] {
            let late = Fault::Latency(Duration::from_millis(600)).first(1);
            let resource = Resource::new("/a.bin", 213, size).fault(late);
            let rate = Fault::RatePerConnection(8_000_000);
            let origin = Origin::builder().resource(resource).fault(rate).start().unwrap();
            let place = Place::new();
            let mut options = one_connection(&place);
            options.existing = Existing::Skip;
            let live = Live::start(Session::builder(options));
            live.handle.add(spec(&origin, "/a.bin")).unwrap();
            live.handle.close();
            until("the request", || origin.stats().requests > 0);
            fs::write(place.file("a.bin"), OTHER).unwrap();
            live.end().assert_done(1);
            assert_eq!(fs::read(place.file("a.bin")).unwrap(), OTHER, "{size}");
        }
    });
}

#[test]
fn two_files_of_one_name_that_is_taken_meanwhile_keep_their_contents_apart() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .resource(Resource::new("/x/a.bin", 213, SIZE))
            .resource(Resource::new("/y/a.bin", 214, SIZE))
            .fault(Fault::RatePerConnection(RATE_PER_CONNECTION))
            .start()
            .unwrap();
        let place = Place::new();
        let mut live = Live::start(Session::builder(renaming(&place)));
        let first = live.handle.add(spec(&origin, "/x/a.bin")).unwrap();
        let second = live.handle.add(spec(&origin, "/y/a.bin")).unwrap();
        live.handle.close();
        live.wait_for("bytes of both", |event| match event {
            Event::Progress(progress) => progress.files.iter().filter(|file| file.done_bytes > 0).count() == 2,
            _ => false,
        });
        fs::write(place.file("a.bin"), OTHER).unwrap();
        let run = live.end();
        run.assert_done(2);
        let path_of = |job: JobId| -> PathBuf {
            let path = run.events.iter().find_map(|event| match event {
                Event::Finished { job: finished, path, .. } if *finished == job => Some(path.clone()),
                _ => None,
            });
            path.expect("a file that is complete")
        };
        for (job, seed) in [(first, 213), (second, 214)] {
            let path = path_of(job);
            let name = path.file_name().unwrap().to_str().unwrap();
            place.assert_content(name, seed, SIZE);
        }
        assert_eq!(fs::read(place.file("a.bin")).unwrap(), OTHER);
        assert_eq!(place.leftovers(&["a.bin", "a.1.bin", "a.2.bin"]), [""; 0]);
    });
}

#[test]
fn a_partial_file_that_is_removed_or_replaced_fails_its_job_and_is_left_alone() {
    with_watchdog(LONG, || {
        for is_replaced in [false, true] {
            let origin = slow_origin(Resource::new("/a.bin", 221, SIZE));
            let place = Place::new();
            let mut live = Live::start(Session::builder(one_connection(&place)));
            live.handle.add(spec(&origin, "/a.bin")).unwrap();
            live.handle.close();
            live.wait_for_share(10);
            let part = place.file("a.bin.towline");
            fs::remove_file(&part).unwrap();
            if is_replaced {
                fs::write(&part, OTHER).unwrap();
            }
            let run = live.end();
            assert_eq!(run.failure_kinds(), [ErrorKind::Storage], "replaced: {is_replaced}");
            assert_eq!(run.failures()[0].blame, Blame::Machine);
            assert_eq!((run.summary().done_files, run.summary().failed_files), (0, 1));
            assert!(!place.file("a.bin").exists(), "replaced: {is_replaced}");
            assert_eq!(fs::read(&part).ok().as_deref(), is_replaced.then_some(OTHER));
        }
    });
}

#[test]
fn a_partial_file_of_another_length_than_its_journal_says_begins_again() {
    with_watchdog(LONG, || {
        for len_bytes in [SIZE - 1, SIZE + 1] {
            let origin = slow_origin(Resource::new("/a.bin", 222, SIZE));
            let place = Place::new();
            begin_and_stop(one_connection(&place), spec(&origin, "/a.bin"));
            let part = File::options().write(true).open(place.file("a.bin.towline")).unwrap();
            part.set_len(len_bytes).unwrap();
            drop(part);

            origin.set_faults([]);
            let run = fetch(one_connection(&place), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!((run.resumed_bytes(), run.finished()[0].fetched_bytes), (0, SIZE));
            let says_why =
                |event: &Event| matches!(event, Event::Warning { message, .. } if message.contains("another length"));
            assert!(run.events.iter().any(says_why), "nobody was told why it began again");
            place.assert_content("a.bin", 222, SIZE);
            assert_eq!(place.leftovers(&["a.bin"]), ["a.bin.towline.1"]);
        }
    });
}

#[test]
fn a_file_that_is_paused_while_its_first_range_is_on_trial_goes_on_after_that() {
    with_watchdog(LONG, || {
        // Only the first range; it is aborted long before its response comes.
        let silent = Fault::Latency(Duration::from_secs(20)).when(Scope::every().first(2).only_ranges());
        let origin = slow_origin(Resource::new("/a.bin", 231, SIZE).fault(silent));
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let mut live = Live::start(Session::builder(options));
        let job = live.handle.add(spec(&origin, "/a.bin")).unwrap();
        until("the first range", || origin.requests().iter().any(|request| request.range.is_some()));
        live.wait_for("the first bytes", |event| match event {
            Event::Progress(progress) => progress.done_bytes > 0,
            _ => false,
        });
        live.handle.pause(job);
        live.wait_for("the pause", |event| matches!(event, Event::Paused { .. }));
        live.handle.resume(job);
        live.handle.close();
        let run = live.end();
        run.assert_done(1);
        assert_eq!(run.restarts(), 0);
        assert_eq!(run.ranges(), [true]);
        place.assert_content("a.bin", 231, SIZE);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

/// Sixty entries of a host that delivers nothing precede forty of one that does.
fn the_other_host_is_not_kept_waiting_by(idle: &Origin) {
    let busy = Origin::builder().files("/{}.bin", 40, 2000, 300).start().unwrap();
    let place = Place::new();
    let options = place.options();
    let before = (0..60).map(|number| idle.url(&format!("/idle-{number}.bin")));
    let behind = (0..40).map(|number| busy.url(&format!("/{number}.bin")));
    let list: String = before.chain(behind).map(|url| url + "\n").collect();
    let source = ListSource::Reader(Box::new(Cursor::new(list.into_bytes())));
    let batch = Batch::open(source, &options.dir, false, false).unwrap();
    let began = Instant::now();
    let mut live = Live::start(Session::builder(options).feed(batch));
    let mut arrived = 0;
    live.wait_for("the files of the other host", |event| {
        arrived += usize::from(matches!(event, Event::Finished { .. }));
        arrived == 40
    });
    let took = began.elapsed();
    live.handle.stop();
    let run = live.end();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert_eq!(run.summary().done_files, 40);
    for number in 0..40 {
        place.assert_content(&format!("{number}.bin"), 300 + number, 2000);
    }
}

#[test]
fn a_host_that_asks_for_patience_does_not_keep_the_files_of_others_waiting() {
    with_watchdog(LONG, || {
        let later = Fault::Status { code: 429, times: None, retry_after: Some("600".to_owned()) };
        let idle = Origin::builder().fault(later).start().unwrap();
        the_other_host_is_not_kept_waiting_by(&idle);
    });
}

#[test]
fn a_host_that_cannot_be_reached_does_not_keep_the_files_of_others_waiting() {
    with_watchdog(LONG, || {
        let idle = Origin::builder().start().unwrap();
        idle.stop();
        the_other_host_is_not_kept_waiting_by(&idle);
    });
}

/// Where the first range in the journal ends, if there is a journal.
fn journalled(place: &Place) -> Option<u64> {
    Journal::read(&place.file("a.bin.towline.json"))?.done.first().map(|(_, end)| *end)
}

#[test]
fn a_second_session_that_gets_a_small_answer_leaves_the_journal_of_the_first_alone() {
    with_watchdog(LONG, || {
        let large = Resource::new("/a.bin", 241, SIZE);
        let stalled = large.clone().fault(Fault::StallAt(MIB, None));
        let origin = Origin::builder().resource(stalled).start().unwrap();
        let place = Place::new();
        let mut options = one_connection(&place);
        options.save_interval = Duration::from_millis(50);
        let live = Live::start(Session::builder(options.clone()));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        // Nothing arrives after this, so nothing is saved either.
        until("the journal of what came", || journalled(&place) == Some(MIB));
        let journal = fs::read(place.file("a.bin.towline.json")).unwrap();

        let small = Resource::new("/get", 242, SMALL).content_disposition("attachment; filename=\"a.bin\"");
        origin.set_resource(small);
        for resume in [true, false] {
            let mut options = options.clone();
            options.resume = resume;
            let run = fetch(options, [spec(&origin, "/get")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Locked], "resume: {resume}");
            assert_eq!(fs::read(place.file("a.bin.towline.json")).unwrap(), journal, "resume: {resume}");
            assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"]);
        }
        assert!(origin.stats().requests >= 2, "the second session never got the small answer");
        live.handle.stop();
        assert!(live.end().failure_kinds().is_empty(), "the first session was disturbed");

        origin.set_resource(large);
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), MIB);
        place.assert_content("a.bin", 241, SIZE);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn a_link_that_expires_while_four_connections_use_it_is_asked_for_again() {
    with_watchdog(LONG, || {
        let size = 8 * MIB;
        let leads_to = |path: &str| Resource::new("/redir", 0, 0).redirect(302, path);
        // Each response ends early, so that more requests follow after the link has expired.
        let short_lived = Resource::new("/cdn/one/a.bin", 251, size)
            .fault(Fault::CutAt(MIB))
            .fault(Fault::RatePerConnection(2_000_000));
        let origin = Origin::builder().resource(leads_to("/cdn/one/a.bin")).resource(short_lived).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(4);
        let mut live = Live::start(Session::builder(options));
        live.handle.add(spec(&origin, "/redir")).unwrap();
        live.handle.close();
        live.wait_for_share(5);
        origin.set_resource(Resource::new("/cdn/two/a.bin", 251, size));
        origin.set_resource(leads_to("/cdn/two/a.bin"));
        origin.set_resource(Resource::new("/cdn/one/a.bin", 0, 0).status(403));
        let run = live.end();
        run.assert_done(1);
        place.assert_content("a.bin", 251, size);
        assert_eq!(run.restarts(), 0);
        assert!(origin.requests().iter().any(|request| request.status == 403), "the link never expired");
        assert!(origin.stats().path("/cdn/two/a.bin").requests > 0);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn a_partial_file_beside_another_file_of_its_name_is_kept_and_nothing_is_fetched() {
    with_watchdog(LONG, || {
        let resource = Resource::new("/a.bin", 261, SIZE);
        let first = slow_origin(resource.clone());
        let place = Place::new();
        let kept_bytes = begin_and_stop(one_connection(&place), spec(&first, "/a.bin"));
        fs::write(place.file("a.bin"), OTHER).unwrap();

        let second = Origin::builder().resource(resource).start().unwrap();
        let run = fetch(one_connection(&place), [spec(&second, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::NameTaken]);
        assert_eq!(second.stats().body_bytes, 0);
        assert_eq!(fs::read(place.file("a.bin")).unwrap(), OTHER);
        assert_eq!(place.leftovers(&["a.bin"]), ["a.bin.towline", "a.bin.towline.json"]);

        fs::remove_file(place.file("a.bin")).unwrap();
        let run = fetch(one_connection(&place), [spec(&second, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        place.assert_content("a.bin", 261, SIZE);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}
