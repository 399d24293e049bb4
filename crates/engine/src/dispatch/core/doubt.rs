//! Responses that do not fit the existing data. One of them discards nothing: another connection is asked,
//! and only a second response that reports another version restarts the file, beside the old one. A response
//! that might not be the file at all (a page), or does not report its version, never does; it is requested
//! again, and then it is an error and all data stays. Simultaneous responses count as one: a server that
//! restarts says the same to all pieces. The restart itself is in `anew.rs`.

use std::path::{Path, PathBuf};

use url::Url;

use super::Core;
use super::connect::RANGE_TRIES;
use crate::dispatch::identity::Link;
use crate::dispatch::job::{By, Doubts, Job, Segmented, Transfer};
use crate::error::{Advice, Error, ErrorKind};
use crate::evidence::{Evidence, Strength, Verdict, page};
use crate::job::JobId;
use crate::message::{CommitRequest, Effect, Head, Shape, Time};
use crate::name::safe;
use crate::{secret, size};

/// This many responses may prove nothing before that is an error.
pub(super) const UNKNOWN_MAX: u32 = 3;
/// How often existing data is compared with other URLs before there is progress: a redirect may lead to
/// another one each time.
const COMPARISONS_MAX: u32 = 3;
pub(super) const KEPT: Advice = Advice::RunAgainLaterSameContentOrRestart;
/// A site of pages needs no warning of each.
const PAGES_TOLD_MAX: u32 = 10;
const KEPT_PAGE: Advice = Advice::LogInThenRunAgain;

impl Core {
    /// A 206 with this range, whose version does not let it be joined with the existing data.
    pub(super) fn not_joined(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head, verdict: Verdict) {
        let job = &self.jobs[&id];
        if head.evidence.is_html && !job.content.held.is_html {
            return self.page_came(now, id, transfer, head);
        }
        match verdict {
            Verdict::Different(_) => self.another_version(now, id, transfer, head),
            _ => self.unknown_version(now, id, transfer, head),
        }
    }

    /// The bytes before a range differ from those on the disk.
    pub(super) fn other_overlap(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        self.differs(now, id, transfer, head, "the file on the server differs from what has come", By::Bytes);
    }

    /// A sample of the existing data was compared.
    pub(super) fn sampled(&mut self, now: Time, id: JobId, transfer: &Transfer, same: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.sources.is_many() && !job.sources.is_first_known(transfer.source) {
            // Another source has brought what is there.
            return self.source_sampled(now, id, transfer, same);
        }
        // What differs is compared once more; nothing is joined before.
        job.ranges.needs_sample = !same;
        let Some(head) = transfer.head.clone() else { return };
        if same {
            return self.len_learnt(now, id, transfer, &head);
        }
        self.differs(now, id, transfer, &head, "the file on the server differs from what has come", By::Bytes);
    }

    /// The first response gave no length and broke off; it can be resumed if the response to a range gives
    /// the length.
    fn len_learnt(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.content.total_bytes.is_some() {
            return;
        }
        let held_to = job.content.done.end();
        let Some(total_bytes) = head.total_bytes else {
            let error = Error::new(ErrorKind::Protocol, "the server does not tell the length, not even with a range");
            return self.no_range(now, id, 0, error);
        };
        // A sample shows only that some of it is the same: a version that is held has to be named too.
        let told = Evidence { total_bytes: Some(total_bytes), ..head.evidence.clone() };
        let verdict = job.content.held.compare_with_length(&told);
        let is_free = job.spec.same_content
            || !job.content.held.tells_version()
            // Some servers name the version in whole responses only. A strong tag is missed, and nothing else.
            || !told.tells_version() && !job.content.held.has_strong_tag()
            || job.promise(self.settings.server_digests).is_some_and(|promise| promise.proves());
        match verdict {
            _ if is_free => {}
            Verdict::Same(_) => {}
            Verdict::Different(_) => {
                job.ranges.needs_sample = true;
                return self.another_version(now, id, transfer, head);
            }
            Verdict::Unknown => {
                job.ranges.needs_sample = true;
                return self.unknown_version(now, id, transfer, head);
            }
        }
        if total_bytes < held_to {
            let reason = "the file on the server is shorter than what has come";
            return self.differs(now, id, transfer, head, reason, By::Version);
        }
        job.ranges.needs_overlap = !head.tells_length;
        job.content.total_bytes = Some(total_bytes);
        job.content.held.total_bytes = Some(total_bytes);
        job.tries.failures.clear();
        self.effects.push(Effect::Commit(CommitRequest::SetLen {
            job: id,
            path: job.naming.part_of.clone(),
            len_bytes: total_bytes,
        }));
        self.refuses_size(now, id, None);
    }

