//! What the queue and the page of an order show of an order.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    order_path,
    text::{ReasonText, order_state_class, order_state_label},
};
use crate::{
    clock,
    domain::order::Quantities,
    http::dashboard::{
        Dashboard,
        batches::verdict::{LegendItem, OutcomeBar},
        files::names::thumbnail_url,
        messages::{t, t_with},
        page::Failure,
        time::TimeElement,
    },
    service::{access::Principal, orders::OrderView},
};

/// An order in one row.
pub(super) struct OrderSummary {
    pub id: Uuid,
    pub href: String,
    pub label: String,
    /// Part or reference, where the label has something else.
    pub reference: String,
    pub thumbnail: Option<String>,
    pub bar: OutcomeBar,
    /// As in "12 of 120 good · 4 printing".
    pub progress: String,
    pub due: Option<TimeElement>,
    pub is_late: bool,
    pub priority: u32,
    pub state: &'static str,
    pub state_class: &'static str,
    /// The first reason why it waits.
    pub reason: Option<ReasonText>,
}

impl OrderSummary {
    /// Returns the summary of an order. `thumbnails` has the URLs of thumbnails by content.
    pub fn new(view: &OrderView, thumbnails: &HashMap<String, String>) -> Self {
        let order = &view.counted.order;
        let (state, quantities) = (view.counted.state(), view.counted.quantities());
        let label = order.label();
        let references = [order.part.as_deref(), order.external_ref.as_deref()];
        let references: Vec<&str> = references.into_iter().flatten().filter(|text| *text != label).collect();
        let is_open = order.ended_as.is_none();
        Self {
            id: order.id,
            href: order_path(order.id),
            reference: references.join(" · "),
            label,
            thumbnail: order.files.iter().find_map(|file| thumbnails.get(&file.sha256)).cloned(),
            bar: parts_bar(&quantities),
            progress: progress_text(&quantities),
            due: order.details.due_at.map(TimeElement::date_and_time),
            is_late: is_open && order.details.due_at.is_some_and(|due| due < clock::now()),
            priority: order.details.priority,
            state: order_state_label(state),
            state_class: order_state_class(state),
            reason: view.waiting_reasons.first().filter(|_| is_open).map(ReasonText::from),
        }
    }
}

/// Returns the URLs of the thumbnails of the orders' files, by content.
pub(super) async fn find_thumbnails(
    dashboard: &Dashboard,
    who: &Principal,
    views: &[OrderView],
) -> Result<HashMap<String, String>, Failure> {
    let files = views.iter().flat_map(|view| &view.counted.order.files);
    let mut contents: Vec<String> = files.map(|file| file.sha256.clone()).collect();
    contents.sort();
    contents.dedup();
    let found = dashboard.services.files_of_contents(who, &contents).await?;
    let urls = found.iter().filter_map(|file| Some((file.content.sha256.clone(), thumbnail_url(file)?)));
    Ok(urls.collect())
}

/// Returns the bar of an order's parts. Amber: parts that a person has to judge.
fn parts_bar(quantities: &Quantities) -> OutcomeBar {
    let item = |n, label: &str, class| LegendItem { n, label: label.to_owned(), class };
    let items = [
        item(quantities.good, t("order-count-good"), "done"),
        item(quantities.unjudged, t("order-count-unjudged"), "unknown"),
        item(quantities.printing, t("order-count-printing"), "working"),
        item(quantities.queued, t("order-count-queued"), "unsent"),
    ];
    OutcomeBar::from_items(items.into_iter())
}

fn progress_text(quantities: &Quantities) -> String {
    let mut parts = vec![t_with("order-good-of", &[("good", &quantities.good), ("ordered", &quantities.ordered)])];
    let others = [
        (quantities.printing, "order-count-printing"),
        (quantities.unjudged, "order-count-unjudged"),
        (quantities.scrap, "order-count-scrap"),
    ];
    parts.extend(others.into_iter().filter(|(n, _)| *n > 0).map(|(n, id)| format!("{n} {}", t_with(id, &[]))));
    parts.join(" · ")
}
