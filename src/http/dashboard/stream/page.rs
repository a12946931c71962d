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
    super::{
        Dashboard,
        language::{self, t},
        notice,
        page::Failure,
        wire::{self, Piece},
    },
    DATABASE_TIMEOUT,
};
use crate::{
    http::{auth, keyed_limit::Place},
    service::access::Principal,
};

/// A browser that takes nothing for this long is gone.
const STUCK: Duration = Duration::from_secs(30);
/// Pieces under way to one browser.
const QUEUE: usize = 8;

/// The stream of one page.
pub(super) struct Page {
    pub dashboard: Dashboard,
    pub who: Principal,
    pub headers: HeaderMap,
    pieces: mpsc::Sender<Arc<Piece>>,
    _place: Place<Option<Uuid>>,
}

impl Page {
    /// Opens a stream. Fails where too many are open.
    pub fn open(dashboard: Dashboard, who: Principal, headers: HeaderMap) -> Result<(Self, Response), Failure> {
        let place = dashboard.live_pages.admit(who.owner()).map_err(|_| {
            let text = t("Too many pages are live at once. This one still works, but does not follow by itself.");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Not live", text)
        })?;
        let (pieces, taken) = mpsc::channel(QUEUE);
        let response = wire::answer(&headers, taken);
        Ok((Self { dashboard, who, headers, pieces, _place: place }, response))
    }

    /// What ends its work.
    pub fn ends(&self) -> Ends {
        Ends { stop: self.dashboard.stop.clone(), pieces: self.pieces.clone() }
    }

    /// Sends a piece. None: the browser is gone.
    pub async fn send(&self, piece: Arc<Piece>) -> Option<()> {
        timeout(STUCK, self.pieces.send(piece)).await.ok()?.ok()
    }

    /// Sends the server's notice where the page shows another one. `shown` is None before the first.
    pub async fn send_notice(&self, shown: &mut Option<&'static str>) -> Option<()> {
        let line = self.dashboard.services.health().notice().map_or("", notice::sentence);
        if shown.replace(line) != Some(line) {
            self.send(Piece::of("notice", line)).await?;
        }
        Some(())
    }

    /// Whether the session is there, with the same rights: with others the browser comes back, and gets those. A database
    /// that does not answer ends no session.
    pub async fn is_logged_in(&self) -> bool {
        match timeout(DATABASE_TIMEOUT, auth::by_session(&self.dashboard.services, &self.headers)).await {
            Ok(Ok(now)) => now.is_some_and(|now| now.role == self.who.role && now.tags == self.who.tags),
            Ok(Err(_)) | Err(_) => true,
        }
    }
}

/// What ends the work of a page: that of the server, and a browser that is gone.
pub(super) struct Ends {
    stop: CancellationToken,
    pieces: mpsc::Sender<Arc<Piece>>,
}

impl Ends {
    /// Does a page's work beside its answer.
    pub fn beside(self, work: impl Future<Output = Option<()>> + Send + 'static) {
        tokio::spawn(language::keep(async move {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.pieces.closed() => {}
                _ = work => {}
            }
        }));
    }
}
