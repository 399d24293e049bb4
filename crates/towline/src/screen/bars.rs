//! Progress on a terminal: a total line and at most eight files below it, redrawn in one write at most
//! ten times a second and cleared at the end. Notes scroll by above it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use towline_engine::event::{FileProgress, FileState, Progress};
use towline_engine::{Event, Reporter};

use crate::screen::canvas::Canvas;
use crate::screen::notes::Notes;
use crate::screen::{View, text};

/// Shorter runs draw nothing.
const FIRST: Duration = Duration::from_millis(300);
/// Slightly less than the 100 ms between two progress events, so that none is skipped.
const EVERY: Duration = Duration::from_millis(90);
const COLUMNS_DEFAULT: usize = 80;
const NAME_CELLS_MAX: usize = 40;
const BAR_CELLS_MAX: usize = 30;
const BAR_CELLS_MIN: usize = 8;
/// From this width on, each of several files has a bar, of so many cells.
const WIDE: usize = 79;
const BAR_CELLS_OF_MANY: usize = 12;
/// Below this width, a file has the shortest text.
const NARROW: usize = 60;

/// Draws bars.
pub(crate) struct Bars {
    notes: Notes,
    is_single: bool,
    paint: Paint,
    begun: Instant,
    drawn: Option<Instant>,
    canvas: Arc<Canvas>,
}

impl Bars {
    pub(crate) fn new(view: &View, has_colour: bool) -> Self {
        Self {
            notes: Notes::new(view),
            is_single: view.is_single,
            paint: Paint { is_on: has_colour },
            begun: Instant::now(),
            drawn: None,
            canvas: Arc::new(Canvas::new()),
        }
    }

    pub(crate) fn canvas(&self) -> &Arc<Canvas> {
        &self.canvas
    }

    fn draw(&mut self, progress: &Progress) {
        let is_early = self.begun.elapsed() < FIRST || self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY);
        if is_early {
            return;
        }
        self.drawn = Some(Instant::now());
        let percent = part_of(progress).map(|(done, total)| text::percent(done, total) as u8);
        self.canvas.draw(frame(progress, columns(), self.is_single, self.paint), percent);
    }
}

impl Reporter for Bars {
    fn report(&mut self, event: &Event) {
        if let Some(text) = self.notes.text(event) {
            self.canvas.note(&text);
        }
        match event {
            Event::Progress(progress) => self.draw(progress),
            Event::Summary(_) => self.canvas.clear(),
            _ => {}
        }
    }
}

/// Colours, where they are wanted.
#[derive(Clone, Copy, Debug)]
struct Paint {
    is_on: bool,
}

impl Paint {
    const RED: u8 = 31;
    const GREEN: u8 = 32;
    const YELLOW: u8 = 33;

