//! Why nobody came in through the provider, for the log and for the page.

use openidconnect::{
    ClaimsVerificationError, DiscoveryError, RequestTokenError, StandardErrorResponse, UserInfoError,
    core::CoreErrorResponseType,
};

use crate::outbound::{BodyError, SendError};

/// Why somebody did not come in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The browser did not set out on the journey from which it comes back: somebody else's link, or an old page.
    #[error("the answer belongs to another attempt")]
    OtherJourney,
    /// Mix-up: another provider than the one that was asked (RFC 9207).
    #[error("the answer comes from another provider")]
    OtherIssuer,
    /// The provider said no (RFC 6749, section 4.1.2.1): `access_denied` where the person did.
    #[error("the provider refused: {code}")]
    Refused { code: String, description: Option<String> },
    /// Neither a code nor an error.
    #[error("the provider sent no code")]
    NoCode,
    /// The provider does not answer, or not as the protocol has it.
    #[error("the provider {doing}: {cause}")]
    Provider { doing: &'static str, cause: String },
    /// Somebody else asks it already, and has no answer yet.
    #[error("the provider has not answered others yet")]
    Busy,
    /// Something is missing in what the provider says, or in what the operator says of it.
    #[error("{0} is missing or unusable")]
    Incomplete(&'static str),
    /// The token is not for us, not from it, not of now, or not of this journey.
    #[error("the token does not hold: {0}")]
    Token(#[from] ClaimsVerificationError),
    /// The two tokens of the answer do not belong together.
    #[error("the access token is not that of the identity token")]
    OtherAccessToken,
}

/// Why a question to the provider had no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a request that can be sent.
    #[error("the request cannot be made")]
    Request(#[source] crate::outbound::RequestError),
    /// The time was over.
    #[error("no answer came in time")]
    TimedOut,
    /// No connection, or one that must not be made.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Too long, too slow, or broken off.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// An error with its causes, which alone say what happened.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl From<DiscoveryError<HttpError>> for Error {
    fn from(error: DiscoveryError<HttpError>) -> Self {
        Self::Provider { doing: "does not say where things are", cause: whole(&error) }
    }
}

impl From<RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>> for Error {
    fn from(error: RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>) -> Self {
        // Parse errors carry the answer, which may hold tokens: their text does not.
        Self::Provider { doing: "did not redeem the code", cause: whole(&error) }
    }
}

impl From<UserInfoError<HttpError>> for Error {
    fn from(error: UserInfoError<HttpError>) -> Self {
        Self::Provider { doing: "did not say more of the person", cause: whole(&error) }
    }
}
