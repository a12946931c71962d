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
    users::{changed, made},
};
pub use crate::oidc::{CALLBACK, Error as OidcError, Return};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{ActorKind, Entry},
        oidc::{Identity, name_of, role_of},
        user::{User, UserDetails},
    },
    oidc::{Arrival, Journey, Oidc},
    storage::{
        self,
        users::{EndSessions, Updated, UserUpdate},
    },
};

/// Time that a user has for the login at the provider.
pub const JOURNEY: TimeDelta = TimeDelta::minutes(10);
/// Lifetime of a session: one long shift. Then the user must sign on again, so users that the provider removed lose
/// access.
pub const SIGN_ON_LIFE: TimeDelta = TimeDelta::hours(12);
/// Login states are sealed for this id, so no other sealed value can replace one.
const SEALED_FOR: Uuid = Uuid::from_u128(0x6f69_6463_2d6a_4f75_b26e_6579_0000_0001);
/// Maximum number of names that are tried for a new user.
const NAMES: usize = 20;
/// Maximum length of the target address that a login state keeps.
const LONGEST_NEXT: usize = 1_000;

/// Result of a return from the provider.
#[derive(Debug)]
pub enum SignOn {
    /// The secret for the session cookie, and the page that the browser requested first.
    In { secret: String, next: String },
    /// The login took too long, or the browser has no login state.
    TooLate,
    /// The provider knows the user, but the claims map to no role.
    NoRole,
    /// An admin has disabled the user.
    Disabled,
    /// The sign-on failed.
    Failed(OidcError),
}

impl Services {
    /// Returns the display name of the provider. None: no provider is configured.
    pub fn sign_on_label(&self) -> Option<&str> {
        self.oidc.as_ref().map(|oidc| oidc.provider().label.as_str())
    }

    /// Returns the provider's address for a sign-on, and the sealed login state that the browser must keep.
    pub async fn begin_sign_on(&self, next: &str) -> Result<Result<(String, String), OidcError>, Error> {
        let oidc = self.oidc()?;
        let next = if next.len() <= LONGEST_NEXT { next } else { "/" };
        match oidc.depart(next, clock::now() + JOURNEY).await {
            Ok((url, journey)) => Ok(Ok((url.into(), self.pack(&journey)?))),
            Err(error) => {
                tracing::warn!(%error, issuer = oidc.provider().issuer, "a sign-on could not be started");
                Ok(Err(error))
            }
        }
    }

    /// Opens a session for a user who returns from the provider, with the role from the claims.
    pub async fn finish_sign_on(&self, journey: Option<&str>, back: Return, browser: Browser) -> Result<SignOn, Error> {
        let oidc = self.oidc()?;
        let now = clock::now();
        let Some(journey) = journey.and_then(|sealed| self.unpack(sealed)).filter(|journey| journey.until > now) else {
            return Ok(SignOn::TooLate);
        };
        let next = journey.next.clone();
        let arrival = match oidc.arrive(journey, back).await {
            Ok(arrival) => arrival,
            Err(error) => {
                tracing::warn!(%error, address = ?browser.origin.address, "sign-on failed");
                return Ok(SignOn::Failed(error));
            }
        };
        let Some(role) = role_of(oidc.provider(), &arrival.claims) else {
            tracing::warn!(
                subject = arrival.identity.subject,
                claim = oidc.provider().role_claim,
                "sign-on without a role"
            );
            return Ok(SignOn::NoRole);
        };
        let user = self.user_of(&arrival, role, &browser).await?;
        if !user.details.enabled {
            return Ok(SignOn::Disabled);
        }
        let secret = self.open_session(Principal::of_user(user, None), browser, SIGN_ON_LIFE).await?;
        Ok(SignOn::In { secret, next })
    }

    /// Returns the users who sign on at a provider, each with its issuer.
    pub async fn signing_on(&self, who: &Principal) -> Result<HashMap<Uuid, String>, Error> {
        who.require(Role::Admin)?;
        Ok(storage::identities::issuers(&self.db, None).await?.into_iter().collect())
    }

