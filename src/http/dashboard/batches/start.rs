//! The start sheet: file, plates and stagger of a start, with its dry run. The script shows it as a dialog.
//!
//! Nothing is started before the user has seen the sheet for exactly this file: the button sends a mark of what the sheet
//! showed. If something else is chosen or selected meanwhile, the sheet is shown again.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::Arc,
};

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    form::{parse_stagger, selected_by, target_ids},
    respond_with_batch,
    start_preview::{StartPlan, StartPreview},
};
use crate::{
    domain::{
        access::Role,
        batch::{BatchSpec, FitPolicy, PlatePolicy},
        command::Command,
        file::{FileFilter, LibraryFile},
        fit::{Fit, fit},
    },
    http::dashboard::{
        Dashboard,
        farm::tile_cache::PrinterEntry,
        files::{facts::FileCard, load_cards},
        filters,
        form::FormData,
        list_filters,
        messages::t,
        page::{Failure, PageFrame, Visitor, render_html},
    },
    service::{Error, access::Principal, batches::CreateBatchResult},
};

/// Number of library files in the sheet. A search finds others.
const MAX_FILES: usize = 12;
/// Number of selected files that the sheet names.
const MAX_SELECTED_FILES: usize = 6;
/// Value of the choice that keeps what each printer has selected.
const SELECTED: &str = "selected";

/// A library file in the sheet.
struct FileOption {
    card: FileCard,
    is_chosen: bool,
    /// Number of printers that the file does not fit.
    unfit: usize,
}

