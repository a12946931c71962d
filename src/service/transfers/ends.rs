//! What follows the end of a transfer: its state is stored, and its commands continue or end.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    outcome::TransferEnd,
    reconcile::TransferReconciler,
    wanted::{Key, content_for},
};
use crate::{
    clock,
    domain::{
        command::{Outcome, Reason},
        message::Message,
        printer_content::{PrinterContent, PrinterContentState},
    },
    service::{dispatch::FileRefusal, error::Error},
    storage::{self, printer_contents::AwaitedContent},
};

impl TransferReconciler {
    /// Stores the results of ended transfers in one statement, and passes them to the commands that wait for them. If the
    /// database fails, the next run stores them.
    pub(super) async fn store_ends(&mut self, awaited: &[AwaitedContent]) -> Result<(), Error> {
        if self.unstored.is_empty() {
            return Ok(());
        }
        let requested = storage::printer_contents::list_unfinished(&self.services.db).await?;
        let requested: HashMap<Key, PrinterContent> =
            requested.into_iter().map(|one| ((one.printer_id, one.sha256.clone()), one)).collect();
        let (mut stored, mut removed) = (Vec::new(), Vec::new());
        let mut failed = Vec::new();
        for (key, end) in &self.unstored {
            let known = requested.get(key).cloned().or_else(|| first_command(awaited, key).map(content_for));
            match (end, known) {
                // A user asked for the selection meanwhile. The next run finds the file and selects it.
                (TransferEnd::Present { selected: None, .. }, Some(known)) if known.select_after => {}
                (TransferEnd::Present { path, selected }, Some(known)) => {
                    let detail = selected.clone().and_then(Result::err);
                    let path = Some(path.clone());
                    let state = PrinterContentState::Present;
                    let updated_at = clock::now();
                    stored.push(PrinterContent { path, state, select_after: false, detail, updated_at, ..known });
                }
                (TransferEnd::Removed, _) => removed.push(key.clone()),
                (TransferEnd::Failed(why), known) => failed.push((key.clone(), why.clone(), known)),
                (TransferEnd::Lost(why), known) if !self.may_try_again(key) => {
                    failed.push((key.clone(), why.clone(), known));
                }
                (TransferEnd::Present { .. } | TransferEnd::Lost(_) | TransferEnd::Unreachable, _)
                | (TransferEnd::Cut | TransferEnd::InUse, _) => {}
            }
        }
        let with_state = |known: &PrinterContent, why: &Message| PrinterContent {
            state: PrinterContentState::Failed,
            detail: Some(why.clone()),
            updated_at: clock::now(),
            ..known.clone()
        };
        stored.extend(failed.iter().filter_map(|(_, why, known)| Some(with_state(known.as_ref()?, why))));
        storage::printer_contents::put_many(&self.services.db, &stored).await?;
        storage::printer_contents::delete_many(&self.services.db, &removed).await?;
        for (key, end) in std::mem::take(&mut self.unstored) {
            match end {
                TransferEnd::Present { path, .. } => {
                    let ready = self.waiting(awaited, &key);
                    self.ready.extend(ready.into_iter().map(|id| (id, path.clone())));
                    self.forget_attempts(&key);
                }
                TransferEnd::Unreachable | TransferEnd::InUse => self.plan_attempt(&key, false),
                TransferEnd::Lost(_) => self.plan_attempt(&key, true),
                TransferEnd::Removed | TransferEnd::Failed(_) => self.forget_attempts(&key),
                TransferEnd::Cut => {}
            }
        }
        for (key, why, _) in failed {
            self.refuse(awaited, &key, &why);
            self.forget_attempts(&key);
        }
        Ok(())
    }

    /// Returns the checked commands that wait for a content on a printer.
    fn waiting(&self, awaited: &[AwaitedContent], key: &Key) -> Vec<Uuid> {
        let waiting = awaited.iter().filter(|one| one.printer_id == key.0 && one.content.sha256 == key.1);
        waiting.map(|one| one.command_id).filter(|id| self.checked.contains(id)).collect()
    }

    /// Ends the commands that wait for a transfer that failed.
    fn refuse(&mut self, awaited: &[AwaitedContent], key: &Key, why: &Message) {
        let detail = Message::new("refusal-upload-failed").with_message("cause", why.clone());
        let refusal = |command_id: Uuid| FileRefusal {
            command_id,
            outcome: Outcome::Rejected,
            reason: Reason::UploadFailed,
            detail: Some(detail.clone()),
        };
        let refused = self.waiting(awaited, key).into_iter().map(|id| (id, refusal(id)));
        self.refused.extend(refused);
    }
}

fn first_command<'a>(awaited: &'a [AwaitedContent], key: &Key) -> Option<&'a AwaitedContent> {
    awaited.iter().find(|one| one.printer_id == key.0 && one.content.sha256 == key.1)
}
