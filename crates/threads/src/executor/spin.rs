//! A short spin before a thread goes to sleep.

use crate::facade;

const SPINS: u32 = 16;
const SPINS_WITHOUT_YIELD: u32 = 6;

/// Polls for something that is likely to come soon, before the thread goes to sleep for it.
///
/// Takes at most a few microseconds, and yields, so that on one processor the other side can run.
pub(super) fn spin(mut is_there: impl FnMut() -> bool) -> bool {
    if facade::MAY_SPIN {
        for round in 0..SPINS {
            if is_there() {
                return true;
            }
            if round < SPINS_WITHOUT_YIELD {
                for _ in 0..1 << round {
                    std::hint::spin_loop();
                }
            } else {
                std::thread::yield_now();
            }
        }
    }
    is_there()
}
