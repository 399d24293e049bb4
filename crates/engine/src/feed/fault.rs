//! Ledger faults, in our words.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::error::{Advice, Error, ErrorKind};
use crate::feed::schema::VERSION;

/// Whether this error means that the file is not an intact ledger, or not the one it was.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as Sql;

    let failure = match error {
        Sql::SqliteFailure(failure, _) => failure,
        Sql::SqlInputError { error, .. } => error,
        // Values that we never write in these places.
        Sql::FromSqlConversionFailure(..)
        | Sql::IntegralValueOutOfRange(..)
        | Sql::Utf8Error(..)
        | Sql::InvalidColumnType(..)
        | Sql::QueryReturnedNoRows => return true,
        _ => return false,
    };
    match failure.code {
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
        // Our statements are fixed and never violate our own constraints, so the tables are not ours.
        ErrorCode::Unknown
        | ErrorCode::SchemaChanged
        | ErrorCode::TooBig
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch => true,
        // The file was truncated, or its name leads elsewhere now.
        ErrorCode::SystemIoFailure => {
            [ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_DATA, ffi::SQLITE_IOERR_CORRUPTFS]
                .contains(&failure.extended_code)
        }
        ErrorCode::ReadOnly => failure.extended_code == ffi::SQLITE_READONLY_DBMOVED,
        _ => false,
    }
}

/// Converts an SQLite error.
pub(crate) fn ledger_error(action: &str, path: &Path, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::DiskFull,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("cannot {action}: {error}")).with_path(path).with_source(error)
}

/// The error for a ledger that a newer version wrote.
pub(crate) fn newer(path: &Path, version: i32) -> Error {
    let message = format!("the ledger has format {version}; this towline knows up to {VERSION}");
    Error::new(ErrorKind::JournalVersion, message).with_path(path).with_advice(Advice::UseNewerVersionOrOtherDirectory)
}
