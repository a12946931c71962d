//! The section "Proxy, TLS, camera" in the forms of a printer.
//!
//! Stored secrets are never sent to the browser in clear. A form that is shown again contains the typed secrets in
//! sealed form. A known header value is shown as a mask, and is kept as long as the mask stays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        printer::PrinterDetails,
        printer_access::{PrinterAccess, ProxyAuth, parse_headers},
        validation::ValidationErrors,
    },
    http::dashboard::{Dashboard, form::FormData, page::Failure},
    service::{
        Error,
        access::Principal,
        printer_access::{AccessPatch, ProxyAuthPatch},
        sealed_form::FormPurpose,
    },
};

/// Placeholder for a known header value. No header can have this value.
const MASK: &str = "••••••";

/// The contents of the section.
#[derive(Default)]
pub(in crate::http::dashboard) struct AccessFields {
    pub is_open: bool,
    pub proxy_user: String,
    /// A password is stored, or was typed in the previous step.
    pub has_password: bool,
    /// One header per line.
    pub headers: String,
    pub ca_certificate: String,
    /// A camera address is stored, or was typed in the previous step.
    pub has_camera_url: bool,
    /// A camera address is stored and can be removed.
    pub can_remove_camera: bool,
    pub remove_camera: bool,
    /// Secrets that were typed in the previous step, sealed.
    pub sealed: Option<String>,
}

/// The typed secrets of a form.
#[derive(Default, Serialize, Deserialize)]
struct TypedSecrets {
    password: Option<String>,
    headers: BTreeMap<String, String>,
    camera_url: Option<String>,
}

impl TypedSecrets {
    /// Merges the secrets of this step over those of the previous step.
    fn from_form(dashboard: &Dashboard, who: &Principal, form: &FormData) -> Self {
        let sealed = form.text("kept_access");
        let opened = sealed.and_then(|sealed| dashboard.services.open_from_form(who, FormPurpose::Access, sealed));
        let mut typed: Self = opened.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let password = form.secret("proxy_password");
        if !password.is_empty() {
            typed.password = Some(password.to_owned());
        }
        if let Some(url) = form.text("camera_url") {
            typed.camera_url = Some(url.to_owned());
        }
        // The caller reports invalid headers when it uses the form.
        let headers = parse_headers_field(form).unwrap_or_default();
        typed.headers.retain(|name, _| headers.contains_key(name));
        typed.headers.extend(headers.into_iter().filter(|(_, value)| value != MASK));
        typed
    }

    fn is_empty(&self) -> bool {
        self.password.is_none() && self.headers.is_empty() && self.camera_url.is_none()
    }
}

/// Returns the headers as they were typed.
fn parse_headers_field(form: &FormData) -> Result<BTreeMap<String, String>, ValidationErrors> {
    let text = form.text("headers").unwrap_or_default();
    parse_headers(text).map_err(|rule| ValidationErrors::single("/headers", "headers", rule))
}

fn mask_headers<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("{name}: {MASK}\n")).collect()
}

impl AccessFields {
    /// Shows the values of a registered printer.
    pub fn from_printer(details: &PrinterDetails) -> Self {
        Self {
            is_open: details.proxy_user.is_some()
                || !details.header_names.is_empty()
                || details.ca_certificate.is_some()
                || details.has_camera_url,
            proxy_user: details.proxy_user.clone().unwrap_or_default(),
            has_password: details.proxy_user.is_some(),
            headers: mask_headers(&details.header_names),
            ca_certificate: details.ca_certificate.clone().unwrap_or_default(),
            has_camera_url: details.has_camera_url,
            can_remove_camera: details.has_camera_url,
            ..Self::default()
        }
    }

