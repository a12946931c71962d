//! A form that changes the tags of many printers at once.

use reqwest::StatusCode;
use serde_json::json;

use super::{ADMIN_TOKEN, DashboardSite};

async fn list_tags(site: &DashboardSite) -> Vec<String> {
    let ids: Vec<_> = site.ids.iter().map(|id| id.parse().expect("an id")).collect();
    let printers = site.services.registered_printers(&ids).await.expect("the printers");
    printers.into_iter().map(|printer| printer.details.tags.join(" ")).collect()
}

async fn read_text(answer: reqwest::Response) -> (StatusCode, String) {
    (answer.status(), answer.text().await.expect("a page"))
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_printers_gain_and_lose_tags() {
    let site = DashboardSite::start(3).await;
    let ticked = [("printer_id", site.ids[0].as_str()), ("printer_id", site.ids[1].as_str()), ("back", "/?tag=all")];
    let (status, page) = read_text(site.submit("/printers/tags", &ticked).await).await;
    assert_eq!(status, StatusCode::OK);
    for part in ["Tags of 2 printers", "P-1", "P-2", "value=\"all\"", "on 2 printers", "href=\"/?tag=all\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let change = [("act", "save"), ("add", "petg, hall-a,, petg"), ("remove", "all")];
    let (status, page) = read_text(site.submit("/printers/tags", &[&ticked[..], &change].concat()).await).await;
    assert!(status.is_success() && page.contains("2 printers were changed."), "{page}");
    assert_eq!(list_tags(&site).await, ["hall-a petg", "hall-a petg", "all"]);
    // Selects all printers, including disabled ones. The page reports those that had the tag before.
    let all = [("all", "1"), ("act", "save"), ("add", "petg")];
    let (_, page) = read_text(site.submit("/printers/tags", &all).await).await;
    assert!(page.contains("1 printer was changed. 2 needed no change."), "{page}");
    assert_eq!(list_tags(&site).await, ["hall-a petg", "hall-a petg", "all petg"]);

    let api = site.http.get(format!("{}/api/v1/audit?action=printer.changed", site.base)).bearer_auth(ADMIN_TOKEN);
    let audit: serde_json::Value = api.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(2), "{audit}");
    assert_eq!(audit["items"][1]["printer_ids"].as_array().map(Vec::len), Some(2), "{audit}");
    let changes = &audit["items"][1]["changes"];
    assert_eq!(
        (&changes["tags_added"], &changes["tags_removed"]),
        (&json!(["petg", "hall-a", "petg"]), &json!(["all"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_tag_change_changes_no_printer() {
    let site = DashboardSite::start(2).await;
    let many: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
    let many = many.join(",");
    let long = "x".repeat(51);
    for (add, remove, words) in [
        ("", "", "must not be empty"),
        (long.as_str(), "", "1 to 50 characters"),
        ("petg", "petg", "at once"),
        (many.as_str(), "", "would have 51"),
    ] {
        let fields = [("all", "1"), ("act", "save"), ("add", add), ("remove", remove)];
        let (status, page) = read_text(site.submit("/printers/tags", &fields).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
        assert!(page.contains(words) && page.contains(add.split(',').next().unwrap_or_default()), "{words}: {page}");
        assert_eq!(list_tags(&site).await, ["all", "all"], "{words}");
    }
    let unselected = site.submit("/printers/tags", &[("act", "save"), ("add", "petg")]).await;
    assert_eq!(unselected.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let gone = [("printer_id", site.ids[0].as_str()), ("printer_id", "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11")];
    let gone = [&gone[..], &[("act", "save"), ("add", "petg")]].concat();
    assert_eq!(site.submit("/printers/tags", &gone).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(list_tags(&site).await, ["all", "all"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_user_cannot_remove_the_tag_that_grants_access() {
    use printyard::{
        domain::{access::Role, audit::ActorKind},
        service::{access::Principal, tags::TagChange, tokens::NewToken},
    };
    let mut site = DashboardSite::start(1).await;
    let principal = Principal::server_admin(ActorKind::Terminal);
    let limited = NewToken {
        name: "a".into(),
        role: Role::Manager,
        tags: vec!["all".into()],
        expires_at: None,
        requires_key: false,
    };
    let (_, token) = site.services.create_token(&principal, limited).await.expect("a token");
    site.cookie = site.log_in(&token).await;
    let fields = [("all", "1"), ("act", "save"), ("add", "mine"), ("remove", "all")];
    let (status, page) = read_text(site.submit("/printers/tags", &fields).await).await;
    assert!(status == 422 && page.contains("limited to"), "{page}");
    assert_eq!(list_tags(&site).await, ["all"]);
    // Two concurrent changes: each one sees the result of the other, and both are kept.
    let id = vec![site.ids[0].parse().expect("an id")];
    let add_tag = |tag: &str| TagChange { add: vec![tag.to_owned()], remove: Vec::new() };
    let (one, two) = (add_tag("one"), add_tag("two"));
    let both = futures_util::future::join(
        site.services.retag_printers(&principal, &id, &one),
        site.services.retag_printers(&principal, &id, &two),
    );
    let (one, two) = both.await;
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(list_tags(&site).await, ["all one two"]);
}
