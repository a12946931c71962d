//! Identities of users at a single sign-on provider.

use uuid::Uuid;

use super::{Db, Error, audit, bulk, reading, transaction, users};
use crate::domain::{audit::AuditEntry, oidc::Identity, user::User};

/// Returns the id of the user with this identity.
pub async fn find_user_id(db: &Db, identity: &Identity) -> Result<Option<Uuid>, Error> {
    let sql = "select user_id from identities where issuer = $1 and subject = $2";
    let (issuer, subject) = (bulk::without_nul(&identity.issuer), bulk::without_nul(&identity.subject));
    let found: Option<(Uuid,)> =
        reading!(db, |pool| sqlx::query_as(sql).bind(issuer).bind(subject).fetch_optional(pool).await)?;
    Ok(found.map(|(id,)| id))
}

/// Returns the users that have an identity, each with its issuer. `user_id` limits it to one user.
pub async fn list_issuers(db: &Db, user_id: Option<Uuid>) -> Result<Vec<(Uuid, String)>, Error> {
    let sql = "select user_id, issuer from identities where $1 is null or user_id = $1 order by user_id limit 10000";
    Ok(reading!(db, |pool| sqlx::query_as(sql).bind(user_id).fetch_all(pool).await)?)
}

/// Stores a new user without a password, together with their identity at the provider. Errors: [`Error::NameTaken`],
/// also if another user got the same identity meanwhile.
pub async fn insert_user(db: &Db, user: &User, identity: &Identity, entry: &AuditEntry) -> Result<(), Error> {
    try_insert_user(db, user, identity, entry).await.map_err(users::map_name_conflict)
}

async fn try_insert_user(db: &Db, user: &User, identity: &Identity, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    transaction!(db, |tx| {
        users::insert_row!(tx, user, None);
        sqlx::query("insert into identities (issuer, subject, user_id) values ($1, $2, $3)")
            .bind(bulk::without_nul(&identity.issuer))
            .bind(bulk::without_nul(&identity.subject))
            .bind(user.id)
            .execute(&mut *tx)
            .await?;
        audit::append!(tx, db, entry);
    });
    Ok(())
}
