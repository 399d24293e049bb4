//! `--progress json`: one event a line on standard output, flushed at each progress event, which
//! comes several times a second. A failure to write, or a reader that has gone, ends the events and
//! nothing else; the end of the run says what it was.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::Arc;

use serde_json::json;
use towline_engine::{Event, Reporter};

use crate::screen::collect::Collected;

/// Writes events.
pub(crate) struct Json {
    stdout: BufWriter<Stdout>,
    collected: Arc<Collected>,
}

impl Json {
    pub(crate) fn new(collected: Arc<Collected>) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), collected }
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        // A path that is no text has no JSON form; its event becomes a warning.
        let mut line = serde_json::to_string(event).unwrap_or_else(|error| {
            let message = format!("cannot write an event as JSON: {error}");
            json!({ "event": "warning", "job": null, "message": message }).to_string()
        });
        line.push('\n');
        self.stdout.write_all(line.as_bytes())?;
        match event {
            Event::Started { .. } | Event::Answered { .. } | Event::Ranges { .. } | Event::Finished { .. } => Ok(()),
            _ => self.stdout.flush(),
        }
    }
}

impl Reporter for Json {
    fn report(&mut self, event: &Event) {
        if self.collected.is_stdout_closed() {
            return;
        }
        if let Err(error) = self.write(event) {
            self.collected.close_stdout(error);
        }
    }
}
