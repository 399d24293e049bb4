//! Text that several reporters use: names, rates, times, lines that fit. Pure.

use std::path::Path;

use towline_engine::event::{FileProgress, FileState, Progress};
use towline_engine::secret::printable;
use towline_engine::size;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A path for display: no leading `./`, no control characters.
pub(crate) fn shown(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path);
    printable(&path.to_string_lossy()).into_owned()
}

/// `12.3 MiB/s`.
pub(crate) fn rate(bps: u64) -> String {
    format!("{}/s", size::bytes(bps))
}

/// Whole percent, rounded down, so that 100 means complete.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    match total {
        0 => 100,
        _ => (u128::from(done.min(total)) * 100 / u128::from(total)) as u64,
    }
}

/// `0.42 s`, `4.2 s`, `42 s`, then as [`span`].
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.995 {
        format!("{seconds:.2} s")
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else {
        span(seconds.round() as u64)
    }
}

/// `42 s`, `1m 20s`, `2h 05m`, `3d 04h`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// The state of the whole run, in one line.
pub(crate) fn total(progress: &Progress) -> String {
    let at_least = if progress.total_files_exact { "" } else { "at least " };
    let mut text = format!("{} of {at_least}{}", progress.done_files, files(progress.total_files));
    if progress.failed_files > 0 {
        text += &format!(", {} failed", progress.failed_files);
    }
    text += &format!("  {}", size::bytes(progress.done_bytes));
    if progress.total_bytes_exact {
        text += &format!(" of {}", size::bytes(progress.total_bytes));
    }
    text += &format!("  {}", rate(progress.rate_bps));
    if let Some(left) = progress.eta_seconds {
        text += &format!("  {} left", span(left));
    }
    text
}

/// The same for a narrow terminal.
pub(crate) fn short_total(progress: &Progress) -> String {
    let failed = match progress.failed_files {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let left = progress.eta_seconds.map(|left| format!("  {}", span(left))).unwrap_or_default();
    format!("{}/{}{failed}  {}{left}", progress.done_files, progress.total_files, rate(progress.rate_bps))
}

/// The state of one file for a narrow terminal.
pub(crate) fn short_file(file: &FileProgress, eta_seconds: Option<u64>) -> String {
    let done = match file.total_bytes {
        Some(total) => format!("{:>3} %", percent(file.done_bytes, total)),
        None => size::bytes(file.done_bytes),
    };
    let left = eta_seconds.map(|left| format!("  {}", span(left))).unwrap_or_default();
    match file.state {
        FileState::Downloading => format!("{done}  {}{left}", rate(file.rate_bps)),
        state => format!("{done}  {}", doing(state)),
    }
}

/// What is done with a file that gets no bytes.
fn doing(state: FileState) -> &'static str {
    match state {
        FileState::Downloading => "downloading",
        FileState::Connecting => "connecting",
        FileState::Waiting => "waiting to retry",
        FileState::Verifying => "verifying",
        FileState::Finishing => "finishing",
        FileState::Paused => "paused",
    }
}

/// The state of one file, without its name.
pub(crate) fn file(file: &FileProgress, eta_seconds: Option<u64>) -> String {
    let mut text = size::bytes(file.done_bytes);
    if let Some(total) = file.total_bytes {
        text = format!("{:>3} %  {text} of {}", percent(file.done_bytes, total), size::bytes(total));
    }
    let now = match file.state {
        FileState::Downloading => {
            let left = eta_seconds.map(|left| format!("  {} left", span(left))).unwrap_or_default();
            let connections = match file.connections {
                0 | 1 => String::new(),
                count => format!("  {count} connections"),
            };
            format!("{}{left}{connections}", rate(file.rate_bps))
        }
        state => doing(state).to_owned(),
    };
    format!("{text}  {now}")
}

/// Cuts a text to at most this many terminal cells, with a `…` in place of the rest.
pub(crate) fn fit(text: &str, cells_max: usize) -> String {
    if cells(text) <= cells_max {
        return text.to_owned();
    }
    let Some(room) = cells_max.checked_sub(1) else { return String::new() };
    let ends = text.char_indices().map(|(start, c)| start + c.len_utf8());
    let end = ends.take_while(|end| cells(&text[..*end]) <= room).last().unwrap_or(0);
    format!("{}…", &text[..end])
}

/// Cuts or pads a text to exactly this many terminal cells.
pub(crate) fn column(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let padding = " ".repeat(width.saturating_sub(cells(&text)));
    text + &padding
}

/// The terminal cells that a text takes.
///
/// Terminals disagree on sequences such as joined emoji: some draw one character, others each part, and indicatif
/// counts the parts. The larger number counts, so that a line never wraps.
pub(crate) fn cells(text: &str) -> usize {
    let parts: usize = text.chars().filter_map(|c| c.width()).sum();
    parts.max(text.width())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let cases = [(0.418, "0.42 s"), (4.23, "4.2 s"), (42.4, "42 s"), (80.0, "1m 20s"), (7500.0, "2h 05m")];
        for (time, text) in cases {
            assert_eq!(seconds(time), text);
        }
        assert_eq!(span(3 * 86_400 + 4 * 3600), "3d 04h");
    }

    #[test]
    fn hundred_percent_is_all() {
        assert_eq!(percent(999, 1000), 99);
        assert_eq!(percent(1000, 1000), 100);
        assert_eq!(percent(0, 0), 100);
    }

    #[test]
    fn width_is_counted_in_cells() {
        let narrow = [("", 0), ("a.iso", 5), ("ｱ", 1), ("e\u{301}", 1), ("ก\u{e34}", 1), ("\u{200b}", 0)];
        let wide = [("漢字", 4), ("한글", 4), ("Ａ", 2), ("👍", 2), ("❤\u{fe0f}", 2), ("👩\u{200d}💻", 4)];
        for (text, width) in narrow.into_iter().chain(wide) {
            assert_eq!(cells(text), width, "{text:?}");
        }
    }

    #[test]
    fn a_cut_leaves_whole_characters_that_fit() {
        let cases = [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcde…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            ("漢字", 2, "…"),
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("👍👍", 3, "👍…"),
        ];
        for (text, cells_max, cut) in cases {
            assert_eq!(fit(text, cells_max), cut, "{text:?} in {cells_max}");
            assert!(cells(cut) <= cells_max, "{text:?} in {cells_max}");
        }
    }

    #[test]
    fn a_column_has_its_width() {
        let cases = [
            ("ab", 4, "ab  "),
            ("abcde", 4, "abc…"),
            ("漢字", 5, "漢字 "),
            ("漢字漢字", 4, "漢… "),
            ("e\u{301}", 3, "e\u{301}  "),
            ("", 2, "  "),
        ];
        for (text, width, padded) in cases {
            assert_eq!(column(text, width), padded, "{text:?} in {width}");
        }
    }

    #[test]
    fn totals_say_at_least_until_they_are_known() {
        let mut progress = Progress { done_files: 2, total_files: 3, rate_bps: 1 << 20, ..Progress::default() };
        assert_eq!(total(&progress), "2 of at least 3 files  0 B  1.00 MiB/s");
        progress.total_files_exact = true;
        progress.total_bytes_exact = true;
        progress.total_bytes = 2048;
        progress.eta_seconds = Some(61);
        assert_eq!(total(&progress), "2 of 3 files  0 B of 2.00 KiB  1.00 MiB/s  1m 01s left");
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        assert_eq!(shown(Path::new("./a.iso")), "a.iso");
        assert!(!shown(Path::new("a\u{1b}[2J")).contains('\u{1b}'));
    }
}
