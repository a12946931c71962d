//! Response bodies with limits on size and time.

use std::{future::poll_fn, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Response, StatusCode,
    body::{Body as _, Frame, Incoming},
    header::CONTENT_LENGTH,
    http::response::Parts,
};
use tokio::time::{Instant, timeout_at};

use super::busy_connection::BusyConnection;

/// The cause of an error, from either HTTP client.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit were announced or sent.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// The body did not end in time.
    #[error("the answer did not end in time")]
    TimedOut,
    /// No data arrived for this long.
    #[error("nothing of the answer came for {} s", .after.as_secs_f32())]
    Silent {
        /// The time without data.
        after: Duration,
    },
    /// The connection broke, or the body is not valid HTTP.
    #[error("the answer broke off")]
    Broken(#[source] Cause),
}

/// Limits on the duration of a response.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimit {
    /// Deadline for the whole response. It also ends a response that arrives very slowly.
    pub deadline: Instant,
    /// Longest time between two pieces of the response.
    pub silence: Option<Duration>,
}

impl TimeLimit {
    /// Waits for the next piece.
    ///
    /// # Errors
    /// [`BodyError::TimedOut`] and [`BodyError::Silent`].
    pub async fn wait<T>(self, piece: impl Future<Output = T>) -> Result<T, BodyError> {
        let silent = self.silence.map(|after| (Instant::now() + after, after)).filter(|(at, _)| *at < self.deadline);
        let (at, error) = match silent {
            Some((at, after)) => (at, BodyError::Silent { after }),
            None => (self.deadline, BodyError::TimedOut),
        };
        timeout_at(at, piece).await.map_err(|_| error)
    }
}

impl From<Instant> for TimeLimit {
    /// Returns a limit for the whole response only.
    fn from(deadline: Instant) -> Self {
        Self { deadline, silence: None }
    }
}

/// A response whose head has arrived. Dropping it closes its connection.
pub struct Reply {
    head: Parts,
    body: ReplyBody,
}

enum ReplyBody {
    Pooled(Incoming, Box<BusyConnection>),
    Client(Box<reqwest::Body>),
}

impl From<reqwest::Response> for Reply {
    fn from(response: reqwest::Response) -> Self {
        let (head, body) = Response::<reqwest::Body>::from(response).into_parts();
        Self { head, body: ReplyBody::Client(Box::new(body)) }
    }
}

impl Reply {
    pub(super) fn from_pooled(response: Response<Incoming>, open: Box<BusyConnection>) -> Self {
        let (head, body) = response.into_parts();
        Self { head, body: ReplyBody::Pooled(body, open) }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Ends the response. The connection is kept if the response has no remaining body.
    pub fn finish(self) {
        if let ReplyBody::Pooled(body, open) = self.body
            && body.is_end_stream()
        {
            open.return_to_pool();
        }
    }

    /// Reads the body, at most `limit` bytes, within `time`.
    ///
    /// # Errors
    /// [`BodyError`]; the connection is closed then.
    pub async fn bytes(mut self, limit: usize, time: impl Into<TimeLimit>) -> Result<Bytes, BodyError> {
        let time = time.into();
        let announced = self.head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > limit as u64) {
            return Err(BodyError::TooLarge { limit });
        }
        let mut whole = BytesMut::new();
        let mut first: Option<Bytes> = None;
        loop {
            let frame = time.wait(self.body.next_frame()).await?;
            let Some(frame) = frame else { break };
            // Trailers are ignored.
            let Ok(chunk) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
            if whole.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            // A small body arrives as one chunk, which is returned without a copy.
            match first.take() {
                None if whole.is_empty() => first = Some(chunk),
                None => whole.extend_from_slice(&chunk),
                Some(before) => {
                    whole.extend_from_slice(&before);
                    whole.extend_from_slice(&chunk);
                }
            }
        }
        self.finish();
        Ok(first.unwrap_or_else(|| whole.freeze()))
    }
}

impl ReplyBody {
    async fn next_frame(&mut self) -> Option<Result<Frame<Bytes>, Cause>> {
        match self {
            Self::Pooled(body, open) => {
                poll_fn(|cx| open.poll_frame(body, cx)).await.map(|frame| frame.map_err(Cause::from))
            }
            Self::Client(body) => body.frame().await.map(|frame| frame.map_err(Cause::from)),
        }
    }
}
