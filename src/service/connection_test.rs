//! Tests the address, the API key and the proxy settings of a printer before they are registered.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    diagnosis::Diagnosis,
    error::{Error, PrinterFailure},
    printer_access::{AccessPatch, checked_access},
};
use crate::{
    domain::{
        access::Role, printer::normalise_url, printer_access::PrinterAccess, state::Reachability,
        validation::ValidationErrors,
    },
    octoprint::{Error as PrinterError, EventSocket, OctoPrint, OctoPrintSession, RequestOptions},
};

/// Permissions that Printyard needs for a printer's key, by OctoPrint's documented names. The event socket needs
/// `STATUS`.
pub const NEEDED_PERMISSIONS: [&str; 8] =
    ["STATUS", "CONNECTION", "PRINT", "FILES_LIST", "FILES_UPLOAD", "FILES_SELECT", "FILES_DELETE", "CONTROL"];
/// Timeout of each request, because a user waits for the result.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Result of a test.
#[derive(Debug, Clone)]
pub struct TestReport {
    pub reachability: Reachability,
    pub octoprint_version: Option<String>,
    /// User of the key.
    pub user: Option<String>,
    pub missing_permissions: Vec<String>,
    /// None: the test found no problem.
    pub diagnosis: Option<Diagnosis>,
}

impl Services {
    /// Tests an address with access data.
    pub async fn test_printer(&self, who: &Principal, url: &str, access: PrinterAccess) -> Result<TestReport, Error> {
        who.require(Role::Manager)?;
        let (url, access) = checked_address(url, access)?;
        Ok(probe(&self.client_for_url(&url, &access)?, &access).await)
    }

    /// Tests a registered printer with a change applied. Values that the change keeps are read from the database.
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
        let report = self.test_printer(who, url, self.patched_access(printer, sealed, change)?).await?;
        if report.reachability == Reachability::Online {
            // The pages show it at once, not after the backoff of the printer.
            self.fleet.request_reading(id);
        }
        Ok(report)
    }
}

/// Checks and normalises an address and its access data before a test.
pub(super) fn checked_address(url: &str, access: PrinterAccess) -> Result<(String, PrinterAccess), ValidationErrors> {
    match (normalise_url(url), checked_access(access)) {
        (Ok(url), access) => Ok((url, access?)),
        (Err(rule), access) => {
            let mut invalid = ValidationErrors::single("/url", "url", rule);
            invalid.0.extend(access.err().unwrap_or_default().0);
            Err(invalid)
        }
    }
}

async fn probe(octoprint: &OctoPrint, access: &PrinterAccess) -> TestReport {
    let options = RequestOptions::with_timeout(TIMEOUT);
    let diagnosis = |error: &PrinterError| Diagnosis::from_error(error, octoprint.base(), access, TIMEOUT.as_secs());
    let mut report = TestReport {
        reachability: Reachability::Online,
        octoprint_version: None,
        user: None,
        missing_permissions: Vec::new(),
        diagnosis: None,
    };
    let version = octoprint.version(&options).await;
    // OctoPrint refuses the version both for a key without `STATUS` and for a wrong key. Only the login distinguishes
    // them.
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
            report.missing_permissions = find_missing_permissions(&session);
            if !report.missing_permissions.is_empty() {
                report.diagnosis = Some(Diagnosis::missing_permissions(&session.name, &report.missing_permissions));
            } else if refused {
                report.diagnosis = Some(diagnosis(&PrinterError::Unauthorized));
                report.reachability = Reachability::Unauthorized;
            }
            if report.diagnosis.is_none()
                && EventSocket::open_with_session(octoprint, &options, &session).await.is_err()
            {
                report.diagnosis = Some(Diagnosis::no_events());
            }
            report.user = Some(session.name);
        }
        // The login is needed for events only.
        Err(error)
            if report.octoprint_version.is_some()
                && classify_reachability(&error) != Reachability::Unauthorized
                && octoprint.job().get(&options).await.is_ok() =>
        {
            report.diagnosis = Some(Diagnosis::no_events());
        }
        Err(error) => {
            report.reachability = classify_reachability(&error);
            report.diagnosis = Some(diagnosis(&error));
        }
    }
    report
}

/// Returns the needed permissions that a key lacks.
fn find_missing_permissions(session: &OctoPrintSession) -> Vec<String> {
    let has = |right: &str| session.permissions.iter().any(|own| own == right);
    let lacks = |needed: &&&str| !has("admin") && !has(&needed.to_lowercase());
    NEEDED_PERMISSIONS.iter().filter(lacks).map(|needed| (*needed).to_owned()).collect()
}

fn classify_reachability(error: &PrinterError) -> Reachability {
    match error.into() {
        PrinterFailure::Unreachable => Reachability::Unreachable,
        PrinterFailure::Unauthorized => Reachability::Unauthorized,
        PrinterFailure::Protocol => Reachability::Incompatible,
    }
}
