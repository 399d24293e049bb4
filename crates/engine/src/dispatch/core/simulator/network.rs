//! The network of a simulated world: what a worker and a server would do with each request, one turn at a
//! time. A turn is a connection, the head of a response or some bytes of a body.

use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use url::Url;

use super::script::{Host, Ranges, RemoteFile, Script, number_of};
use crate::error::{Error, ErrorKind};
use crate::evidence::Evidence;
use crate::message::{Alpn, Demand, End, Fetch, FetchKind, Head, Message, Protocol, Redirect, Shape, Time};
use crate::plan::piece::OPEN_END;
use crate::ranges::ByteRange;
use crate::storage::PartFile;

/// A file up to this size is returned whole, unless it is slow.
const WHOLE_BYTES_MAX: usize = 64 << 10;
/// A body takes about this many turns at most.
const TURNS: usize = 24;
const TURN_BYTES_MIN: usize = 16 << 10;
/// A connection that gets nothing is given up after this.
const STALL_TIMEOUT: Time = Time::from_secs(30);

/// A transfer in flight.
pub(super) struct Stream {
    pub(super) fetch: Box<Fetch>,
    /// Where its bytes go.
    pub(super) sink: Option<Arc<dyn PartFile>>,
    pub(super) stage: Stage,
}

/// The stage of a transfer.
pub(super) enum Stage {
    /// The request was sent.
    Asked,
    /// The body of a probe waits for its file.
    Granting(Body),
    /// Bytes arrive.
    Moving(Body),
    /// Nothing more arrives.
    Stalled,
}

/// A body in flight.
pub(super) struct Body {
    file: usize,
    version: usize,
    /// The connection breaks or stalls here.
    trouble: Option<(u64, Trouble)>,
    /// The end of the piece that the worker saw when it waited for more.
    seen_end: u64,
}

impl Body {
    /// All of its content.
    pub(super) fn content(&self, script: &Script) -> Bytes {
        Bytes::copy_from_slice(&script.files[self.file].served(self.version).content)
    }
}

/// Where a file was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Moved,
    Mirror,
}

#[derive(Clone, Copy)]
enum Trouble {
    Break,
    Stall,
}

/// The outcome of a turn.
pub(super) enum Turn {
    /// The next turn is due after this.
    Again(Stage, Time),
    /// It waits for the dispatcher.
    Waits(Stage),
    /// The transfer is over. Whether its connection is reusable.
    Over(End, bool),
}

/// What a turn can see and use.
pub(super) struct Surroundings<'a> {
    pub(super) script: &'a Script,
    pub(super) dice: &'a mut Rng,
    /// Since the first life began.
    pub(super) now: Time,
    pub(super) limit_bps: Option<u64>,
    /// Connections to this host, this one included.
    pub(super) connections: usize,
    /// Whether this one is open already.
    pub(super) is_connected: bool,
    /// The worker's messages during the turn.
    pub(super) messages: Vec<Message>,
}

