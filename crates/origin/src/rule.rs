//! A fault together with the requests that it applies to. Plain values that a script builds; the rule
//! sets of the server and of its resources count with them.

use crate::fault::Fault;
use crate::scope::Scope;

/// A fault with its scope. Made by [`Fault::when`], or from a fault alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// To which requests.
    pub scope: Scope,
}

impl Fault {
    /// This fault, for the requests of `scope` only.
    #[must_use]
    pub fn when(self, scope: Scope) -> Rule {
        Rule { fault: self, scope }
    }

    /// This fault, for the first `count` requests only.
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

/// Stops a rule that cannot be played when it is scripted, not when it is asked for.
pub(crate) fn checked(rule: Rule) -> Rule {
    rule.fault.check();
    rule
}
