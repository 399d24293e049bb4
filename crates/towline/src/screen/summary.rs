//! The messages at the end of a run: what was downloaded, what failed and why, how to resume. Pure.

use towline_engine::event::{ErrorReport, How, SourceShare, Summary};
use towline_engine::secret::printable;
use towline_engine::size;

use crate::advice::words;
use crate::screen::collect::Arrived;
use crate::screen::text;

const FAILURES_SHOWN: usize = 20;
const AGAIN: &str = "Run the same command again to go on.";

/// What was downloaded, in one line; `None` if nothing was. `file` is that of a single-file run.
pub(crate) fn came(summary: &Summary, file: Option<&Arrived>) -> Option<String> {
    if let Some(file) = file {
        return Some(arrived(file));
    }
    if summary.done_files == 0 && summary.failed_files > 0 {
        return None;
    }
    let mut line = format!("{}, {}", text::files(summary.done_files), size::bytes(summary.done_bytes));
    if summary.there_files > 0 {
        line += &format!(", {} already there", summary.there_files);
        if summary.there_by_size_files > 0 {
            line += &format!(" ({} compared by size only)", summary.there_by_size_files);
        }
    }
    if summary.not_newer_files > 0 {
        line += &format!(", {} not newer", summary.not_newer_files);
    }
    if summary.fetched_bytes > 0 {
        line += &format!("; fetched {}", speed(summary.fetched_bytes, summary.seconds));
    }
    Some(line)
}

/// How one file was completed.
pub(crate) fn arrived(file: &Arrived) -> String {
    let name = &file.name;
    let why = match file.how {
        How::Fetched if file.fetched_bytes < file.bytes => {
            let came = speed(file.fetched_bytes, file.seconds);
            return format!("{name}: {}; fetched {came}, the rest was already there", size::bytes(file.bytes));
        }
        How::Fetched => return format!("{name}: {}", speed(file.bytes, file.seconds)),
        How::ThereByLedger => "known from an earlier run",
        How::ThereByValidator => "same validator",
        How::ThereByNote => "unchanged since it was fetched",
        How::ThereByContent => "same content",
        How::ThereBySamples => "samples match",
        How::ThereByDigest => "same digest",
        How::ThereByTime => "same size and time",
        How::ThereBySize => "compared by size only",
        How::Skipped => return format!("{name}: left as it is (a file has this name)"),
        How::NotNewer => return format!("{name}: not fetched (it has not changed since the date given)"),
    };
    format!("{name}: already there ({why})")
}

/// What failed and why; `None` if nothing did.
pub(crate) fn failed(summary: &Summary, is_single: bool) -> Option<String> {
    if summary.failed_files == 0 {
        return None;
    }
    let mut lines = Vec::new();
    if !is_single {
        let of = if summary.total_files_exact { "of" } else { "of at least" };
        // A list that cannot be read has no files.
        let files = text::files(summary.total_files.max(summary.failed_files));
        lines.push(format!("towline: {} {of} {files} failed:", summary.failed_files));
    }
    for failure in summary.failures.iter().take(FAILURES_SHOWN) {
        let line = failure_line(&failure.url, &failure.error);
        lines.push(if is_single { format!("towline: {line}") } else { format!("  {line}") });
        if let Some(advice) = failure.error.advice.map(words) {
            lines.push(if is_single { format!("  → {advice}") } else { format!("    → {advice}") });
        }
    }
    let shown = summary.failures.len().min(FAILURES_SHOWN) as u64;
    let more = summary.failed_files.saturating_sub(shown);
    if more > 0 {
        lines.push(format!("  … and {more} more"));
    }
    Some(lines.join("\n"))
}

/// `URL: PATH: what happened (tried N times)`.
pub(crate) fn failure_line(url: &str, error: &ErrorReport) -> String {
    let mut line = format!("{url}: ");
    if let Some(path) = &error.path {
        line += &format!("{}: ", text::shown(path));
    }
    line += &error.message;
    if error.attempts > 1 {
        line += &format!(" (tried {} times)", error.attempts);
    }
    printable(&line).into_owned()
}

