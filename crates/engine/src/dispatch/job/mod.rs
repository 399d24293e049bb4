//! The core's state of one job: its [`Phase`], and what is known about its name, its content, its partial
//! file, its sources and its ranges. Plain values of the dispatcher.

mod answer;
mod content;
mod existing;
mod failures;
mod naming;
mod own;
mod part;
mod ranges;
mod remote_time;
mod transfer;
mod tries;

use std::sync::Arc;

use http::HeaderMap;
use url::Url;

use self::answer::Answer;
pub(crate) use self::answer::Answered;
use self::content::Content;
pub(crate) use self::content::{FinalCheck, ListedBefore};
use self::existing::ExistingFile;
pub(crate) use self::existing::ExistingVerdict;
use self::naming::Naming;
use self::own::Own;
use self::part::{Old, Part};
use self::ranges::Ranges;
pub(crate) use self::ranges::Segmented;
pub(crate) use self::transfer::Transfer;
pub(crate) use self::tries::Doubts;
use self::tries::Tries;
use super::adapt::Adapt;
use super::identity::Link;
use super::job_sources::{Source, Sources, Trace};
use super::pulse::Pulse;
use super::rate::Rate;
use crate::checksum::Checksum;
use crate::error::Error;
use crate::event::{FileState, How};
use crate::evidence::samples::GATHERED_BYTES_MAX;
use crate::evidence::{Evidence, Given};
use crate::feed::EntryId;
use crate::http::origin::Origin;
use crate::job::{JobId, JobSpec, Listed};
use crate::journal::{Identity, Journal, shortened};
use crate::message::{Demand, Existing, ListedOffice, Note, Time};
use crate::options::Existing as Policy;
use crate::plan::TransferId;
use crate::promise::Promise;
use crate::ranges::{ByteRange, RangeSet};
use crate::secret;
use crate::storage::StatKind;

/// The phase of a job.
#[derive(Debug)]
pub(crate) enum Phase {
    /// In the queue.
    Waiting,
    /// The opener checks what exists under its name, which may come from a response.
    Preparing(Option<Box<Answered>>),
    /// The digest of an existing file is computed.
    CheckingExisting(Option<Box<Answered>>),
    /// The feed is asked which entry owns an existing file.
    AskingOwner(Option<Box<Answered>>),
    /// Waits for a connection for its first request.
    Ready,
    /// Its first request is in flight.
    Probing,
    /// Its partial file is being opened.
    Opening,
    /// The file of another program becomes its partial file.
    Adopting,
    /// An existing file is compared with the server's.
    Comparing(Comparison),
    /// Bytes arrive (or it waits for a connection or a retry).
    Moving,
    /// All bytes are here. The closing check started at this time.
    Checking { since: Time },
    /// The digest of the partial file is computed.
    Verifying,
    /// It is being synced and renamed.
    Publishing,
    /// Its transfers are aborted; then its journal is saved.
    Closing(Closing),
    /// Stopped by a command; its partial file stays open.
    Paused,
}

/// The comparison of an existing file with the server's.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) answered: Box<Answered>,
    /// The ranges left to compare, which are requested one by one; `None` to compare the whole file with the
    /// response's body.
    pub(crate) samples: Option<Vec<ByteRange>>,
    /// It may be the beginning of the server's file, not all of it.
    pub(crate) is_half: bool,
}

/// Why a job is being closed, which decides what follows.
#[derive(Debug)]
pub(crate) enum Closing {
    Fail(Error),
    /// With `resumes`, the user has already resumed it.
    Pause {
        resumes: bool,
    },
    Cancel,
    Interrupt,
    /// The file already exists.
    There(How, Published),
    /// The file is complete; the transfers that are left have lost a race.
    Complete,
    /// Restart from the first byte, for this reason: a response reported another version, or bytes differ.
    Restart {
        reason: String,
        is_by_version: bool,
    },
    /// Resume from the journal that was found under its name.
    Adopt(Box<Journal>),
    /// Give up the current data and resume the version that is kept beside it.
    TakeBack,
    /// Make this source the lead.
    Lead(usize),
    /// Wait in the queue until this machine has more room for it.
    Requeue,
}

