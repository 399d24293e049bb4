//! A fault together with its scope, as a script gives it to the server or to a resource. Plain values;
//! a `RuleSet` adds the counters.

use crate::fault::Fault;
use crate::scope::Scope;

/// A fault with its scope. Made by [`Fault::when`], or from a [`Fault`] that applies to every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// Which requests it applies to.
    pub scope: Scope,
}

impl Fault {
    /// Applies this fault only to the requests in `scope`.
    #[must_use]
    pub fn when(self, scope: Scope) -> Rule {
        Rule { fault: self, scope }
    }

    /// Applies this fault only to the first `count` requests.
    #[must_use]
    pub fn first(self, count: u64) -> Rule {
        self.when(Scope::every().first(count))
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        fault.when(Scope::every())
    }
}

/// Checks a rule when it is scripted, so that no serving thread panics.
///
/// # Panics
/// If the fault holds a value that cannot be sent.
pub(crate) fn checked(rule: Rule) -> Rule {
    rule.fault.check();
    rule
}
