//! A printer on the farm page: its state, whether it needs attention, and its labels.

use askama::Template;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    filters, labels,
    language::said,
    messages::{t, t_with},
    outcome::verdict,
    time::{Moment, length},
};
use crate::{
    domain::{
        command::{CommandRow, Effect, Outcome, Reason, words as words_of},
        plate::PlateState,
        print::ActorKind,
        state::{PrinterState, Reachability},
    },
    service::printers::PrinterView,
};

words_of! {
    /// Which printers a filter shows. The order is that of the page.
    Show {
        All = "all",
        Need = "need",
        Printing = "printing",
        Paused = "paused",
        Ready = "ready",
        Off = "off",
        Error = "error",
        Stalled = "stalled",
        Silent = "silent",
        Key = "key",
        AtPrinter = "at_printer",
        Plate = "plate",
    }
}

words_of! {
    /// The order of printers on a page.
    Sort {
        Need = "need",
        Name = "name",
        Left = "left",
        News = "news",
    }
}

impl Sort {
    /// Returns the label.
    pub fn label(self) -> &'static str {
        t(match self {
            Self::Need => "farm-needs-you-first",
            Self::Name => "farm-name",
            Self::Left => "farm-finishing-first",
            Self::News => "farm-longest-without-news",
        })
    }
}

impl Show {
    /// States that need attention, the most urgent first.
    pub const NEEDS: [Self; 6] = [Self::Error, Self::Stalled, Self::Silent, Self::Key, Self::AtPrinter, Self::Plate];
    /// The other states.
    pub const CALM: [Self; 4] = [Self::Printing, Self::Paused, Self::Ready, Self::Off];

    /// Returns whether a person must go to the printer.
    pub fn is_need(self) -> bool {
        Self::NEEDS.contains(&self)
    }

    /// Returns the label.
    pub fn label(self) -> &'static str {
        t(match self {
            Self::All => "farm-all",
            Self::Need => "farm-needs-you",
            Self::Printing => "word-printing",
            Self::Paused => "word-paused",
            Self::Ready => "word-ready",
            Self::Off => "word-not-connected",
            Self::Error => "word-error",
            Self::Stalled => "farm-stalled",
            Self::Silent => "word-no-answer",
            Self::Key => "word-access-refused",
            Self::AtPrinter => "farm-paused-printer",
            Self::Plate => "farm-plate-clear",
        })
    }

    /// Returns the name of the icon in the sprite.
    pub fn icon(self) -> &'static str {
        match self {
            Self::All => "printer",
            Self::Need | Self::Error => "alert",
            Self::Printing => "printing",
            Self::Paused => "paused",
            Self::Ready => "ready",
            Self::Off => "off",
            Self::Stalled => "stalled",
            Self::Silent => "silent",
            Self::Key => "key",
            Self::AtPrinter => "hand",
            Self::Plate => "plate",
        }
    }
}

/// Returns the state under which a printer is counted: exactly one, never `All` or `Need`.
pub(super) fn place_of(view: &PrinterView, plate_gate: bool) -> Show {
    let live = &view.live;
    if !view.printer.details.enabled {
        return Show::Off;
    }
    match live.reachability {
        Reachability::Unreachable | Reachability::Incompatible => return Show::Silent,
        Reachability::Unauthorized => return Show::Key,
        Reachability::Unknown => return Show::Off,
        Reachability::Online => {}
    }
    match live.state {
        PrinterState::Error => Show::Error,
        PrinterState::Printing if live.stalled_since.is_some() => Show::Stalled,
        PrinterState::Paused if is_paused_at_printer(view) => Show::AtPrinter,
        PrinterState::Paused | PrinterState::Pausing => Show::Paused,
        PrinterState::Starting
        | PrinterState::Printing
        | PrinterState::Resuming
        | PrinterState::Finishing
        | PrinterState::Cancelling => Show::Printing,
        PrinterState::Operational if plate_gate && live.plate.state == PlateState::Occupied => Show::Plate,
        PrinterState::Operational => Show::Ready,
        PrinterState::Transferring | PrinterState::Offline | PrinterState::Connecting | PrinterState::Unknown => {
            Show::Off
        }
    }
}

