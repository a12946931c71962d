//! The page of what people have to do.

use printyard::{
    domain::{
        attention::AttentionReason,
        audit::ActorKind,
        copy::{Copy, CopyState},
        printer::{Printer, PrinterDetails},
        printer_access::PrinterAccess,
    },
    service::{access::Principal, copies::CopyStep},
    storage::copies::AssignmentResult,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    ADMIN_TOKEN, DashboardSite,
    library::{sliced_gcode, upload_one},
    send,
};

/// Registers a printer that is disabled, so that nothing is sent to it.
async fn register(site: &DashboardSite, name: &str) -> Printer {
    let admin = Principal::server_admin(ActorKind::AdminToken);
    let mut details = PrinterDetails::new(name, format!("http://{name}.test"));
    details.enabled = false;
    let access = PrinterAccess::with_api_key("key");
    site.services.register_printer(&admin, details, access).await.expect("registered").printer
}

/// Makes an order, and a copy of it on a printer. The copy stays active.
async fn begin_copy(site: &DashboardSite, printer: &Printer) -> Copy {
    let page = upload_one(site, "bracket.gcode", sliced_gcode("MK4")).await;
    let file_id = page.strip_prefix("/files/").expect("the page of a file");
    let body = json!({"files": [{"file_id": file_id}], "quantity": 1, "title": "Bracket"});
    let request = site.http.post(format!("{}/api/v1/orders", site.base)).bearer_auth(ADMIN_TOKEN);
    let order: Value = send(request.json(&body)).await.json().await.expect("JSON");
    let id = order["id"].as_str().expect("an id").parse().expect("an id");
    let admin = Principal::server_admin(ActorKind::AdminToken);
    let order = site.services.order(&admin, id).await.expect("an order").counted.order;
    let assigned = site.services.assign_copy(&order, &order.files[0], printer, Map::new()).await.expect("no error");
    let AssignmentResult::Assigned(copy) = assigned else { panic!("{assigned:?}") };
    let step = CopyStep { print_id: Some(Uuid::from_u128(7)), ..CopyStep::to(CopyState::Printing) };
    site.services.advance_copy(copy.id, step).await.expect("no error")
}

async fn list_tasks(site: &DashboardSite) -> Vec<Value> {
    let request = site.http.get(format!("{}/api/v1/tasks", site.base)).bearer_auth(ADMIN_TOKEN);
    let tasks: Value = send(request).await.json().await.expect("JSON");
    tasks["items"].as_array().expect("tasks").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_start_leads_to_its_order_and_another_attention_is_ended_on_the_page() {
    let site = DashboardSite::start(0).await;
    let (unknown, failing) = (register(&site, "mk4-01").await, register(&site, "mk4-02").await);
    let copy = begin_copy(&site, &unknown).await;
    for (printer, reason) in [(&unknown, AttentionReason::StartUnknown), (&failing, AttentionReason::FailedTwice)] {
        site.services.set_attention(printer.id, reason).await.expect("no error");
    }
    let tasks = list_tasks(&site).await;
    let shown: Vec<_> = tasks.iter().map(|task| (&task["kind"], &task["reason"], &task["order_id"])).collect();
    let order_id = json!(copy.order_id);
    let (attention, start_unknown, failed_twice) = (json!("attention"), json!("start_unknown"), json!("failed_twice"));
    assert_eq!(shown, [(&attention, &start_unknown, &order_id), (&attention, &failed_twice, &Value::Null)]);
    assert_eq!(tasks[0]["order"], "Bracket");

    let form = |printer: &Printer| format!("action=\"/printers/{}/attention\"", printer.id);
    let order_button = format!("<a class=\"button\" href=\"/queue/{}\">", copy.order_id);
    let page = site.get_page("/todo").await;
    assert!(page.contains(&order_button) && !page.contains(&form(&unknown)), "{page}");
    assert!(page.contains(&form(&failing)), "{page}");

    // A person has looked at the printer, and says that the copy is lost.
    let admin = Principal::server_admin(ActorKind::AdminToken);
    site.services.lose_copy(&admin, copy.id, None).await.expect("no error");
    let page = site.get_page("/todo").await;
    assert!(!page.contains(&order_button) && page.contains(&form(&unknown)), "{page}");
}
