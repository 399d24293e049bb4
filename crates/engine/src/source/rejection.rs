//! Why a source did not give what it was asked for, in the engine's own words: decisions rest on these and
//! never on a protocol's codes. Pure.

use crate::error::ErrorKind;

/// What an answer means that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// It wants to know who asks.
    Unauthorized,
    /// Whoever asks may not have it, or not so much of it.
    Forbidden,
    /// It is not there, or no longer.
    Gone,
    /// The host counts requests, and these are too many.
    TooManyRequests,
    /// The host has too much to do.
    Busy,
    /// The host failed.
    Failed,
    /// The host gave up waiting for us.
    TimedOut,
    /// It succeeded, with something else than what was asked for.
    Unfit,
    /// Anything else.
    Other,
}

impl Rejection {
    /// Another link, or other credentials, may well bring the file.
    pub(crate) fn is_of_place(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden | Self::Gone)
    }

    /// It depends on who asks.
    pub(crate) fn asks_who(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden)
    }

    /// One of the ways in which hosts refuse a connection that is one too many.
    pub(crate) fn may_be_of_number(self) -> bool {
        matches!(self, Self::Forbidden | Self::TooManyRequests | Self::Busy)
    }

    /// The host works: it has looked at what was asked for.
    pub(crate) fn shows_life(self) -> bool {
        !matches!(self, Self::TooManyRequests | Self::Busy | Self::Failed)
    }
}

impl ErrorKind {
    /// What it means if it is an answer of the source.
    pub(crate) fn rejection(self) -> Option<Rejection> {
        let Self::Status(status) = self else { return None };
        Some(match status {
            200..=299 => Rejection::Unfit,
            401 => Rejection::Unauthorized,
            403 => Rejection::Forbidden,
            404 | 410 => Rejection::Gone,
            408 => Rejection::TimedOut,
            429 => Rejection::TooManyRequests,
            503 | 509 => Rejection::Busy,
            500.. => Rejection::Failed,
            _ => Rejection::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_of_a_source_is_a_rejection() {
        let rejection = |status| ErrorKind::Status(status).rejection();
        assert_eq!(rejection(404), Some(Rejection::Gone));
        assert_eq!(rejection(204), Some(Rejection::Unfit));
        assert_eq!(rejection(507), Some(Rejection::Failed));
        assert_eq!(ErrorKind::Broken.rejection(), None);
    }

    #[test]
    fn a_host_that_is_overloaded_shows_no_life() {
        for (status, shows_life) in [(200, true), (403, true), (404, true), (408, true), (429, false), (500, false)] {
            assert_eq!(
                ErrorKind::Status(status).rejection().is_some_and(Rejection::shows_life),
                shows_life,
                "{status}"
            );
        }
    }
}
