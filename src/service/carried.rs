//! What a form carries from one step to the next and nobody may read: a key that was typed, or a list with keys in it.
//!
//! It goes to the browser sealed, so nothing is kept here for those who never come back. Only this server opens it, for
//! whoever it was sealed for, for the same purpose, and for a while.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::clock;

/// Somebody may be called away from a form.
const FOR: TimeDelta = TimeDelta::hours(1);

/// What it is carried for. Each is sealed for an id of its own, so that one cannot stand for another.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// The API key of the printer that a form is about.
    Key,
    /// Other secrets of the printer that a form is about.
    Access,
    /// A list of printers that was looked at and is to be imported.
    List,
}

impl Purpose {
    fn context(self) -> Uuid {
        match self {
            Self::Key => Uuid::from_u128(0x666f_726d_2d6b_4579_b26e_6579_0000_0001),
            Self::Access => Uuid::from_u128(0x666f_726d_2d61_4363_a573_7361_0000_0001),
            Self::List => Uuid::from_u128(0x666f_726d_2d6c_4973_b474_6973_0000_0001),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Carried {
    who: String,
    until: DateTime<Utc>,
    plain: String,
}

impl Services {
    /// Seals a text for a form of somebody.
    pub fn seal_for_form(&self, who: &Principal, purpose: Purpose, plain: &str) -> Result<String, Error> {
        let carried = Carried { who: name_of(who), until: clock::now() + FOR, plain: plain.to_owned() };
        let text = serde_json::to_string(&carried).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.vault.seal(purpose.context(), &text)?))
    }

    /// What was sealed. None: it is not ours, was for somebody or something else, or is too old.
    pub fn open_from_form(&self, who: &Principal, purpose: Purpose, sealed: &str) -> Option<String> {
        let text = self.vault.open(purpose.context(), &URL_SAFE_NO_PAD.decode(sealed).ok()?).ok()?;
        let carried: Carried = serde_json::from_str(&text).ok()?;
        (carried.who == name_of(who) && carried.until > clock::now()).then_some(carried.plain)
    }
}

/// Tells one holder of rights from another: names may change hands, ids do not.
pub(super) fn name_of(who: &Principal) -> String {
    let id = who.user_id.or(who.token_id);
    id.map_or_else(|| who.kind.as_str().to_owned(), |id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::ActorKind;

    #[test]
    fn people_are_told_apart_by_ids_and_programs_of_the_server_by_kind() {
        let of = |kind, id| Principal { user_id: id, ..Principal::operator_of_the_server(kind) };
        let ids = [None, Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2))];
        let names = ids.map(|id| name_of(&of(ActorKind::User, id)));
        assert!(names[0] != names[1] && names[1] != names[2]);
        assert_ne!(name_of(&of(ActorKind::AdminToken, None)), names[0]);
    }
}
