//! The pages of orders: the queue, one order with its copies, a form for a new order, and the switch of the planner.

pub(super) mod act;
mod copies;
pub(super) mod errors;
mod fields;
pub(super) mod list;
pub(super) mod new;
pub(super) mod rank;
pub(super) mod show;
mod summary;
pub(super) mod switch;
mod text;
pub(super) mod todo;
mod why;

/// Returns the path of an order's page.
pub(super) fn order_path(id: uuid::Uuid) -> String {
    format!("/queue/{id}")
}
