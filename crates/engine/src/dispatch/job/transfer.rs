//! One request and its response, and how fast its bytes arrive.

use std::sync::Arc;

use url::Url;

use crate::dispatch::rate::Rate;
use crate::dispatch::redirect_chain::RedirectChain;
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{FetchKind, Head, SlotId, Time};
use crate::plan::piece::{OPEN_END, Piece};
use crate::plan::{Active, TransferId};
use crate::ranges::ByteRange;

/// One request and its response.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) job: JobId,
    pub(crate) slot: SlotId,
    pub(crate) worker: usize,
    pub(crate) host: Origin,
    /// Which of the job's sources was asked.
    pub(crate) source: usize,
    /// The requested URL; the job may have been redirected since.
    pub(crate) url: Url,
    /// Whether the request has an `If-Range`.
    pub(crate) had_if_range: bool,
    /// The hosts that have redirected this request alone, and not its source.
    pub(crate) chain: RedirectChain,
    /// How many places its source had led to when it was first sent.
    pub(crate) location: u32,
    /// The request, which is sent again after a redirect.
    pub(crate) kind: FetchKind,
    /// The head of the response to a sample, until the sample has been compared.
    pub(crate) head: Option<Box<Head>>,
    pub(crate) piece: Arc<Piece>,
    pub(crate) is_probe: bool,
    /// Its response is not the file, but a page, say, and shows nothing of its host.
    pub(crate) is_rejected: bool,
    pub(crate) in_race: bool,
    /// The kernel was asked to write back up to here.
    pub(crate) written_back: u64,
    /// Space was reserved up to here.
    pub(crate) reserved_to: u64,
    /// Whether it has fetched enough to show that its host works.
    pub(crate) has_renewed: bool,
    /// Whether its connection had carried a response to another request.
    pub(crate) had_served_others: bool,
    /// The same, or to this one.
    pub(crate) has_served: bool,
    /// Whether its bytes go to the partial file.
    pub(crate) writes: bool,
    /// The length that its body must have, although it does not announce one.
    pub(crate) must_end_at: Option<u64>,
    pub(crate) started: Time,
    pub(crate) rate: Rate,
}

impl Transfer {
    /// A request for this source of a job, over this slot of a worker.
    pub(crate) fn new(
        now: Time,
        (job, source): (JobId, usize),
        (slot, worker): (SlotId, usize),
        (url, host): (Url, Origin),
        kind: &FetchKind,
        piece: &Arc<Piece>,
    ) -> Self {
        Self {
            job,
            slot,
            worker,
            host,
            source,
            url,
            had_if_range: matches!(kind, FetchKind::Piece { if_range: Some(_), .. }),
            chain: RedirectChain::default(),
            location: 0,
            kind: kind.clone(),
            head: None,
            piece: Arc::clone(piece),
            is_probe: matches!(kind, FetchKind::Probe),
            is_rejected: false,
            in_race: false,
            written_back: piece.start(),
            reserved_to: piece.start(),
            has_renewed: false,
            had_served_others: false,
            has_served: false,
            writes: matches!(kind, FetchKind::Piece { .. }),
            must_end_at: None,
            started: now,
            rate: Rate::default(),
        }
    }

    /// How fast it is, or was on average: a short one ends before its rate is measured.
    pub(crate) fn rate_over_all(&self, now: Time) -> Option<f64> {
        let seconds = now.saturating_sub(self.started).as_secs_f64().max(0.001);
        let bytes = self.brought().len();
        self.rate.bps().or((bytes > 0).then_some(bytes as f64 / seconds))
    }

    /// Whether its response told the length of the whole file.
    pub(crate) fn tells_total(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.total_bytes.is_some())
    }

    /// The range to reserve now, so that there is space for this many bytes ahead of its position.
    pub(crate) fn take_unreserved(&mut self, ahead_bytes: u64) -> Option<ByteRange> {
        let (position, end) = (self.piece.position(), self.piece.end());
        let to = end.min(position.saturating_add(ahead_bytes));
        let from = position.max(self.reserved_to);
        if end == OPEN_END || from >= to {
            return None;
        }
        self.reserved_to = to;
        Some(ByteRange::new(from, to))
    }
}

impl Transfer {
    /// How the plan sees it; an open end is the end of the file.
    pub(crate) fn active(&self, id: TransferId, total_bytes: u64) -> Active {
        Active {
            transfer: id,
            position: self.piece.position(),
            end: match self.piece.end() {
                OPEN_END => total_bytes,
                end => end,
            },
            rate_bps: self.rate.bps(),
            is_first: self.is_probe,
            in_race: self.in_race,
        }
    }

    pub(crate) fn brought(&self) -> ByteRange {
        if self.writes { self.piece.brought() } else { ByteRange::new(0, 0) }
    }
}
