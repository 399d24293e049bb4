//! The state that all threads of an origin share: the resources, the server's faults, the counters and
//! the TLS identity. It survives a stop, so a restarted origin serves the same.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::entry::Entry;
use crate::pace::Pace;
use crate::resource::{Pattern, Resource};
use crate::rule::Rule;
use crate::rule_set::RuleSet;
use crate::secure::Secure;
use crate::stats::Counters;

/// The shared state of an origin.
pub(crate) struct Shared {
    table: RwLock<HashMap<String, Arc<Entry>>>,
    patterns: Vec<Pattern>,
    rules: RwLock<Arc<RuleSet>>,
    pub(crate) counters: Counters,
    pub(crate) pace: Mutex<Pace>,
    pub(crate) tls: Option<Box<dyn Secure>>,
}

impl Shared {
    pub(crate) fn new(
        resources: Vec<Resource>,
        patterns: Vec<Pattern>,
        rules: Vec<Rule>,
        tls: Option<Box<dyn Secure>>,
    ) -> Self {
        let entries = resources.into_iter().map(|resource| (resource.path.clone(), Arc::new(Entry::new(resource))));
        Self {
            table: RwLock::new(entries.collect()),
            patterns,
            rules: RwLock::new(Arc::new(RuleSet::new(rules))),
            counters: Counters::new(),
            pace: Mutex::default(),
            tls,
        }
    }

    /// The entry at `path`. An entry of a pattern is created on first use.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<Entry>> {
        if let Some(entry) = self.table.read().get(path) {
            return Some(Arc::clone(entry));
        }
        let resource = self.patterns.iter().find_map(|pattern| pattern.resource(path))?;
        let mut table = self.table.write();
        let entry = table.entry(path.to_owned()).or_insert_with(|| Arc::new(Entry::new(resource)));
        Some(Arc::clone(entry))
    }

    /// Adds or replaces a resource and resets its counters.
    pub(crate) fn set(&self, resource: Resource) {
        let path = resource.path.clone();
        self.table.write().insert(path, Arc::new(Entry::new(resource)));
    }

    pub(crate) fn remove(&self, path: &str) -> bool {
        self.table.write().remove(path).is_some()
    }

    pub(crate) fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.rules.read())
    }

    pub(crate) fn set_rules(&self, rules: Vec<Rule>) {
        *self.rules.write() = Arc::new(RuleSet::new(rules));
    }
}
