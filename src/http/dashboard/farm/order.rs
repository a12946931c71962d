//! The order of printers on the farm page, and the sections that they are shown in.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use chrono::{DateTime, Utc};

use super::{
    status_group::StatusGroup,
    tile_cache::{PrinterEntry, natural_sort_key},
};
use crate::{
    domain::{command::string_enum, state::Reachability},
    http::dashboard::messages::t,
};

string_enum! {
    /// The order of printers on a page.
    SortOrder {
        NeedsAttention = "need",
        Name = "name",
        State = "state",
        File = "file",
        Progress = "progress",
        TimeLeft = "left",
        Material = "material",
        OldestObservation = "news",
    }
}

impl SortOrder {
    /// Returns the orders of the menu. The heads of the columns offer the others.
    pub fn menu() -> impl Iterator<Item = Self> {
        let is_column = |sort: &Self| matches!(sort, Self::State | Self::File | Self::Progress | Self::Material);
        Self::ALL.iter().copied().filter(move |sort| !is_column(sort))
    }

    /// Returns the label.
    pub fn label(self) -> &'static str {
        t(match self {
            Self::NeedsAttention => "farm-sort-attention",
            Self::Name => "farm-sort-name",
            Self::State => "farm-column-state",
            Self::File => "farm-column-file",
            Self::Progress => "farm-column-progress",
            Self::TimeLeft => "farm-sort-time-left",
            Self::Material => "farm-column-material",
            Self::OldestObservation => "farm-sort-last-update",
        })
    }

    fn key(self, entry: &PrinterEntry) -> SortKey {
        match self {
            Self::NeedsAttention | Self::State => SortKey::Rank(rank(entry.group)),
            Self::Name => SortKey::ByName,
            Self::File => SortKey::Text(known(entry.shown_file().map(str::to_owned))),
            Self::Progress => SortKey::Percent(known(entry.percent())),
            Self::TimeLeft => SortKey::Time(known(entry.ends_at())),
            Self::Material => SortKey::Text(known(material(entry).map(str::to_owned))),
            Self::OldestObservation => {
                let live = &entry.view.live;
                let is_disabled = !entry.view.printer.details.enabled;
                SortKey::Observed(is_disabled, live.reachability == Reachability::Online, live.observed_at())
            }
        }
    }
}

/// What printers are ordered by. It is read once for each printer: some values change when the printer is observed, also
/// during the sort, and an order that changes during the sort is a panic.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    /// The entries are ordered by name already.
    ByName,
    Rank(usize),
    Text(Known<String>),
    Percent(Known<u8>),
    Time(Known<DateTime<Utc>>),
    /// Disabled printers and those that are online come last.
    Observed(bool, bool, Option<DateTime<Utc>>),
}

/// Whether a value is unknown, and the value. An unknown one comes last.
type Known<T> = (bool, Option<T>);

fn known<T>(value: Option<T>) -> Known<T> {
    (value.is_none(), value)
}

/// Returns the position of a group: the most urgent first.
fn rank(group: StatusGroup) -> usize {
    StatusGroup::ATTENTION.iter().chain(&StatusGroup::NORMAL).position(|one| *one == group).unwrap_or(usize::MAX)
}

fn material(entry: &PrinterEntry) -> Option<&str> {
    entry.view.printer.details.profile.material.as_deref()
}

/// Printers that are shown together.
pub(super) struct FarmSection<T> {
    /// The id of its list on the page.
    pub id: &'static str,
    pub heading: String,
    pub entries: Vec<T>,
}

/// Returns the sections of a page, for entries that are ordered by name. An empty section stays on the page, because
/// printers may move into it.
pub(super) fn arrange(
    mut entries: Vec<Arc<PrinterEntry>>,
    sort: SortOrder,
    is_descending: bool,
) -> Vec<FarmSection<Arc<PrinterEntry>>> {
    if sort != SortOrder::NeedsAttention {
        entries.sort_by_cached_key(|entry| sort.key(entry));
        if is_descending {
            entries.reverse();
        }
        return vec![FarmSection { id: "others", heading: String::new(), entries }];
    }
    let (mut needy, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.group.needs_attention());
    needy.sort_by_cached_key(|entry| sort.key(entry));
    let (idle, active) = rest.into_iter().partition(|entry| entry.group.is_idle());
    let section =
        |id, heading: &'static str, entries: Vec<_>| FarmSection { id, heading: t(heading).to_owned(), entries };
    vec![
        section("needy", "farm-attention", needy),
        section("others", "farm-active", active),
        section("idle", "farm-idle", idle),
    ]
}

/// Returns a section for each first tag, in natural order. Printers without a tag come last. Within a section, printers keep
/// their order.
pub(super) fn group_by_tag<T: Deref<Target = PrinterEntry>>(
    entries: impl IntoIterator<Item = T>,
) -> Vec<FarmSection<T>> {
    let mut groups: BTreeMap<(bool, String), FarmSection<T>> = BTreeMap::new();
    for entry in entries {
        let tag = entry.view.printer.details.tags.first().cloned();
        let key = (tag.is_none(), tag.as_deref().map(natural_sort_key).unwrap_or_default());
        let section = groups.entry(key).or_insert_with(|| FarmSection {
            id: "",
            heading: tag.unwrap_or_else(|| t("farm-untagged").to_owned()),
            entries: Vec::new(),
        });
        section.entries.push(entry);
    }
    groups.into_values().collect()
}
