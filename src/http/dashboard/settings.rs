//! The settings page: links to everything that is set up once, and the version of the server.

use askama::Template;
use axum::response::Html;

use super::{
    filters,
    page::{Failure, PageFrame, Visitor, render_html},
};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: PageFrame,
}

pub(super) async fn show(Visitor(who): Visitor) -> Result<Html<String>, Failure> {
    render_html(&SettingsPage { frame: PageFrame::new(&who, "settings") })
}
