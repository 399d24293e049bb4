//! `towline status`: shows what a directory's ledger and journals say, even while another process
//! writes them. Read-only.

use serde_json::json;
use towline_engine::feed::LedgerStatus;
use towline_engine::inspect::{self, Partial};
use towline_engine::secret::printable;
use towline_engine::size;

use crate::args::StatusArgs;
use crate::complaint::Complaint;
use crate::exit_codes;
use crate::say::answer;

const FAILURES_SHOWN: usize = 20;

/// Prints the status of a directory to standard output.
pub(crate) fn run(args: &StatusArgs) -> Result<u8, Complaint> {
    let dir = args.dir.as_path();
    let shown = printable(&dir.to_string_lossy()).into_owned();
    let status = inspect::directory(dir)?;
    let text = if args.json {
        json!({ "dir": shown, "ledger": status.ledger, "files": status.files }).to_string()
    } else {
        human(&shown, status.ledger.as_ref(), &status.files)
    };
    answer(text.trim_end())?;
    Ok(exit_codes::DONE)
}

fn human(dir: &str, ledger: Option<&LedgerStatus>, partials: &[Partial]) -> String {
    let mut text = String::new();
    if ledger.is_none() && partials.is_empty() {
        return format!("{dir}: no batch and no unfinished downloads\n");
    }
    if let Some(ledger) = ledger {
        let at_least = if ledger.read_all { "" } else { "at least " };
        let running = if ledger.running { ", running" } else { "" };
        text += &format!("{dir}: {} of {at_least}{} files done{running}\n", ledger.done, ledger.total);
        text += &format!("  done      {} ({})\n", ledger.done, size::bytes(ledger.done_bytes));
        if ledger.skipped > 0 {
            text += &format!("  skipped   {} (another file has the name)\n", ledger.skipped);
        }
        text += &format!("  to fetch  {}\n", ledger.pending);
        text += &format!("  failed    {}\n", ledger.failed);
        for (url, why) in ledger.failures.iter().take(FAILURES_SHOWN) {
            text += &format!("    {}: {}\n", printable(url), printable(why));
        }
        let more = ledger.failed.saturating_sub(FAILURES_SHOWN.min(ledger.failures.len()) as u64);
        if more > 0 {
            text += &format!("    … and {more} more\n");
        }
    }
    for partial in partials {
        text += &format!("{}\n", partial_line(partial));
    }
    text
}

fn partial_line(partial: &Partial) -> String {
    let done = size::bytes(partial.done_bytes);
    match partial.total_bytes {
        Some(total) if total > 0 => {
            let percent = u128::from(partial.done_bytes.min(total)) * 100 / u128::from(total);
            format!("{}: {done} of {} ({percent} %)", partial.name, size::bytes(total))
        }
        _ => format!("{}: {done}, length unknown", partial.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_file_says_how_far_it_has_come() {
        let partial = |total_bytes| Partial { name: "a.iso".to_owned(), done_bytes: 500, total_bytes };
        assert_eq!(partial_line(&partial(Some(1000))), "a.iso: 500 B of 1000 B (50 %)");
        assert_eq!(partial_line(&partial(None)), "a.iso: 500 B, length unknown");
    }

    #[test]
    fn a_directory_with_nothing_says_so() {
        assert!(human("d", None, &[]).contains("no batch and no unfinished downloads"));
    }

    #[test]
    fn a_batch_says_what_is_left() {
        let ledger = LedgerStatus {
            total: 10,
            done: 7,
            skipped: 1,
            failed: 1,
            pending: 1,
            done_bytes: 2048,
            failures: vec![("http://h/x".to_owned(), "the server answered 404".to_owned())],
            ..LedgerStatus::default()
        };
        let text = human("d", Some(&ledger), &[]);
        assert!(text.starts_with("d: 7 of at least 10 files done\n"), "{text}");
        assert!(text.contains("http://h/x: the server answered 404"), "{text}");
        assert!(text.contains("  skipped   1 (another file has the name)\n"), "{text}");
    }
}
