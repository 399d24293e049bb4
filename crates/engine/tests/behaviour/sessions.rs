//! A session as a long-running program uses it: jobs with their own options and numbers, paged queries,
//! changes, moves, and slow subscribers.

use std::time::{Duration, Instant};

use towline_engine::options::Existing;
use towline_engine::{
    ErrorKind, Event, JobChange, JobFilter, JobId, JobState, Session, SessionHandle, Subscription, SubscriptionError,
};
use towline_origin::{Fault, Origin, Resource};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, until, with_watchdog};

const SLOW_BPS: u64 = 400_000;
const WAIT: Duration = Duration::from_secs(30);

/// A server whose first file is slow, so that others wait behind it.
fn slow_and_small() -> Origin {
    let slow = Resource::new("/slow.bin", 50, 8 * MIB).fault(Fault::RatePerConnection(SLOW_BPS));
    Origin::builder().resource(slow).files("/{}.bin", 9, 2000, 51).start().unwrap()
}

/// A session with one place, which the slow file occupies.
fn busy(place: &Place, origin: &Origin) -> (Live, JobId) {
    let mut options = place.options();
    (options.jobs, options.connections) = (1, Some(1));
    let mut live = Live::start(Session::builder(options));
    let slow = live.handle.add(spec(origin, "/slow.bin")).unwrap();
    live.wait_for("its first bytes", |event| match event {
        Event::Progress(progress) => progress.done_bytes > 0,
        _ => false,
    });
    (live, slow)
}

/// All events until the session ends.
fn rest_of(events: &Subscription) -> Vec<towline_engine::Envelope> {
    let mut all = Vec::new();
    loop {
        match events.next_timeout(WAIT) {
            Ok(envelope) => all.push(envelope),
            Err(SubscriptionError::Ended) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// All jobs, queried in pages of this size.
fn paged(handle: &SessionHandle, filter: JobFilter, max: usize) -> Vec<JobId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = handle.jobs(filter, after, max);
        assert!(page.jobs.len() <= max);
        all.extend(page.jobs.iter().map(|status| status.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

#[test]
fn jobs_have_directories_headers_and_limits_of_their_own() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 6, 200_000, 40).start().unwrap();
        let place = Place::new();
        let elsewhere = place.beside("elsewhere");
        std::fs::create_dir_all(place.file("sub")).unwrap();
        std::fs::write(place.file("sub/2.bin"), "mine").unwrap();
        let mut options = place.options();
        options.http.headers.insert("x-all", "session".parse().unwrap());
        let header = |name: &'static str, value: &str| (name.parse().unwrap(), value.parse().unwrap());
        let (name, value) = header("x-one", "job");
        let (other_name, other_value) = header("x-all", "mine");
        let run = fetch(
            options,
            [
                spec(&origin, "/0.bin"),
                spec(&origin, "/1.bin").dir("sub").header(name, value).header(other_name, other_value),
                spec(&origin, "/2.bin").dir("sub").existing(Existing::AutoRename),
                spec(&origin, "/3.bin").dir(&elsewhere).output("x/three.bin"),
                spec(&origin, "/4.bin").max_size(1000),
            ],
        );
        assert_eq!(run.failure_kinds(), [ErrorKind::TooLarge]);
        place.assert_content("0.bin", 40, 200_000);
        place.assert_content("sub/1.bin", 41, 200_000);
        place.assert_content("sub/2.1.bin", 42, 200_000);
        assert_eq!(std::fs::read(place.file("sub/2.bin")).unwrap(), b"mine");
        assert_eq!(std::fs::metadata(elsewhere.join("x/three.bin")).unwrap().len(), 200_000);
        for request in origin.requests() {
            let is_one = request.path == "/1.bin";
            assert_eq!(request.header("x-one"), is_one.then_some("job"), "{}", request.path);
            assert_eq!(request.header("x-all"), Some(if is_one { "mine" } else { "session" }), "{}", request.path);
        }
    });
}

#[test]
fn a_job_may_be_limited_and_the_limit_lifted_while_it_comes() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 2, 3 * MIB, 60).start().unwrap();
        let place = Place::new();
        let mut live = Live::start(Session::builder(place.options()));
        let limited = live.handle.add(spec(&origin, "/0.bin").limit_rate(200_000)).unwrap();
        let free = live.handle.add(spec(&origin, "/1.bin")).unwrap();
        live.wait_for("the other one", |event| matches!(event, Event::Finished { job, .. } if *job == free));
        let status = live.handle.status(limited).unwrap();
        assert!(matches!(status.state, JobState::Active { .. }), "{status:?}");
        assert!(live.handle.change(limited, JobChange::default().limit_rate(None)));
        live.handle.close();
        live.end().assert_done(2);
        place.assert_content("0.bin", 60, 3 * MIB);
    });
}

