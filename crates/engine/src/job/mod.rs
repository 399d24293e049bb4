//! What to fetch ([`JobSpec`]), and the number that identifies it in a session ([`JobId`]). Its state is in
//! [`crate::status`].

mod listed;
mod located;
mod pieces;
mod profile;
mod spec;

use serde::{Deserialize, Serialize};

pub use self::listed::{Left, Listed};
pub use self::located::Located;
pub use self::pieces::PieceDigests;
pub(crate) use self::profile::Profile;
pub use self::spec::{JobOptions, JobSpec};

/// Jobs of a feed are numbered from here on; jobs added one by one get lower numbers.
pub(crate) const FEED_JOBS_FROM: u64 = 1 << 40;

/// Identifies a job within its session.
///
/// The session numbers jobs from 0 on. A program that keeps jobs beyond a session assigns the numbers itself
/// ([`SessionHandle::add_as`](crate::SessionHandle::add_as)), below 2⁴⁰: higher ones belong to the entries of a
/// list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub(crate) u64);

impl JobId {
    /// The job with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// For what belongs to no job.
    pub(crate) const NONE: Self = Self(u64::MAX);

    /// The number, as it appears in events.
    pub fn get(self) -> u64 {
        self.0
    }
}
