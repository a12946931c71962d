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

use super::access_fields;
use crate::{
    domain::{access::Role, printer::normalise_url, printer_access::check_api_key, validation::ValidationErrors},
    http::{
        dashboard::{
            Dashboard,
            account::login::private_headers,
            filters,
            form::FormData,
            messages::t,
            page::{Failure, PathUuid, Visitor, render_html},
        },
        diagnosis::{next_step_text, problem_text},
    },
    service::{access::Principal, app_keys::KeyRequestState, sealed_form::FormPurpose},
};

/// The contents of the key field.
#[derive(Default)]
pub(in crate::http::dashboard) struct ApiKeyField {
    /// The key from the previous step, sealed.
    pub sealed_key: Option<String>,
    /// The result of a key request to OctoPrint.
    pub key_request: Option<KeyRequestPart>,
}

/// The part of a form that waits for OctoPrint.
#[derive(Template)]
#[template(path = "printers/_key_request.html")]
pub(in crate::http::dashboard) struct KeyRequestPart {
    id: Uuid,
    display: KeyRequestDisplay,
}

enum KeyRequestDisplay {
    Waiting,
    /// The key, sealed.
    Granted(String),
    /// Explanation, next step, and an address to use instead.
    Ended {
        message: String,
        advice: String,
        suggested_url: Option<String>,
    },
}

/// A key in a form. `of` is the address of the OctoPrint that granted it. The key is valid only there. `None` for a
/// typed key.
#[derive(Serialize, Deserialize)]
struct SealedKey {
    key: String,
    of: Option<String>,
}

impl ApiKeyField {
    /// Shows a submitted form again. A valid key is kept in sealed form, an invalid one is dropped.
    pub fn from_form(dashboard: &Dashboard, who: &Principal, form: &FormData) -> Result<Self, Failure> {
        let request_id = form.text("asked").and_then(|id| id.parse().ok());
        let key_request = request_id.map(|id| KeyRequestPart::load(dashboard, who, id)).transpose()?;
        let mut sealed_key = None;
        if let Some(key) = form.text("api_key") {
            let mut invalid = ValidationErrors::default();
            check_api_key(&mut invalid, key);
            if invalid.into_result(()).is_ok() {
                sealed_key = Some(seal_key(dashboard, who, key.to_owned(), None)?);
            }
        } else if !matches!(key_request, Some(KeyRequestPart { display: KeyRequestDisplay::Granted(_), .. })) {
            let sealed = form.text("kept_key").filter(|sealed| open_key(dashboard, who, sealed).is_some());
            sealed_key = sealed.map(str::to_owned);
        }
        Ok(Self { sealed_key, key_request })
    }

    /// Requests a key from the OctoPrint at the form's address. The new key replaces a typed one.
    pub async fn request_key(
        &mut self,
        dashboard: &Dashboard,
        who: &Principal,
        form: &FormData,
    ) -> Result<(), crate::service::Error> {
        // Missing values, such as a stored password, are not needed by every OctoPrint.
        let (access, _) = access_fields::parse_typed_access(dashboard, who, form)?;
        let id = dashboard.services.request_key(who, form.text("url").unwrap_or_default(), access).await?;
        let key_request = KeyRequestPart::load(dashboard, who, id)?;
        if !matches!(key_request.display, KeyRequestDisplay::Ended { .. }) {
            self.sealed_key = None;
        }
        self.key_request = Some(key_request);
        Ok(())
    }
}

impl KeyRequestPart {
    fn load(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<Self, crate::service::Error> {
        let ended = |what: &str| KeyRequestDisplay::Ended {
            message: what.to_owned(),
            advice: t("printer-key-request-next").to_owned(),
            suggested_url: None,
        };
        let display = match dashboard.services.key_request_state(who, id) {
            Some(KeyRequestState::Waiting) => KeyRequestDisplay::Waiting,
            Some(KeyRequestState::Granted { key, url }) => {
                KeyRequestDisplay::Granted(seal_key(dashboard, who, key, Some(url))?)
            }
            Some(KeyRequestState::Denied) => ended(t("printer-key-denied")),
            Some(KeyRequestState::TooLate) => ended(t("printer-key-timeout")),
            Some(KeyRequestState::Failed(diagnosis)) => {
                let suggested_url = diagnosis.suggested_url().map(str::to_owned);
                // If there is a button, it is the next step.
                let advice = if suggested_url.is_some() { String::new() } else { next_step_text(&diagnosis) };
                KeyRequestDisplay::Ended { message: problem_text(&diagnosis), advice, suggested_url }
            }
            None => ended(t("printer-key-request-lost")),
        };
        Ok(Self { id, display })
    }
}

fn seal_key(
    dashboard: &Dashboard,
    who: &Principal,
    key: String,
    url: Option<String>,
) -> Result<String, crate::service::Error> {
    let text = serde_json::to_string(&SealedKey { key, of: url });
    let text = text.map_err(|error| crate::service::Error::Internal(error.to_string()))?;
    dashboard.services.seal_for_form(who, FormPurpose::Key, &text)
}

fn open_key(dashboard: &Dashboard, who: &Principal, sealed: &str) -> Option<SealedKey> {
    serde_json::from_str(&dashboard.services.open_from_form(who, FormPurpose::Key, sealed)?).ok()
}

/// Returns the key of a form, from this step or a previous one. Fails if the kept key is no longer available, or
/// belongs to another address.
pub(in crate::http::dashboard) fn submitted_key(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
) -> Result<Option<String>, ValidationErrors> {
    if let Some(typed) = form.text("api_key") {
        return Ok(Some(typed.to_owned()));
    }
    let key_error = |rule: &'static str| ValidationErrors::single("/api_key", "not_kept", rule);
    let sealed_key = if let Some(sealed) = form.text("kept_key") {
        open_key(dashboard, who, sealed).ok_or_else(|| key_error("rule-api-key-lost"))?
    } else {
        let request_id = form.text("asked").and_then(|id| id.parse().ok());
        match request_id.and_then(|id| dashboard.services.key_request_state(who, id)) {
            Some(KeyRequestState::Granted { key, url }) => SealedKey { key, of: Some(url) },
            Some(KeyRequestState::Waiting) => return Err(key_error("rule-api-key-waiting")),
            _ => return Ok(None),
        }
    };
    let form_url = form.text("url").map(normalise_url).and_then(Result::ok);
    if sealed_key.of.is_some() && sealed_key.of != form_url {
        return Err(key_error("rule-api-key-elsewhere"));
    }
    Ok(Some(sealed_key.key))
}

/// Returns the state of a key request, for the page that waits for it.
pub(in crate::http::dashboard) async fn show_key_request(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    Ok((private_headers(), render_html(&KeyRequestPart::load(&dashboard, &who, id)?)?).into_response())
}
