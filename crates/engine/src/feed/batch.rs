//! A list and its ledger as a [`Feed`]: skips completed entries and alternates between hosts.
//!
//! Owns the list's reader, the ledger and the entries that wait; runs on the feed thread.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::checksum::{Checksum, Demanded, Sums};
use crate::error::{Advice, Error, ErrorKind};
use crate::feed::anew::{go_on_under_its_name, is_listed_anew, is_outdated, is_promised_anew};
use crate::feed::demands::Demands;
use crate::feed::entries::{Candidate, Found, Known};
use crate::feed::fault::ledger_error;
use crate::feed::identity::Identity;
use crate::feed::ledger::Ledger;
use crate::feed::list::{Line, ListReader, Next, Until, parse_line, too_long};
use crate::feed::listing;
use crate::feed::source::{Input, ListOptions, ListSource, check_all, input};
use crate::feed::spool::{Aside, Format, Spool};
use crate::feed::unnoted::Unnoted;
use crate::feed::values::{is_same_time, kind_from};
use crate::feed::waiting::{Place, Waiter, Waiting};
use crate::feed::{EntryId, Fed, FedEntry, Feed, Owner, Settled, SettledState};
use crate::http::asker::Asker;
use crate::job::JobSpec;
use crate::secret::shown_url;
use crate::storage::disk::Disk;
use crate::storage::{StatKind, Storage};

/// How many lines to read at once: few at first, so that the first files start soon, then as many as were read
/// before, since each chunk costs a transaction.
const CHUNK_LINES_MIN: usize = 512;
const CHUNK_LINES_MAX: usize = 16_384;
/// The most bytes of lines to read at once.
const CHUNK_BYTES_MAX: usize = 4 << 20;
const WAIT: &str = "let the entries wait";

/// The entries of a list that a directory does not have yet.
///
/// The ledger in `DIR/.towline` records how each entry ended. Dropping the batch without [`Feed::close`] loses
/// nothing that was settled.
pub struct Batch {
    dir: PathBuf,
    /// Where its files are.
    storage: Arc<dyn Storage>,
    /// Where the list is, if it is a file.
    list_path: Option<PathBuf>,
    retry_failed: bool,
    restart: bool,
    // Dropped before the ledger: the spool's thread must be told to stop before the directory's lock is
    // released.
    spool: Option<Spool>,
    reader: ListReader,
    waiting: Waiting,
    /// Entries of a listing that were never complete and whose name is taken: whose it is, is known once all is read.
    held: Waiting,
    held_names: HashSet<PathBuf>,
    /// Entries given out and not settled yet; the session takes no more than it can start.
    in_hand: HashMap<EntryId, Place>,
    /// Entries to report without fetching.
    ready: VecDeque<FedEntry>,
    /// Entries read so far, each counted once.
    read_entries: u64,
    repeated_entries: u64,
    /// Digests of finished files by their names.
    sums: Option<Arc<Sums>>,
    asker: Asker,
    demands: Demands,
    /// Its lines are those of a listing.
    is_listing: bool,
    /// An entry was not completed, or another file has its name.
    has_unfinished: bool,
    /// Nobody knows whether an entry's file got its name.
    has_unknown: bool,
    unnoted: Unnoted,
    /// Some of the listing could not be listed, so nobody knows what is gone.
    has_gaps: bool,
    /// Why the list cannot be read on; said once all before that is given out.
    failure: Option<Error>,
    warnings: Vec<String>,
    read_all: bool,
    ledger: Ledger,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("dir", &self.dir)
            .field("read_entries", &self.read_entries)
            .field("read_all", &self.read_all)
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// Opens a list for the directory `dir`, which is created if it is missing.
    ///
    /// `retry_failed` retries what failed permanently in an earlier run; `restart` fetches everything again.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if the list does not exist, [`ErrorKind::Locked`] if another process is working on
    /// the directory, [`ErrorKind::JournalVersion`] if a newer version wrote its ledger.
    pub fn open(source: ListSource, dir: &Path, retry_failed: bool, restart: bool) -> Result<Self, Error> {
        Self::open_as(source, ListOptions::default(), dir, retry_failed, restart)
    }

