//! The server has answered the first request: which name, is it there already, what of an earlier
//! run fits, and where the body goes.

use bytes::Bytes;

use super::Core;
use super::start::{next_name, reserve};
use crate::dispatch::job::{Job, Phase, Published, Segmented, Winding};
use crate::dispatch::link::Link;
use crate::dispatch::message::{Effect, Head, Store, Time};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, How};
use crate::http::validator::Agreement;
use crate::job::JobId;
use crate::journal::Journal;
use crate::name;
use crate::options::Existing;
use crate::plan::TransferId;
use crate::storage::StatKind;

impl Core {
    pub(super) fn answered(&mut self, now: Time, transfer: TransferId, head: Box<Head>, whole: Option<Vec<Bytes>>) {
        let Some(id) = self.transfers.get(&transfer).map(|transfer| transfer.job) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !matches!(job.phase, Phase::Probing) {
            return;
        }
        job.probe = Some(transfer);
        job.protocol = head.protocol;
        if std::mem::take(&mut job.begins_at_zero) {
            if whole.is_none() && is_same(job, &head) {
                return self.stream_over(id, transfer);
            }
            let reason = "the server does not serve ranges, so what is there cannot be added to".to_owned();
            job.forget_content();
            job.sources.forget();
            self.effects.push(Effect::Report(Event::Restarted { job: id, reason }));
        }
        job.total_bytes = head.total_bytes;
        job.validator = head.validator.clone();
        if let Some(source) = job.sources.get_mut(job.sources.lead()) {
            source.validator = Some(head.validator.clone());
        }
        // Bytes that were encoded on the way are others each time, and so are their offsets.
        job.says_no_ranges = head.refuses_ranges || head.content_encoding.is_some();
        job.segmented = if job.says_no_ranges { Segmented::Refused } else { job.segmented };
        job.whole = whole;
        job.patience = 0;
        let was_named = std::mem::replace(&mut job.is_named, true);
        let given = head.file_name.clone();
        let (warnings, remarks) = (warnings(&head, &job.path), head.remarks.clone());
        job.answer = Some(head);
        if !was_named {
            // A mirror does not name the file by its URL.
            let url = if job.sources.lead() == 0 { &job.url } else { &job.spec.url };
            let plain = given.unwrap_or_else(|| name::safe::from_url(url));
            job.plain_name = name::safe::make_safe(&plain);
            job.path = self.settings.dir.join(&job.plain_name);
        }
        for warning in warnings {
            self.warn(Some(id), warning);
        }
        for message in remarks {
            self.effects.push(Effect::Report(Event::Remark { job: id, message }));
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let held = job.reserved;
        if reserve(&mut self.names, job) && held == job.reserved {
            // What was found under this name is known already.
            return self.place(now, id, None);
        }
        self.prepare(now, id);
    }

    /// The server has no ranges and sends the whole file once more. It is the version that is there,
    /// so that the same bytes are written over, and nothing is lost if it breaks off.
    fn stream_over(&mut self, id: JobId, transfer: TransferId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Moving;
        job.patience = 0;
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.writes = true;
            self.effects.push(Effect::Grant { transfer, job: id, worker: state.worker });
        }
    }

    /// Name and answer are known, and what is there under the name.
    pub(super) fn place(&mut self, now: Time, id: JobId, partial: Option<Journal>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.must_check_existing() {
            // The answer has given it this name.
            job.held_partial = partial.map(Box::new);
            return self.check_existing(id);
        }
        if let Some(existing) = &job.existing {
            let decision = decide_existing(job, existing, self.settings.existing);
            match decision {
                Decision::There(how, published) => return self.wind(now, id, Winding::There(how, published)),
                Decision::Refuse(error) => return self.wind(now, id, Winding::Fail(error)),
                Decision::Rename => {
                    next_name(job);
                    return self.prepare(now, id);
                }
                Decision::Replace => {}
            }
        }
        if self.refuses_size(now, id, partial.as_ref()) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let event = Event::Answered {
            job: id,
            url: crate::secret::shown_url(&job.url),
            path: job.path.clone(),
            total_bytes: job.total_bytes,
            resumed_bytes: 0,
            protocol: job.protocol.name(),
        };
        if let Some(journal) = partial {
            match job.validator.compare(&journal.identity.validator) {
                Agreement::Same => return self.wind(now, id, Winding::Adopt(Box::new(journal))),
                _ if journal.done.is_empty() => {}
                _ if job.spec.same_content => {
                    job.link = Link::doubted();
                    return self.wind(now, id, Winding::Adopt(Box::new(journal)));
                }
                _ if journal.identity.total_bytes == job.total_bytes
                    && job.is_of_other_source(&journal.identity.url) =>
                {
                    return self.wind(now, id, Winding::Adopt(Box::new(journal)));
                }
                _ => {
                    let reason = "the file on the server is another version than the one begun".to_owned();
                    self.effects.push(Effect::Report(Event::Restarted { job: id, reason }));
                }
            }
        }
        self.effects.push(Effect::Report(event));
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let Some(content) = job.whole.take() {
            return self.store(id, content);
        }
        job.phase = Phase::Opening;
        job.is_part_open = true;
        job.part_of = job.path.clone();
        let effect = Effect::Open { job: id, path: job.path.clone(), total_bytes: job.total_bytes };
        self.ask_disk(id, effect);
    }

