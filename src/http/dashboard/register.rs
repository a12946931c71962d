//! A new printer: tried first, then added.

use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};

use super::{
    Dashboard, filters,
    form::Form,
    page::{Failure, Frame, Visitor, html},
};
use crate::{
    domain::{access::Role, printer::PrinterDetails},
    service::Error,
};

#[derive(Template)]
#[template(path = "printers/new.html")]
struct NewPage {
    frame: Frame,
    name: String,
    url: String,
    /// Whether a key was typed. It is not sent back: a page may be kept by the browser, or by whoever sits in between.
    key_typed: bool,
    tags: String,
    power_group: String,
    /// What is wrong with what was typed.
    errors: Vec<String>,
}

/// What a test found. It comes into a frame of the form, which keeps all that was typed, the key among it.
#[derive(Template)]
#[template(path = "printers/tested.html")]
struct TestedPage {
    well: bool,
    words: String,
}

/// As of every page, but for our own frame.
const FRAMED: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'self'; \
     base-uri 'none'; form-action 'none'";

impl NewPage {
    fn of(frame: Frame, form: &Form) -> Self {
        let text = |name: &str| form.text(name).unwrap_or_default().to_owned();
        Self {
            frame,
            name: text("name"),
            // A user and a password in it are refused, and not sent back.
            url: if text("url").contains('@') { String::new() } else { text("url") },
            key_typed: form.is_set("api_key"),
            tags: text("tags"),
            power_group: text("power_group"),
            errors: Vec::new(),
        }
    }
}

pub(super) async fn form(Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    let frame = Frame::of(&who, "new");
    html(&NewPage {
        frame,
        name: String::new(),
        url: "http://".to_owned(),
        key_typed: false,
        tags: String::new(),
        power_group: String::new(),
        errors: Vec::new(),
    })
}

pub(super) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let mut page = NewPage::of(Frame::of(&who, "new"), &form);
    let key = form.text("api_key").map(str::to_owned);
    let url = form.text("url").unwrap_or_default();
    if form.text("act") == Some("test") {
        let (well, words) = match dashboard.services.test_printer(&who, url, key).await {
            Ok(report) => match report.problem {
                Some((_, problem)) => (false, problem),
                None => {
                    let version = report.octoprint_version.unwrap_or_default();
                    let user = report.user.unwrap_or_default();
                    (true, format!("OctoPrint {version} answers, and knows the key as {user}."))
                }
            },
            Err(error) => (false, sentences(error)?.join(". ")),
        };
        let policy = [(header::CONTENT_SECURITY_POLICY, FRAMED)];
        return Ok((policy, html(&TestedPage { well, words })?).into_response());
    }
    let mut details = PrinterDetails::new(page.name.clone(), url);
    details.tags = page.tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    details.power_group = form.text("power_group").map(str::to_owned);
    match dashboard.services.register_printer(&who, details, key).await {
        Ok(view) => Ok(Redirect::to(&format!("/printers/{}", view.printer.id)).into_response()),
        Err(error) => {
            page.errors = sentences(error)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
        }
    }
}

/// What a person can mend in the form; everything else is a page of its own.
pub(super) fn sentences(error: Error) -> Result<Vec<String>, Failure> {
    match error {
        Error::Conflict { detail, .. } => Ok(vec![detail]),
        error @ Error::Invalid(_) => Ok(Failure::from(error).details),
        other => Err(other.into()),
    }
}