/// Returns whether the print was paused outside Printyard. Filament may have run out, or a person may be working at the
/// printer.
pub(super) fn is_paused_at_printer(view: &PrinterView) -> bool {
    let paused_by = view.live.job.as_ref().and_then(|job| job.paused_by);
    view.live.state == PrinterState::Paused && paused_by.is_none_or(|by| by.kind != ActorKind::Command)
}

/// A job in progress.
#[derive(PartialEq)]
pub(super) struct Job {
    pub file: String,
    /// From 0 to 100.
    pub percent: Option<u8>,
    pub left: Option<String>,
    pub done: Option<Moment>,
}

/// The result of the last command.
#[derive(PartialEq)]
pub(super) struct Last {
    pub batch_id: Uuid,
    pub what: String,
    pub why: String,
    pub class: &'static str,
    pub at: Moment,
}

impl Last {
    fn of(row: &CommandRow) -> Option<Self> {
        let verdict = verdict(row);
        // There was nothing to do, so the user need not act.
        let is_beside = matches!(row.reason, Some(Reason::NotActive | Reason::AlreadyPrinting));
        let what = match row.outcome {
            Outcome::Confirmed => verdict.what.to_owned(),
            _ => format!("{}: {}", labels::verb(row.resolved_command.unwrap_or(row.command)), verdict.what),
        };
        Some(Self {
            batch_id: row.batch_id,
            what,
            why: verdict.later.map_or(verdict.why, str::to_owned),
            class: match row.settled {
                // The effect that was observed later overrides the outcome.
                Some(settled) if settled.effect == Effect::Done => "good",
                Some(_) => "bad",
                None if is_beside => "quiet",
                None => verdict.class,
            },
            at: Moment::clock(row.finished_at?),
        })
    }
}

/// One printer of the farm page. It contains nothing personal, because it is rendered once per version for all users.
#[derive(PartialEq, Template)]
#[template(path = "printers/_tile.html")]
pub(super) struct Tile {
    pub id: Uuid,
    pub name: String,
    pub place: Show,
    /// Shows the camera image.
    pub picture: bool,
    pub icon: &'static str,
    pub headline: String,
    pub since: Option<Moment>,
    pub note: Option<String>,
    pub job: Option<Job>,
    pub heaters: Vec<String>,
    /// The plate needs clearing: the id of the print on it, if known.
    pub plate_print: Option<String>,
    pub in_flight: Option<&'static str>,
    pub last: Option<Last>,
}

impl Tile {
    /// Creates the tile from the last observation of a printer.
    pub fn of(view: &PrinterView, place: Show) -> Self {
        let (live, details) = (&view.live, &view.printer.details);
        let (headline, since) = headline(view, place);
        let plate_print =
            (place == Show::Plate).then(|| live.plate.print_id.map(|id| id.to_string()).unwrap_or_default());
        Self {
            id: view.printer.id,
            name: details.name.clone(),
            place,
            picture: false,
            icon: place.icon(),
            headline,
            since,
            note: note(view, place),
            job: job(view, place),
            heaters: heaters(view),
            plate_print,
            in_flight: live.in_flight.map(labels::under_way),
            last: live.last_command.as_deref().filter(|_| live.in_flight.is_none()).and_then(Last::of),
        }
    }

    /// Adds the camera image to the tile.
    pub fn with_picture(self) -> Self {
        Self { picture: true, ..self }
    }
}

