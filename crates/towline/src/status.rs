//! `towline status`: what a directory's ledger and journals say, also while another process writes
//! them. Only reads.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Value, json};
use towline_engine::feed::{LedgerStatus, ledger_status};
use towline_engine::secret::printable;
use towline_engine::size;

use crate::args::StatusArgs;
use crate::complaint::Complaint;
use crate::exit_codes;

/// Behind a file's name: today's journals, and those of earlier builds.
const JOURNAL_ENDS: [&str; 2] = [".towline.json", ".part.json"];
const JOURNAL_BYTES_MAX: u64 = 8 << 20;
const FAILURES_SHOWN: usize = 20;

/// A file that is not complete, as its journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) name: String,
    pub(crate) done_bytes: u64,
    pub(crate) total_bytes: Option<u64>,
}

/// Says how a directory stands, on standard output.
pub(crate) fn run(args: &StatusArgs) -> Result<u8, Complaint> {
    let dir = args.dir.as_path();
    let shown = printable(&dir.to_string_lossy()).into_owned();
    if !dir.is_dir() {
        return Err(Complaint::usage(format!("there is no directory {shown}")));
    }
    let ledger = ledger_status(dir)?;
    let partials = partials(dir).map_err(|error| Complaint::machine(format!("cannot read {shown}: {error}")))?;
    let text = if args.json {
        let files: Vec<Value> = partials.iter().map(partial_json).collect();
        json!({ "dir": shown, "ledger": ledger, "files": files }).to_string()
    } else {
        human(&shown, ledger.as_ref(), &partials)
    };
    // A reader that has gone wants no more.
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
    Ok(exit_codes::DONE)
}

/// What the journal at `path` says; `None` if there is none that can be understood.
pub(crate) fn partial(path: &Path) -> Option<Partial> {
    let name = path.file_name()?.to_string_lossy();
    let name = JOURNAL_ENDS.into_iter().find_map(|end| name.strip_suffix(end)).filter(|name| !name.is_empty())?;
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > JOURNAL_BYTES_MAX {
        return None;
    }
    let journal: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let body = journal.get("body")?;
    let done_bytes: u64 = body.get("done")?.as_array()?.iter().map(range_bytes).fold(0, u64::saturating_add);
    let total_bytes = body.get("identity").and_then(|identity| identity.get("total_bytes")).and_then(Value::as_u64);
    Some(Partial { name: printable(name).into_owned(), done_bytes, total_bytes })
}

fn partials(dir: &Path) -> io::Result<Vec<Partial>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        found.extend(partial(&path));
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

fn range_bytes(range: &Value) -> u64 {
    let at = |index: usize| range.get(index).and_then(Value::as_u64).unwrap_or(0);
    at(1).saturating_sub(at(0))
}

fn partial_json(partial: &Partial) -> Value {
    json!({ "name": partial.name, "done_bytes": partial.done_bytes, "total_bytes": partial.total_bytes })
}

fn human(dir: &str, ledger: Option<&LedgerStatus>, partials: &[Partial]) -> String {
    let mut text = String::new();
    if ledger.is_none() && partials.is_empty() {
        return format!("{dir}: no batch and no unfinished download here\n");
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
    fn journals_are_read_with_goodwill() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"format":"towline-journal","version":1,"crc32":"0","body":{"generation":3,
            "identity":{"url":"http://h/a","total_bytes":1000},"done":[[0,100],[500,900]],"more":true}}"#;
        for name in ["a.iso.towline.json", "of-before.part.json", "c.json", ".towline.json", "d.towline.old.json"] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::write(dir.path().join("b.towline.json"), "no journal").unwrap();
        let found = partials(dir.path()).unwrap();
        let half = |name: &str| Partial { name: name.to_owned(), done_bytes: 500, total_bytes: Some(1000) };
        assert_eq!(found, [half("a.iso"), half("of-before")]);
        assert_eq!(partial_line(&found[0]), "a.iso: 500 B of 1000 B (50 %)");
    }

    #[test]
    fn a_directory_with_nothing_says_so() {
        assert!(human("d", None, &[]).contains("no batch and no unfinished download"));
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
