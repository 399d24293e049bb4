//! What the core knows of one job and of one transfer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use super::adapt::Adapt;
use super::backoff;
use super::link::Link;
use super::message::{Demand, Existing, FetchKind, Head, Note, Protocol, SlotId, Time};
use super::pulse::Pulse;
use super::source::{Source, Sources};
use crate::error::Error;
use crate::event::{FileState, How};
use crate::evidence::samples::GATHERED_BYTES_MAX;
use crate::evidence::{Evidence, Given};
use crate::feed::EntryId;
use crate::http::cookies::Cookies;
use crate::http::origin::Origin;
use crate::job::{JobId, JobSpec};
use crate::journal::{Identity, Journal, Verified, shortened};
use crate::options::Existing as Policy;
use crate::plan::piece::{OPEN_END, Piece};
use crate::plan::{Active, TransferId};
use crate::promise::Promise;
use crate::ranges::{ByteRange, RangeSet};
use crate::secret;
use crate::storage::StatKind;

/// Where a job is on its way.
#[derive(Debug)]
pub(crate) enum Phase {
    /// In the queue.
    Waiting,
    /// The disk looks for what is there under its name.
    Preparing,
    /// The digest of a file that has the name already is computed.
    CheckingExisting,
    /// Wants a connection for its first request.
    Ready,
    /// Its first request is under way.
    Probing,
    /// Its partial file is being opened.
    Opening,
    /// The file that has the name already is compared with the server's.
    Comparing,
    /// Bytes come (or wait for a connection or a retry).
    Moving,
    /// All have come; the server is asked whether it still has this version.
    Checking,
    /// The digest of the partial file is computed.
    Verifying,
    /// It is being synced and renamed.
    Publishing,
    /// Its transfers are being broken off, and then its journal is saved.
    Winding(Winding),
    /// Stopped by a command; its partial file stays open.
    Paused,
}

/// Why a job is being wound up, and so what follows.
#[derive(Debug)]
pub(crate) enum Winding {
    Fail(Error),
    Pause,
    Cancel,
    Interrupt,
    /// It was there already.
    There(How, Published),
    /// Everything has come; the transfers that are left are the losers of a race.
    Complete,
    /// Start again from the first byte, because of this: an answer told another version, or bytes
    /// differ.
    Restart {
        reason: String,
        is_by_version: bool,
    },
    /// Go on with what the journal of this name says.
    Adopt(Box<Journal>),
    /// Give up what came, and go on with the version that is kept beside it.
    TakeBack,
    /// Let this source lead.
    Lead(usize),
    /// Wait in the queue until this machine has more room for it.
    Requeue,
}

pub(crate) use super::message::Published;

/// Whether a file can be fetched in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segmented {
    Unknown,
    /// One request for a range is on its way to find out.
    Trying,
    Proven,
    Refused,
}

