//! What an earlier run has left for another URL, when the source changes or the file is paused.

use super::*;
use crate::http::origin::Origin;
use crate::storage::{Stat, StatKind};

const LEFT: &str = "http://x/v1/disk.img";

fn left_elsewhere() -> Prepared {
    Prepared { partial: Some(left_of(LEFT)), has_part: true, ..Prepared::default() }
}

fn of_nobody(mirrors: &[&str]) -> JobSpec {
    let spec = JobSpec::new("http://y/v2/disk.img".parse().unwrap());
    mirrors.iter().fold(spec, |spec, mirror| spec.mirror(mirror.parse().unwrap()))
}

fn is_probe(fetch: &Fetch) -> bool {
    matches!(fetch.kind, FetchKind::Probe)
}

fn add(world: &mut World, spec: JobSpec) -> JobId {
    world.tell(Message::Command(Command::Add(JobId(1), Box::new(spec))));
    JobId(1)
}

#[test]
fn a_mirror_gets_no_more_of_a_foreign_file_than_the_first_source() {
    let mut world = World::new(|_| {});
    let job = add(&mut world, of_nobody(&["http://z/v2/disk.img"]));
    world.prepare(job, left_elsewhere());
    let first = world.take_fetch();
    assert!(is_probe(&first) && *first.origin.host == *"y");
    let error = Error::new(ErrorKind::Status(404), "the server answered 404 Not Found");
    world.end(first.transfer, End::Failed { error, retry_after: None }, true);
    let next = world.take_fetch();
    assert!(is_probe(&next) && *next.origin.host == *"z", "{:?}", next.kind);
    world.tell(Message::Answered(next.transfer, other_head("v2"), None));
    world.end(next.transfer, End::Dropped, false);
    let failed = |event: &Event| matches!(event, Event::Failed { error, .. } if error.kind == ErrorKind::NameTaken);
    assert!(world.has(failed), "{:#?}", world.events);
    let is_kept = |effect: &Effect| match effect {
        Effect::Commit(CommitRequest::Release { fate, .. }) => Some(matches!(fate, Fate::Kept)),
        _ => None,
    };
    assert!(world.take(is_kept));
}

#[test]
fn a_pause_makes_no_foreign_file_our_own() {
    for pauses_while_preparing in [true, false] {
        let mut world = World::new(|_| {});
        let job = add(&mut world, of_nobody(&[]));
        if pauses_while_preparing {
            world.tell(Message::Command(Command::Pause(job)));
            world.prepare(job, left_elsewhere());
        } else {
            world.prepare(job, left_elsewhere());
            let first = world.take_fetch();
            world.tell(Message::Command(Command::Pause(job)));
            world.end(first.transfer, End::Dropped, false);
        }
        assert!(world.has(|event| matches!(event, Event::Paused { .. })));
        world.tell(Message::Command(Command::Resume(job)));
        let again = world.take_fetch();
        assert!(is_probe(&again), "its response decides, and not {:?}", again.kind);
    }
}

#[test]
fn a_foreign_file_stays_where_the_existing_one_is_right() {
    let mut world = World::new(|_| {});
    let sum: crate::checksum::Checksum = format!("sha-256={}", "ab".repeat(32)).parse().unwrap();
    let job = add(&mut world, of_nobody(&[]).checksum(sum));
    let (kind, modified) = (StatKind::File, UNIX_EPOCH);
    let stat = Stat { kind, len_bytes: 5, modified, rounds_times: false, owner: 0, links: 1, file: None };
    let existing = crate::message::Existing { stat, note: None };
    world.prepare(job, Prepared { existing: Some(existing), ..left_elsewhere() });
    let asks =
        |effect: &Effect| matches!(effect, Effect::Commit(CommitRequest::Digest { of_final: true, .. })).then_some(());
    world.take(asks);
    world.tell(Message::Digested(job, Ok(vec![0xab; 32])));
    assert!(world.has(|event| matches!(event, Event::Finished { how: How::ThereByDigest, .. })));
    let fate = |effect: &Effect| match effect {
        Effect::Commit(CommitRequest::Release { fate, .. }) => Some(matches!(fate, Fate::Kept)),
        _ => None,
    };
    assert!(world.take(fate));
}

/// A body without a length, of a version, from a server without ranges.
#[test]
fn a_pause_before_a_body_without_ranges_starts_over_gives_up_nothing_for_one_answer() {
    let mut world = World::new(|_| {});
    let job = world.add(1, "http://h/a.bin");
    world.prepare(job, Prepared::default());
    let probe = world.take_fetch();
    world.tell(Message::Connected(probe.slot, Protocol::Http1));
    let unknown = |tag: &str| {
        let evidence = Evidence { total_bytes: None, ..evidence(tag, 0) };
        Box::new(Head { total_bytes: None, refuses_ranges: true, evidence, ..*head(0) })
    };
    world.tell(Message::Answered(probe.transfer, unknown("a"), None));
    world.take(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))).then_some(()));
    world.tell(Message::Opened(job, Ok(None)));
    probe.piece.advance(300_000);
    world.tell(Message::Command(Command::Pause(job)));
    world.end(probe.transfer, End::Dropped, false);
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    world.tell(Message::Saved(job, Ok(())));
    world.tell(Message::Command(Command::Resume(job)));
    let again = world.take_fetch();
    if is_probe(&again) {
        world.tell(Message::Answered(again.transfer, unknown("b"), None));
    }
    let opens = world.effects.iter().any(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))));
    assert!(!opens, "one answer of another version empties nothing");
}

