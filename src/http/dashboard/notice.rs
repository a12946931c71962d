//! The notice on every page: one line that names the part of the server that does not work, and what to do.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::{messages::t, page::remember_user_of};
use crate::service::{
    Services,
    health::{DatabaseFailure, Notice},
};

tokio::task_local! {
    static SERVICES: Services;
}

/// Makes the notice available to the page of a request.
pub(super) async fn provide_notice(State(services): State<Services>, request: Request, next: Next) -> Response {
    SERVICES.scope(services, remember_user_of(next.run(request))).await
}

/// Returns the notice in the language of the page. Empty while every part works.
pub(super) fn current_notice() -> &'static str {
    let notice = SERVICES.try_with(|services| services.health().notice()).ok().flatten();
    notice.map_or("", notice_text)
}

/// Returns the line that says that the printers are simulated. `None`: the server runs no demo.
pub(super) fn demo_line() -> Option<&'static str> {
    let has_random_faults =
        SERVICES.try_with(|services| services.demo_farm().map(|farm| farm.has_random_faults())).ok().flatten()?;
    Some(if has_random_faults { t("demo-line") } else { t("demo-line-calm") })
}

/// Returns a notice in the current language: what does not work, the consequence, what to do.
pub(in crate::http) fn notice_text(notice: Notice) -> &'static str {
    match notice {
        Notice::Database(DatabaseFailure::Unreachable) => t("notice-database-unreachable"),
        Notice::Database(DatabaseFailure::Disk) => t("notice-database-disk"),
        Notice::Database(DatabaseFailure::Locked) => t("notice-database-locked"),
        Notice::Database(DatabaseFailure::FileReplaced) => t("notice-database-replaced"),
        Notice::Database(DatabaseFailure::Refused) => t("notice-database-refuses"),
        Notice::NotSending => t("notice-not-sending"),
        Notice::DispatcherHangs => t("notice-dispatcher-hangs"),
        Notice::RecorderBehind => t("notice-recorder-behind"),
    }
}
