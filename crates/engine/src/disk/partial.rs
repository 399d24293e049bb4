//! What earlier runs have left beside a file, on the opener's thread: a partial file with its journal, an old version
//! that its replacement was to displace, names of earlier builds.
//!
//! A partial file is ours if its journal fits it. Whatever a kill or a power cut left half renamed is put right first,
//! and then looked at again; what is not ours is set aside.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::opener::Opener;
use super::ours::{self, Found};
use super::written::{self, Doubt};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::{Look, Prepared};
use crate::name::{
    damaged_path, earlier_journal_path, earlier_part_path, journal_path, old_journal_path, old_part_path, part_path,
};
use crate::ranges::RangeSet;
use crate::size::bytes as shown_bytes;
use crate::storage::{FileId, OpenPart, PartFile, Stat, StatKind};

/// How often to look at one partial file that others keep changing.
const LOOKS_MAX: u32 = 8;
/// How much of a file to read to see whether it has any content.
const BEGINNING_BYTES: u64 = 64 << 10;

/// The file whose leftovers are looked at, and what for.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    job: JobId,
    path: &'a Path,
    look: Look,
    looks_left: u32,
}

impl<'a> Place<'a> {
    pub(super) const fn new(job: JobId, path: &'a Path, look: Look) -> Self {
        Self { job, path, look, looks_left: LOOKS_MAX }
    }
}

/// A locked partial file with a journal that can be read.
struct Partial {
    opened: Arc<dyn PartFile>,
    stat: Stat,
    journal: Box<Journal>,
}

impl Partial {
    /// Whether it is another file than the one that its journal names.
    fn is_moved(&self) -> bool {
        is_other(self.journal.file, self.stat.file)
    }

    /// Whether it is as long as its journal says.
    fn has_its_length(&self) -> bool {
        let Self { stat, journal, .. } = self;
        let is_whole = |total| total == stat.len_bytes || journal.is_short && stat.len_bytes < total;
        journal.done.end() <= stat.len_bytes
            && (journal.done.is_empty() || journal.identity.total_bytes.is_none_or(is_whole))
    }
}

/// What a partial file turned out to be.
enum Verdict {
    Ours,
    Foreign(&'static str),
    /// Names have changed: what has the partial name now is another file.
    Renamed,
}

impl Opener {
    /// Looks at what has the partial name, or else for what has other names of ours.
    pub(super) fn look_for_partial(&self, at: Place<'_>, found: Option<&Stat>, prepared: &mut Prepared) -> Result<()> {
        match found {
            Some(stat) => self.look_at_part(at, stat, prepared),
            None => self.look_for_earlier(at, prepared),
        }
    }

    fn look_again(&self, at: Place<'_>, prepared: &mut Prepared) -> Result<()> {
        let part = part_path(at.path);
        if at.looks_left == 0 {
            let text = "other programs keep changing what has the name of the partial file";
            return Err(Error::new(ErrorKind::Storage, text).with_path(part));
        }
        let at = Place { looks_left: at.looks_left - 1, ..at };
        self.look_for_partial(at, self.stat(&part)?.as_ref(), prepared)
    }

    fn look_at_part(&self, at: Place<'_>, stat: &Stat, prepared: &mut Prepared) -> Result<()> {
        let part = part_path(at.path);
        self.check_ours(&part, stat)?;
        if stat.links > 1 && at.look == Look::Resume {
            let text = "the partial file has another name as well (a hard link), and is left alone";
            let error = Error::new(ErrorKind::Storage, text).with_path(part);
            return Err(error.with_advice(Advice::RemoveOtherNameOrRestart));
        }
        let journal = self.journal_of(at.path)?;
        let Some((opened, known)) = self.open_found(&part, stat)? else { return self.look_again(at, prepared) };
        let journal = match journal {
            Found::Fits(journal) => journal,
            Found::Nothing => {
                drop(opened);
                return self.set_part_aside(at.path, "it has no journal", prepared);
            }
            Found::Damaged(why) => {
                drop(opened);
                return self.set_both_aside(at.path, &why, prepared);
            }
        };
        let partial = Partial { opened, stat: known, journal };
        match self.judge(at, &partial, stat.links > 1, prepared)? {
            Verdict::Ours => self.take(at, partial, prepared),
            Verdict::Foreign(why) => {
                drop(partial);
                self.forget_journal(at.look, &journal_path(at.path))?;
                self.set_part_aside(at.path, why, prepared)
            }
            Verdict::Renamed => {
                drop(partial);
                self.look_again(at, prepared)
            }
        }
    }

