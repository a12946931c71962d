//! The switch of the farm: stop ends assigning, never a print.

use serde_json::json;

use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry},
        message::Message,
        order::check_reason,
        planner::PlanSwitch,
        validation::ValidationErrors,
    },
    service::{Services, access::Principal, error::Error},
    storage,
};

impl Services {
    /// Returns the switch.
    pub async fn plan_switch(&self) -> Result<PlanSwitch, Error> {
        let switch = storage::plan_switch::get(&self.db).await?;
        self.planner.remember_switch(&switch);
        Ok(switch)
    }

    /// Returns the switch as it was read or stored last, without a query. The planner reads it every 2 s.
    pub fn last_plan_switch(&self) -> PlanSwitch {
        self.planner.last_switch()
    }

    /// Stops or resumes assigning for the whole farm. A copy whose start was not sent is withdrawn at a stop.
    pub async fn set_plan_switch(
        &self,
        who: &Principal,
        is_stopped: bool,
        reason: Option<String>,
    ) -> Result<PlanSwitch, Error> {
        who.require(Role::Operator)?;
        if !who.tags.is_empty() {
            return Err(Error::Forbidden(Message::new("refusal-plan-switch-limited")));
        }
        let mut invalid = ValidationErrors::default();
        check_reason(&mut invalid, reason.as_deref());
        invalid.into_result(())?;
        let before = self.plan_switch().await?;
        if before.is_stopped == is_stopped {
            return Ok(before);
        }
        let after = PlanSwitch { is_stopped, reason, since: Some(clock::now()), by: Some(who.name.clone()) };
        let action = if is_stopped { Action::PlanStopped } else { Action::PlanResumed };
        let changes = json!({"reason": after.reason}).as_object().cloned().unwrap_or_default();
        let entry: AuditEntry = who.audit_entry(action, changes);
        storage::plan_switch::set(&self.db, &after, &entry).await?;
        self.planner.remember_switch(&after);
        tracing::info!(is_stopped, by = %who.name, "the switch of the planner changed");
        self.planner.wake();
        Ok(after)
    }
}
