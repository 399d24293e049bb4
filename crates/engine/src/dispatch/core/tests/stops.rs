//! Stops, pauses and resumes.

use super::*;

#[test]
fn a_stop_saves_and_then_ends() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.tell(Message::Stop);
    assert!(!world.core.is_finished());
    world.end(probe.transfer, End::Dropped, false);
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    world.tell(Message::Saved(job, Ok(())));
    assert!(world.core.is_finished());
    let kept = world.events.iter().find_map(|event| match event {
        Event::Summary(summary) => Some((summary.kept_bytes, summary.unfinished_bytes, summary.interrupted)),
        _ => None,
    });
    assert_eq!(kept, Some((10 * MIB, 64 * MIB, true)));
}

#[test]
fn a_stop_does_not_wait_for_a_disk_that_hangs() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.tell(Message::Stop);
    world.end(probe.transfer, End::Dropped, false);
    world.pass(Time::from_millis(1600));
    assert!(world.core.is_finished());
}

#[test]
fn a_pause_frees_the_connection_and_a_resume_goes_on() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.tell(Message::Command(Command::Pause(job)));
    world.take(|effect| matches!(effect, Effect::Work(_, WorkRequest::Drop(_))).then_some(()));
    world.end(probe.transfer, End::Dropped, false);
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    world.tell(Message::Saved(job, Ok(())));
    assert!(world.has(|event| matches!(event, Event::Paused { .. })));
    world.tell(Message::Command(Command::Close));
    assert!(!world.core.is_finished(), "a paused file is not an end");
    world.tell(Message::Command(Command::Resume(job)));
    let again = world.take_fetch();
    assert!(matches!(again.kind, FetchKind::Piece { range, .. } if range.start == 10 * MIB));
}

#[test]
fn a_file_that_is_paused_while_it_is_verified_is_verified_again() {
    let asks_for_digest =
        |effect: &Effect| matches!(effect, Effect::Commit(CommitRequest::Digest { of_final: false, .. })).then_some(());
    let mut world = World::new(|options| options.connections = Some(1));
    let job = JobId(1);
    let checksum = format!("sha-256={}", "ab".repeat(32)).parse().unwrap();
    let spec = JobSpec::new("http://h/a.bin".parse().unwrap()).checksum(checksum);
    world.tell(Message::Command(Command::Add(job, Box::new(spec))));
    let probe = world.begin_large(job, 64 * MIB);
    world.complete(&probe);
    world.take(asks_for_digest);
    world.tell(Message::Command(Command::Pause(job)));
    world.tell(Message::Digested(job, Ok(vec![0xab; 32])));
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    world.tell(Message::Saved(job, Ok(())));
    assert!(world.has(|event| matches!(event, Event::Paused { .. })));
    world.tell(Message::Command(Command::Close));
    assert!(!world.core.is_finished(), "a paused file is not an end");
    world.tell(Message::Command(Command::Resume(job)));
    world.take(asks_for_digest);
    assert_eq!(world.fetches(), 0, "nothing is missing");
    world.tell(Message::Digested(job, Ok(vec![0xab; 32])));
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Publish { .. })).then_some(()));
    world.tell(Message::Published(job, Ok(published(64 * MIB))));
    assert!(world.has(|event| matches!(event, Event::Finished { how: How::Fetched, .. })));
    assert!(world.core.is_finished());
}

#[test]
fn resuming_all_takes_back_each_pause() {
    let mut world = World::new(|_| {});
    let job = world.add(1, "http://h/a.bin");
    world.prepare(job, Prepared { is_presumed: true, ..Prepared::default() });
    let probe = world.take_fetch();
    let content = vec![bytes::Bytes::from_static(b"hello")];
    world.tell(Message::Answered(probe.transfer, head(5), Some(content)));
    world.end(probe.transfer, End::Complete, true);
    world.tell(Message::Command(Command::Pause(job)));
    world.tell(Message::Command(Command::ResumeAll));
    // Another program has taken the name: the file is looked at again.
    world.tell(Message::Stored(job, Err(Error::new(ErrorKind::NameTaken, "another file got this name meanwhile"))));
    world.prepare(job, Prepared::default());
    assert!(!world.has(|event| matches!(event, Event::Paused { .. })));
    assert_eq!(world.fetches(), 1);
}

