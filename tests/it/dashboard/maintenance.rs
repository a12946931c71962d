//! Forms that take printers out of service, drain them, and return them to service.

use printyard::domain::production::{Production, ServiceState};
use reqwest::StatusCode;

use super::{DashboardSite, header_value};
use crate::support::wait;

async fn service_of(site: &DashboardSite, n: usize) -> Production {
    let id = site.ids[n].parse().expect("an id");
    let printers = site.services.registered_printers(&[id]).await.expect("the printer");
    printers[0].details.production.clone()
}

/// Returns the tile of a printer, without its picture.
async fn tile_of(site: &DashboardSite, n: usize) -> String {
    let page = site.get_page("/").await;
    let tile = page.split("<li class=\"tile\"").find(|tile| tile.starts_with(&format!(" id=\"p-{}\"", site.ids[n])));
    tile.expect("a tile").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_is_taken_out_of_service_on_its_page_and_returned() {
    let site = DashboardSite::start(1).await;
    let page = format!("/printers/{}", site.ids[0]);
    let form = format!("{page}/service");
    let shown = site.get_page(&page).await;
    assert!(shown.contains(&format!("action=\"{form}\"")) && shown.contains("In service"), "{shown}");
    let take_out = [("service", "out_of_service"), ("note", "Nozzle <change>"), ("until", "4")];
    let answer = site.submit(&form, &take_out).await;
    assert_eq!((answer.status(), header_value(&answer, "location")), (StatusCode::SEE_OTHER, page.as_str()));
    let stored = service_of(&site, 0).await;
    assert_eq!((stored.service, stored.note.as_deref()), (ServiceState::OutOfService, Some("Nozzle <change>")));
    let until = stored.until.expect("an expected end");
    assert!(until > printyard::clock::now(), "{until}");
    let tile = tile_of(&site, 0).await;
    for part in ["is-service", "#i-wrench", "Out of service", "Nozzle &#60;change&#62;", "expected back <time"] {
        assert!(tile.contains(part), "{part}: {tile}");
    }
    assert!(!tile.contains(" needs"), "maintenance needs no attention: {tile}");
    let filtered = site.get_page("/?show=service").await;
    assert!(filtered.contains(&format!("p-{}", site.ids[0])), "{filtered}");

    // The printer page offers the same end again, so that a changed reason does not move it.
    let shown = site.get_page(&page).await;
    let kept = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    assert!(shown.contains(&format!("value=\"{kept}\" selected")), "{shown}");
    let change = [("service", "draining"), ("note", "Last print"), ("until", kept.as_str())];
    assert_eq!(site.submit(&form, &change).await.status(), StatusCode::SEE_OTHER);
    let draining = Production {
        service: ServiceState::Draining,
        until: Some(until),
        note: Some("Last print".to_owned()),
        ..Production::default()
    };
    assert_eq!(service_of(&site, 0).await, draining);
    let tile = tile_of(&site, 0).await;
    assert!(tile.contains("is-ready") && tile.contains("Draining: Last print"), "{tile}");
    let past = [("service", "out_of_service"), ("note", "Belt"), ("until", "2026-01-02T03:04:05Z")];
    assert_eq!(site.submit(&form, &past).await.status(), StatusCode::SEE_OTHER);
    assert!(site.get_page(&page).await.contains("Overdue"));
    assert!(tile_of(&site, 0).await.contains("overdue since <time"));
    assert_eq!(site.submit(&form, &[("service", "in_service"), ("note", "x")]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(service_of(&site, 0).await, Production::default());

    let audit = site.get_page("/audit").await;
    for sentence in ["took P-1 out of service", "set P-1 to drain", "returned P-1 to service"] {
        assert!(audit.contains(sentence), "{sentence}: {audit}");
    }
    assert!(audit.contains("In service → Out of service, Nozzle &#60;change&#62;"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_reason_is_asked_for_beside_its_field_and_nothing_typed_is_lost() {
    let site = DashboardSite::start(2).await;
    let form = format!("/printers/{}/service", site.ids[0]);
    let wrong = [
        (vec![("service", "out_of_service"), ("until", "72")], "Enter the reason"),
        (vec![("service", "out_of_service"), ("until", "72"), ("note", " \t ")], "Enter the reason"),
        (
            vec![("service", "out_of_service"), ("until", "72"), ("note", "a\tb")],
            "must not contain line breaks or tabs",
        ),
    ];
    for (fields, words) in wrong {
        let answer = site.submit(&form, &fields).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        let page = answer.text().await.expect("a page");
        for part in [words, "aria-describedby=\"note-error\"", "value=\"72\" selected", "P-1"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(service_of(&site, 0).await, Production::default());
    }
    for (fields, status) in [
        (vec![], StatusCode::BAD_REQUEST),
        (vec![("service", "broken")], StatusCode::BAD_REQUEST),
        (vec![("service", "draining"), ("until", "soon")], StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(site.submit(&form, &fields).await.status(), status, "{fields:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_printers_are_taken_out_of_service_in_one_step_after_the_reason() {
    let site = DashboardSite::start(3).await;
    let ticked = [("printer_id", site.ids[0].as_str()), ("printer_id", site.ids[1].as_str()), ("back", "/?tag=all")];
    let take_out = [&ticked[..], &[("service", "out_of_service")]].concat();
    let answer = site.submit("/printers/service", &take_out).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.expect("a page");
    for part in ["Take 2 printers out of service", "P-1", "P-2", "href=\"/?tag=all\"", "name=\"note\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("note-error") && !page.contains("P-3"), "{page}");
    // The same page again, with the sentence beside the field.
    let answer = site.submit("/printers/service", &[&take_out[..], &[("act", "save"), ("until", "8")]].concat()).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.expect("a page");
    assert!(page.contains("Enter the reason") && page.contains("value=\"8\" selected"), "{page}");
    let saved = [&take_out[..], &[("act", "save"), ("note", "Move to hall B")]].concat();
    let answer = site.submit("/printers/service", &saved).await;
    assert_eq!((answer.status(), header_value(&answer, "location")), (StatusCode::SEE_OTHER, "/?tag=all"));
    let states = [service_of(&site, 0).await, service_of(&site, 1).await, service_of(&site, 2).await];
    assert_eq!(states.map(|state| state.service.as_str()), ["out_of_service", "out_of_service", "in_service"]);

    // The preview and the batch leave them out, with the reason.
    let start = [("printer_id", site.ids[0].as_str()), ("printer_id", site.ids[2].as_str())];
    let preview = site.submit("/batches/preview", &start).await.text().await.expect("a preview");
    assert!(preview.contains("Start 1 printer") && preview.contains("Out of service: Move to hall B"), "{preview}");

    // Without the action that asks for a reason.
    let back = [&ticked[..], &[("service", "in_service")]].concat();
    assert_eq!(site.submit("/printers/service", &back).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(service_of(&site, 1).await, Production::default());
    let none = site.submit("/printers/service", &[("service", "draining")]).await;
    assert_eq!(none.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let unknown = [("printer_id", "0193e1c7-7d1c-7a52-9a3e-2f3b5a0c9e11"), ("service", "draining"), ("note", "x")];
    assert_eq!(site.submit("/printers/service", &unknown).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_print_that_continues_out_of_service_is_shown_as_a_print() {
    let site = DashboardSite::start(1).await;
    site.farm.printers()[0].select("long/vase.gcode");
    site.run_command(&[("printer_id", site.ids[0].as_str()), ("command", "start"), ("confirm", "1")]).await;
    let form = format!("/printers/{}/service", site.ids[0]);
    let fields = [("service", "out_of_service"), ("note", "Smells of smoke")];
    assert_eq!(site.submit(&form, &fields).await.status(), StatusCode::SEE_OTHER);
    wait::until("the tile shows the print and the note", super::DEADLINE, async || {
        let tile = tile_of(&site, 0).await;
        let is_shown = tile.contains("is-printing") && tile.contains("Out of service: Smells of smoke");
        if is_shown { Ok(()) } else { Err(tile) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_maintenance_are_german_for_german_readers() {
    let site = DashboardSite::start(1).await;
    let form = format!("/printers/{}/service", site.ids[0]);
    let request = site.post(&form, &[("service", "out_of_service")]).header("sec-fetch-site", "same-origin");
    let page = request.header("accept-language", "de").send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("1 Drucker außer Betrieb nehmen") && page.contains("Geben Sie den Grund an"), "{page}");
    assert_eq!(site.submit(&form, &[("service", "draining")]).await.status(), StatusCode::SEE_OTHER);
    let page = site.get("/").header("accept-language", "de").send().await.expect("an answer").text().await;
    assert!(page.expect("a page").contains("Läuft aus"));
}
