//! The dashboard in a real browser, used as people use it.

use crate::support::{browser::Browser, server::TestServer};

mod axe;
mod batches;
mod days;
mod farm;
mod files;
mod large_farm;
mod maintenance;
mod no_script;
mod notice;
mod orders;
mod pictures;
mod printers;
mod production;
mod real_octoprint;
mod tokens;
mod wall;

/// Logs the browser in with a token of a role, and opens a page.
async fn visit(browser: &Browser, server: &TestServer, role: &str, path: &str) {
    browser.set_screen_size(1280, 900).await;
    browser.open(&format!("{}/login", server.url)).await;
    let session = server.open_session(&server.create_token(role).await).await;
    browser.set_cookie("printyard_session", &session).await;
    browser.open(&format!("{}{path}", server.url)).await;
}
