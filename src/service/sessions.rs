//! Login and logout: by name and password, by an API token while there are no users, or by the setup link.

use std::{sync::atomic::Ordering, time::Duration};

use chrono::TimeDelta;
use serde_json::Map;
use uuid::Uuid;

use super::{
    Services,
    access::{Principal, SESSION_IDLE, SESSION_LIFETIME},
    error::Error,
    login_throttle::LoginAttempt,
    users::new_user,
};
use crate::{
    clock,
    domain::{
        access::{Role, Session},
        audit::{Action, ActorKind, AuditEntry, RequestOrigin},
        message::Message,
        user::{MAX_PASSWORD_LENGTH, UserDetails, check_password, check_user_name, name_key},
        validation::ValidationErrors,
    },
    secrets, storage,
};

/// Lifetime of the setup link.
const SETUP_LINK_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// Maximum number of passwords that are hashed at once. Each takes 19 MiB and a processor.
pub(super) const MAX_HASHERS: usize = 2;
/// Maximum time that a login waits for its turn to hash.
const MAX_HASH_WAIT: Duration = Duration::from_secs(10);
/// Maximum number of characters that are kept of the user agent.
const MAX_AGENT_CHARS: usize = 200;

/// Data about the browser that logs in.
#[derive(Debug, Clone, Default)]
pub struct Browser {
    pub origin: RequestOrigin,
    /// The user agent of the browser.
    pub agent: String,
    /// The secret of the browser's previous session. The login ends that session, because an attacker may have planted
    /// it.
    pub old_session: Option<String>,
    /// The cookie of a device that has logged in before.
    pub device: Option<String>,
}

/// Result of a login attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum LoginResult {
    LoggedIn {
        /// The secret for the session cookie.
        session: String,
        /// The device cookie, if the login used a password.
        device: Option<String>,
    },
    /// Name and password do not match. The result does not show which of them is wrong.
    Refused,
    /// Too many attempts. The next one is permitted after this time.
    Wait(Duration),
}

impl Services {
    /// Logs in by name and password.
    pub async fn log_in(&self, name: &str, password: &str, browser: Browser) -> Result<LoginResult, Error> {
        let key = name_key(name);
        let device = self.known_device(browser.device.as_deref(), &key);
        let address = browser.origin.address.clone();
        let attempt = LoginAttempt { account: &key, device: device.as_deref(), address: address.as_deref() };
        if let Some(wait) = self.login_throttle.begin(attempt) {
            return Ok(LoginResult::Wait(wait));
        }
        let found = storage::users::find_by_name(&self.db, name).await?;
        let hash = found.as_ref().and_then(|(_, hash)| hash.clone());
        let password = password.to_owned();
        let is_short_enough = password.chars().count() <= MAX_PASSWORD_LENGTH;
        let is_correct =
            self.run_hashing(move || secrets::password::verify(&password, hash.as_deref())).await? && is_short_enough;
        let Some((user, _)) = found.filter(|(user, _)| is_correct && user.details.enabled) else {
            // The name is arbitrary input, line breaks included. The debug format quotes it, so it stays on one line.
            tracing::warn!(user.name = ?key, address = ?browser.origin.address, "login refused");
            return Ok(LoginResult::Refused);
        };
        self.login_throttle.record_success(attempt);
        let device = Some(self.new_device_cookie(&key)?);
        let session = self.open_session(Principal::from_user(user, None), browser, SESSION_LIFETIME).await?;
        Ok(LoginResult::LoggedIn { session, device })
    }

    /// Logs in with an API token. This is possible only while there are no users.
    pub async fn log_in_by_token(&self, token: &str, browser: Browser) -> Result<LoginResult, Error> {
        if storage::users::any_exists(&self.db).await? {
            return Ok(LoginResult::Refused);
        }
        match self.principal_by_token(token.trim(), browser.origin.address.as_deref()).await {
            Ok(Err(refusal)) => {
                refusal.wait().await;
                Ok(LoginResult::Refused)
            }
            Ok(Ok(who)) => {
                let session = self.open_session(who, browser, SESSION_LIFETIME).await?;
                Ok(LoginResult::LoggedIn { session, device: None })
            }
            Err(Error::TooManyAttempts(wait)) => Ok(LoginResult::Wait(wait)),
            Err(error) => Err(error),
        }
    }

    /// Returns whether users log in by name and password.
    pub async fn has_users(&self) -> Result<bool, Error> {
        Ok(storage::users::any_exists(&self.db).await?)
    }

    /// Opens a session that ends after `lifetime` at the latest. Returns the secret for the cookie.
    pub(super) async fn open_session(
        &self,
        mut who: Principal,
        browser: Browser,
        lifetime: TimeDelta,
    ) -> Result<String, Error> {
        let now = clock::now();
        let (secret, hash) = secrets::new_token()?;
        let admin = (who.kind == ActorKind::AdminToken).then_some(self.admin_token.as_ref()).flatten();
        let session = Session {
            id: clock::new_id(),
            user_id: who.user_id,
            token_id: who.token_id,
            admin_hash: admin.map(|token| secrets::token_hash(token).to_vec()),
            created_at: now,
            last_seen_at: now,
            expires_at: now + lifetime,
            address: browser.origin.address.clone(),
            agent: browser.agent.chars().filter(|c| !c.is_control()).take(MAX_AGENT_CHARS).collect(),
        };
        who.origin = browser.origin;
        let entry = AuditEntry { subject: Some(session.id), ..who.audit_entry(Action::SessionOpened, Map::new()) };
        let old = browser.old_session.map(|secret| secrets::token_hash(&secret));
        storage::sessions::insert(&self.db, &hash, &session, old.as_ref().map(|hash| hash.as_slice()), &entry).await?;
        Ok(secret)
    }

