//! OctoPrint instances that announce themselves on the network, each with a link to the form.
//!
//! The search takes seconds. The first page is sent at once and loads the second one, which has the results.

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderName, header},
    response::Html,
};

use crate::{
    domain::access::Role,
    http::dashboard::{
        Dashboard, filters,
        page::{Failure, PageFrame, Visitor, render_html},
    },
    service::discovery::{DiscoveryResult, FoundPrinter, FoundStatus},
};

#[derive(Template)]
#[template(path = "printers/discover.html")]
struct DiscoverPage {
    frame: PageFrame,
    /// None: the search is in progress.
    result: Option<DiscoveryResult>,
}

pub(in crate::http::dashboard) async fn start_search(
    Visitor(who): Visitor,
) -> Result<([(HeaderName, &'static str); 1], Html<String>), Failure> {
    who.require(Role::Manager)?;
    let page = render_html(&DiscoverPage { frame: PageFrame::new(&who, "settings"), result: None })?;
    Ok(([(header::REFRESH, "0; url=/printers/discover/found")], page))
}

pub(in crate::http::dashboard) async fn show_results(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
) -> Result<Html<String>, Failure> {
    who.require(Role::Manager)?;
    render_html(&DiscoverPage {
        frame: PageFrame::new(&who, "settings"),
        result: Some(dashboard.services.discover(&who).await?),
    })
}

impl DiscoverPage {
    /// Returns the URL of the form, filled with the known values.
    fn new_printer_href(found: &FoundPrinter) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("name", &found.name)
            .append_pair("url", &found.url)
            .finish();
        format!("/printers/new?{query}")
    }
}
