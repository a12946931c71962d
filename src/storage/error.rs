//! Errors of the storage layer, classified by what a caller can do. A missing row is not an error.

use std::fmt;

/// Storage error. The texts contain no personal data and no secrets. The log shows the cause in `source`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another printer has this name.
    #[error("another printer has this name")]
    NameTaken,
    /// Another printer has this address.
    #[error("another printer has this address")]
    UrlTaken,
    /// Another request has bound this idempotency key.
    #[error("the idempotency key is bound to another request")]
    KeyTaken,
    /// Another server has taken over the farm. This server can no longer write the data of the sending server.
    #[error("another server has taken over the farm")]
    Superseded,
    /// The database is unreachable or too busy. The same call may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] DriverError),
    /// This version cannot read a stored value.
    #[error("table {table}, column {column}, row {row}: the stored value cannot be read")]
    Unreadable { table: &'static str, column: &'static str, row: String },
    /// The database url, or the database behind it, cannot be used. The text is for the operator.
    #[error("{0}")]
    Setup(String),
    /// Any other failure: a defect of Printyard or of the database.
    #[error("the database refused a statement")]
    Database(#[source] DriverError),
}

impl Error {
    /// Returns whether the same call may succeed later. Only these errors are worth a retry.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::NameTaken
            | Self::UrlTaken
            | Self::KeyTaken
            | Self::Superseded
            | Self::Unreadable { .. }
            | Self::Setup(_)
            | Self::Database(_) => false,
        }
    }
}

impl Error {
    /// Returns the error for a write that the database did not complete in time.
    pub fn timed_out() -> Self {
        sqlx::Error::PoolTimedOut.into()
    }

    /// Copies the error for another member of the group that failed.
    pub fn copy_for_group(&self) -> Self {
        let cause = |cause: &DriverError| DriverError(sqlx::Error::Protocol(cause.to_string()));
        match self {
            Self::NameTaken => Self::NameTaken,
            Self::UrlTaken => Self::UrlTaken,
            Self::KeyTaken => Self::KeyTaken,
            Self::Superseded => Self::Superseded,
            Self::Unavailable(error) => Self::Unavailable(cause(error)),
            Self::Unreadable { table, column, row } => Self::Unreadable { table, column, row: row.clone() },
            Self::Setup(text) => Self::Setup(text.clone()),
            Self::Database(error) => Self::Database(cause(error)),
        }
    }
}

/// Error of the database driver, shown only in the log.
#[derive(Debug)]
pub struct DriverError(pub(super) sqlx::Error);

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DriverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if matches!(&error, sqlx::Error::Encode(cause) if cause.is::<KeyTaken>()) {
            return Self::KeyTaken;
        }
        if matches!(&error, sqlx::Error::Encode(cause) if cause.is::<Superseded>()) {
            return Self::Superseded;
        }
        let is_transient = match &error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // A connection that broke during a query or a transaction.
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::InvalidSavePointStatement
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_) => true,
            sqlx::Error::Database(database) => database.code().is_some_and(|code| is_transient_code(&code)),
            _ => false,
        };
        if is_transient { Self::Unavailable(DriverError(error)) } else { Self::Database(DriverError(error)) }
    }
}

/// Returns whether a SQLite result code or a PostgreSQL SQLSTATE describes a temporary state. Only SQLSTATEs have five
/// characters, so the two cannot be confused.
fn is_transient_code(code: &str) -> bool {
    if code.len() == 5 {
        // Classes: connection, resources, operator intervention, system error. 40001 and 40P01: serialisation failure,
        // deadlock. 25006: read-only server (a replica before its promotion, or a managed service with a full disk).
        // 55P03: lock not available. 25P03 and 25P04: PostgreSQL ended a transaction that was idle or took too long.
        return ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
            || matches!(code, "40001" | "40P01" | "25006" | "55P03" | "25P03" | "25P04");
    }
    // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN (the volume is not mounted). The low byte is the primary
    // code.
    code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5..=8 | 10 | 13 | 14))
}

/// Returns the `sqlx::Error` that converts into [`Error::KeyTaken`].
pub(super) fn key_taken_error() -> sqlx::Error {
    sqlx::Error::Encode(Box::new(KeyTaken))
}

#[derive(Debug, thiserror::Error)]
#[error("the idempotency key is bound to another request")]
struct KeyTaken;

#[derive(Debug, thiserror::Error)]
#[error("another server has taken over the farm")]
pub(super) struct Superseded;

/// Returns the error for a stored value that cannot be read.
pub(super) fn unreadable(table: &'static str, column: &'static str, row: impl fmt::Display) -> Error {
    Error::Unreadable { table, column, row: row.to_string() }
}

/// Names the table and row of a stored value while it is read.
pub(super) struct RowRef<R: fmt::Display + Copy> {
    pub table: &'static str,
    pub row: R,
}

impl<R: fmt::Display + Copy> RowRef<R> {
    /// Parses a stored enum value.
    pub fn parse<T>(&self, column: &'static str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
        parse(text).ok_or_else(|| unreadable(self.table, column, self.row))
    }

    /// Parses a stored enum value that may be null.
    pub fn parse_optional<T>(
        &self,
        column: &'static str,
        text: Option<&str>,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        text.map(|text| self.parse(column, text, parse)).transpose()
    }

    /// Parses a stored JSON object or array.
    pub fn parse_json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
        value: serde_json::Value,
    ) -> Result<T, Error> {
        serde_json::from_value(value).map_err(|_| unreadable(self.table, column, self.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_codes_are_distinguished_from_others() {
        for code in ["5", "261", "517", "6", "8", "13", "08006", "57P01", "53300", "58030", "40P01", "25006"] {
            assert!(is_transient_code(code), "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42601"] {
            assert!(!is_transient_code(code), "{code}");
        }
    }
}
