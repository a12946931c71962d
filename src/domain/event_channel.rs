//! Failures of a printer's event channel.

use super::{command::string_enum, message::Message};

string_enum! {
    /// What stands between Printyard and the events of a printer.
    ChannelFailure {
        /// OctoPrint refused the API key at the passive login, or ended the session.
        LoginRefused = "login_refused",
        /// The passive login failed, or its reply contains no session.
        LoginFailed = "login_failed",
        /// The event socket is open, but OctoPrint does not confirm the login.
        LoginNotConfirmed = "login_not_confirmed",
        /// OctoPrint refused the event socket.
        SocketRefused = "socket_refused",
        /// The event socket was closed, or does not reply.
        SocketLost = "socket_lost",
    }
}

/// The failure, with its HTTP status if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelError {
    pub code: ChannelFailure,
    pub status: Option<u16>,
}

impl ChannelFailure {
    /// Returns the text for the user, a whole sentence.
    pub fn message(self) -> Message {
        Message::from_code("channel-error", self.as_str())
    }
}
