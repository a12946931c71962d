//! The result of an import: how each new printer answered, and the rows that were left out, with their reasons.

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use serde::Deserialize;
use uuid::Uuid;

use super::import::PreviewRow;
use crate::{
    domain::{access::Role, state::Reachability},
    http::dashboard::{
        Dashboard, filters,
        page::{Failure, PageFrame, Visitor, render_html},
    },
    service::access::Principal,
};

/// The printers of an import. Their ids are in the order of their creation.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct ImportedRange {
    first: Uuid,
    last: Uuid,
}

/// How a printer answered.
struct Answer {
    id: Uuid,
    name: String,
    text: String,
    note: Option<String>,
    class: &'static str,
}

/// The part of the page that is read again until every printer has answered or failed.
#[derive(Template)]
#[template(path = "printers/_import_answers.html")]
pub(super) struct ImportAnswers {
    range: Option<ImportedRange>,
    answers: Vec<Answer>,
    waiting: usize,
}

#[derive(Template)]
#[template(path = "printers/import_result.html")]
pub(super) struct ImportResultPage {
    pub frame: PageFrame,
    pub done: String,
    pub answers: ImportAnswers,
    pub left_out: Vec<PreviewRow>,
}

impl ImportAnswers {
    /// Returns the answers of the printers with these names.
    pub async fn of_names(dashboard: &Dashboard, who: &Principal, names: &[String]) -> Result<Self, Failure> {
        let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
        let ids = entries.iter().filter(|entry| names.contains(&entry.view.printer.details.name));
        let ids: Vec<Uuid> = ids.map(|entry| entry.id()).collect();
        let range =
            ids.iter().min().zip(ids.iter().max()).map(|(first, last)| ImportedRange { first: *first, last: *last });
        Self::of_range(dashboard, who, range).await
    }

    async fn of_range(dashboard: &Dashboard, who: &Principal, range: Option<ImportedRange>) -> Result<Self, Failure> {
        let (_, entries) = dashboard.tile_cache.list_visible(who).await?;
        let is_imported = |id: Uuid| range.is_some_and(|range| (range.first..=range.last).contains(&id));
        let imported: Vec<_> = entries.into_iter().filter(|entry| is_imported(entry.id())).collect();
        let is_waiting = |one: Reachability, is_enabled: bool| is_enabled && one == Reachability::Unknown;
        let waiting = imported
            .iter()
            .filter(|entry| is_waiting(entry.view.live.reachability, entry.view.printer.details.enabled))
            .count();
        let answers = imported.iter().map(|entry| {
            let tile = entry.tile();
            let class = if entry.group.is_broken() {
                "bad"
            } else if entry.view.live.reachability == Reachability::Online {
                "good"
            } else {
                "quiet"
            };
            Answer { id: entry.id(), name: tile.name, text: tile.headline, note: tile.note, class }
        });
        Ok(Self { range, answers: answers.collect(), waiting })
    }
}

/// Shows the answers again.
pub(in crate::http::dashboard) async fn show_answers(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(range): Query<ImportedRange>,
) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    render_html(&ImportAnswers::of_range(&dashboard, &who, Some(range)).await?)
}
