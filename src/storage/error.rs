//! What can go wrong with the database, as far as callers act on it. "Not found" is no error here.

use std::fmt;

/// A failure of the store. The texts name no data of people and no secrets; the cause is in `source`, for the log.
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
    /// Another server has taken over the farm; this one writes nothing more of what the sending server writes.
    #[error("another server has taken over the farm")]
    Superseded,
    /// The database cannot be reached or is too busy; the same call may work later.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// A stored value that this version cannot read.
    #[error("table {table}, column {column}, row {row}: the stored value cannot be read")]
    Broken { table: &'static str, column: &'static str, row: String },
    /// The database url, or what it leads to, cannot be used; the text is for the operator.
    #[error("{0}")]
    Setup(String),
    /// Everything else: a defect of ours or of the database.
    #[error("the database refused a statement")]
    Database(#[source] Cause),
}

impl Error {
    /// Whether the same call may work later. Only these errors are worth a retry.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::NameTaken
            | Self::UrlTaken
            | Self::KeyTaken
            | Self::Superseded
            | Self::Broken { .. }
            | Self::Setup(_)
            | Self::Database(_) => false,
        }
    }
}

impl Error {
    /// The database did not take it in time.
    pub fn timed_out() -> Self {
        sqlx::Error::PoolTimedOut.into()
    }

    /// The same failure for another member of the group that failed.
    pub fn for_another(&self) -> Self {
        let cause = |cause: &Cause| Cause(sqlx::Error::Protocol(cause.to_string()));
        match self {
            Self::NameTaken => Self::NameTaken,
            Self::UrlTaken => Self::UrlTaken,
            Self::KeyTaken => Self::KeyTaken,
            Self::Superseded => Self::Superseded,
            Self::Unavailable(error) => Self::Unavailable(cause(error)),
            Self::Broken { table, column, row } => Self::Broken { table, column, row: row.clone() },
            Self::Setup(text) => Self::Setup(text.clone()),
            Self::Database(error) => Self::Database(cause(error)),
        }
    }
}

/// The database driver's own error, which only the log shows.
#[derive(Debug)]
pub struct Cause(pub(super) sqlx::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
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
        let passing = match &error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // A connection that broke in the middle of a query or a transaction.
            | sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::InvalidSavePointStatement
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_) => true,
            sqlx::Error::Database(database) => database.code().is_some_and(|code| is_passing(&code)),
            _ => false,
        };
        if passing { Self::Unavailable(Cause(error)) } else { Self::Database(Cause(error)) }
    }
}

/// SQLite's result codes and PostgreSQL's SQLSTATEs of states that pass. The two cannot be confused: SQLSTATEs have
/// five characters.
fn is_passing(code: &str) -> bool {
    if code.len() == 5 {
        // Connection, resources, operator intervention, system error; serialisation failure, deadlock, and a server that
        // is read-only (a replica before its promotion, a full disk of a managed service); a lock that was not to be had, and
        // a transaction that PostgreSQL ended because it was silent or took long.
        return ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
            || matches!(code, "40001" | "40P01" | "25006" | "55P03" | "25P03" | "25P04");
    }
    // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN (the volume is not mounted); the low byte is the primary code.
    code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5..=8 | 10 | 13 | 14))
}

/// [`Error::KeyTaken`], where a statement's error is asked for.
pub(super) fn key_taken() -> sqlx::Error {
    sqlx::Error::Encode(Box::new(KeyTaken))
}

#[derive(Debug, thiserror::Error)]
#[error("the idempotency key is bound to another request")]
struct KeyTaken;

#[derive(Debug, thiserror::Error)]
#[error("another server has taken over the farm")]
pub(super) struct Superseded;

/// A value of the database that could not be read.
pub(super) fn broken(table: &'static str, column: &'static str, row: impl fmt::Display) -> Error {
    Error::Broken { table, column, row: row.to_string() }
}

/// Names the place of a stored value while it is read back.
pub(super) struct Place<R: fmt::Display + Copy> {
    pub table: &'static str,
    pub row: R,
}

impl<R: fmt::Display + Copy> Place<R> {
    /// Reads a stored word.
    pub fn word<T>(&self, column: &'static str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
        parse(text).ok_or_else(|| broken(self.table, column, self.row))
    }

    /// Reads a stored word that may be absent.
    pub fn word_if<T>(
        &self,
        column: &'static str,
        text: Option<&str>,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        text.map(|text| self.word(column, text, parse)).transpose()
    }

    /// Reads a stored object or array.
    pub fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
        value: serde_json::Value,
    ) -> Result<T, Error> {
        serde_json::from_value(value).map_err(|_| broken(self.table, column, self.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_passing_states_are_told_from_others() {
        for code in ["5", "261", "517", "6", "8", "13", "08006", "57P01", "53300", "58030", "40P01", "25006"] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42601"] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
