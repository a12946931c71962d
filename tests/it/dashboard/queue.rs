//! The queue without scripts: orders move by their priority. Why a copy was assigned, on the page of its order.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    DEADLINE, DashboardSite,
    orders::{assert_contains, start_site},
    send,
};
use crate::support::wait;

impl DashboardSite {
    /// Creates an order of the part `BRKT-7`. Returns its id.
    async fn order_of(&self, title: &str, priority: u32) -> String {
        let body = json!({"part": "BRKT-7", "quantity": 12, "title": title, "priority": priority});
        let order = self.api(Method::POST, "/orders", body).await;
        order["id"].as_str().expect("an id").to_owned()
    }

    async fn priority_of(&self, id: &str) -> Value {
        self.api(Method::GET, &format!("/orders/{id}"), Value::Null).await["priority"].clone()
    }
}

/// Returns the entry of an order in the queue.
fn entry<'a>(page: &'a str, id: &str) -> &'a str {
    let entry = page.split("<li class=\"queued\"").find(|entry| entry.contains(&format!("id=\"order-{id}\"")));
    entry.unwrap_or_else(|| panic!("no {id}: {page}"))
}

/// Returns what the button of an entry sends: the one whose label begins with `label`.
fn target<'a>(entry: &'a str, label: &str) -> Option<&'a str> {
    let button = entry.split("<button ").find(|button| button.contains(&format!("aria-label=\"{label}: priority ")))?;
    button.split("value=\"").nth(1)?.split('"').next()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_arrows_of_the_queue_move_an_order_before_or_after_its_neighbour() {
    let (site, _) = start_site().await;
    let mut ids = Vec::new();
    for (title, priority) in [("first", 80), ("second", 50), ("third", 50), ("last", 20)] {
        ids.push(site.order_of(title, priority).await);
    }
    let page = site.get_page("/queue").await;
    assert_eq!((target(entry(&page, &ids[0]), "Earlier"), target(entry(&page, &ids[3]), "Later")), (None, None));
    // Before the second order means before all of its priority, and after the third one after all of it.
    let moves = [(3, "Earlier", 65), (0, "Later", 57), (1, "Later", 24)];
    for (at, label, expected) in moves {
        let page = site.get_page("/queue?page=1").await;
        let to = target(entry(&page, &ids[at]), label).unwrap_or_else(|| panic!("{label}: {page}"));
        let fields = [("state", "queued"), ("page", "1"), ("to", to)];
        assert_eq!(site.submit_change("/queue/priority", &fields).await, "/queue?state=queued");
        assert_eq!(site.priority_of(&ids[at]).await, expected, "{label} of {at}");
    }
    let page = site.get_page("/queue").await;
    let positions: Vec<usize> =
        [3, 0, 2, 1].map(|at| page.find(&format!("id=\"order-{}\"", ids[at])).expect("an entry")).to_vec();
    assert!(positions.is_sorted(), "{positions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_changed_meanwhile_is_not_moved_and_the_page_says_so() {
    let (site, _) = start_site().await;
    let ids = [site.order_of("first", 80).await, site.order_of("second", 50).await];
    let page = site.get_page("/queue").await;
    let to = target(entry(&page, &ids[1]), "Earlier").expect("a button");
    site.submit_change("/queue/priority", &[("to", to)]).await;
    assert_eq!(site.priority_of(&ids[1]).await, 90);
    let refused = site.submit_refused("/queue/priority", &[("to", to)]).await;
    assert_contains(&refused, &["id=\"moved\" role=\"status\">The order was changed in the meantime", "priority 90"]);
    assert_eq!(site.priority_of(&ids[1]).await, 90);
    for to in ["", "x", "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11.1", "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11.1.x"] {
        assert_eq!(site.submit("/queue/priority", &[("to", to)]).await.status(), StatusCode::BAD_REQUEST, "{to}");
    }
    let unknown = [("to", "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11.1.50")];
    assert_eq!(site.submit("/queue/priority", &unknown).await.status(), StatusCode::NOT_FOUND);
    let too_high = format!("{}.2.101", ids[1]);
    assert_contains(
        &site.submit_refused("/queue/priority", &[("to", &too_high)]).await,
        &["id=\"moved\" role=\"status\">Priority"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_open_orders_of_a_user_who_may_change_them_can_be_moved() {
    let (site, _) = start_site().await;
    let ids = [site.order_of("first", 80).await, site.order_of("ended", 50).await, site.order_of("last", 20).await];
    site.api(Method::POST, &format!("/orders/{}/cancel", ids[1]), json!({"running": "finish"})).await;
    let page = site.get_page("/queue").await;
    assert_eq!(page.matches("data-grab").count(), 2, "{page}");
    assert!(!entry(&page, &ids[1]).contains("data-key"), "{page}");
    let token = site.api(Method::POST, "/tokens", json!({"name": "v", "role": "viewer"})).await;
    let viewer = site.log_in(token["token"].as_str().expect("a secret")).await;
    let request = site.http.get(format!("{}/queue", site.base)).header("cookie", viewer);
    let page = send(request).await.text().await.expect("a page");
    assert!(page.contains("first") && !page.contains("data-grab") && !page.contains("aria-label=\"Earlier"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_can_be_moved_across_its_pages() {
    let (site, _) = start_site().await;
    let orders: Vec<Value> = (0..53)
        .map(|n| json!({"part": "BRKT-7", "quantity": 1, "title": format!("order {n}"), "priority": 100 - n}))
        .collect();
    let answer = site.api(Method::POST, "/orders/bulk", json!({ "items": orders })).await;
    let id = |n: usize| answer["items"][n]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let second = site.get_page("/queue?page=2").await;
    // Order 50 has priority 50, and order 49 is the last one of the first page.
    let to = target(entry(&second, &id(50)), "Earlier").expect("a button");
    assert!(to.ends_with(".51"), "{to}");
    let to = target(entry(&second, &id(51)), "Earlier").expect("a button");
    site.submit_change("/queue/priority", &[("page", "2"), ("to", to)]).await;
    assert_eq!(site.priority_of(&id(51)).await, 51, "there is no room between 51 and 50");
    let first = site.get_page("/queue").await;
    let to = target(entry(&first, &id(49)), "Later").expect("a button");
    assert!(to.ends_with(".50"), "the next page begins with the same priority: {to}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_an_order_says_why_its_copy_is_on_this_printer() {
    let site = DashboardSite::start(1).await;
    let file = super::library::upload_one(&site, "clip.gcode", super::library::sliced_gcode("MK4")).await;
    let file_id = file.strip_prefix("/files/").expect("the page of a file");
    let printer = site.ids[0].clone();
    let setup = json!({"production": {"auto": true}, "model": "MK4", "material": "PETG", "nozzle_mm": 0.4});
    let patch = site.http.patch(format!("{}/api/v1/printers/{printer}", site.base)).bearer_auth(super::ADMIN_TOKEN);
    let answer = send(patch.header("content-type", "application/merge-patch+json").body(setup.to_string())).await;
    assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
    let orders = [("urgent", 90), ("<later>", 10)];
    let mut ids = Vec::new();
    for (title, priority) in orders {
        let files = json!([{"file_id": file_id, "models": ["MK4"]}]);
        let order = json!({"files": files, "quantity": 1, "title": title, "priority": priority});
        let order = site.api(Method::POST, "/orders", order).await;
        ids.push(order["id"].as_str().expect("an id").to_owned());
    }
    site.api(Method::POST, "/plates/clear", json!({"printer_ids": [printer]})).await;
    let shown = async || {
        let page = site.get_page(&format!("/queue/{}", ids[0])).await;
        if page.contains("Why on this printer") { Ok(page) } else { Err(page) }
    };
    let page = wait::until("the copy is assigned", DEADLINE, shown).await;
    assert_contains(
        &page,
        &[
            "this one had the highest score",
            "14 days after the order was created",
            "<dd>× 5.8</dd>",
            "<dd>3 h 12 min</dd>",
            &format!("<a href=\"/queue/{}\">&#60;later&#62;</a>", ids[1]),
        ],
    );
    let german = send(site.get(&format!("/queue/{}", ids[0])).header("accept-language", "de")).await;
    assert_contains(
        &german.text().await.expect("a page"),
        &["Warum auf diesem Drucker", "hatte dieser die höchste Punktzahl"],
    );
}