    /// Returns the issuer at which the principal signs on. None: the principal has a password here, or is a token.
    pub async fn signs_on_at(&self, who: &Principal) -> Result<Option<String>, Error> {
        let Some(id) = who.user_id else { return Ok(None) };
        Ok(storage::identities::issuers(&self.db, Some(id)).await?.pop().map(|(_, issuer)| issuer))
    }

    fn oidc(&self) -> Result<&Oidc, Error> {
        self.oidc.as_ref().ok_or(Error::NotFound("single sign-on"))
    }

    /// Returns the user of an identity, with the role from the current claims. Creates a missing user.
    async fn user_of(&self, arrival: &Arrival, role: Role, browser: &Browser) -> Result<User, Error> {
        for attempt in 0..NAMES {
            let known = storage::identities::user_of(&self.db, &arrival.identity).await?;
            let found = match known {
                Some(id) => storage::users::get(&self.db, id).await?,
                None => None,
            };
            let written = match found {
                Some(user) => self.with_role(user, role, &arrival.identity, browser).await?,
                None => self.newcomer(arrival, role, attempt, browser).await?,
            };
            if let Some(user) = written {
                return Ok(user);
            }
        }
        Err(Error::Busy("Your account changes at this moment. Try again in a few seconds."))
    }

    /// Creates the user of a new identity. None: the name is taken, or another request created the user first.
    async fn newcomer(
        &self,
        arrival: &Arrival,
        role: Role,
        attempt: usize,
        browser: &Browser,
    ) -> Result<Option<User>, Error> {
        let name = name_of(&arrival.claims, &arrival.identity.subject);
        let name = if attempt == 0 { name } else { format!("{name} ({})", attempt + 1) };
        // The audit names the new user as the actor, because no other user was involved.
        let who = Principal {
            name: name.clone(),
            origin: browser.origin.clone(),
            ..Principal::operator_of_the_server(ActorKind::User)
        };
        let details = UserDetails { name, role, tags: Vec::new(), enabled: true };
        let (user, mut entry) = made(&who, details);
        entry.actor.id = Some(user.id);
        note_issuer(&mut entry, &arrival.identity);
        match storage::identities::insert(&self.db, &user, &arrival.identity, &entry).await {
            Ok(()) => {
                tracing::info!(user.id = %user.id, user.name = %user.details.name, "user created at their first sign-on");
                Ok(Some(user))
            }
            Err(storage::Error::NameTaken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the role of a user, if it differs. None: another request changed the user in the meantime.
    async fn with_role(
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
        let who = Principal { origin: browser.origin.clone(), ..Principal::of_user(before.clone(), None) };
        let (user, mut entry) = changed(&who, before, details, false);
        note_issuer(&mut entry, identity);
        // The provider decides who is an admin. So even the last admin can lose the role.
        let (password_hash, sessions, keep_an_admin) = (None, EndSessions::None, false);
        let change = UserUpdate { user: &user, expected_version, password_hash, sessions, keep_an_admin };
        let updated = storage::users::update(&self.db, &change, &entry).await?;
        Ok((updated == Updated::Yes).then_some(user))
    }

    /// Seals a login state for a cookie. Only this server can create or read it.
    fn pack(&self, journey: &Journey) -> Result<String, Error> {
        let plain = serde_json::to_string(journey).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.vault.seal(SEALED_FOR, &plain)?))
    }

    fn unpack(&self, sealed: &str) -> Option<Journey> {
        let plain = self.vault.open(SEALED_FOR, &URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
        serde_json::from_str(&plain).ok()
    }
}

/// Adds the issuer to an audit entry, because its claims caused the change.
fn note_issuer(entry: &mut Entry, identity: &Identity) {
    entry.changes.insert("issuer".to_owned(), Value::String(identity.issuer.clone()));
}
