//! The setting of the staff hours.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use printyard::{clock, config::RawConfig};
use reqwest::StatusCode;
use serde_json::json;

use super::DEADLINE;
use crate::{
    orders::{OrderServer, text},
    support::{
        server::{ServerOptions, TestServer},
        wait::until,
    },
};

/// Registers a printer that does not exist. Returns its id.
async fn register(server: &TestServer, name: &str, tags: &[&str]) -> String {
    let body =
        json!({"name": name, "url": format!("http://{name}.test"), "model": "MK4", "tags": tags, "enabled": false});
    let (status, printer, _) = server.post("/api/v1/printers", body).await;
    assert_eq!(status, StatusCode::CREATED, "{printer}");
    text(&printer["id"]).to_owned()
}

/// Waits until the server has planned the next copy of a printer. Returns when the printer is expected to be ready.
async fn next_copy_at(server: &TestServer, printer: &str) -> DateTime<Utc> {
    let mut at = None;
    until("the next copy is planned", DEADLINE, async || {
        let (_, plan, _) = server.get(&format!("/api/v1/plan/printers/{printer}")).await;
        at = plan["next"]["at"].as_str().map(|at| at.parse().expect("a time"));
        if at.is_some() { Ok(()) } else { Err(plan.to_string()) }
    })
    .await;
    at.expect("a time")
}

#[tokio::test]
async fn the_planner_expects_plates_to_be_cleared_in_the_staff_hours_of_their_tags() {
    // Staff comes to hall A in three days, whatever the time is now.
    let in_three_days = clock::now() + TimeDelta::days(3);
    let day = ["mo", "tu", "we", "th", "fr", "sa", "su"][in_three_days.weekday().num_days_from_monday() as usize];
    let staff_hours = Some(format!("daily 00:00-24:00 | hall-a (UTC): {day} 00:00-24:00"));
    let raw_config = RawConfig { staff_hours, ..RawConfig::default() };
    let server = TestServer::start_with(ServerOptions { raw_config, ..ServerOptions::default() }).await;
    let test = OrderServer::with(server).await;
    let hall_a = register(&test.server, "mk4-a", &["hall-a", "petg"]).await;
    let hall_b = register(&test.server, "mk4-b", &["hall-b"]).await;
    test.create_order(json!({"quantity": 9})).await;
    let (in_hall_a, in_hall_b) = (next_copy_at(&test.server, &hall_a).await, next_copy_at(&test.server, &hall_b).await);
    let waits = in_hall_a - in_three_days;
    assert!(waits.abs() <= TimeDelta::days(1), "{in_hall_a}");
    assert!(in_hall_b < in_three_days - TimeDelta::days(2), "{in_hall_b}");
    test.server.stop().await;
}
