//! The server has responded to the first request: decides the name, whether the file already exists, which
//! data of an earlier run fits, and where the body goes.

use bytes::Bytes;

use super::Core;
use super::anew::too_short;
use super::doubt::{KEPT, UNKNOWN_MAX, page_error};
use super::existing::Decision;
use crate::dispatch::identity::Link;
use crate::dispatch::job::{Answered, Closing, Phase, Segmented};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::event::Event;
use crate::evidence::{Evidence, Verdict, samples};
use crate::feed::{Settled, SettledState};
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::{CommitRequest, Effect, Head, Open, OpenRequest, Protocol, Store, Time, WorkRequest};
use crate::name;
use crate::options::Existing;
use crate::plan::TransferId;
use crate::promise::Promise;

/// A part is accepted this often where the whole was requested.
const PART_ANSWERS_MAX: u32 = 3;

impl Core {
    pub(super) fn answered(&mut self, now: Time, transfer: TransferId, head: Box<Head>, whole: Option<Vec<Bytes>>) {
        let Some(state) = self.transfers.get(&transfer) else { return };
        let id = state.job;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !matches!(job.phase, Phase::Probing) {
            return;
        }
        job.answer.probe = Some(transfer);
        job.answer.protocol = Some(head.protocol);
        self.slots.served(state.slot);
        if self.is_page(id, &head) {
            return self.page_instead(now, id, transfer, &head);
        }
        if self.is_not_newer(now, id, &head)
            || self.is_not_replaced(now, id, transfer, &head)
            || self.is_old_again(now, id, &head)
            || self.is_part_again(now, id, &head)
        {
            return;
        }
        let len_bytes = whole.as_deref().map(samples::len_of).or(head.total_bytes);
        if len_bytes.is_some_and(|len_bytes| self.is_too_short(now, id, transfer, &head, len_bytes)) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut promised = None;
        let expected_bytes = match std::mem::take(&mut job.ranges.begins_at_zero) {
            false => job.content.told_bytes,
            true => {
                promised = job.content.held.is_digest_alone().then(|| job.content.held.clone());
                match self.comes_over_held(now, id, transfer, &head, whole.is_some()) {
                    Some(expected_bytes) => expected_bytes,
                    None => return,
                }
            }
        };
        if self.has_other_length(now, id, &head, expected_bytes) {
            return;
        }
        self.take_over(id, transfer, &head, expected_bytes);
        if let Some(held) = promised {
            self.keep_promise(id, &held);
        }
        let is_renamed = self.name_by(id, &head);
        if is_renamed {
            self.take_sum(id);
        }
        if let Some(error) = self.lacks_sum(id) {
            return self.close(now, id, Closing::Fail(error));
        }
        self.tell_of_page(id, &head);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let answered = Box::new(Answered { head, whole });
        let held = job.naming.reserved;
        // Names that differ only by case are reserved together, and may be two files.
        if self.names.reserve(job) && held == job.naming.reserved && !is_renamed {
            // What exists under this name is already known.
            let partial = job.part.journal.take().map(|journal| *journal);
            return self.place(now, id, answered, partial);
        }
        // What was found under the former name is not of this file.
        job.part.journal = None;
        self.prepare(now, id, Some(answered));
    }

