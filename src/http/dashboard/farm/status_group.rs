//! The groups of printers that the farm page counts and filters.

use crate::{
    domain::{
        command::string_enum,
        plate::PlateState,
        print::ActorKind,
        production::ServiceState,
        state::{PrinterState, Reachability},
    },
    http::dashboard::messages::t,
    service::{planner::Outlook, printers::PrinterView},
};

string_enum! {
    /// Which printers a filter shows. The order is that of the page.
    StatusGroup {
        All = "all",
        /// Printers that need a person: broken, or with something to do.
        NeedsAttention = "need",
        Broken = "broken",
        ToDo = "todo",
        Printing = "printing",
        Paused = "paused",
        Ready = "ready",
        Off = "off",
        OutOfService = "service",
        Error = "error",
        Stalled = "stalled",
        Unreachable = "silent",
        AccessRefused = "key",
        PausedAtPrinter = "at_printer",
        /// Production waits until a person has checked the printer or its plate.
        ToCheck = "check",
        PlateOccupied = "plate",
    }
}

impl StatusGroup {
    /// Broken: the printer cannot print, or its state is not known. The most urgent first.
    pub const BROKEN: [Self; 4] = [Self::Error, Self::Stalled, Self::Unreachable, Self::AccessRefused];
    /// To do: part of a normal day, but the printer waits for a person.
    pub const TO_DO: [Self; 3] = [Self::PausedAtPrinter, Self::ToCheck, Self::PlateOccupied];
    /// States that need attention, the most urgent first: those of `BROKEN`, then those of `TO_DO`.
    pub const ATTENTION: [Self; 7] = [
        Self::Error,
        Self::Stalled,
        Self::Unreachable,
        Self::AccessRefused,
        Self::PausedAtPrinter,
        Self::ToCheck,
        Self::PlateOccupied,
    ];
    /// The other states.
    pub const NORMAL: [Self; 5] = [Self::Printing, Self::Paused, Self::Ready, Self::Off, Self::OutOfService];

    /// Returns whether the printer is broken.
    pub fn is_broken(self) -> bool {
        Self::BROKEN.contains(&self)
    }

    /// Returns whether the printer waits for a person in a normal day's work.
    pub fn is_to_do(self) -> bool {
        Self::TO_DO.contains(&self)
    }

    /// Returns whether a person must go to the printer.
    pub fn needs_attention(self) -> bool {
        self.is_broken() || self.is_to_do()
    }

    /// Returns whether the printer needs little space: nothing happens on it, and it needs no person.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Ready | Self::Off | Self::OutOfService)
    }

    /// Returns the label.
    pub fn label(self) -> &'static str {
        t(match self {
            Self::All => "farm-all",
            Self::NeedsAttention => "farm-attention",
            Self::Broken => "farm-broken",
            Self::ToDo => "farm-to-do",
            Self::Printing => "word-printing",
            Self::Paused => "word-paused",
            Self::Ready => "word-ready",
            Self::Off => "word-not-connected",
            Self::OutOfService => "word-out-of-service",
            Self::Error => "word-error",
            Self::Stalled => "farm-stalled",
            Self::Unreachable => "word-no-answer",
            Self::AccessRefused => "word-access-denied",
            Self::PausedAtPrinter => "farm-paused-at-printer",
            Self::ToCheck => "farm-to-check",
            Self::PlateOccupied => "farm-plate-occupied",
        })
    }

    /// Returns the name of the icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::All => "printer",
            Self::NeedsAttention | Self::Broken | Self::Error => "alert",
            Self::Printing => "printing",
            Self::Paused => "paused",
            Self::Ready => "ready",
            Self::Off => "off",
            Self::OutOfService => "wrench",
            Self::Stalled => "stalled",
            Self::Unreachable => "silent",
            Self::AccessRefused => "key",
            Self::ToDo | Self::PausedAtPrinter | Self::ToCheck => "hand",
            Self::PlateOccupied => "plate",
        }
    }
}

/// Returns the state under which a printer is counted: exactly one, never `All`, `NeedsAttention`, `Broken` or
/// `ToDo`.
pub(in crate::http::dashboard) fn status_group(
    view: &PrinterView,
    plate_gate: bool,
    outlook: Option<&Outlook>,
) -> StatusGroup {
    let live = &view.live;
    let is_auto = view.printer.details.production.auto;
    let is_unchecked = outlook.is_some_and(Outlook::needs_plate_check);
    if !view.printer.details.enabled {
        return StatusGroup::Off;
    }
    // What is broken during maintenance needs no attention. A print in progress is shown as such.
    if view.printer.details.production.service == ServiceState::OutOfService && !live.state.is_active() {
        return StatusGroup::OutOfService;
    }
    match live.reachability {
        Reachability::Unreachable | Reachability::Incompatible => return StatusGroup::Unreachable,
        Reachability::Unauthorized => return StatusGroup::AccessRefused,
        Reachability::Unknown => return StatusGroup::Off,
        Reachability::Online => {}
    }
    match live.state {
        PrinterState::Error => StatusGroup::Error,
        PrinterState::Printing if live.stalled_since.is_some() => StatusGroup::Stalled,
        PrinterState::Paused if is_paused_at_printer(view) => StatusGroup::PausedAtPrinter,
        PrinterState::Paused | PrinterState::Pausing => StatusGroup::Paused,
        PrinterState::Starting
        | PrinterState::Printing
        | PrinterState::Resuming
        | PrinterState::Finishing
        | PrinterState::Cancelling => StatusGroup::Printing,
        // Production starts nothing on an occupied plate, even if people may.
        PrinterState::Operational if (plate_gate || is_auto) && live.plate.state == PlateState::Occupied => {
            StatusGroup::PlateOccupied
        }
        PrinterState::Operational if is_auto && (is_unchecked || view.printer.attention.is_some()) => {
            StatusGroup::ToCheck
        }
        PrinterState::Operational => StatusGroup::Ready,
        PrinterState::Transferring | PrinterState::Offline | PrinterState::Connecting | PrinterState::Unknown => {
            StatusGroup::Off
        }
    }
}

/// Returns whether the print was paused outside Printyard. Filament may have run out, or a person may be working at the
/// printer.
pub(in crate::http::dashboard) fn is_paused_at_printer(view: &PrinterView) -> bool {
    let paused_by = view.live.job.as_ref().and_then(|job| job.paused_by);
    view.live.state == PrinterState::Paused && paused_by.is_none_or(|by| by.kind != ActorKind::Command)
}
