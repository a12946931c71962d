//! The notice on every page: one line that names the part of the server that does not work, and what to do.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::language::t;
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
        Notice::Database(DatabaseFailure::Unreachable) => {
            t("The database does not answer. Nothing can be commanded or recorded; running prints continue. Check the \
               database and its disk: Printyard continues by itself.")
        }
        Notice::Database(DatabaseFailure::Disk) => t(
            "The disk of the database is full or does not work. Nothing can be commanded or recorded; running prints \
               continue. Free some space: Printyard continues by itself.",
        ),
        Notice::Database(DatabaseFailure::Locked) => t(
            "Another program has locked the database. Nothing can be commanded or recorded; running prints continue. \
               Close that program (a backup, a database tool): Printyard continues by itself.",
        ),
        Notice::Database(DatabaseFailure::FileReplaced) => {
            t("The database file was deleted, moved or replaced. Nothing can be commanded or recorded; running prints \
               continue. Bring the file back, or restart the server with the right one.")
        }
        Notice::Database(DatabaseFailure::Refused) => {
            t("The database refuses to store anything. Nothing can be commanded or recorded; running prints continue. \
               The server's log has the cause.")
        }
        Notice::NotSending => t(
            "This server sends no commands: it lost the lock of the farm. Running prints continue. It takes the lock \
               again by itself; if this lasts, check the database.",
        ),
        Notice::DispatcherHangs => {
            t("No commands are sent: the dispatcher does not respond. Restart the server; waiting commands are kept.")
        }
        Notice::RecorderBehind => {
            t("Prints are recorded late, so plates and lists of prints may be out of date. If this lasts, check the \
               database and its disk.")
        }
    }
}
