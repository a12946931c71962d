//! Tests the address, the API key and the proxy settings of a printer before they are registered.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    diagnosis::Diagnosis,
    error::Error,
    printer_access::{AccessPatch, checked_access},
};
use crate::{
    domain::{
        access::Role, invalid::Invalid, printer::normalise_url, printer_access::PrinterAccess, state::Reachability,
    },
    octoprint::{Error as PrinterError, OctoPrint, Push, RequestOptions, Session},
};

/// Permissions that Printyard needs of a printer's key (OctoPrint's names, documented; `STATUS` carries the push).
pub const NEEDED_PERMISSIONS: [&str; 8] =
    ["STATUS", "CONNECTION", "PRINT", "FILES_LIST", "FILES_UPLOAD", "FILES_SELECT", "FILES_DELETE", "CONTROL"];
/// A person waits for the result.
const WITHIN: Duration = Duration::from_secs(5);

/// Result of a test.
#[derive(Debug, Clone)]
pub struct TestReport {
    pub reachability: Reachability,
    pub octoprint_version: Option<String>,
    /// Owner of the key.
    pub user: Option<String>,
    pub missing_permissions: Vec<String>,
    /// None when all is well.
    pub diagnosis: Option<Diagnosis>,
}

impl Services {
    /// Tests an address with an access.
    pub async fn test_printer(&self, who: &Principal, url: &str, access: PrinterAccess) -> Result<TestReport, Error> {
        who.require(Role::Manager)?;
        let (url, access) = checked_address(url, access)?;
        Ok(probe(&self.client_for(&url, &access)?, &access).await)
    }

    /// Tests a registered printer as a change would make it: what the change keeps is stored.
    pub async fn test_change(
        &self,
        who: &Principal,
        id: Uuid,
        url: &str,
        change: AccessPatch,
    ) -> Result<TestReport, Error> {
        who.require(Role::Manager)?;
        let (printer, sealed) = self.sealed_printer(id).await?;
        if !who.may_see(&printer) {
            return Err(Error::NotFound("printer"));
        }
        self.test_printer(who, url, self.patched_access(printer, sealed, change)?).await
    }
}

/// Checks an address and an access that are to be tested, and brings them into their normal form.
pub(super) fn checked_address(url: &str, access: PrinterAccess) -> Result<(String, PrinterAccess), Invalid> {
    match (normalise_url(url), checked_access(access)) {
        (Ok(url), access) => Ok((url, access?)),
        (Err(rule), access) => {
            let mut invalid = Invalid::one("/url", "url", rule);
            invalid.0.extend(access.err().unwrap_or_default().0);
            Err(invalid)
        }
    }
}

async fn probe(octoprint: &OctoPrint, access: &PrinterAccess) -> TestReport {
    let options = RequestOptions::within(WITHIN);
    let diagnosis = |error: &PrinterError| Diagnosis::of(error, octoprint.base(), access, WITHIN.as_secs());
    let mut report = TestReport {
        reachability: Reachability::Online,
        octoprint_version: None,
        user: None,
        missing_permissions: Vec::new(),
        diagnosis: None,
    };
    let version = octoprint.version(&options).await;
    // A key that lacks STATUS is refused the version as a wrong one is; only the login distinguishes them.
    let refused = version == Err(PrinterError::Unauthorized) && access.api_key.is_some();
    let result = match version {
        Ok(version) => {
            report.octoprint_version = Some(version.server);
            octoprint.login(&options).await
        }
        Err(_) if refused => octoprint.login(&options).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(session) => {
            report.missing_permissions = missing(&session);
            if !report.missing_permissions.is_empty() {
                report.diagnosis = Some(Diagnosis::missing_permissions(&session.name, &report.missing_permissions));
            } else if refused {
                report.diagnosis = Some(diagnosis(&PrinterError::Unauthorized));
                report.reachability = Reachability::Unauthorized;
            }
            if report.diagnosis.is_none() && Push::open_with(octoprint, &options, &session).await.is_err() {
                report.diagnosis = Some(Diagnosis::no_events());
            }
            report.user = Some(session.name);
        }
        // The login is needed for events only.
        Err(error)
            if report.octoprint_version.is_some()
                && reachability(&error) != Reachability::Unauthorized
                && octoprint.job().get(&options).await.is_ok() =>
        {
            report.diagnosis = Some(Diagnosis::no_events());
        }
        Err(error) => {
            report.reachability = reachability(&error);
            report.diagnosis = Some(diagnosis(&error));
        }
    }
    report
}

/// Needed permissions that a key lacks.
fn missing(session: &Session) -> Vec<String> {
    let has = |right: &str| session.rights.iter().any(|own| own == right);
    let lacks = |needed: &&&str| !has("admin") && !has(&needed.to_lowercase());
    NEEDED_PERMISSIONS.iter().filter(lacks).map(|needed| (*needed).to_owned()).collect()
}

fn reachability(error: &PrinterError) -> Reachability {
    use PrinterError as E;
    match error {
        E::Unauthorized | E::ProxyLogin => Reachability::Unauthorized,
        E::Offline { .. }
        | E::Blocked(_)
        | E::Timeout { .. }
        | E::Silent { .. }
        | E::Lost { .. }
        | E::Server { .. } => Reachability::Unreachable,
        E::Invalid { .. }
        | E::Conflict { .. }
        | E::NotFound
        | E::Refused { .. }
        | E::Protocol { .. }
        | E::Redirected { .. }
        | E::NoSocket { .. } => Reachability::Incompatible,
    }
}
