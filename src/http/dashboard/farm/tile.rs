//! A printer on the farm page: its state, whether it needs attention, and its labels.

use askama::Template;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    status_group::StatusGroup,
    tile_parts::{Kit, TileAction, TileFile},
};
use crate::{
    clock,
    domain::{
        command::{CommandRow, Effect, Outcome},
        production::{Production, ServiceState},
        state::{PrinterState, Reachability},
    },
    http::dashboard::{
        batches::results::result_labels,
        filters, labels,
        messages::{t, t_with, text_of},
        outlook::{attention_id, outlook_text},
        time::{TimeElement, format_duration},
    },
    service::{planner::Outlook, printers::PrinterView},
};

/// A heater above this temperature, in °C, is too hot to touch.
const HOT_C: f64 = 50.0;

/// A job in progress.
#[derive(PartialEq)]
pub(in crate::http::dashboard) struct TileJob {
    pub file: String,
    /// URL of the picture of a library file, while it is printed.
    pub thumbnail: Option<String>,
    /// From 0 to 100.
    pub percent: Option<u8>,
    pub time_left: Option<String>,
    pub ends_at: Option<TimeElement>,
}

/// The result of the last command.
#[derive(PartialEq)]
pub(in crate::http::dashboard) struct LastCommand {
    pub batch_id: Uuid,
    pub label: String,
    pub reason: String,
    pub class: &'static str,
    pub at: TimeElement,
}

impl LastCommand {
    fn from_row(row: &CommandRow) -> Option<Self> {
        let result = result_labels(row);
        let label = match row.outcome {
            Outcome::Confirmed => result.label.to_owned(),
            _ => format!("{}: {}", labels::command_label(row.resolved_command.unwrap_or(row.command)), result.label),
        };
        Some(Self {
            batch_id: row.batch_id,
            label,
            reason: result.late_result.map_or(result.reason, str::to_owned),
            class: match row.settled {
                // The effect that was observed later overrides the outcome.
                Some(settled) if settled.effect == Effect::Done => "good",
                Some(_) => "bad",
                None => result.class,
            },
            at: TimeElement::time_of_day(row.finished_at?),
        })
    }
}

/// One printer of the farm page. It contains nothing personal, because it is rendered once per version for all users.
#[derive(PartialEq, Template)]
#[template(path = "farm/_tile.html")]
pub(in crate::http::dashboard) struct Tile {
    pub id: Uuid,
    pub name: String,
    pub group: StatusGroup,
    /// Shows the camera image.
    pub has_picture: bool,
    pub icon: &'static str,
    pub headline: String,
    pub since: Option<TimeElement>,
    pub note: Option<String>,
    /// What production does with the printer next, or why nothing.
    pub outlook: Option<String>,
    /// When the printer is expected back, and the words before it.
    pub back_at: Option<(&'static str, TimeElement)>,
    pub job: Option<TileJob>,
    /// What the printer can print: material, nozzle and model.
    pub kit: Option<Kit>,
    /// Heaters that heat up or cool down.
    pub heaters: Vec<String>,
    /// What a person can do about a printer that needs one.
    pub action: Option<TileAction>,
    /// The plate needs clearing: the id of the print on it, if known.
    pub plate_print_id: Option<String>,
    pub in_flight: Option<&'static str>,
    /// The last command, if it did not succeed.
    pub last_failure: Option<LastCommand>,
}

impl Tile {
    /// Creates the tile from the last observation of a printer. `file` is the file of its job, or of the print on its
    /// plate.
    pub fn from_view(
        view: &PrinterView,
        group: StatusGroup,
        file: Option<&TileFile>,
        outlook: Option<&Outlook>,
    ) -> Self {
        let (live, details) = (&view.live, &view.printer.details);
        let (headline, since) = tile_headline(view, group);
        let has_attention = view.printer.attention.is_some();
        let is_plate = group == StatusGroup::PlateOccupied || (group == StatusGroup::ToCheck && !has_attention);
        let plate_print_id = is_plate.then(|| live.plate.print_id.map(|id| id.to_string()).unwrap_or_default());
        Self {
            id: view.printer.id,
            name: details.name.clone(),
            group,
            has_picture: false,
            icon: group.icon(),
            headline,
            since,
            note: tile_note(view, group),
            outlook: outlook.map(outlook_text),
            back_at: expected_back(view),
            job: tile_job(view, group, file),
            kit: Kit::from_profile(&details.profile),
            heaters: heater_texts(view),
            action: TileAction::for_group(group, has_attention),
            plate_print_id,
            in_flight: live.in_flight.map(labels::in_progress_label),
            last_failure: live
                .last_command
                .as_deref()
                .filter(|row| live.in_flight.is_none() && !is_cause_gone(row, live.reachability))
                .and_then(LastCommand::from_row)
                .filter(|last| matches!(last.class, "bad" | "maybe")),
        }
    }

