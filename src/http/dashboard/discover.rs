//! OctoPrints that announce themselves on the network, each a click away from the form.

use askama::Template;
use axum::{extract::State, response::Html};

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
    look: Look,
}

pub(super) async fn show(State(dashboard): State<Dashboard>, Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    html(&DiscoverPage { frame: Frame::of(&who, "new"), look: dashboard.services.discover(&who).await? })
}

impl DiscoverPage {
    /// The form, with what is known of it.
    fn form(found: &Found) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("name", &found.name)
            .append_pair("url", &found.url)
            .finish();
        format!("/printers/new?{query}")
    }
}