/// One file on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) entry: Option<EntryId>,
    pub(crate) spec: JobSpec,
    /// What redirects have set.
    pub(crate) cookies: Cookies,
    /// All that it comes from.
    pub(crate) sources: Sources,
    pub(crate) phase: Phase,
    pub(crate) started: Time,
    /// Where it will be.
    pub(crate) path: PathBuf,
    /// Where its partial file was opened: the name may be numbered after that.
    pub(crate) part_of: PathBuf,
    /// The name before it was numbered.
    pub(crate) plain_name: String,
    /// Whether the name is certain: given, or known from the answer.
    pub(crate) is_named: bool,
    /// The key under which the name is reserved.
    pub(crate) reserved: Option<u64>,
    /// How often the name was numbered.
    pub(crate) renamed: u32,
    pub(crate) existing: Option<Existing>,
    /// Whether something is at its partial name.
    pub(crate) has_part: bool,
    /// The first answer brought the first part only, so that its end is not that of the file.
    pub(crate) came_in_part: bool,
    /// How often that was so.
    pub(crate) part_answers: u32,
    /// What is known of the version that was begun.
    pub(crate) held: Evidence,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) protocol: Protocol,
    /// What is on the disk and belongs to no running transfer.
    pub(crate) done: RangeSet,
    /// The most that was ever there; only bytes above it renew the retries.
    pub(crate) high_water_bytes: u64,
    pub(crate) resumed_bytes: u64,
    /// Bytes that came over the network, of transfers that have ended.
    pub(crate) fetched_bytes: u64,
    pub(crate) transfers: Vec<TransferId>,
    pub(crate) segmented: Segmented,
    pub(crate) adapt: Adapt,
    /// The answer to the probe, until the partial file is open.
    pub(crate) answer: Option<Box<Head>>,
    pub(crate) whole: Option<Vec<Bytes>>,
    pub(crate) probe: Option<TransferId>,
    /// Failed tries, by the first byte of the gap.
    pub(crate) failures: HashMap<u64, Failures>,
    /// How often what is held was compared with another place, since something came.
    pub(crate) comparisons: u32,
    /// How often a piece was left for later because it failed beside others, since something came.
    pub(crate) refusals: u32,
    /// It is asked for over a connection of its own: one that it shared broke.
    pub(crate) keeps_apart: bool,
    /// It failed over a connection that had been used before.
    pub(crate) wants_new_connection: bool,
    /// How many answers in a row brought far less than was asked for.
    pub(crate) crumbs: u32,
    /// How often in a row a piece was sent to a place to which no connection was open yet.
    pub(crate) strays: u32,
    /// How often a request was refused beside others and left to them, in a row.
    pub(crate) left_to_others: u32,
    /// How often it had to wait for this machine: descriptors, ports.
    pub(crate) scarcities: u32,
    /// What nobody wrote to was found and fetched again.
    pub(crate) was_hollow: bool,
    /// What an earlier run left did not have the digest that was promised then.
    pub(crate) was_wrong: bool,
    /// Its beginning was told.
    pub(crate) is_started: bool,
    /// Which sources are asked again, because the digest is not the promised one.
    pub(crate) trace: Option<Trace>,
    pub(crate) restarts: u32,
    /// What was told about it last.
    pub(crate) told_segmented: Option<bool>,
    /// Ranges in a row that were answered with something else.
    pub(crate) ignored_ranges: u32,
    /// The server said that it serves none, or encodes what it sends.
    pub(crate) says_no_ranges: bool,
    /// What is missing can only come with a stream from the first byte on. What is there stays, if
    /// that stream is of the same version.
    pub(crate) begins_at_zero: bool,
    /// What it failed of, if it was put behind the other files of its host for that.
    pub(crate) put_behind: Option<Error>,
    /// How long it is by what was begun, where a body that does not say its length, or that of another
    /// source, takes the place of that.
    pub(crate) told_bytes: Option<u64>,
    /// The whole file is asked for because its ranges fail: what came stays, whatever is answered.
    pub(crate) is_last_resort: bool,
    /// The source that leads has not been compared with what others brought.
    pub(crate) needs_sample: bool,
    /// Answers that did not fit what is held.
    pub(crate) doubts: Doubts,
    /// How often ranges were tried beside the first stream in vain, and when they may be again.
    pub(crate) trials: Failures,
    /// How many answers brought bytes that are in the file.
    pub(crate) answers: u32,
    /// Whether the server still had the version when all had come.
    pub(crate) closing: Closing,
    /// What was said of the file that has the name.
    pub(crate) existing_verdict: ExistingVerdict,
    /// What is to be compared of it still, and whether it is by samples.
    pub(crate) existing_samples: Option<Vec<ByteRange>>,
    /// A partial file of another version is kept beside the one that is open.
    pub(crate) has_old: bool,
    /// What that one says of itself.
    pub(crate) old: Option<Box<Evidence>>,
    /// What is held was given up for another version, and the answer that is to replace it has to show
    /// that it is one.
    pub(crate) is_replacing: bool,
    /// What is open is to be kept while another version comes.
    pub(crate) keeps_old: bool,
    /// What went wrong last, for a host that answers nobody.
    pub(crate) last_error: Option<Error>,
    /// Whether the place that is asked has to show first that it has the file that was begun.
    pub(crate) link: Link,
    pub(crate) is_part_open: bool,
    pub(crate) generation: u64,
    pub(crate) is_saving: bool,
    /// It was asked to go on before it had been paused.
    pub(crate) resumes: bool,
    /// Disk operations that have not answered yet.
    pub(crate) pending: u32,
    pub(crate) saved_bytes: u64,
    /// Whether the file that has the name was compared with the digest that was asked for.
    pub(crate) is_existing_checked: bool,
    /// What an earlier run left and nobody has gone on with yet.
    pub(crate) held_partial: Option<Box<Journal>>,
    /// A save or a publication failed. After a sync that failed, the system may have dropped what
    /// was to be written, and says that the next sync is fine: nothing more is claimed.
    pub(crate) is_disk_doubtful: bool,
    pub(crate) verified: Verified,
    pub(crate) rate: Rate,
    pub(crate) pulse: Pulse,
}