    /// Adds the camera image to the tile.
    pub fn with_picture(self) -> Self {
        Self { has_picture: true, ..self }
    }
}

/// Returns whether a command failed because the printer was out of reach, and is not any more.
fn is_cause_gone(row: &CommandRow, reachability: Reachability) -> bool {
    matches!(row.outcome, Outcome::Unreachable | Outcome::Unauthorized) && reachability == Reachability::Online
}

fn tile_headline(view: &PrinterView, group: StatusGroup) -> (String, Option<TimeElement>) {
    let live = &view.live;
    let plain = |text: &str| (text.to_owned(), None);
    match group {
        StatusGroup::Unreachable if live.reachability == Reachability::Incompatible => plain(t("farm-not-octoprint")),
        StatusGroup::Unreachable => match live.observed_at() {
            Some(at) => (t("farm-no-answer-since").to_owned(), Some(TimeElement::time_of_day(at))),
            None => plain(t("farm-no-answer-yet")),
        },
        StatusGroup::Stalled => {
            (t("farm-no-progress-since").to_owned(), live.stalled_since.map(TimeElement::time_of_day))
        }
        StatusGroup::Off if !view.printer.details.enabled => plain(t("word-disabled")),
        StatusGroup::Off if live.reachability == Reachability::Unknown => plain(t("farm-not-checked-yet")),
        StatusGroup::Off if live.state == PrinterState::Unknown => {
            (t_with("farm-unknown-state", &[("state", &live.state_text)]), None)
        }
        StatusGroup::Printing if live.state == PrinterState::Printing => match completion_percent(view) {
            Some(percent) => (t_with("farm-printing-percent", &[("percent", &percent)]), None),
            None => plain(t("word-printing")),
        },
        StatusGroup::ToCheck if view.printer.attention.is_none() => plain(t("farm-check-plate")),
        StatusGroup::Printing | StatusGroup::Paused | StatusGroup::Off => plain(labels::state_label(live.state)),
        other => plain(other.label()),
    }
}

/// Returns further information: of the state, and of the maintenance.
fn tile_note(view: &PrinterView, group: StatusGroup) -> Option<String> {
    let attention = view.printer.attention.map(|attention| t(attention_id(attention.reason)).to_owned());
    let notes = [state_note(view, group), attention, service_note(view, group)];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join(" · "))
}

/// Returns why the printer is in maintenance. Names the service state unless the headline does.
fn service_note(view: &PrinterView, group: StatusGroup) -> Option<String> {
    let Production { service, note, .. } = &view.printer.details.production;
    let state = labels::service_label(*service);
    match (service, note) {
        (ServiceState::InService, _) => None,
        (ServiceState::OutOfService, note) if group == StatusGroup::OutOfService => note.clone(),
        (_, Some(note)) => Some(t_with("maintenance-tile-note", &[("state", &state), ("note", note)])),
        (_, None) => Some(state.to_owned()),
    }
}

