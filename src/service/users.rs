//! Users who log in by name and password. Admins create and change them; users change their own password.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, login_throttle::LoginAttempt};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, changed_fields, object_fields},
        message::Message,
        printer::check_tag,
        user::{User, UserDetails, check_password, check_user_name, name_key},
        validation::ValidationErrors,
    },
    secrets,
    storage::{
        self,
        users::{SessionsToEnd, UserUpdate, UserUpdateResult},
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
pub(super) fn check_tag_limit(invalid: &mut ValidationErrors, role: Role, tags: &[String]) {
    for (i, tag) in tags.iter().enumerate() {
        check_tag(invalid, &format!("/tags/{i}"), tag);
    }
    if role == Role::Admin && !tags.is_empty() {
        invalid.add("/tags", "not_for_admins", "rule-tags-of-admin");
    }
}

/// Checks a new user against the rules.
pub fn check_new_user(details: &UserDetails, password: Option<&str>) -> Result<(), ValidationErrors> {
    let mut invalid = ValidationErrors::default();
    check_user_name(&mut invalid, "/name", &details.name);
    check_tag_limit(&mut invalid, details.role, &details.tags);
    if let Some(password) = password {
        check_password(&mut invalid, "/password", password, &details.name);
    }
    invalid.into_result(())
}

/// Returns a new user, and the audit entry about it.
pub fn new_user(who: &Principal, details: UserDetails) -> (User, AuditEntry) {
    let now = clock::now();
    let user = User { id: clock::new_id(), details, version: 1, created_at: now, updated_at: now, last_login_at: None };
    let entry =
        AuditEntry { subject: Some(user.id), ..who.audit_entry(Action::UserCreated, object_fields(&user.details)) };
    (user, entry)
}

/// Returns a user with new details, and the audit entry about the change. The entry never contains a password, only the
/// fact that it changed.
pub fn changed_user(who: &Principal, before: User, details: UserDetails, new_password: bool) -> (User, AuditEntry) {
    let mut changes = changed_fields(&json!(before.details), &json!(details));
    if new_password {
        changes.insert("password".to_owned(), Value::String("changed".to_owned()));
    }
    let user = User { details, version: before.version + 1, updated_at: clock::now(), ..before };
    let entry = AuditEntry { subject: Some(user.id), ..who.audit_entry(Action::UserChanged, changes) };
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
        check_new_user(&details, password)?;
        let hash = match password {
            Some(password) => Some(self.hash_password(password).await?),
            None => None,
        };
        let (user, entry) = new_user(who, details);
        storage::users::insert(&self.db, &user, hash.as_deref(), &entry).await.map_err(user_error)?;
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
        Ok(storage::users::list_page(&self.db, after, limit).await?)
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
        check_new_user(&details, patch.password.as_deref())?;
        let ends_sessions = patch.password.is_some() || !details.enabled;
        let sessions = if ends_sessions { SessionsToEnd::All } else { SessionsToEnd::None };
        self.write_user(who, before, details, patch.password.as_deref(), sessions).await
    }

    /// Changes the principal's own password, and ends the other sessions of the user. Fails with `Invalid` if the old
    /// password is wrong.
    pub async fn change_password(&self, who: &Principal, old: &str, new: &str) -> Result<(), Error> {
        let Some(id) = who.user_id else {
            let detail = Message::new("refusal-token-has-no-password");
            return Err(Error::Unprocessable { code: "no_user", detail });
        };
        let user = storage::users::get(&self.db, id).await?.ok_or(Error::NotFound("user"))?;
        // A session has its own count of attempts, like a device that has logged in before.
        let (account, session) = (name_key(&who.name), who.session_id.map(|id| id.to_string()));
        let attempt =
            LoginAttempt { account: &account, device: session.as_deref(), address: who.origin.address.as_deref() };
        if let Some(wait) = self.login_throttle.begin(attempt) {
            return Err(Error::TooManyAttempts(wait));
        }
        let hash = storage::users::find_by_name(&self.db, &user.details.name).await?.and_then(|(_, hash)| hash);
        let mut invalid = ValidationErrors::default();
        check_password(&mut invalid, "/password", new, &user.details.name);
        invalid.into_result(())?;
        let old = old.to_owned();
        if !self.run_hashing(move || secrets::password::verify(&old, hash.as_deref())).await? {
            return Err(ValidationErrors::single("/old_password", "wrong", "rule-old-password").into());
        }
        self.login_throttle.record_success(attempt);
        let sessions = who.session_id.map_or(SessionsToEnd::All, SessionsToEnd::Others);
        let details = user.details.clone();
        self.write_user(who, user, details, Some(new), sessions).await?;
        Ok(())
    }

    async fn write_user(
        &self,
        who: &Principal,
        before: User,
        details: UserDetails,
        password: Option<&str>,
        sessions: SessionsToEnd,
    ) -> Result<User, Error> {
        let hash = match password {
            Some(password) => Some(self.hash_password(password).await?),
            None => None,
        };
        let expected_version = before.version;
        let is_admin = |details: &UserDetails| details.enabled && details.role == Role::Admin;
        let keep_an_admin = is_admin(&before.details) && !is_admin(&details);
        let (user, entry) = changed_user(who, before, details, hash.is_some());
        let password_hash = hash.as_deref();
        let change =
            UserUpdate { user: &user, expected_version, password_hash, sessions, require_other_admin: keep_an_admin };
        match storage::users::update(&self.db, &change, &entry).await.map_err(user_error)? {
            UserUpdateResult::Stored => {}
            UserUpdateResult::Stale => return Err(Error::Stale),
            UserUpdateResult::LastAdmin => {
                let detail = Message::new("refusal-last-admin");
                return Err(Error::Conflict { code: "last_admin", detail });
            }
        }
        tracing::info!(user.id = %user.id, user.name = %user.details.name, by = %who.name, "user changed");
        Ok(user)
    }
}

fn user_error(error: storage::Error) -> Error {
    match error {
        storage::Error::NameTaken => {
            Error::Conflict { code: "name_taken", detail: Message::new("refusal-user-name-taken") }
        }
        other => other.into(),
    }
}
