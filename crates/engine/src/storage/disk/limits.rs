//! Records what a file system turned out not to support, and what that costs. Each limit is reported once per
//! session. Shared by the storage and its open files; any thread may hit one.

use std::collections::BTreeSet;
use std::path::Path;

use parking_lot::Mutex;

/// A call that a file system refuses, without which the work can continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Limit {
    /// Neither `flock` nor open file description locks.
    Locks,
    /// Syncing a file.
    Sync,
}

impl Limit {
    fn text(self, path: &Path) -> String {
        let what = match self {
            Self::Locks => {
                "has no locks: a file beside each download tells other processes on this machine that it is taken"
            }
            Self::Sync => "does not sync: what was saved may be lost if the machine loses its power",
        };
        format!("the file system of {} {what}", path.display())
    }
}

/// The limits hit so far.
#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    said: BTreeSet<Limit>,
    unsaid: Vec<String>,
}

impl Limits {
    /// Records a limit hit at `path`.
    pub(crate) fn met(&self, limit: Limit, path: &Path) {
        let mut met = self.0.lock();
        if met.said.insert(limit) {
            met.unsaid.push(limit.text(path));
        }
    }

    /// Takes the warnings not reported yet.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_said_once() {
        let limits = Limits::default();
        for name in ["a", "b"] {
            limits.met(Limit::Sync, Path::new(name));
            limits.met(Limit::Locks, Path::new(name));
        }
        assert_eq!(limits.take().len(), 2);
        limits.met(Limit::Sync, Path::new("c"));
        assert_eq!(limits.take(), Vec::<String>::new());
    }
}
