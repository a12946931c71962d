//! The notice about a failed part of the server. Every page shows it, and live pages show and remove it without a
//! reload. Readiness and metrics report the same failure.

use reqwest::StatusCode;
use serde_json::Value;

use super::{ADMIN_TOKEN, DEADLINE, DashboardSite, read_until, send};
use crate::support::wait;

const ENGLISH: &str = "The database file was deleted, moved or replaced.";
const GERMAN: &str = "Die Datenbankdatei wurde gelöscht, verschoben oder ersetzt.";

impl DashboardSite {
    /// Runs the health task, whose write decides what readiness reports.
    async fn run_health_task(&self) {
        self.services.background().run_now("health").await.expect("the task exists");
    }

    async fn get_readiness(&self) -> (StatusCode, Value) {
        let answer = send(self.http.get(format!("{}/readyz", self.base))).await;
        (answer.status(), answer.json().await.expect("JSON"))
    }

    async fn get_metrics(&self) -> String {
        let answer = send(self.http.get(format!("{}/metrics", self.base)).bearer_auth(ADMIN_TOKEN)).await;
        answer.text().await.expect("a text")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_metrics_and_every_page_report_a_database_without_writes() {
    let site = DashboardSite::start(1).await;
    site.run_health_task().await;
    let (status, ready) = site.get_readiness().await;
    assert_eq!((status, &ready["status"]), (StatusCode::OK, &"ready".into()), "{ready}");
    for part in ["database", "dispatcher", "recorder", "sending"] {
        assert_eq!(ready["parts"][part]["ok"], true, "{ready}");
    }
    let parts = &ready["parts"];
    assert!(parts["database"]["write_age_ms"].as_u64().is_some_and(|age| age < 60_000), "{ready}");
    assert_eq!((&parts["recorder"]["behind"], &parts["sending"]["epoch"]), (&0.into(), &1.into()));
    let holder = parts["sending"]["holder"].as_str().expect("a text");
    assert!(holder.ends_with(&format!("pid {}", std::process::id())), "{holder}");
    assert!(site.get_page("/").await.contains("id=\"notice\" role=\"status\" hidden"));
    let mut farm = send(site.get("/stream")).await;
    let mut wall = send(site.get("/wall/stream")).await;
    let nothing = "event: notice\ndata: \n\n";
    for stream in [&mut farm, &mut wall] {
        read_until(stream, nothing).await;
    }

    let (file, aside) = (site._folder.path().join("test.db"), site._folder.path().join("aside.db"));
    std::fs::rename(&file, &aside).expect("moved");
    site.run_health_task().await;
    let (status, problem) = site.get_readiness().await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"not_ready".into()), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.starts_with(ENGLISH)), "{problem}");
    assert_eq!(problem["parts"]["database"]["ok"], false);
    assert_eq!(problem["parts"]["dispatcher"]["ok"], true);
    let metrics = site.get_metrics().await;
    for line in [
        "printyard_ready{part=\"database\"} 0\n",
        "printyard_ready{part=\"sending\"} 1\n",
        "printyard_database_write_age_seconds ",
        "printyard_recorder_behind ",
        "printyard_epoch 1\n",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    for stream in [&mut farm, &mut wall] {
        read_until(stream, &format!("event: notice\ndata: {ENGLISH}")).await;
    }
    for path in ["/", "/batches", "/statistics", "/account", "/users", "/login", "/wall", "/nowhere"] {
        let page = send(site.get(path)).await.text().await.expect("a page");
        assert!(page.contains(ENGLISH), "{path}: {page}");
        let page = send(site.get(path).header("accept-language", "de")).await.text().await.expect("a page");
        assert!(page.contains(GERMAN), "{path}: {page}");
    }

    std::fs::rename(&aside, &file).expect("moved back");
    site.run_health_task().await;
    for stream in [&mut farm, &mut wall] {
        read_until(stream, nothing).await;
    }
    let ready = async || site.get_readiness().await.0 == StatusCode::OK;
    wait::until("every part works again", DEADLINE, ready).await;
    assert!(!site.get_page("/").await.contains(ENGLISH));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_its_database_names_the_cause_and_the_next_step() {
    let site = DashboardSite::start(0).await;
    site.services.close().await;
    let page = send(site.get("/batches")).await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    let page = page.text().await.expect("a page");
    assert!(page.contains("The database is not available") && page.contains("Try again"), "{page}");
    // The health task finds the cause within one period.
    let named = async || send(site.get("/login")).await.text().await.is_ok_and(|page| page.contains("does not answer"));
    wait::until("the page names the cause", DEADLINE, named).await;
    assert_eq!(site.get_readiness().await.0, StatusCode::SERVICE_UNAVAILABLE);
}
