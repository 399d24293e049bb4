//! The opener thread: checks whether files exist, opens and reserves partial files. It waits for a sync only where it
//! sets a file of somebody else's aside.
//!
//! A partial file is ours if a journal beside it matches it. The opener never writes to anything else: it sets
//! a plain file aside under a free name, and reports an error for the rest.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use towline_threads::queue::{GetError, PutErrorKind, Queue};

use super::directories::Directories;
use super::ours::{self, Found};
use super::written::{self, Doubt};
use super::{Parts, WAIT};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::evidence::Given;
use crate::failpoint;
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::{Existing, Look, Message, Open, OpenRequest, Prepared};
use crate::name::{
    aside_path, damaged_path, earlier_journal_path, earlier_part_path, journal_path, old_journal_path, old_part_path,
    part_path,
};
use crate::ranges::RangeSet;
use crate::size::bytes as shown_bytes;
use crate::storage::{OpenPart, PartFile, Stat, StatKind, Storage};

/// The most requests that are answered as one group.
const GROUP_MAX: usize = 256;
/// So often is a partial file looked at that others change meanwhile.
const LOOKS_MAX: u32 = 8;
/// An answer waits no longer than this for others.
const GROUPED_WITHIN: Duration = Duration::from_millis(1);
/// How much space to reserve at first; more follows as data arrives, because a length is only a claim.
const RESERVED_FIRST_BYTES: u64 = 64 << 20;

/// How much of a file to read to see whether it has any content.
const BEGINNING_BYTES: u64 = 64 << 10;

/// The opener and what it works with.
pub(crate) struct Opener {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) dir: PathBuf,
    pub(crate) parts: Parts,
    pub(crate) requests: Queue<OpenRequest>,
    pub(crate) reports: Queue<Message>,
    pub(crate) directories: Directories,
}

impl Opener {
    /// Runs until the queue is shut down.
    pub(crate) fn run(self) {
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        loop {
            match self.requests.get_many(&mut group, GROUP_MAX, WAIT) {
                Err(GetError::ShutDown) => return,
                _ if self.answer_all(&mut group, &mut answers).is_err() => return,
                _ => {}
            }
        }
    }

    /// Answers a group at once, unless the disk is slow or a request may take long: then no answer waits for it.
    fn answer_all(&self, group: &mut Vec<OpenRequest>, answers: &mut Vec<Message>) -> Result<(), PutErrorKind> {
        let mut since = Instant::now();
        for request in group.drain(..) {
            if self.may_take_long(&request) || since.elapsed() >= GROUPED_WITHIN {
                self.reports.put_many(answers)?;
                since = Instant::now();
            }
            answers.push(self.answer(request));
        }
        self.reports.put_many(answers).map(|_| ())
    }

    fn may_take_long(&self, request: &OpenRequest) -> bool {
        match request {
            OpenRequest::Prepare { job, .. } => self.parts.is_releasing(*job),
            OpenRequest::Open(_) | OpenRequest::Adopt(_) | OpenRequest::Survey { .. } | OpenRequest::Compare { .. } => {
                true
            }
        }
    }

    /// Handles a request and returns the result.
    pub(crate) fn answer(&self, request: OpenRequest) -> Message {
        match request {
            OpenRequest::Prepare { job, path, look, begun } => {
                self.parts.wait_released(job);
                Message::Prepared(job, self.prepare(job, &path, look, begun).map(Box::new))
            }
            OpenRequest::Open(open) => Message::Opened(open.job, self.open(&open)),
            OpenRequest::Adopt(adopt) => Message::Adopted(adopt.job, self.adopt(&adopt)),
            OpenRequest::Survey { job, path, len_bytes, reads } => {
                Message::Surveyed(job, self.survey(&path, len_bytes, reads))
            }
            OpenRequest::Compare { job, path, offset, content } => {
                Message::Compared(job, self.compare(&path, offset, &content))
            }
        }
    }

