//! The densest view of a farm: one small square per printer, grouped by tag and coloured by state.

use std::collections::BTreeMap;

use askama::Template;
use uuid::Uuid;

use super::{
    status_group::StatusGroup,
    tile_cache::{PrinterEntry, natural_sort_key},
};
use crate::http::dashboard::messages::t;

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
    /// Groups the printers by their first tag in natural order, those without a tag last. Within a group, printers keep
    /// their order.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = &'a PrinterEntry>) -> Self {
        let mut groups: BTreeMap<(bool, String), DotGroup> = BTreeMap::new();
        let mut count = 0;
        for entry in entries {
            count += 1;
            let details = &entry.view.printer.details;
            let tag = details.tags.first().map(String::as_str);
            let key = (tag.is_none(), tag.map(natural_sort_key).unwrap_or_default());
            let group = groups.entry(key).or_insert_with(|| DotGroup {
                tag: tag.unwrap_or_else(|| t("farm-no-tag")).to_owned(),
                dots: Vec::new(),
            });
            group.dots.push(Dot { id: entry.id(), name: details.name.clone(), group: entry.group });
        }
        let size = SIZES.iter().find(|(most, _)| count <= *most).map_or("any-number", |(_, size)| size);
        Self { size, groups: groups.into_values().collect() }
    }

    /// Returns whether the tags need headings: all printers of a farm without tags are one group.
    fn has_headings(&self) -> bool {
        self.groups.len() > 1
    }
}
