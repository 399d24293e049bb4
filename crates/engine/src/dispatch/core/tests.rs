//! The core against a scripted world: messages in, effects out, no clock, no I/O.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::*;
use crate::JobSpec;
use crate::error::{Error, ErrorKind};
use crate::event::How;
use crate::evidence::Evidence;
use crate::message::Shape;
use crate::message::*;
use crate::name::NameRules;

mod anew;
mod destination;
mod hosts;
mod leads;
mod one_stream;
mod places;
mod races;
mod stops;
mod waits;

const MIB: u64 = 1 << 20;

struct World {
    core: Core,
    now: Time,
    effects: Vec<Effect>,
    events: Vec<Event>,
}

impl World {
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { dir: "out".into(), ..Options::default() };
        change(&mut options);
        let mut core = Core::new(&options, false, NameRules::default(), 1);
        core.step(Time::ZERO, Message::WorkerAdded(0));
        Self { core, now: Time::ZERO, effects: Vec::new(), events: Vec::new() }
    }

    fn add(&mut self, id: u64, url: &str) -> JobId {
        let job = JobId(id);
        let spec = JobSpec::new(url.parse().unwrap());
        self.tell(Message::Command(Command::Add(job, Box::new(spec))));
        job
    }

    fn tell(&mut self, message: Message) {
        self.core.step(self.now, message);
        let mut effects = Vec::new();
        self.core.decide(self.now, &mut effects);
        for effect in effects {
            match effect {
                Effect::Report(event) => self.events.push(event),
                other => self.effects.push(other),
            }
        }
    }

    fn pass(&mut self, time: Time) {
        self.now += time;
        self.tell(Message::Tick);
    }

    /// The next effect that fits.
    fn take<T>(&mut self, mut fits: impl FnMut(&Effect) -> Option<T>) -> T {
        let found = self.effects.iter().enumerate().find_map(|(at, effect)| Some((at, fits(effect)?)));
        let (at, value) = found.unwrap_or_else(|| panic!("no such effect among {:#?}", self.effects));
        self.effects.remove(at);
        value
    }

    fn take_fetch(&mut self) -> Box<Fetch> {
        let at = self.effects.iter().position(|effect| matches!(effect, Effect::Work(_, WorkRequest::Fetch(_))));
        match self.effects.remove(at.unwrap_or_else(|| panic!("no request among {:#?}", self.effects))) {
            Effect::Work(_, WorkRequest::Fetch(fetch)) => fetch,
            _ => unreachable!(),
        }
    }

    fn fetches(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::Work(_, WorkRequest::Fetch(_)))).count()
    }

    fn prepare(&mut self, job: JobId, prepared: Prepared) {
        self.take(|effect| {
            matches!(effect, Effect::Open(OpenRequest::Prepare { job: it, .. }) if *it == job).then_some(())
        });
        self.tell(Message::Prepared(job, Ok(Box::new(prepared))));
    }

    /// Lets a job advance to the body of its first stream.
    fn begin_large(&mut self, job: JobId, total: u64) -> Box<Fetch> {
        self.begin_of(job, head(total))
    }

    /// The same with this head.
    fn begin_of(&mut self, job: JobId, head: Box<Head>) -> Box<Fetch> {
        self.prepare(job, Prepared::default());
        let probe = self.take_fetch();
        self.tell(Message::Connected(probe.slot, Protocol::Http1));
        head.total_bytes.iter().for_each(|total| probe.piece.shorten(*total));
        self.tell(Message::Answered(probe.transfer, head, None));
        self.take(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))).then_some(()));
        self.tell(Message::Opened(job, Ok(None)));
        self.take(|effect| matches!(effect, Effect::Work(_, WorkRequest::Grant { .. })).then_some(()));
        probe
    }

    fn end(&mut self, transfer: TransferId, end: End, is_reusable: bool) {
        self.tell(Message::Ended(Ended { transfer, end, is_reusable }));
    }

    fn complete(&mut self, fetch: &Fetch) {
        fetch.piece.advance(fetch.piece.end());
        self.end(fetch.transfer, End::Complete, true);
    }

    /// The server still has the version.
    fn confirm(&mut self) {
        let check = self.take_fetch();
        assert!(matches!(check.kind, FetchKind::Check { .. }), "{:?}", check.kind);
        self.end(check.transfer, End::Checked(None), true);
    }

    fn has(&self, fits: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(fits)
    }
}