    /// The whole file comes although a part of it exists. Returns the length that it must have, if known;
    /// `None` if the response was dealt with.
    fn comes_over_held(
        &mut self,
        now: Time,
        id: JobId,
        transfer: TransferId,
        head: &Head,
        is_at_hand: bool,
    ) -> Option<Option<u64>> {
        let job = self.jobs.get_mut(&id)?;
        let verdict = job.content.held.compare(&head.evidence);
        // A response without a length has that of the version that it names.
        let may_have_length = head.total_bytes.is_none() || head.total_bytes == job.content.total_bytes;
        if !is_at_hand && verdict.joins() && may_have_length && !job.ranges.needs_sample {
            self.stream_over(id, transfer, head);
            return None;
        }
        if is_at_hand && verdict.joins() && may_have_length {
            // All of this version is here already.
            job.ranges.is_last_resort = false;
        }
        let expected_bytes = job.content.total_bytes.filter(|_| !verdict.is_different());
        job.ranges.begins_at_zero = true;
        if job.ranges.is_last_resort && job.content.held.shares_tag(&head.evidence) && !job.link.is_compared() {
            self.compare_first(id, transfer);
            return None;
        }
        if job.ranges.is_last_resort && job.content.held.is_named_weakly_by(&head.evidence) {
            // Its ranges do not even say that. From now on, the bytes before each of them decide.
            job.content.held.forget_version();
            self.ask_for_ranges_again(id, transfer);
            return None;
        }
        if job.ranges.is_last_resort && !verdict.is_different() {
            let text = format!(
                "the server does not say that this is the version that was begun ({})",
                job.content.held.differences(&head.evidence)
            );
            let error = Error::new(ErrorKind::Changed, text).with_url(job.shown_lead());
            self.close(now, id, Closing::Fail(error.with_advice(KEPT)));
            return None;
        }
        // That was the last attempt for ranges; another version must be reported twice.
        job.tries.failures.clear_last();
        if self.must_ask_again(now, id, head, verdict) {
            return None;
        }
        let job = self.jobs.get_mut(&id)?;
        let reason = match verdict.is_different() {
            true => "the file on the server is another version than the one begun",
            false => "the server served no range that goes on with what has come",
        };
        job.keep_version();
        job.forget_content();
        job.content.answers = 0;
        job.sources.forget();
        self.effects.push(Effect::Report(Event::Restarted { job: id, reason: reason.to_owned() }));
        Some(expected_bytes)
    }

