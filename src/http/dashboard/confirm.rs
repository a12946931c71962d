//! The confirmation page before a batch that could do harm: it shows the number of printers and asks once.

use askama::Template;
use uuid::Uuid;

use super::{
    Dashboard,
    batch_form::Plan,
    filters,
    form::Form,
    labels,
    messages::{t, t_with},
    page::{Failure, Frame},
    tile::is_paused_at_printer,
};
use crate::{
    domain::{
        batch::PlatePolicy,
        command::{Command, Reason},
    },
    service::{Error, access::Principal},
};

/// From this number of prints, the user must type the number.
const TYPED_FROM: usize = 20;

#[derive(Template)]
#[template(path = "batches/confirm.html")]
pub(super) struct ConfirmPage {
    frame: Frame,
    command: Command,
    title: String,
    harmful: bool,
    warning: &'static str,
    /// Printers that the command does not affect, by reason.
    others: Vec<String>,
    /// Printers that are left out unless the user declares their plates clear.
    plates: usize,
    reason: String,
    /// The number that must be typed, if any.
    typed: Option<usize>,
    wrong: bool,
    /// Prints that were paused at their printers. They are left out unless the user includes them.
    at_printer: usize,
    ids: Vec<Uuid>,
    /// Options of the previous form, passed on.
    carried: Vec<(&'static str, String)>,
    names: Vec<String>,
    back: String,
}

/// Options that pass through the confirmation unchanged.
const CARRIED: [&str; 6] = ["max_in_flight", "interval_s", "max_heating", "plates_clear", "reason", "back"];
/// Number of printer names that are shown.
const NAMES: usize = 40;

/// Returns the confirmation page. `None` if no confirmation is needed, or it was given. A plan for several printers
/// leaves out prints that were paused at their printers, unless the user includes them.
pub(super) async fn ask(
    dashboard: &Dashboard,
    who: &Principal,
    form: &Form,
    plan: &mut Plan,
) -> Result<Option<ConfirmPage>, Failure> {
    let command = plan.spec.command;
    let mut held = Vec::new();
    if matches!(command, Command::Resume | Command::Toggle) && plan.ids.len() > 1 {
        let (_, entries) = dashboard.board.all(who).await?;
        let paused = entries.iter().filter(|entry| is_paused_at_printer(&entry.view));
        held = paused.map(|entry| entry.id()).filter(|id| plan.ids.contains(id)).collect();
    }
    let confirmed = form.is_set("confirm");
    if confirmed && !form.is_set("also_at_printer") && held.len() < plan.ids.len() {
        plan.ids.retain(|id| !held.contains(id));
    }
    let harmful = matches!(command, Command::Cancel | Command::Restart);
    let gated = matches!(command, Command::Start | Command::Restart) && plan.spec.plate == PlatePolicy::Check;
    let typed_wrong = form.text("number").is_some_and(|number| form.text("typed") != Some(number));
    if (confirmed && !typed_wrong) || (!harmful && !gated && held.is_empty()) {
        return Ok(None);
    }
    let forecast = plan.foresee(dashboard, who).await?;
    let plates = if gated { forecast.plates } else { 0 };
    let n = forecast.acts + plates;
    if (n == 0 || !harmful && plates == 0) && held.is_empty() {
        // Nothing can be lost: the batch shows the result for each printer.
        return Ok(None);
    }
    let others = forecast.others.iter();
    let others = others.filter(|other| plates == 0 || !other.ends_with(labels::refusal(Reason::PlateNotClear)));
    let mut names = Vec::new();
    for id in plan.ids.iter().take(NAMES) {
        match dashboard.services.printer(who, *id).await {
            Ok(view) => names.push(view.printer.details.name),
            // The printer was removed after the page was rendered.
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if plan.ids.len() > NAMES {
        names.push(t_with("word-more", &[("n", &(plan.ids.len() - NAMES))]));
    }
    let carried = CARRIED.iter().filter(|name| plates == 0 || **name != "reason");
    let carried = carried.filter_map(|name| Some((*name, form.text(name)?.to_owned())));
    Ok(Some(ConfirmPage {
        frame: Frame::of(who, "farm"),
        command,
        harmful,
        title: format!("{}?", labels::verb_for(command, n)),
        warning: t(match command {
            Command::Cancel => "batch-cancelled-print-cannot-taken",
            Command::Restart => "batch-what-printed-so-far",
            Command::Start => "batch-some-their-plates-print",
            _ => "batch-some-paused-on-site",
        }),
        typed: (harmful && n >= TYPED_FROM).then_some(n),
        others: others.cloned().collect(),
        plates,
        reason: form.text("reason").unwrap_or_default().to_owned(),
        wrong: typed_wrong,
        at_printer: held.len(),
        ids: plan.ids.clone(),
        carried: carried.collect(),
        names,
        back: form.back().to_owned(),
    }))
}
