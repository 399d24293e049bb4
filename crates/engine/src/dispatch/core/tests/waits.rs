//! Waits and counts of one file: each is read where it was noted.

use super::*;

#[test]
fn a_files_own_retries_count() {
    let mut world = World::new(|_| {});
    let job = JobId(0);
    let spec = JobSpec::new("http://h/a".parse().unwrap()).retries(0);
    world.tell(Message::Command(Command::Add(job, Box::new(spec))));
    world.prepare(job, Prepared::default());
    let fetch = world.take_fetch();
    world.end(fetch.transfer, broken(), false);
    world.pass(Time::from_secs(60));
    assert_eq!(world.fetches(), 0);
    assert!(world.has(|event| matches!(event, Event::Failed { .. })));
}

/// A file without a length is compared by a sample before it is gone on with.
#[test]
fn a_sample_is_not_asked_for_again_before_the_time_that_the_server_gave() {
    let mut world = World::new(|_| {});
    let job = world.add(0, "http://h/a");
    world.prepare(job, Prepared::default());
    let fetch = world.take_fetch();
    world.tell(Message::Connected(fetch.slot, Protocol::Http1));
    let unknown = Head { total_bytes: None, evidence: evidence_of(None), offers_ranges: true, ..*head(0) };
    world.tell(Message::Answered(fetch.transfer, Box::new(unknown), None));
    world.take(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))).then_some(()));
    world.tell(Message::Opened(job, Ok(None)));
    fetch.piece.advance(MIB);
    world.end(fetch.transfer, broken(), false);
    let asks_for = Time::from_secs(30);
    let mut asked = Vec::new();
    while world.now < Time::from_secs(100) {
        world.pass(Time::from_millis(100));
        while world.effects.iter().any(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. }))) {
            world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
            world.tell(Message::Saved(job, Ok(())));
        }
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            assert!(matches!(fetch.kind, FetchKind::Sample { .. }), "{:?}", fetch.kind);
            asked.push(world.now);
            let error = Error::new(ErrorKind::Status(503), "busy");
            world.end(fetch.transfer, End::Failed { error, retry_after: Some(asks_for) }, true);
        }
    }
    assert!(asked.len() > 1, "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1] >= pair[0] + asks_for), "{asked:?}");
}

fn evidence_of(total: Option<u64>) -> Evidence {
    Evidence { total_bytes: total, ..evidence("v1", 0) }
}

#[test]
fn a_pause_during_a_restart_is_not_lost() {
    let mut world = World::new(|_| {});
    let job = world.add(0, "http://h/a");
    let first = world.begin_large(job, MIB);
    first.piece.advance(1000);
    world.tell(Message::Command(Command::Pause(job)));
    world.tell(Message::Command(Command::Resume(job)));
    world.tell(Message::Command(Command::Pause(job)));
    world.end(first.transfer, End::Dropped, false);
    for _ in 0..4 {
        if world.effects.iter().any(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. }))) {
            world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
            world.tell(Message::Saved(job, Ok(())));
        }
    }
    world.pass(Time::from_secs(10));
    assert_eq!(world.fetches(), 0);
    assert!(world.has(|event| matches!(event, Event::Paused { .. })));
    assert!(!world.has(|event| matches!(event, Event::Resumed { .. })));
}

/// Each file fails once.
#[test]
fn what_waited_for_a_host_in_trouble_goes_on_once_that_brings_something() {
    for retry_after in [None, Some(Time::from_secs(1))] {
        let ended = end_of_files_that_fail_once(40, retry_after);
        // One by one, the retries alone would take fifty seconds.
        assert!(ended < Time::from_secs(20), "{ended:?} with {retry_after:?}");
    }
}

/// When all files of a host have come that refuses each once.
fn end_of_files_that_fail_once(files: u64, retry_after: Option<Time>) -> Time {
    let mut world = World::new(|options| options.http.version = HttpVersion::Http1);
    for id in 0..files {
        world.add(id, &format!("http://h/{id}.bin"));
    }
    let mut failed = HashSet::new();
    let mut came = 0;
    while came < files && world.now < Time::from_secs(60) {
        let is_prepare = |effect: &Effect| match effect {
            Effect::Open(OpenRequest::Prepare { job, .. }) => Some(*job),
            _ => None,
        };
        while let Some(job) = world.effects.iter().find_map(is_prepare) {
            world.prepare(job, Prepared::default());
        }
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            if failed.insert(fetch.job) {
                let error = Error::new(ErrorKind::Status(503), "busy");
                world.end(fetch.transfer, End::Failed { error, retry_after }, false);
                continue;
            }
            let content = vec![bytes::Bytes::from_static(b"hello")];
            world.tell(Message::Answered(fetch.transfer, head(5), Some(content)));
            world.end(fetch.transfer, End::Complete, false);
            world.tell(Message::Stored(fetch.job, Ok(published(5))));
            came += 1;
        }
        world.pass(Time::from_millis(100));
    }
    assert_eq!(came, files);
    world.now
}