#[test]
fn what_waits_can_be_moved_and_has_priorities() {
    with_watchdog(LONG, || {
        let (origin, place) = (slow_and_small(), Place::new());
        let (live, slow) = busy(&place, &origin);
        let add = |path: &str, priority: i32| live.handle.add(spec(&origin, path).priority(priority)).unwrap();
        // One job is prepared ahead of time, whatever comes after it.
        let ahead = add("/0.bin", 0);
        until("two to be worked on", || live.handle.jobs(JobFilter::Active, None, 9).jobs.len() >= 2);
        let [low, middle, high, last] =
            [("/1.bin", 0), ("/2.bin", 0), ("/3.bin", 7), ("/4.bin", 0)].map(|(path, priority)| add(path, priority));
        assert_eq!(paged(&live.handle, JobFilter::Waiting, 2), [low, middle, high, last]);
        assert!(live.handle.move_to(last, 1), "behind the one of a higher priority");
        assert!(live.handle.change(low, JobChange::default().priority(-1)));
        assert!(!live.handle.move_to(slow, 0), "it does not wait");
        assert!(!live.handle.change(JobId::new(99), JobChange::default()));
        live.handle.cancel(slow);
        live.handle.close();
        let run = live.end();
        let ended: Vec<JobId> = run
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Finished { job, .. } => Some(*job),
                _ => None,
            })
            .collect();
        assert_eq!(ended, [ahead, high, last, middle, low]);
    });
}

#[test]
fn jobs_are_asked_for_page_by_page_and_their_ends_are_remembered() {
    with_watchdog(LONG, || {
        let (origin, place) = (slow_and_small(), Place::new());
        let (mut live, slow) = busy(&place, &origin);
        let named = live.handle.add_as(JobId::new(1000), spec(&origin, "/0.bin").output("named.bin")).unwrap();
        let missing = live.handle.add(spec(&origin, "/none.bin")).unwrap();
        assert_eq!((named, missing), (JobId::new(1000), JobId::new(1)));
        for taken in [JobId::new(1000), JobId::new(0), JobId::new(1 << 40)] {
            let error = live.handle.add_as(taken, spec(&origin, "/1.bin")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{taken:?}");
        }
        assert!(matches!(live.handle.status(slow).unwrap().state, JobState::Active { .. }));
        assert_eq!(paged(&live.handle, JobFilter::All, 1), [slow, missing, named]);
        assert!(live.handle.status(JobId::new(5)).is_none());
        live.handle.cancel(slow);
        live.wait_for("the end of all", |event| matches!(event, Event::Finished { .. }));
        until("three to have ended", || paged(&live.handle, JobFilter::Ended, 2).len() >= 3);
        assert!(matches!(live.handle.status(slow).unwrap().state, JobState::Cancelled));
        let status = live.handle.status(named).unwrap();
        assert!(matches!(status.state, JobState::Done { .. }), "{status:?}");
        assert_eq!((status.done_bytes, status.total_bytes), (2000, Some(2000)));
        assert_eq!(status.path, Some(place.file("named.bin")));
        let JobState::Failed { error } = live.handle.status(missing).unwrap().state else { panic!("it has failed") };
        assert_eq!(error.kind, ErrorKind::Status(404));
        assert_eq!(paged(&live.handle, JobFilter::Waiting, 9), []);
        live.handle.close();
        let handle = live.handle.clone();
        live.end();
        assert!(handle.add(spec(&origin, "/1.bin")).is_err(), "the session has ended");
        assert!(handle.status(named).is_none());
    });
}

#[test]
fn a_listener_hears_how_each_job_ended_and_holds_nobody_up() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().files("/{}.bin", 40, 2000, 70).start().unwrap();
        let place = Place::new();
        let session = Session::builder(place.options()).build().unwrap();
        let handle = session.handle();
        let (slow, gone) = (handle.subscribe(), handle.subscribe());
        drop(gone);
        let began = Instant::now();
        let jobs: Vec<JobId> =
            (0..40).map(|number| handle.add(spec(&origin, &format!("/{number}.bin"))).unwrap()).collect();
        handle.close();
        session.run().unwrap();
        assert!(began.elapsed() < WAIT, "nobody waited for the listener");
        let all = rest_of(&slow);
        assert!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].at_ms <= pair[1].at_ms));
        let mut ended: Vec<JobId> = all
            .iter()
            .filter_map(|envelope| match &envelope.event {
                Event::Finished { job, .. } => Some(*job),
                _ => None,
            })
            .collect();
        ended.sort_unstable();
        assert_eq!(ended, jobs);
        assert!(matches!(all.last().unwrap().event, Event::Summary(_)));
        assert_eq!(handle.subscribe().next_timeout(WAIT).unwrap_err(), SubscriptionError::Ended);
    });
}
