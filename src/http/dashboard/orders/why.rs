//! Why the planner assigned a copy, in words: the rule, its numbers, and the orders that came next.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::order_path;
use crate::{
    domain::{
        copy::Copy,
        order::OrderFilter,
        planner::{PlanRule, Why},
    },
    http::dashboard::{
        Dashboard,
        files::facts::format_number,
        messages::{t, t_with},
        page::Failure,
        time::{TimeElement, format_duration},
    },
    service::{access::Principal, orders::OrderQuery},
};

/// Why a copy was assigned.
pub(super) struct WhyText {
    pub rule: &'static str,
    pub due: TimeElement,
    pub is_due_assumed: bool,
    /// Labels and values of the other numbers of the rule.
    pub facts: Vec<(&'static str, String)>,
    pub beaten: Vec<BeatenText>,
}

/// An order that the printer could have taken.
pub(super) struct BeatenText {
    /// Path and label. `None`: the order was deleted, or the user may not see it.
    pub order: Option<(String, String)>,
    pub score: String,
}

impl WhyText {
    /// Returns the reason of a copy. `None`: the copy has none, because the planner did not assign it.
    pub fn new(copy: &Copy, labels: &HashMap<Uuid, String>) -> Option<Self> {
        let why = parse_why(copy)?;
        let print_time = format_seconds(why.print_time_s);
        let print_time =
            if why.is_print_time_known { print_time } else { t_with("order-why-mean-used", &[("time", &print_time)]) };
        let slack = if why.slack_s == 0 { t("order-why-no-slack").to_owned() } else { format_seconds(why.slack_s) };
        let facts = vec![
            (t("order-why-weight"), format!("× {}", format_number(why.weight, 2))),
            (t("order-why-print-time"), print_time),
            (t("order-why-plate-time"), format_seconds(why.plate_time_s)),
            (t("order-why-slack"), slack),
            (t("order-why-mean"), format_seconds(why.mean_print_time_s)),
            (t("order-why-score"), format_score(why.score)),
        ];
        let beaten = why.beaten.iter().map(|beaten| BeatenText {
            order: labels.get(&beaten.order_id).map(|label| (order_path(beaten.order_id), label.clone())),
            score: format_score(beaten.score),
        });
        Some(Self {
            rule: rule_text(why.rule),
            due: TimeElement::date_and_time(why.due_at),
            is_due_assumed: why.is_due_assumed,
            facts,
            beaten: beaten.collect(),
        })
    }
}

fn rule_text(rule: PlanRule) -> &'static str {
    t(match rule {
        PlanRule::HighestScore => "order-why-highest-score",
        PlanRule::OnlyOrder => "order-why-only-order",
    })
}

fn parse_why(copy: &Copy) -> Option<Why> {
    serde_json::from_value(Value::Object(copy.why.clone())).ok()
}

fn format_seconds(seconds: u64) -> String {
    format_duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Returns a score with a real minus sign.
fn format_score(score: f64) -> String {
    format_number(score, 2).replace('-', "−")
}

/// Returns the labels of the orders that copies came before, by id.
pub(super) async fn find_beaten_labels(
    dashboard: &Dashboard,
    who: &Principal,
    copies: &[Copy],
) -> Result<HashMap<Uuid, String>, Failure> {
    let mut ids: Vec<Uuid> =
        copies.iter().filter_map(parse_why).flat_map(|why| why.beaten).map(|beaten| beaten.order_id).collect();
    ids.sort();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let filter = OrderFilter { ids: Some(ids), ..OrderFilter::default() };
    let query = OrderQuery { filter, waiting_reason: None };
    let orders = dashboard.services.list_orders(who, &query, None, limit).await?;
    Ok(orders.into_iter().map(|view| (view.counted.order.id, view.counted.order.label())).collect())
}