/// Answers in a row that did not fit what is held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubts {
    /// They said that it is another version.
    pub(crate) different: u32,
    /// They did not say which version it is, or were a page.
    pub(crate) unknown: u32,
    /// When one was counted last.
    at: Option<Time>,
}

impl Doubts {
    /// Whether an answer comes so long after the one that was counted last that it may say something
    /// new; it is the last one from now on.
    pub(crate) fn is_another_moment(&mut self, now: Time) -> bool {
        let is_another = self.at.is_none_or(|at| now >= at + backoff::FLOOR);
        if is_another {
            self.at = Some(now);
        }
        is_another
    }
}

/// The search for the source that sent wrong bytes: what others brought is fetched from one again.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// The one that is asked.
    pub(crate) base: usize,
    /// Whose bytes were fetched again from it, in this order.
    pub(crate) replaced: Vec<usize>,
    /// Those that were asked before it.
    pub(crate) bases_before: Vec<usize>,
}

/// Whether the server still has the version, asked when all bytes have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Not asked.
    #[default]
    Open,
    /// Wanted since then.
    Asking(Time),
    /// It has it, or nobody says otherwise.
    Current,
    /// It has another one now.
    Changed,
}

/// What is known of the file that has the name already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExistingVerdict {
    Unknown,
    /// The feed is asked whose it is.
    AskedOwner,
    /// Nobody else's.
    Unowned,
    /// Its own, and changed since: only its whole content can show that it is the same again.
    Changed,
    /// Another entry's, as the feed says: only its whole content can show that it is this file too.
    Owned(String),
    /// It is another file, because of this.
    Other(String),
    /// It is the file of another entry, and not this one's.
    OthersFile(String),
}

/// Failed tries at one place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failures {
    pub(crate) attempts: u32,
    pub(crate) retry_at: Time,
}

/// One request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) job: JobId,
    pub(crate) slot: SlotId,
    pub(crate) worker: usize,
    pub(crate) host: Origin,
    /// Which of the job's sources was asked.
    pub(crate) source: usize,
    /// What was asked for; the job may have been sent elsewhere meanwhile.
    pub(crate) url: Url,
    /// Whether it was asked for with `If-Range`.
    pub(crate) had_if_range: bool,
    /// How often it was sent elsewhere.
    pub(crate) redirects: u32,
    /// What is sent again to where it was sent.
    pub(crate) kind: FetchKind,
    /// What the answer to a sample said, until the sample has been compared.
    pub(crate) head: Option<Box<Head>>,
    pub(crate) piece: Arc<Piece>,
    pub(crate) is_probe: bool,
    pub(crate) in_race: bool,
    /// Up to here the system was asked to write back.
    pub(crate) written_back: u64,
    /// Up to here room was reserved for it.
    pub(crate) reserved_to: u64,
    /// Whether it has brought enough to show that its host works.
    pub(crate) has_renewed: bool,
    /// Whether its bytes go to the partial file.
    pub(crate) writes: bool,
    /// How long its body has to be, although it does not say so.
    pub(crate) must_end_at: Option<u64>,
    pub(crate) started: Time,
    pub(crate) rate: Rate,
}