/// What shows that the file is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Responses report another version.
    Version,
    /// Refetched bytes differ.
    Bytes,
}

pub(crate) use crate::message::Published;

/// One file on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) entry: Option<EntryId>,
    pub(crate) spec: JobSpec,
    /// The digest that it was added with: its name may give it another one.
    pub(crate) own_checksum: Option<Checksum>,
    /// The two differ.
    pub(crate) is_contradicted: bool,
    pub(crate) sources: Sources,
    pub(crate) phase: Phase,
    /// When it last started; only its first start is reported.
    pub(crate) started: Option<Time>,
    pub(crate) naming: Naming,
    pub(crate) existing: ExistingFile,
    pub(crate) content: Content,
    pub(crate) part: Part,
    pub(crate) old: Old,
    pub(crate) answer: Answer,
    pub(crate) ranges: Ranges,
    pub(crate) tries: Tries,
    /// The search for the source of wrong bytes, after a digest mismatch.
    pub(crate) trace: Option<Trace>,
    /// Whether the current URL must first show that it has the file that was started.
    pub(crate) link: Link,
    pub(crate) transfers: Vec<TransferId>,
    pub(crate) own: Own,
    pub(crate) rate: Rate,
    pub(crate) pulse: Pulse,
}

impl Job {
    /// Whether an existing file may be this one, and its digest must be checked.
    pub(crate) fn must_check_existing(&self, believes_server: bool) -> bool {
        let is_file = self.existing.file.as_ref().is_some_and(|existing| existing.stat.kind == StatKind::File);
        let is_listed = believes_server && self.listed_checksum().is_some_and(|(listed, _)| !listed.may_differ);
        let is_asked = self.spec.checksum.is_some() || self.spec.pieces.is_some();
        is_file && (is_asked || is_listed) && !self.existing.is_checked
    }

    /// Whether each response starts at the first byte of the file.
    pub(crate) fn comes_in_one_stream(&self) -> bool {
        self.content.total_bytes.is_none() || self.ranges.segmented == Segmented::Refused
    }

    /// Whether the existing data can be resumed although its length is unknown: something is known about the
    /// version or about ranges, samples show the rest, and the response to a range may give the length.
    pub(crate) fn may_learn_len(&self) -> bool {
        self.content.total_bytes.is_none()
            && !self.content.done.is_empty()
            && (!self.content.held.is_silent() || self.content.came_in_part || self.ranges.are_offered)
            && self.ranges.segmented != Segmented::Refused
    }

    pub(crate) fn new(id: JobId, entry: Option<EntryId>, spec: JobSpec, origin: Origin, adapt: Adapt) -> Self {
        Self {
            id,
            entry,
            own_checksum: spec.checksum.clone(),
            is_contradicted: false,
            sources: Sources::new(&spec, origin),
            // A job that was not added by a feed can be limited later.
            own: Own::new(&spec.options, entry.is_none()),
            spec,
            phase: Phase::Waiting,
            started: None,
            naming: Naming::default(),
            existing: ExistingFile::default(),
            content: Content::default(),
            part: Part::default(),
            old: Old::default(),
            answer: Answer::default(),
            ranges: Ranges::new(adapt),
            tries: Tries::default(),
            trace: None,
            link: Link::default(),
            transfers: Vec::new(),
            rate: Rate::default(),
            pulse: Pulse::default(),
        }
    }

    /// Its URL in a form that may be shown.
    pub(crate) fn shown_url(&self) -> String {
        self.own.shown_url.get_or_init(|| secret::shown_url(&self.spec.url)).clone()
    }

    /// The URL of the leading source in a form that may be shown.
    pub(crate) fn shown_lead(&self) -> String {
        let url = self.lead().url();
        if *url == self.spec.url { self.shown_url() } else { secret::shown_url(url) }
    }

    /// Where failures at this byte are counted: in one stream, and before anything moves, they have one count.
    fn failed_gap(&self, start: u64) -> u64 {
        if self.comes_in_one_stream() || !matches!(self.phase, Phase::Moving) { 0 } else { start }
    }

