//! Single sign-on with an OpenID Connect provider: the way to the provider and back, and the user and role of an
//! identity.
//!
//! The provider decides the role: it is taken from the claims at every sign-on. A user is found by identity, never by
//! name. An unknown identity gets a new user, so a sign-on cannot take over an existing user with the same name.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    error::Error,
    sessions::Browser,
    users::{changed_user, new_user},
};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{ActorKind, AuditEntry},
        message::Message,
        oidc::{CallbackQuery, Identity, display_name, highest_role},
        user::{User, UserDetails},
    },
    oidc::{self, LoginState, Oidc, VerifiedUser},
    storage::{
        self,
        users::{SessionsToEnd, UserUpdate, UserUpdateResult},
    },
};

/// Time that a user has for the login at the provider.
pub const JOURNEY: TimeDelta = TimeDelta::minutes(10);
/// Lifetime of a session: one long shift. Then the user must sign on again, so users that the provider removed lose
/// access.
pub const SIGN_ON_LIFETIME: TimeDelta = TimeDelta::hours(12);
/// Login states are sealed for this id, so no other sealed value can replace one.
const SEAL_ID: Uuid = Uuid::from_u128(0x6f69_6463_2d6a_4f75_b26e_6579_0000_0001);
/// Maximum number of names that are tried for a new user.
const MAX_NAMES: usize = 20;
/// Maximum length of the target address that a login state keeps.
const MAX_NEXT_LENGTH: usize = 1_000;

/// Result of a return from the provider.
#[derive(Debug)]
pub enum SignOnResult {
    /// The secret for the session cookie, and the page that the browser requested first.
    SignedOn { secret: String, next: String },
    /// The login took too long, or the browser has no login state.
    TooLate,
    /// The provider knows the user, but the claims map to no role.
    NoRole,
    /// An admin has disabled the user.
    Disabled,
    /// The sign-on failed.
    Failed(SignOnFailure),
}

/// Why a sign-on through the provider failed. The log has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignOnFailure {
    /// The return does not belong to the login of this browser, or contains no result.
    UnknownLogin,
    /// The user, or the provider, refused (`access_denied`).
    AccessDenied,
    /// The provider does not reply, refused for another reason, or its data cannot be trusted.
    Provider,
}

impl From<oidc::Error> for SignOnFailure {
    fn from(error: oidc::Error) -> Self {
        use oidc::Error as E;
        match error {
            E::StateMismatch | E::IssuerMismatch | E::NoCode => Self::UnknownLogin,
            E::Refused { code, .. } if code == "access_denied" => Self::AccessDenied,
            E::Refused { .. }
            | E::Provider { .. }
            | E::Incomplete(_)
            | E::Busy
            | E::Token(_)
            | E::AccessTokenMismatch => Self::Provider,
        }
    }
}

impl Services {
    /// Returns the display name of the provider. None: no provider is configured.
    pub fn sign_on_label(&self) -> Option<&str> {
        self.oidc.as_ref().map(|oidc| oidc.provider().label.as_str())
    }

    /// Returns the provider's address for a sign-on, and the sealed login state that the browser must keep.
    pub async fn begin_sign_on(&self, next: &str) -> Result<Result<(String, String), SignOnFailure>, Error> {
        let oidc = self.oidc()?;
        let next = if next.len() <= MAX_NEXT_LENGTH { next } else { "/" };
        match oidc.authorize_url(next, clock::now() + JOURNEY).await {
            Ok((url, login_state)) => Ok(Ok((url.into(), self.seal_login_state(&login_state)?))),
            Err(error) => {
                tracing::warn!(%error, issuer = oidc.provider().issuer, "a sign-on could not be started");
                Ok(Err(error.into()))
            }
        }
    }

    /// Opens a session for a user who returns from the provider, with the role from the claims.
    pub async fn finish_sign_on(
        &self,
        sealed_state: Option<&str>,
        callback: CallbackQuery,
        browser: Browser,
    ) -> Result<SignOnResult, Error> {
        let oidc = self.oidc()?;
        let now = clock::now();
        let Some(login_state) =
            sealed_state.and_then(|sealed| self.open_login_state(sealed)).filter(|journey| journey.until > now)
        else {
            return Ok(SignOnResult::TooLate);
        };
        let next = login_state.next.clone();
        let sign_on = match oidc.exchange_code(login_state, callback).await {
            Ok(sign_on) => sign_on,
            Err(error) => {
                tracing::warn!(%error, address = ?browser.origin.address, "sign-on failed");
                return Ok(SignOnResult::Failed(error.into()));
            }
        };
        let Some(role) = highest_role(oidc.provider(), &sign_on.claims) else {
            tracing::warn!(
                subject = sign_on.identity.subject,
                claim = oidc.provider().role_claim,
                "sign-on without a role"
            );
            return Ok(SignOnResult::NoRole);
        };
        let user = self.find_or_create_user(&sign_on, role, &browser).await?;
        if !user.details.enabled {
            return Ok(SignOnResult::Disabled);
        }
        let secret = self.open_session(Principal::from_user(user, None), browser, SIGN_ON_LIFETIME).await?;
        Ok(SignOnResult::SignedOn { secret, next })
    }