    fn prepare(&self, job: JobId, path: &Path, look: Look, begun: Option<Given>) -> Result<Prepared> {
        self.create_parents(path)?;
        if let Some(name) = begun.and_then(|begun| self.directories.begun_as(path, begun)) {
            return Ok(Prepared { begun_as: Some(name), ..Prepared::default() });
        }
        let look = match look {
            Look::ResumeIfListed if self.directories.is_presumably_new(path) => {
                return Ok(Prepared { is_presumed: true, ..Prepared::default() });
            }
            Look::ResumeIfListed => Look::Resume,
            look => look,
        };
        let existing = self.stat(path)?.map(|stat| {
            let note = self.storage.note(path).and_then(|note| serde_json::from_slice(&note).ok());
            // Another user can write any note.
            let note = note.filter(|_| !ours::is_of_another_user(&*self.storage, path));
            Existing { stat, note }
        });
        let mut prepared = Prepared { existing, ..Prepared::default() };
        if look == Look::Final {
            return Ok(prepared);
        }
        let part = part_path(path);
        let mut found = self.stat(&part)?;
        if let Some(existing) = &prepared.existing
            && self.is_half_published(path, existing, found.as_ref())?
        {
            self.rename(&part, path, false)?;
            if let (Some(_), _) = ours::clear_journal_name(&*self.storage, path)? {
                self.remove(&journal_path(path))?;
            }
            found = None;
        }
        if look == Look::Anew && self.sets_newer_aside(path, found.as_ref(), &mut prepared)? {
            return Ok(prepared);
        }
        match found {
            Some(stat) => self.look_at_part(job, path, &stat, look, &mut prepared, LOOKS_MAX)?,
            None => self.look_for_earlier(job, path, look, &mut prepared)?,
        }
        Ok(prepared)
    }

    /// Whether the file has both its final and its partial name: where publishing links the file, it stopped
    /// between the two steps. A journal that claims less than the whole means that somebody linked an
    /// incomplete file.
    fn is_half_published(&self, path: &Path, existing: &Existing, part: Option<&Stat>) -> Result<bool> {
        let is_one = |part: &Stat| {
            let files = part.file.zip(existing.stat.file);
            part.links > 1 && files.is_some_and(|(part, existing)| part.is_same(&existing))
        };
        if !part.is_some_and(is_one) {
            return Ok(false);
        }
        let is_whole = match ours::read_journal(&*self.storage, &journal_path(path))? {
            Found::Fits(journal) => {
                journal.done.is_empty() || journal.identity.total_bytes == Some(journal.done.covered())
            }
            _ => false,
        };
        Ok(is_whole || existing.is_as_noted())
    }

