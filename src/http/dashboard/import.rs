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

use super::{
    Dashboard, filters,
    form::Form,
    messages::{t, t_with},
    page::{Failure, Frame, Visitor, html},
    register::sentences,
};
use crate::{
    domain::{access::Role, invalid::Invalid},
    service::{
        Error,
        access::Principal,
        import::{COLUMNS, Fate, Imported, Preview, text_of},
        sealed_form::Purpose,
    },
};

#[derive(Template)]
#[template(path = "printers/import.html")]
struct ImportPage {
    frame: Frame,
    columns: String,
    errors: Vec<String>,
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "printers/preview.html")]
struct PreviewPage {
    frame: Frame,
    rows: Vec<Line>,
    /// Number of rows by planned action.
    sums: Vec<String>,
    /// Number of printers that will be added.
    added: usize,
    /// The list, sealed.
    list: String,
    /// The planned actions differ from those of the previous preview.
    changed: bool,
}

/// A row on the page.
struct Line {
    number: u64,
    name: String,
    url: String,
    /// The other values of the row.
    more: String,
    fate: Fate,
    errors: Vec<String>,
}

impl ImportPage {
    fn of(who: &Principal) -> Self {
        Self { frame: Frame::of(who, "new"), columns: COLUMNS.join(", "), errors: Vec::new(), done: None }
    }

    fn refused(who: &Principal, error: Error) -> Result<Response, Failure> {
        let page = Self { errors: sentences(error)?, ..Self::of(who) };
        Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response())
    }
}

pub(super) async fn form(Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    html(&ImportPage::of(&who))
}

/// Previews a list.
pub(super) async fn look(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let list = given(multipart.map_err(|_| Failure::broken_form())?).await?;
    let looked = match text_of(&list) {
        Ok(list) => dashboard.services.preview_import(&who, &list).await.map(|preview| (preview, list)),
        Err(invalid) => Err(invalid.into()),
    };
    match looked {
        Ok((preview, list)) => {
            let sealed = dashboard.services.seal_for_form(&who, Purpose::List, &list)?;
            Ok(html(&PreviewPage::of(&who, preview, sealed, false)?)?.into_response())
        }
        Err(error) => ImportPage::refused(&who, error),
    }
}

/// Imports a list after its preview.
pub(super) async fn import(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let sealed = form.text("list").unwrap_or_default();
    let Some(list) = dashboard.services.open_from_form(&who, Purpose::List, sealed) else {
        let lost = Invalid::one("/list", "not_kept", "is not kept any more: give it once more");
        return ImportPage::refused(&who, lost.into());
    };
    let expected = form.number("number").and_then(|number| usize::try_from(number).ok()).unwrap_or_default();
    match dashboard.services.import_printers(&who, &list, expected).await {
        Ok(Imported::Done(n)) => {
            let done = t_with("printer-printer-imported", &[("n", &n)]);
            Ok(html(&ImportPage { done: Some(done), ..ImportPage::of(&who) })?.into_response())
        }
        Ok(Imported::Changed(preview)) => {
            let page = PreviewPage::of(&who, preview, sealed.to_owned(), true)?;
            Ok((StatusCode::CONFLICT, html(&page)?).into_response())
        }
        Err(error) => ImportPage::refused(&who, error),
    }
}

/// Returns the uploaded file, or the pasted text without a file.
async fn given(mut multipart: Multipart) -> Result<Vec<u8>, Failure> {
    let mut pasted = Vec::new();
    let refused = |error: axum::extract::multipart::MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::too_large(),
        _ => Failure::broken_form(),
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
    fn of(who: &Principal, preview: Preview, list: String, changed: bool) -> Result<Self, Failure> {
        let added = preview.added();
        let there = preview.rows.iter().filter(|row| row.fate == Fate::There).count();
        let wrong = preview.rows.len() - added - there;
        let mut sums = vec![t_with("printer-printer-will-added", &[("n", &added)])];
        if there > 0 {
            sums.push(t_with("printer-there-already-2", &[("n", &there)]));
        }
        if wrong > 0 {
            sums.push(t_with("printer-row-cannot-imported", &[("n", &wrong)]));
        }
        let rows = preview.rows.into_iter().map(|row| {
            let details = row.details;
            let mut more = vec![if row.has_key { t("printer-key") } else { t("printer-without-key") }.to_owned()];
            if row.has_access {
                more.push(t("printer-proxy-tls-camera-settings").to_owned());
            }
            more.extend(details.tags);
            more.extend([details.model, details.material, details.power_group].into_iter().flatten());
            if !details.enabled {
                more.push(t("printer-not-use").to_owned());
            }
            let errors = match &row.fate {
                Fate::Wrong(invalid) => sentences(Error::Invalid(invalid.clone()))?,
                Fate::Added | Fate::There => Vec::new(),
            };
            let (name, url, more) = (details.name, details.url, more.join(" · "));
            Ok(Line { number: row.line, name, url, more, fate: row.fate, errors })
        });
        let rows = rows.collect::<Result<_, Failure>>()?;
        Ok(Self { frame: Frame::of(who, "new"), rows, sums, added, list, changed })
    }
}