    /// The same for a list that is read with these options.
    ///
    /// # Errors
    /// Those of [`Batch::open`], and [`ErrorKind::Usage`] for what [`ListOptions::is_strict`] forbids. That needs the
    /// whole list, so that a pipe is read to its end first.
    pub fn open_as(
        source: ListSource,
        list: ListOptions,
        dir: &Path,
        retry_failed: bool,
        restart: bool,
    ) -> Result<Self, Error> {
        Self::open_beside(source, list, dir, dir, retry_failed, restart)
    }

    /// The same with the ledger in another directory.
    pub(crate) fn open_beside(
        source: ListSource,
        list: ListOptions,
        dir: &Path,
        ledger_dir: &Path,
        retry_failed: bool,
        restart: bool,
    ) -> Result<Self, Error> {
        let list_path = match &source {
            ListSource::File(path) => fs::canonicalize(path).ok(),
            _ => None,
        };
        let is_listing = matches!(source, ListSource::Listing(_));
        let name = match &source {
            ListSource::Listing(listing) => listing.name().map(Identity::of_text),
            _ => None,
        };
        let format = Format { format: list.format, is_strict: list.is_strict, dir: dir.to_owned() };
        let input = input(source, format)?;
        let mut ledger = Ledger::open(ledger_dir)?;
        if let Some(listing) = name {
            ledger.transaction("find the last listing in the ledger", |ledger| ledger.begin_listing(listing))?;
        }
        let (file, mut spool) = match input {
            Input::Whole(file) => (Arc::new(file), None),
            Input::Stream(from) => {
                let spool = Spool::start(ledger.directory(), from)?;
                (spool.file(), Some(spool))
            }
        };
        if list.is_strict {
            check_all(&file, spool.as_mut())?;
        }
        let (waiting, held) = (Waiting::new(ledger.directory()), Waiting::new(ledger.directory()));
        let reader = if spool.is_some() { ListReader::new(file) } else { ListReader::of_user(file) };
        Ok(Self {
            dir: dir.to_owned(),
            storage: Arc::new(Disk::new()),
            list_path,
            retry_failed,
            restart,
            spool,
            reader,
            waiting,
            held,
            held_names: HashSet::new(),
            in_hand: HashMap::new(),
            ready: VecDeque::new(),
            read_entries: 0,
            repeated_entries: 0,
            sums: list.sums,
            asker: list.asker,
            demands: Demands::default(),
            is_listing,
            has_unfinished: false,
            has_unknown: false,
            unnoted: Unnoted::default(),
            has_gaps: false,
            failure: None,
            warnings: Vec::new(),
            read_all: false,
            ledger,
        })
    }

    /// Looks for finished files in this storage, which has to be the session's, instead of the file system. The
    /// ledger stays on this machine.
    #[must_use]
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    fn has_something(&self) -> bool {
        !self.ready.is_empty() || !self.waiting.is_empty()
    }

    fn until(&self) -> Until {
        self.spool.as_ref().map_or(Until::END_OF_FILE, Spool::until)
    }

