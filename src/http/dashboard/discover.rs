//! OctoPrint instances that announce themselves on the network, each with a link to the form.
//!
//! The search takes seconds. The first page is sent at once and loads the second one, which has the results.

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderName, header},
    response::Html,
};

use super::{
    Dashboard, filters,
    page::{Failure, Frame, Visitor, html},
};
use crate::{
    domain::access::Role,
    service::discovery::{Found, Look, Standing},
};

#[derive(Template)]
#[template(path = "printers/discover.html")]
struct DiscoverPage {
    frame: Frame,
    /// None: the search is in progress.
    look: Option<Look>,
}

pub(super) async fn begin(Visitor(who): Visitor) -> Result<([(HeaderName, &'static str); 1], Html<String>), Failure> {
    who.require(Role::Manager)?;
    let page = html(&DiscoverPage { frame: Frame::of(&who, "new"), look: None })?;
    Ok(([(header::REFRESH, "0; url=/printers/discover/found")], page))
}

pub(super) async fn show(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    html(&DiscoverPage { frame: Frame::of(&who, "new"), look: Some(dashboard.services.discover(&who).await?) })
}

impl DiscoverPage {
    /// Returns the URL of the form, filled with the known values.
    fn form(found: &Found) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("name", &found.name)
            .append_pair("url", &found.url)
            .finish();
        format!("/printers/new?{query}")
    }
}
