//! A source that leads its file and brings next to nothing, although others could be asked. Nothing of them can be compared
//! before there is a sample, so the file begins again with another one; little is lost by that.

use super::Core;
use crate::dispatch::job::{Closing, Job, Phase};
use crate::job::JobId;
use crate::message::Time;
use crate::secret;

/// Within this, a source has to bring [a little](LITTLE_BYTES).
const SLOW_AFTER: Time = Time::from_secs(5);
/// What may be given up: with more, a sample for others is not far.
const LITTLE_BYTES: u64 = 16 << 10;
/// It is not asked again before this.
const AGAIN_AFTER: Time = Time::from_secs(10);

impl Core {
    /// Lets other sources lead where the lead brings next to nothing. Each gives way once.
    pub(super) fn leave_slow_leads(&mut self, now: Time) {
        let better = |id: &JobId| Some((*id, self.better_than_slow_lead(now, &self.jobs[id])?));
        let slow: Vec<(JobId, usize)> = self.turns.running.iter().filter_map(better).collect();
        for (id, next) in slow {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let lead = job.lead_mut();
            lead.was_slow = true;
            lead.wait_until(now + AGAIN_AFTER);
            let (left, asked) = (secret::shown_url(&lead.given), secret::shown_url(&job.sources[next].given));
            self.remark(id, format!("{left} brings next to nothing: {asked} is asked instead"));
            self.close(now, id, Closing::Lead(next));
        }
    }

    /// The source that is to lead instead, if the lead is slow and another may be better.
    fn better_than_slow_lead(&self, now: Time, job: &Job) -> Option<usize> {
        let may_be_left = job.sources.is_many() && matches!(job.phase, Phase::Probing | Phase::Moving);
        let transfers = || job.transfers.iter().filter_map(|transfer| self.transfers.get(transfer));
        let is_slow =
            || transfers().map(|transfer| transfer.started).min().is_some_and(|since| now >= since + SLOW_AFTER);
        if !may_be_left || !is_slow() || self.covered_bytes(job) >= LITTLE_BYTES || self.limits_rate_of(job) {
            return None;
        }
        let lead = job.sources.lead();
        let mut others = job.sources.live().filter(|(source, state)| {
            let is_fresh = *source != lead && !state.was_slow && state.retry_at <= now;
            is_fresh && !self.is_doubtful(state.host(), &job.own.profile, now)
        });
        others.next().map(|(source, _)| source)
    }
}
