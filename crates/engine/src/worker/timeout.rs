//! Timeouts that do not blame a peer for what happened here: a process that was stopped (Ctrl-Z, a
//! debugger, a suspended machine) finds its timers expired and what has come meanwhile unread.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// Whoever wakes up so much later than the timer said was not running.
const LATE: Duration = Duration::from_secs(1);
/// What has come already is read within this.
const GRACE: Duration = Duration::from_millis(100);

/// The time was over before the future was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

/// Waits for a future for so long, as far as this process was running. What is there already counts as
/// come in time.
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
            // The clock goes on while nobody runs.
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
