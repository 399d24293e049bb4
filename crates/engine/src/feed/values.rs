//! Values as the ledger stores them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::{Value, ValueRef};

use crate::error::ErrorKind;
use crate::storage::Stat;

/// A path as stored: as text where it is valid text.
pub(crate) fn path_value(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Text(text.to_owned()),
        None => Value::Blob(path.as_os_str().as_bytes().to_vec()),
    }
}

/// The path behind [`path_value`].
pub(crate) fn path_from(value: ValueRef<'_>) -> Option<PathBuf> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(OsStr::from_bytes(bytes).into()),
        _ => None,
    }
}

const NS_PER_SECOND: i64 = 1_000_000_000;

/// A time as stored, in nanoseconds since 1970.
pub(crate) fn unix_ns(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Whether a file still has the recorded time. Some file systems store whole seconds, or round to them once a
/// file is renamed or checked again (encfs); then only the seconds are compared.
pub(crate) fn is_same_time(kept_ns: i64, found: &Stat) -> bool {
    is_same_ns(kept_ns, unix_ns(found.modified), found.rounds_times)
}

fn is_same_ns(kept_ns: i64, found_ns: i64, rounds_times: bool) -> bool {
    let is_whole = |ns: i64| ns % NS_PER_SECOND == 0;
    let second = |ns: i64| ns.div_euclid(NS_PER_SECOND);
    let is_like = (is_whole(kept_ns) || is_whole(found_ns)) && second(kept_ns) == second(found_ns);
    kept_ns == found_ns || rounds_times && is_like
}

/// A number as SQLite stores it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An error kind as stored.
pub(crate) fn kind_text(kind: ErrorKind) -> String {
    if let ErrorKind::Status(code) = kind {
        return format!("status:{code}");
    }
    kind.name().to_owned()
}

/// The kind behind [`kind_text`].
pub(crate) fn kind_from(text: &str) -> ErrorKind {
    if let Some(code) = text.strip_prefix("status:").and_then(|code| code.parse().ok()) {
        return ErrorKind::Status(code);
    }
    KINDS.iter().copied().find(|kind| kind.name() == text).unwrap_or(ErrorKind::Internal)
}

/// Generates `KINDS`, all kinds except [`ErrorKind::Status`]; fails to compile if one is missing.
macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        const KINDS: &[ErrorKind] = &[$(ErrorKind::$kind),*];
        const _: fn(ErrorKind) = |kind| match kind {
            ErrorKind::Status(_) $(| ErrorKind::$kind)* => (),
        };
    };
}

kinds!(
    Usage,
    ListLine,
    Resolve,
    Connect,
    Tls,
    Proxy,
    Broken,
    Stalled,
    Protocol,
    Redirect,
    Changed,
    Digest,
    TooLarge,
    Page,
    NameTaken,
    DiskFull,
    Storage,
    Locked,
    JournalVersion,
    Cancelled,
    Interrupted,
    Internal,
);

pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    unix_ns(time) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_kept_and_found_again() {
        for kind in KINDS.iter().copied().chain([ErrorKind::Status(404)]) {
            assert_eq!(kind_from(&kind_text(kind)), kind);
        }
        assert_eq!(kind_from("what a later version says"), ErrorKind::Internal);
    }

    #[test]
    fn times_are_compared_as_finely_as_both_are_kept() {
        let second = NS_PER_SECOND;
        assert!(is_same_ns(7 * second + 1, 7 * second + 1, true));
        assert!(!is_same_ns(7 * second + 1, 7 * second + 2, true));
        assert!(is_same_ns(7 * second + 1, 7 * second, true));
        assert!(is_same_ns(7 * second, 7 * second + 1, true));
        assert!(!is_same_ns(7 * second, 8 * second, true));
        assert!(!is_same_ns(7 * second, 6 * second + 999_999_999, true));
        assert!(is_same_ns(-second, -1, true), "before 1970 a second begins below, too");
        assert!(!is_same_ns(7 * second + 1, 7 * second, false), "somebody has set it");
    }

    #[test]
    fn a_path_that_is_no_text_is_kept_too() {
        let path = Path::new(OsStr::from_bytes(b"a/\xff"));
        let Value::Blob(bytes) = path_value(path) else { panic!("text") };
        assert_eq!(path_from(ValueRef::Blob(&bytes)).as_deref(), Some(path));
    }
}
