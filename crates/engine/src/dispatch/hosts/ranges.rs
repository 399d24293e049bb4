//! Whether a host serves ranges at all. Servers behind one name may differ, so that a range is requested a few times before a
//! file comes in one stream; where a few responses in a row were the whole instead, once is enough for the next file. Pure.

/// After so many whole files for ranges, and no range, the host has none.
const IGNORED_MIN: u32 = 4;

/// What a host has answered to ranges.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// Whole files in a row.
    ignored: u32,
}

impl Ranges {
    /// It answered with the whole file. Returns whether that is all that it does.
    pub(super) fn ignored(&mut self) -> bool {
        self.ignored = self.ignored.saturating_add(1);
        self.ignored >= IGNORED_MIN
    }

    /// It served one.
    pub(super) fn served(&mut self) {
        self.ignored = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_only_whole_files_is_known_after_a_few() {
        let mut ranges = Ranges::default();
        let mut ask = |count: u32| (0..count).map(|_| ranges.ignored()).collect::<Vec<_>>();
        assert_eq!(ask(5), [false, false, false, true, true]);
        ranges.served();
        assert!(!ranges.ignored(), "one of its servers has them");
    }
}
