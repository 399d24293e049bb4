//! A resource at run time: its rules with their counters, and the number of its responses in flight.
//! All serving threads share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::resource::Resource;
use crate::rule_set::RuleSet;

/// A resource at run time, with its counters.
pub(crate) struct Entry {
    pub(crate) resource: Resource,
    pub(crate) rules: RuleSet,
    in_flight: AtomicUsize,
}

impl Entry {
    pub(crate) fn new(resource: Resource) -> Self {
        Self { rules: RuleSet::new(resource.rules.clone()), in_flight: AtomicUsize::new(0), resource }
    }
}

/// A response in flight; the entry counts it until it is dropped.
pub(crate) struct InFlight {
    entry: Arc<Entry>,
}

impl InFlight {
    /// Counts one more response; also returns how many are in flight now.
    pub(crate) fn begin(entry: &Arc<Entry>) -> (Self, usize) {
        let before = entry.in_flight.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::clone(entry);
        (Self { entry }, before + 1)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.entry.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