/// The sheet.
#[derive(Template)]
#[template(path = "batches/_start.html")]
struct StartSheet {
    ids: Vec<Uuid>,
    back_path: String,
    /// Fields of the farm page, passed on.
    preserved_options: Vec<(&'static str, String)>,
    /// What the sheet shows: the choice, and the selected files.
    mark: String,
    /// What the printers have selected, the most frequent first: number and name. `None`: no file.
    selected: Vec<(usize, Option<String>)>,
    more_selected: usize,
    has_selected: bool,
    is_selected_chosen: bool,
    q: String,
    files: Vec<FileOption>,
    has_more_files: bool,
    library_is_empty: bool,
    preview: Option<StartPreview>,
    plates_clear: bool,
    reason: String,
    ignores_fit: bool,
    limits: [(&'static str, String); 3],
    error: Option<&'static str>,
    is_reason_missing: bool,
}

impl StartSheet {
    fn starting(&self) -> usize {
        self.preview.as_ref().map_or(0, StartPreview::starting)
    }

    /// Returns whether several printers would heat up at the same time.
    fn starts_at_once(&self) -> bool {
        self.starting() > 1 && !self.has_limits()
    }

    fn has_limits(&self) -> bool {
        self.limits.iter().any(|(_, limit)| !limit.is_empty())
    }
}

#[derive(Template)]
#[template(path = "batches/start.html")]
struct StartPage {
    frame: PageFrame,
    sheet: StartSheet,
}

/// Shows the sheet, or creates the batch if the user has confirmed it.
pub(in crate::http::dashboard) async fn show_or_start(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    headers: HeaderMap,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let ids = target_ids(&dashboard, &who, &form).await?;
    if ids.is_empty() {
        let text = t("failure-nothing-selected");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
    }
    let (_, entries) = dashboard.tile_cache.list_visible(&who).await?;
    let entries: Vec<Arc<PrinterEntry>> = entries.into_iter().filter(|entry| ids.contains(&entry.id())).collect();
    let paths = entries.iter().filter_map(|entry| Some((entry.id(), selected_path(entry)?.to_owned())));
    let selected_paths: BTreeMap<Uuid, String> = paths.collect();
    let choice = match form.text("file") {
        Some(SELECTED) => Some(None),
        Some(id) => id.parse().ok().map(Some),
        None => (!selected_paths.is_empty()).then_some(None),
    };
    let form = with_proposed_stagger(form, dashboard.services.proposed_stagger());
    let mut spec = BatchSpec::new(Command::Start);
    parse_stagger(&form, &mut spec)?;
    spec.reason = form.text("reason").map(str::to_owned);
    if form.is_set("plates_clear") {
        spec.plate = PlatePolicy::AssumeClear;
    }
    if form.text("fit") == Some(FitPolicy::Ignore.as_str()) {
        spec.fit = FitPolicy::Ignore;
    }
    spec.selected_by = selected_by(&dashboard, &who, &form, &ids).await?;
    let plan = StartPlan { ids, selected_paths, file_id: choice.flatten(), spec };
    let mark = mark_of(choice, &plan.selected_paths);
    let is_reason_missing = plan.spec.plate == PlatePolicy::AssumeClear && plan.spec.reason.is_none();
    let mut error = None;
    if form.is_set("confirm") {
        error = match choice {
            None => Some("start-choose-file"),
            Some(_) if form.text("mark") != Some(&mark) => Some("start-changed"),
            Some(_) if is_reason_missing => Some("start-reason-missing"),
            Some(_) => None,
        };
        if error.is_none() {
            return match dashboard.services.create_batch(&who, plan.to_new_batch(false)).await? {
                CreateBatchResult::Batch(view) => Ok(respond_with_batch(&headers, &form, view.batch.id)),
                CreateBatchResult::DryRun { .. } => Err(Failure::internal()),
            };
        }
    }
    let sheet = StartSheet {
        is_reason_missing: is_reason_missing && error.is_some(),
        error: error.map(t),
        ..build_sheet(&dashboard, &who, &form, plan, choice, mark, &entries).await?
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, render_html(&StartPage { frame: PageFrame::new(&who, "farm"), sheet })?).into_response())
}

/// Fields of the stagger.
const STAGGER: [&str; 3] = ["max_in_flight", "interval_s", "max_heating"];

/// Fills in the stagger that the settings propose, before the user has seen the fields.
fn with_proposed_stagger(form: FormData, proposed: [u32; 3]) -> FormData {
    let proposed = STAGGER.into_iter().zip(proposed).filter(|(_, limit)| *limit > 0);
    form.with_defaults(&STAGGER, proposed.map(|(name, limit)| (name.to_owned(), limit.to_string())))
}

async fn build_sheet(
    dashboard: &Dashboard,
    who: &Principal,
    form: &FormData,
    plan: StartPlan,
    choice: Option<Option<Uuid>>,
    mark: String,
    entries: &[Arc<PrinterEntry>],
) -> Result<StartSheet, Failure> {
    let q = form.text("file_q").unwrap_or_default().to_owned();
    let (files, has_more_files) = list_files(dashboard, who, &q, plan.file_id, entries).await?;
    let preview = if choice.is_some() { Some(plan.preview(dashboard, who).await?) } else { None };
    let (selected, more_selected) = group_selected(entries);
    let limit = |name: &'static str| (name, form.text(name).unwrap_or_default().to_owned());
    let preserved = ["show", "tag", "q", "quick"].into_iter();
    Ok(StartSheet {
        preserved_options: preserved.filter_map(|name| Some((name, form.text(name)?.to_owned()))).collect(),
        back_path: form.back_path().to_owned(),
        mark,
        has_selected: !plan.selected_paths.is_empty(),
        selected,
        more_selected,
        is_selected_chosen: choice == Some(None),
        library_is_empty: files.is_empty() && q.is_empty(),
        q,
        files,
        has_more_files,
        preview,
        plates_clear: plan.spec.plate == PlatePolicy::AssumeClear,
        reason: plan.spec.reason.unwrap_or_default(),
        ignores_fit: plan.spec.fit == FitPolicy::Ignore,
        limits: STAGGER.map(limit),
        error: None,
        is_reason_missing: false,
        ids: plan.ids,
    })
}

/// Returns the newest files that match the search, and whether there are more. The chosen one is always in the list.
async fn list_files(
    dashboard: &Dashboard,
    who: &Principal,
    q: &str,
    chosen: Option<Uuid>,
    entries: &[Arc<PrinterEntry>],
) -> Result<(Vec<FileOption>, bool), Failure> {
    let filter = FileFilter { text: list_filters::non_empty(q).map(str::to_owned), ..FileFilter::default() };
    let one_more = i64::try_from(MAX_FILES + 1).unwrap_or(i64::MAX);
    let mut files = dashboard.services.list_library(who, &filter, None, one_more).await?;
    let has_more = files.len() > MAX_FILES;
    files.truncate(MAX_FILES);
    if let Some(id) = chosen.filter(|id| files.iter().all(|file| file.id != *id)) {
        match dashboard.services.file(who, id).await {
            Ok(file) => files.insert(0, file),
            // The file was removed meanwhile. The dry run reports it.
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let cards = load_cards(dashboard, who, &files).await?;
    let options = files.iter().zip(cards).map(|(file, card)| FileOption {
        is_chosen: chosen == Some(file.id),
        unfit: count_unfit(file, entries),
        card,
    });
    Ok((options.collect(), has_more))
}

fn count_unfit(file: &LibraryFile, entries: &[Arc<PrinterEntry>]) -> usize {
    let facts = file.facts();
    let profiles = entries.iter().map(|entry| &entry.view.printer.details.profile);
    profiles.filter(|profile| matches!(fit(&facts, profile), Fit::Contradicts(_))).count()
}

fn selected_path(entry: &PrinterEntry) -> Option<&str> {
    let file = entry.view.live.job.as_ref()?.file.as_ref()?;
    Some(file.path.as_str())
}

/// Groups printers by their selected file. Returns the largest groups, and the number of printers in the others.
fn group_selected(entries: &[Arc<PrinterEntry>]) -> (Vec<(usize, Option<String>)>, usize) {
    let mut counts: HashMap<Option<String>, usize> = HashMap::new();
    for entry in entries {
        *counts.entry(entry.shown_file().map(str::to_owned)).or_default() += 1;
    }
    let mut groups: Vec<(usize, Option<String>)> = counts.into_iter().map(|(name, n)| (n, name)).collect();
    groups.sort_by(|(n, a), (m, b)| (a.is_none(), m, a).cmp(&(b.is_none(), n, b)));
    let more = groups.iter().skip(MAX_SELECTED_FILES).map(|(n, _)| n).sum();
    groups.truncate(MAX_SELECTED_FILES);
    (groups, more)
}

/// Returns a mark of the choice and, if it keeps the selected files, of these files.
fn mark_of(choice: Option<Option<Uuid>>, selected_paths: &BTreeMap<Uuid, String>) -> String {
    match choice {
        None => "none".to_owned(),
        Some(Some(id)) => id.to_string(),
        Some(None) => {
            let mut hash = Sha256::new();
            for (id, path) in selected_paths {
                hash.update(id.as_bytes());
                hash.update(path.as_bytes());
                hash.update([0]);
            }
            hash.finalize().iter().take(8).fold("selected-".to_owned(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_changes_with_the_choice_and_with_each_selected_file() {
        let paths = |path: &str| BTreeMap::from([(Uuid::from_u128(1), path.to_owned())]);
        let marks = [
            mark_of(None, &paths("a")),
            mark_of(Some(None), &paths("a")),
            mark_of(Some(None), &paths("b")),
            mark_of(Some(Some(Uuid::from_u128(7))), &paths("a")),
        ];
        for (at, mark) in marks.iter().enumerate() {
            assert!(!marks[..at].contains(mark), "{mark}");
        }
        assert_eq!(
            mark_of(Some(Some(Uuid::from_u128(7))), &paths("b")),
            marks[3],
            "a library file hides the selected one"
        );
    }
}
