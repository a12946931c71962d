//! Request bodies for the secrets and certificates of a printer.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    domain::{printer_access::ProxyAuth, validation::ValidationErrors},
    http::api::request::merge_patch::{deserialize_nullable, reject_null},
    service::printer_access::ProxyAuthPatch,
};

/// User and password of a proxy in front of OctoPrint (HTTP basic authentication).
// No Debug: it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProxyAuth)]
pub struct ProxyAuthBody {
    /// Must not contain a colon. Returned as `proxy_user`.
    #[schema(min_length = 1, max_length = 200)]
    user: String,
    /// Stored encrypted, never returned.
    #[schema(min_length = 1, max_length = 4_000)]
    password: String,
}

impl ProxyAuthBody {
    /// Converts to the value that the printer registry stores.
    pub fn into_auth(self) -> ProxyAuth {
        ProxyAuth { user: self.user, password: self.password }
    }
}

/// A change of user and password. Absent fields are kept.
// No Debug: it may hold a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProxyAuthPatch)]
pub struct ProxyAuthPatchBody {
    /// Cannot be cleared alone.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    user: Option<Option<String>>,
    /// Cannot be cleared alone.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 4_000)]
    password: Option<Option<String>>,
}

impl ProxyAuthPatchBody {
    /// Converts to a patch. Records an error for each field that is null.
    pub fn into_patch(self, invalid: &mut ValidationErrors) -> ProxyAuthPatch {
        let mut refuse = |field: &str| invalid.add(format!("/proxy_auth/{field}"), "null", "rule-no-null");
        let user = reject_null(self.user, || refuse("user"));
        let password = reject_null(self.password, || refuse("password"));
        ProxyAuthPatch { user, password }
    }
}

/// Header values by header name.
pub type PrinterHeaders = BTreeMap<String, String>;
/// Like [`PrinterHeaders`]; null removes a header.
pub type PrinterHeadersPatch = BTreeMap<String, Option<String>>;
