//! A file already has the final name. Evidence decides whether it is this one: a note or a date that fits, a
//! digest, its content compared. The length alone never does, and a contradiction makes it another file.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use url::Position;

use super::Core;
use crate::dispatch::job::{Answered, Closing, Comparison, ExistingVerdict, Job, Phase, Published, Transfer};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::event::How;
use crate::evidence::Evidence;
use crate::evidence::samples::{self, GATHERED_BYTES_MAX};
use crate::feed::Owner;
use crate::job::{JobId, Left};
use crate::journal::Journal;
use crate::message::{Effect, End, Existing, FeedRequest, FetchKind, Note, OpenRequest, Time, WorkRequest};
use crate::options::Existing as Policy;
use crate::plan::piece::Piece;
use crate::storage::{Stat, StatKind};

const UNPROVEN: &str = "a file of the same size has this name, and nothing shows that it is the same file";
const ANOTHER_VERSION: &str = "another version of the file has this name";
/// A file that somebody has touched is compared whole up to this size.
const COMPARED_BYTES_MAX: u64 = 64 << 20;
const NO_FILE: Advice = Advice::MoveAwayOrRename;
const TRUST_SIZE: Advice = Advice::TrustSizeOrChooseExisting;

/// What to do about an existing file.
pub(super) enum Decision {
    There(How, Published),
    Refuse(Error),
    Rename,
    Replace,
    /// A digest from the server can tell.
    Digest,
    /// Only its content can tell.
    Compare,
    /// The feed may know its owner.
    AskOwner,
    /// Only its content can tell whether it is the beginning of the file.
    CompareHalf,
}

/// What the evidence about an existing file says.
pub(super) enum Known {
    Same(How),
    Other(String),
    /// It is as we left it, and the version is told to be the same by what need not change with the content.
    Likely,
    /// Its note speaks against it, but not for other bytes: all of its content can show that it is the same.
    Doubted(String),
    Nothing,
}

impl Core {
    /// Decides whether the existing file is this one, and what to do about it.
    pub(super) fn decide_existing(&self, id: JobId) -> Decision {
        let job = &self.jobs[&id];
        let Some(existing) = &job.existing.file else { return Decision::Replace };
        let policy = job.policy(self.settings.existing);
        let published = existing.published();
        if existing.stat.kind != StatKind::File {
            return self.decide_other(job, existing, &format!("{} has this name", existing.stat.kind.words()));
        }
        if let Some(decision) = self.decide_half(job, existing) {
            return decision;
        }
        let may_be_gone = job.spec.listed.is_some() && job.existing.verdict == ExistingVerdict::Unknown;
        // If there is a digest, the existing file was checked before and is another one.
        if job.existing.is_checked && !(may_be_gone && job.entry.is_some()) {
            return self.decide_other(
                job,
                existing,
                "a file that has this name does not have the digest that was asked for",
            );
        }
        // Another entry's file is not what the user wants to keep or to skip.
        let gets_number = job.has_name_of_list() && matches!(policy, Policy::Fail | Policy::Skip);
        match &job.existing.verdict {
            ExistingVerdict::OthersFile(_) if gets_number => {
                return Decision::Rename;
            }
            ExistingVerdict::Other(why) | ExistingVerdict::OthersFile(why) => {
                return self.decide_other(job, existing, why);
            }
            ExistingVerdict::Unknown if job.entry.is_some() => return Decision::AskOwner,
            ExistingVerdict::Owned(why) => {
                let len_bytes = existing.stat.len_bytes;
                let may_be_sampled = len_bytes <= GATHERED_BYTES_MAX || job.existing.is_of_url;
                let is_comparable = job.content.total_bytes == Some(len_bytes) && may_be_sampled;
                let is_wanted = is_comparable && policy != Policy::Overwrite;
                return match () {
                    () if is_wanted => Decision::Compare,
                    () if gets_number => Decision::Rename,
                    () => self.decide_other(job, existing, why),
                };
            }
            _ => {}
        }
        match self.known_of(job, existing) {
            Known::Same(how) => Decision::There(how, published),
            Known::Other(why) => self.decide_other(job, existing, &why),
            // The user wants it fetched again, unless it is known to be the same.
            Known::Doubted(_) | Known::Nothing if policy == Policy::Overwrite && !job.may_be_unchanged() => {
                Decision::Replace
            }
            Known::Likely | Known::Doubted(_) | Known::Nothing
                if job.promise(self.settings.server_digests).is_some_and(|promise| promise.proves()) =>
            {
                Decision::Digest
            }
            Known::Likely | Known::Doubted(_) | Known::Nothing => Decision::Compare,
        }
    }

