//! Hosts: caps, `Retry-After`, and hosts that fail everybody.

use super::*;
use crate::http::origin::Origin;
use crate::job::Profile;
use crate::options::ProxyChoice;

#[test]
fn retry_after_holds_the_file_and_uses_up_no_retries() {
    let mut world = World::new(|options| options.http.retries = 1);
    let job = world.add(1, "http://h/a.bin");
    world.prepare(job, Prepared::default());
    for _ in 0..3 {
        let probe = world.take_fetch();
        let error = Error::new(ErrorKind::Status(503), "the server answered 503 Service Unavailable");
        world.end(probe.transfer, End::Failed { error, retry_after: Some(Time::from_secs(7)) }, true);
        world.pass(Time::from_secs(6));
        assert_eq!(world.fetches(), 0);
        world.pass(Time::from_secs(2));
        assert_eq!(world.fetches(), 1);
    }
}

#[test]
fn caps_on_connections_are_exact() {
    let mut world = World::new(|options| {
        options.max_per_host = 3;
        options.max_connections = 5;
    });
    for id in 0..12 {
        let host = if id % 2 == 0 { "a" } else { "b" };
        let job = world.add(id, &format!("http://{host}/{id}.bin"));
        world.prepare(job, Prepared::default());
    }
    let fetches: Vec<_> = (0..world.fetches()).map(|_| world.take_fetch()).collect();
    assert_eq!(fetches.len(), 5);
    assert!(fetches.iter().filter(|fetch| *fetch.origin.host == *"a").count() <= 3);
    assert!(fetches.iter().filter(|fetch| *fetch.origin.host == *"b").count() <= 3);
}

#[test]
fn the_only_connection_to_a_host_is_shared_whatever_the_number_of_workers() {
    let mut world = World::new(|options| options.max_per_host = 1);
    for worker in 1..4 {
        world.tell(Message::WorkerAdded(worker));
    }
    for id in 0..4 {
        let job = world.add(id, &format!("https://h/{id}.bin"));
        world.prepare(job, Prepared::default());
    }
    let first = world.take_fetch();
    world.tell(Message::Connected(first.slot, Protocol::Http2));
    assert_eq!(world.fetches(), 3);
    for _ in 0..3 {
        assert_eq!(world.take_fetch().slot, first.slot);
    }
}

#[test]
fn a_host_that_answers_nobody_is_given_up_and_all_its_files_end() {
    let mut world = World::new(|_| {});
    for id in 0..100 {
        world.add(id, "http://h/a.bin?id");
    }
    world.tell(Message::Command(Command::Close));
    let mut requests = 0;
    while !world.core.is_finished() {
        assert!(world.now < Time::from_secs(300), "{:#?}", world.effects);
        prepare_all(&mut world);
        while world.fetches() > 0 {
            let probe = world.take_fetch();
            requests += 1;
            let error = Error::new(ErrorKind::Status(503), "the server answered 503 Service Unavailable");
            world.end(probe.transfer, End::Failed { error, retry_after: None }, true);
        }
        world.pass(Time::from_millis(200));
    }
    let failed = world.events.iter().filter(|event| matches!(event, Event::Failed { .. })).count();
    assert_eq!(failed, 100);
    // Each was tried, and the retries were spaced out for the whole host.
    assert!((100..100 + 60).contains(&requests), "{requests} requests");
}