    /// Failed attempts at what is missing from this byte on.
    pub(crate) fn attempts_at(&self, start: u64) -> u32 {
        self.tries.failures.at(self.failed_gap(start)).attempts
    }

    /// When what is missing from this byte on may be tried again.
    pub(crate) fn retry_at(&self, start: u64) -> Time {
        self.tries.failures.at(self.failed_gap(start)).retry_at
    }

    /// Counts one more failure at this byte, or the first since there was progress. Returns how many there are.
    pub(crate) fn count_failure(&mut self, start: u64, has_progressed: bool) -> u32 {
        self.tries.failures.count(self.failed_gap(start), has_progressed)
    }

    /// Lets what is missing from this byte on wait.
    pub(crate) fn wait_until(&mut self, start: u64, retry_at: Time) {
        self.tries.failures.wait_until(self.failed_gap(start), retry_at);
    }

    /// The same where it would be tried at `own_retry_at` if its host were not in trouble.
    pub(crate) fn wait_for_host(&mut self, start: u64, retry_at: Time, own_retry_at: Time) {
        self.tries.failures.wait_for_host(self.failed_gap(start), retry_at, own_retry_at);
    }

    /// The same, unless it waits for longer.
    pub(crate) fn wait_at_least_until(&mut self, start: u64, retry_at: Time) {
        self.wait_until(start, self.retry_at(start).max(retry_at));
    }

    /// What was missing from this byte on has come.
    pub(crate) fn forget_failure(&mut self, start: u64) {
        self.tries.failures.forget(self.failed_gap(start));
    }

    /// The part from `start` to `reached` of what failed has come. A few more bytes do not make it another failure.
    pub(crate) fn shift_failure(&mut self, start: u64, reached: u64) {
        self.tries.failures.shift(self.failed_gap(start), self.failed_gap(reached));
    }

    /// How much the response to a range must say about its version to be joined with the existing data.
    /// `None` if it may not be joined: then the file comes in one stream.
    pub(crate) fn demand(&self, believes_server: bool) -> Option<Demand> {
        let can_join = self.content.held.can_join();
        let is_checked = self.promise(believes_server).is_some_and(|promise| promise.proves());
        // A digest shows in the end whether all bytes are right, but not which ones: a version is better.
        let is_free =
            is_checked && !self.content.held.is_named_by_ranges() || self.spec.same_content && self.link.is_compared();
        match is_free {
            _ if self.ranges.needs_overlap => None,
            true => Some(Demand::NotDifferent),
            // The digest shows at the end whether the weak name was right.
            false if is_checked && can_join && !self.content.held.can_join_by_name() => Some(Demand::SameWeakly),
            false => can_join.then_some(Demand::Same),
        }
    }

    /// What the ledger records of the finished file's version.
    pub(crate) fn version_fetched(&self, how: How) -> Evidence {
        let listed = self.spec.listed.as_ref().and_then(|listed| listed.version.clone());
        let held = &self.content.held;
        // How old the date was tells whether a time that a service lists is one of this content.
        let when = if listed.is_some() { (held.answered_unix, held.seen_unix) } else { (None, None) };
        Evidence {
            listed,
            answered_unix: when.0,
            seen_unix: when.1,
            is_adopted: self.is_adopted(how),
            is_outdated: self.content.final_check == FinalCheck::Changed,
            ..held.of_file()
        }
    }

    /// Whether the file under its name may be the user's own: nothing proves that it has the content of this one.
    fn is_adopted(&self, how: How) -> bool {
        let is_ours = || self.is_as_left() || self.existing.file.as_ref().is_some_and(Existing::is_as_noted);
        !how.is_proof() && !is_ours()
    }

