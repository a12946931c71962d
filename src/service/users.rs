//! Users who log in by name and password. Admins create and change them; users change their own password.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, login_throttle::Attempt};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, Entry, differences, fields},
        invalid::Invalid,
        printer::check_tag,
        user::{User, UserDetails, check_name, check_password, name_key},
    },
    secrets,
    storage::{
        self,
        users::{EndSessions, Updated, UserUpdate},
    },
};

/// A change of a user. Absent values are kept.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    pub name: Option<String>,
    pub role: Option<Role>,
    pub tags: Option<Vec<String>>,
    pub enabled: Option<bool>,
    pub password: Option<String>,
}

/// Checks a tag limit. An admin must have none, because an admin can edit users and could remove it.
pub(super) fn check_limit(invalid: &mut Invalid, role: Role, tags: &[String]) {
    for (i, tag) in tags.iter().enumerate() {
        check_tag(invalid, &format!("/tags/{i}"), tag);
    }
    if role == Role::Admin && !tags.is_empty() {
        invalid.add("/tags", "not_for_admins", "must be empty for an admin, who could lift the limit");
    }
}

/// Checks a new user against the rules.
pub fn check_new(details: &UserDetails, password: Option<&str>) -> Result<(), Invalid> {
    let mut invalid = Invalid::default();
    check_name(&mut invalid, "/name", &details.name);
    check_limit(&mut invalid, details.role, &details.tags);
    if let Some(password) = password {
        check_password(&mut invalid, "/password", password, &details.name);
    }
    invalid.or_ok(())
}

/// Returns a new user, and the audit entry about it.
pub fn made(who: &Principal, details: UserDetails) -> (User, Entry) {
    let now = clock::now();
    let user = User { id: clock::new_id(), details, version: 1, created_at: now, updated_at: now, last_login_at: None };
    let entry = Entry { subject: Some(user.id), ..who.entry(Action::UserCreated, fields(&user.details)) };
    (user, entry)
}

/// Returns a user with new details, and the audit entry about the change. The entry never contains a password, only the
/// fact that it changed.
pub fn changed(who: &Principal, before: User, details: UserDetails, new_password: bool) -> (User, Entry) {
    let mut changes = differences(&json!(before.details), &json!(details));
    if new_password {
        changes.insert("password".to_owned(), Value::String("changed".to_owned()));
    }
    let user = User { details, version: before.version + 1, updated_at: clock::now(), ..before };
    let entry = Entry { subject: Some(user.id), ..who.entry(Action::UserChanged, changes) };
    (user, entry)
}

impl Services {
    /// Creates a user. Without a password, the user cannot log in until one is set. Fails with `Invalid` or
    /// `name_taken`.
    pub async fn create_user(
        &self,
        who: &Principal,
        details: UserDetails,
        password: Option<&str>,
    ) -> Result<User, Error> {
        who.require(Role::Admin)?;
        check_new(&details, password)?;
        let hash = match password {
            Some(password) => Some(self.hash_of(password).await?),
            None => None,
        };
        let (user, entry) = made(who, details);
        storage::users::insert(&self.db, &user, hash.as_deref(), &entry).await.map_err(taken)?;
        tracing::info!(user.id = %user.id, user.name = %user.details.name, by = %who.name, "user created");
        Ok(user)
    }

    /// Returns one user.
    pub async fn user(&self, who: &Principal, id: Uuid) -> Result<User, Error> {
        who.require(Role::Admin)?;
        storage::users::get(&self.db, id).await?.ok_or(Error::NotFound("user"))
    }

    /// Returns a page of the users, newest first.
    pub async fn list_users(&self, who: &Principal, after: Option<Uuid>, limit: i64) -> Result<Vec<User>, Error> {
        who.require(Role::Admin)?;
        Ok(storage::users::page(&self.db, after, limit).await?)
    }

