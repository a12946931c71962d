//! The printer behind OctoPrint: flags, heaters, errors, the emergency stop, and lines of G-code for tests.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{Flag, List, Number, Object, Text},
    request::MAX_RESPONSE,
};
use crate::domain::{
    reading::{PastTemperatures, Temperature, Temperatures},
    state::{PrinterState, StateFlags},
};

/// Maximum number of past temperatures that are requested. OctoPrint keeps 30 minutes, with at most one entry a second.
const MAX_HISTORY_ENTRIES: usize = 1_800;

/// The largest response with that many entries, in bytes (150 to 350 each).
const MAX_HISTORY_RESPONSE: usize = 1024 * 1024;

/// The client for the printer of one OctoPrint instance; from [`OctoPrint::printer`].
#[derive(Debug, Clone, Copy)]
pub struct PrinterClient<'a>(pub(super) &'a OctoPrint);

/// The response to `GET /api/printer`.
#[derive(Debug, Clone, PartialEq)]
pub struct PrinterReading {
    /// Derived from the text, and refined by the flags.
    pub state: PrinterState,
    /// OctoPrint's own text.
    pub state_text: String,
    /// As OctoPrint sent them. While pausing, `printing` is set, too (measured on 1.11.8).
    pub flags: StateFlags,
    /// Empty for about 2 s after a connect. Heaters without any value are left out.
    pub temperatures: Temperatures,
}

