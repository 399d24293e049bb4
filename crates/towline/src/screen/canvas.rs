//! What is drawn: the lines of progress, with a line of the keyboard's below them. All of it is the message of one
//! indicatif bar, so that a redraw is a single write. The reporter and the keyboard share it.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::say::say;
use crate::screen::taskbar::Taskbar;

/// The limit for indicatif, above our own, so that it never drops a frame.
const REDRAWS_PER_SECOND: u8 = 20;

/// The screen's lines.
pub(crate) struct Canvas {
    bar: ProgressBar,
    state: Mutex<State>,
}

struct State {
    lines: Vec<String>,
    /// What the keyboard says.
    hint: Option<String>,
    is_drawn: bool,
    taskbar: Taskbar,
}

impl Canvas {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
        Self {
            bar: ProgressBar::with_draw_target(None, target).with_style(style),
            state: Mutex::new(State {
                lines: Vec::new(),
                hint: None,
                is_drawn: false,
                taskbar: Taskbar::of_environment(),
            }),
        }
    }

    /// Draws these lines, and shows `percent` in the terminal's title or taskbar.
    pub(crate) fn draw(&self, lines: Vec<String>, percent: Option<u8>) {
        self.with(|state| {
            if lines.is_empty() && !state.is_drawn {
                return;
            }
            (state.lines, state.is_drawn) = (lines, true);
            self.redraw(state);
            state.taskbar.show(percent);
        });
    }

    /// Shows a line of the keyboard's, or none.
    pub(crate) fn hint(&self, hint: Option<String>) {
        self.with(|state| {
            state.hint = hint;
            if state.is_drawn {
                self.redraw(state);
            }
        });
    }

    /// Lets a message scroll by above.
    pub(crate) fn note(&self, text: &str) {
        self.with(|state| match state.is_drawn {
            true => self.bar.println(text),
            false => say(text),
        });
    }

    /// Clears what is drawn.
    pub(crate) fn clear(&self) {
        self.with(|state| {
            if state.is_drawn {
                self.bar.finish_and_clear();
                state.taskbar.clear();
                state.is_drawn = false;
            }
        });
    }

    fn redraw(&self, state: &State) {
        let lines: Vec<&str> = state.lines.iter().chain(&state.hint).map(String::as_str).collect();
        self.bar.set_message(lines.join("\n"));
    }

    fn with(&self, act: impl FnOnce(&mut State)) {
        act(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}
