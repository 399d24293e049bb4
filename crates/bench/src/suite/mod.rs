//! The suites: what is fetched, by whom, and what is hoped for.

mod big;
mod durability;
mod far;
mod goal;
mod latency;
mod memory;
mod resume;
mod scale;
mod small;
mod start;
mod throttled;

use std::sync::Arc;

use crate::contender::{Contender, Program, Shape};
use crate::harness::{Bench, Case, Figure, Place, Row};
use crate::server::Nginx;
use crate::source::Source;
pub use goal::Goal;

/// How much work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What the page shows.
    Full,
    /// A small part of it, to see that all of it runs.
    Quick,
}

/// What the cases of a suite are made from.
pub struct Setting<'a> {
    /// The programs and places.
    pub bench: &'a Bench,
    /// For suites about speed.
    pub nginx: Arc<Nginx>,
    /// How much work.
    pub extent: Extent,
}

/// How a suite is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// Bars with their spread, for this figure.
    Bars(Figure),
    /// Curves over the number of files.
    Curves(Figure),
    /// Not at all.
    None,
}

/// A kind of work.
#[derive(Clone, Copy)]
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What is done, in a sentence or two.
    pub text: &'static str,
    /// Its cases, in the order of the table. Those that cannot run here are missing.
    pub cases: fn(&Setting) -> Vec<Case>,
    /// What came of its goals.
    pub goals: fn(&[Row]) -> Vec<Goal>,
    /// More rounds would take too long.
    pub rounds_max: usize,
    /// How it is drawn.
    pub drawing: Drawing,
}

/// All of them.
pub const SUITES: [Suite; 10] = [
    big::SUITE,
    small::SUITE,
    latency::SUITE,
    durability::SUITE,
    resume::SUITE,
    memory::SUITE,
    start::SUITE,
    far::SUITE,
    throttled::SUITE,
    scale::SUITE,
];

impl Suite {
    /// The suite of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SUITES.into_iter().find(|suite| suite.name == name)
    }
}

impl Extent {
    /// One of two numbers.
    fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// Cases that fetch `source` in the same setting, one for each contender that is there and able.
fn fetches(
    setting: &Setting,
    name: &str,
    source: &Source,
    shape: Shape,
    place: Place,
    contenders: &[Contender],
) -> Vec<Case> {
    let case = |contender: &Contender| Case::fetch(setting.bench, name, *contender, source, shape, place);
    contenders.iter().filter_map(case).collect()
}

/// Programs without further options.
fn plain(programs: &[Program]) -> Vec<Contender> {
    programs.iter().map(|program| Contender::plain(*program)).collect()
}
