//! Retries the commands of a finished batch.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::BatchView;
use crate::{
    domain::{
        access::Role,
        batch::{BatchSpec, Selector, Target},
        command::{Command, Outcome, StartFile},
        message::Message,
        validation::ValidationErrors,
    },
    service::{Services, access::Principal, error::Error},
    storage,
};

/// Which commands a retry repeats.
#[derive(Debug, Clone)]
pub struct RetryRequest {
    pub outcomes: Vec<Outcome>,
    /// Only the commands to these printers. `None`: to all.
    pub printers: Option<HashSet<Uuid>>,
    /// An operator has checked the printers whose start or emergency stop may have been carried out.
    pub operator_checked: bool,
}

impl Services {
    /// Creates a new batch from the commands of a finished batch that ended with one of the given outcomes.
    pub async fn retry_batch(&self, who: &Principal, id: Uuid, retry: RetryRequest) -> Result<BatchView, Error> {
        who.require(Role::Operator)?;
        let (batch, _, visible) = self.visible_batch(who, id).await?;
        let mut invalid = ValidationErrors::default();
        if retry.outcomes.is_empty() {
            invalid.add("/outcomes", "required", "rule-outcomes");
        }
        for (i, outcome) in retry.outcomes.iter().enumerate() {
            if !outcome.is_final() {
                invalid.add(format!("/outcomes/{i}"), "not_final", "rule-final-outcome");
            }
        }
        invalid.into_result(())?;
        let may_harm = matches!(batch.spec.command, Command::Start | Command::Restart | Command::EmergencyStop)
            && retry.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown | Outcome::Unconfirmed));
        if may_harm && !retry.operator_checked {
            let detail = Message::new("refusal-needs-operator-check");
            return Err(Error::Conflict { code: "needs_operator_check", detail });
        }
        if batch.finished_at.is_none() {
            let detail = Message::new("refusal-batch-not-finished");
            return Err(Error::Conflict { code: "batch_not_finished", detail });
        }
        let mut rows = storage::commands::list_by_outcome(&self.db, id, &retry.outcomes, &visible).await?;
        if let Some(printers) = &retry.printers {
            rows.retain(|row| printers.contains(&row.printer_id));
        }
        let targets = rows
            .iter()
            .map(|row| Target { id: row.printer_id, expected_job: row.expected_job.clone(), file: None })
            .collect();
        if rows.is_empty() {
            let detail = Message::new("refusal-no-such-outcome");
            return Err(Error::Unprocessable { code: "nothing_selected", detail });
        }
        let commands: HashMap<Uuid, Command> =
            rows.iter().map(|row| (row.printer_id, row.resolved_command.unwrap_or(row.command))).collect();
        let mut selected = self.select_printers(who, &Selector::Printers(targets)).await?;
        let files: HashMap<Uuid, StartFile> =
            rows.iter().filter_map(|row| Some((row.printer_id, row.file.clone()?))).collect();
        for one in &mut selected {
            // The content that the first batch named, even if its file has another one now.
            one.file = files.get(&one.printer_id).cloned();
        }
        self.refuse_unfit(&batch.spec, &mut selected).await?;
        let mut spec = BatchSpec {
            not_before: None,
            token_id: who.token_id,
            user_id: who.user_id,
            root_token_id: who.root_token_id,
            states: Vec::new(),
            ..batch.spec
        };
        let first = commands.values().next().copied().unwrap_or(spec.command);
        if commands.values().all(|command| *command == first) {
            spec.command = first;
        }
        let fallback = spec.command;
        let targets = selected
            .into_iter()
            .map(|selected| {
                let command = commands.get(&selected.printer_id).copied().unwrap_or(fallback);
                (selected, command)
            })
            .collect();
        self.store_batch(who, spec, targets, Some(id)).await
    }
}
