//! Sealed form values: data that a form keeps between two steps and that the browser must not read, such as API keys.
//!
//! The browser stores the sealed value, so the server keeps nothing for forms that are never finished. Only this server
//! can open it, only for the same principal and purpose, and only for a limited time.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::clock;

/// Lifetime of a sealed value. A user may be interrupted while filling in a form.
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Use of a sealed value. Each purpose has its own id for the seal, so one value cannot replace another.
#[derive(Debug, Clone, Copy)]
pub enum FormPurpose {
    /// The API key of the printer that the form edits.
    Key,
    /// Other secrets of the printer that the form edits.
    Access,
    /// A list of printers that was reviewed and is to be imported.
    List,
}

impl FormPurpose {
    fn seal_id(self) -> Uuid {
        match self {
            Self::Key => Uuid::from_u128(0x666f_726d_2d6b_4579_b26e_6579_0000_0001),
            Self::Access => Uuid::from_u128(0x666f_726d_2d61_4363_a573_7361_0000_0001),
            Self::List => Uuid::from_u128(0x666f_726d_2d6c_4973_b474_6973_0000_0001),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct SealedForm {
    who: String,
    until: DateTime<Utc>,
    plain: String,
}

impl Services {
    /// Seals a text for a form of this principal.
    pub fn seal_for_form(&self, who: &Principal, purpose: FormPurpose, plain: &str) -> Result<String, Error> {
        let form = SealedForm { who: principal_id(who), until: clock::now() + LIFETIME, plain: plain.to_owned() };
        let text = serde_json::to_string(&form).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.vault.seal(purpose.seal_id(), &text)?))
    }

    /// Returns the sealed text. None: this server did not seal it, it is for another principal or purpose, or it is too old.
    pub fn open_from_form(&self, who: &Principal, purpose: FormPurpose, sealed: &str) -> Option<String> {
        let text = self.vault.open(purpose.seal_id(), &URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
        let form: SealedForm = serde_json::from_str(&text).ok()?;
        (form.who == principal_id(who) && form.until > clock::now()).then_some(form.plain)
    }
}

/// Returns an identifier of the principal. It uses ids, because another user can get the same name later.
pub(super) fn principal_id(who: &Principal) -> String {
    let id = who.user_id.or(who.token_id);
    id.map_or_else(|| who.kind.as_str().to_owned(), |id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::ActorKind;

    #[test]
    fn users_are_identified_by_id_and_server_principals_by_kind() {
        let principal = |kind, id| Principal { user_id: id, ..Principal::server_admin(kind) };
        let ids = [None, Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2))];
        let names = ids.map(|id| principal_id(&principal(ActorKind::User, id)));
        assert!(names[0] != names[1] && names[1] != names[2]);
        assert_ne!(principal_id(&principal(ActorKind::AdminToken, None)), names[0]);
    }
}
