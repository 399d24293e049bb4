//! Several reporters as one.

use crate::event::{Event, Reporter};

/// Passes each event to several reporters, in order.
#[derive(Default)]
pub struct Many {
    reporters: Vec<Box<dyn Reporter>>,
}

impl Many {
    /// Creates a set without reporters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a reporter.
    #[must_use]
    pub fn with(mut self, reporter: impl Reporter + 'static) -> Self {
        self.reporters.push(Box::new(reporter));
        self
    }
}

impl std::fmt::Debug for Many {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Many").field("reporters", &self.reporters.len()).finish()
    }
}

impl Reporter for Many {
    fn report(&mut self, event: &Event) {
        for reporter in &mut self.reporters {
            reporter.report(event);
        }
    }
}
