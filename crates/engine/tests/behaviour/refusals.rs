//! Servers that refuse, are busy, or are unreachable.

use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use towline_engine::{Blame, ErrorKind, Event, JobSpec, Resolve, Resolving, Session};
use towline_origin::{ETag, Fault, Origin, Resource, Scope, Validators};
use towline_threads::supervisor::Interrupt;

use crate::common::{LONG, Live, PATIENCE, Place, fetch, fetch_with, spec, with_watchdog};

#[test]
fn retry_after_is_obeyed_and_uses_up_no_retries() {
    with_watchdog(LONG, || {
        let busy = Fault::Status { code: 503, times: Some(2), retry_after: Some("1".to_owned()) };
        let origin = Origin::builder().resource(Resource::new("/a.bin", 41, 200_000).fault(busy)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 1;
        let began = Instant::now();
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        assert!(began.elapsed() >= Duration::from_secs(2), "it came after {:?}", began.elapsed());
        run.assert_done(1);
        place.assert_content("a.bin", 41, 200_000);
        assert_eq!(run.retries(), [ErrorKind::Status(503); 2]);
        for event in &run.events {
            if let Event::Retrying { wait_ms, .. } = event {
                assert_eq!(*wait_ms, 1000);
            }
        }
        // Plus a closing check, because the download was slow.
        assert_eq!(origin.requests().iter().filter(|request| !request.is_conditional()).count(), 3);
    });
}

#[test]
fn a_missing_file_fails_and_leaves_nothing_while_others_arrive() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(Resource::new("/a.bin", 42, 200_000)).start().unwrap();
        let place = Place::new();
        let run = fetch(place.options(), [spec(&origin, "/missing.bin"), spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Status(404)]);
        let failure = run.failures()[0];
        assert_eq!(failure.blame, Blame::Peer);
        assert!(failure.message.contains("404 Not Found"), "{}", failure.message);
        assert!(failure.advice.is_some());
        assert_eq!((run.summary().done_files, run.summary().failed_files), (1, 1));
        assert_eq!(run.summary().failure_kinds, [ErrorKind::Status(404)]);
        assert_eq!(origin.stats().path("/missing.bin").requests, 1);
        place.assert_content("a.bin", 42, 200_000);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn a_refused_connection_is_told_as_one() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().start().unwrap();
        origin.stop();
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 0;
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Connect]);
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

/// Resolves no host.
struct Ignorant;

impl Resolve for Ignorant {
    fn resolve(&self, _: &str) -> Resolving {
        let error = io::Error::new(io::ErrorKind::NotFound, "nobody has this name");
        Box::pin(future::ready(Err::<Vec<SocketAddr>, io::Error>(error)))
    }
}

#[test]
fn an_unknown_host_is_told_as_one() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 0;
        let unknown = JobSpec::new("http://unknown.invalid/a.bin".parse().unwrap());
        let run = fetch_with(Session::builder(options).resolver(Ignorant), [unknown]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Resolve]);
        let message = &run.failures()[0].message;
        assert!(message.contains("unknown.invalid"), "{message}");
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

/// Never replies, and reports when it was asked.
struct Silent(mpsc::Sender<()>);

impl Resolve for Silent {
    fn resolve(&self, _: &str) -> Resolving {
        // The test waits for the first lookup only.
        let _ = self.0.send(());
        Box::pin(future::pending::<io::Result<Vec<SocketAddr>>>())
    }
}

#[test]
fn a_lookup_that_never_answers_does_not_hold_up_a_stop() {
    with_watchdog(LONG, || {
        let (ask, asked) = mpsc::channel();
        let place = Place::new();
        let live = Live::start(Session::builder(place.options()).resolver(Silent(ask)));
        live.handle.add(JobSpec::new("http://silent.invalid/a.bin".parse().unwrap())).unwrap();
        asked.recv_timeout(PATIENCE).unwrap();
        let began = Instant::now();
        live.handle.stop();
        let run = live.end();
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
        assert_eq!(run.ended.interrupt, Some(Interrupt::Requested));
        assert!(run.summary().interrupted);
        assert_eq!(place.leftovers(&[]), [""; 0]);
    });
}

/// A firewall that refuses every range does not refuse the file.
#[test]
fn a_server_that_refuses_to_go_on_is_asked_for_the_whole_once() {
    with_watchdog(LONG, || {
        const SIZE: u64 = 3 << 20;
        for code in [304, 400, 401, 403, 404, 405, 412, 431, 501] {
            for etag in [ETag::Strong, ETag::None] {
                let refuses = Fault::Status { code, times: None, retry_after: None };
                let resource = Resource::new("/a.bin", 48, SIZE).etag(etag.clone()).last_modified(None);
                let resource = resource.fault(Fault::CutAt(SIZE / 2).first(1));
                let origin = Origin::builder()
                    .resource(resource.fault(refuses.when(Scope::every().only_ranges())))
                    .start()
                    .unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.connections = Some(1);
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                assert_eq!(run.summary().done_files, 1, "{code} {etag:?}: {:?}", run.failures());
                place.assert_content("a.bin", 48, SIZE);
                assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{code} {etag:?}");
                assert!(origin.stats().requests <= 5, "{code} {etag:?}: {} requests", origin.stats().requests);
            }
        }
    });
}