    fn journal_of(&self, path: &Path) -> Result<Found> {
        match ours::read_journal(&*self.storage, &journal_path(path))? {
            // A build that used earlier names was stopped between its two renames.
            Found::Nothing if self.stat(&earlier_part_path(path))?.is_none() => {
                ours::read_journal(&*self.storage, &earlier_journal_path(path))
            }
            found => Ok(found),
        }
    }

    /// Opens and locks the file that was found; the lock tells whether somebody works on it. `None` if another file has
    /// got its name since.
    fn open_found(&self, part: &Path, found: &Stat) -> Result<Option<(Arc<dyn PartFile>, Stat)>> {
        let opened = match self.storage.open_part(part, OpenPart::Existing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => self.locked(part, opened)?,
        };
        // Only the open file tells all of its identity.
        let known = opened.stat().map_err(|source| Error::storage("look at it", part, source))?;
        Ok((!is_other(known.file, found.file)).then_some((opened, known)))
    }

    fn set_both_aside(&self, path: &Path, why: &str, prepared: &mut Prepared) -> Result<()> {
        let kept = ours::set_aside(&*self.storage, &journal_path(path), damaged_path)?;
        prepared.warnings.push(format!("the journal is damaged ({why}), and is kept as {}", kept.display()));
        self.set_part_aside(path, "its journal is damaged", prepared)
    }

    /// Whether the partial file is the one that its journal describes. Puts right first what a kill left half renamed.
    fn judge(&self, at: Place<'_>, partial: &Partial, is_linked: bool, prepared: &mut Prepared) -> Result<Verdict> {
        let has_data = !partial.journal.done.is_empty();
        if !has_data && !self.is_begun(at.path, partial)? {
            return Ok(Verdict::Foreign("it is not the file that its journal names"));
        }
        if self.uncross(at.path, &partial.stat, &partial.journal, prepared)?
            || at.look == Look::Resume && !has_data && self.takes_old_back(at.path)?
        {
            return Ok(Verdict::Renamed);
        }
        Ok(match at.look {
            _ if !partial.has_its_length() => Verdict::Foreign("it has another length than its journal says"),
            Look::Anew if is_linked => Verdict::Foreign("it has another name as well"),
            Look::Anew if partial.is_moved() => Verdict::Foreign("it is not the file that its journal names"),
            _ => Verdict::Ours,
        })
    }

    /// Makes it the open partial file of the job, unless the job begins anew.
    fn take(&self, at: Place<'_>, partial: Partial, prepared: &mut Prepared) -> Result<()> {
        let part = part_path(at.path);
        prepared.is_moved = at.look != Look::Anew && partial.is_moved();
        let Partial { opened, mut journal, .. } = partial;
        opened.keep_private().map_err(|source| Error::storage("set the permissions of", &part, source))?;
        prepared.has_part = true;
        self.directories.has_part(at.path);
        let old = self.old_version(at.path)?;
        prepared.has_old = journal.replaces_old || old.is_some();
        prepared.old = old.map(|old| Box::new(old.identity.evidence));
        if at.look == Look::Anew {
            return Ok(());
        }
        if journal.is_short {
            self.reserve(&*opened, at.path, journal.identity.total_bytes)?;
        }
        if let Some(text) = self.doubt(&*opened, &part, prepared.is_moved, &mut journal.done)? {
            prepared.warnings.push(text);
        }
        self.parts.insert(at.job, at.path, opened);
        prepared.partial = Some(*journal);
        Ok(())
    }

