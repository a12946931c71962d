//! Imports printers from a list: upload or paste, preview each row, then import.
//!
//! The form of the second step contains the sealed list, because the list may contain API keys. The server stores
//! nothing of a list that is never imported.

use askama::Template;
use axum::{
    extract::{Multipart, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::import_result::{ImportAnswers, ImportResultPage};
use crate::{
    domain::{access::Role, printer_profile::FieldKind, validation::ValidationErrors},
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        messages::{t, t_with},
        page::{Failure, PageFrame, Visitor, form_errors, render_html},
    },
    service::{
        Error,
        access::Principal,
        import::{ImportPreview, ImportResult, ImportRow, RowResult, decode_text, list_columns},
        sealed_form::FormPurpose,
    },
};

#[derive(Template)]
#[template(path = "printers/import.html")]
struct ImportPage {
    frame: PageFrame,
    columns: String,
    errors: Vec<String>,
}

#[derive(Template)]
#[template(path = "printers/import_preview.html")]
struct PreviewPage {
    frame: PageFrame,
    import_rows: Vec<PreviewRow>,
    /// Number of rows by planned action.
    summary: Vec<String>,
    /// Number of printers that will be added.
    added: usize,
    /// The list, sealed.
    sealed_list: String,
    /// The planned actions differ from those of the previous preview.
    changed: bool,
}

/// A row on the page.
pub(super) struct PreviewRow {
    pub line_number: u64,
    pub name: String,
    url: String,
    /// The other values of the row.
    other_values: String,
    result: RowResult,
    pub errors: Vec<String>,
}

impl ImportPage {
    fn new(who: &Principal) -> Self {
        Self { frame: PageFrame::new(who, "settings"), columns: list_columns().join(", "), errors: Vec::new() }
    }

    fn render_error(who: &Principal, error: Error) -> Result<Response, Failure> {
        let page = Self { errors: form_errors(error)?, ..Self::new(who) };
        Ok((StatusCode::UNPROCESSABLE_ENTITY, render_html(&page)?).into_response())
    }
}

pub(in crate::http::dashboard) async fn show_form(Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    render_html(&ImportPage::new(&who))
}

/// Previews a list.
pub(in crate::http::dashboard) async fn preview(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let list = read_upload(multipart.map_err(|_| Failure::invalid_form())?).await?;
    let previewed = match decode_text(&list) {
        Ok(list) => dashboard.services.preview_import(&who, &list).await.map(|preview| (preview, list)),
        Err(invalid) => Err(invalid.into()),
    };
    match previewed {
        Ok((preview, list)) => {
            let sealed = dashboard.services.seal_for_form(&who, FormPurpose::List, &list)?;
            Ok(render_html(&PreviewPage::from_preview(&who, preview, sealed, false)?)?.into_response())
        }
        Err(error) => ImportPage::render_error(&who, error),
    }
}

/// Imports a list after its preview.
pub(in crate::http::dashboard) async fn confirm(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let sealed = form.text("list").unwrap_or_default();
    let Some(list) = dashboard.services.open_from_form(&who, FormPurpose::List, sealed) else {
        let lost = ValidationErrors::single("/list", "not_kept", "rule-list-lost");
        return ImportPage::render_error(&who, lost.into());
    };
    let expected = form.number("number").and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
    let preview = match dashboard.services.preview_import(&who, &list).await {
        Ok(preview) => preview,
        Err(error) => return ImportPage::render_error(&who, error),
    };
    match dashboard.services.import_printers(&who, &list, expected).await {
        Ok(ImportResult::Done(n)) => {
            let (added, left_out): (Vec<_>, Vec<_>) =
                preview.rows.into_iter().partition(|row| row.result == RowResult::Added);
            let names: Vec<String> = added.into_iter().map(|row| row.details.name).collect();
            let answers = ImportAnswers::of_names(&dashboard, &who, &names).await?;
            let page = ImportResultPage {
                frame: PageFrame::new(&who, "settings"),
                done: t_with("printer-imported", &[("n", &n)]),
                answers,
                left_out: left_out.into_iter().map(PreviewRow::from_row).collect::<Result<_, Failure>>()?,
            };
            Ok(render_html(&page)?.into_response())
        }
        Ok(ImportResult::Changed(preview)) => {
            let page = PreviewPage::from_preview(&who, preview, sealed.to_owned(), true)?;
            Ok((StatusCode::CONFLICT, render_html(&page)?).into_response())
        }
        Err(error) => ImportPage::render_error(&who, error),
    }
}

/// Returns the uploaded file, or the pasted text without a file.
async fn read_upload(mut multipart: Multipart) -> Result<Vec<u8>, Failure> {
    let mut pasted = Vec::new();
    let refused = |error: axum::extract::multipart::MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large(),
        _ => Failure::invalid_form(),
    };
    while let Some(field) = multipart.next_field().await.map_err(refused)? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(refused)?;
        match name.as_str() {
            "file" if !bytes.is_empty() => return Ok(bytes.into()),
            "text" => pasted = bytes.into(),
            _ => {}
        }
    }
    Ok(pasted)
}

impl PreviewPage {
    fn from_preview(
        who: &Principal,
        preview: ImportPreview,
        sealed_list: String,
        changed: bool,
    ) -> Result<Self, Failure> {
        let added = preview.count_added();
        let existing = preview.rows.iter().filter(|row| row.result == RowResult::Registered).count();
        let invalid = preview.rows.len() - added - existing;
        let mut summary = vec![t_with("printer-import-added", &[("n", &added)])];
        if existing > 0 {
            summary.push(t_with("printer-import-existing", &[("n", &existing)]));
        }
        if invalid > 0 {
            summary.push(t_with("printer-import-invalid", &[("n", &invalid)]));
        }
        let rows = preview.rows.into_iter().map(PreviewRow::from_row).collect::<Result<_, Failure>>()?;
        Ok(Self { frame: PageFrame::new(who, "settings"), import_rows: rows, summary, added, sealed_list, changed })
    }
}

impl PreviewRow {
    fn from_row(row: ImportRow) -> Result<Self, Failure> {
        let details = row.details;
        let mut other_values =
            vec![if row.has_key { t("printer-import-with-key") } else { t("printer-import-without-key") }.to_owned()];
        if row.has_access {
            other_values.push(t("printer-import-with-access").to_owned());
        }
        other_values.extend(details.tags);
        let lines = details.profile.values().filter(|(field, _)| matches!(field.kind, FieldKind::Line { .. }));
        other_values.extend(lines.map(|(_, value)| value.to_string()).filter(|text| !text.is_empty()));
        if !details.enabled {
            other_values.push(t("printer-import-disabled").to_owned());
        }
        let errors = match &row.result {
            RowResult::Invalid(invalid) => form_errors(Error::Invalid(invalid.clone()))?,
            RowResult::Added | RowResult::Registered => Vec::new(),
        };
        let (name, url, more) = (details.name, details.url, other_values.join(" · "));
        Ok(Self { line_number: row.line, name, url, other_values: more, result: row.result, errors })
    }
}
