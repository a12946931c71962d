//! Errors of single sign-on, for the log and the login page.

use openidconnect::{
    ClaimsVerificationError, DiscoveryError, RequestTokenError, StandardErrorResponse, UserInfoError,
    core::CoreErrorResponseType,
};

use crate::outbound::{BodyError, SendError};

/// Why a login through the provider failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The browser does not have the state of this login: the link belongs to another person, or the page is old.
    #[error("the answer belongs to another attempt")]
    StateMismatch,
    /// The response is from another provider than the one that was asked (mix-up, RFC 9207).
    #[error("the answer comes from another provider")]
    IssuerMismatch,
    /// The provider refused (RFC 6749, section 4.1.2.1). The code is `access_denied` if the user refused.
    #[error("the provider refused: {code}")]
    Refused { code: String, description: Option<String> },
    /// The response contains neither a code nor an error.
    #[error("the provider sent no code")]
    NoCode,
    /// The provider does not reply, or its reply violates the protocol.
    #[error("the provider {doing}: {cause}")]
    Provider { doing: &'static str, cause: String },
    /// Another login is waiting for a reply of the provider.
    #[error("the provider has not answered others yet")]
    Busy,
    /// A value is missing or unusable in the provider's data or in the settings.
    #[error("{0} is missing or unusable")]
    Incomplete(&'static str),
    /// The token is not for this server, not from this provider, not valid now, or not for this login.
    #[error("the token does not hold: {0}")]
    Token(#[from] ClaimsVerificationError),
    /// The access token and the identity token of the response do not belong together.
    #[error("the access token is not that of the identity token")]
    AccessTokenMismatch,
}

/// Why a request to the provider got no response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request cannot be created.
    #[error("the request cannot be made")]
    Request(#[source] crate::outbound::RequestError),
    /// The response did not arrive in time.
    #[error("no answer came in time")]
    TimedOut,
    /// The connection failed, or is not allowed.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The response is too long, too slow, or incomplete.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// Returns an error with all its causes, because only the causes say what happened.
fn format_error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = error.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        cause = error.source();
    }
    text
}

impl From<DiscoveryError<HttpError>> for Error {
    fn from(error: DiscoveryError<HttpError>) -> Self {
        Self::Provider { doing: "does not say where things are", cause: format_error_chain(&error) }
    }
}

impl From<RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>> for Error {
    fn from(error: RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>) -> Self {
        // Parse errors contain the response, which may contain tokens. Their text does not.
        Self::Provider { doing: "did not redeem the code", cause: format_error_chain(&error) }
    }
}

impl From<UserInfoError<HttpError>> for Error {
    fn from(error: UserInfoError<HttpError>) -> Self {
        Self::Provider { doing: "did not say more of the person", cause: format_error_chain(&error) }
    }
}
