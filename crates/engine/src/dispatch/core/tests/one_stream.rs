//! A range that fails for good, where one stream of the whole file is left to try.

use super::*;
use crate::evidence::{Strength, Verdict};

fn world(retries: u32) -> World {
    World::new(|options| {
        options.connections = Some(2);
        options.http.retries = retries;
    })
}

/// A file in pieces that arrive, except the one that this returns.
fn in_pieces(world: &mut World) -> (JobId, Box<Fetch>) {
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    let trial = world.take_fetch();
    world.tell(Message::Connected(trial.slot, Protocol::Http1));
    world.tell(Message::Proven(trial.transfer, head(64 * MIB)));
    world.complete(&probe);
    (job, trial)
}

fn other_version() -> End {
    End::NotJoined { head: head(64 * MIB), verdict: Verdict::Different(Strength::Strong) }
}

/// Fails every request until the whole file is requested; returns that request.
fn fail_all(world: &mut World, end: impl Fn() -> End) -> Box<Fetch> {
    let mut last = None;
    for _ in 0..60 {
        world.pass(Time::from_secs(40));
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            if matches!(fetch.kind, FetchKind::Probe) {
                return fetch;
            }
            world.end(fetch.transfer, end(), false);
            last = Some(fetch);
        }
    }
    panic!("the last of what was asked for was {last:?}");
}

#[test]
fn a_piece_that_never_gets_its_version_is_left_to_one_stream() {
    let mut world = world(2);
    let (_, piece) = in_pieces(&mut world);
    let start = piece.piece.start();
    world.end(piece.transfer, other_version(), false);
    // In between, other responses are of the version of the existing data.
    let whole = (0..60).find_map(|_| {
        world.pass(Time::from_secs(2));
        let mut asked: Vec<_> = (0..world.fetches()).map(|_| world.take_fetch()).collect();
        asked.sort_by_key(|fetch| fetch.piece.start() == start);
        for fetch in asked {
            match fetch.kind {
                FetchKind::Probe => return Some(fetch),
                _ if fetch.piece.start() == start => world.end(fetch.transfer, other_version(), false),
                _ => {
                    world.tell(Message::Proven(fetch.transfer, head(64 * MIB)));
                    fetch.piece.advance(fetch.piece.start() + MIB / 2);
                    world.end(fetch.transfer, broken(), false);
                }
            }
        }
        None
    });
    assert!(whole.is_some(), "{:#?}", world.events);
    assert!(!world.has(|event| matches!(event, Event::Failed { .. } | Event::Restarted { .. })));
}

#[test]
fn pieces_that_are_refused_for_good_are_left_to_one_stream_that_writes_over() {
    for kind in [ErrorKind::Status(403), ErrorKind::Status(404), ErrorKind::Status(503), ErrorKind::Tls] {
        let error = || End::Failed { error: Error::new(kind, "no"), retry_after: None };
        let mut world = world(2);
        let (_, piece) = in_pieces(&mut world);
        world.end(piece.transfer, error(), false);
        let whole = fail_all(&mut world, error);
        world.tell(Message::Answered(whole.transfer, head(64 * MIB), None));
        world.take(|effect| matches!(effect, Effect::Work(_, WorkRequest::Grant { .. })).then_some(()));
        assert!(
            !world.effects.iter().any(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_)))),
            "{kind:?}: nothing is cut off"
        );
        assert!(!world.has(|event| matches!(event, Event::Failed { .. } | Event::Restarted { .. })));
    }
}

#[test]
fn what_cannot_be_joined_is_not_begun_again_because_its_range_fails() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    world.prepare(job, Prepared::default());
    let probe = world.take_fetch();
    world.tell(Message::Connected(probe.slot, Protocol::Http1));
    probe.piece.shorten(64 * MIB);
    let mut weak = head(64 * MIB);
    let mut headers = http::HeaderMap::new();
    headers.insert("etag", "W/\"v1\"".parse().unwrap());
    weak.evidence = Evidence::from_headers(&headers, Some(64 * MIB));
    world.tell(Message::Answered(probe.transfer, weak, None));
    world.take(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))).then_some(()));
    world.tell(Message::Opened(job, Ok(None)));
    probe.piece.advance(10 * MIB);
    world.end(probe.transfer, broken(), false);
    for _ in 0..60 {
        world.pass(Time::from_secs(40));
        while world.fetches() > 0 {
            let fetch = world.take_fetch();
            assert!(!matches!(fetch.kind, FetchKind::Probe));
            world.end(fetch.transfer, broken(), false);
        }
    }
    world.tell(Message::Saved(job, Ok(())));
    assert!(world.has(|event| matches!(event, Event::Failed { .. })));
}

#[test]
fn a_last_resort_that_is_of_another_version_leaves_what_came() {
    let mut world = world(2);
    let (_, piece) = in_pieces(&mut world);
    world.end(piece.transfer, broken(), false);
    let whole = fail_all(&mut world, broken);
    let mut other = head(64 * MIB);
    other.evidence = evidence("v2", 64 * MIB);
    world.tell(Message::Answered(whole.transfer, other, None));
    world.end(whole.transfer, End::Dropped, false);
    assert!(!world.has(|event| matches!(event, Event::Restarted { .. })));
    assert!(!world.effects.iter().any(|effect| matches!(
        effect,
        Effect::Open(OpenRequest::Open(_)) | Effect::Work(_, WorkRequest::Grant { .. })
    )));
}

#[test]
fn one_stream_is_tried_once_and_without_retries_not_at_all() {
    for (retries, wholes) in [(0, 0), (2, 1)] {
        let mut world = world(retries);
        let (_, piece) = in_pieces(&mut world);
        world.end(piece.transfer, broken(), false);
        let mut asked = 0;
        for _ in 0..60 {
            world.pass(Time::from_secs(40));
            while world.fetches() > 0 {
                let fetch = world.take_fetch();
                asked += usize::from(matches!(fetch.kind, FetchKind::Probe));
                world.end(fetch.transfer, broken(), false);
            }
        }
        assert_eq!(asked, wholes, "{retries} retries");
        world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    }
}

#[test]
fn a_last_resort_from_another_place_with_the_same_tag_is_compared_first() {
    let at = |url: &str| Some(crate::evidence::Place::of(&url.parse().unwrap(), true));
    let mut world = world(2);
    let (job, piece) = in_pieces(&mut world);
    world.core.jobs.get_mut(&job).unwrap().content.held.place = at("http://h/a.bin");
    world.end(piece.transfer, broken(), false);
    let whole = fail_all(&mut world, broken);
    let mut elsewhere = head(64 * MIB);
    elsewhere.evidence.place = at("http://h/b.bin");
    world.tell(Message::Answered(whole.transfer, elsewhere, None));
    world.end(whole.transfer, End::Dropped, false);
    let sample = world.take_fetch();
    assert!(matches!(sample.kind, FetchKind::Sample { .. }), "{:?}", sample.kind);
    assert!(!world.has(|event| matches!(event, Event::Failed { .. } | Event::Restarted { .. })));
}
