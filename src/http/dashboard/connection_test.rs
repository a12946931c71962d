//! Connection test in the forms of a printer. The result is shown in a frame, so the form keeps the typed values.

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    Dashboard,
    access_fields::AccessFields,
    api_key_field::KeyField,
    filters,
    form::Form,
    messages::t_with,
    page::{Failure, html},
    register::sentences,
};
use crate::{
    domain::printer::PrinterDetails,
    http::diagnosis,
    service::{
        Error,
        access::Principal,
        diagnosis::{Code, Diagnosis},
        probe::TestReport,
    },
};

/// The policy of every page, except that this site may frame the result.
const FRAMED: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'self'; \
     base-uri 'none'; form-action 'self'";
/// Form fields that are not sent back as they were typed.
const REPLACED: [&str; 8] =
    ["url", "act", "api_key", "kept_key", "proxy_password", "headers", "camera_url", "kept_access"];

/// The result of a test, in the frame.
#[derive(Template)]
#[template(path = "printers/tested.html")]
struct TestedPage {
    is_good: bool,
    what: String,
    /// The next step.
    todo: String,
    suggestion: Option<Suggestion>,
}

/// Another address for the form, with the other typed values.
struct Suggestion {
    url: String,
    /// Path of the form.
    action: String,
    fields: Vec<(String, String)>,
}

/// Responds to a form that requested a test. `action` is the path of the form. `stored` is the registered printer that
/// it edits, if any.
pub(super) fn answer(
    dashboard: &Dashboard,
    who: &Principal,
    form: &Form,
    action: &str,
    stored: Option<&PrinterDetails>,
    tested: Result<TestReport, Error>,
) -> Result<Response, Failure> {
    let page = match tested {
        Ok(report) => {
            let suggested = report.diagnosis.as_ref().and_then(Diagnosis::suggested_url);
            let suggestion = suggested.map(|url| {
                let fields = fields(dashboard, who, form, stored)?;
                Ok::<_, Failure>(Suggestion { url: url.to_owned(), action: action.to_owned(), fields })
            });
            TestedPage::of(&report, suggestion.transpose()?)
        }
        Err(error) => TestedPage::bad(sentences(error)?.join(". "), String::new()),
    };
    Ok(([(header::CONTENT_SECURITY_POLICY, FRAMED)], html(&page)?).into_response())
}

/// Returns the typed values except the address. Secrets are sealed.
fn fields(
    dashboard: &Dashboard,
    who: &Principal,
    form: &Form,
    stored: Option<&PrinterDetails>,
) -> Result<Vec<(String, String)>, Failure> {
    let access = AccessFields::of(dashboard, who, form, stored)?;
    let secrets = [
        ("kept_key", KeyField::of(dashboard, who, form)?.kept),
        ("kept_access", access.kept),
        ("headers", Some(access.headers)),
    ];
    let secrets = secrets.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Ok(form.fields().filter(|(name, _)| !REPLACED.contains(&name.as_str())).cloned().chain(secrets).collect())
}

impl TestedPage {
    fn bad(what: String, todo: String) -> Self {
        Self { is_good: false, what, todo, suggestion: None }
    }

    fn of(report: &TestReport, suggestion: Option<Suggestion>) -> Self {
        let version = report.octoprint_version.as_deref().unwrap_or_default();
        let user = report.user.as_deref().unwrap_or_default();
        let works = t_with("printer-octoprint-answers-knows-key", &[("version", &version), ("user", &user)]);
        let Some(diagnosis) = &report.diagnosis else {
            return Self { is_good: true, what: works, todo: String::new(), suggestion };
        };
        let (problem, next) = (diagnosis::problem(diagnosis), diagnosis::next_step(diagnosis));
        // The printer works, only with polling.
        if diagnosis.code == Code::NoEvents && !user.is_empty() {
            return Self { is_good: true, what: works, todo: format!("{problem} {next}"), suggestion };
        }
        // If there is a button, it is the next step.
        let todo = if suggestion.is_some() { String::new() } else { next };
        Self { is_good: false, what: problem, todo, suggestion }
    }
}
