//! Workers: threads that move bytes. Each has its own single-threaded runtime and connections and drives many
//! transfers; it shares only its pieces with other threads.

mod pace;
pub(crate) mod run;
mod shared;
mod timeout;
pub(crate) mod transfer;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::RuntimeMetrics;
use tokio::sync::mpsc::UnboundedSender;

use crate::message::WorkRequest;
use crate::storage::PartFile;

/// A request to a worker, with its partial file if that is open.
pub(crate) type WorkerCommand = (WorkRequest, Option<Arc<dyn PartFile>>);

/// The dispatcher's end of a worker.
pub(crate) struct WorkerHandle {
    pub(crate) commands: UnboundedSender<Vec<WorkerCommand>>,
    pub(crate) metrics: RuntimeMetrics,
    /// Busy time at the last check.
    pub(crate) busy_before: Duration,
}

impl WorkerHandle {
    pub(crate) fn send(&self, commands: Vec<WorkerCommand>) {
        // The supervisor notices a worker that has panicked.
        let _ = self.commands.send(commands);
    }

    /// The share of `elapsed` that the runtime was busy since the last check.
    pub(crate) fn busy_share(&mut self, elapsed: Duration) -> f64 {
        let busy = self.metrics.worker_total_busy_duration(0);
        let since = busy.saturating_sub(self.busy_before);
        self.busy_before = busy;
        since.as_secs_f64() / elapsed.as_secs_f64().max(1e-6)
    }
}
