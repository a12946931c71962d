//! Creates emergency stops: batches of `M112`, ahead of every other command.

use super::BatchView;
use crate::{
    domain::{
        access::Role,
        batch::{BatchSpec, Selector},
        command::Command,
        message::Message,
        validation::ValidationErrors,
    },
    service::{Services, access::Principal, error::Error},
};

/// Seconds within which a closed connection must be observed. OctoPrint closes it before it replies.
const CONFIRM_WITHIN_S: u32 = 15;

impl Services {
    /// Creates a batch that sends `M112` to the selected printers. When this returns, the batch is in the command log.
    /// Nothing is sent earlier.
    pub async fn emergency_stop(
        &self,
        who: &Principal,
        selector: &Selector,
        reason: Option<String>,
    ) -> Result<BatchView, Error> {
        who.require(Role::Operator)?;
        let spec = BatchSpec {
            confirm_within_s: CONFIRM_WITHIN_S,
            named: selector.names_printers(),
            token_id: who.token_id,
            user_id: who.user_id,
            root_token_id: who.root_token_id,
            reason,
            ..BatchSpec::new(Command::EmergencyStop)
        };
        let mut invalid = ValidationErrors::default();
        spec.check(&mut invalid);
        refuse_conditions(selector, &mut invalid);
        invalid.into_result(())?;
        let selected = self.select_printers(who, selector).await?;
        let targets = selected.into_iter().map(|selected| (selected, spec.command)).collect();
        self.store_batch(who, spec, targets, None).await
    }
}

/// Refuses a job or a file for a single printer: an emergency stop checks neither.
fn refuse_conditions(selector: &Selector, invalid: &mut ValidationErrors) {
    let Selector::Printers(targets) = selector else { return };
    for (i, target) in targets.iter().enumerate() {
        for (field, is_given) in [("expected_job", target.expected_job.is_some()), ("file", target.file.is_some())] {
            if is_given {
                let rule = Message::new("rule-not-with").with("other", Command::EmergencyStop.as_str());
                invalid.add(format!("/select/printer_ids/{i}/{field}"), "not_for_this_command", rule);
            }
        }
    }
}