    /// Reads on until there is something to do, the list gives no more, or the patience is over: lines may be blank.
    fn read_to_something(&mut self, patience: Duration) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            let before = self.reader.lines();
            self.read_on()?;
            let left = patience.saturating_sub(since.elapsed());
            if self.read_all || self.failure.is_some() || self.has_something() || left.is_zero() {
                return Ok(());
            }
            match &mut self.spool {
                _ if self.reader.lines() > before => {}
                Some(spool) => spool.listen(left),
                None => return Ok(()),
            }
        }
    }

    /// Reads a chunk of the list and enters it in the ledger.
    fn read_on(&mut self) -> Result<(), Error> {
        let until = self.until();
        let has_specs = self.spool.as_ref().is_some_and(Spool::has_specs);
        if has_specs {
            self.reader.reads_specs();
        }
        let lines_max =
            usize::try_from(self.read_entries).unwrap_or(CHUNK_LINES_MAX).clamp(CHUNK_LINES_MIN, CHUNK_LINES_MAX);
        let mut chunk = Vec::with_capacity(lines_max);
        let mut candidates = Vec::with_capacity(lines_max);
        let mut bytes_read = 0;
        let mut ended = false;
        for _ in 0..lines_max {
            let raw = match self.reader.next_line(until) {
                Ok(Next::Line(raw)) => raw,
                Ok(Next::NotYet) => break,
                Ok(Next::End) => {
                    ended = true;
                    break;
                }
                Err(error) => {
                    // What came before counts.
                    self.failure = Some(not_read(error));
                    break;
                }
            };
            let bytes = self.reader.bytes(&raw);
            bytes_read += bytes.len();
            let line = raw.number;
            let parsed = match has_specs {
                _ if raw.too_long => Line::Bad(too_long(line)),
                true => listing::parse_line(line, bytes),
                false => parse_line(line, bytes),
            };
            match parsed {
                Line::Nothing => {}
                Line::Bad(error) => {
                    self.read_entries += 1;
                    self.ready.push_back(FedEntry::Bad { line, error });
                }
                Line::Entry(parsed) => {
                    self.read_entries += 1;
                    let identity = Identity::of(&parsed.spec, &self.asker);
                    let key = self.ledger.key(identity);
                    candidates.push(Candidate { identity, key, url: shown_url(&parsed.spec.url) });
                    chunk.push(parsed.spec);
                }
            }
            if bytes_read >= CHUNK_BYTES_MAX {
                break;
            }
        }
        for aside in self.spool.as_mut().map(Spool::take_asides).unwrap_or_default() {
            match aside {
                Aside::NotListed(url, error) => {
                    self.read_entries += 1;
                    self.has_gaps = true;
                    self.ready.push_back(FedEntry::NotListed { url, error });
                }
                Aside::Bad { line, error } => {
                    self.read_entries += 1;
                    self.ready.push_back(FedEntry::Bad { line, error });
                }
                Aside::Warning(text) => self.warnings.push(text),
            }
        }
        let failure = self.spool.as_ref().and_then(Spool::failure).filter(|_| ended).cloned();
        if let Some(error) = failure.clone().filter(|_| chunk.is_empty()) {
            return Err(error);
        }
        // What came before is fetched; the next call tells why there is no more.
        let ended = ended && failure.is_none();
        if chunk.is_empty() && !ended {
            return Ok(());
        }
        let read_entries = self.read_entries;
        let read_all = ended && !self.has_gaps;
        let demands = candidates.iter().zip(&chunk).map(|(candidate, spec)| self.demands.are_new(candidate.key, spec));
        let demands_anew: Vec<bool> = demands.collect();
        // A line that repeats an earlier one is no file of its own.
        let is_own = |(found, demands_anew): (&Found, &bool)| found.occurrence == 0 || *demands_anew;
        let (found, repeated) = self.ledger.transaction("read the list into the ledger", |ledger| {
            let found = ledger.enter(&candidates)?;
            let mut repeated = 0;
            for entry @ (found, _) in found.iter().zip(&demands_anew).filter(|(found, _)| found.occurrence > 0) {
                repeated += u64::from(!is_own(entry));
                if !is_own(entry) || found.state == Known::Pending {
                    ledger.set_own(found.id, is_own(entry))?;
                }
            }
            ledger.note_read(read_entries - repeated, read_all)?;
            Ok((found, repeated))
        })?;
        self.read_entries -= repeated;
        self.repeated_entries += repeated;
        if ended && self.repeated_entries > 0 {
            let lines = match self.repeated_entries {
                1 => "1 line of the list repeats another".to_owned(),
                lines => format!("{lines} lines of the list repeat others"),
            };
            self.warnings.push(format!("{lines}: each file is fetched once"));
        }
        let entries = chunk.into_iter().zip(candidates).zip(found).zip(&demands_anew);
        self.place(entries.filter(|((_, found), anew)| is_own((found, anew))).map(|(entry, _)| entry).collect())?;
        self.read_all = ended;
        match ended {
            true => self.listing_ended(),
            false => Ok(()),
        }
    }

    /// All is read: says what the listing no longer has, and lets the entries go that waited for that.
    fn listing_ended(&mut self) -> Result<(), Error> {
        let names = std::mem::take(&mut self.held_names);
        if self.is_listing && !self.has_gaps && self.ledger.is_whole() {
            let gone = self.ledger.transaction("read from the ledger what is gone", |ledger| ledger.gone(&names))?;
            self.warnings.extend(gone.in_words());
        }
        while !self.held.is_empty() {
            let waiters = self.held.take(CHUNK_LINES_MIN);
            let pushed = waiters.and_then(|waiters| self.waiting.push(waiters));
            pushed.map_err(|error| ledger_error(WAIT, self.ledger.path(), error))?;
        }
        Ok(())
    }

    /// Decides for each entry what to do with it.
    fn place(&mut self, entries: Vec<Entered>) -> Result<(), Error> {
        let mut waiters = Vec::with_capacity(entries.len());
        let (mut again, mut held) = (Vec::new(), Vec::new());
        for ((mut spec, candidate), found) in entries {
            let entry = self.ledger.entry_of(found.id);
            match found.state.clone() {
                Known::Pending => {}
                Known::Done { path, len_bytes, modified_ns }
                    if !self.restart && self.is_still_there(&path, len_bytes, modified_ns) =>
                {
                    let sum = self.sums.as_ref().and_then(|sums| sum_of(sums, &self.dir.join(&path), &path, &spec));
                    let demanded = Demanded::by(spec.checksum.as_ref(), sum);
                    let is_listed_anew = is_listed_anew(&spec, found.fetched.as_deref());
                    if is_outdated(&found)
                        || is_listed_anew
                        || is_promised_anew(&spec, demanded, found.digest.as_deref(), len_bytes)
                    {
                        go_on_under_its_name(&mut spec, &found);
                        again.push(found.id);
                        waiters.push(Waiter::new(&candidate, &found, entry, spec));
                        continue;
                    }
                    let lacks_sum = self.sums.is_some() && demanded.digest.is_none();
                    self.ready.push_back(FedEntry::There { entry, url: candidate.url, path, len_bytes, lacks_sum });
                    continue;
                }
                // A service may have mended it since.
                Known::FailedPermanent { kind, message, attempts }
                    if !self.retry_failed && !self.restart && spec.listed.is_none() =>
                {
                    let error =
                        Error::new(kind_from(&kind), message).with_attempts(attempts).with_advice(Advice::RetryFailed);
                    self.ready.push_back(FedEntry::FailedBefore { entry, url: candidate.url, error });
                    continue;
                }
                Known::Done { .. } | Known::Again | Known::FailedPermanent { .. } => again.push(found.id),
            }
            go_on_under_its_name(&mut spec, &found);
            if found.left.is_none() && self.is_held(&spec) {
                self.held_names.extend(spec.output.clone());
                held.push(Waiter::new(&candidate, &found, entry, spec));
                continue;
            }
            waiters.push(Waiter::new(&candidate, &found, entry, spec));
        }
        if !again.is_empty() {
            self.ledger.transaction("note in the ledger what is fetched again", |ledger| {
                again.iter().try_for_each(|id| ledger.set_pending(*id))
            })?;
        }
        let pushed = self.waiting.push(waiters).and_then(|()| self.held.push(held));
        pushed.map_err(|error| ledger_error(WAIT, self.ledger.path(), error))
    }

    /// Whether a new entry of a listing has to wait until all is read: the file that has its name may be one that the
    /// listing no longer has.
    fn is_held(&self, spec: &JobSpec) -> bool {
        let is_early = self.ledger.has_listed() && !self.read_all;
        let is_there = |output: &PathBuf| !matches!(self.storage.stat(&self.dir.join(output)), Ok(None));
        is_early && spec.output.as_ref().is_none_or(is_there)
    }

    fn is_still_there(&self, path: &Path, len_bytes: u64, modified_ns: i64) -> bool {
        let found = self.storage.stat(&self.dir.join(path)).ok().flatten();
        found.is_some_and(|found| {
            found.kind == StatKind::File && found.len_bytes == len_bytes && is_same_time(modified_ns, &found)
        })
    }

    /// Moves entries that are next in turn into `entries`, until there are `max`.
    fn give_out(&mut self, entries: &mut Vec<FedEntry>, max: usize) -> Result<(), Error> {
        let taken = self
            .waiting
            .take(max.saturating_sub(entries.len()))
            .map_err(|error| ledger_error(WAIT, self.ledger.path(), error))?;
        for waiter in taken {
            self.in_hand.insert(waiter.entry, waiter.place());
            let Waiter { entry, spec, name, .. } = waiter;
            entries.push(FedEntry::Job { entry, spec, name });
        }
        Ok(())
    }
}

