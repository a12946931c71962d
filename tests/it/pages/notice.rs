//! A live page shows and removes the server's notice without a reload.

use super::visit;
use crate::support::{
    browser::Browser,
    needs,
    server::{ServerOptions, TestServer},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn a_live_page_shows_and_removes_the_notice_by_itself() {
    let browser = needs!(Browser::start().await);
    let folder = tempfile::tempdir().expect("a folder");
    let (file, aside) = (folder.path().join("farm.db"), folder.path().join("aside.db"));
    let database_url = Some(format!("sqlite:{}", file.display()));
    let server = TestServer::start_with(ServerOptions { database_url, ..ServerOptions::default() }).await;
    let write = async || server.services.background().run_now("health").await.expect("the task exists");
    for path in ["/", "/wall"] {
        visit(&browser, &server, "viewer", path).await;
        browser
            .until_true("nothing is wrong", "window.first = true; return document.getElementById('notice').hidden")
            .await;
        std::fs::rename(&file, &aside).expect("moved");
        write().await;
        let shows = "const notice = document.getElementById('notice');
            return !notice.hidden && notice.textContent.startsWith('The database file was deleted') && window.first";
        browser.until_true("the notice shows the failure", shows).await;
        std::fs::rename(&aside, &file).expect("moved back");
        write().await;
        let gone = "return document.getElementById('notice').hidden && window.first";
        browser.until_true("the notice is hidden again", gone).await;
    }
    browser.close().await;
    server.stop().await;
}