/// The host that a redirect of the closing check leads to has no connection left.
#[test]
fn a_closing_check_waits_for_the_host_that_it_is_sent_to() {
    let mut world = World::new(|options| options.max_per_host = 1);
    let other = world.add(2, "http://busy/other.bin");
    let _running = world.begin_large(other, 64 * MIB);
    let job = world.add(1, "http://h/a");
    let whole =
        crate::journal::Journal { done: [ByteRange::new(0, 64 * MIB)].into_iter().collect(), ..left_of("http://h/a") };
    world.prepare(job, Prepared { partial: Some(whole), has_part: true, ..Prepared::default() });
    let mut checks = 0;
    while world.now < Time::from_secs(5) {
        while world.fetches() > 0 {
            let check = world.take_fetch();
            assert!(matches!(check.kind, FetchKind::Check { .. }), "{:?}", check.kind);
            world.tell(Message::Connected(check.slot, Protocol::Http1));
            checks += 1;
            assert!(checks < 50, "at {:?}", world.now);
            let location = Some("http://busy/a".to_owned());
            world.end(check.transfer, End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
        }
        world.pass(Time::from_millis(50));
    }
    assert_eq!(checks, 1, "where it is sent to is known");
}

/// Ends one slow response with this head, and lets the closing check be answered by these versions.
fn closes_with(first: Box<Head>, answers: [Box<Head>; 2]) -> World {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_of(job, first);
    world.pass(Time::from_secs(5));
    world.complete(&probe);
    for answer in answers {
        let check = world.take_fetch();
        assert!(matches!(check.kind, FetchKind::Check { .. }), "{:?}", check.kind);
        world.end(check.transfer, End::Checked(Some(answer)), true);
    }
    world
}

#[test]
fn one_response_of_a_file_that_was_replaced_meanwhile_may_be_of_two_versions() {
    let mut world = closes_with(other_head("v1"), [other_head("v2"), other_head("v2")]);
    assert!(!world.effects.iter().any(is_publish), "{:?}", world.effects);
    world.tell(Message::Saved(JobId(1), Ok(())));
    assert!(world.has(|event| matches!(event, Event::Restarted { .. })));
}

#[test]
fn a_server_that_names_another_version_each_time_says_nothing_of_one_response() {
    let world = closes_with(other_head("v1"), [other_head("v2"), other_head("v3")]);
    assert!(world.effects.iter().any(is_publish), "{:?}", world.effects);
    assert!(world.has(|event| matches!(event, Event::Warning { .. })));
}

#[test]
fn servers_that_have_a_tag_each_for_one_file_have_not_replaced_it() {
    let dated = |tag: &str| {
        let mut head = other_head(tag);
        head.evidence.last_modified = Some("Tue, 01 Jan 2019 00:00:00 GMT".to_owned());
        head
    };
    let world = closes_with(dated("v1"), [dated("v2"), dated("v2")]);
    assert!(world.effects.iter().any(is_publish), "{:?}", world.effects);
}

fn is_publish(effect: &Effect) -> bool {
    matches!(effect, Effect::Commit(CommitRequest::Publish { .. }))
}

/// The closing check of a whole file that an earlier run left gets these responses, each by its number.
fn checks_what_was_left(answer: impl Fn(usize) -> End) -> (World, usize) {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a");
    let whole =
        crate::journal::Journal { done: [ByteRange::new(0, 64 * MIB)].into_iter().collect(), ..left_of("http://h/a") };
    world.prepare(job, Prepared { partial: Some(whole), has_part: true, ..Prepared::default() });
    let mut checks = 0;
    while world.now < Time::from_secs(90) && !world.has(|event| matches!(event, Event::Failed { .. })) {
        while world.fetches() > 0 {
            let check = world.take_fetch();
            assert!(matches!(check.kind, FetchKind::Check { .. }), "{:?}", check.kind);
            world.end(check.transfer, answer(checks), true);
            checks += 1;
        }
        world.pass(Time::from_millis(50));
    }
    (world, checks)
}

#[test]
fn several_responses_whose_version_one_check_denies_are_not_published_without_a_second_one() {
    let refused = || End::Failed { error: Error::new(ErrorKind::Status(503), "503"), retry_after: None };
    let page = || {
        let mut page = other_head("v2");
        (page.evidence.is_html, page.is_page) = (true, true);
        End::Checked(Some(page))
    };
    let moved = || {
        let location = Some("ftp://h/a".to_owned());
        End::Redirect(Redirect { status: 302, location, ..Redirect::default() })
    };
    for unusable in [refused, page, moved] {
        let denied = || End::Checked(Some(other_head("v2")));
        let (world, checks) = checks_what_was_left(|number| if number == 0 { denied() } else { unusable() });
        assert!(!world.effects.iter().any(is_publish), "{:?}", world.effects);
        assert!(world.has(|event| matches!(event, Event::Failed { error, .. } if error.kind == ErrorKind::Changed)));
        assert!((3..20).contains(&checks), "{checks} checks");
    }
    // Nobody has denied it.
    let (world, _) = checks_what_was_left(|_| refused());
    assert!(world.effects.iter().any(is_publish), "{:?}", world.effects);
}
