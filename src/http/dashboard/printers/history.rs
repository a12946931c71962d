//! History of one printer: its commands and its prints in one list, newest first and with pagination.

use chrono::{DateTime, SecondsFormat, Utc};
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

/// Number of rows per page.
const ROWS_PER_PAGE: usize = 20;

/// Where the list starts. An invalid value starts at the newest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct HistoryParams {
    /// Only rows before this time.
    before: String,
}

/// A page of the history.
pub(in crate::http::dashboard) struct History {
    pub rows: Vec<HistoryRow>,
    /// Links to older rows, and back to the newest.
    pub older: Option<String>,
    pub newest: Option<String>,
}

/// One entry of the history.
pub(in crate::http::dashboard) enum HistoryRow {
    Command(CommandHistoryRow),
    Print(PrintRow),
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
    /// Returns the history of a printer before the requested time.
    pub async fn load(
        dashboard: &Dashboard,
        who: &Principal,
        id: Uuid,
        params: &HistoryParams,
    ) -> Result<Self, Failure> {
        let services = &dashboard.services;
        let until: Option<DateTime<Utc>> = params.before.parse().ok();
        let commands = services.list_printer_commands(who, id, until, ROWS_PER_PAGE + 1).await?;
        let filter = PrintFilter { printer_id: Some(id), until, ..PrintFilter::default() };
        let one_more = i64::try_from(ROWS_PER_PAGE + 1).unwrap_or(i64::MAX);
        let prints = services.list_prints(who, filter, None, one_more).await?;
        let commands = commands.into_iter().map(|one| (one.requested_at, HistoryRow::Command(one.into())));
        let prints = prints.into_iter().map(|one| (one.started_at, HistoryRow::Print(one.into())));
        let mut rows: Vec<(DateTime<Utc>, HistoryRow)> = commands.chain(prints).collect();
        rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let has_more = rows.len() > ROWS_PER_PAGE;
        rows.truncate(ROWS_PER_PAGE);
        let older = rows.last().filter(|_| has_more).map(|(at, _)| {
            let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
            format!("/printers/{id}?before={at}#history")
        });
        let newest = until.map(|_| format!("/printers/{id}#history"));
        Ok(Self { rows: rows.into_iter().map(|(_, row)| row).collect(), older, newest })
    }
}