    /// A response that could be the file reports another version.
    pub(super) fn another_version(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        if self.jobs.get(&id).is_some_and(|job| job.is_stranger(transfer.source)) {
            // What another source has brought does not give way to it.
            return self.source_changed(now, id, transfer.source, head);
        }
        let reason = match head.shape {
            Shape::NoSuchRange => "the server says that the range does not exist",
            _ => "the file on the server has changed",
        };
        self.differs(now, id, transfer, head, reason, By::Version);
    }

    fn differs(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head, reason: &str, by: By) {
        if self.doubts_change(id) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if by == By::Version && job.is_contradicted_by(&head.evidence) {
            return self.unknown_version(now, id, transfer, head);
        }
        if job.tries.doubts.is_another_moment(now) {
            job.tries.doubts.different += 1;
        }
        job.tries.doubts.name(&head.evidence);
        if job.tries.doubts.is_confirmed() {
            if by == By::Version && self.compares_instead(id, head) {
                return;
            }
            if !self.takes_back(now, id, head) {
                self.restart(now, id, reason, by);
            }
            return;
        }
        let differences = job.content.held.differences(&head.evidence);
        let error = Error::new(ErrorKind::Changed, format!("{reason} ({differences})")).with_advice(KEPT);
        self.ask_again(now, id, transfer, error);
    }

    /// If a digest is asked for, it shows at the end whether the file is right, whatever the server calls it: another name
    /// of the same content costs only samples of it.
    fn compares_instead(&mut self, id: JobId, head: &Head) -> bool {
        let (reads_back, believes_server) = (self.settings.allowed.reads_back, self.settings.server_digests);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let is_other_length = job.content.held.has_other_length(&head.evidence);
        let compares = reads_back
            && job.is_asked_for(believes_server)
            && !is_other_length
            && head.shape != Shape::NoSuchRange
            && job.tries.comparisons < COMPARISONS_MAX;
        if compares {
            job.tries.comparisons += 1;
            job.link = Link::moved_by_samples();
        }
        compares
    }

