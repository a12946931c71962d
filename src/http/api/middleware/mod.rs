//! Middleware of the API: who calls, how often, how much at once, and repeated requests.

pub(super) mod authentication;
pub(super) mod idempotency;
pub(super) mod overload;
pub mod rate_limit;