fn evidence(tag: &str, total: u64) -> Evidence {
    let mut headers = http::HeaderMap::new();
    headers.insert("etag", format!("\"{tag}\"").parse().unwrap());
    Evidence::from_headers(&headers, Some(total))
}

fn head(total: u64) -> Box<Head> {
    Box::new(Head {
        shape: Shape::Whole,
        protocol: Protocol::Http1,
        total_bytes: Some(total),
        evidence: evidence("v1", total),
        tells_length: true,
        is_part: false,
        refuses_ranges: false,
        offers_ranges: false,
        file_name: None,
        is_page: false,
        may_be_page: false,
        page_title: None,
        is_message: false,
        remarks: Vec::new(),
    })
}

fn broken() -> End {
    End::Failed { error: Error::new(ErrorKind::Broken, "the connection broke"), retry_after: None }
}

fn published(len_bytes: u64) -> Published {
    Published { len_bytes, modified: UNIX_EPOCH }
}

#[test]
fn a_small_file_goes_from_its_answer_straight_to_the_disk() {
    let mut world = World::new(|_| {});
    let job = world.add(1, "http://h/a.bin");
    world.prepare(job, Prepared::default());
    let probe = world.take_fetch();
    let content = vec![bytes::Bytes::from_static(b"hello")];
    world.tell(Message::Answered(probe.transfer, head(5), Some(content)));
    world.end(probe.transfer, End::Complete, true);
    let path = world.take(|effect| match effect {
        Effect::Commit(CommitRequest::Store(store)) => Some(store.path.clone()),
        _ => None,
    });
    assert_eq!(path, Path::new("out/a.bin"));
    world.tell(Message::Stored(job, Ok(published(5))));
    world.tell(Message::Command(Command::Close));
    assert!(world.has(|event| matches!(event, Event::Finished { how: How::Fetched, fetched_bytes: 5, .. })));
    assert!(world.core.is_finished());
}

#[test]
fn exactly_the_connections_asked_for_open_once_ranges_are_proven() {
    let mut world = World::new(|options| options.connections = Some(8));
    let job = world.add(1, "http://h/a.bin");
    world.begin_large(job, 1024 * MIB);
    assert_eq!(world.fetches(), 1, "one request finds out whether ranges work");
    let trial = world.take_fetch();
    assert!(matches!(trial.kind, FetchKind::Piece { .. }));
    world.tell(Message::Connected(trial.slot, Protocol::Http1));
    world.tell(Message::Proven(trial.transfer, head(64 * MIB)));
    assert_eq!(world.fetches(), 6, "the first stream, the trial and six more");
}

#[test]
fn no_byte_is_asked_for_twice_while_all_goes_well() {
    let mut world = World::new(|options| options.connections = Some(4));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    let trial = world.take_fetch();
    world.tell(Message::Connected(trial.slot, Protocol::Http1));
    probe.piece.advance(3 * MIB);
    trial.piece.advance(trial.piece.start() + MIB);
    world.tell(Message::Proven(trial.transfer, head(64 * MIB)));
    let mut asked: Vec<_> = [probe, trial].into();
    while asked.iter().any(|fetch| fetch.piece.position() < fetch.piece.end()) {
        if world.fetches() > 0 {
            asked.push(world.take_fetch());
            continue;
        }
        let next = asked.iter().position(|fetch| fetch.piece.position() < fetch.piece.end()).unwrap();
        world.now += Time::from_millis(100);
        let fetch = asked.remove(next);
        world.complete(&fetch);
        asked.insert(0, fetch);
    }
    world.confirm();
    let mut ranges: Vec<_> = asked.iter().map(|fetch| (fetch.piece.start(), fetch.piece.end())).collect();
    ranges.sort_unstable();
    assert_eq!(ranges.first().unwrap().0, 0);
    assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Publish { .. })).then_some(()));
}

#[test]
fn a_server_that_ignores_ranges_is_left_with_one_stream() {
    let mut world = World::new(|options| options.connections = Some(8));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    let trial = world.take_fetch();
    world.end(trial.transfer, End::NotRange(head(64 * MIB)), false);
    if world.fetches() == 1 {
        // Requested once more without If-Range.
        let again = world.take_fetch();
        assert!(matches!(again.kind, FetchKind::Piece { if_range: None, .. }));
        world.end(again.transfer, End::NotRange(head(64 * MIB)), false);
    }
    assert_eq!(world.fetches(), 0);
    assert!(world.has(|event| matches!(event, Event::Ranges { segmented: false, .. })));
    world.complete(&probe);
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Publish { .. })).then_some(()));
}