    /// Whether a partial file without saved data is the one that its journal names. A journal that names none
    /// was written before the file was created; then the file must be empty.
    fn is_begun(&self, path: &Path, partial: &Partial) -> Result<bool> {
        let Partial { opened, stat, journal } = partial;
        match journal.file.zip(stat.file) {
            Some((held, found)) => Ok(held.is_same(&found)),
            // Where files have no inode numbers, no journal names one.
            None if stat.file.is_none() => Ok(true),
            None => {
                let mut beginning = vec![0; stat.len_bytes.min(BEGINNING_BYTES) as usize];
                let read = opened.read_at(&mut beginning, 0);
                read.map_err(|source| Error::storage("read", &part_path(path), source))?;
                Ok(beginning.iter().all(|byte| *byte == 0))
            }
        }
    }

    /// The partial file is not the one that the journal describes. That one may come back, so its journal stays until
    /// another takes its place, unless the user starts over.
    fn forget_journal(&self, look: Look, journal: &Path) -> Result<()> {
        if look == Look::Anew { self.remove(journal) } else { Ok(()) }
    }

    /// Uncrosses the journals if a run was stopped while it exchanged two versions, after the partial files and
    /// before the journals. Where a power cut lost what was done to the journals, the old version gets its name back.
    /// Whether something was done, so that the partial file is to be looked at anew.
    fn uncross(&self, path: &Path, stat: &Stat, journal: &Journal, prepared: &mut Prepared) -> Result<bool> {
        let Some(old_stat) = self.identify(&old_part_path(path))? else { return Ok(false) };
        let is_of = |journal: &Journal, stat: &Stat| {
            journal.file.zip(stat.file).is_some_and(|(held, found)| held.is_same(&found))
        };
        if !is_of(journal, &old_stat) {
            return Ok(false);
        }
        match ours::read_journal(&*self.storage, &old_journal_path(path)) {
            Ok(Found::Fits(old)) if is_of(&old, stat) => {}
            Ok(Found::Nothing) => {
                self.set_part_aside(path, "it has no journal", prepared)?;
                self.rename(&old_part_path(path), &part_path(path), false)?;
                return Ok(true);
            }
            _ => return Ok(false),
        }
        let (journal, old) = (journal_path(path), old_journal_path(path));
        self.storage.exchange(&journal, &old).map_err(|source| Error::storage("exchange", &journal, source))?;
        Ok(true)
    }

    /// The journal of the old version kept beside a partial file, if that file is the one it names.
    fn old_version(&self, path: &Path) -> Result<Option<Journal>> {
        let Some(stat) = self.identify(&old_part_path(path))? else { return Ok(None) };
        // Somebody may have put their own file in the place of either.
        let Ok(Found::Fits(journal)) = ours::read_journal(&*self.storage, &old_journal_path(path)) else {
            return Ok(None);
        };
        let fits = journal.file.zip(stat.file).is_some_and(|(held, found)| held.is_same(&found));
        Ok((fits && stat.kind == StatKind::File && stat.links == 1).then_some(*journal))
    }

    /// Gives the old version its name back if nothing has arrived yet of its replacement. Returns whether there
    /// is an old version.
    fn takes_old_back(&self, path: &Path) -> Result<bool> {
        if self.old_version(path)?.is_none() {
            return Ok(false);
        }
        let (old_part, old_journal) = (old_part_path(path), old_journal_path(path));
        // A kill between any two of these steps leaves the same state as a kill during `keep_old`.
        self.remove(&part_path(path))?;
        self.remove(&journal_path(path))?;
        self.rename(&old_journal, &journal_path(path), false)?;
        self.rename(&old_part, &part_path(path), false)?;
        Ok(true)
    }

