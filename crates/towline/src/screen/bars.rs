//! Progress on a terminal: a total line and at most eight files below it, redrawn in one write at most
//! ten times a second and cleared at the end. Notes scroll by above it.
//!
//! All lines are the message of one indicatif bar, so that a redraw is a single write.

use std::io;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use towline_engine::event::{FileProgress, Progress};
use towline_engine::{Event, Reporter};

use crate::say::say;
use crate::screen::notes::Notes;
use crate::screen::{View, text};

/// Shorter runs draw nothing.
const FIRST: Duration = Duration::from_millis(300);
/// Slightly less than the 100 ms between two progress events, so that none is skipped.
const EVERY: Duration = Duration::from_millis(90);
/// The limit for indicatif, above our own, so that it never drops a frame.
const REDRAWS_PER_SECOND: u8 = 20;
const COLUMNS_DEFAULT: usize = 80;
const NAME_CELLS_MAX: usize = 40;

/// Draws bars.
pub(crate) struct Bars {
    notes: Notes,
    is_single: bool,
    has_colour: bool,
    begun: Instant,
    drawn: Option<Instant>,
    bar: ProgressBar,
}

impl Bars {
    pub(crate) fn new(view: &View, has_colour: bool) -> Self {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
        Self {
            notes: Notes::new(view),
            is_single: view.is_single,
            has_colour,
            begun: Instant::now(),
            drawn: None,
            bar: ProgressBar::with_draw_target(None, target).with_style(style),
        }
    }

    fn draw(&mut self, progress: &Progress) {
        let is_early = self.begun.elapsed() < FIRST || self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY);
        if is_early {
            return;
        }
        let lines = frame(progress, columns(), self.is_single, self.has_colour);
        if lines.is_empty() && self.drawn.is_none() {
            return;
        }
        self.drawn = Some(Instant::now());
        self.bar.set_message(lines.join("\n"));
    }

    fn note(&self, text: &str) {
        if self.drawn.is_some() {
            self.bar.println(text);
        } else {
            say(text);
        }
    }
}

impl Reporter for Bars {
    fn report(&mut self, event: &Event) {
        if let Some(text) = self.notes.text(event) {
            self.note(&text);
        }
        match event {
            Event::Progress(progress) => self.draw(progress),
            Event::Summary(_) if self.drawn.is_some() => {
                self.bar.finish_and_clear();
                self.drawn = None;
            }
            _ => {}
        }
    }
}

/// The lines to draw on a terminal with this many columns.
fn frame(progress: &Progress, columns: usize, is_single: bool, has_colour: bool) -> Vec<String> {
    // The last column stays free: some terminals wrap there.
    let width = columns.saturating_sub(1);
    let mut lines = Vec::new();
    if !is_single {
        lines.push(total_line(progress, width, has_colour));
    }
    for file in progress.files.iter().take(Progress::FILES_MAX) {
        lines.push(file_line(file, progress, width, is_single, has_colour));
    }
    if progress.more_files > 0 {
        lines.push(text::fit(&format!("… and {} more", progress.more_files), width));
    }
    lines
}

fn total_line(progress: &Progress, width: usize, has_colour: bool) -> String {
    let (done, total) = if progress.total_bytes_exact {
        (progress.done_bytes, progress.total_bytes)
    } else {
        (progress.done_files + progress.failed_files, progress.total_files)
    };
    let is_known = progress.total_bytes_exact || progress.total_files_exact;
    behind_bar(is_known.then_some((done, total)), &text::total(progress), width, has_colour)
}

fn file_line(file: &FileProgress, progress: &Progress, width: usize, is_single: bool, has_colour: bool) -> String {
    let name_cells = (width / 3).clamp(1, NAME_CELLS_MAX);
    let name = text::shown(&file.path);
    if !is_single {
        let name = text::column(&name, name_cells);
        return text::fit(&format!("  {name}  {}", text::file(file, None)), width);
    }
    let how = format!("{}  {}", text::fit(&name, name_cells), text::file(file, progress.eta_seconds));
    behind_bar(file.total_bytes.map(|total| (file.done_bytes, total)), &how, width, has_colour)
}

/// A bar and a text, or only the text if there is no room for both.
fn behind_bar(part: Option<(u64, u64)>, text: &str, width: usize, has_colour: bool) -> String {
    let bar_cells = width.saturating_sub(text::cells(text) + 3).min(30);
    match part {
        Some((done, total)) if bar_cells >= 8 => {
            let full = (text::percent(done, total) as usize * bar_cells / 100).min(bar_cells);
            let (bar, rest) = ("=".repeat(full), " ".repeat(bar_cells - full));
            if has_colour {
                format!("[\u{1b}[32m{bar}\u{1b}[0m{rest}] {text}")
            } else {
                format!("[{bar}{rest}] {text}")
            }
        }
        _ => text::fit(text, width),
    }
}

fn columns() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => COLUMNS_DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use towline_engine::JobId;
    use towline_engine::event::FileState;

    use super::*;

    /// ASCII, wide, combining and joined.
    const NAMES: [&str; 4] = ["a.iso", "漢字漢字漢字漢字漢字漢字漢字漢字.iso", "cafe\u{301}.iso", "👩\u{200d}💻.iso"];

    fn file(name: &str) -> FileProgress {
        FileProgress {
            job: JobId::new(0),
            path: name.into(),
            done_bytes: 512,
            total_bytes: Some(1024),
            rate_bps: 0,
            connections: 0,
            state: FileState::Connecting,
        }
    }

    fn progress() -> Progress {
        Progress {
            done_files: 2,
            total_files: 12,
            total_files_exact: true,
            done_bytes: 512,
            total_bytes: 1024,
            total_bytes_exact: true,
            rate_bps: 256,
            eta_seconds: Some(2),
            more_files: 3,
            ..Progress::default()
        }
    }

    #[test]
    fn the_whole_comes_first_and_more_files_are_counted() {
        let lines = frame(&progress(), 100, false, false);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("[==============="), "{}", lines[0]);
        assert!(lines[0].ends_with("2 of 12 files  512 B of 1.00 KiB  256 B/s  2 s left"), "{}", lines[0]);
        assert_eq!(lines[1], "… and 3 more");
    }

    #[test]
    fn lines_fit_the_terminal_and_colour_can_be_left_out() {
        let progress = Progress { files: NAMES.map(file).into(), ..progress() };
        for columns in [1, 2, 10, 40, 60, 80, 200] {
            for line in [frame(&progress, columns, false, false), frame(&progress, columns, true, false)].concat() {
                assert!(text::cells(&line) < columns, "{columns}: {line:?}");
                assert!(!line.contains('\u{1b}'));
            }
        }
        assert!(frame(&progress, 100, false, true)[0].contains("\u{1b}[32m"));
    }

    #[test]
    fn columns_line_up_whatever_the_names() {
        let lines = frame(&Progress { files: NAMES.map(file).into(), more_files: 0, ..progress() }, 81, false, false);
        assert_eq!(lines.len(), 1 + NAMES.len());
        for line in &lines[1..] {
            let (name, state) = line.split_at(line.find(" 50 %").unwrap());
            assert_eq!(text::cells(name), 30, "{line:?}");
            assert_eq!(state, " 50 %  512 B of 1.00 KiB  connecting", "{line:?}");
        }
    }

    #[test]
    fn a_single_file_needs_no_line_for_the_whole() {
        assert_eq!(frame(&Progress { more_files: 0, ..progress() }, 80, true, false), Vec::<String>::new());
    }
}
