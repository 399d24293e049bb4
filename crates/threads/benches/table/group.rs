//! The groups of cases.

use crate::case::{Case, Row};
use crate::goal::Goal;
use crate::meter::Figure;
use crate::{cpython, fork_join, idle, latency, locks, queues, submit};

/// Cases that are compared with one another.
pub(crate) struct Group {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is done and what the figures are, for the document.
    pub(crate) about: &'static str,
    pub(crate) unit: Unit,
    /// Columns after median, min and max; medians over the rounds.
    pub(crate) columns: &'static [Figure],
    pub(crate) cases: fn(Scale) -> Vec<Case>,
    pub(crate) goals: fn(&[Row]) -> Vec<Goal>,
}

/// What the figures of a group are printed in.
#[derive(Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) label: &'static str,
    /// How much of what is measured makes one of it.
    pub(crate) size: f64,
}

/// How much work a case does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Full,
    /// A twentieth: shows that all of it works.
    Quick,
}

pub(crate) static GROUPS: [&Group; 7] =
    [&submit::GROUP, &latency::GROUP, &idle::GROUP, &queues::GROUP, &locks::GROUP, &fork_join::GROUP, &cpython::GROUP];

impl Group {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        GROUPS.into_iter().find(|group| group.name == name)
    }
}

impl Unit {
    pub(crate) const NANOSECONDS: Self = Self { label: "ns", size: 1.0 };
    pub(crate) const MICROSECONDS: Self = Self { label: "µs", size: 1_000.0 };
    pub(crate) const MILLISECONDS: Self = Self { label: "ms", size: 1_000_000.0 };
    pub(crate) const SWITCHES: Self = Self { label: "switches", size: 1.0 };
}

impl Scale {
    pub(crate) fn of(self, full: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => full / 20,
        }
    }

    /// The word for it between a parent and its child.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Full, Self::Quick].into_iter().find(|scale| scale.word() == word)
    }
}
