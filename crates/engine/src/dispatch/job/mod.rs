//! The core's state of one job: its [`Phase`], and what is known about its name, its content, its partial
//! file, its sources and its ranges. Plain values of the dispatcher.

mod answer;
mod content;
mod existing;
mod failures;
mod naming;
mod own;
mod part;
mod pending_redirects;
mod phase;
mod ranges;
mod remote_time;
mod transfer;
mod tries;
mod version;

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
pub(crate) use self::pending_redirects::PendingRedirect;
use self::pending_redirects::PendingRedirects;
pub(crate) use self::phase::{By, Closing, Comparison, Phase};
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
use crate::event::{FileState, How};
use crate::feed::EntryId;
use crate::http::origin::Origin;
use crate::job::{JobId, JobSpec, Listed};
use crate::message::{Existing, ListedOffice, Time};
use crate::plan::TransferId;
use crate::ranges::RangeSet;
use crate::secret;

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
    pub(crate) pending_redirects: PendingRedirects,
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
    pub(crate) fn new(id: JobId, entry: Option<EntryId>, spec: JobSpec, origin: Origin, adapt: Adapt) -> Self {
        Self {
            id,
            entry,
            own_checksum: spec.checksum.clone(),
            is_contradicted: false,
            sources: Sources::new(&spec, origin),
            // A job that was not added by a feed can be limited later.
            own: Own::new(&spec, entry.is_none()),
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
            pending_redirects: PendingRedirects::default(),
            tries: Tries::default(),
            trace: None,
            link: Link::default(),
            transfers: Vec::new(),
            rate: Rate::default(),
            pulse: Pulse::default(),
        }
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

    /// Its URL in a form that may be shown.
    pub(crate) fn shown_url(&self) -> String {
        self.own.shown_url.get_or_init(|| secret::shown_url(&self.spec.url)).clone()
    }

    /// The URL of the leading source in a form that may be shown.
    pub(crate) fn shown_lead(&self) -> String {
        let url = self.lead().url();
        if *url == self.spec.url { self.shown_url() } else { secret::shown_url(url) }
    }

    /// The URL that names the file: where redirects have led, unless that name repeats a secret.
    pub(crate) fn naming_url(&self) -> &Url {
        let url = self.lead().url();
        if secret::is_name_hidden(url) { &self.spec.url } else { url }
    }

    /// Whether the file under its name may be the user's own: nothing proves that it has the content of this one.
    fn is_adopted(&self, how: How) -> bool {
        let is_ours = || self.is_as_left() || self.existing.file.as_ref().is_some_and(Existing::is_as_noted);
        !how.is_proof() && !is_ours()
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

    /// Notes how far the data reaches that is about to be given up.
    pub(crate) fn note_reach(&mut self) {
        self.content.reached_bytes = self.content.reached_bytes.max(self.content.done.end());
    }

    /// Forgets the data, but not its version.
    pub(crate) fn forget_content(&mut self) {
        if self.content.total_bytes.is_none() {
            self.note_reach();
            // What nothing can go on with needs no room beside what takes its place.
            let is_of_use = !self.content.held.is_silent() || self.ranges.are_offered;
            if is_of_use && !self.content.done.is_empty() {
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

    /// Forgets the data, its version, and all that depends on them.
    pub(crate) fn forget(&mut self) {
        self.content.forget();
        self.part.saved_bytes = 0;
        self.ranges.forget();
        self.pending_redirects.clear();
        self.sources.forget();
        self.lead_mut().distrusts_if_range = false;
        self.tries.doubts = Doubts::default();
        self.tries.failures.clear();
        self.trace = None;
        self.link = Link::default();
    }

    /// Whether a source still has to be compared with what another one has brought.
    pub(crate) fn is_stranger(&self, source: usize) -> bool {
        self.ranges.needs_sample && self.sources.is_many() && !self.sources.is_first_known(source)
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

    /// Makes another source the lead. The old lead keeps its failures.
    pub(crate) fn change_lead(&mut self, next: usize) {
        if let Some(failure) = self.tries.failures.forget(0) {
            let before = self.lead_mut();
            before.attempts = failure.attempts;
            before.wait_for_host(failure.retry_at, failure.own_retry_at);
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

    /// How often a piece that makes no progress is retried, in a session that says so of all jobs.
    pub(crate) fn retries(&self, of_session: u32) -> u32 {
        self.spec.options.retries.unwrap_or(of_session)
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
