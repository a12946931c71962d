//! Moves orders in the queue: by their priority, which is sent with the version that the page shows.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::{
    errors::FormErrors,
    list::{QueueNotes, QueueParams, render_queue},
};
use crate::{
    domain::{
        access::Role,
        order::{MAX_PRIORITY, OrderPatch, priority_between},
    },
    http::dashboard::{
        Dashboard,
        form::FormData,
        messages::t,
        page::{Failure, Visitor},
    },
    service::{Error, orders::OrderView},
};

/// Where an order can move in the queue.
pub(super) struct Rank {
    /// Id and version, as the form sends them.
    pub key: String,
    /// The priority by which another order moves before this one.
    pub before: u32,
    /// The priority by which another order moves after this one.
    pub after: u32,
    /// The priority that moves it before the order above. `None`: it cannot move up.
    pub earlier: Option<u32>,
    /// The priority that moves it after the order below. `None`: it cannot move down.
    pub later: Option<u32>,
}

impl Rank {
    /// Returns the ranks of the open orders in `rows`, which are sorted by priority. `above` and `below` are the priorities of
    /// the open orders next to the page.
    pub fn of_rows(rows: &[OrderView], above: Option<u32>, below: Option<u32>) -> Vec<Self> {
        let orders = rows.iter().map(|view| &view.counted.order);
        let open: Vec<_> = orders.take_while(|order| order.ended_as.is_none()).collect();
        let priorities: Vec<u32> = open.iter().map(|order| order.details.priority).collect();
        let places = places(&priorities, above, below);
        let rank = |at: usize| {
            let own = priorities[at];
            let earlier = match at.checked_sub(1) {
                Some(upper) => Some(places[upper].0),
                None => above.map(|next| if next > own { next } else { places[at].0 }),
            };
            let later = match places.get(at + 1) {
                Some((_, after)) => Some(*after),
                None => below.map(|next| if next < own { next } else { places[at].1 }),
            };
            Self {
                key: format!("{}.{}", open[at].id, open[at].version),
                before: places[at].0,
                after: places[at].1,
                earlier: earlier.filter(|priority| *priority > own),
                later: later.filter(|priority| *priority < own),
            }
        };
        (0..open.len()).map(rank).collect()
    }
}

/// Returns the priorities by which an order moves before and after each row. Orders of one priority are sorted by due date, so it
/// moves before or after all of them.
fn places(priorities: &[u32], above: Option<u32>, below: Option<u32>) -> Vec<(u32, u32)> {
    let place = |own: &u32| {
        let higher = priorities.iter().rev().copied().chain(above).find(|other| other > own);
        // How many orders of the same priority are next to the page is not known: the next number is after all of them.
        let higher = higher.or(above.filter(|next| next == own && *own < MAX_PRIORITY).map(|own| own + 2));
        let lower = priorities.iter().copied().chain(below).find(|other| other < own);
        let lower = lower.or(below.filter(|next| next == own).and_then(|own| own.checked_sub(2)));
        (priority_between(higher, Some(*own)), priority_between(Some(*own), lower))
    };
    priorities.iter().map(place).collect()
}

/// Sets the priority of an order, and returns to the queue. If the order has changed meanwhile, the page says so.
pub(in crate::http::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let (id, version, priority) = parse_target(&form).ok_or_else(Failure::invalid_form)?;
    let params = QueueParams::from_form(&form);
    let patch = OrderPatch { priority: Some(priority), ..OrderPatch::default() };
    let moved = match dashboard.services.patch_order(&who, id, version, patch).await {
        Ok(_) => return Ok(Redirect::to(&params.current_href()).into_response()),
        Err(Error::Stale) => t("order-moved-stale").to_owned(),
        Err(error) => {
            let errors = FormErrors::from_error(error)?;
            ["", "priority"].into_iter().find_map(|field| errors.for_field(field)).ok_or_else(Failure::invalid_form)?
        }
    };
    let notes = QueueNotes { moved: Some(moved), ..QueueNotes::default() };
    let page = render_queue(&dashboard, &who, params, notes).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Parses what a button or a drop sends: id, version and new priority.
fn parse_target(form: &FormData) -> Option<(Uuid, i64, u32)> {
    let mut parts = form.text("to")?.splitn(3, '.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_moves_before_or_after_all_of_the_same_priority() {
        assert_eq!(places(&[80, 50, 50, 20], None, None), [(90, 65), (65, 35), (65, 35), (35, 9)]);
        assert_eq!(places(&[100, 0], None, None), [(100, 50), (50, 0)]);
    }

    #[test]
    fn the_orders_next_to_the_page_count() {
        assert_eq!(places(&[50, 40], Some(60), Some(30)), [(55, 45), (45, 35)]);
        assert_eq!(places(&[50], Some(50), Some(50)), [(51, 49)]);
        assert_eq!(places(&[100], Some(100), Some(100)), [(100, 99)]);
        assert_eq!(places(&[99, 1], Some(99), Some(1)), [(100, 50), (50, 0)]);
    }
}
