//! Why a printer sends no events.

use super::command::words;

words! {
    /// What stands between Printyard and the events of a printer.
    ChannelFailure {
        /// The passive login refused the API key, or OctoPrint ended the session.
        LoginRefused = "login_refused",
        /// The passive login failed, or its reply has no session.
        LoginFailed = "login_failed",
        /// The event socket is open, and OctoPrint does not confirm the login.
        LoginNotConfirmed = "login_not_confirmed",
        /// The event socket was refused.
        SocketRefused = "socket_refused",
        /// The event socket was closed, or does not reply.
        SocketLost = "socket_lost",
    }
}

/// The failure, with the HTTP status where there was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelError {
    pub code: ChannelFailure,
    pub status: Option<u16>,
}

impl ChannelFailure {
    /// An English sentence without a full stop.
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
