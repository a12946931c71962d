//! Parts of a tile: what the printer can print, and the action for a printer that needs a person.

use std::sync::Arc;

use super::status_group::StatusGroup;
use crate::{
    domain::{printer_content::shown_path, printer_profile::PrinterProfile},
    http::dashboard::{files::names::ContentName, messages::t},
};

/// What a printer can print.
#[derive(PartialEq)]
pub(in crate::http::dashboard) struct Kit {
    /// Colour of the material, as `#rrggbb`.
    pub color: Option<String>,
    /// Material, nozzle and model: "PETG · 0.4 mm · MK4".
    pub text: String,
}

impl Kit {
    /// Returns the known facts of a profile. `None`: nothing is known.
    pub fn from_profile(profile: &PrinterProfile) -> Option<Self> {
        let nozzle = profile.nozzle_mm.map(|mm| format!("{mm} mm"));
        let known = [profile.material.clone(), nozzle, profile.model.clone()];
        let text = known.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        let color = profile.color.clone();
        (!text.is_empty() || color.is_some()).then_some(Self { color, text })
    }
}

/// The file that a tile names.
pub(in crate::http::dashboard) struct TileFile {
    /// As the printer names it.
    pub path: String,
    /// Its content in the library.
    pub library: Option<Arc<ContentName>>,
}

impl TileFile {
    /// Returns the name for users.
    pub fn name(&self) -> &str {
        self.library.as_ref().map_or(shown_path(&self.path), |library| &library.name)
    }

    /// Returns the URL of its thumbnail, if the library has one.
    pub fn thumbnail(&self) -> Option<&String> {
        self.library.as_ref()?.thumbnail.as_ref()
    }
}

/// The one action of a tile.
#[derive(PartialEq)]
pub(in crate::http::dashboard) struct TileAction {
    /// As in the form of `POST /printers/{id}/act`. Empty: another route.
    pub code: &'static str,
    pub label: &'static str,
    /// Opens the page of the printer, where the user decides.
    pub is_link: bool,
}

/// Resumes a print that was paused at the printer.
pub(in crate::http::dashboard) const RESUME: &str = "resume";
/// Connects OctoPrint to the printer.
pub(in crate::http::dashboard) const CONNECT: &str = "connect";

impl TileAction {
    /// Returns the action for a printer in this group, if the printer needs a person.
    pub fn for_group(group: StatusGroup, has_attention: bool) -> Option<Self> {
        let button = |code, label| Some(Self { code, label: t(label), is_link: false });
        let link = |label| Some(Self { code: "", label: t(label), is_link: true });
        match group {
            StatusGroup::PlateOccupied => button("", "word-mark-clear"),
            StatusGroup::PausedAtPrinter => button(RESUME, "word-resume"),
            StatusGroup::Error => button(CONNECT, "word-connect"),
            StatusGroup::AccessRefused => link("farm-fix-access"),
            StatusGroup::Unreachable | StatusGroup::Stalled => link("farm-check-printer"),
            StatusGroup::ToCheck if has_attention => link("farm-check-printer"),
            StatusGroup::ToCheck => button("", "word-mark-clear"),
            StatusGroup::All
            | StatusGroup::NeedsAttention
            | StatusGroup::Broken
            | StatusGroup::ToDo
            | StatusGroup::Printing
            | StatusGroup::Paused
            | StatusGroup::Ready
            | StatusGroup::Off
            | StatusGroup::OutOfService => None,
        }
    }
}