impl Transfer {
    /// How fast it is, or was: a short one ends before its rate was measured.
    pub(crate) fn rate_over_all(&self, now: Time) -> Option<f64> {
        let seconds = now.saturating_sub(self.started).as_secs_f64().max(0.001);
        let bytes = self.brought().len();
        self.rate.bps().or((bytes > 0).then_some(bytes as f64 / seconds))
    }

    /// For what room is to be reserved now, so that there is some for so many bytes ahead of it.
    pub(crate) fn take_unreserved(&mut self, ahead_bytes: u64) -> Option<ByteRange> {
        let (position, end) = (self.piece.position(), self.piece.end());
        let to = end.min(position.saturating_add(ahead_bytes));
        let from = position.max(self.reserved_to);
        if end == OPEN_END || from >= to {
            return None;
        }
        self.reserved_to = to;
        Some(ByteRange::new(from, to))
    }
}

impl Job {
    /// Whether another file has the name that may be this one, as its digest would tell.
    pub(crate) fn must_check_existing(&self) -> bool {
        let is_file = self.existing.as_ref().is_some_and(|existing| existing.stat.kind == StatKind::File);
        is_file && self.spec.checksum.is_some() && !self.is_existing_checked
    }

    /// Whether each answer begins at its first byte.
    pub(crate) fn comes_in_one_stream(&self) -> bool {
        self.total_bytes.is_none() || self.segmented == Segmented::Refused
    }

    /// Whether what has come can be gone on with although nobody told the length: something is known of
    /// the version, samples show the rest, and an answer to a range may tell it.
    pub(crate) fn may_learn_len(&self) -> bool {
        self.total_bytes.is_none()
            && !self.done.is_empty()
            && (!self.held.is_silent() || self.came_in_part)
            && self.segmented != Segmented::Refused
            && !self.sources.is_many()
    }

    pub(crate) fn new(id: JobId, entry: Option<EntryId>, spec: JobSpec, origin: Origin, adapt: Adapt) -> Self {
        Self {
            id,
            entry,
            sources: Sources::new(&spec, origin),
            spec,
            cookies: Cookies::default(),
            phase: Phase::Waiting,
            started: Time::ZERO,
            path: PathBuf::new(),
            part_of: PathBuf::new(),
            plain_name: String::new(),
            is_named: false,
            reserved: None,
            renamed: 0,
            existing: None,
            has_part: false,
            came_in_part: false,
            part_answers: 0,
            held: Evidence::default(),
            total_bytes: None,
            protocol: Protocol::Http1,
            done: RangeSet::new(),
            high_water_bytes: 0,
            strays: 0,
            resumed_bytes: 0,
            fetched_bytes: 0,
            transfers: Vec::new(),
            segmented: Segmented::Unknown,
            adapt,
            answer: None,
            whole: None,
            probe: None,
            failures: HashMap::new(),
            comparisons: 0,
            refusals: 0,
            wants_new_connection: false,
            crumbs: 0,
            keeps_apart: false,
            trace: None,
            scarcities: 0,
            was_wrong: false,
            is_started: false,
            was_hollow: false,
            left_to_others: 0,
            restarts: 0,
            told_segmented: None,
            ignored_ranges: 0,
            says_no_ranges: false,
            begins_at_zero: false,
            put_behind: None,
            told_bytes: None,
            is_last_resort: false,
            needs_sample: false,
            doubts: Doubts::default(),
            trials: Failures::default(),
            answers: 0,
            closing: Closing::default(),
            existing_verdict: ExistingVerdict::Unknown,
            existing_samples: None,
            has_old: false,
            old: None,
            keeps_old: false,
            is_replacing: false,
            last_error: None,
            link: Link::default(),
            is_part_open: false,
            generation: 0,
            is_saving: false,
            resumes: false,
            pending: 0,
            saved_bytes: 0,
            is_existing_checked: false,
            held_partial: None,
            is_disk_doubtful: false,
            verified: Verified::Unchecked,
            rate: Rate::default(),
            pulse: Pulse::default(),
        }
    }

