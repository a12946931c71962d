//! The sending half of one live page.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    DATABASE_TIMEOUT,
    sse::{self, EventPiece},
};
use crate::{
    http::{
        auth,
        dashboard::{
            Dashboard,
            messages::{self, t},
            notice,
            page::Failure,
        },
        keyed_limit::LimitSlot,
    },
    service::access::Principal,
};

/// A browser that reads nothing for this long is disconnected.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Number of queued pieces per browser.
const QUEUE_LENGTH: usize = 8;

/// What a page shows of the server. `None`: not known.
#[derive(Default)]
pub(super) struct ServerState {
    notice: Option<&'static str>,
    /// As in [`notice::switch_state`].
    switch: Option<String>,
}

/// The stream of one page.
pub(super) struct LivePage {
    pub dashboard: Dashboard,
    pub who: Principal,
    pub headers: HeaderMap,
    pieces: mpsc::Sender<Arc<EventPiece>>,
    _place: LimitSlot<Option<Uuid>>,
}

impl LivePage {
    /// Opens a stream. Fails if too many are open.
    pub fn open(dashboard: Dashboard, who: Principal, headers: HeaderMap) -> Result<(Self, Response), Failure> {
        let place = dashboard.live_pages.try_acquire(who.owner()).map_err(|_| {
            let text = t("failure-not-live-text");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "failure-not-live", text)
        })?;
        let (pieces, receiver) = mpsc::channel(QUEUE_LENGTH);
        let response = sse::stream_response(&headers, receiver);
        Ok((Self { dashboard, who, headers, pieces, _place: place }, response))
    }

    /// Returns the conditions that end the stream.
    pub fn end_conditions(&self) -> EndConditions {
        EndConditions { stop: self.dashboard.stop.clone(), pieces: self.pieces.clone() }
    }

    /// Sends a piece. None: the browser has disconnected.
    pub async fn send(&self, piece: Arc<EventPiece>) -> Option<()> {
        timeout(SEND_TIMEOUT, self.pieces.send(piece)).await.ok()?.ok()
    }

    /// Sends the server's notice and the state of the switch of production, if the page shows different ones.
    pub async fn send_server_state(&self, shown: &mut ServerState) -> Option<()> {
        let text = self.dashboard.services.health().notice().map_or("", notice::notice_text);
        if shown.notice.replace(text) != Some(text) {
            self.send(EventPiece::from_event("notice", text)).await?;
        }
        let state = notice::switch_state(&self.dashboard.services.last_plan_switch());
        if shown.switch.as_ref() != Some(&state) {
            self.send(EventPiece::from_event("production", &state)).await?;
            shown.switch = Some(state);
        }
        Some(())
    }

    /// Returns whether the session exists and has the same rights. If the rights changed, the browser reconnects and
    /// gets the new ones. An unavailable database does not end a session.
    pub async fn is_logged_in(&self) -> bool {
        match timeout(DATABASE_TIMEOUT, auth::authenticate_session(&self.dashboard.services, &self.headers)).await {
            Ok(Ok(now)) => now.is_some_and(|now| now.role == self.who.role && now.tags == self.who.tags),
            Ok(Err(_)) | Err(_) => true,
        }
    }
}

/// The conditions that end a stream: the server stops, or the browser disconnects.
pub(super) struct EndConditions {
    stop: CancellationToken,
    pieces: mpsc::Sender<Arc<EventPiece>>,
}

impl EndConditions {
    /// Runs the work of a stream in its own task.
    pub fn spawn(self, work: impl Future<Output = Option<()>> + Send + 'static) {
        tokio::spawn(messages::keep_language(async move {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.pieces.closed() => {}
                _ = work => {}
            }
        }));
    }
}
