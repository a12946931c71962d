//! What each printer is to get or to lose next.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::{
    clock,
    domain::{
        file::name_on_printer,
        printer_content::{PrinterContent, PrinterContentState},
    },
    storage::printer_contents::AwaitedContent,
};

/// A printer and a content.
pub(super) type Key = (Uuid, String);

/// What a printer is to get, or to lose.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub content: PrinterContent,
    /// The command that waits for it. `None`: a user asked for it, or it is to be deleted.
    pub command: Option<AwaitedContent>,
}

impl Wanted {
    /// Returns the printer and the content.
    pub fn key(&self) -> Key {
        (self.content.printer_id, self.content.sha256.clone())
    }

    /// Returns whether the file is to be deleted from the printer.
    pub fn is_removal(&self) -> bool {
        self.content.state == PrinterContentState::Removing
    }
}

/// Returns what each printer gets next: what its oldest command waits for, or else the oldest request or deletion.
///
/// A command in `settled` waits for its release or its end only. Later commands to its printer are decided after it.
pub(super) fn oldest_of_each_printer(
    awaited: &[AwaitedContent],
    requested: &[PrinterContent],
    settled: &HashSet<Uuid>,
) -> HashMap<Uuid, Wanted> {
    let mut wanted: HashMap<Uuid, Wanted> = HashMap::new();
    let mut taken: HashSet<Uuid> = HashSet::new();
    for command in awaited {
        if taken.insert(command.printer_id) && !settled.contains(&command.command_id) {
            let content = content_for(command);
            wanted.insert(command.printer_id, Wanted { content, command: Some(command.clone()) });
        }
    }
    for content in requested {
        let is_own = content.requested_by.is_some() || content.state == PrinterContentState::Removing;
        if is_own && !taken.contains(&content.printer_id) {
            wanted.entry(content.printer_id).or_insert_with(|| Wanted { content: content.clone(), command: None });
        }
    }
    wanted
}

/// Returns the content that a command waits for, as it is stored for its printer.
pub(super) fn content_for(command: &AwaitedContent) -> PrinterContent {
    PrinterContent {
        printer_id: command.printer_id,
        sha256: command.content.sha256.clone(),
        name: name_on_printer(&command.content.name),
        print_size: command.content.print_size,
        path: None,
        state: PrinterContentState::Sending,
        select_after: false,
        requested_by: None,
        detail: None,
        updated_at: clock::now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::command::LibraryContent;

    fn command(n: u128, printer: u128, content: &str) -> AwaitedContent {
        let content = LibraryContent {
            file_id: Uuid::nil(),
            sha256: content.to_owned(),
            name: "a.bgcode".to_owned(),
            print_size: 1,
        };
        let [command_id, printer_id] = [n, printer].map(Uuid::from_u128);
        AwaitedContent { command_id, batch_id: Uuid::nil(), printer_id, content }
    }

    fn next(awaited: &[AwaitedContent], requested: &[PrinterContent], settled: &[u128]) -> Vec<(u128, String)> {
        let settled = settled.iter().copied().map(Uuid::from_u128).collect();
        let wanted = oldest_of_each_printer(awaited, requested, &settled);
        let mut next: Vec<_> =
            wanted.values().map(|one| (one.content.printer_id.as_u128(), one.content.sha256.clone())).collect();
        next.sort();
        next
    }

    #[test]
    fn the_oldest_command_of_a_printer_comes_first_and_commands_before_requests() {
        let awaited = [command(1, 7, "a"), command(2, 7, "b"), command(3, 8, "b")];
        let request = |printer: u128, state| PrinterContent {
            state,
            requested_by: Some("anna".to_owned()),
            ..content_for(&command(0, printer, "c"))
        };
        let requested = [request(7, PrinterContentState::Queued), request(9, PrinterContentState::Queued)];
        let named = |list: &[(u128, &str)]| list.iter().map(|(n, text)| (*n, (*text).to_owned())).collect::<Vec<_>>();
        assert_eq!(next(&awaited, &requested, &[]), named(&[(7, "a"), (8, "b"), (9, "c")]));
        assert_eq!(next(&awaited, &requested, &[1, 3]), named(&[(9, "c")]), "they wait for their release");
        assert_eq!(content_for(&awaited[0]).name, "a.gcode");
    }

    #[test]
    fn a_transfer_that_nothing_wants_any_more_is_not_resumed() {
        let sending = content_for(&command(1, 7, "a"));
        assert_eq!(next(&[], std::slice::from_ref(&sending), &[]), []);
        let removing = PrinterContent { state: PrinterContentState::Removing, ..sending };
        assert_eq!(next(&[], &[removing], &[]), [(7, "a".to_owned())]);
    }
}
