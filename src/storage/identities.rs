//! Identities of users at a single sign-on provider.

use uuid::Uuid;

use super::{Db, Error, audit, group, reading, transaction, users};
use crate::domain::{audit::Entry, oidc::Identity, user::User};

/// Returns the id of the user with this identity.
pub async fn user_of(db: &Db, identity: &Identity) -> Result<Option<Uuid>, Error> {
    let sql = "select user_id from identities where issuer = $1 and subject = $2";
    let (issuer, subject) = (group::clean(&identity.issuer), group::clean(&identity.subject));
    let found: Option<(Uuid,)> =
        reading!(db, |pool| sqlx::query_as(sql).bind(issuer).bind(subject).fetch_optional(pool).await)?;
    Ok(found.map(|(id,)| id))
}

/// Returns the users that have an identity, each with its issuer. `user_id` limits it to one user.
pub async fn issuers(db: &Db, user_id: Option<Uuid>) -> Result<Vec<(Uuid, String)>, Error> {
    let sql = "select user_id, issuer from identities where $1 is null or user_id = $1 order by user_id limit 10000";
    Ok(reading!(db, |pool| sqlx::query_as(sql).bind(user_id).fetch_all(pool).await)?)
}

/// Stores a new user without a password, together with their identity at the provider. Errors: [`Error::NameTaken`],
/// also if another user got the same identity meanwhile.
pub async fn insert(db: &Db, user: &User, identity: &Identity, entry: &Entry) -> Result<(), Error> {
    try_insert(db, user, identity, entry).await.map_err(users::name_taken)
}

async fn try_insert(db: &Db, user: &User, identity: &Identity, entry: &Entry) -> Result<(), sqlx::Error> {
    transaction!(db, |tx| {
        users::insert_row!(tx, user, None);
        sqlx::query("insert into identities (issuer, subject, user_id) values ($1, $2, $3)")
            .bind(group::clean(&identity.issuer))
            .bind(group::clean(&identity.subject))
            .bind(user.id)
            .execute(&mut *tx)
            .await?;
        audit::append!(tx, db, entry);
    });
    Ok(())
}
