//! Process setup, before anything else, on the main thread. If the system refuses a change, the
//! process runs without it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGCHLD, SIGXFSZ};

/// A lower soft limit is raised, because connections and files need descriptors.
const DESCRIPTORS_MIN: u64 = 4096;

/// Sets up the process. Rust's runtime already ignores SIGPIPE.
pub(crate) fn prepare() {
    // A write beyond `ulimit -f` then fails that one file instead of ending the program.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    // If the parent ignores it, nobody learns how a program of ours ended. A handler takes the place of that.
    let _ = signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)));
    if let Some(raised) = raised(getrlimit(Resource::Nofile)) {
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// The limits with a low soft limit raised to the hard one; `None` if there is nothing to raise.
fn raised(limits: Rlimit) -> Option<Rlimit> {
    let soft = limits.current?;
    // Not every system accepts an unlimited soft limit.
    let hard = limits.maximum.unwrap_or(DESCRIPTORS_MIN);
    (soft < DESCRIPTORS_MIN && soft < hard).then_some(Rlimit { current: Some(hard), maximum: limits.maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The raised soft limit, if it was raised.
    fn soft(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
        raised(Rlimit { current, maximum }).map(|raised| {
            assert_eq!(raised.maximum, maximum);
            raised.current.unwrap()
        })
    }

    #[test]
    fn a_low_soft_limit_is_raised_to_the_hard_one() {
        assert_eq!(soft(Some(256), Some(1024)), Some(1024));
        assert_eq!(soft(Some(1024), Some(1 << 20)), Some(1 << 20));
        assert_eq!(soft(Some(1024), None), Some(DESCRIPTORS_MIN));
    }

    #[test]
    fn a_limit_that_is_high_or_cannot_be_raised_stays() {
        assert_eq!(soft(Some(1024), Some(1024)), None);
        assert_eq!(soft(Some(4096), Some(1 << 20)), None);
        assert_eq!(soft(None, None), None);
    }
}