/// The share of each source of a file: `12.0 MiB (75 %) from URL, 4.00 MiB (25 %) from URL`.
pub(crate) fn shares(sources: &[SourceShare]) -> String {
    let total: u64 = sources.iter().map(|source| source.fetched_bytes).sum();
    let share = |source: &SourceShare| {
        let part = text::percent(source.fetched_bytes, total);
        let dropped = if source.dropped { ", dropped" } else { "" };
        format!("{} ({part} %{dropped}) from {}", size::bytes(source.fetched_bytes), source.url)
    };
    sources.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// The message after Ctrl-C. `name` is the file of a single-file run.
pub(crate) fn interrupted(summary: &Summary, name: Option<&str>) -> String {
    let kept = (summary.unfinished_bytes > 0).then(|| text::percent(summary.kept_bytes, summary.unfinished_bytes));
    match (name, kept) {
        (Some(name), Some(percent)) => format!("Interrupted: {percent} % of {name} is on disk. {AGAIN}"),
        (Some(name), None) if summary.done_files > 0 => format!("Interrupted: {name} is complete."),
        (Some(name), None) => format!("Interrupted: {name} is not complete. {AGAIN}"),
        (None, kept) => {
            let of = if summary.total_files_exact { "of" } else { "of at least" };
            // The length of files that were not started is unknown.
            let ended = summary.done_files + summary.failed_files + summary.cancelled_files;
            let is_all = summary.total_files_exact && ended + summary.unfinished_files >= summary.total_files;
            let rest = match kept {
                Some(percent) if is_all => format!(", {percent} % of what remains is on disk"),
                Some(percent) => format!(", {} more started and {percent} % of them on disk", summary.unfinished_files),
                // Nobody knows how long they are.
                None if summary.unfinished_files > 0 => format!(", {} more started", summary.unfinished_files),
                None => String::new(),
            };
            let files = text::files(summary.total_files);
            format!("Interrupted: {} {of} {files} done{rest}. {AGAIN}", summary.done_files)
        }
    }
}

/// `512 MiB in 4.2 s, 122 MiB/s (128 MB/s)`.
fn speed(bytes: u64, seconds: f64) -> String {
    let time = text::seconds(seconds);
    if seconds < 0.001 {
        return format!("{} in {time}", size::bytes(bytes));
    }
    let bps = bytes as f64 / seconds;
    format!("{} in {time}, {} ({:.1} MB/s)", size::bytes(bytes), text::rate(bps as u64), bps / 1e6)
}

#[cfg(test)]
mod tests {
    use towline_engine::event::Failure;
    use towline_engine::{Advice, Blame, ErrorKind};

    use super::*;

    fn file(how: How) -> Arrived {
        let bytes = 100 << 20;
        Arrived { name: "a.iso".to_owned(), bytes, fetched_bytes: bytes, seconds: 2.0, how }
    }

    fn failure(number: u64) -> Failure {
        Failure {
            url: format!("http://h/{number}"),
            error: ErrorReport {
                kind: ErrorKind::Status(503),
                status: Some(503),
                blame: Blame::Peer,
                message: "the server answered 503".to_owned(),
                path: None,
                attempts: 5,
                advice: Some(Advice::RunAgainWhenLessBusy),
                advice_words: None,
            },
        }
    }

    #[test]
    fn a_single_file_says_how_it_came() {
        assert_eq!(arrived(&file(How::Fetched)), "a.iso: 100 MiB in 2.0 s, 50.0 MiB/s (52.4 MB/s)");
        assert_eq!(arrived(&file(How::ThereByValidator)), "a.iso: already there (same validator)");
        assert_eq!(arrived(&file(How::ThereBySize)), "a.iso: already there (compared by size only)");
        let resumed = Arrived { fetched_bytes: 50 << 20, ..file(How::Fetched) };
        assert_eq!(
            arrived(&resumed),
            "a.iso: 100 MiB; fetched 50.0 MiB in 2.0 s, 25.0 MiB/s (26.2 MB/s), the rest was already there"
        );
    }

    #[test]
    fn many_files_say_what_was_there() {
        let summary = Summary {
            done_files: 300,
            there_files: 120,
            there_by_size_files: 3,
            total_files: 300,
            done_bytes: 3 << 20,
            fetched_bytes: 2 << 20,
            seconds: 2.0,
            ..Summary::default()
        };
        assert_eq!(
            came(&summary, None).unwrap(),
            "300 files, 3.00 MiB, 120 already there (3 compared by size only); \
             fetched 2.00 MiB in 2.0 s, 1.00 MiB/s (1.0 MB/s)"
        );
    }

    #[test]
    fn failures_say_why_and_what_to_do_and_are_not_endless() {
        let failures = (0..25).map(failure).collect();
        let summary =
            Summary { failed_files: 30, total_files: 300, total_files_exact: true, failures, ..Summary::default() };
        let text = failed(&summary, false).unwrap();
        assert!(text.starts_with("towline: 30 of 300 files failed:\n"), "{text}");
        assert!(
            text.contains("  http://h/0: the server answered 503 (tried 5 times)\n    → the server is busy"),
            "{text}"
        );
        assert!(text.ends_with("  … and 10 more"), "{text}");
        assert_eq!(failed(&Summary::default(), false), None);
    }

    #[test]
    fn each_source_has_its_share() {
        let share = |url: &str, fetched_bytes, dropped| SourceShare { url: url.to_owned(), fetched_bytes, dropped };
        let sources = [share("http://a/f", 3 << 20, false), share("http://b/f", 1 << 20, true)];
        assert_eq!(shares(&sources), "3.00 MiB (75 %) from http://a/f, 1.00 MiB (25 %, dropped) from http://b/f");
    }

    #[test]
    fn an_interrupted_run_says_how_to_go_on() {
        let mut summary = Summary {
            done_files: 132,
            total_files: 300,
            total_files_exact: true,
            kept_bytes: 415,
            unfinished_bytes: 1000,
            unfinished_files: 168,
            ..Summary::default()
        };
        assert_eq!(
            interrupted(&summary, None),
            "Interrupted: 132 of 300 files done, 41 % of what remains is on disk. Run the same command again to go on."
        );
        assert_eq!(
            interrupted(&summary, Some("a.iso")),
            "Interrupted: 41 % of a.iso is on disk. Run the same command again to go on."
        );
        (summary.kept_bytes, summary.unfinished_bytes) = (0, 0);
        assert_eq!(
            interrupted(&Summary { unfinished_files: 1, ..Summary::default() }, Some("a.iso")),
            "Interrupted: a.iso is not complete. Run the same command again to go on."
        );
        assert_eq!(
            interrupted(&summary, None),
            "Interrupted: 132 of 300 files done, 168 more started. Run the same command again to go on."
        );
        summary.unfinished_files = 0;
        summary.total_files_exact = false;
        assert_eq!(
            interrupted(&summary, None),
            "Interrupted: 132 of at least 300 files done. Run the same command again to go on."
        );
    }
}
