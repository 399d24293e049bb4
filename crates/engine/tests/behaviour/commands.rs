//! Commands to a running session: pause, resume, cancel, snapshot.

use towline_engine::event::{FileProgress, FileState};
use towline_engine::{Event, JobId, Session};
use towline_origin::{Fault, Origin};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

const SIZE: u64 = 4 * MIB;

/// Waits until bytes of this job are on disk.
fn wait_for_bytes(live: &mut Live, job: JobId) {
    live.wait_for("the first bytes", |event| match event {
        Event::Progress(progress) => progress.files.iter().any(|file| file.job == job && file.done_bytes > 0),
        _ => false,
    });
}

/// The current progress of a job.
fn look_at(live: &Live, job: JobId) -> FileProgress {
    let progress = live.handle.snapshot().expect("a session that runs");
    progress.files.into_iter().find(|file| file.job == job).expect("a job that has not ended")
}

#[test]
fn a_file_can_be_paused_resumed_and_cancelled() {
    with_watchdog(LONG, || {
        let origin =
            Origin::builder().files("/{}.bin", 2, SIZE, 90).fault(Fault::RatePerConnection(4_000_000)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        let mut live = Live::start(Session::builder(options.clone()));

        let first = live.handle.add(spec(&origin, "/0.bin")).unwrap();
        wait_for_bytes(&mut live, first);
        assert_eq!(look_at(&live, first).state, FileState::Downloading);
        live.handle.pause(first);
        live.wait_for("the pause", |event| matches!(event, Event::Paused { job } if *job == first));
        assert_eq!(place.leftovers(&[]), ["0.bin.towline", "0.bin.towline.json"]);
        let paused = look_at(&live, first);
        assert_eq!((paused.state, paused.connections), (FileState::Paused, 0));
        assert_eq!(paused.total_bytes, Some(SIZE));
        assert!(paused.done_bytes > 0 && paused.done_bytes < SIZE, "{paused:?}");

        // Another job starts and is cancelled meanwhile; the first one does not move.
        let second = live.handle.add(spec(&origin, "/1.bin")).unwrap();
        wait_for_bytes(&mut live, second);
        live.handle.cancel(second);
        live.wait_for("the cancellation", |event| matches!(event, Event::Cancelled { job, .. } if *job == second));
        assert_eq!(look_at(&live, first), paused);

        live.handle.resume(first);
        live.wait_for("its going on", |event| matches!(event, Event::Resumed { job } if *job == first));
        live.handle.close();
        let run = live.end();
        let summary = run.summary();
        assert_eq!((summary.done_files, summary.cancelled_files, summary.failed_files), (1, 1, 0));
        assert_eq!(summary.unfinished_bytes, SIZE);
        let kept_bytes = summary.kept_bytes;
        assert!(kept_bytes > 0);
        assert_eq!(run.ended.interrupt, None);
        place.assert_content("0.bin", 90, SIZE);
        let started = run.events.iter().filter(|event| matches!(event, Event::Started { job, .. } if *job == first));
        assert_eq!(started.count(), 1);
        assert_eq!(place.leftovers(&["0.bin"]), ["1.bin.towline", "1.bin.towline.json"]);

        let run = fetch(options, [spec(&origin, "/1.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        place.assert_content("1.bin", 91, SIZE);
        assert_eq!(place.leftovers(&["0.bin", "1.bin"]), [""; 0]);
    });
}

#[test]
fn a_file_that_waits_can_be_cancelled_before_it_begins() {
    with_watchdog(LONG, || {
        let origin =
            Origin::builder().files("/{}.bin", 2, SIZE, 92).fault(Fault::RatePerConnection(8_000_000)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        options.jobs = 1;
        let mut live = Live::start(Session::builder(options));
        let first = live.handle.add(spec(&origin, "/0.bin")).unwrap();
        let second = live.handle.add(spec(&origin, "/1.bin")).unwrap();
        wait_for_bytes(&mut live, first);
        live.handle.cancel(second);
        live.handle.close();
        let run = live.end();
        assert_eq!((run.summary().done_files, run.summary().cancelled_files), (1, 1));
        place.assert_content("0.bin", 92, SIZE);
        assert_eq!(origin.stats().path("/1.bin").requests, 0);
        assert_eq!(place.leftovers(&["0.bin"]), [""; 0]);
    });
}
