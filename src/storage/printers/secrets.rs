//! Sealed secrets of printers: the API key in the printer's row, other secrets in their own rows.

use serde::Deserialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    domain::printer_access::SecretKind,
    storage::{Error, error::RowRef},
};

/// A secret, sealed for its own id.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    pub id: Uuid,
    pub kind: SecretKind,
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedSecret({} …)", self.kind.as_str())
    }
}

/// All sealed secrets of one printer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SealedAccess {
    /// The API key, sealed for the id of the printer.
    pub api_key: Option<Vec<u8>>,
    /// At most one of each kind.
    pub secrets: Vec<SealedSecret>,
}

impl std::fmt::Debug for SealedAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let api_key = self.api_key.as_ref().map(|_| "…");
        f.debug_struct("SealedAccess").field("api_key", &api_key).field("secrets", &self.secrets).finish()
    }
}

impl SealedAccess {
    /// Returns the secret of a kind.
    pub fn secret(&self, kind: SecretKind) -> Option<&SealedSecret> {
        self.secrets.iter().find(|secret| secret.kind == kind)
    }

    /// Returns the secrets after an update.
    pub fn with_changes(mut self, changes: SecretChanges) -> Self {
        match changes.api_key {
            ApiKeyChange::Keep => {}
            ApiKeyChange::Clear => self.api_key = None,
            ApiKeyChange::Set(key) => self.api_key = Some(key),
        }
        for (kind, secret) in changes.others {
            self.secrets.retain(|old| old.kind != kind);
            self.secrets.extend(secret);
        }
        self
    }
}

/// Change of a stored API key.
#[derive(Clone, PartialEq, Eq)]
pub enum ApiKeyChange {
    Keep,
    Clear,
    /// The new sealed key.
    Set(Vec<u8>),
}

impl std::fmt::Debug for ApiKeyChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Clear => "Clear",
            Self::Set(_) => "Set(…)",
        })
    }
}

/// Changes of the sealed secrets of a printer.
#[derive(Debug, Clone)]
pub struct SecretChanges {
    pub api_key: ApiKeyChange,
    /// Kinds that change. `None` deletes the secret.
    pub others: Vec<(SecretKind, Option<SealedSecret>)>,
}

impl From<ApiKeyChange> for SecretChanges {
    fn from(api_key: ApiKeyChange) -> Self {
        Self { api_key, others: Vec::new() }
    }
}

/// A secret as returned by [`Db::secrets_column`](crate::storage::Db::secrets_column).
#[derive(Deserialize)]
pub(super) struct SecretRow {
    id: Uuid,
    kind: String,
    /// Hexadecimal digits.
    sealed: String,
}

/// Reads the secrets of a printer.
pub(super) fn parse_secrets(printer_id: Uuid, rows: Json<Vec<SecretRow>>) -> Result<Vec<SealedSecret>, Error> {
    let row_ref = RowRef { table: "printer_secrets", row: printer_id };
    let secrets = rows.0.into_iter().map(|row| {
        let kind = row_ref.parse("kind", &row.kind, SecretKind::parse)?;
        Ok(SealedSecret { id: row.id, kind, sealed: from_hex(&row.sealed) })
    });
    secrets.collect()
}

/// Decodes bytes that the database wrote as hexadecimal digits.
fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
    text.as_bytes().chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, half| byte << 4 | digit(*half))).collect()
}

/// Inserts the secrets of a printer within a transaction.
macro_rules! insert_secrets {
    ($tx:ident, $printer_id:expr, $secrets:expr) => {
        for secret in $secrets {
            sqlx::query("insert into printer_secrets (id, printer_id, kind, sealed) values ($1, $2, $3, $4)")
                .bind(secret.id)
                .bind($printer_id)
                .bind(secret.kind.as_str())
                .bind(&secret.sealed)
                .execute(&mut *$tx)
                .await?;
        }
    };
}

pub(super) use insert_secrets;