    /// A response does not say whether it is of the version of the existing data.
    pub(super) fn unknown_version(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.link.is_doubted() {
            // Another connection got the same response before, and samples decide.
            return;
        }
        if transfer.had_if_range && head.shape == Shape::Range && !head.evidence.tells_version() {
            // Such a response may leave out what another one names (RFC 9110, section 15.3.7).
            job.lead_mut().distrusts_if_range = true;
            job.ranges.trial_ended();
            return;
        }
        let reads_back = self.settings.allowed.reads_back;
        let is_spent = job.link.is_compared() && job.lead().was_resolved_again;
        if reads_back && is_spent && job.content.held.shares_tag(&head.evidence) {
            // The place where samples agreed refuses, and there is a new one each time: links that are good for once. The
            // tag is a hint there, so the file goes on in one stream, and the bytes before each response are compared.
            job.content.held.weaken_tag();
            return;
        }
        if reads_back && job.content.held.shares_version(&head.evidence) && job.tries.comparisons < COMPARISONS_MAX {
            // Another response would say no more.
            job.tries.comparisons += 1;
            job.link = Link::moved_with_version();
            return;
        }
        job.tries.doubts.unknown += u32::from(job.tries.doubts.is_another_moment(now));
        // Fewer retries allow fewer responses, but lead to the same decision.
        let is_last =
            job.tries.doubts.unknown >= UNKNOWN_MAX.min(job.retries(self.settings.retries).max(1).saturating_add(1));
        if is_last && self.takes_back(now, id, head) {
            return;
        }
        if is_last && self.goes_on_weakly(id, head) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Where the length is unknown, only a file that ends before the existing data does refuses a range of it.
        let held = &job.content.held;
        let has_other_length = held.total_bytes.is_none() || held.has_other_length(&head.evidence);
        if is_last && head.shape == Shape::NoSuchRange && has_other_length {
            // A refusal gives the length of the file, but seldom its version: the whole file does.
            return self.ask_for_whole(id);
        }
        let may_be_sampled = job.content.held.may_be_sampled(&head.evidence);
        // Samples decide about the bytes, and the digest proves them at the end.
        let is_checked = job.promise(self.settings.server_digests).is_some_and(|promise| promise.proves());
        let is_by_digest = is_checked && job.content.held.has_equal_length(&head.evidence);
        let is_elsewhere = job.content.held.is_elsewhere(&head.evidence);
        let may_compare = may_be_sampled || job.spec.same_content || is_by_digest || is_elsewhere;
        if is_last && may_compare && reads_back && job.tries.comparisons < COMPARISONS_MAX {
            job.tries.comparisons += 1;
            job.link = match may_be_sampled {
                true => Link::moved_by_samples(),
                // The digest is of what was there before: elsewhere, other bytes are another version.
                false if is_by_digest && is_elsewhere => Link::moved_by_samples(),
                false if is_by_digest => Link::doubted_by_samples(),
                // A redirector leads to another place each time, whose ranges name nothing.
                false if is_elsewhere && !head.evidence.tells_version() => Link::moved_by_samples(),
                false => Link::moved(),
            };
            return;
        }
        if is_last && head.shape == Shape::Range && self.may_ask_for_whole(id) {
            // Responses to ranges may leave out what the whole file names (RFC 9110, section 15.3.7). Unless it is
            // the same version, everything stays as it is.
            self.ask_for_whole(id);
            let Some(job) = self.jobs.get_mut(&id) else { return };
            job.ranges.is_last_resort = true;
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let text = format!(
            "the server does not say that this is the version that was begun ({})",
            job.content.held.differences(&head.evidence)
        );
        let error = Error::new(ErrorKind::Changed, text).with_advice(KEPT);
        match is_last {
            true => {
                let error = error.with_attempts(job.tries.doubts.unknown).with_url(secret::shown_url(&transfer.url));
                self.give_up_or_put_off(now, id, transfer, error);
            }
            false => self.ask_again(now, id, transfer, error),
        }
    }

    /// Whether the server names the version that was begun, but less surely than before: it goes on in one stream, and
    /// the bytes before each response are compared.
    fn goes_on_weakly(&mut self, id: JobId, head: &Head) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let held = &mut job.content.held;
        let is_weak = held.compare(&head.evidence) == Verdict::Same(Strength::Weak);
        if !is_weak || held.is_elsewhere(&head.evidence) || job.sources.is_many() || !self.settings.allowed.reads_back {
            return false;
        }
        let mut weaker = held.clone();
        weaker.weaken(&head.evidence);
        if weaker.can_join() || !held.can_join() {
            // It would ask for the same again.
            return false;
        }
        let message = format!(
            "the server names the version less surely than before ({}): it goes on in one stream",
            held.differences(&head.evidence)
        );
        *held = weaker;
        job.tries.doubts = Doubts::default();
        job.tries.failures.clear();
        self.remark(id, message);
        true
    }

    /// Whether the whole file was not yet requested in the place of ranges that name no version.
    fn may_ask_for_whole(&self, id: JobId) -> bool {
        let job = &self.jobs[&id];
        !job.sources.is_many() && job.ranges.segmented != Segmented::Refused && job.content.total_bytes.is_some()
    }

    /// Requests the whole file instead of what is missing: the response decides whether the existing data is of use.
    fn ask_for_whole(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.segmented = Segmented::Refused;
        job.ranges.ignored = RANGE_TRIES;
        job.tries.doubts = Doubts::default();
        job.tries.failures.clear();
    }

    /// A page came instead of the file.
    pub(super) fn page_came(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.doubts.unknown += u32::from(job.tries.doubts.is_another_moment(now));
        let error =
            page_error(job, &transfer.url, head).with_advice(KEPT_PAGE).with_url(secret::shown_url(&transfer.url));
        match job.tries.doubts.unknown >= UNKNOWN_MAX {
            true => {
                let attempts = job.tries.doubts.unknown;
                self.give_up_or_put_off(now, id, transfer, error.with_attempts(attempts));
            }
            false => self.ask_again(now, id, transfer, error),
        }
    }

