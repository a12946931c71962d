//! The pages of orders and parts, without scripts: the queue, the form, actions and judgements.

use printyard::{
    domain::{audit::ActorKind, copy::CopyState, printer::PrinterDetails, printer_access::PrinterAccess},
    service::{access::Principal, copies::CopyStep},
    storage::copies::AssignmentResult,
};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    ADMIN_TOKEN, DashboardSite, header_value,
    library::{hidden_value, sliced_gcode, upload_one},
    send,
};

impl DashboardSite {
    /// Sends a request to the API. Returns the answer.
    pub(super) async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(ADMIN_TOKEN);
        let answer = send(request.json(&body)).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    async fn order(&self, path: &str) -> Value {
        let id = path.strip_prefix("/queue/").expect("the page of an order");
        self.api(Method::GET, &format!("/orders/{id}"), Value::Null).await
    }

    /// Sends a form that changes something. Returns the path of the redirect.
    pub(super) async fn submit_change(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.submit(path, fields).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path} {fields:?}");
        header_value(&answer, "location").to_owned()
    }

    /// Sends a form that is refused. Returns the page.
    pub(super) async fn submit_refused(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.submit(path, fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path} {fields:?}");
        answer.text().await.expect("a page")
    }
}

/// Starts a site without printers, with the part `BRKT-7`. Returns it and the id of the part's file.
pub(super) async fn start_site() -> (DashboardSite, String) {
    let site = DashboardSite::start(0).await;
    let page = upload_one(&site, "bracket.gcode", sliced_gcode("MK4")).await;
    let file_id = page.strip_prefix("/files/").expect("the page of a file").to_owned();
    let part = json!({"title": "Bracket", "files": [{"file_id": file_id, "parts_per_plate": 4}]});
    site.api(Method::PUT, "/parts/BRKT-7", part).await;
    (site, file_id)
}

/// Assigns a copy of an order to a printer that is disabled, so that nothing is sent, and prints it to its end.
async fn finish_copy(site: &DashboardSite, order_path: &str) -> Uuid {
    let admin = Principal::server_admin(ActorKind::AdminToken);
    let order_id = order_path.strip_prefix("/queue/").expect("a path").parse().expect("an id");
    let order = site.services.order(&admin, order_id).await.expect("an order").counted.order;
    let mut details = PrinterDetails::new("MK4-01", "http://mk4.test");
    details.enabled = false;
    let access = PrinterAccess::with_api_key("key");
    let printer = site.services.register_printer(&admin, details, access).await.expect("registered").printer;
    let assigned = site.services.assign_copy(&order, &order.files[0], &printer, Map::new()).await.expect("no error");
    let AssignmentResult::Assigned(copy) = assigned else { panic!("{assigned:?}") };
    for state in [CopyState::Printing, CopyState::Finished] {
        site.services.advance_copy(copy.id, CopyStep::to(state)).await.expect("no error");
    }
    copy.id
}

