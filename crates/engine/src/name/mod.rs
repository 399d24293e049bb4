//! File names: where they come from, how they are made safe, and those of our own files.

pub(crate) mod ours;
mod rules;
pub(crate) mod safe;

pub(crate) use self::ours::{
    BATCH_DIRECTORY, JOURNAL_SUFFIX, LEFTOVER_SUFFIXES, aside_path, damaged_path, earlier_journal_path,
    earlier_part_path, journal_path, old_journal_path, old_part_path, part_path,
};
pub(crate) use self::rules::NameRules;
