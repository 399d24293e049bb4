//! `towline verify`: compares files with what a ledger or a note on them records, or with a file of digests. Read-only.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use towline_engine::checksum::Sums;
use towline_engine::feed::{Condition, ledger_file, ledger_files, ledger_status};
use towline_engine::inspect;
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
    /// Nothing is recorded of them.
    unknown: u64,
    /// Entries that the last run could not bring: what has their names is not known.
    failed: u64,
    /// Entries that still have to be fetched.
    pending: u64,
    is_verbose: bool,
    /// Nobody reads the answers any more.
    is_over: bool,
}

/// Compares, and prints each file that is not as it should be.
pub(crate) fn run(args: &VerifyArgs) -> Result<u8, Complaint> {
    let mut found = Found { is_verbose: args.verbose, ..Found::default() };
    match &args.checksum_file {
        Some(sums) => match &args.paths[..] {
            [dir] if dir.is_dir() => with_sums(dir, sums, &mut found)?,
            _ => return Err(Complaint::usage("--checksum-file needs one directory, which its names are relative to")),
        },
        None => {
            for path in &args.paths {
                with_records(path, &mut found)?;
            }
        }
    }
    if !found.is_over {
        say(&found.in_words());
        match (found.changed, found.missing) {
            (0, 0) => {}
            (0, _) => say("  → download again: only what is missing is fetched"),
            _ => say("  → remove what is changed and download again: only what is missing is fetched"),
        }
    }
    Ok(found.code())
}

fn with_records(path: &Path, found: &mut Found) -> Result<(), Complaint> {
    if !path.is_dir() {
        return match ledger_file(path).map(|known| known.map(|(dir, file)| file.condition(&dir))) {
            Ok(Some(Ok(condition))) => found.note(path, &condition),
            // Its note may know the file all the same.
            Err(error) if !matches!(inspect::noted(path), Ok(Some(_))) => {
                found.unread(&error.to_string());
                Ok(())
            }
            Ok(Some(Err(error))) => {
                found.unread(&error.to_string());
                Ok(())
            }
            Ok(None) | Err(_) => with_note(path, path, found),
        };
    }
    let mut noted: BTreeSet<PathBuf> = inspect::noted_files(path)?.into_iter().map(PathBuf::from).collect();
    let has_ledger = with_ledger(path, &mut noted, found)?;
    if !has_ledger && noted.is_empty() {
        let text = format!("{}: there is no ledger here, and no file with a note", printable(&path.to_string_lossy()));
        return Err(Complaint::usage(text).hint("name the directory of a list, or a file of digests: --checksum-file"));
    }
    for name in noted {
        if found.is_over {
            break;
        }
        with_note(&path.join(&name), &name, found)?;
    }
    Ok(())
}

/// Compares a file with the note on it.
fn with_note(path: &Path, shown: &Path, found: &mut Found) -> Result<(), Complaint> {
    match inspect::noted(path) {
        Ok(Some(condition)) => found.note(shown, &condition),
        Ok(None) => {
            found.unknown(shown);
            Ok(())
        }
        Err(error) => {
            found.unread(&error.to_string());
            Ok(())
        }
    }
}

/// Compares the files of a list with its ledger, and takes them out of `noted`. Whether there is one.
fn with_ledger(dir: &Path, noted: &mut BTreeSet<PathBuf>, found: &mut Found) -> Result<bool, Complaint> {
    let mut after = 0;
    loop {
        let Some((files, last)) = ledger_files(dir, after)? else { return Ok(false) };
        for file in &files {
            noted.remove(&file.path);
            match file.condition(dir) {
                Ok(condition) => found.note(&file.path, &condition)?,
                Err(error) => found.unread(&error.to_string()),
            }
        }
        if files.is_empty() && last == after || found.is_over {
            if let Some(status) = ledger_status(dir)? {
                found.failed += status.failed;
                found.pending += status.pending;
            }
            return Ok(true);
        }
        after = last;
    }
}

fn with_sums(dir: &Path, path: &Path, found: &mut Found) -> Result<(), Complaint> {
    let wrong = |error: io::Error| Complaint::usage(format!("--checksum-file {}: {error}", path.display()));
    let sums = File::open(path).and_then(|file| Sums::read(BufReader::new(file))).map_err(wrong)?;
    let mut all: Vec<_> = sums.iter().collect();
    if all.is_empty() {
        let text = format!("{} names no file and its digest", printable(&path.to_string_lossy()));
        return Err(Complaint::usage(text).hint("each line has a digest and a name, as `sha256sum` writes them"));
    }
    all.sort_by_key(|(name, _)| name.to_owned());
    for (name, digest) in all {
        let file: PathBuf = dir.join(name);
        let condition = match open(&file).and_then(|mut file| digest.is_of(&mut file)) {
            Ok(true) => Condition::Right,
            Ok(false) => Condition::Changed,
            Err(error) if error.kind() == ErrorKind::NotFound => Condition::Missing,
            Err(error) => {
                found.unread(&format!("{}: {error}", printable(&file.to_string_lossy())));
                continue;
            }
        };
        found.note(name, &condition)?;
        if found.is_over {
            break;
        }
    }
    Ok(())
}

/// Opens a regular file, and waits for no pipe.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("is no regular file")),
    }
}

impl Found {
    fn note(&mut self, path: &Path, condition: &Condition) -> Result<(), Complaint> {
        let (count, word, is_fine) = match condition {
            Condition::Right => (&mut self.right, "right", true),
            Condition::Unchanged => (&mut self.unchanged, "unchanged", true),
            Condition::Touched => (&mut self.touched, "touched", false),
            Condition::Missing => (&mut self.missing, "missing", false),
            _ => (&mut self.changed, "changed", false),
        };
        *count += 1;
        if !is_fine || self.is_verbose {
            self.is_over |= !answer(&format!("{}: {word}", printable(&path.to_string_lossy())))?;
        }
        Ok(())
    }

    fn unread(&mut self, why: &str) {
        self.unread += 1;
        say(&format!("towline: {why}"));
    }

    fn unknown(&mut self, path: &Path) {
        self.unknown += 1;
        say(&format!("towline: {}: nothing is recorded of it", printable(&path.to_string_lossy())));
    }

    fn in_words(&self) -> String {
        let counts = [
            (self.right, "right"),
            (self.unchanged, "unchanged (no digest)"),
            (self.touched, "touched (same length, another time, no digest)"),
            (self.changed, "changed"),
            (self.missing, "missing"),
            (self.unread, "cannot be read"),
            (self.unknown, "unknown"),
            (self.failed, "failed in the last run (`towline status` names them)"),
            (self.pending, "not fetched yet"),
        ];
        let said: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if said.is_empty() { "no finished files".to_owned() } else { said.join(", ") }
    }

    fn code(&self) -> u8 {
        match () {
            () if self.changed > 0 => exit_codes::DIGEST,
            () if self.unread > 0 => exit_codes::MACHINE,
            () if self.missing + self.touched + self.unknown + self.failed + self.pending > 0 => exit_codes::FAILED,
            () => exit_codes::DONE,
        }
    }
}