    /// Its URL as it may be shown.
    pub(crate) fn shown_url(&self) -> String {
        secret::shown_url(&self.spec.url)
    }

    /// How much the answer to a range has to say of its version, for it to be put together with what
    /// is held. Nothing where it may not: then the file comes in one stream.
    pub(crate) fn demand(&self, believes_server: bool) -> Option<Demand> {
        let is_checked = self.promise(believes_server).is_some_and(|promise| promise.proves());
        match is_checked || self.spec.same_content && self.link.is_compared() {
            true => Some(Demand::NotDifferent),
            false => self.held.can_join().then_some(Demand::Same),
        }
    }

    /// What the journal and the file's note say it is.
    pub(crate) fn identity(&self) -> Identity {
        let (url, evidence) = self.version();
        Identity {
            url: secret::identity_url(url),
            given: Some(Given::of(url)),
            evidence: evidence.clone(),
            total_bytes: self.total_bytes,
        }
    }

    /// The version of what is there, and the URL that it belongs to: of several sources the first
    /// that has told one.
    fn version(&self) -> (&Url, &Evidence) {
        self.sources.first_known().unwrap_or((&self.spec.url, &self.held))
    }

    /// What is noted at the file itself. A batch notes it in its ledger: on ext4 an attribute of this
    /// size takes a block of its own for each file. That is nothing for a large one, which is too much
    /// to be fetched again and compared where a kill came before its row.
    pub(crate) fn note(&self) -> Option<Note> {
        let note = || {
            let (url, evidence) = self.version();
            // The file is for everybody, and a hash of a secret that can be guessed gives it away.
            let is_shown = |url: &Url| secret::shown_url(url) == url.as_str();
            let is_open = is_shown(url);
            let at = self.lead().url();
            // Where it was sent to may be signed with what has no name that is known for it.
            let has_open_place = is_open && (at == url || at.query().is_none() && is_shown(at));
            Note {
                url: secret::identity_url(url),
                given: is_open.then(|| Given::of(url)),
                is_whole_url: secret::identity_url(url) == url.as_str(),
                evidence: Evidence { place: evidence.place.filter(|_| has_open_place), ..evidence.clone() },
                file: None,
                noted_unix_ms: 0,
            }
        };
        let is_large = self.total_bytes.is_none_or(|total| total > GATHERED_BYTES_MAX);
        (self.entry.is_none() || is_large).then(note)
    }

    /// What its content must hash to: what the user asked for, else what the server gave.
    pub(crate) fn promise(&self, believes_server: bool) -> Option<Promise> {
        if let Some(checksum) = &self.spec.checksum {
            return Some(Promise::Asked(checksum.clone()));
        }
        let given = self.held.digest.as_ref().or(self.version().1.digest.as_ref());
        given.filter(|_| believes_server).cloned().map(Promise::Given)
    }