    /// Whether a response is a page although the names say that the file is none.
    pub(super) fn is_page(&self, id: JobId, head: &Head) -> bool {
        let job = &self.jobs[&id];
        let is_html = match head.shape {
            // Only of whole responses have bytes been read.
            Shape::Whole => {
                head.is_page || head.evidence.is_html && !job.content.done.is_empty() && !job.content.held.is_html
            }
            // A refusal has a page of its own, and says how long the file is.
            Shape::NoSuchRange if head.total_bytes.is_some() => false,
            _ => head.evidence.is_html && !job.content.held.is_html,
        };
        // What a service sends under a name is a file of its user.
        let is_sent_as_page = || job.is_never_page() && head.file_name.is_none();
        let is_page = is_html && (is_sent_as_page() || names(job, head, page::names_no_page));
        // Under the name of an archive, whatever looks like a page is one.
        let is_no_archive = head.may_be_page && names(job, head, page::names_binary);
        let is_error = head.is_message && is_called(job, head, page::names_binary);
        (is_page || is_no_archive || is_error) && !self.settings.accept_html
    }

    /// Under a name such as `film` or `download`, a page may be the file, or stand in for it.
    pub(super) fn tell_of_page(&mut self, id: JobId, head: &Head) {
        let job = &self.jobs[&id];
        let is_named_page = job.spec.output.as_deref().is_some_and(page::names_page);
        // What a service lists, or sends under a name, is a file of its user.
        let is_of_service = job.spec.listed.is_some() || head.file_name.is_some();
        let is_expected = is_named_page || is_of_service || is_called(job, head, page::names_page);
        if !head.is_page || is_expected || self.settings.accept_html || self.pages_told == PAGES_TOLD_MAX {
            return;
        }
        self.pages_told += 1;
        let title = head.page_title.as_ref().map_or_else(String::new, |title| format!(" (\"{title}\")"));
        let more = if self.pages_told == PAGES_TOLD_MAX { "; further ones are not told" } else { "" };
        self.warn(Some(id), format!("an HTML page has come{title}: is that the file?{more}"));
    }

    /// Asks once more, over another connection.
    pub(super) fn ask_again(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        let error = error.with_url(secret::shown_url(&transfer.url));
        let start = transfer.piece.start();
        if let Some(job) = self.jobs.get_mut(&id) {
            // The URL that it was redirected to may be wrong, or may have expired.
            job.lead_mut().go_back();
        }
        self.retry_or_fail(now, id, start, error, false);
    }

    fn give_up_or_put_off(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        match self.others_bring(id) {
            true => self.put_off(now, id, transfer.piece.start(), &error),
            false => self.give_up(now, id, error),
        }
    }
}

/// Whether the existing data, or any of the file's names, says this about the file.
fn names(job: &Job, head: &Head, says: fn(&Path) -> bool) -> bool {
    // The existing data is no page, whatever its name is.
    let holds_file = !job.content.done.is_empty() && job.content.held.tells_version() && !job.content.held.is_html;
    holds_file || is_called(job, head, says)
}

/// Whether any of the file's names says this about the file.
fn is_called(job: &Job, head: &Head, says: fn(&Path) -> bool) -> bool {
    // The user says that it is a page.
    if job.spec.output.as_deref().is_some_and(page::names_page) {
        return false;
    }
    let given = head.file_name.as_deref().map(safe::make_safe);
    let asked = safe::make_safe(&safe::from_url(&job.spec.url));
    let named = job.naming.is_named.then(|| job.naming.path.clone());
    let sent_to = safe::make_safe(&safe::from_url(job.lead().url()));
    let names = [Some(asked.into()), Some(sent_to.into()), given.map(Into::into), named];
    names.into_iter().flatten().any(|name: PathBuf| says(&name))
}

/// The error for what came instead of the file.
pub(super) fn page_error(job: &Job, url: &Url, head: &Head) -> Error {
    let length = |bytes: Option<u64>| bytes.map_or("unknown length".to_owned(), size::bytes);
    let what = if head.is_message { "a JSON or XML message" } else { "an HTML page" };
    let title = head.page_title.as_ref().map_or_else(String::new, |title| format!("\"{title}\", "));
    let sent = format!("the server sent {what} ({title}{}) instead of", length(head.total_bytes));
    let mut text = match job.content.done.is_empty() {
        true => format!("{sent} the file"),
        false => format!("{sent} the file of {} that was begun", length(job.content.total_bytes)),
    };
    if head.evidence.is_html
        && let Some(means) = job.page_means(head.page_title.as_deref(), url)
    {
        text = format!("{text}: {means}");
    }
    Error::new(ErrorKind::Page, text)
}