impl Surroundings<'_> {
    /// One turn of a transfer.
    pub(super) fn turn(&mut self, fetch: &Fetch, sink: Option<&dyn PartFile>, stage: Stage) -> Turn {
        match stage {
            Stage::Asked => self.answer(fetch, sink),
            Stage::Granting(body) => Turn::Waits(Stage::Granting(body)),
            Stage::Moving(body) => self.receive(fetch, sink, body),
            Stage::Stalled => failed(ErrorKind::Stalled, "no byte came for 30 seconds"),
        }
    }

    fn host(&self, fetch: &Fetch) -> &Host {
        self.script.host(&fetch.origin.host)
    }

    fn rolls(&mut self, percent: u8) -> bool {
        self.now < self.script.calm_from && self.dice.u8(0..100) < percent
    }

    fn answer(&mut self, fetch: &Fetch, sink: Option<&dyn PartFile>) -> Turn {
        let (percent, connections_max) = (self.host(fetch).trouble_percent, self.host(fetch).connections_max);
        let protocol = match fetch.alpn {
            Alpn::Any if self.host(fetch).has_http2 => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let is_in_trouble = self.rolls(percent);
        if !self.is_connected {
            if is_in_trouble && self.dice.u8(0..4) == 0 {
                return failed(ErrorKind::Connect, "the connection was refused");
            }
            self.is_connected = true;
            self.messages.push(Message::Connected(fetch.slot, protocol));
            if self.connections > connections_max && self.now < self.script.calm_from {
                return self.refused(503, false);
            }
        }
        let trouble = match is_in_trouble {
            true => match self.trouble(fetch) {
                Err(turn) => return turn,
                Ok(trouble) => Some(trouble),
            },
            false => None,
        };
        self.well(fetch, sink, protocol, trouble)
    }

    /// What goes wrong with a response: with its head, or at an offset of its body.
    fn trouble(&mut self, fetch: &Fetch) -> Result<(u64, Trouble), Turn> {
        let is_range = !matches!(fetch.kind, FetchKind::Probe);
        match self.dice.u8(0..16) {
            0 => Err(status(500, None, true)),
            1 => Err(self.refused(503, true)),
            2 => Err(self.refused(429, true)),
            3 => Err(failed(ErrorKind::Broken, "closed before the answer was complete")),
            4 => Err(Turn::Again(Stage::Stalled, STALL_TIMEOUT)),
            5 if is_range => Err(failed(ErrorKind::Protocol, "the server answered another range")),
            6 if is_range => {
                let (file, _) = self.asked_for(&fetch.url);
                let head = self.head(file, self.version(file), Shape::Whole, Protocol::Http1);
                Err(Turn::Over(End::NotRange(head), false))
            }
            7 if self.dice.u8(0..4) == 0 => Err(status(404, None, true)),
            8 => Ok((self.somewhere(fetch), Trouble::Stall)),
            _ => Ok((self.somewhere(fetch), Trouble::Break)),
        }
    }

    /// An overloaded server, which may send `Retry-After`.
    fn refused(&mut self, code: u16, is_reusable: bool) -> Turn {
        let retry_after = self.dice.bool().then(|| Time::from_secs(self.dice.u64(1..8)));
        status(code, retry_after, is_reusable)
    }

    fn somewhere(&mut self, fetch: &Fetch) -> u64 {
        let start = fetch.piece.start();
        let end = match fetch.piece.end() {
            OPEN_END => start + 300_000,
            end => end,
        };
        self.dice.u64(start..=end.max(start))
    }

    /// What an honest server responds, and what the worker does with it.
    fn well(
        &mut self,
        fetch: &Fetch,
        sink: Option<&dyn PartFile>,
        protocol: Protocol,
        trouble: Option<(u64, Trouble)>,
    ) -> Turn {
        let script = self.script;
        let (number, place) = self.asked_for(&fetch.url);
        let file = &script.files[number];
        let is_mirror = place == Place::Mirror;
        if file.is_gone && !is_mirror {
            return status(404, None, true);
        }
        if let (Some(host), Place::First) = (file.moved_to, place) {
            let location = Some(script.url(host, "moved/", number).to_string());
            return Turn::Over(End::Redirect(Redirect { status: 302, location, ..Redirect::default() }), true);
        }
        let version = if is_mirror && file.stale.is_some() { file.versions.len() } else { self.version(number) };
        let body = Body { file: number, version, trouble, seen_end: fetch.piece.end() };
        match &fetch.kind {
            FetchKind::Document(_) => unreachable!("the simulated session has no providers"),
            FetchKind::Probe => self.whole(fetch, protocol, body),
            FetchKind::Check { expect } => {
                let head = self.head(number, version, Shape::Whole, protocol);
                let is_same = expect.compare(&head.evidence).joins();
                Turn::Over(End::Checked((!is_same).then_some(head)), is_same)
            }
            FetchKind::Piece { range, overlap_bytes, if_range, expect, demand } => {
                let current = file.served(version).evidence(None, false, false);
                let is_changed = if_range.is_some() && current.if_range() != *if_range;
                let asked = ByteRange::new(range.start - overlap_bytes, range.end);
                if let Some(end) = self.not_a_range(number, version, asked, is_changed, (expect, *demand), protocol) {
                    return Turn::Over(end, false);
                }
                let head = self.head(number, version, Shape::Range, protocol);
                let overlap = &file.served(version).content[asked.start as usize..range.start as usize];
                let mut there = vec![0; overlap.len()];
                match sink.map_or(Ok(()), |sink| sink.read_at(&mut there, asked.start)) {
                    Ok(()) if there == overlap => {}
                    Ok(()) => return Turn::Over(End::OtherOverlap(head), false),
                    Err(source) => return cannot("read", source),
                }
                self.messages.push(Message::Proven(fetch.transfer, head));
                self.next_bytes(fetch, body)
            }
            FetchKind::Sample { range, expect, .. } => {
                if let Some(end) =
                    self.not_a_range(number, version, *range, false, (expect, Demand::NotDifferent), protocol)
                {
                    return Turn::Over(end, false);
                }
                let head = self.head(number, version, Shape::Range, protocol);
                self.messages.push(Message::Identified(fetch.transfer, head));
                let fresh = &file.served(version).content[range.start as usize..range.end as usize];
                let Some(sink) = sink else {
                    return Turn::Over(End::Gathered(vec![Bytes::copy_from_slice(fresh)]), true);
                };
                let mut there = vec![0; fresh.len()];
                match sink.read_at(&mut there, range.start) {
                    Ok(()) => Turn::Over(End::Sampled { same: there == fresh }, true),
                    Err(source) => cannot("read", source),
                }
            }
        }
    }

    /// The end of a range request whose response is not this range of this version.
    fn not_a_range(
        &mut self,
        number: usize,
        version: usize,
        range: ByteRange,
        is_changed: bool,
        (expect, demand): (&Evidence, Demand),
        protocol: Protocol,
    ) -> Option<End> {
        let file = &self.script.files[number];
        let len = file.served(version).content.len() as u64;
        if file.ranges != Ranges::Honoured || is_changed {
            return Some(End::NotRange(self.head(number, version, Shape::Whole, protocol)));
        }
        if range.start >= len {
            return Some(End::NotRange(self.head(number, version, Shape::NoSuchRange, protocol)));
        }
        let head = self.head(number, version, Shape::Range, protocol);
        let verdict = expect.compare(&head.evidence);
        let suffices = match demand {
            Demand::Same => verdict.joins(),
            Demand::SameWeakly => verdict.is_same(),
            Demand::NotDifferent => !verdict.is_different(),
        };
        (!suffices).then_some(End::NotJoined { head, verdict })
    }

    /// The response to a probe: returned whole, or announced before its body arrives.
    fn whole(&mut self, fetch: &Fetch, protocol: Protocol, mut body: Body) -> Turn {
        let content = &self.script.files[body.file].served(body.version).content;
        let mut head = self.head(body.file, body.version, Shape::Whole, protocol);
        if content.len() <= WHOLE_BYTES_MAX && self.dice.u8(0..6) != 0 {
            if body.trouble.is_some() {
                return failed(ErrorKind::Broken, "the body ended early");
            }
            head.total_bytes = Some(content.len() as u64);
            head.evidence.total_bytes = head.total_bytes;
            let (first, second) = content.split_at(content.len() / 2);
            let content = vec![Bytes::copy_from_slice(first), Bytes::copy_from_slice(second)];
            self.messages.push(Message::Answered(fetch.transfer, head, Some(content)));
            return Turn::Over(End::Complete, true);
        }
        if let Some(total) = head.total_bytes {
            fetch.piece.shorten(total);
        }
        body.seen_end = fetch.piece.end();
        self.messages.push(Message::Answered(fetch.transfer, head, None));
        Turn::Waits(Stage::Granting(body))
    }

    /// Bytes have arrived: as many as fit into the piece as the worker saw it are written, though the
    /// dispatcher may have cut it since.
    fn receive(&mut self, fetch: &Fetch, sink: Option<&dyn PartFile>, mut body: Body) -> Turn {
        let content = &self.script.files[body.file].served(body.version).content;
        let piece = &fetch.piece;
        let position = piece.position();
        match body.trouble {
            Some((at, Trouble::Break)) if position >= at => {
                return failed(ErrorKind::Broken, "the connection broke: the body ended early");
            }
            Some((at, Trouble::Stall)) if position >= at => return Turn::Again(Stage::Stalled, STALL_TIMEOUT),
            _ => {}
        }
        let end = body.seen_end.min(content.len() as u64).min(position + chunk_bytes(content.len()));
        if position < end {
            let Some(sink) = sink else {
                return failed(ErrorKind::Internal, "a piece was asked for without a file");
            };
            if let Err(source) = sink.write_at(&content[position as usize..end as usize], position) {
                return cannot("write", source);
            }
            piece.advance(end);
        }
        if piece.position() >= piece.end() {
            let is_reusable = piece.position() == content.len() as u64;
            return Turn::Over(End::Complete, is_reusable);
        }
        if piece.position() >= content.len() as u64 {
            return match piece.end() {
                OPEN_END => Turn::Over(End::Complete, true),
                _ => failed(ErrorKind::Broken, "the connection broke: the body ended early"),
            };
        }
        body.seen_end = piece.end();
        self.next_bytes(fetch, body)
    }

    /// Schedules the next bytes of a body.
    fn next_bytes(&mut self, fetch: &Fetch, body: Body) -> Turn {
        let bytes = chunk_bytes(self.script.files[body.file].served(body.version).content.len());
        let host_bps = self.host(fetch).rate_bps;
        let bps = self.limit_bps.map_or(host_bps, |limit| limit.min(host_bps)).max(1);
        let takes = Time::from_secs_f64(bytes as f64 / bps as f64).mul_f64(0.5 + self.dice.f64());
        Turn::Again(Stage::Moving(body), takes)
    }

    fn asked_for(&self, url: &Url) -> (usize, Place) {
        let place = match url.path() {
            path if path.starts_with("/moved/") => Place::Moved,
            path if path.starts_with("/mirror/") => Place::Mirror,
            _ => Place::First,
        };
        (number_of(url.path().as_ref()), place)
    }

    fn version(&self, number: usize) -> usize {
        self.script.files[number].version_at(self.now)
    }

    fn head(&mut self, number: usize, version: usize, shape: Shape, protocol: Protocol) -> Box<Head> {
        let file: &RemoteFile = &self.script.files[number];
        let host = &self.script.hosts[file.host];
        let is_silent = file.may_be_silent() && self.rolls(host.forgets_percent);
        let version = &file.served(version);
        let total_bytes = (!file.is_chunked || shape != Shape::Whole).then_some(version.content.len() as u64);
        Box::new(Head {
            shape,
            protocol,
            total_bytes,
            evidence: version.evidence(total_bytes, is_silent, host.has_clock_ahead),
            tells_length: true,
            is_part: false,
            refuses_ranges: file.ranges == Ranges::Refused,
            offers_ranges: false,
            file_name: file.given_name.clone(),
            is_page: false,
            may_be_page: false,
            page_title: None,
            is_message: false,
            remarks: Vec::new(),
        })
    }
}

fn chunk_bytes(len: usize) -> u64 {
    (len / TURNS).max(TURN_BYTES_MIN) as u64
}

fn failed(kind: ErrorKind, what: &str) -> Turn {
    Turn::Over(End::Failed { error: Error::new(kind, what), retry_after: None }, false)
}

fn status(code: u16, retry_after: Option<Time>, is_reusable: bool) -> Turn {
    let error = Error::new(ErrorKind::Status(code), format!("the server answered {code}"));
    Turn::Over(End::Failed { error, retry_after }, is_reusable)
}

fn cannot(action: &str, source: std::io::Error) -> Turn {
    let kind = match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        _ => ErrorKind::Storage,
    };
    let error = Error::new(kind, format!("cannot {action} the partial file: {source}")).with_source(source);
    Turn::Over(End::Failed { error, retry_after: None }, false)
}
