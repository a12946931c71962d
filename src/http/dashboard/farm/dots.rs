//! The densest view of a farm: one small square per printer, grouped by tag and coloured by state.

use askama::Template;
use uuid::Uuid;

use super::{order::group_by_tag, status_group::StatusGroup, tile_cache::PrinterEntry};

/// Class names for farms of up to this many printers. Fewer printers have larger squares.
const SIZES: [(usize, &str); 8] = [
    (12, "up-to-12"),
    (30, "up-to-30"),
    (60, "up-to-60"),
    (120, "up-to-120"),
    (250, "up-to-250"),
    (500, "up-to-500"),
    (1_000, "up-to-1000"),
    (usize::MAX, "any-number"),
];

/// One printer.
struct Dot {
    id: Uuid,
    name: String,
    group: StatusGroup,
}

/// The printers with the same first tag.
struct DotGroup {
    /// The tag, or the text for printers without one.
    tag: String,
    dots: Vec<Dot>,
}

/// The squares of printers in groups.
#[derive(Template)]
#[template(path = "farm/_dots.html")]
pub(in crate::http::dashboard) struct Dots {
    size: &'static str,
    groups: Vec<DotGroup>,
}

impl Dots {
    /// Groups the printers by their first tag.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = &'a PrinterEntry>) -> Self {
        let dot = |entry: &PrinterEntry| Dot {
            id: entry.id(),
            name: entry.view.printer.details.name.clone(),
            group: entry.group,
        };
        let groups = group_by_tag(entries)
            .into_iter()
            .map(|section| DotGroup { tag: section.heading, dots: section.entries.into_iter().map(dot).collect() });
        let groups: Vec<DotGroup> = groups.collect();
        let count: usize = groups.iter().map(|group| group.dots.len()).sum();
        let size = SIZES.iter().find(|(most, _)| count <= *most).map_or("any-number", |(_, size)| size);
        Self { size, groups }
    }

    /// Returns whether the tags need headings: all printers of a farm without tags are one group.
    fn has_headings(&self) -> bool {
        self.groups.len() > 1
    }
}
