//! Parses the frames of the event socket.

use serde::{Deserialize, de::IgnoredAny};

use super::{
    lenient::{Number, Object, Text},
    python_json::parse_python_json,
};
use crate::domain::{reading::LOCAL_ORIGIN, reading::PrinterEvent, state::PrinterState};

/// One frame of the event socket.
#[derive(Debug, Clone, PartialEq)]
pub enum EventFrame {
    /// An event of the printer.
    Event(PrinterEvent),
    /// The reply to a ping.
    Pong,
    /// Any other frame: it is not used, or not understood. It shows that the socket is alive.
    Other,
}

/// The events to subscribe to: exactly those of [`PrinterEvent`], and `ClientAuthed` as the proof of the login.
pub(super) const SUBSCRIBED_EVENTS: [&str; 13] = [
    "PrinterStateChanged",
    "FileSelected",
    "FileDeselected",
    "PrintStarted",
    "PrintDone",
    "PrintFailed",
    "PrintCancelled",
    "PrintPaused",
    "PrintResumed",
    "Error",
    "Connected",
    "Disconnected",
    "ClientAuthed",
];

/// A parsed text frame, with the cases that opening the socket needs.
#[derive(Debug, PartialEq)]
pub(super) enum ParsedFrame {
    /// The greeting, which arrives before any login.
    Greeting,
    /// OctoPrint refused the login, or it has ended.
    ReauthRequired,
    Event(PrinterEvent),
    /// Any other frame that OctoPrint sends only after the login: another event, `timelapse`, `current`, `history`.
    AfterLogin,
    /// A frame that is not understood.
    Garbage,
}

/// A frame is one JSON object with one key, its kind. Kinds that are not needed (`current`, up to 100 KB of `history`) are
/// skipped without building their values.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawFrame {
    connected: Object<IgnoredObject>,
    reauth_required: Object<IgnoredObject>,
    event: Object<RawEvent>,
    #[serde(deserialize_with = "is_there")]
    timelapse: bool,
    #[serde(deserialize_with = "is_there")]
    current: bool,
    #[serde(deserialize_with = "is_there")]
    history: bool,
}

