//! History of one printer: its commands and its prints, each newest first and with pagination.

use serde::Deserialize;
use uuid::Uuid;

use super::{
    Dashboard, labels,
    messages::t,
    outcome,
    page::Failure,
    time::{Moment, length},
};
use crate::{
    domain::print::Print,
    service::{access::Principal, commands::Asked, prints::PrintFilter},
};

/// Number of rows per list.
const SHOWN: usize = 15;

/// Where each list starts. An invalid value starts at the newest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    commands: String,
    prints: String,
}

/// Both lists of a printer.
pub(super) struct History {
    pub commands: Vec<CommandLine>,
    pub prints: Vec<PrintLine>,
    /// Links to older rows, and back to the newest.
    pub older_commands: Option<String>,
    pub older_prints: Option<String>,
    pub newest_commands: Option<String>,
    pub newest_prints: Option<String>,
}

/// A command with its result.
pub(super) struct CommandLine {
    pub at: Moment,
    pub what: &'static str,
    pub verdict: outcome::Verdict,
    pub by: String,
    pub batch_id: Uuid,
}

impl From<Asked> for CommandLine {
    fn from(asked: Asked) -> Self {
        Self {
            at: Moment::day(asked.at),
            what: labels::verb(asked.row.command),
            verdict: outcome::verdict(&asked.row),
            by: asked.by,
            batch_id: asked.row.batch_id,
        }
    }
}

/// A print with its result.
pub(super) struct PrintLine {
    pub file: String,
    pub at: Moment,
    pub took: String,
    pub result: &'static str,
    pub class: &'static str,
    pub reason: String,
}

impl From<Print> for PrintLine {
    fn from(print: Print) -> Self {
        let (result, class) = labels::print(print.result);
        Self {
            file: print.file.map_or_else(|| t("printer-not-known").to_owned(), |file| file.path),
            at: Moment::day(print.started_at),
            took: print.ended_at.map(|at| length((at - print.started_at).num_seconds())).unwrap_or_default(),
            result,
            class,
            reason: print.reason.unwrap_or_default(),
        }
    }
}

impl History {
    /// Returns the lists of a printer, from the requested positions.
    pub async fn of(dashboard: &Dashboard, who: &Principal, id: Uuid, wanted: &Wanted) -> Result<Self, Failure> {
        let services = &dashboard.services;
        let found = services.commands_of(who, id, wanted.commands.parse().ok(), SHOWN).await?;
        let filter = PrintFilter { printer_id: Some(id), ..PrintFilter::default() };
        let one_more = i64::try_from(SHOWN + 1).unwrap_or(i64::MAX);
        let mut prints = services.list_prints(who, filter, wanted.prints.parse().ok(), one_more).await?;
        let more = prints.len() > SHOWN;
        prints.truncate(SHOWN);
        let next_print = prints.last().filter(|_| more).map(|print| print.id.to_string());
        // Each list has its own pagination.
        let href = |commands: &str, prints: &str, list: &str| {
            let given = [("commands", commands), ("prints", prints)].into_iter().filter(|(_, text)| !text.is_empty());
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
            let mark = if query.is_empty() { "" } else { "?" };
            format!("/printers/{id}{mark}{query}#{list}")
        };
        let (commands, here) = (wanted.commands.as_str(), wanted.prints.as_str());
        Ok(Self {
            older_commands: found.next.map(|next| href(&next.to_string(), here, "commands")),
            older_prints: next_print.map(|next| href(commands, &next, "prints")),
            newest_commands: (!commands.is_empty()).then(|| href("", here, "commands")),
            newest_prints: (!here.is_empty()).then(|| href(commands, "", "prints")),
            commands: found.commands.into_iter().map(CommandLine::from).collect(),
            prints: prints.into_iter().map(PrintLine::from).collect(),
        })
    }
}
