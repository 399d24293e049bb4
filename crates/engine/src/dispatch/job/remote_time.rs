//! The time that a file has on its server.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::{Duration, SystemTime};

use super::Job;

const NS_PER_SECOND: u64 = 1_000_000_000;

impl Job {
    /// When the file was changed on its server, as that says, to the second. Of files of a list, the fraction of the
    /// second is their own: a ledger knows them by length and time, and many of one server may be alike in both.
    pub(crate) fn modified_there(&self) -> Option<SystemTime> {
        let fraction = |_| {
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(self.spec.url.as_str());
            Duration::from_nanos(hash % NS_PER_SECOND)
        };
        Some(self.content.held.last_modified_time()? + self.entry.map(fraction).unwrap_or_default())
    }
}
