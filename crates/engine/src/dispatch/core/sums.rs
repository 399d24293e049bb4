//! Digests by the names of files (`Options::sums`): a file gets the digest of the name that it will have, which only its
//! response may tell.

use std::path::Path;

use super::Core;
use crate::checksum::Demanded;
use crate::dispatch::job::Job;
use crate::error::{Advice, Error, ErrorKind};
use crate::event::Event;
use crate::job::JobId;
use crate::message::Effect;

impl Core {
    /// Gives a job the digest of its name. Of this one and its own, the stronger is checked.
    pub(super) fn take_sum(&mut self, id: JobId) {
        let (Some(sums), Some(job)) = (&self.settings.sums, self.jobs.get_mut(&id)) else { return };
        let unnumbered = job.naming.path.with_file_name(&job.naming.plain_name);
        let below = unnumbered.strip_prefix(&self.settings.dir).unwrap_or(&unnumbered);
        let whole = std::path::absolute(&unnumbered).ok();
        // Files of digests name files as they are called beside them; those of a list may get other names here.
        let numbered = job.naming.path.strip_prefix(&self.settings.dir).unwrap_or(&job.naming.path);
        let by_path = sums.of_any(&[numbered, below]).or_else(|| sums.of(whole.as_deref()?));
        let by_name = || sums.of_any(&[Path::new(&job.naming.plain_name), &job.spec.name_in_url()]);
        let is_renamed_by_user = job.entry.is_none() && job.spec.output.is_some();
        let sum = by_path.or_else(|| if is_renamed_by_user { None } else { by_name() });
        let demanded = Demanded::by(job.own_checksum.as_ref(), sum);
        job.is_contradicted = demanded.is_contradicted;
        job.spec.checksum = demanded.digest.cloned();
    }

    /// The error for a file with two digests of which one must be wrong, or that the user named and that has none although
    /// there is a file of digests.
    pub(super) fn lacks_sum(&self, id: JobId) -> Option<Error> {
        if let Some(job) = self.jobs.get(&id).filter(|job| job.is_contradicted) {
            let text = "its own digest and that in the file of digests differ";
            return Some(Error::new(ErrorKind::Digest, text).with_url(job.shown_url()));
        }
        let job = self.jobs.get(&id).filter(|job| job.entry.is_none() && self.is_without_sum(job))?;
        let name = job.naming.path_below(&self.settings.dir).with_file_name(&job.naming.plain_name);
        let text = format!("the file of digests has none of {}", name.display());
        Some(Error::new(ErrorKind::Usage, text).with_url(job.shown_url()).with_advice(Advice::NameAsInSums))
    }

    pub(super) fn is_without_sum(&self, job: &Job) -> bool {
        self.settings.sums.is_some() && job.spec.checksum.is_none()
    }

    /// Says how many files of a list were not compared with a digest.
    pub(super) fn tell_without_sum(&mut self) {
        let files = match self.without_sum {
            0 => return,
            1 => "1 file",
            files => &format!("{files} files"),
        };
        let message = format!("{files} of the list: no digest is given in the file of digests");
        self.effects.push(Effect::Report(Event::Warning { job: None, message }));
    }
}