/// Breaks the first stream and lets two responses report another version.
fn change(world: &mut World, probe: &Fetch) {
    probe.piece.advance(probe.piece.position().max(MIB) + MIB);
    world.end(probe.transfer, broken(), false);
    for _ in 0..2 {
        world.pass(Time::from_secs(3));
        let again = world.take_fetch();
        assert!(matches!(again.kind, FetchKind::Piece { .. }), "{:?}", again.kind);
        let verdict = crate::evidence::Verdict::Different(crate::evidence::Strength::Strong);
        world.end(again.transfer, End::NotJoined { head: other_head("another"), verdict }, false);
    }
    // Progress is saved first: it stays until some of the new version has arrived.
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Save { .. })).then_some(()));
    world.tell(Message::Saved(probe.job, Ok(())));
    world.pass(Time::from_secs(1));
}

fn other_head(tag: &str) -> Box<Head> {
    Box::new(Head { evidence: evidence(tag, 64 * MIB), ..*head(64 * MIB) })
}

#[test]
fn another_version_begins_again_when_two_answers_say_so_and_three_times_at_most() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let mut probe = world.begin_large(job, 64 * MIB);
    for round in 0..3 {
        change(&mut world, &probe);
        assert!(world.has(|event| matches!(event, Event::Restarted { .. })));
        probe = world.take_fetch();
        assert!(matches!(probe.kind, FetchKind::Probe), "round {round}");
        probe.piece.shorten(64 * MIB);
        world.tell(Message::Answered(probe.transfer, other_head(&format!("round-{round}")), None));
        let keeps_old = world.take(|effect| match effect {
            Effect::Open(OpenRequest::Open(open)) => Some(open.keeps_old),
            _ => None,
        });
        assert!(keeps_old, "the version before goes when the new one is complete");
        world.tell(Message::Opened(job, Ok(None)));
        world.take(|effect| matches!(effect, Effect::Work(_, WorkRequest::Grant { .. })).then_some(()));
    }
    world.pass(Time::from_secs(1));
    assert_eq!(world.fetches(), 0, "the last try is one unsegmented stream");
}

#[test]
fn one_answer_of_another_version_destroys_nothing() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.end(probe.transfer, broken(), false);
    world.pass(Time::from_secs(1));
    let again = world.take_fetch();
    let verdict = crate::evidence::Verdict::Different(crate::evidence::Strength::Strong);
    world.end(again.transfer, End::NotJoined { head: other_head("another"), verdict }, false);
    world.pass(Time::from_secs(3));
    let again = world.take_fetch();
    assert!(matches!(again.kind, FetchKind::Piece { range, .. } if range.start == 10 * MIB));
    world.tell(Message::Proven(again.transfer, head(64 * MIB)));
    assert!(!world.has(|event| matches!(event, Event::Restarted { .. })));
}

#[test]
fn what_fails_beside_the_first_stream_fails_nothing() {
    let error = |kind| End::Failed { error: Error::new(kind, "no"), retry_after: None };
    let verdict = crate::evidence::Verdict::Different(crate::evidence::Strength::Strong);
    let ends: Vec<Box<dyn Fn() -> End>> = vec![
        Box::new(move || error(ErrorKind::Status(403))),
        Box::new(move || error(ErrorKind::Tls)),
        Box::new(move || error(ErrorKind::Proxy)),
        Box::new(move || error(ErrorKind::Protocol)),
        Box::new(|| End::NotRange(head(26))),
        Box::new(move || End::NotJoined { head: head(64 * MIB), verdict }),
    ];
    for end in ends {
        let mut world = World::new(|options| options.connections = Some(4));
        let job = world.add(1, "http://h/a.bin");
        let probe = world.begin_large(job, 64 * MIB);
        while world.fetches() > 0 {
            let trial = world.take_fetch();
            world.end(trial.transfer, end(), false);
            world.pass(Time::from_secs(10));
        }
        assert!(!world.has(|event| matches!(event, Event::Failed { .. } | Event::Restarted { .. })));
        assert!(world.has(|event| matches!(event, Event::Ranges { segmented: false, .. })));
        world.complete(&probe);
        world.confirm();
        world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Publish { .. })).then_some(()));
    }
}

