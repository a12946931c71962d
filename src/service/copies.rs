//! Copies of orders: assigned, followed, judged and given up.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, ActorKind, AuditEntry},
        batch::{Batch, BatchOrigin, BatchSpec, BatchState},
        command::{Command, CommandRow, Effect, LibraryContent, StartFile},
        copy::{Copy, CopyFilter, CopyResult, CopyState, Quality},
        event::EventType,
        message::Message,
        order::{CountedOrder, Order, OrderFile, check_reason},
        printer::Printer,
        state::Reachability,
        validation::ValidationErrors,
    },
    storage::{
        self,
        batches::PreparedBatch,
        copies::{Assignment, AssignmentResult, CopyChange, CopyDecision},
    },
};

/// A step of a copy, and what was observed with it.
#[derive(Debug, Clone)]
pub struct CopyStep {
    pub to: CopyState,
    pub print_id: Option<Uuid>,
    pub result: Option<CopyResult>,
    pub reason: Option<String>,
}

impl CopyStep {
    /// Returns a step without observations.
    pub fn to(to: CopyState) -> Self {
        Self { to, print_id: None, result: None, reason: None }
    }
}

/// The judgement of a copy by a person.
#[derive(Debug, Clone)]
pub struct Verdict {
    pub good: u32,
    pub scrap: u32,
    pub reason: Option<String>,
}

impl Services {
    /// Returns one copy of a visible order.
    pub async fn copy(&self, who: &Principal, id: Uuid) -> Result<Copy, Error> {
        let copy = storage::copies::get(&self.db, id).await?.ok_or(Error::NotFound("copy"))?;
        match self.order(who, copy.order_id).await {
            Ok(_) => Ok(copy),
            Err(Error::NotFound(_)) => Err(Error::NotFound("copy")),
            Err(error) => Err(error),
        }
    }

