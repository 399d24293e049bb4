//! Which protocol to use for a host. If it offers both, whole files come over HTTP/2 and pieces over HTTP/1.1
//! connections of their own. Some hosts serve only one of them, and say so, or just never respond over the
//! other.

use crate::backoff;
use crate::message::{Protocol, Time};

/// A protocol with this many failures and no response is abandoned.
const FAILURES_MAX: u32 = 2;
/// How often a host's protocol is changed in a run; a host that serves neither fails like any other.
const CHANGES_MAX: u32 = 2;

/// What is known about a host's protocols.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    http1: Tried,
    http2: Tried,
    only: Option<Protocol>,
    changes: u32,
}

#[derive(Debug, Default)]
struct Tried {
    answers: bool,
    failures: u32,
    failed_at: Time,
}

impl Spoken {
    /// The only protocol that it serves, if known.
    pub(crate) fn only(&self) -> Option<Protocol> {
        self.only
    }

    /// A response came over a protocol.
    pub(crate) fn answered(&mut self, protocol: Protocol) {
        self.tried(protocol).answers = true;
    }

    /// The host said that it does not serve this over a protocol. Returns whether the other one is used from now on.
    pub(crate) fn refused(&mut self, protocol: Protocol) -> bool {
        let other = protocol.other();
        if self.only == Some(other) || self.changes >= CHANGES_MAX {
            return false;
        }
        self.only = Some(other);
        self.changes += 1;
        true
    }

    /// A connection or a stream broke before its response. Simultaneous breaks count as one.
    pub(crate) fn failed(&mut self, protocol: Protocol, now: Time) -> bool {
        let tried = self.tried(protocol);
        if tried.failures == 0 || now >= tried.failed_at + backoff::FLOOR {
            tried.failures += 1;
            tried.failed_at = now;
        }
        let is_vain = !tried.answers && tried.failures >= FAILURES_MAX;
        is_vain && self.refused(protocol)
    }

    fn tried(&mut self, protocol: Protocol) -> &mut Tried {
        match protocol {
            Protocol::Http1 => &mut self.http1,
            Protocol::Http2 => &mut self.http2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H1: Protocol = Protocol::Http1;
    const H2: Protocol = Protocol::Http2;
    const SECOND: Time = Time::from_secs(1);

    #[test]
    fn what_a_host_says_is_believed_at_once() {
        let mut spoken = Spoken::default();
        spoken.answered(H2);
        assert!(spoken.refused(H2));
        assert_eq!(spoken.only(), Some(H1));
    }

    #[test]
    fn a_protocol_that_never_answers_is_left_and_one_that_did_is_not() {
        let mut spoken = Spoken::default();
        spoken.answered(H1);
        assert!(!spoken.failed(H1, SECOND));
        assert!(!spoken.failed(H1, 2 * SECOND));
        assert!(!spoken.failed(H2, SECOND));
        assert!(!spoken.failed(H2, SECOND), "streams of one connection");
        assert!(spoken.failed(H2, 2 * SECOND));
        assert_eq!(spoken.only(), Some(H1));
    }

    #[test]
    fn a_host_that_serves_neither_is_not_asked_in_turns_for_ever() {
        let mut spoken = Spoken::default();
        let changes = (0..40).filter(|at| spoken.refused(if at % 2 == 0 { H2 } else { H1 })).count();
        assert_eq!(changes, CHANGES_MAX as usize);
    }
}