/// Why the list cannot be read on.
fn not_read(source: io::Error) -> Error {
    let message = format!("cannot read the list: {source}");
    match source.kind() {
        io::ErrorKind::InvalidData => Error::new(ErrorKind::ListLine, message).with_advice(Advice::RunAgain),
        _ => Error::new(ErrorKind::Storage, message).with_source(source),
    }
}

/// What a file of digests says of a finished file: by its path, or by the names that a fetch looks for.
fn sum_of<'a>(sums: &'a Sums, path: &Path, below: &Path, spec: &JobSpec) -> Option<&'a Checksum> {
    let whole = std::path::absolute(path).ok();
    let by_path = sums.of(below).or_else(|| sums.of(whole.as_deref()?));
    by_path.or_else(|| sums.of_any(&[below.file_name().map(Path::new)?, &spec.name_in_url()]))
}

impl Feed for Batch {
    fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = self.ledger.take_warnings();
        warnings.append(&mut self.warnings);
        warnings
    }

    fn next(&mut self, max: usize, patience: Duration) -> Result<Fed, Error> {
        let mut entries = Vec::with_capacity(max);
        if !self.read_all && self.failure.is_none() && self.ready.len() < max {
            if let Some(spool) = &mut self.spool {
                spool.listen(Duration::ZERO);
            }
            if let Err(error) = self.read_to_something(patience) {
                self.failure = Some(error);
            }
        }
        // What was read before is given out before it is said why there is no more.
        if let Some(error) = self.failure.take_if(|_| self.ready.is_empty() && self.waiting.is_empty()) {
            return Err(error);
        }
        // Half of the places go to files that need fetching, so that a long run of existing files does not
        // starve the connections, nor the other way round.
        self.give_out(&mut entries, max.div_ceil(2))?;
        let said = self.ready.len().min(max - entries.len());
        entries.extend(self.ready.drain(..said));
        self.give_out(&mut entries, max)?;
        Ok(Fed {
            entries,
            read_entries: self.read_entries,
            read_all: self.read_all,
            ended: self.read_all && !self.has_something(),
        })
    }

    fn settle(&mut self, settled: Vec<Settled>) -> Result<(), Error> {
        let is_finished = |one: &Settled| matches!(one.state, SettledState::Named(_) | SettledState::Done { .. });
        self.has_unfinished |= !settled.iter().all(is_finished);
        self.has_unknown |= settled.iter().any(|one| matches!(one.state, SettledState::Unknown));
        let place_of = |one: Settled| {
            let place = match one.state {
                SettledState::Named(_) => self.in_hand.get(&one.entry).cloned(),
                _ => self.in_hand.remove(&one.entry),
            };
            (one, place)
        };
        let settled: Vec<(Settled, Option<Place>)> = settled.into_iter().map(place_of).collect();
        self.note_the_rest();
        let noted = self.ledger.settle(&settled);
        if noted.is_err() {
            self.unnoted.keep(settled);
        }
        noted
    }

    fn owner(&mut self, entry: EntryId, path: &Path) -> Result<Owner, Error> {
        let has_read_all = self.read_all && !self.has_gaps;
        self.ledger.owner(entry, self.in_hand.get(&entry), path, has_read_all)
    }

    fn input(&self) -> Option<&Path> {
        self.list_path.as_deref()
    }

    fn close(&mut self) -> Result<(), Error> {
        // What is not done yet may still have to replace what is gone.
        let is_done = self.read_all && !self.has_something() && self.in_hand.is_empty() && !self.has_unfinished;
        if self.is_listing && is_done && !self.has_gaps && self.ledger.is_whole() {
            self.ledger.transaction("note the listing in the ledger", |ledger| ledger.end_listing())?;
        }
        self.note_the_rest();
        self.ledger.close(!self.has_unknown && !self.unnoted.exists())
    }
}

impl Batch {
    /// Notes what could not be noted before, if that is possible now.
    fn note_the_rest(&mut self) {
        let rest = self.unnoted.take();
        if !rest.is_empty() && self.ledger.settle(&rest).is_err() {
            self.unnoted.keep(rest);
        }
    }
}

/// An entry of the list with its row in the ledger.
type Entered = ((JobSpec, Candidate), Found);

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