    /// Whether every byte of a known length is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.total_bytes.is_some_and(|total| self.done.contains(ByteRange::new(0, total)))
    }

    /// Forgets what has come, but not of which version it was.
    pub(crate) fn forget_content(&mut self) {
        self.fetched_bytes += self.done.covered().saturating_sub(self.resumed_bytes);
        self.done = RangeSet::new();
        self.resumed_bytes = 0;
        self.saved_bytes = 0;
        self.needs_sample = false;
        self.begins_at_zero = false;
    }

    /// What is known of the version that was begun, also where nobody has gone on with it yet.
    pub(crate) fn version_begun(&self) -> &Evidence {
        self.held_partial.as_ref().map_or(&self.held, |journal| &journal.identity.evidence)
    }

    /// What came is to stay beside another version, if it is of use.
    pub(crate) fn keep_version(&mut self) {
        if self.is_worth_keeping() {
            let held = self.held.clone();
            self.keep_version_of(held);
        }
    }

    /// What came of this version is to stay beside another one. Of several, the first stays.
    pub(crate) fn keep_version_of(&mut self, held: Evidence) {
        self.keeps_old = true;
        self.old.get_or_insert_with(|| Box::new(held));
    }

    /// Forgets all that came of the version that it was about.
    pub(crate) fn forget(&mut self) {
        self.done = RangeSet::new();
        self.resumed_bytes = 0;
        self.saved_bytes = 0;
        self.high_water_bytes = 0;
        self.held = Evidence::default();
        self.total_bytes = None;
        self.segmented = Segmented::Unknown;
        self.needs_sample = false;
        self.told_segmented = None;
        self.ignored_ranges = 0;
        self.says_no_ranges = false;
        self.begins_at_zero = false;
        self.told_bytes = None;
        self.is_last_resort = false;
        self.doubts = Doubts::default();
        self.trials = Failures::default();
        self.answers = 0;
        self.closing = Closing::default();
        self.sources.forget();
        self.lead_mut().distrusts_if_range = false;
        self.trace = None;
        self.link = Link::default();
        self.verified = Verified::Unchecked;
        self.failures.clear();
        self.answer = None;
        self.whole = None;
    }

    /// How many connections it may have now.
    pub(crate) fn connections_max(&self) -> usize {
        self.adapt.target_of(self.sources.live().count())
    }

    /// The source that leads.
    pub(crate) fn lead(&self) -> &Source {
        &self.sources[self.sources.lead()]
    }

    /// The source that leads.
    pub(crate) fn lead_mut(&mut self) -> &mut Source {
        let lead = self.sources.lead();
        &mut self.sources[lead]
    }

    /// The origin of the URL that the user gave: what they gave for it stays with it.
    pub(crate) fn own_origin(&self) -> &Origin {
        &self.sources[0].own_origin
    }

    /// What every source has to say of the file, whatever its tags and dates are.
    pub(crate) fn common_version(&self) -> Evidence {
        let digest = self.held.digest.as_ref().or(self.version().1.digest.as_ref());
        Evidence { total_bytes: self.total_bytes, digest: digest.cloned(), ..Evidence::default() }
    }

    /// Whether the URL of a journal or a note is that of a source that does not lead; its version
    /// cannot be compared with that of the one that does.
    pub(crate) fn is_of_other_source(&self, identity_url: &str) -> bool {
        self.sources.position_of(identity_url).is_some_and(|source| source != self.sources.lead())
    }

    /// Lets another source lead. What failed of the one before is kept with it.
    pub(crate) fn change_lead(&mut self, next: usize) {
        if let Some(failure) = self.failures.remove(&0) {
            let before = self.lead_mut();
            (before.attempts, before.retry_at) = (failure.attempts, failure.retry_at);
        }
        let common = self.common_version();
        self.sources.set_lead(next);
        let lead = self.lead_mut();
        lead.was_resolved_again = false;
        let (attempts, retry_at, is_joined) = (lead.attempts, lead.retry_at, lead.is_joined());
        self.held = self.lead().told.clone().unwrap_or(common);
        self.segmented = if is_joined { Segmented::Proven } else { Segmented::Unknown };
        self.needs_sample = !is_joined && !self.done.is_empty();
        self.failures.clear();
        if attempts > 0 {
            self.failures.insert(0, Failures { attempts, retry_at });
        }
        self.restarts = 0;
        self.ignored_ranges = 0;
        self.says_no_ranges = false;
        self.begins_at_zero = false;
        self.probe = None;
    }

    /// Whether it was asked for and has not come; the others are only prepared ahead, or wait.
    pub(crate) fn takes_place(&self) -> bool {
        match self.phase {
            Phase::Waiting | Phase::CheckingExisting | Phase::Ready => false,
            Phase::Preparing => self.answer.is_some(),
            _ => true,
        }
    }

    /// Whether its server was asked for something, and it waits for that.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.phase, Phase::Probing | Phase::Moving | Phase::Checking | Phase::Comparing)
    }

    /// Whether its name comes from its URL or its server, and is one of many in a list: nobody has
    /// chosen it, so that it may get a number.
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

    /// Whether what was begun from this URL may be this file, so that samples can tell: the user has given
    /// the name or says it outright, or it may be another link to it. Names that URLs and servers give
    /// are often those of other files, too.
    pub(crate) fn may_be_of(&self, given: Option<Given>) -> bool {
        self.spec.output.is_some() || self.spec.same_content || self.is_kin(given)
    }

    /// Whether it may be another link to the same file, by path and query.
    pub(crate) fn is_kin(&self, given: Option<Given>) -> bool {
        given.is_some_and(|given| Given::of(&self.spec.url).is_kin(given))
    }

    /// What is to be done about a file that has its name. What was said of names that were given, or come
    /// from URLs and servers, is not said of a number that we chose: such a name has to be free.
    pub(crate) fn policy(&self, said: Policy) -> Policy {
        if self.renamed > 0 && said == Policy::Overwrite { Policy::AutoRename } else { said }
    }

    /// Where it stands, for people.
    pub(crate) fn state(&self, now: Time) -> FileState {
        match &self.phase {
            Phase::Verifying | Phase::CheckingExisting | Phase::Comparing | Phase::Checking => FileState::Verifying,
            Phase::Publishing | Phase::Winding(_) => FileState::Finishing,
            Phase::Paused => FileState::Paused,
            Phase::Moving | Phase::Ready if self.transfers.is_empty() => {
                let waits = self.failures.values().any(|failure| failure.retry_at > now)
                    || self.sources.live().any(|(_, source)| source.retry_at > now);
                if waits { FileState::Waiting } else { FileState::Connecting }
            }
            Phase::Moving => FileState::Downloading,
            _ => FileState::Connecting,
        }
    }
}

