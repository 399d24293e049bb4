//! A contender at one setting, and what it showed.

use std::collections::BTreeMap;
use std::fmt;

use crate::meter::{Figure, Figures, median};

/// What this crate is called among its peers.
pub(crate) const OURS: &str = "towline-threads";

/// One contender at one setting.
pub(crate) struct Case {
    pub(crate) contender: &'static str,
    pub(crate) ours: bool,
    pub(crate) setting: String,
    /// Its process is bound to one processor.
    pub(crate) one_cpu: bool,
    pub(crate) work: Work,
}

pub(crate) enum Work {
    /// Done by this program, in a child process.
    Here(Box<dyn Fn() -> Figures>),
    /// Done by `benches/cpython.py`, with these arguments.
    Python(Vec<String>),
}

/// A case and its figures, one of each kind for each round.
pub(crate) struct Row {
    pub(crate) contender: &'static str,
    pub(crate) ours: bool,
    pub(crate) setting: String,
    pub(crate) trouble: Option<Trouble>,
    seen: BTreeMap<Figure, Vec<f64>>,
}

/// Why a case has no figures.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// This machine lacks what it needs.
    Unavailable(String),
    Failed(String),
}

impl Case {
    pub(crate) fn new(
        contender: &'static str,
        setting: impl Into<String>,
        work: impl Fn() -> Figures + 'static,
    ) -> Self {
        Self {
            contender,
            ours: contender == OURS,
            setting: setting.into(),
            one_cpu: false,
            work: Work::Here(Box::new(work)),
        }
    }

    pub(crate) fn python(contender: &'static str, setting: impl Into<String>, arguments: Vec<String>) -> Self {
        Self { contender, ours: false, setting: setting.into(), one_cpu: false, work: Work::Python(arguments) }
    }

    pub(crate) fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    pub(crate) fn on_one_cpu(mut self, one_cpu: bool) -> Self {
        self.one_cpu = one_cpu;
        self
    }
}

impl Row {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            contender: case.contender,
            ours: case.ours,
            setting: case.setting.clone(),
            trouble: None,
            seen: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, figures: &Figures) {
        for &(figure, value) in &figures.0 {
            self.seen.entry(figure).or_default().push(value);
        }
    }

    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        median(self.values(figure))
    }

    pub(crate) fn min(&self, figure: Figure) -> Option<f64> {
        self.values(figure).iter().copied().reduce(f64::min)
    }

    pub(crate) fn max(&self, figure: Figure) -> Option<f64> {
        self.values(figure).iter().copied().reduce(f64::max)
    }

    fn values(&self, figure: Figure) -> &[f64] {
        self.seen.get(&figure).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) | Self::Failed(reason) => f.write_str(reason),
        }
    }
}
