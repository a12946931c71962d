//! The page of one library file: facts, corrections, where it is, and the printers that can print it.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    change::{CorrectionField, correction_fields},
    facts::{FileCard, format_number, grams_text, used_tools},
};
use crate::{
    domain::{
        file::{AnalysisState, LibraryFile},
        fit::{Fit, fit},
        printer_content::{PrinterContent, PrinterContentState, TransferProgress},
    },
    http::dashboard::{
        Dashboard,
        farm::status_group::StatusGroup,
        filters,
        messages::{t, t_with, text_of},
        page::{Failure, PageFrame, PathUuid, Visitor, field_label, render_html},
        time::{TimeElement, format_size},
    },
    service::access::Principal,
};

/// Query parameters of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct FileParams {
    /// `ignore`: printers that the file does not fit can be chosen, too.
    fit: String,
}

/// A printer that has the file, or is to get it.
struct PlaceRow {
    printer_id: Uuid,
    name: String,
    label: String,
    class: &'static str,
    /// Of a running transfer, from 0 to 100.
    percent: Option<u64>,
}

/// The table of printers that have a file. The page reloads it.
#[derive(Template)]
#[template(path = "files/_places.html")]
pub(in crate::http::dashboard) struct FilePlaces {
    id: Uuid,
    rows: Vec<PlaceRow>,
}

/// A printer for the file.
struct PrinterChoice {
    id: Uuid,
    name: String,
    group: StatusGroup,
    /// When the print of the printer ends.
    ends_at: Option<TimeElement>,
    /// Model, nozzle and material.
    details: String,
    /// Why the file does not fit.
    contradiction: Option<String>,
    has_file: bool,
}

/// Printers that fit the file equally well.
struct PrinterChoices {
    title: &'static str,
    rows: Vec<PrinterChoice>,
    is_open: bool,
    can_choose: bool,
}

#[derive(Template)]
#[template(path = "files/show.html")]
struct FilePage {
    frame: PageFrame,
    card: FileCard,
    version: i64,
    folder_href: String,
    facts: Vec<(String, String)>,
    is_unreadable: bool,
    places: FilePlaces,
    choices: Vec<PrinterChoices>,
    ignores_fit: bool,
    corrections: Vec<CorrectionField>,
    has_corrections: bool,
    errors: Vec<String>,
}

impl FilePage {
    fn can_choose(&self) -> bool {
        self.choices.iter().any(|group| group.can_choose)
    }
}

pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    Query(params): Query<FileParams>,
) -> Result<Html<String>, Failure> {
    let file = dashboard.services.file(&who, id).await?;
    render_page(&dashboard, &who, &file, params.fit == "ignore", Vec::new(), None).await
}

/// Returns the page with the errors of a form, and the values that were typed into it.
pub(super) async fn show_errors(
    dashboard: &Dashboard,
    who: &Principal,
    file: &LibraryFile,
    status: StatusCode,
    errors: Vec<String>,
    typed: Option<Vec<CorrectionField>>,
) -> Result<Response, Failure> {
    Ok((status, render_page(dashboard, who, file, false, errors, typed).await?).into_response())
}

async fn render_page(
    dashboard: &Dashboard,
    who: &Principal,
    file: &LibraryFile,
    ignores_fit: bool,
    errors: Vec<String>,
    typed: Option<Vec<CorrectionField>>,
) -> Result<Html<String>, Failure> {
    let places = dashboard.services.places_of_content(who, &file.content.sha256).await?;
    let present = places.iter().filter(|(place, _)| place.state == PrinterContentState::Present);
    let present: HashSet<Uuid> = present.map(|(place, _)| place.printer_id).collect();
    let counts = HashMap::from([(file.content.sha256.clone(), present.len())]);
    let has_corrections = typed.is_some();
    render_html(&FilePage {
        frame: PageFrame::new(who, "files"),
        card: FileCard::new(file, &counts),
        version: file.version,
        folder_href: crate::http::dashboard::list_filters::href("/files", &[("folder", &file.folder)]),
        facts: list_facts(file),
        is_unreadable: file.content.analysis == AnalysisState::Failed,
        places: list_places(dashboard, who, file.id, places).await?,
        choices: list_choices(dashboard, who, file, &present, ignores_fit).await?,
        ignores_fit,
        has_corrections: has_corrections || file.overrides != Default::default(),
        corrections: typed.unwrap_or_else(|| correction_fields(file)),
        errors,
    })
}

