//! What is to be fetched ([`JobSpec`]), and by which number a session knows it ([`JobId`]). How it stands is
//! in [`crate::status`].

mod located;
mod profile;
mod spec;

use serde::{Deserialize, Serialize};

pub use self::located::Located;
pub(crate) use self::profile::Profile;
pub use self::spec::{JobOptions, JobSpec};

/// Jobs of a feed get numbers from here on; those added one by one get lower ones.
pub(crate) const FEED_JOBS_FROM: u64 = 1 << 40;

/// Names a job within its session.
///
/// The session numbers jobs from 0 on. Whoever keeps jobs beyond a session gives the numbers
/// ([`SessionHandle::add_as`](crate::SessionHandle::add_as)), below 2⁴⁰: those above are of a list's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(crate) u64);

impl JobId {
    /// The job of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Nobody's: what belongs to no job.
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// The number behind it, as events show it.
    pub fn get(self) -> u64 {
        self.0
    }
}