#[test]
fn a_proxy_of_the_entries_own_that_serves_nobody_is_given_up_and_says_nothing_of_the_host() {
    let mut world = World::new(|_| {});
    let proxy = ProxyChoice::Use { url: "http://proxy:8080".parse().unwrap(), except: String::new() };
    for id in 0..100 {
        let mut spec = JobSpec::new(format!("https://h/{id}.bin").parse().unwrap());
        spec.options.proxy = Some(proxy.clone());
        world.tell(Message::Command(Command::Add(JobId(id), Box::new(spec))));
    }
    world.tell(Message::Command(Command::Close));
    let mut requests = 0;
    while !world.core.is_finished() {
        assert!(world.now < Time::from_secs(300), "{requests} requests");
        prepare_all(&mut world);
        while world.fetches() > 0 {
            let probe = world.take_fetch();
            requests += 1;
            let error = Error::new(ErrorKind::Proxy, "the proxy answered 504 Gateway Timeout").with_transient(true);
            world.end(probe.transfer, End::Failed { error, retry_after: None }, false);
        }
        let host = Origin::of(&"https://h/".parse().unwrap()).unwrap();
        assert!(!world.core.is_doubtful(&host, &Profile::default(), world.now), "other files of the host");
        world.pass(Time::from_millis(200));
    }
    assert!((100..100 + 60).contains(&requests), "{requests} requests");
}

#[test]
fn a_file_that_fails_once_is_asked_for_again_although_many_others_of_its_host_fail() {
    let mut world = World::new(|options| options.http.retries = 1);
    for id in 0..100 {
        world.add(id, &format!("http://h/{id}.bin"));
    }
    world.tell(Message::Command(Command::Close));
    let mut asked = [0; 100];
    while !world.core.is_finished() {
        assert!(world.now < Time::from_secs(600), "{:#?}", world.effects);
        prepare_all(&mut world);
        while world.fetches() > 0 {
            let probe = world.take_fetch();
            let number = probe.job.0 as usize;
            asked[number] += 1;
            let is_served = number >= 70 || number >= 60 && asked[number] > 1;
            if is_served {
                world.tell(Message::Connected(probe.slot, Protocol::Http1));
                world.tell(Message::Answered(probe.transfer, head(5), Some(vec![bytes::Bytes::from_static(b"12345")])));
                world.end(probe.transfer, End::Complete, true);
                let stored = Published { len_bytes: 5, modified: UNIX_EPOCH };
                world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Store(_))).then_some(()));
                world.tell(Message::Stored(probe.job, Ok(stored)));
                continue;
            }
            let error = Error::new(ErrorKind::Status(503), "the server answered 503 Service Unavailable");
            world.end(probe.transfer, End::Failed { error, retry_after: None }, true);
        }
        world.pass(Time::from_millis(200));
    }
    let failed: Vec<_> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Failed { job, .. } => Some(job.0),
            _ => None,
        })
        .collect();
    assert_eq!(failed.len(), 60);
    assert!(failed.iter().all(|number| *number < 60), "{failed:?}");
    assert!(asked.iter().all(|asked| *asked <= 3), "{asked:?}");
}

#[test]
fn a_host_waits_for_one_files_429_a_little_and_for_those_of_several_as_long_as_it_says() {
    for limited in [1, 3] {
        let mut world = World::new(|options| options.max_per_host = 1);
        for id in 0..5 {
            let job = world.add(id, &format!("http://h/{id}.bin"));
            world.prepare(job, Prepared::default());
        }
        for _ in 0..limited {
            let probe = world.take_fetch();
            let error = Error::new(ErrorKind::Status(429), "the server answered 429");
            world.end(probe.transfer, End::Failed { error, retry_after: Some(Time::from_secs(3600)) }, true);
            assert_eq!(world.fetches(), 0, "the host is left alone at first");
            for _ in 0..30 {
                world.pass(Time::from_secs(1));
            }
        }
        assert_eq!(world.fetches(), usize::from(limited == 1), "{limited}");
        world.pass(Time::from_secs(3600));
        assert_eq!(world.fetches(), 1);
    }
}

