//! The names that files have or will have, so that no two files want one.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;

use super::job::Job;
use crate::name::{NameRules, safe};

/// The names that are spoken for, as hashes: there may be a million.
#[derive(Debug)]
pub(crate) struct Names {
    keys: HashSet<u64>,
    rules: NameRules,
    /// That files of a list get numbers was told.
    pub(crate) has_told_numbers: bool,
}

impl Names {
    pub(crate) fn new(rules: NameRules) -> Self {
        Self { keys: HashSet::new(), rules, has_told_numbers: false }
    }

    /// What a file is called that has this name by its URL or its server.
    pub(crate) fn safe(&self, given: &str) -> String {
        self.rules.name(given)
    }

    /// Gives a job its next name: `a.iso`, `a.1.iso`, `a.2.iso` …
    pub(crate) fn number(&self, job: &mut Job) {
        job.naming.renamed += 1;
        job.naming.path =
            job.naming.path.with_file_name(self.rules.numbered(&job.naming.plain_name, job.naming.renamed));
    }

    /// Gives a job its next name that nobody has spoken for, and reserves it.
    pub(crate) fn number_free(&mut self, job: &mut Job) {
        loop {
            self.number(job);
            if self.reserve(job) {
                return;
            }
        }
    }

    /// A file has this name; false if it is spoken for.
    pub(crate) fn insert(&mut self, path: &Path) -> bool {
        self.keys.insert(self.key(path))
    }

    /// Reserves a job's name instead of the one that it held; false if somebody else has it.
    pub(crate) fn reserve(&mut self, job: &mut Job) -> bool {
        let key = self.key(&job.naming.path);
        if job.naming.reserved == Some(key) {
            return true;
        }
        if let Some(held) = job.naming.reserved.take() {
            self.keys.remove(&held);
        }
        let is_free = self.keys.insert(key);
        if is_free {
            job.naming.reserved = Some(key);
        }
        is_free
    }

    /// Gives up what [`Names::reserve`] has reserved.
    pub(crate) fn release(&mut self, key: u64) {
        self.keys.remove(&key);
    }

    fn key(&self, path: &Path) -> u64 {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        match self.rules.folds {
            true => hasher.hash_one(safe::fold_key(path)),
            false => hasher.hash_one(path),
        }
    }
}
