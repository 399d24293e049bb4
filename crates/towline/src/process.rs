//! What the process asks of the system before anything else. Runs on the main thread; where the
//! system refuses, things go on as they are.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

/// A soft limit below this is raised: connections and files need descriptors.
const DESCRIPTORS_MIN: u64 = 4096;

/// Sets the process up. SIGPIPE is ignored by Rust's own start.
pub(crate) fn prepare() {
    // Caught, a write beyond the limit of file sizes (`ulimit -f`) is an error of that one file.
    // Otherwise it would be the end of the program.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    if let Some(raised) = raised(getrlimit(Resource::Nofile)) {
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// The limits with the soft one as high as the hard one, where it is low.
fn raised(limits: Rlimit) -> Option<Rlimit> {
    let soft = limits.current?;
    // No hard limit is no number that every system takes.
    let hard = limits.maximum.unwrap_or(DESCRIPTORS_MIN);
    (soft < DESCRIPTORS_MIN && soft < hard).then_some(Rlimit { current: Some(hard), maximum: limits.maximum })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The soft limit that comes of these two.
    fn soft(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
        raised(Rlimit { current, maximum }).map(|raised| {
            assert_eq!(raised.maximum, maximum);
            raised.current.unwrap()
        })
    }

    #[test]
    fn a_low_soft_limit_is_raised_as_far_as_the_hard_one_allows() {
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
