//! Progress in the taskbar or the tab of a terminal (ConEmu's OSC 9;4), for terminals that are known to show it: others
//! may take it for a notification.

use std::env;
use std::io::{self, Write as _};

/// Programs that show it, by what they call themselves.
const PROGRAMS: [&str; 3] = ["WezTerm", "ghostty", "iTerm.app"];

/// Shows a percentage.
pub(crate) struct Taskbar {
    is_known: bool,
    shown: Option<u8>,
}

impl Taskbar {
    /// For the terminal that the environment names.
    pub(crate) fn of_environment() -> Self {
        let is = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let program = env::var("TERM_PROGRAM").unwrap_or_default();
        let is_known = is("WT_SESSION") || is("ConEmuANSI") || PROGRAMS.contains(&program.as_str());
        // A multiplexer keeps it for itself.
        Self { is_known: is_known && !is("TMUX") && !is("STY"), shown: None }
    }

    /// Shows a percentage; `None` shows that something is going on.
    pub(crate) fn show(&mut self, percent: Option<u8>) {
        if self.is_known && self.shown != Some(percent.unwrap_or(u8::MAX)) {
            self.shown = Some(percent.unwrap_or(u8::MAX));
            write(&match percent {
                Some(percent) => format!("1;{percent}"),
                None => "3;0".to_owned(),
            });
        }
    }

    /// Shows nothing any more.
    pub(crate) fn clear(&mut self) {
        if self.shown.take().is_some() {
            write("0;0");
        }
    }
}

fn write(state: &str) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\u{1b}]9;4;{state}\u{1b}\\").and_then(|()| stderr.flush());
}
