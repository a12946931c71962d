//! Secrets of printers: checked, sealed, changed by a patch, and opened for a client.

use std::collections::BTreeMap;

use url::Url;
use uuid::Uuid;

use super::{Services, error::Error};
use crate::{
    clock,
    domain::{
        message::Message,
        printer::{Printer, PrinterDetails},
        printer_access::{
            MAX_CERTIFICATE_TEXT, PrinterAccess, ProxyAuth, SecretKind, check_header_names, check_proxy_password,
            check_proxy_user,
        },
        validation::ValidationErrors,
    },
    octoprint::OctoPrint,
    outbound::{CertificateError, Certificates},
    secrets,
    storage::{
        self,
        printers::{ApiKeyChange, SealedAccess, SealedSecret, SecretChanges},
    },
};

/// A change of the secrets and certificates of a printer: `None` keeps a value, `Some(None)` clears it.
// No Debug: it may contain secrets.
#[derive(Clone, Default)]
pub struct AccessPatch {
    pub api_key: Option<Option<String>>,
    pub proxy_auth: Option<Option<ProxyAuthPatch>>,
    /// Headers by name. An absent header is kept, `None` removes it.
    pub headers: Option<Option<BTreeMap<String, Option<String>>>>,
    pub ca_certificate: Option<Option<String>>,
    pub camera_url: Option<Option<String>>,
}

/// A change of user and password. An absent value is kept.
// No Debug: it may contain a password.
#[derive(Clone, Default)]
pub struct ProxyAuthPatch {
    pub user: Option<String>,
    pub password: Option<String>,
}

impl AccessPatch {
    /// Returns whether the patch changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        let Self { api_key, proxy_auth, headers, ca_certificate, camera_url } = self;
        api_key.is_none()
            && proxy_auth.is_none()
            && headers.is_none()
            && ca_certificate.is_none()
            && camera_url.is_none()
    }

    /// Returns the names of the fields that change, for the audit.
    fn changed_fields(&self) -> impl Iterator<Item = &'static str> {
        let password =
            self.proxy_auth.as_ref().is_some_and(|auth| auth.as_ref().is_none_or(|auth| auth.password.is_some()));
        [
            ("api_key", self.api_key.is_some()),
            ("proxy_password", password),
            ("headers", self.headers.is_some()),
            ("ca_certificate", self.ca_certificate.is_some()),
            ("camera_url", self.camera_url.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_changed)| is_changed.then_some(name))
    }
}

/// Checks every value of an access, and normalises pasted values.
pub(super) fn checked_access(access: PrinterAccess) -> Result<PrinterAccess, ValidationErrors> {
    let mut invalid = ValidationErrors::default();
    let ca_certificate = access.ca_certificate.as_deref().and_then(|pem| checked_certificates(&mut invalid, pem));
    match access.validate() {
        Ok(access) => invalid.into_result(PrinterAccess { ca_certificate, ..access }),
        Err(mut errors) => {
            errors.0.extend(invalid.0);
            Err(errors)
        }
    }
}

/// Returns the certificates of a PEM text in their normal form.
fn checked_certificates(invalid: &mut ValidationErrors, pem: &str) -> Option<String> {
    let rule = if pem.len() > MAX_CERTIFICATE_TEXT {
        Message::new("rule-max-length").with("max", MAX_CERTIFICATE_TEXT)
    } else {
        match Certificates::parse(pem) {
            Ok(certificates) => return Some(certificates.to_pem()),
            Err(CertificateError::PrivateKey) => Message::new("rule-certificate-private-key"),
            Err(CertificateError::NotPem) => Message::new("rule-certificate-pem"),
            Err(CertificateError::NotCertificate) => Message::new("rule-certificate-unreadable"),
            Err(CertificateError::TooMany) => Message::new("rule-max-certificates").with("max", 20),
        }
    };
    invalid.add("/ca_certificate", "ca_certificate", rule);
    None
}

