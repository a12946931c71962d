//! Connection test of a printer's forms. The result comes into a frame, so the form keeps what was typed.

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::{
    Dashboard,
    access_fields::AccessFields,
    filters,
    form::Form,
    key::KeyField,
    language::{fill, t},
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

/// As of every page, but for our own frame.
const FRAMED: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'self'; \
     base-uri 'none'; form-action 'self'";
/// Fields of a printer's form that are not sent back as they were typed.
const REPLACED: [&str; 8] =
    ["url", "act", "api_key", "kept_key", "proxy_password", "headers", "camera_url", "kept_access"];

/// Result of a test, for the frame.
#[derive(Template)]
#[template(path = "printers/tested.html")]
struct TestedPage {
    is_good: bool,
    what: String,
    /// The next step.
    todo: String,
    suggestion: Option<Suggestion>,
}

/// Another address for the form, with everything that was typed beside the address.
struct Suggestion {
    url: String,
    /// Path of the form.
    action: String,
    fields: Vec<(String, String)>,
}

/// Answers a form that asked for a test. `action` is its path; `stored`: the printer that it is about, where that is
/// registered.
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

/// What was typed, without the address; secrets are sealed.
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
        let works = fill(
            t("OctoPrint {version} answers, and knows the key as {user}."),
            &[("version", &version), ("user", &user)],
        );
        let Some(diagnosis) = &report.diagnosis else {
            return Self { is_good: true, what: works, todo: String::new(), suggestion };
        };
        let (what, next) = diagnosis::sentences(diagnosis.code);
        // It works, if more slowly.
        if diagnosis.code == Code::NoEvents && !user.is_empty() {
            return Self { is_good: true, what: works, todo: format!("{} {}", t(what), t(next)), suggestion };
        }
        // Where there is a button, that is the next step.
        let todo = if suggestion.is_some() { String::new() } else { diagnosis.fill(t(next)) };
        Self { is_good: false, what: diagnosis.fill(t(what)), todo, suggestion }
    }
}
