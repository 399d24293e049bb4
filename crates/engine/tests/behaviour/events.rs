//! Events: their order and their JSON form.

use std::collections::HashMap;

use towline_engine::{Event, JobId};
use towline_origin::{Fault, Origin, Resource};

use crate::common::{LONG, MIB, Place, fetch, spec, with_watchdog};

fn job_of(event: &Event) -> Option<JobId> {
    match event {
        Event::Started { job, .. }
        | Event::Answered { job, .. }
        | Event::Ranges { job, .. }
        | Event::Retrying { job, .. }
        | Event::Restarted { job, .. }
        | Event::Finished { job, .. }
        | Event::Failed { job, .. }
        | Event::Paused { job }
        | Event::Resumed { job }
        | Event::Cancelled { job, .. } => Some(*job),
        Event::Warning { job, .. } => *job,
        _ => None,
    }
}

#[test]
fn each_file_begins_and_ends_once_and_the_summary_comes_last() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .resource(Resource::new("/small.bin", 111, 3000))
            .resource(Resource::new("/middle.bin", 112, 300_000).fault(Fault::CutAt(100_000).first(1)))
            .resource(Resource::new("/large.bin", 113, 6 * MIB))
            .fault(Fault::RatePerConnection(4_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(3);
        let paths = ["/small.bin", "/middle.bin", "/large.bin", "/missing.bin"];
        let run = fetch(options, paths.map(|path| spec(&origin, path)));
        assert_eq!((run.summary().done_files, run.summary().failed_files), (3, 1));
        assert!(matches!(run.events.last(), Some(Event::Summary(_))));
        assert_eq!(run.events.iter().filter(|event| matches!(event, Event::Summary(_))).count(), 1);
        assert!(run.events.iter().any(|event| matches!(event, Event::Progress(_))));

        let mut by_job: HashMap<JobId, Vec<&Event>> = HashMap::new();
        for event in &run.events {
            if let Some(job) = job_of(event) {
                by_job.entry(job).or_default().push(event);
            }
        }
        assert_eq!(by_job.len(), paths.len());
        for events in by_job.values() {
            let is_end = |event: &Event| {
                matches!(event, Event::Finished { .. } | Event::Failed { .. } | Event::Cancelled { .. })
            };
            let is_start = |event: &Event| matches!(event, Event::Started { .. });
            assert!(events.first().is_some_and(|event| is_start(event)), "{events:#?}");
            assert!(events.last().is_some_and(|event| is_end(event)), "{events:#?}");
            assert_eq!(events.iter().filter(|event| is_start(event)).count(), 1, "{events:#?}");
            assert_eq!(events.iter().filter(|event| is_end(event)).count(), 1, "{events:#?}");
            let is_finished = events.iter().any(|event| matches!(event, Event::Finished { .. }));
            let is_answered = matches!(events.get(1), Some(Event::Answered { .. }));
            assert_eq!(is_answered, is_finished, "{events:#?}");
        }
    });
}

#[test]
fn every_event_is_one_json_object_that_says_what_it_is() {
    with_watchdog(LONG, || {
        let origin = Origin::builder()
            .resource(Resource::new("/a.bin", 114, 4 * MIB).fault(Fault::CutAt(100_000).first(1)))
            .fault(Fault::RatePerConnection(4_000_000))
            .start()
            .unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(2);
        let run = fetch(options, [spec(&origin, "/a.bin"), spec(&origin, "/missing.bin")]);
        let mut names = Vec::new();
        for event in &run.events {
            let value = serde_json::to_value(event).unwrap();
            let object = value.as_object().expect("an object");
            let name = object["event"].as_str().expect("a name").to_owned();
            if let Some(job) = job_of(event) {
                assert_eq!(object["job"].as_u64(), Some(job.get()), "{value}");
            }
            names.push(name);
        }
        for expected in ["started", "answered", "retrying", "progress", "finished", "failed", "summary"] {
            assert!(names.iter().any(|name| name == expected), "no {expected} among {names:?}");
        }
        let progress = run.events.iter().find(|event| matches!(event, Event::Progress(_))).unwrap();
        let progress = serde_json::to_value(progress).unwrap();
        for field in ["done_files", "total_files", "done_bytes", "total_bytes", "rate_bps", "connections", "files"] {
            assert!(progress.get(field).is_some(), "no {field} in {progress}");
        }
    });
}