    fn of(self, text: &str, colour: u8) -> String {
        match self.is_on && !text.is_empty() {
            true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// Colours these words in a line that has been cut to its width.
    fn words(self, line: &str, words: &str, colour: u8) -> String {
        match line.find(words) {
            Some(_) if self.is_on => line.replacen(words, &self.of(words, colour), 1),
            _ => line.to_owned(),
        }
    }
}

/// The lines to draw on a terminal with this many columns.
fn frame(progress: &Progress, columns: usize, is_single: bool, paint: Paint) -> Vec<String> {
    // The last column stays free: some terminals wrap there.
    let width = columns.saturating_sub(1);
    let mut lines = Vec::new();
    if !is_single {
        lines.push(total_line(progress, width, paint));
    }
    for file in progress.files.iter().take(Progress::FILES_MAX) {
        lines.push(file_line(file, progress, width, is_single, paint));
    }
    if progress.more_files > 0 {
        lines.push(text::fit(&format!("… and {} more", progress.more_files), width));
    }
    lines
}

/// What is done of the whole, by bytes or else by files; `None` if nobody knows how much that is.
fn part_of(progress: &Progress) -> Option<(u64, u64)> {
    match progress.total_bytes_exact {
        true => Some((progress.done_bytes, progress.total_bytes)),
        false => {
            let ended = progress.done_files + progress.failed_files;
            progress.total_files_exact.then_some((ended, progress.total_files))
        }
    }
}

fn total_line(progress: &Progress, width: usize, paint: Paint) -> String {
    let text = if width < NARROW { text::short_total(progress) } else { text::total(progress) };
    let cells = room_beside(&text, width);
    let bar = part_of(progress).filter(|_| cells >= BAR_CELLS_MIN).map(|(done, total)| {
        let full = (text::percent(done, total) as usize * cells / 100).min(cells);
        format!("[{}{}] ", paint.of(&"=".repeat(full), Paint::GREEN), " ".repeat(cells - full))
    });
    let text = text::fit(&text, width);
    let failed = format!("{} failed", progress.failed_files);
    format!("{}{}", bar.unwrap_or_default(), paint.words(&text, &failed, Paint::RED))
}

fn file_line(file: &FileProgress, progress: &Progress, width: usize, is_single: bool, paint: Paint) -> String {
    let part = if !is_single && width >= WIDE { 4 } else { 3 };
    let name_cells = (width / part).clamp(1, NAME_CELLS_MAX);
    let name = text::shown(&file.path);
    let eta_seconds = progress.eta_seconds.filter(|_| is_single);
    let state = if width < NARROW { text::short_file(file, eta_seconds) } else { text::file(file, eta_seconds) };
    let painted = |text: &str| paint.words(text, waiting(file.state), Paint::YELLOW);
    if is_single {
        let text = format!("{}  {state}", text::fit(&name, name_cells));
        let cells = room_beside(&text, width);
        let bar = bar_of_parts(&file.parts, cells, paint).filter(|_| cells >= BAR_CELLS_MIN);
        let bar = bar.map(|bar| format!("[{bar}] ")).unwrap_or_default();
        return format!("{bar}{}", painted(&text::fit(&text, width)));
    }
    // Below each other, all bars have one width.
    let name = format!("  {}  ", text::column(&name, name_cells));
    let cells = if width >= WIDE { BAR_CELLS_OF_MANY } else { 0 };
    let (bar, taken) = match bar_of_parts(&file.parts, cells, paint) {
        Some(bar) => (format!("[{bar}]  "), cells + 4),
        None if cells > 0 => (" ".repeat(cells + 4), cells + 4),
        None => (String::new(), 0),
    };
    let room = width.saturating_sub(text::cells(&name) + taken);
    if room == 0 {
        return text::fit(&format!("{name}{state}"), width);
    }
    // The number of connections is what is missed least.
    let state = match width >= NARROW && text::cells(&state) > room {
        true => text::file(&FileProgress { connections: 0, ..file.clone() }, None),
        false => state,
    };
    format!("{name}{bar}{}", painted(&text::fit(&state, room)))
}

/// How many cells a bar may have beside a text, with its brackets and blanks.
fn room_beside(text: &str, width: usize) -> usize {
    width.saturating_sub(text::cells(text) + 4).min(BAR_CELLS_MAX)
}

/// Words that say that a file gets nothing.
fn waiting(state: FileState) -> &'static str {
    match state {
        FileState::Waiting => "waiting to retry",
        FileState::Paused => "paused",
        _ => "\n",
    }
}

/// A bar that shows which parts of a file are there: `=` for what is complete, `-` for what has begun.
fn bar_of_parts(parts: &[u8], cells: usize, paint: Paint) -> Option<String> {
    if parts.is_empty() || cells == 0 {
        return None;
    }
    let cell = |number: usize| {
        let (first, last) = (number * parts.len() / cells, ((number + 1) * parts.len()).div_ceil(cells));
        let of_cell = &parts[first..last.clamp(first + 1, parts.len())];
        match () {
            () if of_cell.iter().all(|part| *part == 100) => '=',
            () if of_cell.iter().any(|part| *part > 0) => '-',
            () => ' ',
        }
    };
    Some(paint.of(&(0..cells).map(cell).collect::<String>(), Paint::GREEN))
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

    use super::*;

    const PLAIN: Paint = Paint { is_on: false };

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
            parts: vec![100, 100, 0, 50],
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
        let lines = frame(&progress(), 100, false, PLAIN);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("[==============="), "{}", lines[0]);
        assert!(lines[0].ends_with("2 of 12 files  512 B of 1.00 KiB  256 B/s  2 s left"), "{}", lines[0]);
        assert_eq!(lines[1], "… and 3 more");
    }

    #[test]
    fn lines_fit_the_terminal_and_colour_can_be_left_out() {
        let progress = Progress { files: NAMES.map(file).into(), ..progress() };
        for columns in [1, 2, 10, 40, 60, 80, 200] {
            for line in [frame(&progress, columns, false, PLAIN), frame(&progress, columns, true, PLAIN)].concat() {
                assert!(text::cells(&line) < columns, "{columns}: {line:?}");
                assert!(!line.contains('\u{1b}'));
            }
        }
        assert!(frame(&progress, 100, false, Paint { is_on: true })[0].contains("\u{1b}[32m"));
    }

    #[test]
    fn columns_line_up_whatever_the_names() {
        let lines = frame(&Progress { files: NAMES.map(file).into(), more_files: 0, ..progress() }, 81, false, PLAIN);
        assert_eq!(lines.len(), 1 + NAMES.len());
        for line in &lines[1..] {
            let (name, state) = line.split_at(line.find(" 50 %").unwrap());
            assert_eq!(text::cells(name), 40, "{line:?}");
            assert_eq!(state, " 50 %  512 B of 1.00 KiB  connecting", "{line:?}");
        }
    }

    #[test]
    fn parts_are_shown_where_there_is_room() {
        let lines = frame(&Progress { files: NAMES.map(file).into(), more_files: 0, ..progress() }, 120, false, PLAIN);
        for line in &lines[1..] {
            assert!(line.ends_with("  [======   ---]   50 %  512 B of 1.00 KiB  connecting"), "{line:?}");
        }
        let single = frame(&Progress { files: vec![file("a.iso")], more_files: 0, ..progress() }, 80, true, PLAIN);
        assert_eq!(single, ["[===============       --------] a.iso   50 %  512 B of 1.00 KiB  connecting"]);
    }

    #[test]
    fn a_narrow_terminal_gets_what_matters() {
        let mut file = file("a.iso");
        (file.state, file.rate_bps) = (FileState::Downloading, 1 << 20);
        let progress = Progress { files: vec![file], more_files: 0, rate_bps: 1 << 20, ..progress() };
        assert_eq!(frame(&progress, 40, true, PLAIN), ["a.iso   50 %  1.00 MiB/s  2 s"]);
        let lines = frame(&progress, 40, false, PLAIN);
        assert_eq!(lines, ["[=======       ] 2/12  1.00 MiB/s  2 s", "  a.iso           50 %  1.00 MiB/s"]);
    }

    #[test]
    fn what_waits_or_failed_stands_out() {
        let waiting = FileProgress { state: FileState::Waiting, ..file("a.iso") };
        let progress = Progress { files: vec![waiting], failed_files: 3, ..progress() };
        let lines = frame(&progress, 120, false, Paint { is_on: true });
        assert!(lines[0].contains("\u{1b}[31m3 failed\u{1b}[0m"), "{lines:?}");
        assert!(lines[1].contains("\u{1b}[33mwaiting to retry\u{1b}[0m"), "{lines:?}");
    }

    #[test]
    fn a_single_file_needs_no_line_for_the_whole() {
        assert_eq!(frame(&Progress { more_files: 0, ..progress() }, 80, true, PLAIN), Vec::<String>::new());
    }
}
