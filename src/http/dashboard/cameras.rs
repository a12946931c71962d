//! The wall of cameras: still pictures, fetched for those that are in view.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::{
    Dashboard,
    board::Entry,
    filters,
    page::{Failure, Frame, Id, Visitor, html},
    printers::Filter,
};

#[derive(Template)]
#[template(path = "printers/cameras.html")]
struct CamerasPage {
    frame: Frame,
    filter: Filter,
    entries: Vec<Arc<Entry>>,
}

pub(super) async fn wall(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(filter): Query<Filter>,
) -> Result<Html<String>, Failure> {
    let (_, entries) = dashboard.board.all(&who).await?;
    let shown = |entry: &Arc<Entry>| {
        entry.view.printer.details.enabled && entry.matches(filter.show()) && entry.is_among(&filter.tag, &filter.q)
    };
    let entries = entries.into_iter().filter(shown).collect();
    html(&CamerasPage { frame: Frame::of(&who, "farm"), filter, entries })
}

/// One picture. What went wrong is in the text of the answer: it is shown in its place.
pub(super) async fn picture(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Id(id): Id,
) -> Result<Response, Failure> {
    Ok(match dashboard.services.look_at(&who, id).await? {
        Ok(shot) => {
            let kind = HeaderValue::from_str(&shot.picture.content_type).map_err(|_| Failure::internal())?;
            let at = HeaderValue::from_str(&shot.at.to_rfc2822().replace("+0000", "GMT"))
                .map_err(|_| Failure::internal())?;
            ([(header::CONTENT_TYPE, kind), (header::LAST_MODIFIED, at)], shot.picture.bytes.clone()).into_response()
        }
        Err(why) => (StatusCode::BAD_GATEWAY, why.to_string()).into_response(),
    })
}
