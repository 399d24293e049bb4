//! One request and its answer, and how fast its bytes come.

use std::sync::Arc;

use url::Url;

use crate::dispatch::rate::Rate;
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{FetchKind, Head, SlotId, Time};
use crate::plan::piece::{OPEN_END, Piece};
use crate::plan::{Active, TransferId};
use crate::ranges::ByteRange;

/// One request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) job: JobId,
    pub(crate) slot: SlotId,
    pub(crate) worker: usize,
    pub(crate) host: Origin,
    /// Which of the job's sources was asked.
    pub(crate) source: usize,
    /// What was asked for; the job may have been sent elsewhere meanwhile.
    pub(crate) url: Url,
    /// Whether it was asked for with `If-Range`.
    pub(crate) had_if_range: bool,
    /// How often it was sent elsewhere.
    pub(crate) redirects: u32,
    /// What is sent again to where it was sent.
    pub(crate) kind: FetchKind,
    /// What the answer to a sample said, until the sample has been compared.
    pub(crate) head: Option<Box<Head>>,
    pub(crate) piece: Arc<Piece>,
    pub(crate) is_probe: bool,
    pub(crate) in_race: bool,
    /// Up to here the system was asked to write back.
    pub(crate) written_back: u64,
    /// Up to here room was reserved for it.
    pub(crate) reserved_to: u64,
    /// Whether it has brought enough to show that its host works.
    pub(crate) has_renewed: bool,
    /// Whether its bytes go to the partial file.
    pub(crate) writes: bool,
    /// How long its body has to be, although it does not say so.
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
            redirects: 0,
            kind: kind.clone(),
            head: None,
            piece: Arc::clone(piece),
            is_probe: matches!(kind, FetchKind::Probe),
            in_race: false,
            written_back: piece.start(),
            reserved_to: piece.start(),
            has_renewed: false,
            writes: matches!(kind, FetchKind::Piece { .. }),
            must_end_at: None,
            started: now,
            rate: Rate::default(),
        }
    }

    /// How fast it is, or was: a short one ends before its rate was measured.
    pub(crate) fn rate_over_all(&self, now: Time) -> Option<f64> {
        let seconds = now.saturating_sub(self.started).as_secs_f64().max(0.001);
        let bytes = self.brought().len();
        self.rate.bps().or((bytes > 0).then_some(bytes as f64 / seconds))
    }

    /// For what room is to be reserved now, so that there is some for so many bytes ahead of it.
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
