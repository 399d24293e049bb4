//! Which names a directory accepts. Most accept any name of up to 255 bytes; encrypting file systems have a
//! lower limit, and Windows file systems refuse some characters. No state beyond what was detected.

use std::path::PathBuf;

use url::Url;

use super::safe::{self, NAME_BYTES_MAX};

/// What Windows and its file systems refuse in a name, besides what is replaced everywhere.
const REFUSED: [char; 6] = ['?', '*', '"', '<', '>', '|'];
/// The longest name on most file systems.
const BYTES_MAX: usize = 255;
/// A limit below this is not credible, and is raised to it.
const BYTES_MIN: usize = 64;

/// The rules for names in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// Names that differ in case or Unicode form may refer to the same file.
    pub folds: bool,
    /// The longest accepted name, in bytes.
    pub bytes_max: usize,
    /// Every character except `/` and NUL is accepted.
    pub takes_any: bool,
}

impl Default for NameRules {
    /// The rules for an unknown directory.
    fn default() -> Self {
        Self { folds: true, bytes_max: BYTES_MAX, takes_any: true }
    }
}

impl NameRules {
    /// The directories of a URL without the first `cut`, made harmless, below each other.
    pub(crate) fn dirs(&self, url: &Url, cut: usize) -> PathBuf {
        let harmless = |dir: String| match safe::is_batch_directory(&dir) {
            // The ledger's.
            true => format!("{dir}_"),
            false => self.name(&dir),
        };
        safe::dirs_of_url(url, cut).into_iter().map(harmless).collect()
    }

    /// Turns a name from a server or a URL into one harmless file name that the directory accepts.
    pub(crate) fn name(&self, given: &str) -> String {
        let given = match self.takes_any {
            true => given.to_owned(),
            false => given.replace(REFUSED, "_"),
        };
        safe::make_safe_within(&given, self.room_bytes())
    }

    /// `a.iso` → `a.3.iso`.
    pub(crate) fn numbered(&self, base: &str, number: u32) -> String {
        safe::numbered(base, number, self.room_bytes())
    }

    /// The limit minus our longest suffix.
    fn room_bytes(&self) -> usize {
        self.bytes_max.clamp(BYTES_MIN, BYTES_MAX) - (BYTES_MAX - NAME_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_changed_only_where_the_directory_demands_it() {
        let name = "what? \"a\" <b> | c*.iso";
        let any = NameRules::default();
        assert_eq!(any.name(name), name);
        let plain = NameRules { takes_any: false, ..any };
        assert_eq!(plain.name(name), "what_ _a_ _b_ _ c_.iso");
        assert_eq!(plain.name("???"), "index");
        let short = NameRules { bytes_max: 175, ..any };
        let cut = short.name(&format!("{}.iso", "x".repeat(300)));
        assert!(cut.len() <= 175 - 17 && cut.ends_with("x.iso"), "{cut}");
        assert_eq!(short.numbered(&cut, 12).len(), 175 - 17);
    }

    proptest! {
        #[test]
        fn a_name_made_safe_again_is_the_same(name in "\\PC{0,300}", bytes_max in 0_usize..300, takes_any: bool) {
            let rules = NameRules { bytes_max, takes_any, ..NameRules::default() };
            let once = rules.name(&name);
            prop_assert_eq!(rules.name(&once), once.clone());
            prop_assert!(once.len() <= rules.room_bytes());
        }
    }
}