    /// Shows a submitted form again. `stored` is the registered printer that the form edits, if any.
    pub fn from_form(
        dashboard: &Dashboard,
        who: &Principal,
        form: &FormData,
        stored: Option<&PrinterDetails>,
    ) -> Result<Self, Failure> {
        let typed = TypedSecrets::from_form(dashboard, who, form);
        let text = |name: &str| form.text(name).unwrap_or_default().to_owned();
        // Text that is not a list of headers may hold a secret, so it is not sent back.
        let headers = parse_headers_field(form).map(|headers| mask_headers(headers.keys())).unwrap_or_default();
        let mut fields = Self {
            proxy_user: text("proxy_user"),
            has_password: typed.password.is_some() || stored.is_some_and(|stored| stored.proxy_user.is_some()),
            headers,
            ca_certificate: text("ca_certificate"),
            has_camera_url: typed.camera_url.is_some() || stored.is_some_and(|stored| stored.has_camera_url),
            can_remove_camera: stored.is_some_and(|stored| stored.has_camera_url),
            remove_camera: form.is_set("remove_camera"),
            ..Self::default()
        };
        if fields.ca_certificate.contains("PRIVATE KEY") {
            fields.ca_certificate.clear();
        }
        if !typed.is_empty() {
            let text = serde_json::to_string(&typed).map_err(|error| Error::Internal(error.to_string()))?;
            fields.sealed = Some(dashboard.services.seal_for_form(who, FormPurpose::Access, &text)?);
        }
        fields.is_open = fields.sealed.is_some()
            || fields.can_remove_camera
            || !(fields.proxy_user.is_empty() && fields.headers.is_empty() && fields.ca_certificate.is_empty());
        Ok(fields)
    }
}

/// Returns the access settings of a new printer.
pub(in crate::http::dashboard) fn parse_new_access(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    api_key: Option<String>,
) -> Result<PrinterAccess, ValidationErrors> {
    let (access, invalid) = parse_typed_access(dashboard, who, form)?;
    invalid.into_result(PrinterAccess { api_key, ..access })
}

/// Returns the typed access settings, and an error for each missing value.
pub(in crate::http::dashboard) fn parse_typed_access(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
) -> Result<(PrinterAccess, ValidationErrors), ValidationErrors> {
    let names = parse_headers_field(form)?;
    let typed = TypedSecrets::from_form(dashboard, who, form);
    let mut invalid = ValidationErrors::default();
    for name in names.keys().filter(|name| !typed.headers.contains_key(*name)) {
        invalid.add(format!("/headers/{name}"), "not_kept", "rule-enter-again");
    }
    let user = form.text("proxy_user").map(str::to_owned);
    let proxy_auth = ProxyAuth::from_parts(user, typed.password).unwrap_or_else(|(field, rule)| {
        invalid.add(format!("/proxy_auth/{field}"), "required", rule);
        None
    });
    let access = PrinterAccess {
        api_key: None,
        proxy_auth,
        headers: typed.headers,
        ca_certificate: form.text("ca_certificate").map(str::to_owned),
        camera_url: typed.camera_url,
    };
    Ok((access, invalid))
}

/// Returns the change of a registered printer's access settings.
pub(in crate::http::dashboard) fn parse_access_patch(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    before: &PrinterDetails,
    api_key: Option<String>,
) -> Result<AccessPatch, ValidationErrors> {
    let mut patch = AccessPatch { api_key: api_key.map(Some), ..AccessPatch::default() };
    // A form without this section changes none of its values.
    if !form.is_set("has_access") {
        return Ok(patch);
    }
    let names = parse_headers_field(form)?;
    let typed = TypedSecrets::from_form(dashboard, who, form);
    patch.proxy_auth = match form.text("proxy_user") {
        None if typed.password.is_some() => {
            return Err(ValidationErrors::single("/proxy_auth/user", "required", "rule-given-with-password"));
        }
        None => before.proxy_user.is_some().then_some(None),
        Some(user) if before.proxy_user.as_deref() == Some(user) && typed.password.is_none() => None,
        Some(user) => Some(Some(ProxyAuthPatch { user: Some(user.to_owned()), password: typed.password })),
    };
    let removed = before.header_names.iter().filter(|name| !names.contains_key(*name)).map(|name| (name.clone(), None));
    let headers: BTreeMap<_, _> =
        removed.chain(typed.headers.into_iter().map(|(name, value)| (name, Some(value)))).collect();
    let missing = names.keys().find(|name| !headers.contains_key(*name) && !before.header_names.contains(name));
    if let Some(name) = missing {
        return Err(ValidationErrors::single(format!("/headers/{name}"), "not_kept", "rule-enter-again"));
    }
    patch.headers = (!headers.is_empty()).then_some(Some(headers));
    let ca_certificate = form.text("ca_certificate").map(str::to_owned);
    let is_same =
        ca_certificate.as_deref().map(normalise_lines) == before.ca_certificate.as_deref().map(normalise_lines);
    patch.ca_certificate = (!is_same).then_some(ca_certificate);
    patch.camera_url = match typed.camera_url {
        Some(url) => Some(Some(url)),
        None => form.is_set("remove_camera").then_some(None),
    };
    Ok(patch)
}

/// Normalises line ends, which a browser may have changed.
fn normalise_lines(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}