    /// The identity that goes into the journal and the note.
    pub(crate) fn identity(&self) -> Identity {
        let (url, evidence) = self.version();
        let mut evidence = evidence.clone();
        // A source may have said it later than its version, or another one did.
        evidence.total_bytes = evidence.total_bytes.or(self.content.total_bytes);
        evidence.listed = match &self.content.begun_as {
            Some(ListedBefore(listed)) => listed.clone(),
            None => self.spec.listed.as_ref().and_then(|listed| listed.version.clone()),
        };
        Identity {
            url: secret::identity_url(url),
            given: Some(Given::of(url)),
            evidence,
            total_bytes: self.content.total_bytes,
        }
    }

    /// The version of the existing data, and its URL: with several sources, those of the first source that
    /// reported a version.
    pub(crate) fn version(&self) -> (&Url, &Evidence) {
        self.sources.first_known().unwrap_or((&self.spec.url, &self.content.held))
    }

    /// The note on the file itself. A batch records it in its ledger instead: on ext4, an attribute of this
    /// size takes a block of its own for each file. That is nothing for a large file, which would be costly
    /// to refetch and compare after a kill before its ledger row was written.
    pub(crate) fn note(&self) -> Option<Note> {
        let note = || {
            let (url, evidence) = self.version();
            // Everybody can read the file, and the hash of a guessable secret gives it away.
            let is_shown = |url: &Url| secret::shown_url(url) == url.as_str();
            let is_open = is_shown(url);
            let at = self.lead().url();
            // The URL that it was redirected to may be signed by parameters that we do not recognize.
            let has_open_place = is_open && (at == url || at.query().is_none() && is_shown(at));
            Note {
                url: secret::identity_url(url),
                given: is_open.then(|| Given::of(url)),
                is_whole_url: secret::identity_url(url) == url.as_str(),
                evidence: Evidence { place: evidence.place.filter(|_| has_open_place), ..evidence.clone() },
                file: None,
                checked: self.spec.checksum.as_ref().map(ToString::to_string),
                noted_unix_ms: 0,
            }
        };
        let is_large = self.content.total_bytes.is_none_or(|total| total > GATHERED_BYTES_MAX);
        (self.entry.is_none() || is_large).then(note)
    }

    /// What a page with this title and URL means instead of the file.
    pub(crate) fn page_means(&self, title: Option<&str>, url: &Url) -> Option<&str> {
        let has = |sign: &str| url.as_str().contains(sign) || title.is_some_and(|title| title.contains(sign));
        let known = self.spec.listed.as_ref()?.page_means.iter().find(|(sign, _)| has(sign));
        known.map(|(_, means)| means.as_str())
    }

    /// Whether its service sends no pages as files.
    pub(crate) fn is_never_page(&self) -> bool {
        self.spec.listed.as_ref().is_some_and(|listed| !listed.page_means.is_empty())
    }

    /// Whether its service lists another version than that which was begun, and the server of the bytes tells nothing
    /// better: what it calls them decides, and a listing may change in what it says of the same bytes.
    pub(crate) fn is_listed_anew(&self) -> bool {
        let Some(ListedBefore(Some(before))) = &self.content.begun_as else { return false };
        let now = self.spec.listed.as_ref().and_then(|listed| listed.version.as_ref());
        now.is_some_and(|now| now != before) && !self.content.held.has_strong_tag()
    }

    /// The service that lists the file with another length or digest, and may send it otherwise than it lists it: then
    /// it has to be a whole Office file.
    pub(crate) fn must_be_office(&self, len_bytes: u64) -> Option<ListedOffice> {
        let listed = self.spec.listed.as_ref().filter(|listed| listed.may_differ)?;
        let is_otherwise = match listed.total_bytes {
            Some(total_bytes) => total_bytes != len_bytes,
            // A digest that is listed was compared.
            None => listed.checksum.is_none(),
        };
        let is_otherwise = is_otherwise || self.content.is_listed_otherwise;
        is_otherwise.then(|| ListedOffice { by: listed.by.clone(), total_bytes: listed.total_bytes })
    }

    /// The digest that its service lists.
    fn listed_checksum(&self) -> Option<(&Listed, &Checksum)> {
        let listed = self.spec.listed.as_deref()?;
        Some((listed, listed.checksum.as_ref()?))
    }