    pub(super) fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        self.storage.stat(path).map_err(|source| Error::storage("look at it", path, source))
    }

    fn identify(&self, path: &Path) -> Result<Option<Stat>> {
        self.storage.identify(path).map_err(|source| Error::storage("look at it", path, source))
    }

    fn create_parents(&self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if parent.as_os_str() == self.dir.as_os_str() {
            return Ok(());
        }
        let created = match parent.strip_prefix(&self.dir) {
            Ok(below) if below.as_os_str().is_empty() => return Ok(()),
            Ok(below) => self.storage.create_dirs(&self.dir, below),
            // An output path outside the directory is the user's own choice.
            Err(_) if parent.as_os_str().is_empty() => return Ok(()),
            Err(_) => self.storage.create_dirs(parent, Path::new("")),
        };
        created.map_err(|source| self.not_created(parent, source))
    }

    /// Explains what blocks the creation of a directory, if something does.
    fn not_created(&self, directory: &Path, source: io::Error) -> Error {
        let is_in_the_way = |at: &&Path| {
            self.storage.stat(at).is_ok_and(|stat| stat.is_some_and(|stat| stat.kind != StatKind::Directory))
        };
        let found = directory.ancestors().find(is_in_the_way).and_then(|at| self.storage.stat(at).ok().flatten());
        match (source.kind(), found) {
            (io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory, Some(stat)) => {
                let text = format!("cannot create the directory: {} has its name", stat.kind.words());
                let error = Error::new(ErrorKind::NameTaken, text).with_path(directory).with_source(source);
                error.with_advice(Advice::MoveAwayOrChooseDirectory)
            }
            _ => Error::storage("create the directory", directory, source),
        }
    }

    /// Sets aside what a newer version has begun, which nothing is known of. Whether there was something.
    fn sets_newer_aside(&self, path: &Path, part: Option<&Stat>, prepared: &mut Prepared) -> Result<bool> {
        let journal = journal_path(path);
        match ours::read_journal(&*self.storage, &journal) {
            Err(error) if error.kind() == ErrorKind::JournalVersion => {}
            _ => return Ok(false),
        }
        let why = "a newer towline wrote its journal";
        if let Some(part) = part {
            self.check_ours(&part_path(path), part)?;
            drop(self.lock(&part_path(path), OpenPart::Existing)?);
            self.set_part_aside(path, why, prepared)?;
        }
        let kept = ours::set_aside(&*self.storage, &journal, damaged_path)?;
        prepared.warnings.push(format!("the journal of a newer towline is kept as {}", kept.display()));
        Ok(true)
    }

    /// Handles an existing partial file: ours if it has a journal, otherwise in the way.
    /// Whoever changes it meanwhile makes us look again, up to `looks` times.
    fn look_at_part(
        &self,
        job: JobId,
        path: &Path,
        stat: &Stat,
        look: Look,
        prepared: &mut Prepared,
        looks: u32,
    ) -> Result<()> {
        let part = part_path(path);
        if looks == 0 {
            let text = "other programs keep changing what has the name of the partial file";
            return Err(Error::new(ErrorKind::Storage, text).with_path(part));
        }
        let look_again = |prepared: &mut Prepared| match self.stat(&part)? {
            Some(stat) => self.look_at_part(job, path, &stat, look, prepared, looks - 1),
            None => self.look_for_earlier(job, path, look, prepared),
        };
        self.check_ours(&part, stat)?;
        let is_linked = stat.links > 1;
        if is_linked && look == Look::Resume {
            let text = "the partial file has another name as well (a hard link), and is left alone";
            let error = Error::new(ErrorKind::Storage, text).with_path(part);
            return Err(error.with_advice(Advice::RemoveOtherNameOrRestart));
        }
        let journal_file = journal_path(path);
        let found = match ours::read_journal(&*self.storage, &journal_file)? {
            // A build that used earlier names was stopped between its two renames.
            Found::Nothing if self.stat(&earlier_part_path(path))?.is_none() => {
                ours::read_journal(&*self.storage, &earlier_journal_path(path))?
            }
            found => found,
        };
        // The lock tells whether somebody works on it.
        let opened = match self.storage.open_part(&part, OpenPart::Existing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return look_again(prepared),
            opened => self.locked(&part, opened)?,
        };
        // Only the open file tells all of its identity; but another may have got the name since we looked.
        let known = opened.stat().map_err(|source| Error::storage("look at it", &part, source))?;
        if known.file.zip(stat.file).is_some_and(|(known, found)| !known.is_same(&found)) {
            drop(opened);
            return look_again(prepared);
        }
        let stat = &known;
        let journal = match found {
            Found::Fits(journal) => journal,
            Found::Nothing => {
                drop(opened);
                return self.set_part_aside(path, "it has no journal", prepared);
            }
            Found::Damaged(why) => {
                drop(opened);
                let kept = ours::set_aside(&*self.storage, &journal_file, damaged_path)?;
                prepared.warnings.push(format!("the journal is damaged ({why}), and is kept as {}", kept.display()));
                return self.set_part_aside(path, "its journal is damaged", prepared);
            }
        };
        if journal.done.is_empty() && !self.is_begun(&*opened, &part, stat, &journal)? {
            drop(opened);
            self.forget_journal(look, &journal_file)?;
            return self.set_part_aside(path, "it is not the file that its journal names", prepared);
        }
        if self.uncross(path, stat, &journal, prepared)? {
            drop(opened);
            return look_again(prepared);
        }
        if look == Look::Resume && journal.done.is_empty() && self.takes_old_back(path)? {
            drop(opened);
            return look_again(prepared);
        }
        let claimed = journal.done.end();
        let total_bytes = journal.identity.total_bytes;
        let is_whole = journal.done.is_empty()
            || total_bytes.is_none_or(|total| total == stat.len_bytes || journal.is_short && stat.len_bytes < total);
        if claimed > stat.len_bytes || !is_whole {
            drop(opened);
            self.forget_journal(look, &journal_file)?;
            return self.set_part_aside(path, "it has another length than its journal says", prepared);
        }
        let is_moved = journal.file.zip(stat.file).is_some_and(|(held, found)| !held.is_same(&found));
        if look == Look::Anew && (is_moved || is_linked) {
            drop(opened);
            self.forget_journal(look, &journal_file)?;
            let why =
                if is_linked { "it has another name as well" } else { "it is not the file that its journal names" };
            return self.set_part_aside(path, why, prepared);
        }
        opened.keep_private().map_err(|source| Error::storage("set the permissions of", &part, source))?;
        prepared.has_part = true;
        self.directories.has_part(path);
        let old = self.old_version(path)?;
        prepared.has_old = journal.replaces_old || old.is_some();
        prepared.old = old.map(|old| Box::new(old.identity.evidence));
        if look == Look::Anew {
            return Ok(());
        }
        if journal.is_short {
            self.reserve(&*opened, path, total_bytes)?;
        }
        let mut journal = journal;
        prepared.is_moved = is_moved;
        if let Some(text) = self.doubt(&*opened, &part, prepared.is_moved, &mut journal.done)? {
            prepared.warnings.push(text);
        }
        self.parts.insert(job, path, opened);
        prepared.partial = Some(*journal);
        Ok(())
    }

    /// The partial file is not the one that the journal describes. That one may come back, so its journal stays until
    /// another takes its place, unless the user starts over.
    fn forget_journal(&self, look: Look, journal: &Path) -> Result<()> {
        if look == Look::Anew { self.remove(journal) } else { Ok(()) }
    }

    /// Whether a partial file without saved data is the one that its journal names. A journal that names none
    /// was written before the file was created; then the file must be empty.
    fn is_begun(&self, opened: &dyn PartFile, part: &Path, stat: &Stat, journal: &Journal) -> Result<bool> {
        match journal.file.zip(stat.file) {
            Some((held, found)) => Ok(held.is_same(&found)),
            // Where files have no inode numbers, no journal names one.
            None if stat.file.is_none() => Ok(true),
            None => {
                let mut beginning = vec![0; stat.len_bytes.min(BEGINNING_BYTES) as usize];
                opened.read_at(&mut beginning, 0).map_err(|source| Error::storage("read", part, source))?;
                Ok(beginning.iter().all(|byte| *byte == 0))
            }
        }
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
    fn look_for_earlier(&self, job: JobId, path: &Path, look: Look, prepared: &mut Prepared) -> Result<()> {
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
            return self.look_at_part(job, path, &stat, look, prepared, LOOKS_MAX);
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

    /// Whether a file with one of our names can be ours at all. If not, nothing is touched.
    fn check_ours(&self, part: &Path, stat: &Stat) -> Result<()> {
        let refused = |what: &str| Err(Error::new(ErrorKind::Storage, what).with_path(part));
        if stat.kind != StatKind::File {
            return refused(&format!("{} has the name of the partial file", stat.kind.words()));
        }
        let directory = part.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match self.storage.owner_of_new(directory) {
            Ok(owner) if owner != stat.owner => refused("the partial file belongs to another user, and is left alone"),
            _ => Ok(()),
        }
    }

    fn set_part_aside(&self, path: &Path, why: &str, prepared: &mut Prepared) -> Result<()> {
        let part = part_path(path);
        let kept = ours::set_aside(&*self.storage, &part, aside_path)?;
        prepared.warnings.push(format!(
            "{} cannot be resumed: {why}; it is kept as {}",
            part.display(),
            kept.display()
        ));
        Ok(())
    }

    /// Opens an empty partial file and reserves space for it, writing its journal first. Returns what was set
    /// aside for it.
    fn open(&self, open: &Open) -> Result<Option<String>> {
        let Open { job, path, total_bytes, journal, keeps_old, was_free } = open;
        failpoint::reach("open");
        self.directories.has_part(path);
        // Release the lock of the previously open file first.
        let before = self.parts.remove_open(*job);
        let part = part_path(path);
        let reclaimed = if *keeps_old { 0 } else { self.written_bytes(&part) };
        self.check_room(
            path,
            total_bytes.map(|total| total.saturating_sub(reclaimed)),
            before.is_some() && *keeps_old,
        )?;
        let before = before.filter(|(open, _)| open == path).map(|(_, before)| before);
        let before = before.filter(|before| before.is_at(&part).unwrap_or(false));
        let before_stat = before.as_ref().and_then(|before| before.stat().ok());
        let mut set_aside = None;
        if *keeps_old {
            set_aside = ours::keep_old(&*self.storage, path, before_stat.as_ref())?;
        }
        drop(before);
        // No journal may claim what is truncated, not even after a power cut.
        let (mut held, foreign) = ours::clear_journal_name(&*self.storage, path)?;
        set_aside = foreign.or(set_aside);
        let mut found = self.identify(&part)?.filter(|stat| stat.kind == StatKind::File);
        let was_open = |found: &Stat| before_stat.is_some_and(|before| before.is_of_one_file(found));
        if let Some(why) = found.and_then(|stat| ours::why_not_emptied(&stat, was_open(&stat), held.as_deref())) {
            found = None;
            let kept = ours::set_aside(&*self.storage, &part, aside_path)?;
            set_aside = Some(format!("{} {why}; it is kept as {}", part.display(), kept.display()));
        }
        // Whoever works on it has written its journal, which stays.
        let locked = match found {
            Some(stat) => Some(self.lock_found(&part, &stat)?),
            None => None,
        };
        if found.is_some_and(|stat| !was_open(&stat)) {
            held = ours::clear_journal_name(&*self.storage, path)?.0;
            ours::check_unclaimed(&part, held.as_deref().filter(|_| *was_free))?;
        }
        // A kill before the file is emptied leaves what an earlier run wrote, which this journal must fit.
        let emptied = found.and_then(|stat| stat.file);
        let first = Journal { file: emptied, ..journal.clone() };
        self.storage
            .write_atomic(&journal_path(path), &first.encode(), held.is_some())
            .map_err(|source| self.not_written(path, source))?;
        failpoint::reach("begun");
        let opened = match locked {
            Some(locked) => self.emptied(&part, locked, found.as_ref())?,
            None => self.lock_empty(path)?,
        };
        ours::write_identity(&*self.storage, path, journal, &*opened)
            .map_err(|source| self.not_written(path, source))?;
        if let Err(error) = self.reserve(&*opened, path, *total_bytes) {
            if opened.is_at(&part).unwrap_or(false) {
                self.storage.remove(&part).ok();
                self.storage.remove(&journal_path(path)).ok();
            }
            return Err(error);
        }
        self.parts.insert(*job, path, opened);
        Ok(set_aside)
    }

    /// The journal is written before its file is locked, so another process that does the same may take ours
    /// away.
    fn not_written(&self, path: &Path, source: io::Error) -> Error {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A directory that was removed while somebody is in it has no name left.
        let is_there = self.storage.stat(directory).is_ok_and(|stat| stat.is_some_and(|stat| stat.links > 0));
        match source.kind() {
            io::ErrorKind::NotFound if is_there => Error::locked("another process is fetching this file", path, source),
            _ => Error::storage("write the journal", path, source),
        }
    }

    /// Opens and locks the partial file that was found.
    fn lock_found(&self, part: &Path, found: &Stat) -> Result<Arc<dyn PartFile>> {
        self.check_ours(part, found)?;
        self.storage.open_part(part, OpenPart::Existing).map_err(|source| ours::not_opened(part, source))
    }

    /// Opens a new partial file.
    fn lock_empty(&self, path: &Path) -> Result<Arc<dyn PartFile>> {
        let part = part_path(path);
        if let Some(stat) = self.stat(&part)? {
            self.check_ours(&part, &stat)?;
        }
        let opened = self.lock(&part, OpenPart::Keep)?;
        self.emptied(&part, opened, None)
    }

    /// Empties a locked partial file, if it is the one that was `found`, or new.
    fn emptied(&self, part: &Path, opened: Arc<dyn PartFile>, found: Option<&Stat>) -> Result<Arc<dyn PartFile>> {
        ours::empty(&*opened, found).map_err(|source| Error::storage("begin", part, source))?;
        Ok(opened)
    }

    /// How much room a partial file takes that is to be emptied.
    fn written_bytes(&self, part: &Path) -> u64 {
        let Ok(Some(stat)) = self.stat(part) else { return 0 };
        let holes = self.storage.holes(part).unwrap_or_default();
        stat.len_bytes.saturating_sub(holes.into_iter().map(|(start, end)| end - start).sum())
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn check_room(&self, path: &Path, total_bytes: Option<u64>, is_second: bool) -> Result<()> {
        let Some(total) = total_bytes else { return Ok(()) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Some(most) = self.storage.file_bytes_max(parent).filter(|most| *most < total) {
            let text = format!(
                "this file system takes files of up to {}, and it has {}",
                shown_bytes(most),
                shown_bytes(total)
            );
            return Err(Error::new(ErrorKind::Storage, text).with_path(path).with_advice(Advice::SaveOnOtherDisk));
        }
        let Some(free) = self.storage.free_bytes(parent).ok().filter(|free| *free < total) else { return Ok(()) };
        let text = format!("cannot write: {} needed, {} free", shown_bytes(total), shown_bytes(free));
        let error = Error::new(ErrorKind::DiskFull, text).with_path(path);
        // Even an empty disk would be too small.
        if self.storage.capacity_bytes(parent).is_ok_and(|capacity| capacity > 0 && capacity < total) {
            return Err(error.with_transient(false).with_advice(Advice::SaveOnLargerDisk));
        }
        Err(match is_second {
            true => error.with_advice(Advice::MakeRoomOrRestart),
            false => error,
        })
    }

    pub(super) fn reserve(&self, part: &dyn PartFile, path: &Path, total_bytes: Option<u64>) -> Result<()> {
        let Some(total) = total_bytes else { return Ok(()) };
        let reserved = match total <= RESERVED_FIRST_BYTES {
            true => part.allocate(total),
            false => part.set_len(total).map(|()| part.reserve(0, RESERVED_FIRST_BYTES)),
        };
        reserved.map_err(|source| Error::storage("reserve room", path, source))
    }

    pub(super) fn lock(&self, part: &Path, mode: OpenPart) -> Result<Arc<dyn PartFile>> {
        self.locked(part, self.storage.open_part(part, mode))
    }

    pub(super) fn locked(&self, part: &Path, opened: io::Result<Arc<dyn PartFile>>) -> Result<Arc<dyn PartFile>> {
        opened.map_err(|source| match source.kind() {
            // Nothing was there before.
            io::ErrorKind::NotFound => Error::storage("write", part, source),
            _ => ours::not_opened(part, source),
        })
    }

    pub(super) fn rename(&self, from: &Path, to: &Path, replace: bool) -> Result<()> {
        self.storage.rename(from, to, replace).map_err(|source| Error::storage("rename", from, source))
    }

    /// Gives a journal the name of the file's journal. What is there and not ours is set aside.
    fn rename_journal(&self, from: &Path, path: &Path, prepared: &mut Prepared) -> Result<()> {
        let (_, set_aside) = ours::clear_journal_name(&*self.storage, path)?;
        prepared.warnings.extend(set_aside);
        self.rename(from, &journal_path(path), true)
    }

    fn remove(&self, file: &Path) -> Result<()> {
        self.storage.remove(file).map_err(|source| Error::storage("remove", file, source))
    }
}
