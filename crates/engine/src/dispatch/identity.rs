//! The state of the identity check: whether the existing data may be resumed from the URL that is asked now.
//! A link expires and another one replaces it, or a server reports another version of the same content. Plain
//! values of the dispatcher.

use crate::evidence::Evidence;
use crate::ranges::{ByteRange, RangeSet};

/// How far a URL is trusted to have the file that was started.
#[derive(Clone, Debug, Default)]
pub(crate) enum Link {
    /// Each response is compared with the version that was started, and that is enough.
    #[default]
    Trusted,
    /// It must first show that it has the file.
    Doubted(Box<Doubt>),
    /// It has shown that. From now on, another version is another file.
    Compared,
}

/// What is known about a URL in doubt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubt {
    /// Samples decide, whatever the URL says about its version.
    pub(crate) is_by_samples: bool,
    /// It names the version of what was begun, by its strong tag or a settled date: shorter samples are enough.
    pub(crate) shares_version: bool,
    /// The URL is the given one, and its redirects have changed since: if bytes differ, the file restarts.
    pub(crate) has_moved: bool,
    /// The file on the disk is in doubt, and not the URL: somebody has put it there.
    pub(crate) is_of_file: bool,
    /// Which source of the job was asked.
    pub(crate) source: usize,
    /// The samples left to compare; `None` before the first request.
    pub(crate) samples: Option<Vec<ByteRange>>,
    /// The first version that it reported; all samples must be of that.
    pub(crate) seen: Option<Evidence>,
    /// The ranges that were compared and agree.
    pub(crate) compared: RangeSet,
    pub(crate) compared_samples: u32,
    /// How often the range of the next sample was ignored.
    pub(crate) ignored: u32,
}

impl Link {
    /// A link that must be compared.
    pub(crate) fn doubted() -> Self {
        Self::Doubted(Box::default())
    }

    /// A link whose samples decide, whatever it says about its version.
    pub(crate) fn doubted_by_samples() -> Self {
        Self::Doubted(Box::new(Doubt { is_by_samples: true, ..Doubt::default() }))
    }

    /// The file on the disk may be somebody else's. Nothing is written to it before samples agree.
    pub(crate) fn doubted_file() -> Self {
        Self::Doubted(Box::new(Doubt { is_of_file: true, is_by_samples: true, ..Doubt::default() }))
    }

    /// Samples have agreed, but for these first bytes.
    pub(crate) fn doubted_gap(source: usize, gap: ByteRange) -> Self {
        let samples = Some(vec![gap]);
        Self::Doubted(Box::new(Doubt { is_of_file: true, is_by_samples: true, source, samples, ..Doubt::default() }))
    }

    /// The given URL leads elsewhere now, and that URL reports another version.
    pub(crate) fn moved() -> Self {
        Self::Doubted(Box::new(Doubt { has_moved: true, ..Doubt::default() }))
    }

    /// The same, but samples decide.
    pub(crate) fn moved_by_samples() -> Self {
        Self::Doubted(Box::new(Doubt { has_moved: true, is_by_samples: true, ..Doubt::default() }))
    }

    /// The same where that URL reports the version of what was begun.
    pub(crate) fn moved_with_version() -> Self {
        Self::Doubted(Box::new(Doubt {
            has_moved: true,
            is_by_samples: true,
            shares_version: true,
            ..Doubt::default()
        }))
    }

    pub(crate) fn is_doubted(&self) -> bool {
        matches!(self, Self::Doubted(_))
    }

    pub(crate) fn is_compared(&self) -> bool {
        matches!(self, Self::Compared)
    }
}
