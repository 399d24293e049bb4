//! The names that files have or will have, so that no two files get the same one.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;

use super::job::Job;
use crate::key_set::KeySet;
use crate::name::{NameRules, safe};

/// The reserved names, as hashes.
#[derive(Debug)]
pub(crate) struct Names {
    keys: KeySet,
    rules: NameRules,
    /// Whether it was reported that files of a list get numbers.
    pub(crate) has_told_numbers: bool,
}

impl Names {
    pub(crate) fn new(rules: NameRules) -> Self {
        Self { keys: KeySet::default(), rules, has_told_numbers: false }
    }

    /// The name for a file that its URL or its server calls `given`.
    pub(crate) fn safe(&self, given: &str) -> String {
        self.rules.name(given)
    }

    /// What names have to be like.
    pub(crate) fn rules(&self) -> &NameRules {
        &self.rules
    }

    /// Gives a job its next name: `a.iso`, `a.1.iso`, `a.2.iso` …
    pub(crate) fn number(&self, job: &mut Job) {
        job.naming.renamed += 1;
        job.naming.path =
            job.naming.path.with_file_name(self.rules.numbered(&job.naming.plain_name, job.naming.renamed));
    }

    /// Gives a job its next free name and reserves it.
    pub(crate) fn number_free(&mut self, job: &mut Job) {
        loop {
            self.number(job);
            if self.reserve(job) {
                return;
            }
        }
    }

    /// Reserves the name of a file; false if it is taken.
    pub(crate) fn insert(&mut self, path: &Path) -> bool {
        self.keys.insert(self.key(path))
    }

    /// Reserves a job's name and releases the one that it held; false if another file has it.
    pub(crate) fn reserve(&mut self, job: &mut Job) -> bool {
        let key = self.key(&job.naming.path);
        if job.naming.reserved == Some(key) {
            return true;
        }
        if let Some(held) = job.naming.reserved.take() {
            self.keys.remove(held);
        }
        let is_free = self.keys.insert(key);
        if is_free {
            job.naming.reserved = Some(key);
        }
        is_free
    }

    /// Gives a job its next free name; its partial file keeps the present one, which stays reserved.
    pub(crate) fn number_beside_part(&mut self, job: &mut Job) {
        let of_part = job.naming.reserved.take();
        self.number_free(job);
        match (job.naming.reserved_for_part, of_part) {
            (None, key) => job.naming.reserved_for_part = key,
            (Some(_), Some(key)) => self.keys.remove(key),
            (Some(_), None) => {}
        }
    }

    /// Releases a job's names.
    pub(crate) fn release(&mut self, job: &mut Job) {
        let keys = [job.naming.reserved.take(), job.naming.reserved_for_part.take()];
        keys.into_iter().flatten().for_each(|key| self.keys.remove(key));
    }

    fn key(&self, path: &Path) -> u64 {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        match self.rules.folds {
            true => hasher.hash_one(safe::fold_key(path)),
            false => hasher.hash_one(path),
        }
    }
}
