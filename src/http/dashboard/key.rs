//! The API key in the forms of a printer. It is typed once and never sent back in clear: a page may be kept by the
//! browser, or by whoever sits in between. Where a form comes back, it carries the key on sealed.

use super::{Dashboard, form::Form, page::Failure};
use crate::{
    domain::invalid::Invalid,
    domain::printer::check_api_key,
    service::{access::Principal, carried::Purpose},
};

/// What the field of the key shows.
#[derive(Default)]
pub(super) struct KeyField {
    /// The key that was given in the step before, sealed.
    pub kept: Option<String>,
}

impl KeyField {
    /// Of a form that comes back: what was typed is carried on, what breaks the rules is not.
    pub fn of(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Self, Failure> {
        let Ok(Some(key)) = given(dashboard, who, form) else { return Ok(Self::default()) };
        let mut invalid = Invalid::default();
        check_api_key(&mut invalid, &key);
        if invalid.or_ok(()).is_err() {
            return Ok(Self::default());
        }
        Ok(Self { kept: Some(dashboard.services.seal_for_form(who, Purpose::Key, &key)?) })
    }
}

/// The key that a form gives: typed now, or in a step before. Fails where the latter is not kept any more.
pub(super) fn given(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Option<String>, Invalid> {
    if let Some(typed) = form.text("api_key") {
        return Ok(Some(typed.to_owned()));
    }
    let Some(sealed) = form.text("kept_key") else { return Ok(None) };
    let lost = || Invalid::one("/api_key", "not_kept", "is not kept any more: type it once more");
    dashboard.services.open_from_form(who, Purpose::Key, sealed).map(Some).ok_or_else(lost)
}
