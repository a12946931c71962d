//! History of one printer: its commands and its prints, each newest first and with pagination.

use serde::Deserialize;
use uuid::Uuid;

use crate::{
    domain::{
        command::RequestedCommand,
        print::{Print, PrintFilter},
        printer_content::shown_path,
    },
    http::dashboard::{
        Dashboard,
        batches::results,
        labels,
        messages::t,
        page::Failure,
        time::{TimeElement, format_duration},
    },
    service::access::Principal,
};

/// Number of rows per list.
const ROWS_PER_LIST: usize = 15;

/// Where each list starts. An invalid value starts at the newest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct HistoryParams {
    commands: String,
    prints: String,
}

/// Both lists of a printer.
pub(in crate::http::dashboard) struct History {
    pub commands: Vec<CommandHistoryRow>,
    pub prints: Vec<PrintRow>,
    /// Links to older rows, and back to the newest.
    pub older_commands: Option<String>,
    pub older_prints: Option<String>,
    pub newest_commands: Option<String>,
    pub newest_prints: Option<String>,
}

/// A command with its result.
pub(in crate::http::dashboard) struct CommandHistoryRow {
    pub requested_at: TimeElement,
    pub label: &'static str,
    pub result: results::ResultLabels,
    pub requested_by: String,
    pub batch_id: Uuid,
}

impl From<RequestedCommand> for CommandHistoryRow {
    fn from(command: RequestedCommand) -> Self {
        Self {
            requested_at: TimeElement::date_and_time(command.requested_at),
            label: labels::command_label(command.row.command),
            result: results::result_labels(&command.row),
            requested_by: command.requested_by,
            batch_id: command.row.batch_id,
        }
    }
}

/// A print with its result.
pub(in crate::http::dashboard) struct PrintRow {
    pub file: String,
    pub started_at: TimeElement,
    pub duration: String,
    pub result: &'static str,
    pub class: &'static str,
    pub reason: String,
}

impl From<Print> for PrintRow {
    fn from(print: Print) -> Self {
        let (result, class) = labels::print_result_label(print.result);
        Self {
            file: print
                .file
                .map_or_else(|| t("printer-file-unknown").to_owned(), |file| shown_path(&file.path).to_owned()),
            started_at: TimeElement::date_and_time(print.started_at),
            duration: print
                .ended_at
                .map(|at| format_duration((at - print.started_at).num_seconds()))
                .unwrap_or_default(),
            result,
            class,
            reason: print.reason.unwrap_or_default(),
        }
    }
}

impl History {
    /// Returns the lists of a printer, from the requested positions.
    pub async fn load(
        dashboard: &Dashboard,
        who: &Principal,
        id: Uuid,
        params: &HistoryParams,
    ) -> Result<Self, Failure> {
        let services = &dashboard.services;
        let found = services.list_printer_commands(who, id, params.commands.parse().ok(), ROWS_PER_LIST).await?;
        let filter = PrintFilter { printer_id: Some(id), ..PrintFilter::default() };
        let one_more = i64::try_from(ROWS_PER_LIST + 1).unwrap_or(i64::MAX);
        let mut prints = services.list_prints(who, filter, params.prints.parse().ok(), one_more).await?;
        let has_more = prints.len() > ROWS_PER_LIST;
        prints.truncate(ROWS_PER_LIST);
        let next_print = prints.last().filter(|_| has_more).map(|print| print.id.to_string());
        // Each list has its own pagination.
        let href = |commands: &str, prints: &str, list: &str| {
            let fields = [("commands", commands), ("prints", prints)].into_iter().filter(|(_, text)| !text.is_empty());
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            let mark = if query.is_empty() { "" } else { "?" };
            format!("/printers/{id}{mark}{query}#{list}")
        };
        let (commands, prints_start) = (params.commands.as_str(), params.prints.as_str());
        Ok(Self {
            older_commands: found.next.map(|next| href(&next.to_string(), prints_start, "commands")),
            older_prints: next_print.map(|next| href(commands, &next, "prints")),
            newest_commands: (!commands.is_empty()).then(|| href("", prints_start, "commands")),
            newest_prints: (!prints_start.is_empty()).then(|| href(commands, "", "prints")),
            commands: found.commands.into_iter().map(CommandHistoryRow::from).collect(),
            prints: prints.into_iter().map(PrintRow::from).collect(),
        })
    }
}
