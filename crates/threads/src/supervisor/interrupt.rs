//! What can end a supervised run early.

use std::fmt;

/// A request to end the run early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interrupt {
    /// The process received this signal.
    Signal(i32),
    /// The program itself asked.
    Requested,
}

impl Interrupt {
    /// The signal's name, for the signals that users send; `None` for others.
    ///
    /// ```
    /// use towline_threads::Interrupt;
    ///
    /// assert_eq!(Interrupt::Signal(2).signal_name(), Some("SIGINT"));
    /// assert_eq!(Interrupt::Requested.signal_name(), None);
    /// ```
    pub fn signal_name(self) -> Option<&'static str> {
        // These numbers are the same on every Unix.
        match self {
            Self::Signal(1) => Some("SIGHUP"),
            Self::Signal(2) => Some("SIGINT"),
            Self::Signal(3) => Some("SIGQUIT"),
            Self::Signal(15) => Some("SIGTERM"),
            Self::Signal(_) | Self::Requested => None,
        }
    }
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal_name(), self) {
            (Some(name), _) => f.write_str(name),
            (None, Self::Signal(number)) => write!(f, "signal {number}"),
            (None, Self::Requested) => f.write_str("a request of the program"),
        }
    }
}
