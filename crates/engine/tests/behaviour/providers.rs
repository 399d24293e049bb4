//! Files of a service: listed page by page, located before they are fetched, and located again when a link
//! expires or is refused, keeping everything fetched so far.

use std::time::Duration;

use serde_json::Value;
use towline_engine::job::Listed;
use towline_engine::options::ProxyChoice;
use towline_engine::provider::{Entries, Entry, Located, Provider, Providers, Web};
use towline_engine::{Error, ErrorKind, JobSpec, Options, Result, Session};
use towline_origin::{Cloud, CloudBuilder, ETag, Fault, Origin, Resource};
use towline_testkit::content;
use url::Url;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, fetch_with, spec, until, with_watchdog};

/// The provider of the look-alike service.
#[derive(Debug)]
struct LookAlike {
    base: Url,
}

impl LookAlike {
    fn ask(&self, path: &str, web: &Web) -> Result<Value> {
        let url = self.base.join(path).unwrap();
        let answer = web.get(&url, &[])?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::new(ErrorKind::Protocol, "the service answers no JSON"))
    }
}

impl Provider for LookAlike {
    fn name(&self) -> &'static str {
        "look-alike"
    }

    fn knows(&self, url: &Url) -> bool {
        url.origin() == self.base.origin() && !url.path().starts_with("/bytes/")
    }

    fn list<'a>(&'a self, _link: &Url, web: &'a Web) -> Result<Entries<'a>> {
        let mut next = Some(0);
        let pages = std::iter::from_fn(move || {
            let page = self.ask(&format!("folder?page={}", next?), web);
            next = page.as_ref().ok().and_then(|page| page["next"].as_u64());
            Some(page)
        });
        Ok(Box::new(pages.flat_map(|page| match page {
            Ok(page) => page["entries"].as_array().unwrap().iter().map(|entry| Ok(self.entry(entry))).collect(),
            Err(error) => vec![Err(error)],
        })))
    }

    fn locate(&self, entry: &Url, web: &Web) -> Result<Located> {
        let link = self.ask(&format!("{}/link", entry.path().trim_start_matches('/')), web)?;
        let mut located = Located::new(link["url"].as_str().unwrap().parse().unwrap());
        located.headers.push(("x-ticket".parse().unwrap(), link["ticket"].as_str().unwrap().parse().unwrap()));
        located.expires_in = link["expires_seconds"].as_u64().map(Duration::from_secs);
        Ok(located)
    }
}

impl LookAlike {
    fn entry(&self, entry: &Value) -> Entry {
        let url = self.base.join(&format!("entry/{}", entry["id"].as_str().unwrap())).unwrap();
        Entry::new(url, entry["path"].as_str().unwrap())
    }
}

fn providers(cloud: &Cloud) -> Providers {
    let mut providers = Providers::default();
    providers.add(LookAlike { base: cloud.base().parse().unwrap() });
    providers
}

fn listed(cloud: &Cloud, web: &Web) -> Vec<JobSpec> {
    providers(cloud).list(&cloud.folder().parse().unwrap(), web).unwrap().collect::<Result<_>>().unwrap()
}

/// Fetches what the folder contains, listed through a session with these options.
fn fetch_listed(options: &Options, cloud: &Cloud) -> Run {
    let live = Live::start(Session::builder(options.clone()).providers(providers(cloud)));
    for spec in listed(cloud, &live.handle.web()) {
        live.handle.add(spec).unwrap();
    }
    live.handle.close();
    live.end()
}

/// Runs requests through a session that fetches no files.
fn with_web<T>(options: &Options, ask: impl FnOnce(&Web) -> T) -> T {
    let live = Live::start(Session::builder(options.clone()));
    let answer = ask(&live.handle.web());
    live.handle.close();
    live.end();
    answer
}

/// Fetches the whole folder.
fn fetch_folder(cloud: CloudBuilder, connections: Option<usize>) -> (Run, Place, Cloud) {
    let cloud = cloud.start().unwrap();
    let place = Place::new();
    let mut options = place.options();
    options.connections = connections;
    (fetch_listed(&options, &cloud), place, cloud)
}

#[test]
fn a_folder_is_listed_page_by_page_and_its_tree_arrives() {
    with_watchdog(LONG, || {
        let mut cloud = Cloud::builder().page_len(3).busy(2);
        for number in 0..10 {
            cloud = cloud.file(&format!("folder/{}/{number}.bin", number % 2), number, 50_000);
        }
        let (run, place, cloud) = fetch_folder(cloud, None);
        run.assert_done(10);
        for number in 0..10 {
            place.assert_content(&format!("folder/{}/{number}.bin", number % 2), number, 50_000);
        }
        let stats = cloud.stats();
        assert_eq!((stats.pages, stats.links, stats.refused, stats.busy), (4, 10, 0, 2));
    });
}

