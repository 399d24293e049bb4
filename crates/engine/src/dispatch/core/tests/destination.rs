//! Destinations that are not file systems.

use super::*;

/// A stream of a weak version that breaks off, and what is requested then.
fn after_a_break(reads_back: bool) -> FetchKind {
    let mut world = World::new(|options| options.connections = Some(1));
    world.core.write_to(Capabilities { reads_back, ..Capabilities::default() });
    let job = world.add(1, "http://h/a.bin");
    world.prepare(job, Prepared::default());
    let probe = world.take_fetch();
    world.tell(Message::Connected(probe.slot, Protocol::Http1));
    probe.piece.shorten(64 * MIB);
    let mut headers = http::HeaderMap::new();
    headers.insert("etag", "W/\"v1\"".parse().unwrap());
    let weak = Head { evidence: Evidence::from_headers(&headers, Some(64 * MIB)), ..*head(64 * MIB) };
    world.tell(Message::Answered(probe.transfer, Box::new(weak), None));
    world.take(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))).then_some(()));
    world.tell(Message::Opened(job, Ok(None)));
    world.take(|effect| matches!(effect, Effect::Work(_, WorkRequest::Grant { .. })).then_some(()));
    probe.piece.advance(10 * MIB);
    world.end(probe.transfer, broken(), false);
    (0..2).for_each(|_| world.pass(Time::from_secs(20)));
    world.take_fetch().kind
}

#[test]
fn what_cannot_be_read_back_is_not_resumed_by_what_overlaps() {
    let kind = after_a_break(true);
    assert!(matches!(kind, FetchKind::Piece { overlap_bytes: 1.., .. }), "{kind:?}");
    assert!(matches!(after_a_break(false), FetchKind::Probe));
}
