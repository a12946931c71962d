//! Connection test in the forms of a printer. The result is shown in a frame, so the form keeps the typed values.

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::{access_fields::AccessFields, api_key_field::ApiKeyField};
use crate::{
    domain::printer::PrinterDetails,
    http::{
        dashboard::{
            Dashboard, filters,
            form::FormData,
            messages::t_with,
            page::{Failure, form_errors, render_html},
        },
        diagnosis,
    },
    service::{
        Error,
        access::Principal,
        connection_test::TestReport,
        diagnosis::{Diagnosis, DiagnosisCode},
    },
};

/// The policy of every page, except that this site may frame the result.
const FRAME_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'self'; \
     base-uri 'none'; form-action 'self'";
/// Form fields that are not sent back as they were typed.
const WITHHELD_FIELDS: [&str; 8] =
    ["url", "act", "api_key", "kept_key", "proxy_password", "headers", "camera_url", "kept_access"];

/// The result of a test, in the frame.
#[derive(Template)]
#[template(path = "printers/test_result.html")]
struct TestResultPage {
    is_good: bool,
    message: String,
    /// The next step.
    advice: String,
    suggestion: Option<AddressSuggestion>,
}

/// Another address for the form, with the other typed values.
struct AddressSuggestion {
    url: String,
    /// Path of the form.
    action: String,
    fields: Vec<(String, String)>,
}

/// Responds to a form that requested a test. `action` is the path of the form. `stored` is the registered printer that
/// it edits, if any.
pub(in crate::http::dashboard) fn respond(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    action: &str,
    stored: Option<&PrinterDetails>,
    result: Result<TestReport, Error>,
) -> Result<Response, Failure> {
    let page = match result {
        Ok(report) => {
            let suggested = report.diagnosis.as_ref().and_then(Diagnosis::suggested_url);
            let suggestion = suggested.map(|url| {
                let fields = preserved_fields(dashboard, who, form, stored)?;
                Ok::<_, Failure>(AddressSuggestion { url: url.to_owned(), action: action.to_owned(), fields })
            });
            TestResultPage::from_report(&report, suggestion.transpose()?)
        }
        Err(error) => TestResultPage::failed(form_errors(error)?.join(". "), String::new()),
    };
    Ok(([(header::CONTENT_SECURITY_POLICY, FRAME_POLICY)], render_html(&page)?).into_response())
}

/// Returns the typed values except the address. Secrets are sealed.
fn preserved_fields(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    stored: Option<&PrinterDetails>,
) -> Result<Vec<(String, String)>, Failure> {
    let access = AccessFields::from_form(dashboard, who, form, stored)?;
    let secrets = [
        ("kept_key", ApiKeyField::from_form(dashboard, who, form)?.sealed_key),
        ("kept_access", access.sealed),
        ("headers", Some(access.headers)),
    ];
    let secrets = secrets.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(form.fields().filter(|(name, _)| !WITHHELD_FIELDS.contains(&name.as_str())).cloned().chain(secrets).collect())
}

impl TestResultPage {
    fn failed(message: String, advice: String) -> Self {
        Self { is_good: false, message, advice, suggestion: None }
    }

    fn from_report(report: &TestReport, suggestion: Option<AddressSuggestion>) -> Self {
        let version = report.octoprint_version.as_deref().unwrap_or_default();
        let user = report.user.as_deref().unwrap_or_default();
        let works = t_with("printer-test-passed", &[("version", &version), ("user", &user)]);
        let Some(diagnosis) = &report.diagnosis else {
            return Self { is_good: true, message: works, advice: String::new(), suggestion };
        };
        let (problem, next) = (diagnosis::problem_text(diagnosis), diagnosis::next_step_text(diagnosis));
        // The printer works, only with polling.
        if diagnosis.code == DiagnosisCode::NoEvents && !user.is_empty() {
            return Self { is_good: true, message: works, advice: format!("{problem} {next}"), suggestion };
        }
        // If there is a button, it is the next step.
        let advice = if suggestion.is_some() { String::new() } else { next };
        Self { is_good: false, message: problem, advice, suggestion }
    }
}