    /// What is known without reading its content, the surest evidence first; a contradiction wins.
    pub(super) fn known_of(&self, job: &Job, existing: &Existing) -> Known {
        let stat = &existing.stat;
        // What a service lists may differ from what it sends.
        let of_list = job.spec.size_bytes.filter(|_| job.spec.listed.is_none());
        let told = [job.content.total_bytes, of_list].into_iter().flatten();
        if let Some(total_bytes) = told.into_iter().find(|told| *told != stat.len_bytes) {
            let (has, wanted) = (stat.len_bytes, total_bytes);
            return Known::Other(format!("another file has this name ({has} bytes instead of {wanted})"));
        }
        if self.settings.trust_size && job.content.total_bytes.is_some() {
            return Known::Same(How::ThereBySize);
        }
        let doubted = |why: &str, bytes_max: u64| match stat.len_bytes <= bytes_max {
            true => Known::Doubted(why.to_owned()),
            false => Known::Other(why.to_owned()),
        };
        let may_be_ours = |note: &&Note| job.is_of(&note.url, note.given) || job.is_kin(note.given);
        let mut is_likely = false;
        if let Some(note) = existing.note.as_ref().filter(may_be_ours) {
            match note.file {
                Some(noted) if !existing.has(noted) => {
                    let why = "the file that has this name was changed since it was fetched";
                    return doubted(why, COMPARED_BYTES_MAX);
                }
                Some(_) => {
                    let held = &job.content.held;
                    let verdict = note.evidence.compare(held);
                    if verdict.joins() && note.names_url() {
                        return Known::Same(How::ThereByValidator);
                    }
                    if verdict.is_different() {
                        return doubted(ANOTHER_VERSION, GATHERED_BYTES_MAX);
                    }
                    // It is as we left it. If that cannot be compared, weak evidence for the version is enough.
                    let is_alike = verdict.is_same() && !note.evidence.is_elsewhere(held)
                        || note.evidence.is_alike_without_length(held);
                    is_likely = is_alike && note.names_url();
                }
                // An older build did not note its length and time.
                None if note.evidence.compare(&job.content.held).is_different() => {
                    return doubted(ANOTHER_VERSION, GATHERED_BYTES_MAX);
                }
                None => {}
            }
        } else if existing.note.is_some() {
            // Neither the date nor the name of another URL's file says anything of this one. A small file is compared whole.
            let is_small = stat.len_bytes <= GATHERED_BYTES_MAX;
            let other = || Known::Other("a file from another URL has this name".to_owned());
            return if is_small { Known::Nothing } else { other() };
        }
        match job.has_date_of_server(stat) {
            true => Known::Same(How::ThereByTime),
            false if is_likely => Known::Likely,
            false => Known::Nothing,
        }
    }

    fn decide_other(&self, job: &Job, existing: &Existing, why: &str) -> Decision {
        let published = existing.published();
        match job.policy(self.settings.existing) {
            Policy::Overwrite if existing.stat.kind == StatKind::File => Decision::Replace,
            Policy::AutoRename => Decision::Rename,
            Policy::Fail | Policy::Skip
                if job.existing.may_be_of_list && job.has_name_of_list() && existing.stat.kind == StatKind::File =>
            {
                Decision::Rename
            }
            Policy::Skip if existing.stat.kind == StatKind::File => Decision::There(How::Skipped, published),
            _ => {
                let error = Error::new(ErrorKind::NameTaken, why).with_path(job.naming.path.clone());
                Decision::Refuse(match existing.stat.kind {
                    StatKind::File if why == UNPROVEN => error.with_advice(TRUST_SIZE),
                    // Another program may have begun it.
                    StatKind::File
                        if !self.settings.adopt
                            && existing.note.is_none()
                            && job.content.total_bytes > Some(existing.stat.len_bytes) =>
                    {
                        error.with_advice(Advice::AdoptOrChooseExisting)
                    }
                    StatKind::File => error,
                    _ => error.with_advice(NO_FILE),
                })
            }
        }
    }

