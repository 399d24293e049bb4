//! Timeouts that do not blame a peer for a pause of this process: one that was stopped (Ctrl-Z, a debugger, a
//! suspended machine) wakes with its timers expired and received data unread.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// A process that wakes this much later than its timer was stopped.
pub(super) const LATE: Duration = Duration::from_secs(1);
/// Time to read the data that has already arrived.
const GRACE: Duration = Duration::from_millis(100);

/// The timeout elapsed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

/// Waits up to `limit` for a future, and again if the process was stopped. Data that has arrived counts as in time.
pub(super) async fn patient<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    loop {
        let since = Instant::now();
        if let Ok(output) = timeout(limit, &mut future).await {
            return Ok(output);
        }
        let was_stopped = since.elapsed() > limit + LATE;
        if let Ok(output) = timeout(GRACE, &mut future).await {
            return Ok(output);
        }
        if !was_stopped {
            return Err(Elapsed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    fn block_on<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test)
    }

    #[test]
    fn what_does_not_come_is_over_in_time() {
        block_on(async {
            let since = Instant::now();
            assert_eq!(patient(LIMIT, std::future::pending::<()>()).await, Err(Elapsed));
            assert!(since.elapsed() <= LIMIT + 2 * GRACE);
            assert_eq!(patient(LIMIT, tokio::time::sleep(LIMIT / 2)).await, Ok(()));
        });
    }

    #[test]
    fn who_was_stopped_waits_once_more() {
        block_on(async {
            let coming = tokio::time::sleep(LIMIT * 5);
            // The clock advances while the process is stopped.
            let stopped = async {
                tokio::time::advance(LIMIT * 4).await;
                std::future::pending::<()>().await;
            };
            let waiting = patient(LIMIT, coming);
            tokio::select! {
                result = waiting => assert_eq!(result, Ok(())),
                () = stopped => {}
            }
        });
    }
}
