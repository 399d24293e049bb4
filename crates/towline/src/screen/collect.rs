//! What the final messages need beyond the summary: the name of a single file and how it was
//! completed, and whether standard output failed. Written by the reporter thread, read by the main one.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use towline_engine::event::How;
use towline_engine::{Event, Reporter};

use crate::screen::text;

/// A complete file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrived {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) fetched_bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) how: How,
}

impl Arrived {
    /// The file that an event says is complete, if it says so.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let Event::Finished { path, bytes, fetched_bytes, seconds, how, .. } = event else { return None };
        let (name, bytes, fetched_bytes) = (text::shown(path), *bytes, *fetched_bytes);
        Some(Self { name, bytes, fetched_bytes, seconds: *seconds, how: *how })
    }
}

/// What a run has left for its final messages.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    name: Mutex<Option<String>>,
    arrived: Mutex<Option<Arrived>>,
    /// The first error in writing to standard output.
    stdout_error: Mutex<Option<io::Error>>,
}

impl Collected {
    /// The name of the latest file.
    pub(crate) fn name(&self) -> Option<String> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The latest complete file.
    pub(crate) fn arrived(&self) -> Option<Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_stdout_closed(&self) -> bool {
        self.stdout_error.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes the error in writing to standard output, if there was one.
    pub(crate) fn stdout_error(&self) -> Option<io::Error> {
        self.stdout_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that standard output cannot be written any more; the first error counts.
    pub(crate) fn close_stdout(&self, error: io::Error) {
        self.stdout_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Fills a [`Collected`].
pub(crate) struct Collector(pub(crate) Arc<Collected>);

impl Reporter for Collector {
    fn report(&mut self, event: &Event) {
        match event {
            Event::Answered { path, .. } => {
                *self.0.name.lock().unwrap_or_else(PoisonError::into_inner) = Some(text::shown(path));
            }
            Event::Finished { .. } => {
                *self.0.arrived.lock().unwrap_or_else(PoisonError::into_inner) = Arrived::of(event);
            }
            _ => {}
        }
    }
}