    /// Asks the feed which entry owns the name.
    pub(super) fn ask_owner(&mut self, id: JobId, answered: Option<Box<Answered>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(entry) = job.entry else { return };
        job.phase = Phase::AskingOwner(answered);
        let path = job.naming.path_below(&self.settings.dir).to_owned();
        self.ask_disk(id, Effect::Feed(FeedRequest::Owner { job: id, entry, path }));
    }

    pub(super) fn owned(&mut self, now: Time, id: JobId, result: Result<Owner>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let Some(answered) = job.take_asking_owner() else { return self.closed(now, id) };
        job.existing.may_be_of_list = matches!(result, Ok(Owner::NobodyKnows));
        // Whoever asked for it sent something else; the file may be the same all the same.
        let url = &job.spec.url[..Position::AfterQuery];
        job.existing.is_of_url = matches!(&result, Ok(Owner::Another(owner)) if owner == url);
        job.existing.verdict = match result {
            Ok(Owner::Gone { left, .. }) if job.existing.file.as_ref().is_some_and(|found| found.has(left)) => {
                job.spec.left = Some(Left { is_changed: true, ..Left::new(left.0, left.1) });
                ExistingVerdict::Unowned
            }
            Ok(Owner::Another(url) | Owner::Gone { url, .. }) => {
                ExistingVerdict::Owned(format!("the file of another entry has this name ({url})"))
            }
            Ok(Owner::Itself { left: Some(left) })
                if job.existing.file.as_ref().is_some_and(|found| !found.has(left)) =>
            {
                ExistingVerdict::Changed
            }
            // A ledger that cannot be read says nothing against it; its content decides.
            Ok(Owner::Itself { .. } | Owner::Nobody | Owner::NobodyKnows) | Err(_) => ExistingVerdict::Unowned,
        };
        let Some(answered) = answered else { return self.beside_existing(now, id) };
        let partial = job.part.journal.take().map(|journal| *journal);
        self.place(now, id, answered, partial);
    }

    /// Compares its content with the server's: all of it if it is small, else samples.
    pub(super) fn compare_existing(&mut self, now: Time, id: JobId, answered: Box<Answered>, partial: Option<Journal>) {
        let is_doubted = self.doubted(id).is_some();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.journal = partial.map(Box::new);
        let content = answered.whole.clone();
        job.phase = Phase::Comparing(Comparison { answered, samples: None, is_half: false });
        if let Some(content) = content {
            let effect =
                Effect::Open(OpenRequest::Compare { job: id, path: job.naming.path.clone(), offset: 0, content });
            return self.ask_disk(id, effect);
        }
        let Some(existing) = &job.existing.file else { return };
        // Without a length, it is the file only if it has the same.
        let len_bytes = existing.stat.len_bytes;
        let Some(probe) = job.answer.probe else { return self.existing_compared(now, id, None) };
        if len_bytes <= GATHERED_BYTES_MAX {
            if let Some(state) = self.transfers.get(&probe) {
                self.effects.push(Effect::Work(state.worker, WorkRequest::Gather(probe)));
            }
            return;
        }
        if let Phase::Comparing(comparison) = &mut job.phase {
            comparison.samples = Some(match job.existing.verdict {
                ExistingVerdict::Changed => samples::all(len_bytes),
                _ if is_doubted => samples::all(len_bytes),
                _ => samples::of_file(len_bytes, &mut self.random),
            });
        }
        self.drop_transfers(&[probe]);
        self.survey_existing(id, len_bytes, false);
    }