    /// Returns the users who sign on at a provider, each with its issuer.
    pub async fn sign_on_issuers(&self, who: &Principal) -> Result<HashMap<Uuid, String>, Error> {
        who.require(Role::Admin)?;
        Ok(storage::identities::list_issuers(&self.db, None).await?.into_iter().collect())
    }

    /// Returns the issuer at which the principal signs on. None: the principal has a password here, or is a token.
    pub async fn sign_on_issuer(&self, who: &Principal) -> Result<Option<String>, Error> {
        let Some(id) = who.user_id else { return Ok(None) };
        Ok(storage::identities::list_issuers(&self.db, Some(id)).await?.pop().map(|(_, issuer)| issuer))
    }

    fn oidc(&self) -> Result<&Oidc, Error> {
        self.oidc.as_ref().ok_or(Error::NotFound("single-sign-on"))
    }

    /// Returns the user of an identity, with the role from the current claims. Creates a missing user.
    async fn find_or_create_user(&self, sign_on: &VerifiedUser, role: Role, browser: &Browser) -> Result<User, Error> {
        for attempt in 0..MAX_NAMES {
            let known = storage::identities::find_user_id(&self.db, &sign_on.identity).await?;
            let found = match known {
                Some(id) => storage::users::get(&self.db, id).await?,
                None => None,
            };
            let written = match found {
                Some(user) => self.update_role(user, role, &sign_on.identity, browser).await?,
                None => self.create_user_at_sign_on(sign_on, role, attempt, browser).await?,
            };
            if let Some(user) = written {
                return Ok(user);
            }
        }
        Err(Error::Busy(Message::new("refusal-account-changes")))
    }

    /// Creates the user of a new identity. None: the name is taken, or another request created the user first.
    async fn create_user_at_sign_on(
        &self,
        sign_on: &VerifiedUser,
        role: Role,
        attempt: usize,
        browser: &Browser,
    ) -> Result<Option<User>, Error> {
        let name = display_name(&sign_on.claims, &sign_on.identity.subject);
        let name = if attempt == 0 { name } else { format!("{name} ({})", attempt + 1) };
        // The audit names the new user as the actor, because no other user was involved.
        let who = Principal {
            name: name.clone(),
            origin: browser.origin.clone(),
            ..Principal::server_admin(ActorKind::User)
        };
        let details = UserDetails { name, role, tags: Vec::new(), enabled: true };
        let (user, mut entry) = new_user(&who, details);
        entry.actor.id = Some(user.id);
        add_issuer(&mut entry, &sign_on.identity);
        match storage::identities::insert_user(&self.db, &user, &sign_on.identity, &entry).await {
            Ok(()) => {
                tracing::info!(user.id = %user.id, user.name = %user.details.name, "user created at their first sign-on");
                Ok(Some(user))
            }
            Err(storage::Error::NameTaken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the role of a user, if it differs. None: another request changed the user in the meantime.
    async fn update_role(
        &self,
        before: User,
        role: Role,
        identity: &Identity,
        browser: &Browser,
    ) -> Result<Option<User>, Error> {
        if before.details.role == role {
            return Ok(Some(before));
        }
        let mut details = UserDetails { role, ..before.details.clone() };
        if role == Role::Admin {
            // An admin can edit users and could remove the tag limit, so an admin has none.
            details.tags.clear();
        }
        let expected_version = before.version;
        let who = Principal { origin: browser.origin.clone(), ..Principal::from_user(before.clone(), None) };
        let (user, mut entry) = changed_user(&who, before, details, false);
        add_issuer(&mut entry, identity);
        // The provider decides who is an admin. So even the last admin can lose the role.
        let (password_hash, sessions, keep_an_admin) = (None, SessionsToEnd::None, false);
        let change =
            UserUpdate { user: &user, expected_version, password_hash, sessions, require_other_admin: keep_an_admin };
        let updated = storage::users::update(&self.db, &change, &entry).await?;
        Ok((updated == UserUpdateResult::Stored).then_some(user))
    }

    /// Seals a login state for a cookie. Only this server can create or read it.
    fn seal_login_state(&self, login_state: &LoginState) -> Result<String, Error> {
        let plain = serde_json::to_string(login_state).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.vault.seal(SEAL_ID, &plain)?))
    }

    fn open_login_state(&self, sealed: &str) -> Option<LoginState> {
        let plain = self.vault.open(SEAL_ID, &URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
        serde_json::from_str(&plain).ok()
    }
}

/// Adds the issuer to an audit entry, because its claims caused the change.
fn add_issuer(entry: &mut AuditEntry, identity: &Identity) {
    entry.changes.insert("issuer".to_owned(), Value::String(identity.issuer.clone()));
}