    /// Changes a user. A new password or disabling the user ends the user's sessions at once; a lower role applies at
    /// once. Fails with `Stale`, with `name_taken`, and with `last_admin` if no admin would be left to manage users.
    pub async fn patch_user(
        &self,
        who: &Principal,
        id: Uuid,
        if_match: Option<i64>,
        patch: UserPatch,
    ) -> Result<User, Error> {
        let before = self.user(who, id).await?;
        if if_match.is_some_and(|version| version != before.version) {
            return Err(Error::Stale);
        }
        let old = before.details.clone();
        let details = UserDetails {
            name: patch.name.unwrap_or_else(|| old.name.clone()),
            role: patch.role.unwrap_or(old.role),
            tags: patch.tags.unwrap_or_else(|| old.tags.clone()),
            enabled: patch.enabled.unwrap_or(old.enabled),
        };
        check_new(&details, patch.password.as_deref())?;
        let ends = patch.password.is_some() || !details.enabled;
        let sessions = if ends { EndSessions::All } else { EndSessions::None };
        self.write_user(who, before, details, patch.password.as_deref(), sessions).await
    }

    /// Changes the principal's own password, and ends the other sessions of the user. Fails with `Invalid` if the old
    /// password is wrong.
    pub async fn change_password(&self, who: &Principal, old: &str, new: &str) -> Result<(), Error> {
        let Some(id) = who.user_id else {
            let detail = "You came in by a token, which has no password.".to_owned();
            return Err(Error::Unprocessable { code: "no_user", detail });
        };
        let user = storage::users::get(&self.db, id).await?.ok_or(Error::NotFound("user"))?;
        // A session has its own count of attempts, like a device that has logged in before.
        let (account, session) = (name_key(&who.name), who.session_id.map(|id| id.to_string()));
        let attempt = Attempt { account: &account, device: session.as_deref(), address: who.origin.address.as_deref() };
        if let Some(wait) = self.login_throttle.begin(attempt) {
            return Err(Error::TooManyAttempts(wait));
        }
        let hash = storage::users::by_name(&self.db, &user.details.name).await?.and_then(|(_, hash)| hash);
        let mut invalid = Invalid::default();
        check_password(&mut invalid, "/password", new, &user.details.name);
        invalid.or_ok(())?;
        let old = old.to_owned();
        if !self.hashing(move || secrets::password::verify(&old, hash.as_deref())).await? {
            return Err(Invalid::one("/old_password", "wrong", "is not your password").into());
        }
        self.login_throttle.succeeded(attempt);
        let ends = who.session_id.map_or(EndSessions::All, EndSessions::Others);
        let details = user.details.clone();
        self.write_user(who, user, details, Some(new), ends).await?;
        Ok(())
    }

    async fn write_user(
        &self,
        who: &Principal,
        before: User,
        details: UserDetails,
        password: Option<&str>,
        sessions: EndSessions,
    ) -> Result<User, Error> {
        let hash = match password {
            Some(password) => Some(self.hash_of(password).await?),
            None => None,
        };
        let expected_version = before.version;
        let is_admin = |details: &UserDetails| details.enabled && details.role == Role::Admin;
        let keep_an_admin = is_admin(&before.details) && !is_admin(&details);
        let (user, entry) = changed(who, before, details, hash.is_some());
        let password_hash = hash.as_deref();
        let change = UserUpdate { user: &user, expected_version, password_hash, sessions, keep_an_admin };
        match storage::users::update(&self.db, &change, &entry).await.map_err(taken)? {
            Updated::Yes => {}
            Updated::Stale => return Err(Error::Stale),
            Updated::LastAdmin => {
                let detail = "This is the last admin who can log in. Make another one first.".to_owned();
                return Err(Error::Conflict { code: "last_admin", detail });
            }
        }
        tracing::info!(user.id = %user.id, user.name = %user.details.name, by = %who.name, "user changed");
        Ok(user)
    }
}

fn taken(error: storage::Error) -> Error {
    match error {
        storage::Error::NameTaken => {
            Error::Conflict { code: "name_taken", detail: "Another user has this name.".to_owned() }
        }
        other => other.into(),
    }
}