    /// Requests the next sample of a large file.
    pub(super) fn ask_sample_of_existing(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Phase::Comparing(comparison) = &job.phase else { return };
        let Some(range) = comparison.samples.as_ref().and_then(|left| left.last().copied()) else { return };
        let is_waiting = job.tries.failures.waits_anywhere(now);
        if !job.transfers.is_empty() || job.part.pending > 0 || is_waiting {
            return;
        }
        let len_bytes = match comparison.is_half {
            true => job.content.total_bytes,
            false => job.existing.file.as_ref().map(|existing| existing.stat.len_bytes),
        };
        let expect = Evidence { total_bytes: len_bytes, ..job.content.held.clone() };
        let kind = FetchKind::Sample { range, expect: Arc::new(expect), is_of_part: false };
        self.send(now, id, job.sources.lead(), kind, Piece::new(range.start, range.end));
    }

    /// A request for content to compare has ended.
    pub(super) fn compare_ended(&mut self, now: Time, id: JobId, transfer: &Transfer, end: End) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let len_bytes = job.existing.file.as_ref().map(|existing| existing.stat.len_bytes);
        match end {
            End::Gathered(content) if transfer.is_probe && len_bytes != Some(samples::len_of(&content)) => {
                self.existing_compared(now, id, Some(false));
            }
            // Nobody knows how long the server's file is.
            End::Gathered(_) if !transfer.is_probe && !transfer.tells_total() && job.content.total_bytes.is_none() => {
                self.without_samples(now, id);
            }
            End::Gathered(content) => {
                let effect = Effect::Open(OpenRequest::Compare {
                    job: id,
                    path: job.naming.path.clone(),
                    offset: transfer.piece.start(),
                    content,
                });
                self.ask_disk(id, effect);
            }
            End::Dropped | End::Complete => {}
            // The whole file was served a moment ago: only the range is refused.
            End::Failed { error, .. }
                if !transfer.is_probe && !error.is_transient() && error.kind().rejection().is_some() =>
            {
                self.without_samples(now, id);
            }
            End::Failed { error, retry_after } => {
                if transfer.is_probe {
                    // The whole file is requested once more.
                    job.phase = Phase::Ready;
                }
                self.transfer_failed(now, id, transfer, error, retry_after, false);
            }
            End::Redirect(redirect) => self.redirected(now, id, transfer, &redirect),
            End::NotRange(head) if head.total_bytes == job.content.total_bytes && !head.evidence.is_html => {
                self.without_samples(now, id);
            }
            // Anything else, another version included, cannot be compared.
            _ => self.existing_compared(now, id, None),
        }
    }

    /// Samples are not available: only its note may show that it is the file.
    fn without_samples(&mut self, now: Time, id: JobId) {
        match self.jobs[&id].existing.file.as_ref().filter(|existing| self.trusts_note(id, existing)) {
            Some(existing) => {
                let published = existing.published();
                self.close(now, id, Closing::There(How::ThereByNote, published));
            }
            None => self.existing_compared(now, id, None),
        }
    }

    fn trusts_note(&self, id: JobId, existing: &Existing) -> bool {
        let job = &self.jobs[&id];
        let is_owned = matches!(job.existing.verdict, ExistingVerdict::Owned(_));
        let is_likely = || matches!(self.known_of(job, existing), Known::Likely);
        !is_owned
            && job.existing_said(self.settings.existing) != Policy::Overwrite
            && (job.is_as_it_was_left(existing) || is_likely())
    }

    pub(super) fn compared(&mut self, now: Time, id: JobId, result: Result<bool>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        if !matches!(job.phase, Phase::Comparing(_)) {
            return self.closed(now, id);
        }
        let is_same = match result {
            Ok(is_same) => is_same,
            Err(error) => return self.fail_or_wait(now, id, error),
        };
        if let (true, Phase::Comparing(Comparison { samples: Some(left), .. })) = (is_same, &mut job.phase) {
            left.pop();
            let is_more = !left.is_empty();
            // What failed on the way has come.
            job.forget_failure(0);
            job.lead_mut().patience = 0;
            if is_more {
                return self.ask_sample_of_existing(now, id);
            }
        }
        self.existing_compared(now, id, Some(is_same));
    }

    /// Why the note on an existing file speaks against it, where its content may show that it is the same.
    fn doubted(&self, id: JobId) -> Option<String> {
        let job = &self.jobs[&id];
        match self.known_of(job, job.existing.file.as_ref()?) {
            Known::Doubted(why) => Some(why),
            _ => None,
        }
    }

    /// Ends a comparison; `is_same` is `None` if it could not be made.
    pub(super) fn existing_compared(&mut self, now: Time, id: JobId, is_same: Option<bool>) {
        let doubted = self.doubted(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(comparison) = job.take_comparison() else { return };
        if comparison.is_half {
            return self.half_compared(now, id, comparison, is_same);
        }
        let was_whole = job.existing.verdict == ExistingVerdict::Changed || doubted.is_some();
        let was_sampled = comparison.samples.is_some() && !was_whole;
        let Some(existing) = &job.existing.file else { return };
        if is_same == Some(true) {
            let published = existing.published();
            let how = if was_sampled { How::ThereBySamples } else { How::ThereByContent };
            return self.close(now, id, Closing::There(how, published));
        }
        let why = match is_same {
            Some(_) => "another file has this name (its content differs)",
            None => UNPROVEN,
        };
        job.existing.verdict = match std::mem::replace(&mut job.existing.verdict, ExistingVerdict::Unowned) {
            ExistingVerdict::Owned(whose) => ExistingVerdict::OthersFile(whose),
            _ => ExistingVerdict::Other(doubted.unwrap_or_else(|| why.to_owned())),
        };
        let partial = job.part.journal.take().map(|journal| *journal);
        let answered = comparison.answered;
        if answered.whole.is_some() || job.existing_said(self.settings.existing) == Policy::Fail {
            return self.place(now, id, answered, partial);
        }
        // The response is used up: the file is requested again, and the verdict is known by then.
        match partial {
            Some(journal) if job.is_of(&journal.identity.url, journal.identity.given) => {
                super::take_over::take_over(job, journal);
            }
            partial => job.part.journal = partial.map(Box::new),
        }
        job.answer.probe = None;
        let left: Vec<_> = job.transfers.clone();
        self.drop_transfers(&left);
    }
}