#[test]
fn a_link_that_is_refused_in_the_middle_is_replaced_and_nothing_comes_twice() {
    with_watchdog(LONG, || {
        for status in [401, 403, 404, 410] {
            // Each link is good for two requests; the file needs more, because one stream is slow.
            let cloud = Cloud::builder().file("a.bin", 5, 16 * MIB).link_uses(2, status).rate(8_000_000);
            let (run, place, cloud) = fetch_folder(cloud, Some(4));
            run.assert_done(1);
            assert_eq!(run.restarts(), 0, "{status}");
            place.assert_content("a.bin", 5, 16 * MIB);
            let stats = cloud.stats();
            assert!(stats.links > 1 && stats.refused > 0, "{status}: {stats:?}");
            assert_eq!(run.finished()[0].fetched_bytes, 16 * MIB, "{status}");
        }
    });
}

#[test]
fn a_link_that_expires_at_once_is_used_once_and_replaced() {
    with_watchdog(LONG, || {
        // A link that expires at once is located for each request, and never refused.
        let cloud = Cloud::builder().file("a.bin", 6, 9 * MIB).expires_seconds(0);
        let (run, place, cloud) = fetch_folder(cloud, Some(3));
        run.assert_done(1);
        place.assert_content("a.bin", 6, 9 * MIB);
        let stats = cloud.stats();
        assert!(stats.links > 1, "{stats:?}");
        assert_eq!(stats.refused, 0);
    });
}

#[test]
fn what_was_begun_of_an_entry_is_resumed_by_another_link() {
    with_watchdog(LONG, || {
        let cloud = Cloud::builder().file("a.bin", 7, 8 * MIB).rate(2_000_000).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(2);
        let mut live = Live::start(Session::builder(options.clone()).providers(providers(&cloud)));
        live.handle.add(listed(&cloud, &live.handle.web()).remove(0)).unwrap();
        live.wait_for_share(30);
        live.handle.stop();
        live.end();
        let run = fetch_listed(&options, &cloud);
        run.assert_done(1);
        assert!(run.resumed_bytes() > 2 * MIB, "{}", run.resumed_bytes());
        place.assert_content("a.bin", 7, 8 * MIB);
    });
}

#[test]
fn a_service_that_never_gives_a_link_fails_the_file_with_its_reason() {
    with_watchdog(LONG, || {
        let cloud = Cloud::builder().file("a.bin", 8, 5000).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 1;
        let jobs = with_web(&options, |web| listed(&cloud, web));
        drop(cloud);
        let cloud = Cloud::builder().start().unwrap();
        // The entry belongs to another service, which no longer responds.
        let base = jobs[0].url.join("/").unwrap();
        let mut providers = Providers::default();
        providers.add(LookAlike { base });
        let run = fetch_with(Session::builder(options).providers(providers), jobs);
        assert_eq!(run.failure_kinds(), [ErrorKind::Connect]);
        drop(cloud);
    });
}

#[test]
fn a_service_is_asked_within_the_caps_of_its_host_and_before_its_files() {
    with_watchdog(LONG, || {
        let origin =
            Origin::builder().files("/{}.bin", 40, 2000, 90).resource(Resource::new("/page", 1, 3000)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.max_per_host = 2;
        let live = Live::start(Session::builder(options));
        for number in 0..40 {
            live.handle.add(spec(&origin, &format!("/{number}.bin"))).unwrap();
        }
        let page = Url::parse(&origin.url("/page")).unwrap();
        let askers: Vec<_> = (0..8)
            .map(|_| {
                let (web, page) = (live.handle.web(), page.clone());
                std::thread::spawn(move || web.get(&page, &[]).unwrap().body.len())
            })
            .collect();
        assert!(askers.into_iter().all(|asker| asker.join().unwrap() == 3000));
        live.handle.close();
        live.end().assert_done(40);
        assert!(origin.stats().connections_peak <= 2, "{}", origin.stats().connections_peak);
        let paths: Vec<_> = origin.requests().into_iter().map(|request| request.path).collect();
        assert_ne!(paths.last().unwrap(), "/page", "the service was asked before the last of the files");
    });
}

#[test]
fn a_truncated_answer_of_a_service_is_none() {
    with_watchdog(LONG, || {
        let origin =
            Origin::builder().resource(Resource::new("/page", 1, 3000).fault(Fault::CutAt(1000))).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 2;
        let page = Url::parse(&origin.url("/page")).unwrap();
        let error = with_web(&options, |web| web.get(&page, &[]).unwrap_err());
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Broken, 3));
        assert_eq!(origin.stats().requests, 3);
    });
}

