//! What is measured, and how.

use std::time::Instant;

use crate::{allocations, system};

/// One kind of figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// What the group is about: nanoseconds, except where the group says otherwise.
    Main,
    /// The 99th percentile, in the unit of `Main`.
    P99,
    /// Context switches for each unit of work: the thread waited for something.
    Voluntary,
    /// Context switches for each unit of work: the thread had to make room.
    Involuntary,
    /// Allocations for each unit of work.
    Allocations,
    /// How many workers had a task.
    Workers,
}

/// What one run of one case brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(pub(crate) Vec<(Figure, f64)>);

/// Does `work`, which is `units` units of work.
///
/// Gives the time, with context switches, or the allocations if those are counted: never both, so
/// that counting does not slow down what is timed.
pub(crate) fn meter(units: u64, work: impl FnOnce()) -> Figures {
    let units = units as f64;
    if allocations::counting() {
        let before = allocations::count();
        work();
        let count = allocations::count() - before;
        return Figures(vec![(Figure::Allocations, count as f64 / units)]);
    }
    let before = system::switches();
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    let after = system::switches();
    let mut figures = Figures(vec![(Figure::Main, elapsed.as_nanos() as f64 / units)]);
    figures.add_switches(before, after, units);
    figures
}

impl Figure {
    const ALL: [Self; 6] =
        [Self::Main, Self::P99, Self::Voluntary, Self::Involuntary, Self::Allocations, Self::Workers];

    /// The word for it between a child and its parent.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::P99 => "p99",
            Self::Voluntary => "voluntary",
            Self::Involuntary => "involuntary",
            Self::Allocations => "allocations",
            Self::Workers => "workers",
        }
    }

    /// The head of its column.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Main => "median",
            Self::P99 => "p99",
            Self::Voluntary => "waits",
            Self::Involuntary => "preempted",
            Self::Allocations => "allocations",
            Self::Workers => "workers met",
        }
    }
}

impl Figures {
    pub(crate) fn add_switches(
        &mut self,
        before: Option<system::Switches>,
        after: Option<system::Switches>,
        units: f64,
    ) {
        if let (Some(before), Some(after)) = (before, after) {
            self.0.push((Figure::Voluntary, (after.voluntary - before.voluntary) / units));
            self.0.push((Figure::Involuntary, (after.involuntary - before.involuntary) / units));
        }
    }

    /// A line for each figure: its word and its value.
    pub(crate) fn to_lines(&self) -> String {
        self.0.iter().map(|(figure, value)| format!("{} {value}\n", figure.word())).collect()
    }

    /// Reads what [`to_lines`](Self::to_lines) wrote; `None` if it is anything else.
    pub(crate) fn from_lines(text: &str) -> Option<Self> {
        let mut figures = Self::default();
        for line in text.lines() {
            let (word, value) = line.split_once(' ')?;
            let figure = Figure::ALL.into_iter().find(|figure| figure.word() == word)?;
            figures.0.push((figure, value.parse().ok()?));
        }
        (!figures.0.is_empty()).then_some(figures)
    }
}

/// The middle of `values`; `None` if there are none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        Some(sorted[middle])
    } else if middle > 0 {
        Some(f64::midpoint(sorted[middle - 1], sorted[middle]))
    } else {
        None
    }
}
