//! Takes over the data of an earlier run.

use crate::dispatch::job::{Job, ListedBefore};
use crate::journal::{Journal, Verified};

/// Takes over the data of an earlier run.
pub(super) fn take_over(job: &mut Job, mut journal: Journal) {
    job.part.is_of_others = !job.is_of(&journal.identity.url, journal.identity.given);
    let listed = journal.identity.evidence.listed.take();
    job.content.begun_as = (!journal.done.is_empty()).then_some(ListedBefore(listed));
    let source = job.sources.position_of(&journal.identity.url).unwrap_or(job.sources.lead());
    if source != job.sources.lead() && job.lead().told.is_none() {
        // No source was asked yet: the one whose version is known becomes the lead.
        job.change_lead(source);
    }
    job.sources[source].told = Some(journal.identity.evidence.clone());
    let is_of_lead = source == job.sources.lead();
    if is_of_lead {
        // An earlier run may not have requested the digest; it is of the same version.
        let given = job.content.held.digest.take();
        job.content.held = journal.identity.evidence;
        job.content.held.digest = job.content.held.digest.take().or(given);
    }
    job.content.done = journal.done;
    job.content.total_bytes = journal.identity.total_bytes;
    // Otherwise it would not have been kept.
    job.ranges.are_offered = job.content.total_bytes.is_none() && job.content.held.is_silent();
    job.part.generation = journal.generation;
    job.content.was_wrong = journal.verified == Verified::Failed;
    job.content.verified = Verified::Unchecked;
    job.content.joined_by = journal.joined_by;
    job.content.resumed_bytes = job.content.done.covered();
    job.part.saved_bytes = job.content.resumed_bytes;
    job.content.high_water_bytes = job.content.resumed_bytes;
    job.ranges.needs_sample =
        job.sources.is_many() && !(job.content.done.is_empty() || is_of_lead && job.content.held.tells_version());
}
