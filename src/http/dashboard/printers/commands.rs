//! The commands on the page of a printer: those that act now, and the others with the reason why they do not.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, response::Html};
use uuid::Uuid;

use super::find_entry;
use crate::{
    domain::{
        batch::{BatchSpec, PlatePolicy},
        command::Command,
        state::{PrinterState, Reachability},
    },
    http::dashboard::{
        Dashboard,
        batches::form::{BatchPlan, OFFERED_COMMANDS},
        farm::tile_cache::PrinterEntry,
        filters, labels,
        page::{Failure, PageFrame, PathUuid, Visitor, render_html},
    },
    service::access::Principal,
};

/// A button.
struct CommandButton {
    code: &'static str,
    label: &'static str,
    icon: &'static str,
    /// Why it would do nothing now.
    reason: String,
}

/// Why no command reaches a printer.
enum Obstacle {
    WrongKey,
    NoAnswer,
}

/// The part of the page with the commands. The script loads it again when the printer changes.
#[derive(Template)]
#[template(path = "printers/_commands.html")]
pub(super) struct CommandSection {
    frame: PageFrame,
    entry: Arc<PrinterEntry>,
    acting: Vec<CommandButton>,
    others: Vec<CommandButton>,
    /// A file can be chosen and printed.
    can_start: bool,
    obstacle: Option<Obstacle>,
}

impl CommandSection {
    /// Returns the commands for a user, by a dry run of each.
    pub async fn load(dashboard: &Dashboard, who: &Principal, entry: Arc<PrinterEntry>) -> Result<Self, Failure> {
        let frame = PageFrame::new(who, "farm");
        let (mut acting, mut others) = (Vec::new(), Vec::new());
        if frame.can_operate() {
            for command in OFFERED_COMMANDS.into_iter().chain([Command::Disconnect]) {
                let button = dry_run(dashboard, who, entry.id(), command).await?;
                if button.reason.is_empty() { acting.push(button) } else { others.push(button) }
            }
        }
        let live = &entry.view.live;
        let obstacle = match live.reachability {
            _ if !entry.view.printer.details.enabled => None,
            Reachability::Unauthorized => Some(Obstacle::WrongKey),
            Reachability::Unreachable | Reachability::Incompatible => Some(Obstacle::NoAnswer),
            Reachability::Online | Reachability::Unknown => None,
        };
        let can_start = live.reachability == Reachability::Online && live.state == PrinterState::Operational;
        Ok(Self { frame, acting, others, can_start, obstacle, entry })
    }
}

async fn dry_run(dashboard: &Dashboard, who: &Principal, id: Uuid, command: Command) -> Result<CommandButton, Failure> {
    let plan = BatchPlan { ids: vec![id], spec: BatchSpec::new(command) };
    let preview = plan.preview(dashboard, who, PlatePolicy::Check).await?;
    // There is one printer, so there is at most one group.
    let reason = preview.left.iter().chain(&preview.failing).next().map(|group| group.label.clone());
    Ok(CommandButton {
        code: command.as_str(),
        label: labels::command_label(command),
        icon: labels::command_icon(command),
        reason: reason.unwrap_or_default(),
    })
}

pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Html<String>, Failure> {
    let (_, entry) = find_entry(&dashboard, &who, id).await?;
    render_html(&CommandSection::load(&dashboard, &who, entry).await?)
}
