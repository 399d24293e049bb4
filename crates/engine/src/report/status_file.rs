//! `--status-file`: overall progress as one JSON object that is replaced at each step, so that another program
//! can read it at any time and never sees half of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::event::{Event, Failure, Progress, Reporter, Summary};
use crate::storage::disk::Disk;
use crate::storage::{StatKind, Storage};

/// The beginning of each status file. The first field is the format.
const BEGINNING: &[u8] = b"{\n  \"format\": \"towline-status\"";

/// Whether `path` may be overwritten with a status: the name is free, or has an empty file or a status.
/// Anything else is somebody's file or a download.
pub fn may_hold_status(path: &Path) -> bool {
    let storage = Disk::new();
    match storage.stat(path) {
        Ok(None) => true,
        Ok(Some(stat)) if stat.kind != StatKind::File => false,
        Ok(Some(stat)) if stat.len_bytes == 0 => true,
        Ok(Some(_)) => {
            let mut beginning = [0; BEGINNING.len()];
            storage.read_at(path, &mut beginning, 0).is_ok() && beginning == *BEGINNING
        }
        Err(_) => false,
    }
}

/// Writes the status file. Best effort: a failed write stops nothing.
pub struct StatusFile {
    path: PathBuf,
    every: Duration,
    written: Option<Instant>,
    failures: Vec<Failure>,
    storage: Arc<dyn Storage>,
}

/// The content of the file.
#[derive(Serialize)]
struct Status<'a> {
    format: &'static str,
    version: u32,
    /// `running`, `done`, `failed` or `interrupted`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<&'a Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Summary>,
    /// The first failures.
    failures: &'a [Failure],
}

impl StatusFile {
    /// Writes to `path`, at most once per `every`.
    pub fn new(path: impl Into<PathBuf>, every: Duration) -> Self {
        let storage = Arc::new(Disk::new());
        Self { path: path.into(), every, written: None, failures: Vec::new(), storage }
    }

    fn write(&mut self, progress: Option<&Progress>, summary: Option<&Summary>) {
        let state = match summary {
            None => "running",
            Some(summary) if summary.interrupted => "interrupted",
            Some(summary) if summary.failed_files > 0 => "failed",
            Some(_) => "done",
        };
        let status =
            Status { format: "towline-status", version: 1, state, progress, summary, failures: &self.failures };
        let Ok(mut text) = serde_json::to_vec_pretty(&status) else { return };
        text.push(b'\n');
        if !may_hold_status(&self.path) {
            // This would replace a device or a pipe with a file, or lose a file that appeared since.
            return;
        }
        self.storage.write_atomic(&self.path, &text, false).ok();
    }
}

impl std::fmt::Debug for StatusFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Reporter for StatusFile {
    fn report(&mut self, event: &Event) {
        match event {
            Event::Progress(progress) => {
                let now = Instant::now();
                if self.written.is_none_or(|written| now.duration_since(written) >= self.every) {
                    self.written = Some(now);
                    self.write(Some(progress), None);
                }
            }
            Event::Failed { url, error, .. } if self.failures.len() < Summary::FAILURES_MAX => {
                self.failures.push(Failure { url: url.clone(), error: error.clone() });
            }
            Event::Summary(summary) => self.write(None, Some(summary)),
            _ => {}
        }
    }
}