    /// The digest that its content must have: the user's, else the server's.
    pub(crate) fn promise(&self, believes_server: bool) -> Option<Promise> {
        if let Some(checksum) = &self.spec.checksum {
            return Some(Promise::Asked(checksum.clone()));
        }
        if let Some(checksum) = &self.content.joined_by {
            return Some(Promise::Begun(checksum.clone()));
        }
        if let Some((listed, checksum)) = self.listed_checksum().filter(|_| believes_server) {
            return Some(Promise::Listed(Box::new(listed.clone()), checksum.clone()));
        }
        let given = self.content.held.digest.as_ref().or(self.version().1.digest.as_ref());
        given.filter(|_| believes_server).cloned().map(Promise::Given)
    }

    /// Notes how far the data reaches that is about to be given up.
    pub(crate) fn note_reach(&mut self) {
        self.content.reached_bytes = self.content.reached_bytes.max(self.content.done.end());
    }

    /// Forgets the data, but not its version.
    pub(crate) fn forget_content(&mut self) {
        if self.content.total_bytes.is_none() && (!self.content.held.is_silent() || self.ranges.are_offered) {
            self.note_reach();
            if !self.content.done.is_empty() {
                self.keep_version_of(self.content.held.clone());
            }
        }
        self.content.fetched_bytes += self.content.done.covered().saturating_sub(self.content.resumed_bytes);
        self.content.done = RangeSet::new();
        self.content.pieces_fit = false;
        self.content.joined_by = None;
        self.content.begun_as = None;
        self.content.resumed_bytes = 0;
        self.part.saved_bytes = 0;
        self.ranges.needs_sample = false;
        self.ranges.begins_at_zero = false;
    }

    /// What is known about the version that was started, even if it has not been resumed yet.
    pub(crate) fn version_begun(&self) -> &Evidence {
        self.part.journal.as_ref().map_or(&self.content.held, |journal| &journal.identity.evidence)
    }

    /// Whether a response that names no version is of a file shorter than what has come: a busy server says that of any
    /// file.
    pub(crate) fn is_cut_short_by(&self, claimed: &Evidence) -> bool {
        let begun = self.part.journal.as_ref().map_or(&self.content.done, |journal| &journal.done);
        let held_to = begun.end();
        !claimed.tells_version() && claimed.total_bytes.is_some_and(|total| total < held_to)
    }

    /// Whether a response may be shorter than what had come of a file without a length: it names a version, and not the
    /// one that was begun, which cannot be shorter.
    pub(crate) fn may_be_shorter(&self, claimed: &Evidence) -> bool {
        let is_same = |before: &Evidence| before.tells_version() && !before.compare(claimed).is_different();
        claimed.tells_version() && !self.old.evidence.as_deref().is_some_and(is_same)
    }

    /// Keeps the data beside another version, if it is worth keeping.
    pub(crate) fn keep_version(&mut self) {
        if self.is_worth_keeping() {
            let held = self.content.held.clone();
            self.keep_version_of(held);
        }
    }

    /// Keeps the data of this version beside another one. If there are several, the first is kept.
    pub(crate) fn keep_version_of(&mut self, held: Evidence) {
        self.old.is_to_be_kept = true;
        self.old.evidence.get_or_insert_with(|| Box::new(held));
    }

    /// Forgets the data, its version, and all that depends on them.
    pub(crate) fn forget(&mut self) {
        self.content.forget();
        self.part.saved_bytes = 0;
        self.ranges.forget();
        self.sources.forget();
        self.lead_mut().distrusts_if_range = false;
        self.tries.doubts = Doubts::default();
        self.tries.failures.clear();
        self.trace = None;
        self.link = Link::default();
    }

    /// How many connections it may have now.
    pub(crate) fn connections_max(&self) -> usize {
        self.ranges.adapt.target_of(self.sources.live().count())
    }

    /// The source that is the lead.
    pub(crate) fn lead(&self) -> &Source {
        &self.sources[self.sources.lead()]
    }

    /// The source that is the lead.
    pub(crate) fn lead_mut(&mut self) -> &mut Source {
        let lead = self.sources.lead();
        &mut self.sources[lead]
    }