/// Returns when a printer in maintenance is expected back.
fn expected_back(view: &PrinterView) -> Option<(&'static str, TimeElement)> {
    let production = &view.printer.details.production;
    let is_overdue = production.is_overdue(clock::now());
    let words = t(if is_overdue { "maintenance-overdue-since" } else { "maintenance-expected-back" });
    production.until.map(|until| (words, TimeElement::date_and_time(until)))
}

/// Returns further information about the state, in the printer's own text if there is any.
fn state_note(view: &PrinterView, group: StatusGroup) -> Option<String> {
    let live = &view.live;
    match group {
        StatusGroup::Error => {
            let printer_text = live.error.as_ref().map(text_of);
            Some(printer_text.unwrap_or_else(|| live.state_text.clone()))
        }
        StatusGroup::Unreachable | StatusGroup::AccessRefused => live.error.as_ref().map(text_of),
        StatusGroup::Stalled => Some(t("farm-stalled-note").to_owned()),
        StatusGroup::PausedAtPrinter => Some(t("farm-paused-at-printer-note").to_owned()),
        _ => None,
    }
}

fn completion_percent(view: &PrinterView) -> Option<u8> {
    let completion = view.live.job.as_ref()?.progress.completion?;
    // The value fits: it is clamped, and whole after `floor`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100 before")]
    completion.is_finite().then(|| completion.clamp(0.0, 100.0).floor() as u8)
}

fn tile_job(view: &PrinterView, group: StatusGroup, file: Option<&TileFile>) -> Option<TileJob> {
    let (live, file) = (&view.live, file?);
    let active = live.state.is_active();
    let seconds_left = remaining_seconds(view).filter(|_| group != StatusGroup::PausedAtPrinter);
    Some(TileJob {
        file: file.name().to_owned(),
        thumbnail: file.thumbnail().filter(|_| active).cloned(),
        percent: completion_percent(view).filter(|_| active),
        time_left: seconds_left.map(format_duration),
        // Rounded to whole minutes, as it is shown: estimates vary by seconds.
        ends_at: ends_at(view)
            .filter(|_| group == StatusGroup::Printing && live.state == PrinterState::Printing)
            .and_then(|at| at.duration_round(TimeDelta::minutes(1)).ok())
            .map(TimeElement::time_of_day),
    })
}

/// Returns the remaining seconds of a job in progress, as its printer estimated them at the last reading.
fn remaining_seconds(view: &PrinterView) -> Option<i64> {
    let job = view.live.job.as_ref()?;
    job.progress.print_time_left_s.filter(|left| view.live.state.is_active() && *left >= 0)
}

/// Returns when a job in progress will end if it continues.
pub(in crate::http::dashboard) fn ends_at(view: &PrinterView) -> Option<DateTime<Utc>> {
    view.live.observed_at()?.checked_add_signed(TimeDelta::try_seconds(remaining_seconds(view)?)?)
}

/// Returns the heaters that heat up, and those that are hot without a target: nozzles, then the bed. A printer that is not
/// connected has none: its last reading says nothing about now.
fn heater_texts(view: &PrinterView) -> Vec<String> {
    if view.live.reachability != Reachability::Online || !view.live.state.is_operational() {
        return Vec::new();
    }
    let mut heaters: Vec<_> = view.live.temperatures.iter().collect();
    heaters.sort_by_key(|(name, _)| (!name.starts_with("tool"), name.as_str()));
    let shown = heaters.into_iter().filter_map(|(name, heater)| {
        let actual = heater.actual?;
        let is_cooling = heater.target.is_none_or(|target| target <= 0.0) && actual > HOT_C;
        let target = heater.target.filter(|_| heater.is_heating()).map(|target| format!("/{target:.0}"));
        if target.is_none() && !is_cooling {
            return None;
        }
        let name = match name.as_str() {
            "tool0" => "",
            "bed" => t("farm-bed"),
            other => return Some(format!("{other} {actual:.0}{}°", target.unwrap_or_default())),
        };
        Some(format!("{name}{actual:.0}{}°", target.unwrap_or_default()))
    });
    shown.collect()
}
