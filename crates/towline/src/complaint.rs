//! An error that ends a command: the message, what to do next, and the exit code.

use towline_engine::Error;

use crate::say::say;
use crate::{advice, exit_codes};

/// An error that ends the command.
#[derive(Debug)]
pub(crate) struct Complaint {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Complaint {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Wrong usage; nothing was started.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit_codes::USAGE, message)
    }

    /// A problem on this machine.
    pub(crate) fn machine(message: impl Into<String>) -> Self {
        Self::new(exit_codes::MACHINE, message)
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn say(&self) {
        say(&self.text());
    }

    fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("towline: {}\n  → {hint}", self.message),
            None => format!("towline: {}", self.message),
        }
    }
}

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        let complaint = Self::new(exit_codes::from_error(error.kind()), error.to_string());
        match error.advice() {
            Some(advice) => complaint.hint(advice::words(advice)),
            None => complaint,
        }
    }
}

#[cfg(test)]
mod tests {
    use towline_engine::ErrorKind;

    use super::*;

    #[test]
    fn an_error_of_the_engine_keeps_its_advice() {
        let complaint = Complaint::from(Error::new(ErrorKind::Locked, "another process works here"));
        assert_eq!(complaint.code(), exit_codes::MACHINE);
        assert_eq!(
            complaint.text(),
            "towline: another process works here\n  → wait for the other towline to end, or stop it"
        );
    }
}
