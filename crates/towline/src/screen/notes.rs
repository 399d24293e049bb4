//! Messages during a run, besides its progress: warnings, failures and restarts, and with -v also
//! retries, ranges, protocols, redirects and remarks. Keeps the names of files in progress.

use std::collections::HashMap;

use towline_engine::event::ErrorReport;
use towline_engine::secret::printable;
use towline_engine::{Event, JobId, Reporter, size};

use crate::say::say;
use crate::screen::{View, summary, text};

/// Up to this many failures are printed at once; the rest is counted at the end.
const FAILURES_MAX: u64 = 20;

/// Turns events into messages. As a reporter of its own, it prints them and no progress.
pub(crate) struct Notes {
    is_single: bool,
    is_verbose: bool,
    failures: u64,
    working: HashMap<JobId, Working>,
}

/// A file in progress.
struct Working {
    /// The requested URL.
    url: String,
    /// Known once the server has answered.
    name: Option<String>,
}

impl Notes {
    pub(crate) fn new(view: &View) -> Self {
        Self { is_single: view.is_single, is_verbose: view.is_verbose, failures: 0, working: HashMap::new() }
    }

    /// The message for an event, if it has one.
    pub(crate) fn text(&mut self, event: &Event) -> Option<String> {
        let text = match event {
            Event::Started { job, url } => {
                self.working.insert(*job, Working { url: url.clone(), name: None });
                None
            }
            Event::Answered { job, url, path, total_bytes, resumed_bytes, protocol } => {
                let name = text::shown(path);
                // A redirect or a mirror.
                let is_elsewhere = self.answered(*job, url, &name);
                let length = total_bytes.map_or_else(|| "length unknown".to_owned(), size::bytes);
                let resumed = match resumed_bytes {
                    0 => String::new(),
                    bytes => format!(", {} already on disk", size::bytes(*bytes)),
                };
                let spoken = protocol.map_or_else(String::new, |protocol| format!("{protocol}, "));
                let from = if is_elsewhere { format!(", from {url}") } else { String::new() };
                self.is_verbose.then(|| format!("{name}: {spoken}{length}{resumed}{from}"))
            }
            Event::Ranges { job, segmented } => {
                let how = if *segmented { "fetched in pieces" } else { "fetched over one connection, without ranges" };
                self.is_verbose.then(|| format!("{}: {how}", self.name(*job)))
            }
            Event::Retrying { job, error, attempt, wait_ms } => {
                let wait = text::seconds(*wait_ms as f64 / 1000.0);
                let what = &error.message;
                self.is_verbose.then(|| format!("{}: {what}; try {attempt} in {wait}", self.name(*job)))
            }
            Event::Restarted { job, reason } => Some(format!("{}: starts over: {reason}", self.name(*job))),
            // Without its last source the file fails, and that gets its own message.
            Event::SourceDropped { sources_left: 0, .. } => None,
            Event::SourceDropped { job, url, error, .. } => Some(match self.name(*job) {
                // The file has no name yet.
                name if name == url => format!("{url}: continues with its mirrors: {}", error.message),
                name => format!("{name}: continues without {url}: {}", error.message),
            }),
            Event::Sources { job, sources } => {
                let shares = summary::shares(sources);
                self.is_verbose.then(|| format!("{}: {shares}", self.name(*job)))
            }
            Event::Remark { job, message } => self.is_verbose.then(|| format!("{}: {message}", self.name(*job))),
            Event::Warning { job, message } => {
                let name = job.map(|job| self.name(job)).filter(|name| !message.contains(&**name));
                let of = name.map_or_else(String::new, |name| format!("{name}: "));
                Some(format!("towline: warning: {of}{message}"))
            }
            Event::Finished { job, .. } | Event::Cancelled { job, .. } => {
                self.working.remove(job);
                None
            }
            Event::Failed { job, url, error } => {
                self.working.remove(job);
                self.failed(url, error)
            }
            _ => None,
        };
        text.map(|text| printable(&text).into_owned())
    }

    /// Keeps the name; returns whether another URL answered than the requested one.
    fn answered(&mut self, job: JobId, url: &str, name: &str) -> bool {
        let Some(working) = self.working.get_mut(&job) else { return false };
        working.name = Some(name.to_owned());
        working.url != url
    }

    fn failed(&mut self, url: &str, error: &ErrorReport) -> Option<String> {
        self.failures += 1;
        // A single file is reported at the end of the run.
        if self.is_single || self.failures > FAILURES_MAX {
            return None;
        }
        Some(format!("failed: {}", summary::failure_line(url, error)))
    }

    fn name(&self, job: JobId) -> &str {
        match self.working.get(&job) {
            Some(working) => working.name.as_deref().unwrap_or(&working.url),
            None => "a file",
        }
    }
}

impl Reporter for Notes {
    fn report(&mut self, event: &Event) {
        if let Some(text) = self.text(event) {
            say(&text);
        }
    }
}