    fn store(&mut self, id: JobId, content: Vec<Bytes>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let bytes = content.iter().map(Bytes::len).sum::<usize>() as u64;
        if std::mem::take(&mut job.is_part_open) {
            // Of another version; its lock would be in the way.
            self.effects.push(Effect::Release { job: id, path: job.part_of.clone(), discard: true });
        }
        job.phase = Phase::Publishing;
        job.total_bytes = Some(bytes);
        job.done.insert(crate::ranges::ByteRange::new(0, bytes));
        if let Some(source) = job.sources.get_mut(job.sources.lead()) {
            source.fetched_bytes = bytes;
        }
        self.unstored_bytes += bytes;
        let store = Store {
            job: id,
            is_alone: !job.has_part && self.settings.existing != Existing::Overwrite,
            path: job.path.clone(),
            content,
            replace: self.settings.existing == Existing::Overwrite,
            note: job.note(),
            promise: job.promise(self.settings.server_digests),
        };
        self.leave_running(id);
        self.unstored.insert(id);
        self.ask_disk(id, Effect::Store(Box::new(store)));
    }

    pub(super) fn opened(&mut self, now: Time, id: JobId, result: Result<()>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.pending = job.pending.saturating_sub(1);
        if let Err(error) = result {
            job.is_part_open = false;
            return match job.phase {
                Phase::Winding(_) => self.wound(now, id),
                _ => self.wind(now, id, Winding::Fail(error)),
            };
        }
        if !matches!(job.phase, Phase::Opening) {
            return self.wound(now, id);
        }
        job.phase = Phase::Moving;
        let Some(transfer) = job.probe else { return };
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.writes = true;
            self.effects.push(Effect::Grant { transfer, job: id, worker: state.worker });
        }
    }
}

/// Whether the whole file that a server sends is certainly what is there in part.
fn is_same(job: &Job, head: &Head) -> bool {
    let is_comparable = head.total_bytes == job.total_bytes && head.content_encoding.is_none();
    is_comparable && !job.needs_sample && job.validator.compare(&head.validator) == Agreement::Same
}

pub(super) enum Decision {
    There(How, Published),
    Refuse(Error),
    Rename,
    Replace,
}

/// Another file has the name, or this one is there already.
pub(super) fn decide_existing(job: &Job, existing: &crate::dispatch::message::Existing, policy: Existing) -> Decision {
    let published = Published { len_bytes: existing.stat.len_bytes, modified: existing.stat.modified };
    let is_file = existing.stat.kind == StatKind::File;
    // With a checksum, the file that is there was compared before and is another one.
    if is_file
        && job.spec.checksum.is_none()
        && let Some(how) = is_there(job, existing)
        // The same length is too little where the user wants it fetched again.
        && !(policy == Existing::Overwrite && how == How::ThereBySize)
    {
        return Decision::There(how, published);
    }
    match policy {
        Existing::Overwrite if is_file => Decision::Replace,
        Existing::AutoRename => Decision::Rename,
        Existing::Skip => Decision::There(How::Skipped, published),
        _ => {
            let what = match (is_file, &job.spec.checksum) {
                (true, None) => "another file has this name",
                (true, Some(_)) => "a file that has this name does not have the digest that was asked for",
                (false, _) => "something that is no file has this name",
            };
            Decision::Refuse(Error::new(ErrorKind::NameTaken, what).with_path(job.path.clone()))
        }
    }
}

fn is_there(job: &Job, existing: &crate::dispatch::message::Existing) -> Option<How> {
    let has_other_len = job.total_bytes.is_some_and(|total_bytes| total_bytes != existing.stat.len_bytes);
    if has_other_len {
        return None;
    }
    if let Some(note) = existing.note.as_ref().filter(|note| !job.is_of_other_source(&note.url)) {
        match note.validator.compare(&job.validator) {
            Agreement::Same => return Some(How::ThereByValidator),
            Agreement::Different => return None,
            Agreement::Unknown => {}
        }
    }
    // Without a validator, the length is the least that must be known.
    job.total_bytes?;
    let modified = existing.stat.modified.duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let server = job.validator.last_modified_time();
    let server = server.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    match server {
        Some(time) if time.as_secs() == modified => Some(How::ThereByTime),
        _ => Some(How::ThereBySize),
    }
}

fn warnings(head: &Head, path: &std::path::Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    let wants_html = extension.as_ref().is_none_or(|extension| {
        ["html", "htm", "xhtml", "php", "asp", "aspx", "jsp"].iter().any(|html| extension == html)
    });
    if head.is_html && !wants_html {
        warnings.push(
            "the server sends an HTML page where a file was expected; it may be an error or a login page".to_owned(),
        );
    }
    if let Some(encoding) = &head.content_encoding {
        warnings.push(format!(
            "the server sends the content encoded ({}) although it was not asked to; it is stored as sent",
            crate::secret::printable(encoding)
        ));
    }
    warnings
}
