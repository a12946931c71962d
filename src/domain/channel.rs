//! Failures of a printer's event channel.

use super::command::words;

words! {
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
    /// Returns an English sentence without a full stop.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::LoginRefused => "OctoPrint refuses the login for events",
            Self::LoginFailed => "the login for events fails",
            Self::LoginNotConfirmed => "OctoPrint does not confirm the login (a user name with a colon?)",
            Self::SocketRefused => "the event socket is refused",
            Self::SocketLost => "the event socket was closed or does not reply",
        }
    }
}
