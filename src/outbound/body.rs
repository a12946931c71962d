//! Bodies with an end: in bytes, and in time.

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit, announced or sent.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// The end did not come in time.
    #[error("the answer did not end in time")]
    TimedOut,
    /// The connection broke, or the body is not HTTP.
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
}

/// Reads a response's body, at most `limit` bytes, until `deadline`: a server that drips a byte a second gains nothing.
///
/// # Errors
/// [`BodyError`]; the connection is closed then.
pub async fn read_body(mut response: Response, limit: usize, deadline: Instant) -> Result<Bytes, BodyError> {
    let announced = response.content_length();
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(BodyError::TooLarge { limit });
    }
    let mut whole = BytesMut::new();
    let mut first: Option<Bytes> = None;
    loop {
        let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_| BodyError::TimedOut)?;
        let Some(chunk) = chunk.map_err(BodyError::Broken)? else { break };
        if whole.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        // A small body comes as one chunk, which is then handed on as it is.
        match first.take() {
            None if whole.is_empty() => first = Some(chunk),
            None => whole.extend_from_slice(&chunk),
            Some(before) => {
                whole.extend_from_slice(&before);
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}
