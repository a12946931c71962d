//! The page of API tokens: the secret is shown once, and a token is revoked after a confirmation.

use reqwest::StatusCode;
use serde_json::Value;

use super::{ADMIN_TOKEN, DashboardSite, header_value};

async fn list_tokens(site: &DashboardSite) -> Vec<Value> {
    let request = site.http.get(format!("{}/api/v1/tokens", site.base)).bearer_auth(ADMIN_TOKEN);
    let list: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    list["items"].as_array().expect("tokens").clone()
}

async fn status_with(site: &DashboardSite, token: &str) -> StatusCode {
    let request = site.http.get(format!("{}/api/v1/me", site.base)).bearer_auth(token);
    request.send().await.expect("an answer").status()
}

/// Returns the secret that a page shows.
fn secret_in(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<code class=\"path\">")?;
    rest.split('<').next()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_a_new_token_works_and_is_shown_once() {
    let site = DashboardSite::start(0).await;
    assert!(site.get_page("/tokens").await.contains("There are no tokens yet."));
    let fields = [("name", "erp <1>"), ("role", "operator"), ("tags", "hall-a, petg"), ("days", "30")];
    let fields = [&fields[..], &[("requires_key", "1")]].concat();
    let answer = site.submit("/tokens", &fields).await;
    assert_eq!((answer.status(), header_value(&answer, "cache-control")), (StatusCode::OK, "no-store"));
    let page = answer.text().await.expect("a page");
    let secret = secret_in(&page).expect("a secret").to_owned();
    assert_eq!(status_with(&site, &secret).await, StatusCode::OK);
    let token = &list_tokens(&site).await[0];
    assert_eq!(
        (&token["name"], &token["role"], &token["created_by"]),
        (&"erp <1>".into(), &"operator".into(), &"admin".into()),
        "{token}"
    );
    assert_eq!(
        (&token["tags"], &token["require_idempotency_key"]),
        (&serde_json::json!(["hall-a", "petg"]), &true.into())
    );
    let created: chrono::DateTime<chrono::Utc> = token["created_at"].as_str().expect("a time").parse().expect("a time");
    let expires: chrono::DateTime<chrono::Utc> = token["expires_at"].as_str().expect("a time").parse().expect("a time");
    assert_eq!((expires - created + chrono::TimeDelta::minutes(1)).num_days(), 30, "{token}");

    let page = site.get_page("/tokens").await;
    assert_eq!(secret_in(&page), None, "the secret is shown once");
    for part in ["erp &#60;1&#62;", "hall-a, petg", "operator", "requires Idempotency-Key", "by admin"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let audit = site.get_page("/audit").await;
    assert!(audit.contains("erp &#60;1&#62;") && !audit.contains(&secret), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_keeps_what_was_typed() {
    let site = DashboardSite::start(0).await;
    let fields = [("name", "boss"), ("role", "admin"), ("tags", "hall-a"), ("days", "90"), ("requires_key", "1")];
    let answer = site.submit("/tokens", &fields).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.expect("a page");
    for part in [
        "must be empty for an admin",
        "value=\"boss\"",
        "\"admin\" selected",
        "value=\"hall-a\"",
        "\"90\" selected",
        "checked",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!((secret_in(&page), list_tokens(&site).await.len()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_revoked_only_after_the_confirmation() {
    let site = DashboardSite::start(0).await;
    let page = site.submit("/tokens", &[("name", "old"), ("role", "viewer")]).await.text().await.expect("a page");
    let secret = secret_in(&page).expect("a secret").to_owned();
    let path = format!("/tokens/{}/revoke", list_tokens(&site).await[0]["id"].as_str().expect("an id"));
    let unconfirmed = site.submit(&path, &[]).await;
    assert_eq!(unconfirmed.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unconfirmed.text().await.expect("a page").contains("It was not revoked."));
    assert_eq!(status_with(&site, &secret).await, StatusCode::OK);
    let answer = site.submit(&path, &[("sure", "1")]).await;
    assert_eq!((answer.status(), header_value(&answer, "location")), (StatusCode::SEE_OTHER, "/tokens"));
    assert_eq!(status_with(&site, &secret).await, StatusCode::UNAUTHORIZED);
    assert_eq!(site.submit(&path, &[("sure", "1")]).await.status(), StatusCode::NOT_FOUND);
    assert!(site.get_page("/audit").await.contains("revoked"), "the audit log has it");
    let german = site.get("/tokens").header("accept-language", "de").send().await.expect("an answer");
    assert!(german.text().await.expect("a page").contains("Es gibt noch keine Tokens."));
}
