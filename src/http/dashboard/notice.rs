//! What every page shows of the server: the notice, which names a part that does not work and what to do, and the switch of
//! production.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};

use super::{
    messages::t,
    page::{PageFrame, remember_user_of},
    time::TimeElement,
};
use crate::{
    domain::planner::PlanSwitch,
    service::{
        Services,
        health::{DatabaseFailure, Notice},
    },
};

tokio::task_local! {
    static SERVICES: Services;
    /// Path and query of the page. The farm page, if the request was a form.
    static PAGE_PATH: String;
}

/// The switch of production, as the head of a page shows it.
pub(super) struct ProductionControl {
    pub switch: PlanSwitch,
    pub since: Option<TimeElement>,
    /// Whether the user may use it.
    pub can_use: bool,
    /// Where the form of the switch leads back to.
    pub back: String,
}

impl ProductionControl {
    /// Returns the state as a text that differs for each stop. Empty: production is not stopped.
    pub fn state(&self) -> String {
        switch_state(&self.switch)
    }
}

impl PageFrame {
    /// Returns the switch of production. `None`: there is nothing to show, because production is not stopped, and the user may
    /// not stop it, or the farm does not use it.
    pub fn production(&self) -> Option<ProductionControl> {
        let (switch, is_used) =
            SERVICES.try_with(|services| (services.last_plan_switch(), services.uses_production())).ok()?;
        let can_use = self.can_operate() && !self.is_limited;
        let is_offered = can_use && (is_used || self.menu_entry == "queue");
        (switch.is_stopped || is_offered).then(|| ProductionControl {
            since: switch.since.map(TimeElement::date_and_time),
            switch,
            can_use,
            back: PAGE_PATH.try_with(Clone::clone).unwrap_or_else(|_| "/".to_owned()),
        })
    }
}

/// Returns the state of the switch as a text that differs for each stop. Empty: production is not stopped.
pub(super) fn switch_state(switch: &PlanSwitch) -> String {
    let since = switch.since.filter(|_| switch.is_stopped);
    since.map(|at| at.timestamp_millis().to_string()).unwrap_or_default()
}

/// Makes the notice and the switch available to the page of a request.
pub(super) async fn provide_notice(State(services): State<Services>, request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
    let path = path.map_or("/", |path| path.as_str()).to_owned();
    SERVICES.scope(services, PAGE_PATH.scope(path, remember_user_of(next.run(request)))).await
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
