//! What is hoped for, and what came of it. Every goal is an upper limit of a ratio or a figure.

use crate::harness::{Figure, Role, Row};

/// A goal.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// What is compared.
    pub text: String,
    /// What was measured; `None` if a row that it needs does not count.
    pub value: Option<f64>,
    /// What it may be at most.
    pub max: f64,
}

impl Goal {
    /// Whether it was reached; `None` if that is not known.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        self.value.map(|value| value <= self.max)
    }

    /// Ours divided by the best of the peers.
    pub(super) fn beside_best_peer(rows: &[Row], setting: &str, figure: Figure, max: f64) -> Self {
        let best = of(rows, setting, |row| row.role == Role::Peer, figure).into_iter().reduce(f64::min);
        let value = ours(rows, setting, figure).zip(best).map(|(ours, best)| ours / best);
        Self { text: format!("{setting}: {}, divided by the best peer's", word(figure)), value, max }
    }

    /// Ours divided by the bare loop's.
    pub(super) fn beside_floor(rows: &[Row], setting: &str, figure: Figure, max: f64) -> Self {
        let floor = of(rows, setting, |row| row.role == Role::Floor, figure).into_iter().next();
        let value = ours(rows, setting, figure).zip(floor).map(|(ours, floor)| ours / floor);
        Self { text: format!("{setting}: {}, divided by the bare loop's", word(figure)), value, max }
    }

    /// Ours divided by that of the peer of this name.
    pub(super) fn beside(rows: &[Row], setting: &str, contender: &str, figure: Figure, max: f64) -> Self {
        let other = of(rows, setting, |row| row.contender == contender, figure).into_iter().next();
        let value = ours(rows, setting, figure).zip(other).map(|(ours, other)| ours / other);
        Self { text: format!("{setting}: {}, divided by that of {contender}", word(figure)), value, max }
    }

    /// Our time divided by the least that the server's rates and delays allow, in seconds.
    pub(super) fn beside_ideal(rows: &[Row], setting: &str, ideal_s: f64, max: f64) -> Self {
        let value = ours(rows, setting, Figure::Wall).map(|ours| ours / ideal_s);
        Self { text: format!("{setting}: wall time, divided by the ideal ({ideal_s:.2} s)"), value, max }
    }

    /// Ours alone.
    pub(super) fn at_most(rows: &[Row], setting: &str, figure: Figure, max: f64) -> Self {
        Self { text: format!("{setting}: {}", word(figure)), value: ours(rows, setting, figure), max }
    }
}

/// The median of our first row in a setting.
pub(super) fn ours(rows: &[Row], setting: &str, figure: Figure) -> Option<f64> {
    rows.iter().find(|row| row.setting == setting && row.role == Role::Ours)?.median(figure)
}

fn of(rows: &[Row], setting: &str, is_wanted: impl Fn(&Row) -> bool, figure: Figure) -> Vec<f64> {
    rows.iter().filter(|row| row.setting == setting && is_wanted(row)).filter_map(|row| row.median(figure)).collect()
}

fn word(figure: Figure) -> &'static str {
    match figure {
        Figure::Wall => "wall time",
        Figure::Cpu => "CPU time",
        Figure::Memory => "memory in MiB",
        Figure::Switches => "context switches",
    }
}