/// Returns true if the key is present, whatever its value: `timelapse` may be null.
fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IgnoredObject {}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawEvent {
    #[serde(rename = "type")]
    kind: Text,
    payload: Object<EventPayload>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EventPayload {
    state_id: Text,
    state_string: Text,
    path: Text,
    origin: Text,
    reason: Text,
    error: Text,
    time: Number,
}

/// Parses a text frame. Never fails.
pub(super) fn parse_frame(text: &str) -> ParsedFrame {
    let Ok(Object(Some(frame))) = parse_python_json::<Object<RawFrame>>(text.as_bytes()) else {
        return ParsedFrame::Garbage;
    };
    if frame.reauth_required.0.is_some() {
        return ParsedFrame::ReauthRequired;
    }
    if frame.connected.0.is_some() {
        return ParsedFrame::Greeting;
    }
    let follows_login = frame.event.0.is_some() || frame.timelapse || frame.current || frame.history;
    match frame.event.0.and_then(RawEvent::into_printer_event) {
        Some(event) => ParsedFrame::Event(event),
        None if follows_login => ParsedFrame::AfterLogin,
        None => ParsedFrame::Garbage,
    }
}

impl RawEvent {
    fn into_printer_event(self) -> Option<PrinterEvent> {
        let payload = self.payload.0.unwrap_or_default();
        let path = payload.path.0.unwrap_or_default();
        let origin = payload.origin.non_empty().unwrap_or_else(|| LOCAL_ORIGIN.to_owned());
        Some(match self.kind.0?.as_str() {
            "PrinterStateChanged" => {
                let text = payload.state_string.0.unwrap_or_default();
                let state = derive_state(&payload.state_id.0.unwrap_or_default(), &text);
                PrinterEvent::StateChanged { state, text }
            }
            "FileSelected" => PrinterEvent::FileSelected { path, origin },
            "FileDeselected" => PrinterEvent::FileDeselected,
            "PrintStarted" => PrinterEvent::PrintStarted { path, origin },
            "PrintDone" => PrinterEvent::PrintDone { path, time_s: payload.time.as_i64() },
            "PrintFailed" => {
                let (reason, error) = (payload.reason.non_empty(), payload.error.non_empty());
                PrinterEvent::PrintFailed { path, reason, error, time_s: payload.time.as_i64() }
            }
            "PrintCancelled" => PrinterEvent::PrintCancelled { path, time_s: payload.time.as_i64() },
            "PrintPaused" => PrinterEvent::PrintPaused { path },
            "PrintResumed" => PrinterEvent::PrintResumed { path },
            "Error" => PrinterEvent::Error { error: payload.error.0.unwrap_or_default() },
            "Connected" => PrinterEvent::Connected,
            "Disconnected" => PrinterEvent::Disconnected,
            _ => return None,
        })
    }
}

/// Derives the state from the id, unless the text is more precise. OctoPrint sends `OFFLINE` for every closed connection, even
/// after an error (2.0.0rc7 with the text `Offline after error`). It sends `STARTING` and `PRINTING` while it sends a file to
/// the SD card.
fn derive_state(id: &str, text: &str) -> PrinterState {
    let (by_id, by_text) = (PrinterState::from_state_id(id), PrinterState::from_text(text));
    match (by_id, by_text) {
        (PrinterState::Unknown, _) | (PrinterState::Offline, PrinterState::Error) | (_, PrinterState::Transferring) => {
            by_text
        }
        _ => by_id,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::octoprint::event_frame::*;
    use crate::octoprint::testing::sample;

    #[test]
    fn every_recorded_frame_is_read() {
        let frames: BTreeMap<String, serde_json::Value> = sample("push-messages");
        let read = |name: &str| parse_frame(&frames.get(name).expect(name).to_string());
        assert_eq!(read("connected"), ParsedFrame::Greeting);
        for name in ["history", "current", "timelapse", "event:ClientAuthed", "event:Dwelling"] {
            assert_eq!(read(name), ParsedFrame::AfterLogin, "{name}");
        }
        let (path, origin) = ("job2.gcode".to_owned(), "local".to_owned());
        assert_eq!(
            read("event:PrinterStateChanged"),
            ParsedFrame::Event(PrinterEvent::StateChanged { state: PrinterState::Starting, text: "Starting".into() })
        );
        let selected = PrinterEvent::FileSelected { path: path.clone(), origin: origin.clone() };
        assert_eq!(read("event:FileSelected"), ParsedFrame::Event(selected));
        let started = PrinterEvent::PrintStarted { path: path.clone(), origin };
        assert_eq!(read("event:PrintStarted"), ParsedFrame::Event(started));
        assert_eq!(read("event:PrintDone"), ParsedFrame::Event(PrinterEvent::PrintDone { path, time_s: Some(2) }));
    }

    #[test]
    fn an_unknown_frame_is_not_an_error() {
        for text in ["", "o", "null", "[]", "\"x\"", "{\"event\":", "\u{0}", "{}", r#"{"plugin":{}}"#, r#"{"event":7}"#]
        {
            assert_eq!(parse_frame(text), ParsedFrame::Garbage, "{text}");
        }
        for text in
            [r#"{"timelapse":null}"#, r#"{"event":{"type":null,"payload":[]}}"#, r#"{"event":{"type":"New","n":NaN}}"#]
        {
            assert_eq!(parse_frame(text), ParsedFrame::AfterLogin, "{text}");
        }
        assert_eq!(parse_frame(r#"{"reauthRequired":{"reason":"stale"}}"#), ParsedFrame::ReauthRequired);
    }

    #[test]
    fn a_connection_closed_by_an_error_is_an_error() {
        assert_eq!(derive_state("OFFLINE", "Offline after error"), PrinterState::Error);
        assert_eq!(derive_state("OFFLINE", "Offline"), PrinterState::Offline);
        assert_eq!(derive_state("NEW_ID", "Paused"), PrinterState::Paused);
        assert_eq!(derive_state("PRINTING", "Sending file to SD"), PrinterState::Transferring);
        assert_eq!(derive_state("PRINTING", "Printing from SD"), PrinterState::Printing);
    }
}
