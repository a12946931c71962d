//! Middleware of the API: authentication, rate limit, overload limit, and idempotent requests.

pub(in crate::http) mod authentication;
pub(super) mod idempotency;
pub(in crate::http) mod overload;
pub mod rate_limit;
