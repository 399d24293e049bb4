//! What people, and programs that read events, see of a run: reporters of the engine's events, called
//! on the session's reporter thread. `collect` keeps what the final messages need.

mod bars;
mod canvas;
mod collect;
mod json;
mod keys;
mod lines;
mod notes;
pub(crate) mod summary;
mod taskbar;
pub(crate) mod text;
mod worded;

use std::env;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use towline_engine::{Event, Reporter};

use crate::args::ProgressArg;

pub(crate) use canvas::Canvas;
pub(crate) use collect::{Collected, Collector};
pub(crate) use keys::Keys;
pub(crate) use worded::Worded;

use bars::Bars;
use json::Json;
use lines::Lines;
use notes::Notes;

/// What the reporters need to know about the run.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// One URL and no list.
    pub(crate) is_single: bool,
    /// The file goes to standard output or a pipe.
    pub(crate) is_stream: bool,
    /// Few enough files for a line each.
    pub(crate) is_few: bool,
    pub(crate) is_quiet: bool,
    pub(crate) is_verbose: bool,
    pub(crate) progress: ProgressArg,
}

/// The reporter that suits `--progress` and the terminal.
pub(crate) enum Screen {
    Bars(Box<Bars>),
    Lines(Lines),
    Json(Json),
    Notes(Notes),
    Nothing,
}

/// Which [`Screen`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bars,
    Lines,
    Json,
    Notes,
    Nothing,
}

impl Screen {
    pub(crate) fn new(view: &View, collected: &Arc<Collected>) -> Self {
        let can_redraw = io::stderr().is_terminal() && env::var_os("TERM").is_some_and(|term| term != "dumb");
        match choose(view.progress, view.is_quiet, can_redraw) {
            Kind::Bars => Self::Bars(Box::new(Bars::new(view, has_colour()))),
            Kind::Lines => Self::Lines(Lines::new(view)),
            Kind::Json => Self::Json(Json::new(Arc::clone(collected))),
            Kind::Notes => Self::Notes(Notes::new(view)),
            Kind::Nothing => Self::Nothing,
        }
    }
}

impl Screen {
    /// What bars are drawn on.
    pub(crate) fn canvas(&self) -> Option<Arc<Canvas>> {
        match self {
            Self::Bars(bars) => Some(Arc::clone(bars.canvas())),
            _ => None,
        }
    }
}

impl Reporter for Screen {
    fn report(&mut self, event: &Event) {
        match self {
            Self::Bars(bars) => bars.report(event),
            Self::Lines(lines) => lines.report(event),
            Self::Json(json) => json.report(event),
            Self::Notes(notes) => notes.report(event),
            Self::Nothing => {}
        }
    }
}

fn choose(asked: ProgressArg, is_quiet: bool, can_redraw: bool) -> Kind {
    match asked {
        ProgressArg::Json => Kind::Json,
        _ if is_quiet => Kind::Nothing,
        ProgressArg::Nothing => Kind::Notes,
        ProgressArg::Auto | ProgressArg::Bar if can_redraw => Kind::Bars,
        ProgressArg::Auto | ProgressArg::Bar | ProgressArg::Lines => Kind::Lines,
    }
}

fn has_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_for_terminals_and_events_for_whoever_asks() {
        assert_eq!(choose(ProgressArg::Auto, false, true), Kind::Bars);
        assert_eq!(choose(ProgressArg::Auto, false, false), Kind::Lines);
        assert_eq!(choose(ProgressArg::Bar, false, false), Kind::Lines);
        assert_eq!(choose(ProgressArg::Lines, false, true), Kind::Lines);
        assert_eq!(choose(ProgressArg::Nothing, false, true), Kind::Notes);
        assert_eq!(choose(ProgressArg::Auto, true, true), Kind::Nothing);
        assert_eq!(choose(ProgressArg::Json, true, true), Kind::Json);
    }
}
