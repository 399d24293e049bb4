//! The opener thread: answers what the dispatcher asks about files before they are fetched. It waits for a sync only
//! where it sets a file of somebody else's aside. Its steps have files of their own: what earlier runs left
//! ([`super::partial`]), a file that begins ([`super::begin`]), one of another program ([`super::adopt`]), the final file
//! ([`super::existing`]).
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
use super::partial::Place;
use super::{Parts, WAIT};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::evidence::Given;
use crate::job::JobId;
use crate::message::{Existing, Look, Message, OpenRequest, Prepared};
use crate::name::{aside_path, damaged_path, journal_path, part_path};
use crate::storage::{OpenPart, PartFile, Stat, StatKind, Storage};

/// The most requests that are answered as one group.
const GROUP_MAX: usize = 256;
/// An answer waits no longer than this for others.
const GROUPED_WITHIN: Duration = Duration::from_millis(1);

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
        self.look_for_partial(Place::new(job, path, look), found.as_ref(), &mut prepared)?;
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

    pub(super) fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        self.storage.stat(path).map_err(|source| Error::storage("look at it", path, source))
    }

    pub(super) fn identify(&self, path: &Path) -> Result<Option<Stat>> {
        self.storage.identify(path).map_err(|source| Error::storage("look at it", path, source))
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

    pub(super) fn remove(&self, file: &Path) -> Result<()> {
        self.storage.remove(file).map_err(|source| Error::storage("remove", file, source))
    }

    /// Whether a file with one of our names can be ours at all. If not, nothing is touched.
    pub(super) fn check_ours(&self, part: &Path, stat: &Stat) -> Result<()> {
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

    pub(super) fn set_part_aside(&self, path: &Path, why: &str, prepared: &mut Prepared) -> Result<()> {
        let part = part_path(path);
        let kept = ours::set_aside(&*self.storage, &part, aside_path)?;
        prepared.warnings.push(format!(
            "{} cannot be resumed: {why}; it is kept as {}",
            part.display(),
            kept.display()
        ));
        Ok(())
    }
}
