//! The connection between OctoPrint and its printer.

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{Number, Object, Text},
    request::MAX_RESPONSE,
};
use crate::domain::state::PrinterState;

/// The client for the connection of one OctoPrint instance to its printer; from [`OctoPrint::connection`].
#[derive(Debug, Clone, Copy)]
pub struct ConnectionClient<'a>(pub(super) &'a OctoPrint);

/// The response to `GET /api/connection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionReading {
    /// Derived from `state_text`.
    pub state: PrinterState,
    /// OctoPrint's own text. A closed connection is `Closed` on 1.11 and `Offline` on 2.x.
    pub state_text: String,
    /// `None` while closed, and for connectors of 2.x that have no port.
    pub port: Option<String>,
    /// Bits per second. `None` in the same cases as the port.
    pub baudrate: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConnectionResponse {
    current: Object<CurrentConnection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CurrentConnection {
    state: Text,
    port: Text,
    baudrate: Number,
    parameters: Object<ConnectionParameters>,
}

/// The shape of 2.x with its version header. Printyard does not request it, but can read it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConnectionParameters {
    port: Text,
    baudrate: Number,
}

impl ConnectionClient<'_> {
    /// Reads the connection.
    ///
    /// # Errors
    /// [`Error`]; JSON without a current connection is [`Error::Protocol`].
    pub async fn get(self, options: &RequestOptions) -> Result<ConnectionReading, Error> {
        let body: ConnectionResponse = self.0.get_json(self.url(), MAX_RESPONSE, options).await?;
        body.into_reading()
    }

    /// Connects to the printer with OctoPrint's preferred settings. If it is already connected, OctoPrint accepts the command
    /// (204) and ignores it, even while printing (1.11.8, 2.x). Needs the permission CONNECTION.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn connect(self, options: &RequestOptions) -> Result<(), Error> {
        self.0.post(self.url(), Bytes::from_static(br#"{"command":"connect"}"#), options).await
    }

    /// Disconnects from the printer. **OctoPrint accepts this (204) during a print, and the print ends** (1.11.8). Needs the
    /// permission CONNECTION.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn disconnect(self, options: &RequestOptions) -> Result<(), Error> {
        self.0.post(self.url(), Bytes::from_static(br#"{"command":"disconnect"}"#), options).await
    }

    fn url(self) -> url::Url {
        self.0.endpoint(&["api", "connection"])
    }
}

impl ConnectionResponse {
    fn into_reading(self) -> Result<ConnectionReading, Error> {
        let current = self.current.0.ok_or_else(|| Error::protocol("cause-not-a-connection"))?;
        let state_text = current.state.0.unwrap_or_default();
        let parameters = current.parameters.0.unwrap_or_default();
        Ok(ConnectionReading {
            state: PrinterState::from_text(&state_text),
            state_text,
            port: current.port.non_empty().or(parameters.port.non_empty()),
            baudrate: current.baudrate.as_u64().or(parameters.baudrate.as_u64()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::sample;

    #[test]
    fn every_shape_of_a_connection_is_read() {
        for name in ["connection", "dev2-connection-v1", "dev2-connection-v2"] {
            let reading = sample::<ConnectionResponse>(name).into_reading().expect(name);
            assert_eq!(reading.state, PrinterState::Operational, "{name}");
            assert_eq!((reading.port.as_deref(), reading.baudrate), (Some("VIRTUAL"), Some(115_200)), "{name}");
        }
        for name in ["connection-offline", "connection-error"] {
            let reading = sample::<ConnectionResponse>(name).into_reading().expect(name);
            assert_eq!((reading.state, reading.port), (PrinterState::Offline, None), "{name}");
        }
    }
}