    /// The headers for a request to a host of this source: the job's own for the origin that the user gave,
    /// its provider's for the origin that they are meant for.
    pub(crate) fn headers_for(&self, source: usize, host: &Origin) -> Option<Arc<HeaderMap>> {
        match self.sources[source].location.as_deref().filter(|location| location.host == *host) {
            Some(location) => location.headers.clone(),
            None => self.own.headers.clone().filter(|_| host == self.own_origin()),
        }
    }

    /// The origin of the user's URL: what the user gave for it stays with it.
    pub(crate) fn own_origin(&self) -> &Origin {
        &self.sources[0].own_origin
    }

    /// What every source must report about the file, whatever its tags and dates are.
    pub(crate) fn common_version(&self) -> Evidence {
        let digest = self.content.held.digest.as_ref().or(self.version().1.digest.as_ref());
        Evidence { total_bytes: self.content.total_bytes, digest: digest.cloned(), ..Evidence::default() }
    }

    /// Whether the URL of a journal or a note is that of a source other than the lead, so that its version
    /// cannot be compared with the lead's.
    pub(crate) fn is_of_other_source(&self, identity_url: &str) -> bool {
        self.sources.position_of(identity_url).is_some_and(|source| source != self.sources.lead())
    }

    /// Makes another source the lead. The old lead keeps its failures.
    pub(crate) fn change_lead(&mut self, next: usize) {
        if let Some(failure) = self.tries.failures.forget(0) {
            let before = self.lead_mut();
            (before.attempts, before.retry_at) = (failure.attempts, failure.retry_at);
        }
        let common = self.common_version();
        self.sources.set_lead(next);
        let lead = self.lead_mut();
        lead.was_resolved_again = false;
        let (attempts, retry_at, is_joined) = (lead.attempts, lead.retry_at, lead.is_joined());
        self.content.held = self.lead().told.clone().unwrap_or(common);
        self.ranges.segmented = if is_joined { Segmented::Proven } else { Segmented::Unknown };
        self.ranges.needs_sample = !is_joined && !self.content.done.is_empty();
        self.tries.failures.clear();
        if attempts > 0 {
            self.tries.failures.set_whole(attempts, retry_at);
        }
        self.tries.restarts = 0;
        self.ranges.ignored = 0;
        self.ranges.are_denied = false;
        self.ranges.begins_at_zero = false;
        self.answer.probe = None;
    }

    /// Whether it takes a place: it was requested and is not complete. Other jobs are only prepared ahead, or wait.
    pub(crate) fn takes_place(&self) -> bool {
        match &self.phase {
            Phase::Waiting | Phase::CheckingExisting(_) | Phase::Ready => false,
            Phase::Preparing(answered) => answered.is_some(),
            _ => true,
        }
    }

    /// Whether it has failed or waited for its server, without progress since.
    pub(crate) fn is_troubled(&self) -> bool {
        self.lead().patience > 0 || !self.tries.failures.is_empty()
    }

    /// Whether it is at a point where connections may be of use.
    pub(crate) fn may_be_connected(&self) -> bool {
        matches!(self.phase, Phase::Moving | Phase::Checking { .. } | Phase::Comparing(_))
    }

    /// Whether nothing of it runs because something has failed. It needs a place again to go on.
    pub(crate) fn stands_by(&self) -> bool {
        matches!(self.phase, Phase::Moving) && self.transfers.is_empty() && !self.tries.failures.is_empty()
    }