impl Services {
    /// Seals the secrets of a new printer.
    pub(super) fn seal_access(&self, printer_id: Uuid, access: &PrinterAccess) -> Result<SealedAccess, Error> {
        let api_key = access.api_key.as_deref().map(|key| self.vault.seal(printer_id, key)).transpose()?;
        let mut secrets = Vec::new();
        if let Some(auth) = &access.proxy_auth {
            secrets.push(self.seal_secret(SecretKind::ProxyPassword, &auth.password)?);
        }
        if !access.headers.is_empty() {
            secrets.push(self.seal_headers(&access.headers)?);
        }
        if let Some(url) = &access.camera_url {
            secrets.push(self.seal_secret(SecretKind::CameraUrl, url)?);
        }
        Ok(SealedAccess { api_key, secrets })
    }

    fn seal_secret(&self, kind: SecretKind, plain: &str) -> Result<SealedSecret, Error> {
        let id = clock::new_id();
        Ok(SealedSecret { id, kind, sealed: self.vault.seal(id, plain)? })
    }

    fn seal_headers(&self, headers: &BTreeMap<String, String>) -> Result<SealedSecret, Error> {
        let text = serde_json::to_string(headers).map_err(|error| Error::Internal(error.to_string()))?;
        self.seal_secret(SecretKind::Headers, &text)
    }

    fn open_secret(&self, sealed: &SealedAccess, kind: SecretKind) -> Result<Option<String>, secrets::Error> {
        sealed.secret(kind).map(|secret| self.vault.open(secret.id, &secret.sealed)).transpose()
    }

    fn open_headers(&self, sealed: &SealedAccess) -> Result<BTreeMap<String, String>, Error> {
        let text = self.open_secret(sealed, SecretKind::Headers)?;
        let headers = text.map(|text| serde_json::from_str(&text)).transpose();
        headers.map(Option::unwrap_or_default).map_err(|_| Error::Internal("stored headers are broken".to_owned()))
    }

    /// Opens the secrets of a printer.
    pub(super) fn open_access(&self, printer: &Printer, sealed: &SealedAccess) -> Result<PrinterAccess, Error> {
        let password = self.open_secret(sealed, SecretKind::ProxyPassword)?;
        let user = printer.details.proxy_user.clone();
        Ok(PrinterAccess {
            api_key: sealed.api_key.as_ref().map(|sealed| self.vault.open(printer.id, sealed)).transpose()?,
            proxy_auth: user.zip(password).map(|(user, password)| ProxyAuth { user, password }),
            headers: self.open_headers(sealed)?,
            ca_certificate: printer.details.ca_certificate.clone(),
            camera_url: self.open_secret(sealed, SecretKind::CameraUrl)?,
        })
    }

    /// Applies a patch to the details of a printer, and seals changed secrets. Adds the names of changed secrets to
    /// `changed`.
    pub(super) fn patch_access(
        &self,
        printer: &mut Printer,
        sealed: &SealedAccess,
        patch: AccessPatch,
        changed: &mut Vec<&'static str>,
    ) -> Result<SecretChanges, Error> {
        changed.extend(patch.changed_fields());
        let mut invalid = ValidationErrors::default();
        let mut changes = SecretChanges::from(ApiKeyChange::Keep);
        let details = &mut printer.details;
        if let Some(auth) = patch.proxy_auth {
            let is_stored = sealed.secret(SecretKind::ProxyPassword).is_some();
            match auth {
                None => {
                    details.proxy_user = None;
                    changes.others.push((SecretKind::ProxyPassword, None));
                }
                Some(auth) => {
                    if let Some(password) = patched_auth(&mut invalid, details, is_stored, auth) {
                        let secret = self.seal_secret(SecretKind::ProxyPassword, &password)?;
                        changes.others.push((SecretKind::ProxyPassword, Some(secret)));
                    }
                }
            }
        }
        let headers = match &patch.headers {
            None | Some(None) => BTreeMap::new(),
            Some(Some(patch)) => self.patched_headers(sealed, patch)?,
        };
        let new_access = PrinterAccess {
            api_key: patch.api_key.clone().flatten(),
            proxy_auth: None,
            headers,
            ca_certificate: patch.ca_certificate.clone().flatten(),
            camera_url: patch.camera_url.clone().flatten(),
        };
        let new_access = match checked_access(new_access) {
            Ok(new_access) => new_access,
            Err(errors) => {
                invalid.0.extend(errors.0);
                return Err(invalid.into());
            }
        };
        if patch.headers.is_some() {
            details.header_names = new_access.headers.keys().cloned().collect();
            let secret =
                if new_access.headers.is_empty() { None } else { Some(self.seal_headers(&new_access.headers)?) };
            changes.others.push((SecretKind::Headers, secret));
        }
        check_header_names(&mut invalid, details.header_names.iter(), details.proxy_user.is_some());
        if patch.ca_certificate.is_some() {
            details.ca_certificate = new_access.ca_certificate;
        }
        if patch.camera_url.is_some() {
            details.has_camera_url = new_access.camera_url.is_some();
            let secret = new_access.camera_url.map(|url| self.seal_secret(SecretKind::CameraUrl, &url)).transpose()?;
            changes.others.push((SecretKind::CameraUrl, secret));
        }
        if patch.api_key.is_some() {
            changes.api_key = match new_access.api_key {
                None => ApiKeyChange::Clear,
                Some(key) => ApiKeyChange::Set(self.vault.seal(printer.id, &key)?),
            };
        }
        Ok(invalid.into_result(changes)?)
    }

