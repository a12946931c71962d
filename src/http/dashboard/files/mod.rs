//! The pages of the library: list and upload files, show one file, and choose printers for it.

pub(super) mod change;
pub(super) mod content;
pub(super) mod facts;
pub(super) mod names;
pub(super) mod show;
pub(super) mod upload;

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use uuid::Uuid;

use self::facts::FileCard;
use super::{
    Dashboard, filters, list_filters,
    page::{Failure, PageFrame, Visitor, render_html},
};
use crate::{
    domain::file::{FileFilter, LibraryFile, LibraryFolder, normalize_folder},
    service::access::Principal,
};

/// Number of files per page.
const FILES_PER_PAGE: usize = 48;
/// Density of the list, as in the URL.
const VIEW_GRID: &str = "grid";

/// Query parameters of the page. An invalid `before` starts at the newest file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FilesParams {
    folder: String,
    q: String,
    view: String,
    before: String,
}

impl FilesParams {
    fn is_grid(&self) -> bool {
        self.view == VIEW_GRID
    }

    fn href(&self, folder: &str, view: &str, before: &str) -> String {
        list_filters::href("/files", &[("folder", folder), ("q", &self.q), ("view", view), ("before", before)])
    }

    fn href_for_view(&self, view: &str) -> String {
        self.href(&self.folder, view, "")
    }

    fn newest_href(&self) -> String {
        self.href(&self.folder, &self.view, "")
    }

    /// Returns the URL of a folder. A search covers all folders, so the link ends it.
    fn folder_href(&self, folder: &str) -> String {
        list_filters::href("/files", &[("folder", folder), ("view", &self.view)])
    }

    fn to_filter(&self) -> FileFilter {
        let text = list_filters::non_empty(&self.q).map(str::to_owned);
        // A search finds files in all folders.
        let folder = text.is_none().then(|| self.folder.clone());
        FileFilter { text, folder, ..FileFilter::default() }
    }
}

/// A folder with its number of files, also below it.
struct FolderLink {
    name: String,
    href: String,
    files: u64,
}

#[derive(Template)]
#[template(path = "files/list.html")]
struct FilesPage {
    frame: PageFrame,
    params: FilesParams,
    /// The folders above the current one, from the top: name and URL.
    crumbs: Vec<(String, String)>,
    folders: Vec<FolderLink>,
    files: Vec<FileCard>,
    older_href: Option<String>,
    /// The library has no file at all.
    is_empty: bool,
}

pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(mut params): Query<FilesParams>,
) -> Result<Html<String>, Failure> {
    params.folder = normalize_folder(&params.folder);
    let all_folders = dashboard.services.list_folders(&who).await?;
    let one_more = i64::try_from(FILES_PER_PAGE + 1).unwrap_or(i64::MAX);
    let after = parse_position(&params.before);
    let mut files = dashboard.services.list_library(&who, &params.to_filter(), after, one_more).await?;
    let has_more = files.len() > FILES_PER_PAGE;
    files.truncate(FILES_PER_PAGE);
    let last = files.last().filter(|_| has_more);
    let older_href = last.map(|file| params.href(&params.folder, &params.view, &format_position(file)));
    let folders = if params.q.is_empty() { child_folders(&all_folders, &params) } else { Vec::new() };
    render_html(&FilesPage {
        frame: PageFrame::new(&who, "files"),
        crumbs: crumbs(&params),
        folders,
        files: load_cards(&dashboard, &who, &files).await?,
        older_href,
        is_empty: all_folders.is_empty(),
        params,
    })
}

/// Returns files with their facts and the number of printers that have them.
pub(super) async fn load_cards(
    dashboard: &Dashboard,
    who: &Principal,
    files: &[LibraryFile],
) -> Result<Vec<FileCard>, Failure> {
    let contents: Vec<String> = files.iter().map(|file| file.content.sha256.clone()).collect();
    let places = dashboard.services.count_places(who, &contents).await?;
    Ok(files.iter().map(|file| FileCard::new(file, &places)).collect())
}

/// Returns the folders directly below the current one.
fn child_folders(all: &[LibraryFolder], params: &FilesParams) -> Vec<FolderLink> {
    let mut children: BTreeMap<&str, u64> = BTreeMap::new();
    for LibraryFolder { folder, files } in all {
        let below = if params.folder.is_empty() {
            Some(folder.as_str()).filter(|folder| !folder.is_empty())
        } else {
            folder.strip_prefix(&params.folder).and_then(|rest| rest.strip_prefix('/'))
        };
        if let Some(child) = below.and_then(|below| below.split('/').next()) {
            *children.entry(child).or_default() += files;
        }
    }
    let link = |(name, files): (&str, u64)| {
        let parts = [params.folder.as_str(), name];
        let path = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        FolderLink { name: name.to_owned(), href: params.folder_href(&path), files }
    };
    children.into_iter().map(link).collect()
}

fn crumbs(params: &FilesParams) -> Vec<(String, String)> {
    let ends = params.folder.match_indices('/').map(|(at, _)| at).chain([params.folder.len()]);
    let path = |end: usize| params.folder.get(..end).unwrap_or_default();
    let crumbs = ends.map(path).filter(|path| !path.is_empty());
    crumbs.map(|path| (path.rsplit('/').next().unwrap_or(path).to_owned(), params.folder_href(path))).collect()
}

/// Returns the position of a file in the list, for the URL of the next page.
fn format_position(file: &LibraryFile) -> String {
    format!("{}_{}", file.updated_at.to_rfc3339_opts(SecondsFormat::AutoSi, true), file.id)
}

fn parse_position(text: &str) -> Option<(DateTime<Utc>, Uuid)> {
    let (at, id) = text.split_once('_')?;
    Some((at.parse().ok()?, id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_shows_its_children_with_all_files_below() {
        let folder = |folder: &str, files| LibraryFolder { folder: folder.to_owned(), files };
        let all =
            [folder("", 1), folder("parts", 2), folder("parts/a", 3), folder("parts/a/b", 4), folder("partsx", 5)];
        let children = |of: &str| {
            let params = FilesParams { folder: of.to_owned(), ..FilesParams::default() };
            let links = child_folders(&all, &params).into_iter();
            links.map(|link| (link.href, link.files)).collect::<Vec<_>>()
        };
        assert_eq!(children(""), [("/files?folder=parts".to_owned(), 9), ("/files?folder=partsx".to_owned(), 5)]);
        assert_eq!(children("parts"), [("/files?folder=parts%2Fa".to_owned(), 7)]);
        assert_eq!(children("parts/a/b"), []);
    }

    #[test]
    fn the_crumbs_name_every_folder_above() {
        let params = FilesParams { folder: "a/b".to_owned(), view: "grid".to_owned(), ..FilesParams::default() };
        let expected = [("a", "/files?folder=a&view=grid"), ("b", "/files?folder=a%2Fb&view=grid")];
        assert_eq!(crumbs(&params), expected.map(|(name, href)| (name.to_owned(), href.to_owned())));
        assert_eq!(crumbs(&FilesParams::default()), []);
    }
}
