//! The form that creates or changes a part, and its removal.

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    fields::{FileRow, PartFields},
    find_file_name, part_path,
};
use crate::{
    domain::{access::Role, file::FileFilter, message::Message, part::check_number, validation::ValidationErrors},
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        messages::{t, t_with},
        orders::errors::FormErrors,
        page::{Failure, PageFrame, Visitor, render_html},
    },
    service::{Error, access::Principal},
};

/// Number of files that the form offers, newest first.
const MAX_FILES: i64 = 200;

/// Query parameters of the form for a new part: a number and a file that it begins with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct NewPartParams {
    number: String,
    file: String,
}

#[derive(Template)]
#[template(path = "parts/edit.html")]
struct PartFormPage {
    frame: PageFrame,
    /// Number and version of the part that is changed. `None`: a new part.
    stored: Option<(String, i64)>,
    /// Where the form is sent.
    action: String,
    back: String,
    fields: PartFields,
    errors: FormErrors,
    /// Ids and names of files.
    files: Vec<(String, String)>,
}

impl PartFormPage {
    /// Returns the id of the element that shows the error of a field.
    fn field_id(&self, row: &usize, name: &str) -> String {
        FileRow::field(*row, name)
    }
}

pub(in crate::http::dashboard) async fn show_new(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<NewPartParams>,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let fields = PartFields::for_new_part(params.number, params.file);
    render_form(&dashboard, &who, None, fields, FormErrors::default()).await
}

/// Creates a part and opens its page. If a field is wrong, the page shows the form again.
pub(in crate::http::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    save(&dashboard, &who, None, &form).await
}

pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Path(number): Path<String>,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let part = dashboard.services.part(&who, &number).await?;
    let ids = &part.details.requirements.printer_ids;
    let printers = dashboard.services.registered_printers(ids).await?;
    let found = ids.iter().filter_map(|id| printers.iter().find(|printer| printer.id == *id));
    let names = found.map(|printer| printer.details.name.clone()).collect();
    let fields = PartFields::from_part(&part, names);
    render_form(&dashboard, &who, Some((number, part.version)), fields, FormErrors::default()).await
}

/// Changes a part and opens its page. If a field is wrong, the page shows the form again.
pub(in crate::http::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Path(number): Path<String>,
    form: FormData,
) -> Result<Response, Failure> {
    save(&dashboard, &who, Some(number), &form).await
}

/// Removes a part that the user confirmed.
pub(in crate::http::dashboard) async fn remove(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Path(number): Path<String>,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    if !form.is_set("sure") {
        let text = t_with("part-remove-unconfirmed", &[("number", &number)]);
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "failure-unconfirmed", text));
    }
    dashboard.services.remove_part(&who, &number, parse_version(&form)).await?;
    Ok(Redirect::to("/parts").into_response())
}

/// Stores a part as the form says: a new one, or the one with this number.
async fn save(
    dashboard: &Dashboard,
    who: &Principal,
    number: Option<String>,
    form: &FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let mut fields = PartFields::from_form(form);
    let stored = number.map(|number| (number, parse_version(form)));
    if form.text("act") == Some("add_file") {
        fields.add_file_row();
        return render_form(dashboard, who, stored, fields, FormErrors::default()).await;
    }
    let (number, expected) = match &stored {
        Some((number, version)) => (number.clone(), Some(*version)),
        None => (fields.number.clone(), None),
    };
    let errors = match store(dashboard, who, &number, expected, &fields).await {
        Ok(()) => return Ok(Redirect::to(&part_path(&number)).into_response()),
        Err(Error::Stale) if stored.is_none() => {
            let mut taken = ValidationErrors::default();
            taken.add("/number", "taken", "rule-part-number-taken");
            FormErrors::from_rules(&taken.0)
        }
        Err(Error::Stale) => FormErrors::from_text(t("part-changed-meantime")),
        Err(error) => FormErrors::from_error_by_row(error)?,
    };
    render_form(dashboard, who, stored, fields, errors).await
}

async fn store(
    dashboard: &Dashboard,
    who: &Principal,
    number: &str,
    expected: Option<i64>,
    fields: &PartFields,
) -> Result<(), Error> {
    let mut invalid = ValidationErrors::default();
    let mut details = fields.parse(&mut invalid);
    details.requirements.printer_ids = find_printers(dashboard, who, &fields.printers, &mut invalid).await?;
    // The service checks these rules too, but only after the texts could be read. So every error is shown at once.
    check_number(&mut invalid, "/number", number);
    details.check(&mut invalid);
    invalid.into_result(())?;
    dashboard.services.put_part(who, number, expected, details).await.map(drop)
}

/// Returns the ids of printers by their names, one per line.
async fn find_printers(
    dashboard: &Dashboard,
    who: &Principal,
    names: &str,
    invalid: &mut ValidationErrors,
) -> Result<Vec<Uuid>, Error> {
    let names: Vec<&str> = names.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let printers = dashboard.services.all_printers(who).await?;
    let mut ids = Vec::new();
    for name in names {
        match printers.iter().find(|view| view.printer.details.name == name) {
            Some(view) => ids.push(view.printer.id),
            None => invalid.add(
                "/requirements/printer_ids",
                "not_found",
                Message::new("rule-printer-name").with("name", name),
            ),
        }
    }
    Ok(ids)
}

fn parse_version(form: &FormData) -> i64 {
    form.text("version").and_then(|version| version.parse().ok()).unwrap_or_default()
}

async fn render_form(
    dashboard: &Dashboard,
    who: &Principal,
    stored: Option<(String, i64)>,
    fields: PartFields,
    errors: FormErrors,
) -> Result<Response, Failure> {
    let library = dashboard.services.list_library(who, &FileFilter::default(), None, MAX_FILES).await?;
    let mut files: Vec<(String, String)> = library.into_iter().map(|file| (file.id.to_string(), file.name)).collect();
    // Older files that the form already has.
    for chosen in fields.files.iter().filter_map(|row| row.file_id.parse::<Uuid>().ok()) {
        if files.iter().all(|(id, _)| *id != chosen.to_string()) {
            let name = find_file_name(dashboard, who, chosen).await?;
            files.insert(0, (chosen.to_string(), name.unwrap_or_else(|| t("part-file-missing").to_owned())));
        }
    }
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = PartFormPage {
        frame: PageFrame::new(who, "queue"),
        action: stored.as_ref().map_or_else(|| "/parts/new".to_owned(), |(number, _)| super::edit_path(number)),
        back: stored.as_ref().map_or_else(|| "/parts".to_owned(), |(number, _)| part_path(number)),
        stored,
        fields,
        errors,
        files,
    };
    Ok((status, render_html(&page)?).into_response())
}