    /// Returns the access of a printer with a patch applied.
    pub(super) fn patched_access(
        &self,
        mut printer: Printer,
        sealed: SealedAccess,
        patch: AccessPatch,
    ) -> Result<PrinterAccess, Error> {
        let changes = self.patch_access(&mut printer, &sealed, patch, &mut Vec::new())?;
        self.open_access(&printer, &sealed.with_changes(changes))
    }

    /// Returns the stored headers with a patch applied. Stored headers that no key opens can only be cleared.
    fn patched_headers(
        &self,
        sealed: &SealedAccess,
        patch: &BTreeMap<String, Option<String>>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let lost = |_| ValidationErrors::single("/headers", "unreadable", "rule-headers-unreadable");
        let mut headers = self.open_headers(sealed).map_err(lost)?;
        for (name, value) in patch {
            let name = name.trim().to_lowercase();
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(&name)),
            }
        }
        Ok(headers)
    }

    /// Creates a client for a printer, with its opened secrets.
    pub(super) fn client_with_secrets(&self, printer: &Printer, sealed: &SealedAccess) -> Result<OctoPrint, Error> {
        self.client_for_url(&printer.details.url, &self.open_access(printer, sealed)?)
    }

    /// Creates a client for an address.
    pub(super) fn client_for_url(&self, url: &str, access: &PrinterAccess) -> Result<OctoPrint, Error> {
        let base = Url::parse(url).map_err(|error| Error::Internal(format!("a stored address is broken: {error}")))?;
        OctoPrint::new(base, access, self.outbound.clone())
            .map_err(|error| Error::Internal(format!("no client can be made: {error}")))
    }

    /// Reads a printer and its secrets from the registry, in one statement.
    pub(super) async fn sealed_printer(&self, id: Uuid) -> Result<(Printer, SealedAccess), Error> {
        let found = storage::printers::get_many_with_secrets(&self.db, &[id]).await?;
        found.into_iter().next().ok_or(Error::NotFound("printer"))
    }

    /// Creates a client for a registered printer.
    pub(super) async fn client_for_printer(&self, printer: &Printer) -> Result<OctoPrint, Error> {
        let (printer, sealed) = self.sealed_printer(printer.id).await?;
        self.client_with_secrets(&printer, &sealed)
    }
}

/// Applies a change of user and password to the details. Returns a new password. `is_stored`: a password is stored.
fn patched_auth(
    invalid: &mut ValidationErrors,
    details: &mut PrinterDetails,
    is_stored: bool,
    auth: ProxyAuthPatch,
) -> Option<String> {
    match auth.user.or(details.proxy_user.take()) {
        Some(user) => {
            check_proxy_user(invalid, &user);
            details.proxy_user = Some(user);
        }
        None => invalid.add("/proxy_auth/user", "required", "rule-given-with-password"),
    }
    match &auth.password {
        Some(password) => check_proxy_password(invalid, password),
        None if is_stored => {}
        None => invalid.add("/proxy_auth/password", "required", "rule-given-with-user"),
    }
    auth.password
}
