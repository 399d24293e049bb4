//! What the plan asks for, held against the figures.

use crate::case::Row;
use crate::meter::Figure;
use crate::table;

/// One goal and what was seen.
pub(crate) struct Goal {
    pub(crate) text: String,
    pub(crate) seen: String,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Reached,
    NotReached,
    /// The row is there to be seen; nothing was promised.
    NoGoal,
    /// There is no figure to judge by.
    NotMeasured,
}

impl Goal {
    /// `seen` is to be at most `limit`; `show` says it in words.
    pub(crate) fn at_most(
        text: impl Into<String>,
        seen: Option<f64>,
        limit: f64,
        show: impl Fn(f64) -> String,
    ) -> Self {
        let (seen, verdict) = match seen {
            Some(value) if value <= limit => (show(value), Verdict::Reached),
            Some(value) => (show(value), Verdict::NotReached),
            None => ("–".to_owned(), Verdict::NotMeasured),
        };
        Self { text: text.into(), seen, verdict }
    }

    /// Our row is to take at most `limit` times what the fastest peer takes.
    pub(crate) fn against_best(text: impl Into<String>, rows: &[Row], setting: &str, limit: f64) -> Self {
        match best_peer(rows, setting) {
            Some(peer) => Self::against(text, rows, setting, peer, limit),
            None => Self::at_most(text, None, limit, table::figure),
        }
    }

    /// Our row is to take at most `limit` times what `peer` takes.
    pub(crate) fn against(text: impl Into<String>, rows: &[Row], setting: &str, peer: &str, limit: f64) -> Self {
        let ratio = ours(rows, setting).zip(of(rows, peer, setting)).map(|(own, other)| own / other);
        Self::at_most(text, ratio, limit, |ratio| format!("{} × {peer}", table::figure(ratio)))
    }

    /// Says how our row stands to `peer`; nothing is asked for.
    pub(crate) fn none(text: impl Into<String>, rows: &[Row], setting: &str, peer: &str) -> Self {
        let mut goal = Self::against(text, rows, setting, peer, f64::INFINITY);
        if goal.verdict == Verdict::Reached {
            goal.verdict = Verdict::NoGoal;
        }
        goal
    }
}

impl Verdict {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NotReached => "not reached",
            Self::NoGoal => "no goal",
            Self::NotMeasured => "not measured",
        }
    }
}

/// The median of our row at `setting`.
pub(crate) fn ours(rows: &[Row], setting: &str) -> Option<f64> {
    our_row(rows, setting)?.median(Figure::Main)
}

pub(crate) fn our_row<'a>(rows: &'a [Row], setting: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.ours && row.setting == setting)
}

/// The median of the row of `contender` at `setting`.
fn of(rows: &[Row], contender: &str, setting: &str) -> Option<f64> {
    let row = rows.iter().find(|row| row.contender == contender && row.setting == setting)?;
    row.median(Figure::Main)
}

/// The fastest of the others at `setting`.
fn best_peer(rows: &[Row], setting: &str) -> Option<&'static str> {
    let peers = rows.iter().filter(|row| !row.ours && row.setting == setting);
    let medians = peers.filter_map(|row| Some((row.contender, row.median(Figure::Main)?)));
    medians.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(contender, _)| contender)
}