fn headline(view: &PrinterView, place: Show) -> (String, Option<Moment>) {
    let live = &view.live;
    let plain = |text: &str| (text.to_owned(), None);
    match place {
        Show::Silent if live.reachability == Reachability::Incompatible => plain(t("farm-not-octoprint")),
        Show::Silent => match live.observed_at() {
            Some(at) => (t("farm-no-answer-since").to_owned(), Some(Moment::clock(at))),
            None => plain(t("farm-not-observed-yet")),
        },
        Show::Stalled => (t("farm-no-progress-since").to_owned(), live.stalled_since.map(Moment::clock)),
        Show::Off if !view.printer.details.enabled => plain(t("word-disabled")),
        Show::Off if live.reachability == Reachability::Unknown => plain(t("farm-not-seen-yet")),
        Show::Off if live.state == PrinterState::Unknown => {
            (t_with("farm-unknown-state", &[("state", &live.state_text)]), None)
        }
        Show::Printing if live.state == PrinterState::Printing => match percent(view) {
            Some(percent) => (t_with("farm-printing", &[("percent", &percent)]), None),
            None => plain(t("word-printing")),
        },
        Show::Printing | Show::Paused | Show::Off => plain(labels::state(live.state)),
        other => plain(other.label()),
    }
}

/// Returns further information, in the printer's own text if there is any.
fn note(view: &PrinterView, place: Show) -> Option<String> {
    let live = &view.live;
    match place {
        Show::Error => {
            let own = live.error.clone().filter(|error| !error.is_empty());
            Some(own.unwrap_or_else(|| live.state_text.clone()))
        }
        Show::Silent | Show::Key => live.error.as_deref().map(said),
        Show::Stalled => Some(t("farm-file-stands-still-nothing").to_owned()),
        Show::AtPrinter => Some(t("farm-look-then-resume").to_owned()),
        _ => None,
    }
}

fn percent(view: &PrinterView) -> Option<u8> {
    let completion = view.live.job.as_ref()?.progress.completion?;
    // The value fits: it is clamped, and whole after `floor`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100 before")]
    completion.is_finite().then(|| completion.clamp(0.0, 100.0).floor() as u8)
}

fn job(view: &PrinterView, place: Show) -> Option<Job> {
    let live = &view.live;
    let job = live.job.as_ref()?;
    let file = job.file.as_ref()?;
    let active = live.state.is_active();
    let left = left_s(view).filter(|_| place != Show::AtPrinter);
    Some(Job {
        file: file.path.clone(),
        percent: percent(view).filter(|_| active),
        left: left.map(length),
        // Rounded to whole minutes, as it is shown: estimates vary by seconds.
        done: ends_at(view)
            .filter(|_| place == Show::Printing && live.state == PrinterState::Printing)
            .and_then(|at| at.duration_round(TimeDelta::minutes(1)).ok())
            .map(Moment::clock),
    })
}

/// Returns the remaining seconds of a job in progress, as its printer estimated them at the last reading.
fn left_s(view: &PrinterView) -> Option<i64> {
    let job = view.live.job.as_ref()?;
    job.progress.print_time_left_s.filter(|left| view.live.state.is_active() && *left >= 0)
}

/// Returns when a job in progress will end if it continues.
pub(super) fn ends_at(view: &PrinterView) -> Option<DateTime<Utc>> {
    view.live.observed_at()?.checked_add_signed(TimeDelta::try_seconds(left_s(view)?)?)
}

/// Returns nozzles, then the bed, with the target while it is not reached.
fn heaters(view: &PrinterView) -> Vec<String> {
    if view.live.reachability != Reachability::Online {
        return Vec::new();
    }
    let mut heaters: Vec<_> = view.live.temperatures.iter().collect();
    heaters.sort_by_key(|(name, _)| (!name.starts_with("tool"), name.as_str()));
    let shown = heaters.into_iter().filter_map(|(name, heater)| {
        let actual = heater.actual?;
        let target = heater.target.filter(|_| heater.is_heating()).map(|target| format!("/{target:.0}"));
        let name = match name.as_str() {
            "tool0" => "",
            "bed" => t("farm-bed"),
            other => return Some(format!("{other} {actual:.0}{}°", target.unwrap_or_default())),
        };
        Some(format!("{name}{actual:.0}{}°", target.unwrap_or_default()))
    });
    shown.collect()
}