    /// Ends the session of a browser.
    pub async fn log_out(&self, who: &Principal, secret: &str) -> Result<(), Error> {
        let entry = AuditEntry { subject: who.session_id, ..who.audit_entry(Action::SessionEnded, Map::new()) };
        storage::sessions::delete(&self.db, &secrets::token_hash(secret), &entry).await?;
        Ok(())
    }

    /// Returns the sessions of a user. Users may see their own sessions, and admins those of every user.
    pub async fn list_sessions(&self, who: &Principal, user_id: Uuid) -> Result<Vec<Session>, Error> {
        check_session_access(who, user_id)?;
        let now = clock::now();
        let mut sessions = storage::sessions::list_by_user(&self.db, user_id, now).await?;
        sessions.retain(|session| session.last_seen_at > now - SESSION_IDLE);
        Ok(sessions)
    }

    /// Ends a session of a user at once. Fails with `NotFound`.
    pub async fn end_session(&self, who: &Principal, user_id: Uuid, id: Uuid) -> Result<(), Error> {
        check_session_access(who, user_id)?;
        let entry = AuditEntry { subject: Some(id), ..who.audit_entry(Action::SessionEnded, Map::new()) };
        if storage::sessions::delete_of_user(&self.db, user_id, id, &entry).await? {
            Ok(())
        } else {
            Err(Error::NotFound("session"))
        }
    }

    /// Returns the secret of a link that creates the first admin. It works once, within an hour. None: there are users.
    pub async fn create_setup_link(&self) -> Result<Option<String>, Error> {
        if storage::users::any_exists(&self.db).await? {
            return Ok(None);
        }
        let (secret, hash) = secrets::new_token()?;
        storage::users::store_setup_link(&self.db, &hash, clock::now() + SETUP_LINK_LIFETIME).await?;
        Ok(Some(secret))
    }

    /// Returns whether a link can still create the first admin.
    pub async fn is_setup_link(&self, secret: &str) -> Result<bool, Error> {
        let open = storage::users::is_setup_link(&self.db, &secrets::token_hash(secret), clock::now()).await?;
        Ok(open && !storage::users::any_exists(&self.db).await?)
    }

    /// Creates the first admin, invalidates the link, and logs the admin in. None: the link is invalid or no longer
    /// valid.
    pub async fn set_up(
        &self,
        link: &str,
        name: &str,
        password: &str,
        browser: Browser,
    ) -> Result<Option<String>, Error> {
        // Checked before the password is hashed, because hashing is expensive.
        if !self.is_setup_link(link).await? {
            return Ok(None);
        }
        let mut invalid = ValidationErrors::default();
        check_user_name(&mut invalid, "/name", name);
        check_password(&mut invalid, "/password", password, name);
        invalid.into_result(())?;
        let details = UserDetails { name: name.to_owned(), role: Role::Admin, tags: Vec::new(), enabled: true };
        let hash = self.hash_password(password).await?;
        let mut who = Principal::server_admin(ActorKind::Setup);
        who.origin = browser.origin.clone();
        let (user, entry) = new_user(&who, details);
        if !storage::users::create_first_admin(
            &self.db,
            &secrets::token_hash(link),
            &user,
            &hash,
            user.created_at,
            &entry,
        )
        .await?
        {
            return Ok(None);
        }
        tracing::info!(user.name = %name, "first admin created");
        self.open_session(Principal::from_user(user, None), browser, SESSION_LIFETIME).await.map(Some)
    }

    /// Returns the hash of a new password.
    pub(super) async fn hash_password(&self, password: &str) -> Result<String, Error> {
        let password = password.to_owned();
        Ok(self.run_hashing(move || secrets::password::hash(&password)).await??)
    }

    /// Returns how many passwords were hashed or verified since the start. Password guessing is visible in this number.
    pub fn passwords_hashed(&self) -> u64 {
        self.passwords_hashed.load(Ordering::Relaxed)
    }

    /// Runs password hashing on a blocking thread, a few at a time.
    pub(super) async fn run_hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let busy = || Error::Busy(Message::new("refusal-many-logins"));
        let turn =
            tokio::time::timeout(MAX_HASH_WAIT, self.hashers.clone().acquire_owned()).await.map_err(|_| busy())?;
        let _turn = turn.map_err(|_| busy())?;
        self.passwords_hashed.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(format!("hashing failed: {error}")))
    }
}

/// Checks that the principal is this user or an admin.
fn check_session_access(who: &Principal, user_id: Uuid) -> Result<(), Error> {
    if who.user_id == Some(user_id) { Ok(()) } else { who.require(Role::Admin) }
}