#[test]
fn who_asks_a_session_that_never_runs_is_told() {
    with_watchdog(LONG, || {
        let place = Place::new();
        let session = Session::builder(place.options()).build().unwrap();
        let web = session.handle().web();
        let asking = std::thread::spawn(move || web.get(&"http://127.0.0.1:9/".parse().unwrap(), &[]).unwrap_err());
        drop(session);
        assert_eq!(asking.join().unwrap().kind(), ErrorKind::Interrupted);
    });
}

#[test]
fn a_job_and_its_provider_go_through_the_same_proxy() {
    with_watchdog(LONG, || {
        let cloud = Cloud::builder().file("a.bin", 5, 5000).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.http.retries = 0;
        let jobs = with_web(&options, |web| listed(&cloud, web));
        let before = cloud.stats().links;
        // A proxy that lets nobody through.
        let proxy = Origin::builder().start().unwrap();
        let proxy = ProxyChoice::parse(&proxy.url("/"), "").unwrap();
        let builder = Session::builder(options).providers(providers(&cloud));
        let run = fetch_with(builder, jobs.into_iter().map(|job| job.proxy(proxy.clone())));
        assert_eq!(run.failures().len(), 1);
        assert_eq!(cloud.stats().links, before, "the service was asked directly");
    });
}

#[test]
fn a_service_that_answers_nobody_does_not_hold_up_a_stop() {
    with_watchdog(LONG, || {
        let origin =
            Origin::builder().resource(Resource::new("/page", 1, 3000).fault(Fault::StallAt(0, None))).start().unwrap();
        let place = Place::new();
        let live = Live::start(Session::builder(place.options()));
        let (web, page) = (live.handle.web(), Url::parse(&origin.url("/page")).unwrap());
        let later = live.handle.web();
        let asking = std::thread::spawn(move || web.get(&page, &[]).unwrap_err().kind());
        until("the question", || origin.stats().requests > 0);
        live.handle.stop();
        live.end();
        assert_eq!(asking.join().unwrap(), ErrorKind::Interrupted);
        let page = Url::parse(&origin.url("/page")).unwrap();
        assert_eq!(later.get(&page, &[]).unwrap_err().kind(), ErrorKind::Interrupted);
    });
}

/// The version that a service lists tells what the server of the bytes does not.
#[test]
fn data_of_another_version_than_the_listed_one_starts_over() {
    with_watchdog(LONG, || {
        const SIZE: u64 = 4 * MIB;
        const CHANGED: u64 = 1000;
        // The versions differ in their first bytes alone, and nothing names them.
        let version = |seed| {
            let resource = Resource::new("/a.bin", seed, SIZE).etag(ETag::None).last_modified(None);
            resource.fault(Fault::OtherContent { from: CHANGED, seed: 93 })
        };
        let listed = |origin: &Origin, version: &str| {
            let mut listed = Listed::new("a service");
            listed.version = Some(version.to_owned());
            let mut spec = spec(origin, "/a.bin");
            spec.listed = Some(Box::new(listed));
            spec
        };
        for (other, seed) in [("1", 91), ("2", 92)] {
            let slow = Fault::RatePerServer(4_000_000);
            let origin = Origin::builder().resource(version(91)).fault(slow).start().unwrap();
            let place = Place::new();
            let mut live = Live::start(Session::builder(place.options()));
            live.handle.add(listed(&origin, "1")).unwrap();
            live.handle.close();
            live.wait_for_share(40);
            live.handle.stop();
            assert!(live.end().summary().kept_bytes >= SIZE / 4);
            origin.set_faults([]);
            origin.set_resource(version(seed));
            let run = fetch(place.options(), [listed(&origin, other)]);
            run.assert_done(1);
            assert_eq!(run.restarts(), usize::from(other == "2"));
            let mut expected = content(93, SIZE);
            expected[..CHANGED as usize].copy_from_slice(&content(seed, CHANGED));
            assert!(std::fs::read(place.file("a.bin")).unwrap() == expected, "listed as {other}");
        }
    });
}