impl Job {
    /// Takes the response, if there is one, out of the phase in which the feed is asked whose a name is. `None` in
    /// another phase.
    fn take_asking_owner(&mut self) -> Option<Option<Box<Answered>>> {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::AskingOwner(answered) => Some(answered),
            phase => {
                self.phase = phase;
                None
            }
        }
    }

    /// Whether its service lists nothing that tells whether the file has changed: it is replaced only if it has.
    fn may_be_unchanged(&self) -> bool {
        self.spec.left.is_some_and(|left| !left.is_changed)
    }

    /// Takes the comparison out of its phase.
    fn take_comparison(&mut self) -> Option<Comparison> {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Comparing(comparison) => Some(comparison),
            phase => {
                self.phase = phase;
                None
            }
        }
    }

    /// Whether a program gave the file the date that the server tells, which is a whole second and has settled. The
    /// time at which a file was written is one by chance only.
    fn has_date_of_server(&self, stat: &Stat) -> bool {
        let held = &self.content.held;
        let modified = stat.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let was_given = stat.rounds_times || modified.subsec_nanos() == 0;
        let server = held.last_modified_time().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let is_equal = server.is_some_and(|server| server.as_secs() == modified.as_secs());
        is_equal && was_given && held.has_settled_date() && self.content.total_bytes.is_some()
    }

    /// Whether the note says that the file came from this URL and has not changed since, and the server tells its
    /// length and has never reported a version that could contradict it. For other URLs a note holds too little: files
    /// may differ by their queries alone.
    fn is_as_it_was_left(&self, existing: &Existing) -> bool {
        existing.is_as_noted()
            && self.content.total_bytes.is_some()
            && existing.note.as_ref().is_some_and(|note| {
                let is_same_url = note.is_whole_url && note.url == self.spec.url.as_str();
                let is_silent = note.evidence.is_silent() && self.content.held.is_silent();
                is_same_url && is_silent && !note.evidence.compare(&self.content.held).is_different()
            })
    }
}