impl Transfer {
    /// How the plan sees it; an open end is the end of the file.
    pub(crate) fn active(&self, id: TransferId, total_bytes: u64) -> Active {
        Active {
            transfer: id,
            position: self.piece.position(),
            end: match self.piece.end() {
                OPEN_END => total_bytes,
                end => end,
            },
            rate_bps: self.rate.bps(),
            is_first: self.is_probe,
            in_race: self.in_race,
        }
    }

    pub(crate) fn brought(&self) -> ByteRange {
        if self.writes { self.piece.brought() } else { ByteRange::new(0, 0) }
    }
}

/// A rate, smoothed over about a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    bps: Option<f64>,
    seen: Option<(Time, u64)>,
}

impl Rate {
    const MEMORY_SECONDS: f64 = 1.0;
    const EVERY: Time = Time::from_millis(90);
    const FIRST_BYTE_WITHIN: Time = Time::from_secs(1);

    /// `bytes` had come until `now`.
    pub(crate) fn observe(&mut self, now: Time, bytes: u64) {
        let Some((then, before)) = self.seen else {
            self.seen = Some((now, bytes));
            return;
        };
        let elapsed = now.saturating_sub(then);
        // Before the first byte there is no rate, only a latency.
        let is_waiting = self.bps.is_none() && bytes == before && elapsed < Self::FIRST_BYTE_WITHIN;
        if elapsed < Self::EVERY || is_waiting {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        let fresh = bytes.saturating_sub(before) as f64 / seconds;
        let keep = (-seconds / Self::MEMORY_SECONDS).exp();
        self.bps = Some(self.bps.map_or(fresh, |bps| bps * keep + fresh * (1.0 - keep)));
        self.seen = Some((now, bytes));
    }

    pub(crate) fn bps(&self) -> Option<f64> {
        self.bps
    }
}