    /// Removes from the journal's claims what may never have been written. Returns a warning if there is any.
    fn doubt(
        &self,
        part: &dyn PartFile,
        name: &Path,
        is_moved: bool,
        claimed: &mut RangeSet,
    ) -> Result<Option<String>> {
        let cannot = |source| Error::storage("read", name, source);
        let (doubt, what) = if is_moved {
            (Doubt::Moved, "moved or copied")
        } else if written::is_hollow(part, claimed).map_err(cannot)? {
            (Doubt::Hollow, "cut or replaced")
        } else {
            return Ok(None);
        };
        let doubted = written::believe_written(&part, claimed, doubt).map_err(cannot)?;
        let text = format!(
            "the partial file was {what}, and {} of it may never have been written there: they are fetched again",
            shown_bytes(doubted)
        );
        Ok((doubted > 0).then_some(text))
    }

    /// Handles a missing partial file. A build that used earlier names may have left one, or a run that was
    /// stopped while it replaced an old version.
    fn look_for_earlier(&self, at: Place<'_>, prepared: &mut Prepared) -> Result<()> {
        let Place { path, look, .. } = at;
        let may_have = look == Look::Resume && self.directories.may_have_leftovers(path);
        if !may_have {
            return self.look_for_journal(path, look, prepared);
        }
        // A kill may have come between the two renames that keep an old version.
        let places = [
            (old_part_path(path), old_journal_path(path)),
            (old_part_path(path), journal_path(path)),
            (earlier_part_path(path), earlier_journal_path(path)),
        ];
        for (part, journal_file) in places {
            let stat = self.stat(&part)?;
            let Ok(Found::Fits(journal)) = ours::read_journal(&*self.storage, &journal_file) else { continue };
            if stat.is_none() && journal_file == old_journal_path(path) {
                // The run was stopped just before the last step of removing both.
                self.remove(&journal_file)?;
            }
            let Some(stat) = stat.filter(|stat| stat.kind == StatKind::File && stat.links == 1) else { continue };
            let is_half_kept = journal_file == journal_path(path);
            if is_half_kept && !journal.file.zip(stat.file).is_some_and(|(held, found)| held.is_same(&found)) {
                continue;
            }
            if journal_file == old_journal_path(path) && prepared.existing.is_some() {
                if prepared.is_replaced(&journal) {
                    // Its replacement was published; only the removal was left to do.
                    self.remove(&part)?;
                    self.remove(&journal_file)?;
                }
                continue;
            }
            // Nobody else may be working on it, and it must stay ours while its name changes.
            let opened = self.lock(&part, OpenPart::Existing)?;
            if journal_file == old_journal_path(path) {
                self.rename_journal(&journal_file, path, prepared)?;
            }
            self.rename(&part, &part_path(path), false)?;
            if journal_file == earlier_journal_path(path) {
                self.rename_journal(&journal_file, path, prepared)?;
            }
            drop(opened);
            return self.look_at_part(at, &stat, prepared);
        }
        self.look_for_journal(path, look, prepared)
    }

    /// Removes a journal without its partial file: a crash between publishing a file and removing its journal
    /// leaves one.
    fn look_for_journal(&self, path: &Path, look: Look, prepared: &mut Prepared) -> Result<()> {
        if look == Look::Resume && prepared.existing.is_some() {
            let (journal, set_aside) = ours::clear_journal_name(&*self.storage, path)?;
            prepared.warnings.extend(set_aside);
            if journal.is_some() {
                self.storage.remove(&journal_path(path)).ok();
            }
        }
        Ok(())
    }

    /// Gives a journal the name of the file's journal. What is there and not ours is set aside.
    fn rename_journal(&self, from: &Path, path: &Path, prepared: &mut Prepared) -> Result<()> {
        let (_, set_aside) = ours::clear_journal_name(&*self.storage, path)?;
        prepared.warnings.extend(set_aside);
        self.rename(from, &journal_path(path), true)
    }
}

fn is_other(named: Option<FileId>, found: Option<FileId>) -> bool {
    named.zip(found).is_some_and(|(named, found)| !named.is_same(&found))
}