#[test]
fn a_file_does_not_wait_for_the_last_stream_of_a_connection_that_is_going() {
    let mut world = World::new(|_| {});
    for id in [1, 2] {
        let job = world.add(id, &format!("https://h/{id}.bin"));
        world.prepare(job, Prepared::default());
    }
    let long = world.take_fetch();
    assert_eq!(world.fetches(), 0, "the first connection says whether streams can share it");
    world.tell(Message::Connected(long.slot, Protocol::Http2));
    let short = world.take_fetch();
    assert_eq!(short.slot, long.slot);
    let content = vec![bytes::Bytes::from_static(b"hello")];
    world.tell(Message::Answered(short.transfer, head(5), Some(content)));
    world.end(short.transfer, End::Complete, false);
    // The long stream continues over a connection that takes no new streams.
    let third = world.add(3, "https://h/3.bin");
    world.prepare(third, Prepared::default());
    assert_eq!(world.fetches(), 1);
    assert_ne!(world.take_fetch().slot, long.slot);
}

/// The same first bytes again are nothing new.
#[test]
fn a_host_that_cuts_each_file_after_its_beginning_is_retried_slowly() {
    let mut world = World::new(|options| {
        options.http.retries = 1000;
        options.save_interval = Time::from_secs(3600);
    });
    let files = 30;
    for id in 0..files {
        world.add(id, &format!("http://h/{id}.bin"));
    }
    let mut requests = 0;
    while world.now < Time::from_secs(60) {
        prepare_all(&mut world);
        while world.fetches() > 0 {
            let probe = world.take_fetch();
            requests += 1;
            world.tell(Message::Connected(probe.slot, Protocol::Http1));
            let whole = Head { refuses_ranges: true, ..*head(MIB) };
            world.tell(Message::Answered(probe.transfer, Box::new(whole), None));
            if let Some(at) =
                world.effects.iter().position(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))))
            {
                world.effects.remove(at);
                world.tell(Message::Opened(probe.job, Ok(None)));
            }
            probe.piece.advance(5000);
            world.pass(Time::from_millis(150));
            world.end(probe.transfer, broken(), false);
        }
        world.pass(Time::from_millis(200));
    }
    assert!(requests <= files + 60, "{requests} requests within a minute");
}

/// Lets all jobs that are waiting for the disk go on.
fn prepare_all(world: &mut World) {
    let is_prepare = |effect: &Effect| matches!(effect, Effect::Open(OpenRequest::Prepare { .. }));
    while let Some(at) = world.effects.iter().position(is_prepare) {
        let Effect::Open(OpenRequest::Prepare { job, .. }) = world.effects.remove(at) else { unreachable!() };
        world.tell(Message::Prepared(job, Ok(Box::default())));
    }
}

/// Ends all requests that are under way as redirects of this host to itself; returns how many.
fn send_around(world: &mut World, number: &mut u32) -> u32 {
    let mut ended = 0;
    while world.fetches() > 0 {
        let fetch = world.take_fetch();
        *number += 1;
        ended += 1;
        let location = Some(format!("/{number}"));
        world.end(fetch.transfer, End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
    }
    ended
}

#[test]
fn a_host_that_sends_its_files_around_is_asked_no_more_often_than_one_that_fails() {
    let mut world = World::new(|_| {});
    for id in 0..100 {
        world.add(id, &format!("http://h/{id}.bin"));
    }
    world.tell(Message::Command(Command::Close));
    let (mut number, mut asked) = (0, 0);
    while !world.core.is_finished() {
        assert!(world.now < Time::from_secs(900), "{asked} requests");
        prepare_all(&mut world);
        asked += send_around(&mut world, &mut number);
        world.pass(Time::from_millis(200));
    }
    let failed = world.events.iter().filter(|event| matches!(event, Event::Failed { .. })).count();
    assert_eq!(failed, 100);
    // Each was asked for, and where it leads at least once; the rest are like retries.
    assert!((200..300 + 60).contains(&asked), "{asked} requests");
}

/// Most requests fail, and now and then there is a login page, which is no file.
#[test]
fn a_page_in_place_of_a_file_does_not_end_the_trouble_of_its_host() {
    const FILES: usize = 60;
    let mut world = World::new(|_| {});
    for id in 0..FILES as u64 {
        world.add(id, &format!("http://h/{id}.bin"));
    }
    let mut asked = 0;
    while world.now < Time::from_secs(25) {
        prepare_all(&mut world);
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            world.tell(Message::Connected(fetch.slot, Protocol::Http1));
            asked += 1;
            if asked % 8 == 0 {
                let evidence = Evidence { is_html: true, total_bytes: Some(27), ..Evidence::default() };
                let page = Head { is_page: true, total_bytes: Some(27), evidence, ..*head(27) };
                world.tell(Message::Answered(fetch.transfer, Box::new(page), Some(Vec::new())));
                world.end(fetch.transfer, End::Complete, true);
            } else {
                let error = Error::new(ErrorKind::Status(503), "503");
                world.end(fetch.transfer, End::Failed { error, retry_after: None }, true);
            }
        }
        world.pass(Time::from_millis(100));
    }
    assert!((FILES..FILES + 60).contains(&asked), "{asked} requests");
}

