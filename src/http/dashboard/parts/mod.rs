//! The pages of parts: item numbers of an ERP, with the files that make them.

pub(super) mod edit;
mod fields;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Html,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Dashboard, filters, list_filters,
    messages::t,
    orders::show::judgement_label,
    page::{Failure, PageFrame, Visitor, render_html},
    time::TimeElement,
};
use crate::{
    domain::{
        part::{Part, PartFilter},
        requirements::Requirements,
    },
    service::{Error, access::Principal},
};

/// Number of parts per page.
const ROWS_PER_PAGE: usize = 50;

/// Query parameters of the list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PartListParams {
    q: String,
    /// The last number of the page before.
    after: String,
}

impl PartListParams {
    fn href(&self, after: &str) -> String {
        list_filters::href("/parts", &[("q", &self.q), ("after", after)])
    }
}

struct PartRow {
    href: String,
    number: String,
    title: String,
    revision: String,
    files: usize,
    updated_at: TimeElement,
}

#[derive(Template)]
#[template(path = "parts/list.html")]
struct PartListPage {
    frame: PageFrame,
    rows: Vec<PartRow>,
    first_href: Option<String>,
    next_href: Option<String>,
    params: PartListParams,
}

/// A file that makes the part.
struct PartFile {
    file_id: Uuid,
    /// `None`: the library no longer has it.
    name: Option<String>,
    models: String,
    parts_per_plate: u32,
}

#[derive(Template)]
#[template(path = "parts/show.html")]
struct PartPage {
    frame: PageFrame,
    number: String,
    title: String,
    version: i64,
    edit_href: String,
    remove_href: String,
    facts: Vec<(&'static str, String)>,
    files: Vec<PartFile>,
    order_href: String,
    updated_at: TimeElement,
}

/// Returns the path of a part's page. A number that is a path of its own (`/parts/new`) is encoded.
pub(super) fn part_path(number: &str) -> String {
    if number == "new" {
        return "/parts/%6Eew".to_owned();
    }
    format!("/parts/{}", utf8_percent_encode(number, NON_ALPHANUMERIC))
}

/// Returns the path of the form that changes a part.
fn edit_path(number: &str) -> String {
    format!("{}/edit", part_path(number))
}

pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<PartListParams>,
) -> Result<Html<String>, Failure> {
    let filter = PartFilter { text: list_filters::non_empty(&params.q).map(str::to_owned) };
    let after = list_filters::non_empty(&params.after);
    let one_more = i64::try_from(ROWS_PER_PAGE + 1).unwrap_or(i64::MAX);
    let mut parts = dashboard.services.list_parts(&who, &filter, after, one_more).await?;
    let has_more = parts.len() > ROWS_PER_PAGE;
    parts.truncate(ROWS_PER_PAGE);
    render_html(&PartListPage {
        frame: PageFrame::new(&who, "queue"),
        first_href: after.map(|_| params.href("")),
        next_href: parts.last().filter(|_| has_more).map(|last| params.href(&last.number)),
        rows: parts.into_iter().map(PartRow::from).collect(),
        params,
    })
}

impl From<Part> for PartRow {
    fn from(part: Part) -> Self {
        Self {
            href: part_path(&part.number),
            number: part.number,
            title: part.details.title,
            revision: part.details.revision,
            files: part.details.files.len(),
            updated_at: TimeElement::date_and_time(part.updated_at),
        }
    }
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Path(number): Path<String>,
) -> Result<Html<String>, Failure> {
    let part = dashboard.services.part(&who, &number).await?;
    let mut files = Vec::new();
    for file in &part.details.files {
        let name = find_file_name(&dashboard, &who, file.file_id).await?;
        let (file_id, parts_per_plate) = (file.file_id, file.parts_per_plate);
        files.push(PartFile { file_id, name, models: file.models.join(", "), parts_per_plate });
    }
    render_html(&PartPage {
        frame: PageFrame::new(&who, "queue"),
        order_href: list_filters::href("/queue/new", &[("part", &part.number)]),
        facts: part_facts(&part),
        files,
        updated_at: TimeElement::date_and_time(part.updated_at),
        version: part.version,
        edit_href: edit_path(&part.number),
        remove_href: format!("{}/remove", part_path(&part.number)),
        title: part.details.title,
        number: part.number,
    })
}

async fn find_file_name(dashboard: &Dashboard, who: &Principal, id: Uuid) -> Result<Option<String>, Failure> {
    match dashboard.services.file(who, id).await {
        Ok(file) => Ok(Some(file.name)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the fields of a part that are set, with their labels.
fn part_facts(part: &Part) -> Vec<(&'static str, String)> {
    let Requirements { material, color, nozzle_mm, tags_all, tags_any, printer_ids } = &part.details.requirements;
    let printers = if printer_ids.is_empty() { String::new() } else { printer_ids.len().to_string() };
    let facts = [
        (t("field-revision"), part.details.revision.clone()),
        (t("order-judgement"), judgement_label(part.details.judgement).to_owned()),
        (t("field-material"), material.clone().unwrap_or_default()),
        (t("field-color"), color.clone().unwrap_or_default()),
        (t("field-nozzle_mm"), nozzle_mm.map(|mm| mm.to_string()).unwrap_or_default()),
        (t("field-tags_all"), tags_all.join(", ")),
        (t("field-tags_any"), tags_any.join(", ")),
        (t("field-printer_ids"), printers),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}
