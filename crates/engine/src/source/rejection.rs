//! Why a source did not deliver what was requested, in the engine's own terms: decisions rely on these and
//! never on protocol codes. Pure.

use crate::error::ErrorKind;

/// What an error response means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Authentication is required.
    Unauthorized,
    /// The client may not have it, or not this much of it.
    Forbidden,
    /// It does not exist, or no longer.
    Gone,
    /// The host counts requests, and there were too many.
    TooManyRequests,
    /// The host is overloaded.
    Busy,
    /// The host failed.
    Failed,
    /// The host timed out waiting for us.
    TimedOut,
    /// The request succeeded, but not with what was requested.
    Unfit,
    /// Anything else.
    Other,
}

impl Rejection {
    /// Another link, or other credentials, may deliver the file.
    pub(crate) fn is_of_place(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden | Self::Gone)
    }

    /// It depends on the client's identity.
    pub(crate) fn asks_who(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden)
    }

    /// Hosts may respond like this to one connection too many.
    pub(crate) fn may_be_of_number(self) -> bool {
        matches!(self, Self::Forbidden | Self::TooManyRequests | Self::Busy)
    }

    /// It may refuse a request because there are too many at a time.
    pub(crate) fn may_be_of_rate(self) -> bool {
        matches!(self, Self::TooManyRequests | Self::Busy)
    }

    /// The host works: it processed the request.
    pub(crate) fn shows_life(self) -> bool {
        !matches!(self, Self::TooManyRequests | Self::Busy | Self::Failed)
    }
}

impl ErrorKind {
    /// The rejection, if this kind is a response of the source.
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