#[test]
fn files_that_arrive_after_redirects_make_nobody_wait() {
    let mut world = World::new(|_| {});
    for id in 0..30 {
        let job = world.add(id, &format!("http://h/{id}.bin"));
        world.prepare(job, Prepared::default());
        for step in 0..3 {
            let fetch = world.take_fetch();
            world.tell(Message::Connected(fetch.slot, Protocol::Http1));
            let location = Some(format!("/{step}/{id}.bin"));
            world.end(fetch.transfer, End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
        }
        let fetch = world.take_fetch();
        world.tell(Message::Answered(fetch.transfer, head(5), Some(vec![bytes::Bytes::from_static(b"hello")])));
        world.end(fetch.transfer, End::Complete, true);
        world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Store(_))).then_some(()));
        world.tell(Message::Stored(job, Ok(published(5))));
    }
}

/// Behind a redirector on the same host, which is asked slowly because much has failed there.
#[test]
fn a_piece_that_is_redirected_on_a_host_in_trouble_gets_where_it_leads() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/go");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(MIB);
    let host = Origin::of(&"http://h/".parse().unwrap()).unwrap();
    let now = world.now;
    (0..12).for_each(|_| world.core.hosts.failed(&host, now));
    (0..30).for_each(|_| world.core.hosts.counts_again(&host));
    let refused = Error::new(ErrorKind::Status(503), "the server answered 503").with_transient(true);
    world.core.slots.slows_down(&host, now);
    world.end(probe.transfer, End::Failed { error: refused, retry_after: None }, true);
    let mut asked = 0;
    while world.now < Time::from_secs(60) {
        world.pass(Time::from_millis(50));
        if world.fetches() == 0 {
            continue;
        }
        let fetch = world.take_fetch();
        if fetch.url.path() == "/get" {
            assert!(asked <= 2, "{asked} redirects");
            return;
        }
        asked += 1;
        world.tell(Message::Connected(fetch.slot, Protocol::Http1));
        let location = Some("/get?id=1".to_owned());
        world.end(fetch.transfer, End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
    }
    panic!("it was redirected {asked} times, and never got there");
}

#[test]
fn hosts_that_send_requests_to_each_other_are_asked_no_more_often_than_one_that_fails() {
    const FILES: u64 = 60;
    let mut world = World::new(|_| {});
    for id in 0..FILES {
        world.add(id, &format!("http://g/{id}.bin"));
    }
    let (mut number, mut asked) = (0, [0, 0]);
    while world.now < Time::from_secs(60) {
        prepare_all(&mut world);
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            number += 1;
            let is_first = *fetch.origin.host == *"g";
            asked[usize::from(!is_first)] += 1;
            let location = Some(format!("http://{}/{number}", if is_first { "h" } else { "g" }));
            world.end(fetch.transfer, End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
        }
        world.pass(Time::from_millis(200));
    }
    assert!(asked.iter().all(|asked| (FILES / 2..=2 * FILES).contains(asked)), "{asked:?}");
}
