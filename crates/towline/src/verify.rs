//! `towline verify`: compares files with what a ledger records of them, or with a file of digests. Read-only.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use towline_engine::checksum::Sums;
use towline_engine::feed::{Condition, ledger_files};
use towline_engine::secret::printable;

use crate::args::VerifyArgs;
use crate::complaint::Complaint;
use crate::exit_codes;
use crate::say::{answer, say};

/// What was found.
#[derive(Default)]
struct Found {
    right: u64,
    unchanged: u64,
    touched: u64,
    changed: u64,
    missing: u64,
    unread: u64,
    /// Nobody reads the answers any more.
    is_over: bool,
}

/// Compares, and prints each file that is not as it should be.
pub(crate) fn run(args: &VerifyArgs) -> Result<u8, Complaint> {
    let mut found = Found::default();
    match &args.checksum_file {
        Some(sums) => with_sums(args, sums, &mut found)?,
        None => with_ledger(args, &mut found)?,
    }
    if !found.is_over {
        say(&found.in_words());
    }
    Ok(found.code())
}

fn with_ledger(args: &VerifyArgs, found: &mut Found) -> Result<(), Complaint> {
    let mut after = 0;
    loop {
        let Some((files, last)) = ledger_files(&args.dir, after)? else {
            let text = format!("{}: there is no ledger here", printable(&args.dir.to_string_lossy()));
            return Err(
                Complaint::usage(text).hint("name the directory of a list, or a file of digests: --checksum-file")
            );
        };
        for file in &files {
            match file.condition(&args.dir) {
                Ok(condition) => found.note(args, &file.path, &condition)?,
                Err(error) => found.unread(&error.to_string()),
            }
        }
        if files.is_empty() && last == after || found.is_over {
            return Ok(());
        }
        after = last;
    }
}

fn with_sums(args: &VerifyArgs, path: &Path, found: &mut Found) -> Result<(), Complaint> {
    let wrong = |error: std::io::Error| Complaint::usage(format!("--checksum-file {}: {error}", path.display()));
    let sums = File::open(path).and_then(|file| Sums::read(BufReader::new(file))).map_err(wrong)?;
    let mut all: Vec<_> = sums.iter().collect();
    all.sort_by_key(|(name, _)| name.to_owned());
    for (name, digest) in all {
        let file: PathBuf = args.dir.join(name);
        let condition = match File::open(&file).and_then(|mut file| digest.is_of(&mut file)) {
            Ok(true) => Condition::Right,
            Ok(false) => Condition::Changed,
            Err(error) if error.kind() == ErrorKind::NotFound => Condition::Missing,
            Err(error) => {
                found.unread(&format!("{}: {error}", printable(&file.to_string_lossy())));
                continue;
            }
        };
        found.note(args, name, &condition)?;
        if found.is_over {
            break;
        }
    }
    Ok(())
}

impl Found {
    fn note(&mut self, args: &VerifyArgs, path: &Path, condition: &Condition) -> Result<(), Complaint> {
        let (count, word, is_fine) = match condition {
            Condition::Right => (&mut self.right, "right", true),
            Condition::Unchanged => (&mut self.unchanged, "unchanged", true),
            Condition::Touched => (&mut self.touched, "touched", false),
            Condition::Missing => (&mut self.missing, "missing", false),
            _ => (&mut self.changed, "changed", false),
        };
        *count += 1;
        if !is_fine || args.verbose {
            self.is_over |= !answer(&format!("{}: {word}", printable(&path.to_string_lossy())))?;
        }
        Ok(())
    }

    fn unread(&mut self, why: &str) {
        self.unread += 1;
        say(&format!("towline: {why}"));
    }

    fn in_words(&self) -> String {
        let counts = [
            (self.right, "right"),
            (self.unchanged, "unchanged (no digest)"),
            (self.touched, "touched (same length, another time, no digest)"),
            (self.changed, "changed"),
            (self.missing, "missing"),
            (self.unread, "cannot be read"),
        ];
        let said: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if said.is_empty() { "no finished files".to_owned() } else { said.join(", ") }
    }

    fn code(&self) -> u8 {
        match () {
            () if self.changed > 0 => exit_codes::DIGEST,
            () if self.unread > 0 => exit_codes::MACHINE,
            () if self.missing + self.touched > 0 => exit_codes::FAILED,
            () => exit_codes::DONE,
        }
    }
}