/// It is asked for the whole once more: that shows a second time that the file has changed.
#[test]
fn a_changed_file_of_a_server_that_refuses_ranges_comes_whole() {
    with_watchdog(LONG, || {
        const SIZE: u64 = 3 << 20;
        let date = |seconds| UNIX_EPOCH + Duration::from_secs(1_500_000_000 + seconds);
        let tagged = |seed, etag| Resource::new("/a.bin", seed, SIZE).etag(etag).last_modified(None);
        let dated = |seed| Resource::new("/a.bin", seed, SIZE).etag(ETag::None).last_modified(Some(date(seed)));
        for code in [400, 403, 404, 405] {
            let versions = [
                (tagged(48, ETag::Strong), tagged(49, ETag::Strong)),
                (tagged(48, ETag::Weak), tagged(49, ETag::Weak)),
                (dated(48), dated(49)),
            ];
            for (before, after) in versions {
                let what = format!("{code} {:?}", before.etag_text());
                let origin = Origin::builder().resource(before.fault(Fault::CutAt(SIZE / 2))).start().unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.http.retries = 0;
                assert_eq!(fetch(options, [spec(&origin, "/a.bin")]).failures().len(), 1, "{what}");
                let refuses = Fault::Status { code, times: None, retry_after: None };
                origin.set_resource(after.fault(refuses.when(Scope::every().only_ranges())));
                let mut options = place.options();
                options.http.retries = 5;
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                assert_eq!(run.summary().done_files, 1, "{what}: {:?}", run.failures());
                place.assert_content("a.bin", 49, SIZE);
                assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{what}");
            }
        }
    });
}

/// Nothing but ranges goes on with what has come under a weak tag: one refusal of a range is not worth it.
#[test]
fn one_refused_range_does_not_start_a_file_over() {
    with_watchdog(LONG, || {
        const SIZE: u64 = 3 << 20;
        for code in [400, 403, 404, 405, 412, 501] {
            let refuses = Fault::Status { code, times: Some(1), retry_after: None };
            let resource = Resource::new("/a.bin", 49, SIZE).etag(ETag::Weak).last_modified(None);
            let resource = resource.fault(Fault::CutAt(SIZE / 2).first(1));
            let resource = resource.fault(refuses.when(Scope::every().only_ranges()));
            let origin = Origin::builder().resource(resource).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.connections = Some(1);
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            assert_eq!(run.summary().done_files, 1, "{code}: {:?}", run.failures());
            place.assert_content("a.bin", 49, SIZE);
            assert_eq!(run.restarts(), 0, "{code}");
            // What is compared comes twice: a quarter of what had come, at most 256 KiB.
            let sent = origin.stats().body_bytes;
            assert!(sent <= SIZE + (512 << 10), "{code}: {sent} bytes were sent for {SIZE}");
        }
    });
}

#[test]
fn begun_files_of_a_host_that_breaks_everything_off_are_not_requested_without_end() {
    const FILES: usize = 60;
    with_watchdog(LONG, || {
        let mut origin = Origin::builder();
        for number in 0..FILES {
            origin = origin.resource(Resource::new(format!("/{number}.bin"), number as u64, 200_000).etag(ETag::None));
        }
        let (origin, place) = (origin.start().unwrap(), Place::new());
        let jobs = || (0..FILES).map(|number| spec(&origin, &format!("/{number}.bin")));
        origin.set_faults([Fault::CutAt(100_000).into()]);
        let mut options = place.options();
        options.http.retries = 0;
        let _ = fetch(options, jobs());
        let before = origin.requests().len();
        // Now each range gets the whole file, which breaks off at once.
        origin.set_faults([Fault::IgnoreRange.into(), Fault::CutAt(1000).into()]);
        let mut options = place.options();
        options.http.retries = 5;
        let (mut live, began) = (Live::start(Session::builder(options)), Instant::now());
        for job in jobs() {
            live.handle.add(job).unwrap();
        }
        live.handle.close();
        live.wait_for("a few seconds", |_| began.elapsed() > Duration::from_secs(6));
        let (asked, seconds) = (origin.requests().len() - before, began.elapsed().as_secs() as usize);
        live.handle.stop();
        live.end();
        assert!(asked <= FILES + 60 + 2 * seconds, "{asked} requests in {seconds} s");
    });
}

/// A file that comes whole with its response, of which the beginning is there.
#[test]
fn a_small_file_whose_ranges_are_refused_or_name_nothing_comes_whole() {
    with_watchdog(LONG, || {
        let refused = |code| Fault::Status { code, times: None, retry_after: None }.when(Scope::every().only_ranges());
        let faults = [refused(403), refused(501), Fault::Validators(Validators::TagOnWholeOnly).into()];
        for fault in faults {
            let origin = Origin::builder()
                .resource(Resource::new("/a.bin", 752, 60_000))
                .fault(Fault::StallAt(30_000, Some(Duration::from_millis(800))).when(Scope::every().first(1)))
                .fault(Fault::CutAt(31_000).when(Scope::every().first(1)))
                .fault(fault)
                .start()
                .unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", 752, 60_000);
        }
    });
}

#[test]
fn what_is_to_be_retried_behind_a_redirect_has_a_limit_too() {
    with_watchdog(LONG, || {
        let gone = Origin::builder().start().unwrap();
        let first = Resource::new("/a.bin", 753, 60_000)
            .fault(Fault::Redirect { status: 302, location: gone.url("/nothing.bin") });
        let first = Origin::builder().resource(first).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        (options.http.retries, options.http.retry_on) = (2, vec![404]);
        let run = fetch(options, [spec(&first, "/a.bin")]);
        assert_eq!(run.failures().len(), 1);
        assert!(gone.stats().requests <= 4, "{} requests", gone.stats().requests);
    });
}
