//! The copies on the page of an order.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    text::copy_state_label,
    why::{WhyText, find_beaten_labels},
};
use crate::{
    domain::{
        copy::{Copy, CopyFilter, CopyState, Quality},
        printer::Printer,
    },
    http::dashboard::{
        Dashboard,
        messages::t_with,
        page::Failure,
        time::{TimeElement, format_duration},
    },
    service::access::Principal,
};

/// Number of copies on the page, newest first.
const MAX_COPIES: usize = 100;

/// A copy on the page of its order.
pub(super) struct CopyRow {
    pub id: Uuid,
    /// The name of its form.
    pub form: String,
    /// `None`: the printer was removed.
    pub printer: Option<(Uuid, String)>,
    pub state: &'static str,
    pub state_class: &'static str,
    pub attempt: u32,
    pub started_at: Option<TimeElement>,
    pub finished_at: Option<TimeElement>,
    pub print_time: Option<String>,
    pub parts: u32,
    /// As in "3 good, 1 scrap".
    pub verdict: Option<String>,
    /// Why it was judged so, failed or was lost.
    pub reason: String,
    pub waits_for_judgement: bool,
    pub is_judged: bool,
    pub can_be_lost: bool,
    pub good: u32,
    pub scrap: u32,
    pub why: Option<WhyText>,
}

impl CopyRow {
    fn new(copy: Copy, printers: &HashMap<Uuid, Printer>, labels: &HashMap<Uuid, String>) -> Self {
        let why = WhyText::new(&copy, labels);
        let (state, state_class) = copy_state_label(copy.state);
        let printer = printers.get(&copy.printer_id);
        let is_finished = copy.state == CopyState::Finished;
        let is_judged = is_finished && copy.quality == Quality::Judged;
        let waits_for_judgement = is_finished && copy.quality == Quality::Unjudged;
        let measured = copy.result.and_then(|result| result.print_time_s);
        // Seconds of a print: whole seconds are enough.
        let measured = measured.filter(|seconds| seconds.is_finite()).map(|seconds| seconds.round() as i64);
        let verdict = [("good", &copy.good), ("scrap", &copy.scrap)];
        Self {
            id: copy.id,
            form: copy_form(copy.id),
            printer: printer.map(|printer| (printer.id, printer.details.name.clone())),
            state,
            state_class,
            attempt: copy.attempt,
            started_at: copy.started_at.map(TimeElement::date_and_time),
            finished_at: copy.finished_at.map(TimeElement::date_and_time),
            print_time: measured.map(format_duration),
            parts: copy.parts,
            verdict: is_judged
                .then(|| t_with("order-copy-verdict", &verdict.map(|(name, n)| (name, n as &dyn std::fmt::Display)))),
            reason: copy.reason.unwrap_or_default(),
            waits_for_judgement,
            is_judged,
            can_be_lost: is_finished || copy.state.is_active(),
            good: if is_judged { copy.good } else { copy.parts },
            scrap: copy.scrap,
            why,
        }
    }
}

/// Returns the name of a copy's form.
pub(super) fn copy_form(id: Uuid) -> String {
    format!("copy-{id}")
}

/// Returns the newest copies of an order, those that wait for a judgement first, and whether there are more.
pub(super) async fn list_copies(
    dashboard: &Dashboard,
    who: &Principal,
    order_id: Uuid,
) -> Result<(Vec<CopyRow>, bool), Failure> {
    let filter = CopyFilter { order_id: Some(order_id), ..CopyFilter::default() };
    let one_more = i64::try_from(MAX_COPIES + 1).unwrap_or(i64::MAX);
    let mut copies = dashboard.services.list_copies(who, &filter, None, one_more).await?;
    let has_more = copies.len() > MAX_COPIES;
    copies.truncate(MAX_COPIES);
    let mut ids: Vec<Uuid> = copies.iter().map(|copy| copy.printer_id).collect();
    ids.sort();
    ids.dedup();
    let printers = dashboard.services.registered_printers(&ids).await?;
    let printers: HashMap<Uuid, Printer> = printers.into_iter().map(|printer| (printer.id, printer)).collect();
    let labels = find_beaten_labels(dashboard, who, &copies).await?;
    let mut rows: Vec<CopyRow> = copies.into_iter().map(|copy| CopyRow::new(copy, &printers, &labels)).collect();
    rows.sort_by_key(|row| !row.waits_for_judgement);
    Ok((rows, has_more))
}