#[test]
fn what_was_left_under_another_name_is_not_the_begun_file_of_the_name_that_the_server_gives() {
    let mut world = World::new(|_| {});
    let job = add(&mut world, of_nobody(&[]));
    world.prepare(job, left_elsewhere());
    let probe = world.take_fetch();
    world.tell(Message::Connected(probe.slot, Protocol::Http1));
    let named = Box::new(Head { file_name: Some("b.iso".to_owned()), ..*other_head("v2") });
    world.tell(Message::Answered(probe.transfer, named, None));
    world.prepare(job, Prepared::default());
    world.take(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))).then_some(()));
    world.tell(Message::Opened(job, Ok(None)));
    world.tell(Message::Command(Command::Pause(job)));
    world.end(probe.transfer, End::Dropped, false);
    let saved = world.effects.iter().find_map(|effect| match effect {
        Effect::Commit(CommitRequest::Save { journal, .. }) => Some(journal.clone()),
        _ => None,
    });
    assert!(saved.is_none_or(|journal| journal.done.is_empty()), "nothing of it has come");
    assert!(world.has(|event| matches!(event, Event::Paused { .. })));
}

/// The first source is given up before the file is begun again, and the mirror goes on with what is there.
#[test]
fn a_file_that_was_put_behind_others_is_looked_at_again_before_its_mirror_is_asked() {
    let mut world = World::new(|_| {});
    let origin = |url: &str| Origin::of(&url.parse().unwrap()).unwrap();
    (0..40).for_each(|_| world.core.hosts.failed(&origin("http://y/"), Time::ZERO));
    world.now = Time::from_secs(31);
    // That one is in doubt too.
    world.core.hosts.failed(&origin("http://z/"), world.now);
    let spec = Box::new(of_nobody(&["http://z/v2/disk.img"]));
    world.core.step(world.now, Message::Command(Command::Add(JobId(1), spec)));
    let error = Error::new(ErrorKind::Broken, "it broke");
    world.core.jobs.get_mut(&JobId(1)).unwrap().tries.put_behind = Some(error);
    world.tell(Message::Tick);
    assert!(world.has(|event| matches!(event, Event::SourceDropped { .. })));
    world.prepare(JobId(1), Prepared::default());
    assert_eq!(*world.take_fetch().origin.host, *"z");
}

/// A copy of a partial file that begins with zeros, as many images do, in a world where all its samples are compared and
/// only the first bytes may differ. Returns the request that follows.
fn compare_copy(is_same: bool) -> (World, JobId, Box<Fetch>) {
    let mut world = World::new(|_| {});
    let job = world.add(1, "http://h/a.img");
    let gap = ByteRange::new(0, 32 << 10);
    let mut left = left_of("http://h/a.img");
    left.identity.evidence = Evidence { total_bytes: Some(64 * MIB), ..Evidence::default() };
    left.done = [ByteRange::new(gap.end, 30 * MIB)].into_iter().collect();
    world.prepare(job, Prepared { partial: Some(left), has_part: true, is_moved: true, ..Prepared::default() });
    let mut compared = Vec::new();
    let next = loop {
        while world.fetches() == 0 {
            world.pass(Time::from_millis(500));
            assert!(world.now < Time::from_secs(20), "is_same {is_same}: {compared:?}, {:?}", world.effects);
        }
        let fetch = world.take_fetch();
        let FetchKind::Sample { range, .. } = fetch.kind else { break fetch };
        world.tell(Message::Connected(fetch.slot, Protocol::Http1));
        world.tell(Message::Identified(fetch.transfer, nameless()));
        world.end(fetch.transfer, End::Sampled { same: range != gap || is_same }, true);
        compared.push(range);
    };
    assert_eq!(compared.last(), Some(&gap));
    (world, job, next)
}

fn nameless() -> Box<Head> {
    let evidence = Evidence { total_bytes: Some(64 * MIB), ..Evidence::default() };
    Box::new(Head { evidence, ..*head(64 * MIB) })
}

/// Nobody knows whether the first bytes were written.
#[test]
fn doubted_first_bytes_are_compared_where_nothing_stands_before_them() {
    for is_same in [true, false] {
        let (_, _, next) = compare_copy(is_same);
        let begins_at_zero = next.piece.start() == 0;
        assert_eq!(begins_at_zero, !is_same, "{:?}", next.kind);
    }
}

/// The opener and the committer would write one journal, and the save's claims what the opener empties.
#[test]
fn a_file_begins_again_once_the_save_before_has_ended() {
    let failed = || Err(Error::new(ErrorKind::Storage, "cannot save"));
    for result in [Ok(()), failed()] {
        let (mut world, job, probe) = compare_copy(false);
        world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
        world.tell(Message::Connected(probe.slot, Protocol::Http1));
        world.tell(Message::Answered(probe.transfer, nameless(), None));
        let is_open = |effect: &Effect| matches!(effect, Effect::Open(OpenRequest::Open(_)));
        assert!(!world.effects.iter().any(is_open), "it is still being saved");
        world.tell(Message::Saved(job, result));
        world.take(|effect| is_open(effect).then_some(()));
        world.tell(Message::Opened(job, Ok(None)));
        world.take(|effect| matches!(effect, Effect::Work(_, WorkRequest::Grant { .. })).then_some(()));
        assert!(!world.has(|event| matches!(event, Event::Failed { .. })));
    }
}