    /// The response does not say whether it is the version that was started, of which only a digest is known: that
    /// is checked at the end. A wrong one fails the job, and the next run starts over.
    fn keep_promise(&mut self, id: JobId, before: &Evidence) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_like = job.content.held.total_bytes == before.total_bytes;
        if is_like && !before.compare(&job.content.held).is_different() {
            job.content.held.learn_digest(before);
        }
    }

    /// Takes over the version of the response.
    fn take_over(&mut self, id: JobId, transfer: TransferId, head: &Head, expected_bytes: Option<u64>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.content.total_bytes = head.total_bytes;
        if let (None, Some(expected)) = (head.total_bytes, expected_bytes) {
            self.expect_length(id, transfer, expected);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.content.came_in_part = head.is_part;
        job.ranges.needs_overlap = !head.tells_length;
        job.content.held = head.evidence.clone();
        job.lead_mut().told = Some(head.evidence.clone());
        // Bytes that were encoded on the way, and their offsets, differ each time.
        job.ranges.are_denied = head.refuses_ranges || head.evidence.is_encoded_on_the_way();
        job.ranges.are_offered = head.offers_ranges;
        job.ranges.segmented = if job.ranges.are_denied { Segmented::Refused } else { job.ranges.segmented };
        job.lead_mut().patience = 0;
        if let Some(warning) = encoding_warning(head) {
            self.warn(Some(id), warning);
        }
        for message in head.remarks.clone() {
            self.remark(id, message);
        }
    }

    /// Names a file that has no name yet, by its server or its URL. Whether that changes its path.
    fn name_by(&mut self, id: JobId, head: &Head) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if std::mem::replace(&mut job.naming.is_named, true) {
            return false;
        }
        // A mirror's URL does not name the file.
        let url = if job.sources.lead() == 0 { job.naming_url() } else { &job.spec.url };
        if head.file_name.is_none() && *url == job.spec.url && job.naming.is_of_given_url {
            return false;
        }
        let plain = head.file_name.clone().unwrap_or_else(|| name::safe::from_url(url));
        job.naming.plain_name = self.names.safe(&plain);
        job.naming.renamed = 0;
        let path = job.naming.dir(&self.settings.dir).join(&job.naming.plain_name);
        let is_renamed = path != job.naming.path;
        job.naming.path = path;
        is_renamed
    }

    /// Whether a server sends the first part once more, although the whole was requested because no range
    /// fetched the rest: it never will.
    fn is_part_again(&mut self, now: Time, id: JobId, head: &Head) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        job.content.part_answers += u32::from(head.is_part);
        if !head.is_part
            || job.content.part_answers <= PART_ANSWERS_MAX.min(job.retries(self.settings.retries).saturating_add(1))
        {
            return false;
        }
        let error = Error::new(ErrorKind::Protocol, "the server sends the first part of the file and never the rest");
        let error = error.with_url(job.shown_lead()).with_attempts(job.content.part_answers);
        self.give_up(now, id, error);
        true
    }

    /// The server has no ranges and sends the whole file once more. It is the existing version, so the same
    /// bytes are overwritten, and nothing is lost if it breaks off.
    fn stream_over(&mut self, id: JobId, transfer: TransferId, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let (None, Some(expected)) = (head.total_bytes, job.content.total_bytes) {
            self.expect_length(id, transfer, expected);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Moving;
        job.lead_mut().patience = 0;
        job.content.held.learn_digest(&head.evidence);
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.writes = true;
            self.effects.push(Effect::Work(state.worker, WorkRequest::Grant { transfer, job: id }));
        }
    }

    /// The body does not announce its length, but that of the file is known: one more byte shows that the
    /// body is longer.
    fn expect_length(&mut self, id: JobId, transfer: TransferId, expected_bytes: u64) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.content.total_bytes = Some(expected_bytes);
        }
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.must_end_at = Some(expected_bytes);
            state.piece.shorten(expected_bytes.saturating_add(1));
        }
    }

    /// Whether a mirror that replaces another source has a file of another length.
    fn has_other_length(&mut self, now: Time, id: JobId, head: &Head, expected_bytes: Option<u64>) -> bool {
        let Some(job) = self.jobs.get(&id) else { return true };
        let told = job.content.told_bytes.filter(|told| expected_bytes == Some(*told));
        let Some((told, has)) = told.zip(head.total_bytes).filter(|(told, has)| told != has) else { return false };
        let text = format!("the file has {has} bytes here, and {told} where it was begun");
        let error = Error::new(ErrorKind::Changed, text).with_url(job.shown_lead());
        self.give_up(now, id, error.with_advice(KEPT));
        true
    }

    /// The whole file was requested because its ranges had failed. It now comes from another URL with the
    /// same tag: samples must show that it is the file, and its ranges may well work.
    fn compare_first(&mut self, id: JobId, transfer: TransferId) {
        self.ask_for_ranges_again(id, transfer);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.link = Link::moved_with_version();
        }
    }

    /// The response that brings the whole file has told enough: what is missing comes in ranges.
    fn ask_for_ranges_again(&mut self, id: JobId, transfer: TransferId) {
        self.drop_transfers(&[transfer]);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Moving;
        job.answer.probe = None;
        job.ranges.segmented = Segmented::Unknown;
        job.ranges.is_last_resort = false;
        job.ranges.begins_at_zero = false;
        job.ranges.ignored = 0;
        job.tries.failures.clear();
    }

    /// The name and the response are known, and what exists under the name.
    pub(super) fn place(&mut self, now: Time, id: JobId, answered: Box<Answered>, partial: Option<Journal>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.must_check_existing(self.settings.server_digests) {
            // The response has given it this name.
            job.part.journal = partial.map(Box::new);
            return self.check_existing(now, id, Some(answered));
        }
        match job.existing.file.is_some() {
            true => self.place_beside_existing(now, id, answered, partial),
            false => self.place_here(now, id, answered, partial),
        }
    }

    /// The same if a file has the name already.
    fn place_beside_existing(&mut self, now: Time, id: JobId, answered: Box<Answered>, partial: Option<Journal>) {
        if let (Some(content), Some(job)) = (&answered.whole, self.jobs.get_mut(&id)) {
            // Its server may not have said it.
            job.content.total_bytes = Some(samples::len_of(content));
        }
        let decision = self.decide_existing(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match decision {
            Decision::There(how, published) => self.close(now, id, Closing::There(how, published)),
            Decision::Refuse(error) => self.close(now, id, Closing::Fail(error)),
            Decision::Rename => {
                let taken = job.existing.may_be_of_list.then(|| job.naming.path.clone());
                self.names.number(job);
                if let Some(taken) = taken {
                    let text =
                        "a file has this name, and nobody knows whose since an interrupted run; another gets a number";
                    self.warn(Some(id), format!("{}: {text}", taken.display()));
                }
                self.prepare(now, id, Some(answered));
            }
            Decision::Compare => self.compare_existing(now, id, answered, partial),
            Decision::CompareHalf => self.compare_half(now, id, answered, partial),
            Decision::Digest => {
                job.part.journal = partial.map(Box::new);
                self.check_existing(now, id, Some(answered));
            }
            Decision::AskOwner => {
                job.part.journal = partial.map(Box::new);
                self.ask_owner(id, Some(answered));
            }
            Decision::Replace => self.place_here(now, id, answered, partial),
        }
    }

    /// The name is free, or its file may be replaced.
    fn place_here(&mut self, now: Time, id: JobId, answered: Box<Answered>, partial: Option<Journal>) {
        if answered.whole.is_none() && self.jobs.get(&id).is_some_and(|job| job.existing.is_presumed_missing) {
            // It gets a partial file.
            return self.prepare(now, id, Some(answered));
        }
        if self.refuses_size(now, id, partial.as_ref()) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Describes the file before existing data is given up for it.
        let event = Event::Answered {
            job: id,
            url: job.shown_lead(),
            path: job.naming.path.clone(),
            total_bytes: job.content.total_bytes,
            resumed_bytes: 0,
            protocol: job.answer.protocol.map(Protocol::name),
        };
        let begun = partial.filter(|journal| !journal.done.is_empty());
        let answered = match begun {
            Some(journal) => match self.begins_beside(now, id, answered, journal) {
                Some(answered) => answered,
                None => return,
            },
            None => answered,
        };
        let len_bytes = answered.whole.as_deref().map(samples::len_of).or(answered.head.total_bytes);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_short = len_bytes.filter(|len_bytes| *len_bytes < job.content.reached_bytes);
        if let Some(len_bytes) = is_short.filter(|_| !job.may_be_shorter(&answered.head.evidence)) {
            let error = too_short(job, len_bytes);
            return self.close(now, id, Closing::Fail(error));
        }
        self.effects.push(Effect::Report(event));
        match answered.whole {
            Some(content) => self.store(now, id, content),
            None => self.open_part(id),
        }
    }

    /// An earlier run has left data under the name. Returns the response if the file starts over; `None` if
    /// the data is resumed, or the response was dealt with.
    fn begins_beside(
        &mut self,
        now: Time,
        id: JobId,
        answered: Box<Answered>,
        journal: Journal,
    ) -> Option<Box<Answered>> {
        let job = self.jobs.get_mut(&id)?;
        if journal.identity.total_bytes.is_none() && journal.identity.evidence.is_silent() {
            let reached_bytes = journal.done.end();
            job.content.reached_bytes = job.content.reached_bytes.max(reached_bytes);
        }
        let is_ours = job.is_of(&journal.identity.url, journal.identity.given);
        let verdict = journal.identity.evidence.compare(&job.content.held);
        let journal_total = journal.identity.total_bytes;
        let has_equal_length = journal_total == job.content.total_bytes;
        let is_other_link = !is_ours
            && job.may_be_of(journal.identity.given)
            && journal.identity.evidence.shares_tag(&job.content.held);
        let is_of_other_source = has_equal_length && job.is_of_other_source(&journal.identity.url);
        // The next response to a range decides, by what it says or by overlapping bytes.
        let may_be_same = !verdict.is_different() && has_equal_length && !job.ranges.are_denied;
        if job.spec.same_content && (!verdict.joins() || !is_ours) {
            job.link = Link::doubted();
        } else if !verdict.joins() && is_other_link {
            // Like a new link for one that has expired: samples decide.
            job.link = Link::doubted_by_samples();
        } else if !verdict.joins() && !is_of_other_source && !is_ours {
            self.refuse_foreign(now, id, answered, journal);
            return None;
        } else if !verdict.joins() && !is_of_other_source && !may_be_same {
            return self.begins_instead(now, id, answered, journal, verdict);
        }
        self.close(now, id, Closing::TakeOver(Box::new(journal)));
        None
    }

    /// The data of an earlier run seems to be of another version: it gives way once enough responses have
    /// said so.
    fn begins_instead(
        &mut self,
        now: Time,
        id: JobId,
        answered: Box<Answered>,
        journal: Journal,
        verdict: Verdict,
    ) -> Option<Box<Answered>> {
        let journal_total = journal.identity.total_bytes;
        self.jobs.get_mut(&id)?.part.journal = Some(Box::new(journal));
        if self.must_ask_again(now, id, &answered.head, verdict) {
            return None;
        }
        let job = self.jobs.get_mut(&id)?;
        let told = journal_total.filter(|_| job.content.total_bytes.is_none() && !verdict.is_different());
        if let Some(journal) = job.part.journal.take() {
            let before = journal.identity.evidence;
            job.keep_version_of(before.clone());
            if before.is_digest_alone() {
                self.keep_promise(id, &before);
            }
        }
        let job = self.jobs.get_mut(&id)?;
        if let Some((told, probe)) = told.zip(job.answer.probe) {
            self.expect_length(id, probe, told);
        }
        let reason = "the file on the server is another version than the one begun".to_owned();
        self.effects.push(Effect::Report(Event::Restarted { job: id, reason }));
        Some(answered)
    }

    /// Opens a partial file for the body.
    fn open_part(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let (Some(entry), true) = (job.entry, job.has_name_of_list()) {
            // The next run finds the data under this name.
            let name = job.naming.path_below(&self.settings.dir).to_owned();
            self.effects.push(Effect::Settle(Settled { entry, state: SettledState::Named(name) }));
        }
        job.phase = Phase::Opening;
        // Data that was started under another name keeps that name.
        let keeps_old =
            std::mem::take(&mut job.old.is_to_be_kept) && !(job.part.is_open && job.naming.part_of != job.naming.path);
        (job.part.is_open, job.part.is_of_others) = (true, false);
        job.naming.part_of = job.naming.path.clone();
        job.old.is_there |= keeps_old;
        let open = Box::new(Open {
            job: id,
            path: job.naming.path.clone(),
            total_bytes: job.content.total_bytes,
            journal: job.first_journal(),
            keeps_old,
            was_free: !job.part.is_there,
        });
        job.part.pending += 1;
        match job.part.is_saving {
            // Two threads would write the journal, and the save's claims what the other one empties.
            true => job.part.to_open = Some(open),
            false => self.effects.push(Effect::Open(OpenRequest::Open(open))),
        }
    }

    /// A page came instead of the file. Existing data stays, and the file is requested again; without any,
    /// the job fails at once.
    fn page_instead(&mut self, now: Time, id: JobId, transfer: TransferId, head: &Head) {
        self.reject(transfer);
        let Some(state) = self.transfers.get(&transfer).cloned() else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let holds = job.is_worth_keeping() || job.part.journal.is_some();
        job.phase = Phase::Ready;
        job.answer.probe = None;
        let error = page_error(job, &state.url, head).with_url(crate::secret::shown_url(&state.url));
        match holds {
            true => self.page_came(now, id, &state, head),
            false => self.give_up(now, id, error),
        }
    }

    /// Whether to ask for one more response before existing data gives way to this one.
    fn must_ask_again(&mut self, now: Time, id: JobId, head: &Head, verdict: Verdict) -> bool {
        let serves_old = self.serves_old(id, head);
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        let held = job.version_begun();
        // With another length or encoding, or without a version where one is known, it may not be the file at
        // all. A mirror may say less, if its length is the same.
        let is_like = !held.has_other_length(&head.evidence) && held.content_encoding == head.evidence.content_encoding;
        let is_mirror = held.is_elsewhere(&head.evidence) && held.total_bytes == head.total_bytes;
        let is_checked = self.settings.server_digests || job.spec.checksum.is_some();
        let is_promised = is_checked && held.is_digest_alone() && held.total_bytes == head.total_bytes;
        let is_nameless = held.tells_version() && !head.evidence.tells_version() && !is_mirror && !is_promised;
        let is_cut_short = job.is_cut_short_by(&head.evidence);
        let is_contradicted = job.is_contradicted_by(&head.evidence);
        let is_unknown = (verdict == Verdict::Unknown && (!is_like || is_nameless) || is_cut_short || is_contradicted)
            && !serves_old;
        if !serves_old && !verdict.is_different() && !head.evidence.is_html && !is_unknown || job.spec.same_content {
            return false;
        }
        let text = match is_unknown {
            true => "the server does not say that this is the version that was begun",
            false => "the file on the server has changed",
        };
        let text = format!("{text} ({})", held.differences(&head.evidence));
        let error = Error::new(ErrorKind::Changed, text).with_url(job.shown_lead()).with_advice(KEPT);
        if is_unknown {
            job.tries.doubts.unknown += 1;
            if job.tries.doubts.unknown >= UNKNOWN_MAX {
                let error = error.with_attempts(job.tries.doubts.unknown);
                self.close(now, id, Closing::Fail(error));
                return true;
            }
        } else if job.tries.doubts.count_different(&head.evidence) {
            job.tries.doubts.different = 0;
            return self.takes_back(now, id, head);
        }
        job.phase = Phase::Ready;
        job.answer.probe = None;
        // The URL that it was redirected to may be what is wrong.
        job.lead_mut().go_back();
        let running = job.transfers.clone();
        self.drop_transfers(&running);
        self.retry_or_fail(now, id, 0, error, false);
        true
    }

    /// The data of an earlier run under this name is from another URL, and nothing shows that it is the same file.
    fn refuse_foreign(&mut self, now: Time, id: JobId, answered: Box<Answered>, journal: Journal) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.existing_said(self.settings.existing) == Existing::AutoRename {
            self.names.number(job);
            self.leave_part(id);
            return self.prepare(now, id, Some(answered));
        }
        let text = format!(
            "what an earlier run left under this name is of another URL ({}), and nothing shows that it is the same file",
            crate::secret::printable(&journal.identity.url)
        );
        let error = Error::new(ErrorKind::NameTaken, text)
            .with_path(job.naming.path.clone())
            .with_advice(Advice::SameContentRestartOrOtherName);
        super::take_over::take_over(job, journal);
        self.close(now, id, Closing::Fail(error));
    }

    fn store(&mut self, now: Time, id: JobId, content: Vec<Bytes>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let bytes = samples::len_of(&content);
        job.phase = Phase::Publishing;
        job.content.total_bytes = Some(bytes);
        job.content.done.insert(crate::ranges::ByteRange::new(0, bytes));
        job.lead_mut().fetched_bytes = bytes;
        // The file came whole: nothing of an earlier run is in it.
        job.content.joined_by = None;
        let mut promise = job.promise(self.settings.server_digests);
        // A digest of the server's is not the list's.
        let is_asked = matches!(promise, Some(Promise::Asked(_)));
        if !is_asked && job.spec.pieces.as_ref().is_some_and(|pieces| !pieces.fit(&content)) {
            let error = Error::new(ErrorKind::Digest, "a piece of it does not have the digest that the list gives");
            let error = error.with_url(job.shown_url()).with_path(job.naming.path.clone());
            if self.begins_with_another(now, id, &error) {
                return;
            }
            if let Some(job) = self.jobs.get_mut(&id) {
                job.forget_content();
            }
            return self.close(now, id, Closing::Fail(error));
        }
        self.unstored.bytes += bytes;
        if let Some(remark) = promise.as_ref().and_then(Promise::remark) {
            // It decides nothing, so it is not the committer's.
            let is_kept = promise.take().is_none_or(|promise| promise.is_kept_by_content(&content));
            job.content.is_listed_otherwise = !is_kept;
            self.effects.extend((!is_kept).then(|| Effect::Report(Event::Remark { job: id, message: remark })));
        }
        // What an earlier run left of it, and this one does not resume, gives way.
        let is_before = (job.part.is_there || job.old.is_there) && !job.part.is_open;
        let store = Store {
            job: id,
            is_alone: job.policy(self.settings.existing) != Existing::Overwrite && !is_before,
            was_free: !job.part.is_there,
            has_old: job.old.is_there,
            path: job.naming.path.clone(),
            content,
            replace: job.policy(self.settings.existing) == Existing::Overwrite,
            only_over: job.only_over(self.settings.existing),
            note: job.note(),
            modified: job.modified_there().filter(|_| self.settings.remote_time),
            promise,
            must_be_office: job.must_be_office(bytes),
        };
        self.leave_running(id);
        self.unstored.jobs.insert(id);
        self.ask_disk(id, Effect::Commit(CommitRequest::Store(Box::new(store))));
    }

    pub(super) fn opened(&mut self, now: Time, id: JobId, result: Result<Option<String>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let set_aside = match result {
            Ok(set_aside) => set_aside,
            Err(error) => return self.not_opened(now, id, error),
        };
        if let Some(warning) = set_aside {
            self.warn(Some(id), warning);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match std::mem::replace(&mut job.phase, Phase::Moving) {
            Phase::Opening => {}
            phase => {
                job.phase = phase;
                return self.closed(now, id);
            }
        }
        let Some(transfer) = job.answer.probe else { return };
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.writes = true;
            self.effects.push(Effect::Work(state.worker, WorkRequest::Grant { transfer, job: id }));
        }
    }

    pub(super) fn not_opened(&mut self, now: Time, id: JobId, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.is_open = false;
        if matches!(job.phase, Phase::Closing(_)) {
            return self.closed(now, id);
        }
        self.fail_or_wait(now, id, error);
    }
}

fn encoding_warning(head: &Head) -> Option<String> {
    let encoding = head.evidence.content_encoding.as_ref()?;
    Some(format!(
        "the server sends the content encoded ({}) although it was not asked to; it is stored as sent",
        crate::secret::printable(encoding)
    ))
}