    /// Whether it waits for its server, which was sent a request.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.phase, Phase::Probing | Phase::Moving | Phase::Checking { .. } | Phase::Comparing(_))
    }

    /// Whether it is an entry of a list that its URL or its server named: nobody has chosen the name, so it
    /// may get a number.
    pub(crate) fn has_name_of_list(&self) -> bool {
        self.entry.is_some() && self.spec.output.is_none()
    }

    /// Whether the URL of a journal or a note is one of this file's.
    pub(crate) fn is_of(&self, identity_url: &str, given: Option<Given>) -> bool {
        let mut urls = std::iter::once(&self.spec.url).chain(&self.spec.mirrors);
        match given {
            Some(given) => urls.any(|url| Given::of(url).is_same(given)),
            None => identity_url.is_empty() || urls.any(|url| shortened(&secret::identity_url(url)) == identity_url),
        }
    }

    /// Whether data from this URL may be this file, so that samples can decide: the user gave the name or
    /// says that it is the same content, or the URL may be another link to it. Names from URLs and servers
    /// are often those of other files, too.
    pub(crate) fn may_be_of(&self, given: Option<Given>) -> bool {
        self.spec.output.is_some() || self.spec.same_content || self.is_kin(given)
    }

    /// Whether that URL may be another link to the same file, by path and query.
    pub(crate) fn is_kin(&self, given: Option<Given>) -> bool {
        given.is_some_and(|given| Given::of(&self.spec.url).is_kin(given))
    }

    /// How often a piece that makes no progress is retried, in a session that says so of all jobs.
    pub(crate) fn retries(&self, of_session: u32) -> u32 {
        self.spec.options.retries.unwrap_or(of_session)
    }

    /// What to do about an existing file. `overwrite` covers names that were given or come from URLs and
    /// servers, but no number that we chose: that name must be free.
    pub(crate) fn policy(&self, of_session: Policy) -> Policy {
        let said = self.existing_said(of_session);
        if self.is_as_left() {
            return said;
        }
        if self.naming.renamed > 0 && said == Policy::Overwrite { Policy::AutoRename } else { said }
    }

    /// Whether a response names another version that is known, and yet cannot be it: one that an earlier response named,
    /// or the old one that is kept beside the data.
    pub(crate) fn is_contradicted_by(&self, claimed: &Evidence) -> bool {
        let is_not_old = || self.old.evidence.as_ref().is_some_and(|old| old.is_contradicted_by(claimed));
        self.tries.doubts.contradicts(claimed) || is_not_old()
    }

    /// The policy for existing files: this job's, or the session's.
    pub(crate) fn existing_said(&self, of_session: Policy) -> Policy {
        if self.is_as_left() {
            return Policy::Overwrite;
        }
        self.spec.options.existing.unwrap_or(of_session)
    }

    /// Whether there is another version than the one that an earlier run left: its service lists one, or its server had
    /// one already.
    pub(crate) fn has_changed(&self) -> bool {
        self.spec.left.is_some_and(|left| left.is_changed)
    }

    /// The only file that may be replaced, as far as the user lets none be: the one that an earlier run left.
    pub(crate) fn only_over(&self, of_session: Policy) -> Option<(u64, i64)> {
        let left = self.spec.left.filter(|_| self.is_as_left());
        let lets_replace = self.spec.options.existing.unwrap_or(of_session) == Policy::Overwrite;
        left.filter(|_| !lets_replace).map(|left| (left.len_bytes, left.modified_ns))
    }

    /// Whether the existing file is one that an earlier run left to be replaced, and nobody has touched it since.
    fn is_as_left(&self) -> bool {
        let left = self.spec.left;
        let existing = self.existing.file.as_ref();
        left.zip(existing).is_some_and(|(left, existing)| existing.has((left.len_bytes, left.modified_ns)))
    }

    /// Its state, for people.
    pub(crate) fn state(&self, now: Time) -> FileState {
        match &self.phase {
            Phase::Verifying | Phase::CheckingExisting(_) | Phase::Comparing(_) | Phase::Checking { .. } => {
                FileState::Verifying
            }
            Phase::Publishing | Phase::Closing(_) => FileState::Finishing,
            Phase::Paused => FileState::Paused,
            Phase::Moving | Phase::Ready if self.transfers.is_empty() => {
                let waits = self.tries.failures.waits_anywhere(now)
                    || self.sources.live().any(|(_, source)| source.retry_at > now);
                if waits { FileState::Waiting } else { FileState::Connecting }
            }
            Phase::Moving => FileState::Downloading,
            _ => FileState::Connecting,
        }
    }
}
