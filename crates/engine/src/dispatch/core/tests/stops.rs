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
