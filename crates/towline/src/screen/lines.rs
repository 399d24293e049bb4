//! Progress where nothing can be redrawn: a line per file if there are few, and a total line every two
//! seconds. No control codes.

use std::time::{Duration, Instant};

use towline_engine::event::Progress;
use towline_engine::{Event, Reporter};

use crate::say::say;
use crate::screen::collect::Arrived;
use crate::screen::notes::Notes;
use crate::screen::{View, summary, text};

const EVERY: Duration = Duration::from_secs(2);

/// Prints lines.
pub(crate) struct Lines {
    notes: Notes,
    is_single: bool,
    is_few: bool,
    /// When progress was last printed; at first, the start of the run.
    said: Instant,
}

impl Lines {
    pub(crate) fn new(view: &View) -> Self {
        Self { notes: Notes::new(view), is_single: view.is_single, is_few: view.is_few, said: Instant::now() }
    }

    fn progress(&mut self, progress: &Progress) {
        if self.said.elapsed() < EVERY {
            return;
        }
        self.said = Instant::now();
        match progress.files.first() {
            Some(file) if self.is_single => {
                let how = text::file(file, progress.eta_seconds);
                say(&format!("{}: {}", text::shown(&file.path), how.trim_start()));
            }
            None if self.is_single => {}
            _ => say(&text::total(progress)),
        }
    }
}

impl Reporter for Lines {
    fn report(&mut self, event: &Event) {
        if let Some(text) = self.notes.text(event) {
            say(&text);
        }
        if let Event::Progress(progress) = event {
            self.progress(progress);
        }
        let gets_line = self.is_few && !self.is_single;
        if let Some(arrived) = Arrived::of(event).filter(|_| gets_line) {
            say(&summary::arrived(&arrived));
        }
    }
}