/// A server that prepares each file for its second request.
#[test]
fn files_that_waited_as_they_were_told_are_requested_again_before_all_others_were() {
    let ended = end_of_files_that_fail_once(120, Some(Time::from_secs(2)));
    assert!(ended < Time::from_secs(60), "{ended:?}");
}

/// A host that redirects each file, at first to a place that serves nobody.
#[test]
fn after_a_dead_end_the_host_that_redirects_is_asked_again() {
    let mut world = World::new(|options| options.http.version = HttpVersion::Http1);
    let job = world.add(0, "http://balancer/a");
    world.prepare(job, Prepared::default());
    let mut asked = Vec::new();
    while asked.len() < 6 && world.now < Time::from_secs(60) {
        world.pass(Time::from_millis(100));
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            asked.push(fetch.origin.host.to_string());
            let to = if asked.len() < 4 { "http://dead/a" } else { "http://alive/a" };
            match &*fetch.origin.host {
                "balancer" => {
                    let redirect = Redirect { status: 302, location: Some(to.to_owned()), ..Redirect::default() };
                    world.end(fetch.transfer, End::Redirect(redirect), true);
                }
                "dead" => world.end(fetch.transfer, broken(), false),
                _ => {
                    let content = vec![bytes::Bytes::from_static(b"hello")];
                    world.tell(Message::Answered(fetch.transfer, head(5), Some(content)));
                    world.end(fetch.transfer, End::Complete, false);
                }
            }
        }
    }
    assert_eq!(asked, ["balancer", "dead", "balancer", "dead", "balancer", "alive"]);
}

#[test]
fn a_first_source_that_drips_gives_way_to_a_mirror() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = JobId(0);
    let spec = JobSpec::new("http://drips/a".parse().unwrap()).mirror("http://mirror/a".parse().unwrap());
    world.tell(Message::Command(Command::Add(job, Box::new(spec))));
    let probe = world.begin_large(job, 8 * MIB);
    let mut asked = Vec::new();
    for second in 1..10 {
        probe.piece.advance(second * 100);
        world.pass(Time::from_secs(1));
        if world.effects.iter().any(|effect| matches!(effect, Effect::Work(_, WorkRequest::Drop(_)))) {
            world.effects.retain(|effect| !matches!(effect, Effect::Work(_, WorkRequest::Drop(_))));
            world.end(probe.transfer, End::Dropped, false);
        }
        while world.fetches() > 0 {
            asked.push((second, world.take_fetch().origin.host.to_string()));
        }
    }
    assert_eq!(asked.last(), Some(&(5, "mirror".to_owned())), "{asked:?}");
}

#[test]
fn a_handshake_that_fails_once_fails_no_file() {
    let mut world = World::new(|_| {});
    let job = world.add(0, "https://h/a");
    world.prepare(job, Prepared::default());
    let fails = |world: &mut World| {
        let fetch = world.take_fetch();
        let error = Error::new(ErrorKind::Tls, "what answers does not speak TLS");
        world.end(fetch.transfer, End::Failed { error, retry_after: None }, false);
        world.pass(Time::from_secs(5));
    };
    fails(&mut world);
    assert_eq!(world.fetches(), 1, "it is asked once more");
    fails(&mut world);
    assert_eq!(world.fetches(), 0);
    assert!(world.has(|event| matches!(event, Event::Failed { .. })));
}

#[test]
fn a_wrong_digest_stays_known_however_often_the_data_is_written_down() {
    let mut world = World::new(|_| {});
    let job = world.add(0, "http://h/a");
    let left = crate::journal::Journal { verified: crate::journal::Verified::Failed, ..left_of("http://h/a") };
    world.prepare(job, Prepared { partial: Some(left), has_part: true, ..Prepared::default() });
    assert_eq!(world.core.jobs[&job].journal().verified, crate::journal::Verified::Failed);
}
