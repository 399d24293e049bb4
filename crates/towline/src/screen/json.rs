//! `--progress json`: one event per line on standard output, flushed with each progress event, several
//! times a second. A closed pipe or another write error ends only the events; an error other than a
//! closed pipe is reported at the end of the run.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use serde_json::json;
use towline_engine::{Event, Reporter};

use crate::patient::Patient;
use crate::screen::collect::Collected;

/// Writes events.
pub(crate) struct Json {
    stdout: BufWriter<Box<dyn Write + Send>>,
    collected: Arc<Collected>,
}

impl Json {
    pub(crate) fn new(collected: Arc<Collected>) -> Self {
        // Closed, it swallows everything.
        let stdout: Box<dyn Write + Send> =
            Patient::stdout().map_or_else(|_| Box::new(io::stdout()) as _, |stdout| Box::new(stdout) as _);
        Self { stdout: BufWriter::new(stdout), collected }
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        // A path that is not UTF-8 has no JSON form; a warning replaces its event.
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
