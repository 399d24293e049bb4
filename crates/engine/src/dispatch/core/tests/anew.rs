//! What restarts a file, and what does not.

use super::*;
use crate::message::Shape;

const RETRY: Time = Time::from_secs(40);

/// A file whose first stream broke at 10 of 64 MiB.
fn broken_off(world: &mut World) -> JobId {
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.end(probe.transfer, broken(), false);
    world.pass(RETRY);
    job
}

/// A file with its first stream and one range in flight, and more requested.
fn in_pieces() -> (World, JobId, Box<Fetch>, Box<Fetch>) {
    let mut world = World::new(|options| options.connections = Some(4));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    let trial = world.take_fetch();
    world.tell(Message::Connected(trial.slot, Protocol::Http1));
    world.tell(Message::Proven(trial.transfer, head(64 * MIB)));
    (world, job, probe, trial)
}

/// The response of a maintenance page to a range: 22 bytes, and no version.
fn stand_in() -> End {
    End::NotRange(stand_in_head())
}

fn stand_in_head() -> Box<Head> {
    let evidence = Evidence { total_bytes: Some(22), ..Evidence::default() };
    Box::new(Head { shape: Shape::NoSuchRange, total_bytes: Some(22), evidence, ..*head(22) })
}

fn has_begun_again(world: &World) -> bool {
    world.has(|event| matches!(event, Event::Restarted { .. }))
}

/// Two responses report another version, and progress is saved.
fn begin_again(world: &mut World, job: JobId) -> Box<Fetch> {
    for _ in 0..2 {
        let again = world.take_fetch();
        world.end(again.transfer, End::NotRange(other_head("v2")), false);
        world.pass(RETRY);
    }
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    world.tell(Message::Saved(job, Ok(())));
    assert!(has_begun_again(world));
    world.pass(RETRY);
    let probe = world.take_fetch();
    assert!(matches!(probe.kind, FetchKind::Probe));
    probe
}

#[test]
fn answers_without_a_version_replace_nothing_however_many_pieces_get_them() {
    let (mut world, job, probe, trial) = in_pieces();
    probe.piece.advance(10 * MIB);
    world.end(probe.transfer, broken(), false);
    let mut running = vec![trial];
    for _ in 0..60 {
        running.extend((0..world.fetches()).map(|_| world.take_fetch()));
        for fetch in running.drain(..) {
            let end = match fetch.kind {
                FetchKind::Probe => {
                    let page = Head { shape: Shape::Whole, ..*stand_in_head() };
                    world.tell(Message::Answered(fetch.transfer, Box::new(page), None));
                    End::Dropped
                }
                _ => stand_in(),
            };
            world.end(fetch.transfer, end, false);
        }
        world.pass(RETRY);
    }
    assert!(!has_begun_again(&world), "{:#?}", world.events);
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    world.tell(Message::Saved(job, Ok(())));
    world
        .take(|effect| matches!(effect, Effect::Commit(CommitRequest::Release { fate: Fate::Kept, .. })).then_some(()));
}

#[test]
fn answers_at_one_time_count_as_one() {
    let (mut world, _, probe, _trial) = in_pieces();
    let running: Vec<_> = (0..world.fetches()).map(|_| world.take_fetch()).collect();
    assert!(running.len() > 1);
    for fetch in running {
        world.end(fetch.transfer, End::NotRange(other_head("v2")), false);
    }
    assert!(!has_begun_again(&world));
    world.end(probe.transfer, broken(), false);
}

#[test]
fn what_was_begun_is_gone_on_with_if_its_version_is_served_again() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = broken_off(&mut world);
    let probe = begin_again(&mut world, job);
    world.tell(Message::Answered(probe.transfer, head(64 * MIB), None));
    world.end(probe.transfer, End::Dropped, false);
    let next = world.take_fetch();
    assert!(matches!(next.kind, FetchKind::Piece { range, .. } if range.start == 10 * MIB), "{:?}", next.kind);
    assert!(
        !world.effects.iter().any(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_)))),
        "nothing is replaced"
    );
}

#[test]
fn what_tells_no_version_does_not_take_the_place_of_what_was_begun() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = broken_off(&mut world);
    let mut probe = begin_again(&mut world, job);
    for _ in 0..3 {
        let evidence = Evidence { total_bytes: Some(22), ..Evidence::default() };
        let silent = Box::new(Head { total_bytes: Some(22), evidence, ..*head(22) });
        world.tell(Message::Answered(probe.transfer, silent, Some(vec![bytes::Bytes::from_static(&[b'x'; 22])])));
        world.end(probe.transfer, End::Dropped, false);
        world.pass(RETRY);
        if world.fetches() > 0 {
            probe = world.take_fetch();
        }
    }
    assert!(
        !world.effects.iter().any(|effect| matches!(
            effect,
            Effect::Open(OpenRequest::Open(_)) | Effect::Commit(CommitRequest::Store(_))
        ))
    );
    assert!(world.has(|event| matches!(event, Event::Failed { .. })));
    world
        .take(|effect| matches!(effect, Effect::Commit(CommitRequest::Release { fate: Fate::Kept, .. })).then_some(()));
}