pub(super) fn assert_contains(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no {part} in: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_lists_open_orders_first_and_the_most_urgent_of_them_first() {
    let (site, _) = start_site().await;
    assert_contains(&site.get_page("/queue").await, &["No orders yet", "href=\"/queue/new\""]);
    let orders = [
        ("ended", json!({"priority": 100})),
        ("no due date", json!({"priority": 60})),
        ("due later", json!({"priority": 60, "due_at": "2999-01-02T00:00:00Z"})),
        ("due long ago", json!({"priority": 60, "due_at": "2026-01-02T00:00:00Z"})),
        ("held", json!({"priority": 90})),
        ("usual", json!({})),
    ];
    for (title, fields) in orders {
        let mut body = json!({"part": "BRKT-7", "quantity": 12, "title": title});
        fields.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
        let order = site.api(Method::POST, "/orders", body).await;
        let id = order["id"].as_str().expect("an id");
        match title {
            "ended" => {
                drop(site.api(Method::POST, &format!("/orders/{id}/cancel"), json!({"running": "finish"})).await)
            }
            "held" => drop(site.api(Method::POST, &format!("/orders/{id}/hold"), json!({})).await),
            _ => {}
        }
    }
    let page = site.get_page("/queue").await;
    let titles: Vec<&str> = page.split("class=\"name\" href=\"/queue/").skip(1).map(text_in).collect();
    assert_eq!(titles, ["held", "due long ago", "due later", "no due date", "usual", "ended"]);
    assert_contains(
        &page,
        &["0 of 12 good", "class=\"mark-maybe\">was due <time", "On hold", "Cancelled", "/thumbnail"],
    );
    let held = site.get_page("/queue?state=on_hold").await;
    assert!(held.contains(">held<") && !held.contains(">usual<"), "{held}");
    let beyond = site.get_page("/queue?page=9").await;
    assert!(beyond.contains("href=\"/queue\"") && !beyond.contains(">usual<"), "{beyond}");
}

/// Returns the text of the element that is open at the start.
fn text_in(rest: &str) -> &str {
    rest.split_once('>').and_then(|(_, rest)| rest.split('<').next()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_order_opens_its_page_which_shows_how_many_printers_can_make_it() {
    let (site, file_id) = start_site().await;
    assert_contains(
        &site.get_page("/queue/new?part=BRKT-7").await,
        &["value=\"BRKT-7\" list=\"parts\"", "bracket.gcode"],
    );
    let fields = [("part", "BRKT-7"), ("quantity", "120"), ("due_at", "2999-12-03T16:00"), ("priority", "80")];
    let path = site.submit_change("/queue/new", &fields).await;
    let order = site.order(&path).await;
    assert_eq!((&order["quantity"], &order["priority"]), (&json!(120), &json!(80)), "{order}");
    assert_eq!((&order["due_at"], &order["title"]), (&json!("2999-12-03T16:00:00Z"), &json!("Bracket")));
    let page = site.get_page(&path).await;
    assert_contains(&page, &["No printer can make this order.", "0 of 120 good", "href=\"/parts/BRKT%2D7\""]);
    // A file of the library, with models and parts per plate.
    let fields = [("file_id", file_id.as_str()), ("models", "MK4, XL"), ("parts_per_plate", "6"), ("quantity", "7")];
    let path = site.submit_change("/queue/new", &[&fields[..], &[("judgement", "manual")]].concat()).await;
    let order = site.order(&path).await;
    assert_eq!((&order["files"][0]["models"], &order["judgement"]), (&json!(["MK4", "XL"]), &json!("manual")));
    assert_contains(&site.get_page(&path).await, &["MK4, XL · 6 parts per plate", "A person judges each copy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_order_keeps_what_was_typed_and_each_error_is_beside_its_field() {
    let (site, file_id) = start_site().await;
    let typed = [("part", "<NONE>"), ("quantity", "many"), ("due_at", "soon"), ("priority", "x"), ("title", "Clips")];
    let page = site.submit_refused("/queue/new", &typed).await;
    for (name, value) in [("part", "&#60;NONE&#62;"), ("quantity", "many"), ("priority", "x"), ("title", "Clips")] {
        assert_contains(&page, &[&format!("name=\"{name}\" value=\"{value}\"")]);
    }
    for name in ["quantity", "due_at", "priority"] {
        assert_contains(&page, &[&format!("aria-describedby=\"{name}-error\""), &format!("id=\"{name}-error\"")]);
    }
    assert_contains(&page, &["Quantity must be a whole number", "Due date must be a date with a time"]);
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[("part", "NONE"), ("quantity", "1")], "Part number must be the number of an existing part"),
        (&[("quantity", "1")], "id=\"part-error\""),
        (&[("part", "BRKT-7"), ("quantity", "0")], "id=\"quantity-error\""),
        (&[("part", "BRKT-7"), ("file_id", &file_id), ("quantity", "1")], "id=\"files-error\""),
        (&[("file_id", &file_id), ("quantity", "1"), ("parts_per_plate", "0")], "id=\"parts_per_plate-error\""),
    ];
    for (fields, words) in cases {
        assert_contains(&site.submit_refused("/queue/new", fields).await, &[words]);
    }
    assert!(site.get_page("/queue").await.contains("No orders yet"), "no order was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_held_released_changed_adjusted_and_ended_on_its_page() {
    let (site, _) = start_site().await;
    let path = site.submit_change("/queue/new", &[("part", "BRKT-7"), ("quantity", "8")]).await;
    assert_eq!(site.submit_change(&path, &[("act", "hold")]).await, path);
    assert_eq!(site.order(&path).await["state"], "on_hold");
    assert_contains(&site.get_page(&path).await, &["value=\"release\"", "On hold"]);
    site.submit_change(&path, &[("act", "release")]).await;
    assert_eq!(site.order(&path).await["state"], "queued");

    let page = site.get_page(&path).await;
    let version = hidden_value(&page, "version");
    let change = [("act", "change"), ("version", version), ("title", "Clips"), ("quantity", "9"), ("due_at", "")];
    let wrong = [&change[..], &[("priority", "101")]].concat();
    let refused = site.submit_refused(&path, &wrong).await;
    assert_contains(&refused, &["id=\"change-priority-error\"", "name=\"title\" value=\"Clips\"", "value=\"101\""]);
    let right = [&change[..], &[("priority", "99")]].concat();
    site.submit_change(&path, &right).await;
    let order = site.order(&path).await;
    assert_eq!((&order["title"], &order["quantity"], &order["priority"]), (&json!("Clips"), &json!(9), &json!(99)));
    // The version of the first page is stale now.
    assert_contains(&site.submit_refused(&path, &right).await, &["changed in the meantime"]);

    let adjust = [("act", "adjust"), ("good", "-2"), ("scrap", "1"), ("reason", "counted")];
    let refused = site.submit_refused(&path, &adjust).await;
    assert_contains(&refused, &["id=\"adjust-good-error\"", "name=\"good\" value=\"-2\""]);
    site.submit_change(&path, &[("act", "adjust"), ("good", "4"), ("scrap", "1"), ("reason", "counted")]).await;
    assert_contains(&site.get_page(&path).await, &["4 of 9 good · 1 scrap"]);

    site.submit_change(&path, &[("act", "short_close")]).await;
    assert_eq!(site.order(&path).await["state"], "short_closed");
    let refused = site.submit_refused(&path, &[("act", "hold")]).await;
    assert_contains(&refused, &["The order has ended.", "Short-closed"]);
    for fields in [&[("act", "burn")][..], &[], &[("act", "cancel"), ("running", "burn")]] {
        assert_eq!(site.submit(&path, fields).await.status(), StatusCode::BAD_REQUEST, "{fields:?}");
    }
    let unknown = site.submit("/queue/0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11", &[("act", "hold")]).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_copy_is_judged_corrected_and_given_up_on_the_page_of_its_order() {
    let (site, _) = start_site().await;
    let fields = [("part", "BRKT-7"), ("quantity", "8"), ("judgement", "manual")];
    let path = site.submit_change("/queue/new", &fields).await;
    let copy = finish_copy(&site, &path).await;
    let form = format!("/queue/copies/{copy}");
    let page = site.get_page(&path).await;
    assert_contains(&page, &["0 of 8 good · 4 to judge", "MK4-01", "All good", &format!("action=\"{form}\"")]);
    let wrong = [("act", "judge"), ("good", "3"), ("scrap", "3"), ("reason", "<warped>")];
    let refused = site.submit_refused(&form, &wrong).await;
    assert_contains(
        &refused,
        &[&format!("id=\"copy-{copy}-error\""), "name=\"scrap\" value=\"3\"", "&#60;warped&#62;"],
    );
    assert_eq!(site.submit_change(&form, &[("act", "all_good")]).await, path);
    assert_contains(&site.get_page(&path).await, &["4 of 8 good", "4 good, 0 scrap"]);
    site.submit_change(&form, &[("act", "judge"), ("good", "3"), ("scrap", "1"), ("reason", "warped")]).await;
    assert_contains(&site.get_page(&path).await, &["3 of 8 good · 1 scrap", "3 good, 1 scrap", "warped"]);
    site.submit_change(&form, &[("act", "lost"), ("reason", "dropped")]).await;
    assert_contains(&site.get_page(&path).await, &["0 of 8 good", "Lost", "dropped"]);
    let refused = site.submit_refused(&form, &[("act", "all_good")]).await;
    assert_contains(&refused, &["The copy is not finished"]);
    assert_eq!(site.submit(&form, &[]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_parts_and_orders_are_escaped_and_a_number_may_contain_a_slash() {
    let (site, file_id) = start_site().await;
    let text = "<img src=x onerror=alert(1)>\"'";
    let part = json!({
        "title": text, "revision": text, "requirements": {"material": text, "tags_any": [text]},
        "files": [{"file_id": file_id, "models": [text]}],
    });
    site.api(Method::PUT, "/parts/BR%2F7%20%C3%BC", part).await;
    let order = json!({"part": "BR/7 ü", "quantity": 1, "external_ref": text, "source": text});
    let order = site.api(Method::POST, "/orders", order).await;
    let list = site.get_page("/parts?q=br%2F7").await;
    assert!(list.contains("BR/7 ü") && !list.contains("BRKT-7"), "{list}");
    let href = list.split("class=\"lead\"><a href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    assert_eq!(href, "/parts/BR%2F7%20%C3%BC");
    let order_path = format!("/queue/{}", order["id"].as_str().expect("an id"));
    let edit_path = format!("{href}/edit");
    for path in [href, "/parts", &edit_path, "/queue", "/queue/new", order_path.as_str()] {
        let page = site.get_page(path).await;
        assert!(page.contains("&#60;img src=x") && !page.contains("<img src=x"), "{path}: {page}");
    }
    assert_contains(&site.get_page(href).await, &["bracket.gcode", "/queue/new?part=BR%2F7+%C3%BC"]);
    assert_eq!(send(site.get("/parts/none")).await.status(), StatusCode::NOT_FOUND);
    let german = send(site.get(&order_path).header("accept-language", "de")).await.text().await.expect("a page");
    assert_contains(&german, &["Kein Drucker kann diesen Auftrag drucken.", "0 von 1 gut"]);
}
