//! What names a directory takes. Most take any of up to 255 bytes; encrypting file systems take shorter
//! ones, and those that Windows knows refuse some characters. No state but what was found out.

use super::safe::{self, NAME_BYTES_MAX};

/// What Windows and its file systems refuse in a name, apart from what is replaced everywhere.
const REFUSED: [char; 6] = ['?', '*', '"', '<', '>', '|'];
/// The longest name that most file systems take.
const BYTES_MAX: usize = 255;
/// A shorter limit than this is none that names could be cut to.
const BYTES_MIN: usize = 64;

/// How a directory takes names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// It may take names for the same that differ in case or in their Unicode form.
    pub folds: bool,
    /// The longest name that it takes, in bytes.
    pub bytes_max: usize,
    /// It takes every character but `/` and NUL.
    pub takes_any: bool,
}

impl Default for NameRules {
    /// Those of a directory of which nothing is known.
    fn default() -> Self {
        Self { folds: true, bytes_max: BYTES_MAX, takes_any: true }
    }
}

impl NameRules {
    /// A name that a server or a URL gave, as one harmless file name that the directory takes.
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

    /// Without our longest suffix.
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
