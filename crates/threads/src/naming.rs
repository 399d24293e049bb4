//! What a lock, a queue or a barrier is called in reports.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

/// A given name, or the source location where the object was created.
#[derive(Debug, Clone)]
pub(crate) enum Name {
    Given(Cow<'static, str>),
    Made(&'static Location<'static>),
}

impl Name {
    /// The caller's source location.
    #[track_caller]
    pub(crate) const fn here() -> Self {
        Self::Made(Location::caller())
    }

    pub(crate) fn given(name: impl Into<Cow<'static, str>>) -> Self {
        Self::Given(name.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(name) => write!(f, "`{name}`"),
            Self::Made(place) => write!(f, "made at {}:{}:{}", place.file(), place.line(), place.column()),
        }
    }
}
