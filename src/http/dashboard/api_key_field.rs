//! The API key field in the forms of a printer: typed, requested from OctoPrint, or kept from the previous step.
//!
//! The key is never sent to the browser in clear, because a browser or a proxy could store the page. A form that is
//! shown again contains the sealed key. A key that OctoPrint granted is never displayed.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Dashboard, access_fields, filters,
    form::Form,
    login::private,
    messages::t,
    page::{Failure, Id, Visitor, html},
};
use crate::{
    domain::{
        access::Role,
        invalid::Invalid,
        printer::{check_api_key, normalise_url},
    },
    http::diagnosis::{next_step, problem},
    service::{access::Principal, app_keys::Asked, sealed_form::Purpose},
};

/// The contents of the key field.
#[derive(Default)]
pub(super) struct KeyField {
    /// The key from the previous step, sealed.
    pub kept: Option<String>,
    /// The result of a key request to OctoPrint.
    pub asked: Option<AskedPart>,
}

/// The part of a form that waits for OctoPrint.
#[derive(Template)]
#[template(path = "printers/_asked.html")]
pub(super) struct AskedPart {
    id: Uuid,
    shown: Shown,
}

enum Shown {
    Waiting,
    /// The key, sealed.
    Granted(String),
    /// Explanation, next step, and an address to use instead.
    Ended {
        what: String,
        todo: String,
        suggested_url: Option<String>,
    },
}

/// A key in a form. `of` is the address of the OctoPrint that granted it. The key is valid only there. `None` for a
/// typed key.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    of: Option<String>,
}

impl KeyField {
    /// Shows a submitted form again. A valid key is kept in sealed form, an invalid one is dropped.
    pub fn of(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Self, Failure> {
        let asked = form.text("asked").and_then(|id| id.parse().ok());
        let asked = asked.map(|id| AskedPart::of(dashboard, who, id)).transpose()?;
        let mut kept = None;
        if let Some(key) = form.text("api_key") {
            let mut invalid = Invalid::default();
            check_api_key(&mut invalid, key);
            if invalid.or_ok(()).is_ok() {
                kept = Some(seal(dashboard, who, key.to_owned(), None)?);
            }
        } else if !matches!(asked, Some(AskedPart { shown: Shown::Granted(_), .. })) {
            let sealed = form.text("kept_key").filter(|sealed| open(dashboard, who, sealed).is_some());
            kept = sealed.map(str::to_owned);
        }
        Ok(Self { kept, asked })
    }

    /// Requests a key from the OctoPrint at the form's address. The new key replaces a typed one.
    pub async fn ask(
        &mut self,
        dashboard: &Dashboard,
        who: &Principal,
        form: &Form,
    ) -> Result<(), crate::service::Error> {
        // Missing values, such as a stored password, are not needed by every OctoPrint.
        let (access, _) = access_fields::typed_access(dashboard, who, form)?;
        let id = dashboard.services.ask_for_key(who, form.text("url").unwrap_or_default(), access).await?;
        let asked = AskedPart::of(dashboard, who, id)?;
        if !matches!(asked.shown, Shown::Ended { .. }) {
            self.kept = None;
        }
        self.asked = Some(asked);
        Ok(())
    }
}

impl AskedPart {
    fn of(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<Self, crate::service::Error> {
        let ended = |what: &str| Shown::Ended {
            what: what.to_owned(),
            todo: t("printer-ask-again-type-key").to_owned(),
            suggested_url: None,
        };
        let shown = match dashboard.services.asked_for_key(who, id) {
            Some(Asked::Waiting) => Shown::Waiting,
            Some(Asked::Granted { key, url }) => Shown::Granted(seal(dashboard, who, key, Some(url))?),
            Some(Asked::Denied) => ended(t("printer-key-denied")),
            Some(Asked::TooLate) => ended(t("printer-nobody-allowed-octoprint-within")),
            Some(Asked::Failed(diagnosis)) => {
                let suggested_url = diagnosis.suggested_url().map(str::to_owned);
                // If there is a button, it is the next step.
                let todo = if suggested_url.is_some() { String::new() } else { next_step(&diagnosis) };
                Shown::Ended { what: problem(&diagnosis), todo, suggested_url }
            }
            None => ended(t("printer-what-asked-octoprint-not")),
        };
        Ok(Self { id, shown })
    }
}

fn seal(
    dashboard: &Dashboard,
    who: &Principal,
    key: String,
    of: Option<String>,
) -> Result<String, crate::service::Error> {
    let text = serde_json::to_string(&Kept { key, of });
    let text = text.map_err(|error| crate::service::Error::Internal(error.to_string()))?;
    dashboard.services.seal_for_form(who, Purpose::Key, &text)
}

fn open(dashboard: &Dashboard, who: &Principal, sealed: &str) -> Option<Kept> {
    serde_json::from_str(&dashboard.services.open_from_form(who, Purpose::Key, sealed)?).ok()
}

/// Returns the key of a form, from this step or a previous one. Fails if the kept key is no longer available, or
/// belongs to another address.
pub(super) fn given(dashboard: &Dashboard, who: &Principal, form: &Form) -> Result<Option<String>, Invalid> {
    if let Some(typed) = form.text("api_key") {
        return Ok(Some(typed.to_owned()));
    }
    let wrong = |rule| Invalid::one("/api_key", "not_kept", rule);
    let kept = if let Some(sealed) = form.text("kept_key") {
        open(dashboard, who, sealed)
            .ok_or_else(|| wrong("is not kept any more: type it once more, or ask OctoPrint again"))?
    } else {
        let asked = form.text("asked").and_then(|id| id.parse().ok());
        match asked.and_then(|id| dashboard.services.asked_for_key(who, id)) {
            Some(Asked::Granted { key, url }) => Kept { key, of: Some(url) },
            Some(Asked::Waiting) => {
                return Err(wrong("is not given yet: allow it on the page of OctoPrint, or type one"));
            }
            _ => return Ok(None),
        }
    };
    let here = form.text("url").map(normalise_url).and_then(Result::ok);
    if kept.of.is_some() && kept.of != here {
        return Err(wrong("is that of the OctoPrint at another address: type the key of this one, or ask it"));
    }
    Ok(Some(kept.key))
}

/// Returns the state of a key request, for the page that waits for it.
pub(super) async fn asked(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    Ok((private(), html(&AskedPart::of(&dashboard, &who, id)?)?).into_response())
}
