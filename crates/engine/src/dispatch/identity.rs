//! Whether what an earlier run left may be added to from the place that is asked now: a link expires
//! and another one takes its place, or a server tells another version of the same content. Plain
//! values of the dispatcher's.

use crate::evidence::Evidence;
use crate::ranges::{ByteRange, RangeSet};

/// How far a place is trusted to have the file that was begun.
#[derive(Clone, Debug, Default)]
pub(crate) enum Link {
    /// Each answer is compared with the version that was begun, and that is enough.
    #[default]
    Trusted,
    /// It has to show first that it has the file.
    Doubted(Box<Doubt>),
    /// It has shown it. From now on another version is another file.
    Compared,
}

/// What has been found out about a place that is doubted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubt {
    /// Samples decide, whatever the place says of its version.
    pub(crate) is_by_samples: bool,
    /// The URL is the one that was given, and has led to another place since: if bytes differ, the file
    /// begins again.
    pub(crate) has_moved: bool,
    /// Which source of the job was asked.
    pub(crate) source: usize,
    /// What is left to be compared; `None` before the first request.
    pub(crate) samples: Option<Vec<ByteRange>>,
    /// The version that it told first; all samples must be of that.
    pub(crate) seen: Option<Evidence>,
    /// What has been compared and agrees.
    pub(crate) compared: RangeSet,
    pub(crate) compared_samples: u32,
}

impl Link {
    /// One that has to be compared.
    pub(crate) fn doubted() -> Self {
        Self::Doubted(Box::default())
    }

    /// One whose samples decide, whatever it says of its version.
    pub(crate) fn doubted_by_samples() -> Self {
        Self::Doubted(Box::new(Doubt { is_by_samples: true, ..Doubt::default() }))
    }

    /// The URL that was given leads to another place, which says another version.
    pub(crate) fn moved() -> Self {
        Self::Doubted(Box::new(Doubt { has_moved: true, ..Doubt::default() }))
    }

    /// The same, where samples decide.
    pub(crate) fn moved_by_samples() -> Self {
        Self::Doubted(Box::new(Doubt { has_moved: true, is_by_samples: true, ..Doubt::default() }))
    }

    pub(crate) fn is_doubted(&self) -> bool {
        matches!(self, Self::Doubted(_))
    }

    pub(crate) fn is_compared(&self) -> bool {
        matches!(self, Self::Compared)
    }
}
