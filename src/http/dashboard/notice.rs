//! The notice on every page: one line that names the part of the server that does not work, and what to do.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::messages::t;
use crate::service::{
    Services,
    health::{DatabaseFailure, Notice},
};

tokio::task_local! {
    static SERVICES: Services;
}

/// Makes the notice available to the page of a request.
pub(super) async fn of_request(State(services): State<Services>, request: Request, next: Next) -> Response {
    SERVICES.scope(services, next.run(request)).await
}

/// Returns the notice in the language of the page. Empty while every part works.
pub(super) fn current() -> &'static str {
    let notice = SERVICES.try_with(|services| services.health().notice()).ok().flatten();
    notice.map_or("", sentence)
}

/// Returns a notice in the current language: what does not work, the consequence, what to do.
pub(in crate::http) fn sentence(notice: Notice) -> &'static str {
    match notice {
        Notice::Database(DatabaseFailure::Unreachable) => t("notice-database-does-not-answer"),
        Notice::Database(DatabaseFailure::Disk) => t("notice-disk-database-full-does"),
        Notice::Database(DatabaseFailure::Locked) => t("notice-another-program-locked-database"),
        Notice::Database(DatabaseFailure::FileReplaced) => t("notice-database-file-deleted-moved"),
        Notice::Database(DatabaseFailure::Refused) => t("notice-database-refuses-store-anything"),
        Notice::NotSending => t("notice-server-sends-no-commands"),
        Notice::DispatcherHangs => t("notice-no-commands-sent-dispatcher"),
        Notice::RecorderBehind => t("notice-prints-recorded-late-so"),
    }
}