#[test]
fn a_transient_failure_waits_and_goes_on_where_it_was() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.end(probe.transfer, broken(), false);
    assert_eq!(world.fetches(), 0, "it waits first");
    assert!(world.has(|event| matches!(event, Event::Retrying { attempt: 2, .. })));
    world.pass(Time::from_secs(1));
    let again = world.take_fetch();
    match again.kind {
        FetchKind::Piece { range, if_range, .. } => {
            assert_eq!(range.start, 10 * MIB);
            assert!(if_range.is_some());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn retries_end_in_a_failure_that_keeps_what_came() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.end(probe.transfer, broken(), false);
    for _ in 0..5 {
        world.pass(Time::from_secs(40));
        let again = world.take_fetch();
        world.end(again.transfer, broken(), false);
    }
    // The whole file in one response is another way to the bytes.
    if world.fetches() == 0 {
        world.tell(Message::Saved(job, Ok(())));
    }
    let whole = world.take_fetch();
    assert!(matches!(whole.kind, FetchKind::Probe), "{:?}", whole.kind);
    world.end(whole.transfer, broken(), false);
    let done = world.take(|effect| match effect {
        Effect::Commit(CommitRequest::Save { journal, .. }) => Some(journal.done.clone()),
        _ => None,
    });
    assert_eq!(done.covered(), 10 * MIB);
    world.tell(Message::Saved(job, Ok(())));
    world
        .take(|effect| matches!(effect, Effect::Commit(CommitRequest::Release { fate: Fate::Kept, .. })).then_some(()));
    assert!(world.has(|event| matches!(event, Event::Failed { error, .. } if error.attempts == 7)));
}

/// An earlier run's journal of the file at `url`, of 64 MiB: all but the sixth MiB.
fn left_of(url: &str) -> crate::journal::Journal {
    let url: url::Url = url.parse().unwrap();
    crate::journal::Journal {
        generation: 3,
        identity: crate::journal::Identity {
            url: crate::secret::identity_url(&url),
            given: Some(crate::evidence::Given::of(&url)),
            evidence: evidence("v1", 64 * MIB),
            total_bytes: Some(64 * MIB),
        },
        done: [ByteRange::new(0, 5 * MIB), ByteRange::new(6 * MIB, 64 * MIB)].into_iter().collect(),
        verified: crate::journal::Verified::Unchecked,
        joined_by: None,
        file: None,
        token: None,
        replaces_old: false,
        is_short: false,
        saved_unix_ms: 0,
    }
}

#[test]
fn what_was_begun_from_another_query_is_not_gone_on_with() {
    let gap = ByteRange::new(5 * MIB, 6 * MIB);
    for (begun, asked, is_same) in [
        ("http://h/a.bin?id=1", "http://h/a.bin?id=1", true),
        ("http://h/a.bin?id=1", "http://h/a.bin?id=2", false),
        ("http://h/a.bin?id=1", "http://h/a.bin", false),
        ("http://h/a.bin", "http://h/a.bin?id=1", false),
    ] {
        let mut world = World::new(|options| options.connections = Some(1));
        let job = world.add(1, asked);
        world.prepare(job, Prepared { partial: Some(left_of(begun)), ..Prepared::default() });
        let fetch = world.take_fetch();
        match &fetch.kind {
            FetchKind::Piece { range, .. } => assert!(is_same && *range == gap, "{begun} for {asked}: {range:?}"),
            _ => assert!(!is_same, "{begun} for {asked}"),
        }
        world.end(fetch.transfer, broken(), false);
    }
}

#[test]
fn a_journal_is_gone_on_with_from_its_first_gap() {
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let journal = left_of("http://h/a.bin");
    world.prepare(job, Prepared { partial: Some(journal), ..Prepared::default() });
    let fetch = world.take_fetch();
    match &fetch.kind {
        FetchKind::Piece { range, .. } => assert_eq!(*range, ByteRange::new(5 * MIB, 6 * MIB)),
        other => panic!("{other:?}"),
    }
    world.tell(Message::Proven(fetch.transfer, head(64 * MIB)));
    world.complete(&fetch);
    world.confirm();
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Publish { .. })).then_some(()));
    world.tell(Message::Published(job, Ok(published(64 * MIB))));
    assert!(world.has(|event| matches!(event, Event::Finished { fetched_bytes, .. } if *fetched_bytes == MIB)));
}

#[test]
fn two_entries_for_one_name_are_a_failure_of_the_second() {
    let mut world = World::new(|_| {});
    let first = world.add(1, "http://h/x/a.bin");
    let second = world.add(2, "http://h/y/A.BIN");
    for job in [first, second] {
        world.prepare(job, Prepared::default());
    }
    let fetches = [world.take_fetch(), world.take_fetch()];
    for fetch in fetches {
        world.tell(Message::Answered(fetch.transfer, head(5), Some(vec![bytes::Bytes::from_static(b"hello")])));
        world.end(fetch.transfer, End::Complete, true);
    }
    assert!(world.has(|event| matches!(
        event,
        Event::Failed { job, error, .. } if *job == second && error.kind == ErrorKind::NameTaken
    )));
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Store(_))).then_some(()));
}

