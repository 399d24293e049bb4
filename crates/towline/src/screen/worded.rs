//! Puts this command's words beside the engine's advice before any reporter sees an event, so that what
//! is written as JSON (events, the status file) has both the code and the words.

use towline_engine::event::ErrorReport;
use towline_engine::report::Many;
use towline_engine::{Event, Reporter};

use crate::advice;

/// Hands events on with words in them.
pub(crate) struct Worded(pub(crate) Many);

impl Reporter for Worded {
    fn report(&mut self, event: &Event) {
        match event {
            Event::Retrying { .. } | Event::SourceDropped { .. } | Event::Failed { .. } | Event::Summary(_) => {
                self.0.report(&with_words(event.clone()));
            }
            _ => self.0.report(event),
        }
    }
}

fn with_words(mut event: Event) -> Event {
    match &mut event {
        Event::Retrying { error, .. } | Event::SourceDropped { error, .. } | Event::Failed { error, .. } => {
            add_words(error);
        }
        Event::Summary(summary) => summary.failures.iter_mut().for_each(|failure| add_words(&mut failure.error)),
        _ => {}
    }
    event
}

fn add_words(error: &mut ErrorReport) {
    error.advice_words = error.advice.map(advice::words);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use towline_engine::event::{Failure, Summary};
    use towline_engine::{Error, ErrorKind};

    use super::*;

    fn report(kind: ErrorKind) -> ErrorReport {
        ErrorReport::from(&Error::new(kind, "no"))
    }

    #[test]
    fn errors_in_events_have_the_code_and_the_words() {
        let failure = Failure { url: "http://h/a".to_owned(), error: report(ErrorKind::TooLarge) };
        let summary = with_words(Event::Summary(Summary { failures: vec![failure], ..Summary::default() }));
        let summary = serde_json::to_value(summary).unwrap();
        let error = &summary["failures"][0]["error"];
        assert_eq!(error["advice_code"], "allow_larger_file");
        assert_eq!(error["advice"], "allow more with --max-size if the file may be so large");
    }

    #[test]
    fn without_advice_both_are_null() {
        let mut error = report(ErrorKind::Internal);
        add_words(&mut error);
        let Value::Object(error) = json!(error) else { panic!("an object") };
        assert_eq!((&error["advice_code"], &error["advice"]), (&Value::Null, &Value::Null));
    }
}