impl PrinterClient<'_> {
    /// Reads flags and temperatures. Returns `None` while OctoPrint is not connected to its printer (409).
    ///
    /// # Errors
    /// [`Error`]; JSON without a state is [`Error::Protocol`].
    pub async fn get(self, options: &RequestOptions) -> Result<Option<PrinterReading>, Error> {
        match self.0.get_json::<StateResponse>(self.0.endpoint(&["api", "printer"]), MAX_RESPONSE, options).await {
            Ok(body) => body.into_reading().map(Some),
            Err(Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the past temperatures, oldest first, as far back as OctoPrint keeps them. The list is empty while OctoPrint is
    /// not connected to its printer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn past_temperatures(self, options: &RequestOptions) -> Result<Vec<PastTemperatures>, Error> {
        let mut url = self.0.endpoint(&["api", "printer"]);
        let query = [("history", "true"), ("limit", &*MAX_HISTORY_ENTRIES.to_string()), ("exclude", "state,sd")];
        url.query_pairs_mut().extend_pairs(query);
        match self.0.get_json::<StateResponse>(url, MAX_HISTORY_RESPONSE, options).await {
            Ok(body) => Ok(body.into_past_temperatures()),
            Err(Error::Conflict { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Reads the firmware's last error, if there is one (`GET /api/printer/error`). On 2.x it is empty even after an error.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn last_error(self, options: &RequestOptions) -> Result<Option<String>, Error> {
        let url = self.0.endpoint(&["api", "printer", "error"]);
        let body: PrinterErrorResponse = self.0.get_json(url, MAX_RESPONSE, options).await?;
        Ok(body.error.non_empty())
    }

    /// Sends lines of G-code. OctoPrint inserts them between the lines of a running print. Needs the permission CONTROL.
    ///
    /// # Errors
    /// [`Error::Conflict`] while OctoPrint is not connected to its printer.
    pub async fn send_gcode(self, lines: &[&str], options: &RequestOptions) -> Result<(), Error> {
        let json = serde_json::json!({ "commands": lines }).to_string();
        self.0.post(self.command_url(), json.into(), options).await
    }

    /// Sends `M112`: the firmware stops motors and heaters at once. Needs the permission CONTROL.
    ///
    /// OctoPrint sends it ahead of its own queues, also while the printer executes a blocking `M109` or does not reply. It turns
    /// the heaters off, closes the connection to the printer, and then answers after 10 to 25 ms (1.11.8 and 2.0.0rc7).
    ///
    /// | state | OctoPrint's response |
    /// |-|-|
    /// | operational, and every state of a job | accepted; `Offline after error`, no file selected |
    /// | offline, offline after error, connecting | conflict: "Printer is not operational" |
    ///
    /// A print in progress fails: `PrintFailed` (1.11.8: only from `Printing`). `connect` makes the printer operational again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn emergency_stop(self, options: &RequestOptions) -> Result<(), Error> {
        self.0.post(self.command_url(), Bytes::from_static(br#"{"command":"M112"}"#), options).await
    }

    fn command_url(self) -> url::Url {
        self.0.endpoint(&["api", "printer", "command"])
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StateResponse {
    state: Object<RawState>,
    temperature: Object<RawTemperatures>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTemperatures {
    history: List<Object<HistoryEntry>>,
    #[serde(flatten)]
    now: BTreeMap<String, Object<RawHeater>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HistoryEntry {
    /// Seconds since 1970, by OctoPrint's clock.
    time: Number,
    #[serde(flatten)]
    heaters: BTreeMap<String, Object<RawHeater>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawState {
    text: Text,
    flags: Object<RawFlags>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawFlags {
    operational: Flag,
    printing: Flag,
    pausing: Flag,
    paused: Flag,
    resuming: Flag,
    cancelling: Flag,
    finishing: Flag,
    error: Flag,
    closed_or_error: Flag,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawHeater {
    actual: Number,
    target: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PrinterErrorResponse {
    error: Text,
}

impl StateResponse {
    fn into_reading(self) -> Result<PrinterReading, Error> {
        let state = self.state.0.ok_or_else(|| Error::protocol("cause-not-a-printer"))?;
        let state_text = state.text.0.unwrap_or_default();
        let flags = state.flags.0.unwrap_or_default().to_state_flags();
        Ok(PrinterReading {
            state: PrinterState::from_text(&state_text).or_from_flags(flags),
            state_text,
            flags,
            temperatures: to_temperatures(self.temperature.0.unwrap_or_default().now),
        })
    }

    fn into_past_temperatures(self) -> Vec<PastTemperatures> {
        let history = self.temperature.0.unwrap_or_default().history.0;
        let read = |entry: Object<HistoryEntry>| {
            let entry = entry.0?;
            Some((entry.time.as_i64()?, to_temperatures(entry.heaters)))
        };
        let mut entries: Vec<(i64, Temperatures)> = history.into_iter().filter_map(read).collect();
        entries.sort_by_key(|(time, _)| *time);
        let surplus = entries.len().saturating_sub(MAX_HISTORY_ENTRIES);
        let newest = entries.last().map_or(0, |(time, _)| *time);
        let past = entries.into_iter().skip(surplus).map(|(time, temperatures)| PastTemperatures {
            before_newest_s: newest.saturating_sub(time),
            temperatures,
        });
        past.collect()
    }
}

impl RawFlags {
    fn to_state_flags(&self) -> StateFlags {
        let is_set = |flag: Flag| flag.0.unwrap_or(false);
        StateFlags {
            operational: is_set(self.operational),
            printing: is_set(self.printing),
            pausing: is_set(self.pausing),
            paused: is_set(self.paused),
            resuming: is_set(self.resuming),
            cancelling: is_set(self.cancelling),
            finishing: is_set(self.finishing),
            error: is_set(self.error),
            closed_or_error: is_set(self.closed_or_error),
        }
    }
}

/// Converts the heaters. A heater that the printer lacks (for example a chamber) has nulls, and is left out.
fn to_temperatures(heaters: BTreeMap<String, Object<RawHeater>>) -> Temperatures {
    let read = |(name, heater): (String, Object<RawHeater>)| {
        let heater = heater.0?;
        let temperature = Temperature { actual: heater.actual.0, target: heater.target.0 };
        (temperature.actual.is_some() || temperature.target.is_some()).then_some((name, temperature))
    };
    heaters.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::{StubServer, sample};

    #[tokio::test]
    async fn an_emergency_stop_sends_m112_once() {
        let server = StubServer::start_replying("HTTP/1.1 204 NO CONTENT\r\nconnection: close\r\n\r\n").await;
        let options = RequestOptions { params: vec![("who".into(), "shift".into())], ..RequestOptions::default() };
        assert_eq!(server.client().printer().emergency_stop(&options).await, Ok(()));
        let request = server.next_request().await;
        assert!(request.starts_with("POST /api/printer/command?who=shift HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"command\":\"M112\"}"), "{request}");
    }

    #[tokio::test]
    async fn an_emergency_stop_of_a_closed_connection_is_a_conflict() {
        let body = r#"{"error": "Printer is not operational"}"#;
        let reply = format!(
            "HTTP/1.1 409 CONFLICT\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let server = StubServer::start_replying(reply).await;
        let error = server.client().printer().emergency_stop(&RequestOptions::default()).await.expect_err("refused");
        assert!(matches!(error, Error::Conflict { .. }) && !error.may_have_acted(), "{error:?}");
    }

    #[tokio::test]
    async fn an_emergency_stop_without_a_reply_may_have_acted() {
        let server = StubServer::start_replying(Vec::new()).await;
        let error = server.client().printer().emergency_stop(&RequestOptions::default()).await.expect_err("no reply");
        assert!(error.may_have_acted(), "{error:?}");
    }

    #[test]
    fn every_shape_of_a_printer_is_read() {
        for (name, state) in [
            ("printer-idle", PrinterState::Operational),
            ("printer-printing", PrinterState::Printing),
            ("printer-paused", PrinterState::Paused),
            ("dev2-printer-v1", PrinterState::Operational),
            ("dev2-printer-v2", PrinterState::Operational),
        ] {
            let reading = sample::<StateResponse>(name).into_reading().expect(name);
            assert_eq!(reading.state, state, "{name}");
            assert!(reading.flags.operational, "{name}");
            let bed = Temperature { actual: Some(21.3), target: Some(0.0) };
            assert_eq!(reading.temperatures.get("bed"), Some(&bed), "{name}");
        }
    }

    #[test]
    fn a_firmware_error_has_its_text() {
        let text = sample::<PrinterErrorResponse>("printer-error").error.non_empty();
        assert!(text.is_some_and(|text| text.starts_with("Thermal Runaway")));
    }

    #[test]
    fn past_temperatures_are_relative_to_the_newest_and_skip_invalid_entries() {
        let body = r#"{"temperature":{"bed":{"actual":60.0,"target":60.0,"offset":0},"history":[
            {"time":1732482012,"tool0":{"actual":30.5,"target":215.0},"chamber":{"actual":null,"target":null}},
            {"time":1732482002,"tool0":{"actual":21.3,"target":0},"bed":{"actual":"21.3"}},
            7, {"tool0":{"actual":99}}, {"time":null}]}}"#;
        let past = serde_json::from_str::<StateResponse>(body).expect("json").into_past_temperatures();
        let entries: Vec<_> = past
            .iter()
            .map(|past| (past.before_newest_s, past.temperatures.iter().map(|(name, t)| (name.as_str(), t.actual))))
            .map(|(ago, heaters)| (ago, heaters.collect::<Vec<_>>()))
            .collect();
        assert_eq!(entries, [(10, vec![("bed", Some(21.3)), ("tool0", Some(21.3))]), (0, vec![("tool0", Some(30.5))])]);
        for nothing in ["{}", r#"{"temperature":null}"#, r#"{"temperature":{"history":"?"}}"#] {
            assert!(
                serde_json::from_str::<StateResponse>(nothing).expect("json").into_past_temperatures().is_empty(),
                "{nothing}"
            );
        }
    }

    #[test]
    fn missing_heaters_are_left_out_and_unknown_texts_are_refined() {
        let body = r#"{"state":{"text":"Träumt","flags":{"paused":true,"printing":"?"}},
            "temperature":{"chamber":{"actual":null,"target":null},"history":[1],"tool0":{"actual":"20.5"}}}"#;
        let reading = serde_json::from_str::<StateResponse>(body).expect("json").into_reading().expect("reading");
        assert_eq!(reading.state, PrinterState::Paused);
        assert_eq!(reading.state_text, "Träumt");
        assert_eq!(reading.temperatures.keys().collect::<Vec<_>>(), ["tool0"]);
    }
}