    /// Returns a page of the copies of visible orders, newest first, older than `after`.
    pub async fn list_copies(
        &self,
        who: &Principal,
        filter: &CopyFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Copy>, Error> {
        if let Some(order_id) = filter.order_id {
            self.order(who, order_id).await?;
        }
        let filter = CopyFilter { visible_tags: who.visible_tags(), ..filter.clone() };
        Ok(storage::copies::list_page(&self.db, &filter, after, limit).await?)
    }

    /// Returns the copies of visible orders that occupy printers.
    pub async fn active_copies(&self, who: &Principal) -> Result<Vec<Copy>, Error> {
        let mut copies = storage::copies::list_active(&self.db).await?;
        let visible = self.visible_orders(who, copies.iter().map(|copy| copy.order_id)).await?;
        copies.retain(|copy| visible.contains(&copy.order_id));
        Ok(copies)
    }

    /// Assigns a copy of an order to a printer, and hands its start command to the dispatcher. Both are stored in one
    /// transaction.
    pub async fn assign_copy(
        &self,
        order: &Order,
        file: &OrderFile,
        printer: &Printer,
        why: Map<String, Value>,
    ) -> Result<AssignmentResult, Error> {
        let at = clock::now();
        let content = LibraryContent {
            file_id: file.file_id,
            sha256: file.sha256.clone(),
            name: file.name.clone(),
            print_size: file.print_size,
        };
        let file_of_start = Some(StartFile::InLibrary(content));
        let spec = BatchSpec {
            file: file_of_start.clone(),
            named: true,
            origin: BatchOrigin::Planner,
            external_ref: order.external_ref.clone(),
            ..BatchSpec::new(Command::Start)
        };
        let planner = Principal::server_admin(ActorKind::Planner);
        let batch = Batch {
            id: clock::new_id(),
            spec,
            state: BatchState::Running,
            created_at: at,
            finished_at: None,
            created_by: planner.name.clone(),
            retry_of: None,
        };
        // Not released: the printer may not have the file yet.
        let row = CommandRow {
            file: file_of_start,
            ..CommandRow::queued(
                clock::new_id(),
                batch.id,
                printer.id,
                printer.details.name.clone(),
                batch.spec.command,
            )
        };
        let changes = json!({"command": Command::Start, "order": order.label(), "external_ref": order.external_ref});
        let entry = AuditEntry {
            subject: Some(batch.id),
            printer_ids: vec![printer.id],
            ..planner.audit_entry(Action::BatchCreated, changes.as_object().cloned().unwrap_or_default())
        };
        let rows = vec![row];
        let assignment = Assignment {
            copy_id: clock::new_id(),
            order_id: order.id,
            printer_id: printer.id,
            file: file.clone(),
            why,
            batch: PreparedBatch { batch: batch.clone(), rows: rows.clone(), entry },
            at,
        };
        let result = storage::copies::assign(&self.db, &assignment).await?;
        if matches!(result, AssignmentResult::Assigned(_)) {
            self.dispatcher.add_planner_batch(batch, rows);
            self.transfers.wake();
            tracing::info!(
                copy.id = %assignment.copy_id, order.id = %order.id, printer.id = %printer.id, "copy assigned"
            );
        }
        Ok(result)
    }

    /// Moves a copy to another state, if it can go there. Returns the copy as it is then. If it failed and its attempts are
    /// used up, its order is put on hold.
    pub async fn advance_copy(&self, id: Uuid, step: CopyStep) -> Result<Copy, Error> {
        let at = clock::now();
        self.change_copy(id, |copy, counted| {
            let next = copy.advance(&counted.order, step.to, at);
            Ok(next.map(|mut copy| {
                copy.print_id = step.print_id.or(copy.print_id);
                copy.result = step.result.or(copy.result);
                copy.reason = step.reason.or(copy.reason.take());
                CopyDecision { event: copy.state.event(), copy, data: Map::new(), entry: None }
            }))
        })
        .await
    }

    /// Judges a finished copy. A later judgement is a correction. Fails with `copy_not_finished`.
    pub async fn judge_copy(&self, who: &Principal, id: Uuid, verdict: Verdict) -> Result<Copy, Error> {
        who.require(Role::Operator)?;
        let mut invalid = ValidationErrors::default();
        check_reason(&mut invalid, verdict.reason.as_deref());
        invalid.into_result(())?;
        self.change_copy(id, |copy, counted| {
            check_visible(who, counted)?;
            if copy.state != CopyState::Finished {
                let detail = Message::new("refusal-copy-not-finished");
                return Err(Error::Conflict { code: "copy_not_finished", detail });
            }
            if u64::from(verdict.good) + u64::from(verdict.scrap) != u64::from(copy.parts) {
                let rule = Message::new("rule-copy-parts").with("parts", copy.parts);
                return Err(ValidationErrors::single("/good", "sum", rule).into());
            }
            let before = copy.verdict();
            let Verdict { good, scrap, reason } = verdict;
            let judged = Copy { quality: Quality::Judged, good, scrap, reason, ..copy.clone() };
            if judged == *copy {
                return Ok(None);
            }
            let data = Map::from_iter([("before".to_owned(), json!(before))]);
            let changes = json!({"good": [before.good, good], "scrap": [before.scrap, scrap], "reason": judged.reason});
            let entry = copy_entry(who, Action::CopyJudged, &judged, counted, changes);
            Ok(Some(CopyDecision { copy: judged, event: Some(EventType::CopyJudged), data, entry: Some(entry) }))
        })
        .await
    }

    /// Gives a copy up as lost, so that another one replaces it: a finished copy, or a copy whose printer or start cannot
    /// be observed. Fails with `copy_ended` and `copy_running`.
    pub async fn lose_copy(&self, who: &Principal, id: Uuid, reason: Option<String>) -> Result<Copy, Error> {
        who.require(Role::Operator)?;
        let mut invalid = ValidationErrors::default();
        check_reason(&mut invalid, reason.as_deref());
        invalid.into_result(())?;
        let copy = self.copy(who, id).await?;
        let is_unobserved = self.is_unobserved(&copy).await?;
        let at = clock::now();
        self.change_copy(id, |copy, counted| {
            check_visible(who, counted)?;
            if copy.state == CopyState::Lost {
                return Ok(None);
            }
            if copy.state.is_active() && !is_unobserved {
                return Err(Error::Conflict { code: "copy_running", detail: Message::new("refusal-copy-running") });
            }
            let Some(mut lost) = copy.advance(&counted.order, CopyState::Lost, at) else {
                return Err(Error::Conflict { code: "copy_ended", detail: Message::new("refusal-copy-ended") });
            };
            lost.reason = reason;
            let changes = json!({"state": [copy.state, lost.state], "reason": lost.reason});
            let entry = copy_entry(who, Action::CopyLost, &lost, counted, changes);
            let event = Some(EventType::CopyLost);
            Ok(Some(CopyDecision { copy: lost, event, data: Map::new(), entry: Some(entry) }))
        })
        .await
    }

    /// Returns whether the state of an active copy cannot be observed: its printer does not reply or was removed, or its
    /// start has an unknown effect.
    async fn is_unobserved(&self, copy: &Copy) -> Result<bool, Error> {
        let live = self.fleet.view().get(copy.printer_id);
        if live.is_none_or(|live| live.reachability != Reachability::Online) {
            return Ok(true);
        }
        let command = storage::commands::get(&self.db, copy.command_id).await?;
        let has_unknown_effect = |row: CommandRow| row.outcome.effect() == Some(Effect::Maybe) && row.settled.is_none();
        Ok(copy.state == CopyState::Starting && command.is_none_or(has_unknown_effect))
    }

    async fn change_copy(
        &self,
        id: Uuid,
        decide: impl FnOnce(&Copy, &CountedOrder) -> Result<Option<CopyDecision>, Error>,
    ) -> Result<Copy, Error> {
        match storage::copies::change(&self.db, id, clock::now(), decide).await? {
            CopyChange::Changed { copy, .. } => {
                tracing::info!(copy.id = %id, copy.state = %copy.state, order.id = %copy.order_id, "copy changed");
                Ok(*copy)
            }
            CopyChange::Unchanged { copy, .. } => Ok(*copy),
            CopyChange::Refused(error) => Err(error),
            CopyChange::NotFound => Err(Error::NotFound("copy")),
        }
    }
}

fn check_visible(who: &Principal, counted: &CountedOrder) -> Result<(), Error> {
    if counted.order.is_visible_to(&who.tags) { Ok(()) } else { Err(Error::NotFound("copy")) }
}

fn copy_entry(who: &Principal, action: Action, copy: &Copy, counted: &CountedOrder, changes: Value) -> AuditEntry {
    let mut changes = changes.as_object().cloned().unwrap_or_default();
    changes.insert("order".to_owned(), counted.order.label().into());
    AuditEntry { subject: Some(copy.id), printer_ids: vec![copy.printer_id], ..who.audit_entry(action, changes) }
}
