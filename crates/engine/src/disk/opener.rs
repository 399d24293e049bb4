//! The opener's thread: looks for what is there under a name, opens and reserves partial files.
//! It never syncs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use towline_threads::queue::Queue;

use super::{OpenerRequest, Parts};
use crate::dispatch::message::{Existing, Message, Prepared};
use crate::error::{Error, ErrorKind, Result};
use crate::job::JobId;
use crate::journal::{JOURNAL_BYTES_MAX, Journal, JournalError, Verified};
use crate::name::{journal_path, part_path};
use crate::size::bytes as shown_bytes;
use crate::storage::{OpenPart, PartFile, StatKind, Storage};

/// So many damaged journals are kept beside a file at most.
const DAMAGED_KEPT_MAX: u32 = 100;

/// The opener and what it works with.
pub(crate) struct Opener {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) dir: PathBuf,
    pub(crate) parts: Parts,
    pub(crate) requests: Queue<OpenerRequest>,
    pub(crate) reports: Queue<Message>,
}

impl Opener {
    /// Runs until the queue is shut down.
    pub(crate) fn run(self) {
        while let Ok(request) = self.requests.get() {
            if self.reports.put(self.answer(request)).is_err() {
                return;
            }
        }
    }

    /// Does what is asked, and says what came of it.
    pub(crate) fn answer(&self, request: OpenerRequest) -> Message {
        match request {
            OpenerRequest::Prepare { job, path, resume } => {
                Message::Prepared(job, self.prepare(job, &path, resume).map(Box::new))
            }
            OpenerRequest::Open { job, path, total_bytes } => Message::Opened(job, self.open(job, &path, total_bytes)),
        }
    }

    fn prepare(&self, job: JobId, path: &Path, resume: bool) -> Result<Prepared> {
        self.create_parents(path)?;
        let stat = |path: &Path| self.storage.stat(path).map_err(|source| Error::storage("look at it", path, source));
        let existing = stat(path)?.map(|stat| {
            let note = self.storage.note(path).and_then(|note| serde_json::from_slice(&note).ok());
            Existing { stat, note }
        });
        let mut prepared = Prepared { existing, ..Prepared::default() };
        let part = part_path(path);
        let found = stat(&part)?.map(|stat| stat.kind);
        prepared.has_part = found.is_some();
        match found {
            Some(StatKind::File) if resume => self.look_at_partial(job, path, &part, &mut prepared)?,
            Some(_) => {}
            // Left by a crash between publishing a file and removing its journal.
            None if resume && prepared.existing.is_some() => {
                self.storage.remove(&journal_path(path)).ok();
            }
            None => {}
        }
        Ok(prepared)
    }

    fn create_parents(&self, path: &Path) -> Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let created = match parent.strip_prefix(&self.dir) {
            Ok(below) if below.as_os_str().is_empty() => return Ok(()),
            Ok(below) => self.storage.create_dirs(&self.dir, below),
            // An output outside of the directory is the user's own choice.
            Err(_) if parent.as_os_str().is_empty() => return Ok(()),
            Err(_) => self.storage.create_dirs(parent, Path::new("")),
        };
        created.map_err(|source| Error::storage("create the directory", parent, source))
    }

    /// Opens and locks what an earlier run left, and reads its journal.
    fn look_at_partial(&self, job: JobId, path: &Path, part: &Path, prepared: &mut Prepared) -> Result<()> {
        let opened = self.lock(part, OpenPart::Keep)?;
        let journal_file = journal_path(path);
        let bytes = match self.storage.read_small(&journal_file, JOURNAL_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Vec::new(),
            Err(error) => return Err(Error::storage("read the journal", &journal_file, error)),
        };
        let journal = match Journal::decode(&bytes) {
            Ok(journal) => journal,
            Err(JournalError::Newer(version)) => {
                let text = format!("the journal was written by a newer towline (format {version})");
                return Err(Error::new(ErrorKind::JournalVersion, text).with_path(journal_file));
            }
            Err(JournalError::Damaged(why)) => {
                let kept = self.set_aside(&journal_file);
                prepared.unusable = Some(format!("the journal is damaged ({why}); starting again{kept}"));
                return Ok(());
            }
        };
        let len_bytes = opened.len_bytes().map_err(|source| Error::storage("look at it", part, source))?;
        let claimed = journal.done.iter().next_back().map_or(0, |range| range.end);
        if claimed > len_bytes || journal.identity.total_bytes.is_some_and(|total| total != len_bytes) {
            prepared.unusable =
                Some("the partial file has another length than its journal says; starting again".to_owned());
        } else if journal.verified == Verified::Failed {
            prepared.unusable = Some("what an earlier run fetched had a wrong digest; starting again".to_owned());
        } else {
            self.parts.insert(job, opened);
            prepared.partial = Some(journal);
        }
        Ok(())
    }

    fn set_aside(&self, journal: &Path) -> String {
        for number in 1..=DAMAGED_KEPT_MAX {
            let mut name = journal.as_os_str().to_owned();
            name.push(format!(".damaged-{number}"));
            let aside = PathBuf::from(name);
            match self.storage.rename(journal, &aside, false) {
                Ok(()) => return format!(", the old one is kept as {}", aside.display()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => break,
            }
        }
        String::new()
    }

    /// Opens an empty partial file with room for what is to come.
    fn open(&self, job: JobId, path: &Path, total_bytes: Option<u64>) -> Result<()> {
        // The lock of what was open before goes first, and no journal may claim what is cut off.
        self.parts.remove(job);
        let part = part_path(path);
        let opened = self.lock(&part, OpenPart::Empty)?;
        let prepared = self.forget_journal(path).and_then(|()| self.reserve(&*opened, path, total_bytes));
        if let Err(error) = prepared {
            self.storage.remove(&part).ok();
            return Err(error);
        }
        self.parts.insert(job, opened);
        Ok(())
    }

    /// A journal of what is being cut off must not come back after a power cut either.
    fn forget_journal(&self, path: &Path) -> Result<()> {
        let journal = journal_path(path);
        let cannot = |source| Error::storage("remove the old journal", &journal, source);
        if self.storage.stat(&journal).map_err(cannot)?.is_some() {
            self.storage.remove(&journal).map_err(cannot)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            self.storage.sync_dir(parent).map_err(cannot)?;
        }
        Ok(())
    }

    fn reserve(&self, part: &dyn PartFile, path: &Path, total_bytes: Option<u64>) -> Result<()> {
        let Some(total) = total_bytes else { return Ok(()) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let too_little = |free: u64| {
            let text = format!("cannot write: {} needed, {} free", shown_bytes(total), shown_bytes(free));
            Error::new(ErrorKind::DiskFull, text).with_path(path)
        };
        let free = self.storage.free_bytes(parent).ok();
        if let Some(free) = free.filter(|free| *free < total) {
            return Err(too_little(free));
        }
        part.allocate(total).map_err(|source| match (source.kind(), free) {
            (io::ErrorKind::StorageFull, Some(free)) => too_little(free),
            _ => Error::storage("reserve room", path, source),
        })
    }

    fn lock(&self, part: &Path, mode: OpenPart) -> Result<Arc<dyn PartFile>> {
        self.storage.open_part(part, mode).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => {
                let text = "another process is fetching this file";
                Error::new(ErrorKind::Locked, text).with_path(part).with_source(source)
            }
            _ => Error::storage("write", part, source),
        })
    }
}
