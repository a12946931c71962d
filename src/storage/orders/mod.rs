//! Orders. Their quantities are derived from copies and adjustments at every read.
//!
//! A transaction that changes an order or its copies locks the order first. So the changes of one order follow each
//! other, and each one sees the sums of all earlier ones.

mod change;
mod list;
mod row;

pub use change::{Decision, OrderChange, OrderInsert, change, delete_older_than, insert};
pub(super) use change::{follow_order, lock_order, turn_event, update_order};
pub(super) use list::unreplaced_condition;
pub use list::{RowStamp, find_by_key, get, get_many, list_by_urgency, list_open, list_open_stamps, list_page};
pub(super) use row::{CountedRow, active_states, counted_sql};
