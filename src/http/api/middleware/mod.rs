//! Middleware of the API: authentication, rate limit, overload limit, and idempotent requests.

pub(super) mod authentication;
pub(super) mod idempotency;
pub(super) mod overload;
pub mod rate_limit;
