//! Which version of which URL a job has begun, and how much a response has to say of it.

use url::Url;

use super::{FinalCheck, Job, ListedBefore};
use crate::event::How;
use crate::evidence::samples::GATHERED_BYTES_MAX;
use crate::evidence::{Evidence, Given, Place};
use crate::journal::{Identity, shortened};
use crate::message::{Demand, Note};
use crate::promise::Promise;
use crate::secret;

impl Job {
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
            is_outdated: self.content.final_check == FinalCheck::Disputed,
            ..held.of_file()
        }
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

    /// The note on the file itself, unless its version is disputed. A batch records it in its ledger instead: on ext4, an
    /// attribute of this size takes a block of its own for each file. That is nothing for a large file, which would be
    /// costly to refetch and compare after a kill before its ledger row was written. A file that has a journal gets the
    /// note too: after a crash both names may exist, and only the note says that the file is whole.
    pub(crate) fn note(&self) -> Option<Note> {
        let note = || {
            let (url, evidence) = self.version();
            // Everybody can read the file, and the hash of a guessable secret gives it away.
            let is_shown = |url: &Url| secret::shown_url(url) == url.as_str();
            let is_open = is_shown(url);
            let at = self.lead().url();
            // The URL that it was redirected to may be signed by parameters that we do not recognize.
            let has_open_place = is_open && (at == url || at.query().is_none() && is_shown(at));
            // What is not written down is another place than any that answers later.
            let place = evidence.place.map(|place| if has_open_place { place } else { Place::HIDDEN });
            Note {
                url: secret::identity_url(url),
                given: is_open.then(|| Given::of(url)),
                is_whole_url: secret::identity_url(url) == url.as_str(),
                evidence: Evidence { place, ..evidence.clone() },
                file: None,
                checked: self.spec.checksum.as_ref().map(ToString::to_string),
                noted_unix_ms: 0,
            }
        };
        let is_large = self.content.total_bytes.is_none_or(|total| total > GATHERED_BYTES_MAX);
        let was_saved = self.part.saved_bytes > 0 || self.content.resumed_bytes > 0;
        let is_disputed = self.content.final_check == FinalCheck::Disputed;
        (!is_disputed && (self.entry.is_none() || is_large || was_saved)).then(note)
    }

    /// The digest that its content must have: the user's, else the server's.
    pub(crate) fn promise(&self, believes_server: bool) -> Option<Promise> {
        if let Some(checksum) = &self.spec.checksum {
            return Some(Promise::Asked(checksum.clone()));
        }
        let given = self.content.held.digest.as_ref().or(self.version().1.digest.as_ref());
        let given = given.filter(|_| believes_server);
        if let Some(checksum) = &self.content.joined_by {
            // What the server still gives is no mistake of somebody who typed it.
            let is_given = given.filter(|given| given.checksum() == checksum);
            return Some(
                is_given.map_or_else(|| Promise::Begun(checksum.clone()), |given| Promise::Given(given.clone())),
            );
        }
        if let Some((listed, checksum)) = self.listed_checksum().filter(|_| believes_server) {
            return Some(Promise::Listed(Box::new(listed.clone()), checksum.clone()));
        }
        given.cloned().map(Promise::Given)
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

    /// Whether a response names another version that is known, and yet cannot be it: one that an earlier response named,
    /// or the old one that is kept beside the data.
    pub(crate) fn is_contradicted_by(&self, claimed: &Evidence) -> bool {
        let is_not_old = || self.old.evidence.as_ref().is_some_and(|old| old.is_contradicted_by(claimed));
        self.tries.doubts.contradicts(claimed) || is_not_old()
    }
}