/// Returns the table of printers that have the file.
pub(in crate::http::dashboard) async fn show_places(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Html<String>, Failure> {
    let file = dashboard.services.file(&who, id).await?;
    let places = dashboard.services.places_of_content(&who, &file.content.sha256).await?;
    render_html(&list_places(&dashboard, &who, id, places).await?)
}

async fn list_places(
    dashboard: &Dashboard,
    who: &Principal,
    id: Uuid,
    places: Vec<(PrinterContent, Option<TransferProgress>)>,
) -> Result<FilePlaces, Failure> {
    let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
    let mut places: HashMap<Uuid, _> = places.into_iter().map(|place| (place.0.printer_id, place)).collect();
    // In the order of the printers' names.
    let rows = entries.iter().filter_map(|entry| {
        let (place, progress) = places.remove(&entry.id())?;
        Some(place_row(&place, progress, entry.view.printer.details.name.clone()))
    });
    Ok(FilePlaces { id, rows: rows.collect() })
}

fn place_row(place: &PrinterContent, progress: Option<TransferProgress>, name: String) -> PlaceRow {
    let percent = progress.map(|progress| progress.sent_bytes * 100 / progress.size.max(1));
    let (label, class) = match (place.state, percent) {
        (_, Some(percent)) => (t_with("file-place-sending", &[("percent", &percent)]), "quiet"),
        (PrinterContentState::Queued | PrinterContentState::Sending, None) => {
            (t("file-place-queued").to_owned(), "quiet")
        }
        (PrinterContentState::Present, None) => (t("file-place-present").to_owned(), "good"),
        (PrinterContentState::Removing, None) => (t("file-place-removing").to_owned(), "quiet"),
        (PrinterContentState::Failed, None) => {
            (place.detail.as_ref().map_or_else(|| t("file-place-failed").to_owned(), text_of), "bad")
        }
    };
    PlaceRow { printer_id: place.printer_id, name, label, class, percent }
}

/// Returns the enabled printers, those that fit the file first.
async fn list_choices(
    dashboard: &Dashboard,
    who: &Principal,
    file: &LibraryFile,
    present: &HashSet<Uuid>,
    ignores_fit: bool,
) -> Result<Vec<PrinterChoices>, Failure> {
    let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
    let facts = file.facts();
    let (mut matching, mut possible, mut contradicting) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| entry.view.printer.details.enabled) {
        let details = &entry.view.printer.details;
        let profile = &details.profile;
        let nozzle = profile.nozzle_mm.map(|nozzle| format!("{} mm", format_number(nozzle, 3)));
        let facts_of_printer = [profile.model.clone(), nozzle, profile.material.clone()];
        let mut choice = PrinterChoice {
            id: entry.id(),
            name: details.name.clone(),
            group: entry.group,
            ends_at: entry.ends_at().map(TimeElement::time_of_day),
            details: facts_of_printer.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            contradiction: None,
            has_file: present.contains(&entry.id()),
        };
        match fit(&facts, profile) {
            Fit::Matches => matching.push(choice),
            Fit::Possible => possible.push(choice),
            Fit::Contradicts(why) => {
                choice.contradiction = Some(text_of(&why));
                contradicting.push(choice);
            }
        }
    }
    let has_better = !matching.is_empty();
    let groups = [
        (t("file-fit-matches"), matching, true, true),
        (t("file-fit-possible"), possible, !has_better, true),
        (t("file-fit-contradicts"), contradicting, ignores_fit, ignores_fit),
    ];
    let groups = groups.into_iter().filter(|(_, rows, ..)| !rows.is_empty());
    let groups = groups.map(|(title, mut rows, is_open, can_choose)| {
        // Printers that can start now come first. The sort keeps the order of the names.
        rows.sort_by_key(|row| row.group != StatusGroup::Ready);
        PrinterChoices { title, rows, is_open, can_choose }
    });
    Ok(groups.collect())
}

fn list_facts(file: &LibraryFile) -> Vec<(String, String)> {
    let facts = file.facts();
    let card = FileCard::new(file, &HashMap::new());
    let mut shown = Vec::new();
    let mut add = |name: String, value: Option<String>| {
        shown.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
    };
    add(t("file-print-time").to_owned(), card.time);
    let tools: Vec<_> = used_tools(&facts).collect();
    for tool in &tools {
        let grams = tool.filament_g.map(grams_text);
        let metres = tool.filament_mm.map(|mm| format!("{} m", format_number(mm / 1_000.0, 2)));
        // The materials of the file have their own line.
        let material = tool.material.clone().filter(|_| tools.len() > 1);
        let parts = [material, grams, metres];
        let label = match tools.len() {
            1 => t("file-filament").to_owned(),
            _ => t_with("file-filament-of-tool", &[("tool", &tool.tool)]),
        };
        add(label, Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")));
    }
    add(field_label("model"), card.model);
    add(t("file-nozzle").to_owned(), card.nozzle);
    add(t("file-layer-height").to_owned(), card.layer);
    add(t("file-objects").to_owned(), facts.objects.map(|objects| objects.to_string()));
    add(
        t("file-dimensions").to_owned(),
        facts.bounds_mm.map(|bounds| {
            let size = |axis: usize| format_number(bounds.max[axis] - bounds.min[axis], 0);
            format!("{} × {} × {} mm", size(0), size(1), size(2))
        }),
    );
    let slicer = facts.slicer.map(|slicer| [Some(slicer.name), slicer.version]);
    add(t("file-slicer").to_owned(), slicer.map(|parts| parts.into_iter().flatten().collect::<Vec<_>>().join(" ")));
    add(t("file-size").to_owned(), Some(format_size(file.content.size)));
    shown
}