#[test]
fn a_redirect_is_followed_and_a_downgrade_is_refused() {
    let mut world = World::new(|_| {});
    let job = world.add(1, "https://h/a.bin");
    world.prepare(job, Prepared::default());
    let probe = world.take_fetch();
    assert!(probe.is_own_origin);
    let location = Some("https://other/b.bin".to_owned());
    world.end(probe.transfer, End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
    let probe = world.take_fetch();
    assert_eq!(probe.url.as_str(), "https://other/b.bin");
    assert!(!probe.is_own_origin);
    let location = Some("http://other/b.bin".to_owned());
    world.end(probe.transfer, End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
    assert!(world.has(|event| matches!(event, Event::Failed { error, .. } if error.kind == ErrorKind::Redirect)));
}

#[test]
fn a_new_version_is_journalled_although_less_of_it_has_come_than_of_the_old_one() {
    let saved = |effect: &Effect| match effect {
        Effect::Commit(CommitRequest::Save { journal, .. }) => {
            Some((journal.done.covered(), journal.identity.evidence.clone()))
        }
        _ => None,
    };
    let mut world = World::new(|options| options.connections = Some(1));
    let job = world.add(1, "http://h/a.bin");
    let probe = world.begin_large(job, 64 * MIB);
    probe.piece.advance(10 * MIB);
    world.pass(Time::from_secs(1));
    world.tell(Message::Step);
    assert_eq!(world.take(saved), (10 * MIB, evidence("v1", 64 * MIB)));
    world.tell(Message::Saved(job, Ok(())));

    world.end(probe.transfer, broken(), false);
    world.pass(Time::from_secs(1));
    let again = world.take_fetch();
    let mut other = head(64 * MIB);
    other.evidence = evidence("v2", 64 * MIB);
    world.end(again.transfer, End::NotRange(other.clone()), false);
    assert!(!world.has(|event| matches!(event, Event::Restarted { .. })), "one answer is not enough");
    world.pass(Time::from_secs(3));
    let again = world.take_fetch();
    world.end(again.transfer, End::NotRange(other.clone()), false);
    assert!(world.has(|event| matches!(event, Event::Restarted { .. })));
    world.pass(Time::from_secs(1));
    let probe = world.take_fetch();
    assert!(matches!(probe.kind, FetchKind::Probe));
    probe.piece.shorten(64 * MIB);
    world.tell(Message::Answered(probe.transfer, other, None));
    world.take(|effect| matches!(effect, Effect::Open(OpenRequest::Open(_))).then_some(()));
    world.tell(Message::Opened(job, Ok(None)));
    world.take(|effect| matches!(effect, Effect::Work(_, WorkRequest::Grant { .. })).then_some(()));
    probe.piece.advance(MIB);
    world.pass(Time::from_secs(1));
    world.tell(Message::Step);
    assert_eq!(world.take(saved), (MIB, evidence("v2", 64 * MIB)));
}

#[test]
fn a_small_file_that_cannot_be_written_is_counted_although_its_request_ends_later() {
    let mut world = World::new(|_| {});
    let job = world.add(1, "http://h/a.bin");
    world.tell(Message::Command(Command::Close));
    world.prepare(job, Prepared::default());
    let probe = world.take_fetch();
    let content = vec![bytes::Bytes::from_static(b"hello")];
    world.tell(Message::Answered(probe.transfer, head(5), Some(content)));
    world.take(|effect| matches!(effect, Effect::Commit(CommitRequest::Store(_))).then_some(()));
    world.tell(Message::Stored(job, Err(Error::new(ErrorKind::Storage, "cannot write"))));
    assert!(!world.core.is_finished(), "nobody has been told of the failure");
    world.end(probe.transfer, End::Complete, true);
    assert!(world.core.is_finished());
    let failed = world.events.iter().position(|event| matches!(event, Event::Failed { .. }));
    let counts = |event: &Event| matches!(event, Event::Summary(summary) if summary.failed_files == 1);
    let summary = world.events.iter().position(counts);
    assert!(failed.is_some() && failed < summary, "failed {failed:?}, summary {summary:?}");
}
