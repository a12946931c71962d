//! One printer in the dashboard: adding, viewing, changing and removing it, and its files.

use std::time::Duration;

use printyard::simulator::{Fault, MachineAction};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{DEADLINE, DashboardSite, header_value, read_until, send};
use crate::support::{browser::Browser, needs, wait};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_test_responds_into_a_frame_and_keeps_the_form() {
    let site = DashboardSite::start(1).await;
    let form = site.get_page("/printers/new").await;
    assert!(form.contains("formtarget=\"tested\"") && form.contains("name=\"tested\""), "{form}");
    let printer = &site.farm.printers()[0];
    for (key, class, words) in [(printer.api_key(), "say good", "answers"), ("WR0NG-K3Y", "say bad", "key")] {
        let fields = [("act", "test"), ("url", printer.url()), ("api_key", key)];
        let answer = site.submit("/printers/new", &fields).await;
        assert!(header_value(&answer, "content-security-policy").contains("frame-ancestors 'self'"));
        let page = answer.text().await.expect("a page");
        assert!(
            page.contains(class) && page.contains(words) && !page.contains(key) && !page.contains("<form"),
            "{page}"
        );
    }
    let page = send(site.get("/printers/new")).await;
    assert!(header_value(&page, "content-security-policy").contains("frame-ancestors 'none'"), "no page may embed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_a_printer_are_changed_and_it_is_removed() {
    let site = DashboardSite::start(1).await;
    let (id, printer) = (site.ids[0].as_str(), &site.farm.printers()[0]);
    let path = format!("/printers/{id}/settings");
    let form = site.get_page(&path).await;
    assert!(form.contains(printer.url()) && !form.contains(printer.api_key()), "{form}");
    let fields = |version: &'static str, bed: &'static str| {
        let known = [("version", version), ("name", "Bench 7"), ("url", printer.url()), ("enabled", "1")];
        [&known[..], &[("tags", "petg, hall-a"), ("bed_mm", bed), ("notes", "two\nlines")]].concat()
    };
    let answer = site.submit(&path, &fields("1", "250 x 210")).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.expect("a page");
    assert!(page.contains("three numbers") && page.contains("Bench 7") && page.contains("petg, hall-a"), "{page}");
    let answer = site.submit(&path, &fields("1", "250 x 210 x 210")).await;
    assert_eq!(
        (answer.status(), header_value(&answer, "location")),
        (StatusCode::SEE_OTHER, &*format!("/printers/{id}"))
    );
    let page = site.get_page(&path).await;
    assert!(page.contains("hall-a, petg") && page.contains("250 x 210 x 210") && page.contains("two\nlines"), "{page}");
    let stale = site.submit(&path, &fields("1", "")).await;
    assert_eq!(stale.status(), StatusCode::CONFLICT, "a stale version is refused");
    // The stored key is unchanged, because the printer accepts commands.
    site.run_command(&[("printer_id", id), ("command", "start")]).await;
    let remove = format!("/printers/{id}/remove");
    assert_eq!(site.submit(&remove, &[]).await.status(), StatusCode::UNPROCESSABLE_ENTITY, "it asks first");
    assert_eq!(site.submit(&remove, &[("sure", "1")]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(send(site.get(&path)).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_selected_and_deleted_by_forms() {
    let site = DashboardSite::start(1).await;
    let path = format!("/printers/{}", site.ids[0]);
    let send_file = async |form: reqwest::multipart::Form| {
        let request = site.http.post(format!("{}{path}/files", site.base)).header("cookie", &site.cookie);
        send(request.header("sec-fetch-site", "same-origin").multipart(form)).await
    };
    let empty = send_file(reqwest::multipart::Form::new().text("select", "true")).await;
    assert_eq!(empty.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = empty.text().await.expect("a page");
    assert!(page.contains("The file was not uploaded") && page.contains("must be given"), "{page}");
    // Larger than the size limit of other forms.
    let content = "G1 X1\n".repeat(500_000);
    let file = |name: &'static str| reqwest::multipart::Part::text(content.clone()).file_name(name);
    for name in ["gear.gcode", "other.gcode"] {
        let form = reqwest::multipart::Form::new().text("select", "true").part("file", file(name));
        assert_eq!(send_file(form).await.status(), StatusCode::SEE_OTHER, "{name}");
    }
    let list = format!("{path}/files");
    let listed = site.get_page(&list).await;
    assert!(listed.contains("Delete gear.gcode") && !listed.contains("Delete other.gcode"), "the second is selected");
    let fields = [("path", "gear.gcode"), ("origin", "local")];
    assert_eq!(site.submit(&format!("{path}/files/delete"), &fields).await.status(), StatusCode::SEE_OTHER);
    let listed = site.get_page(&list).await;
    assert!(!listed.contains("gear.gcode") && listed.contains("other.gcode"), "{listed}");
    let page = site.run_command(&[("printer_id", site.ids[0].as_str()), ("command", "disconnect")]).await;
    assert!(page.contains("<b>1</b> disconnected"), "{page}");
}

/// Delay of the list of files: longer than a page waits for any other response of a printer.
const SLOW: Duration = Duration::from_secs(4);

fn file_list_fault(fault: Fault) -> Fault {
    Fault::Reading("/api/files".to_owned(), Box::new(fault))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_printer_does_not_wait_for_its_list_of_files() {
    let site = DashboardSite::start(2).await;
    let [hanging, slow] = [0, 1].map(|n| (&site.farm.printers()[n], format!("/printers/{}", site.ids[n])));
    hanging.0.set_fault(Some(file_list_fault(Fault::Hang)));
    let page = site.get_page(&hanging.1).await;
    assert!(
        page.contains(&format!("data-load=\"{}/files\"", hanging.1)) && !page.contains("bracket.gcode</td>"),
        "{page}"
    );
    slow.0.set_fault(Some(file_list_fault(Fault::Slow(SLOW))));
    let list = site.get_page(&format!("{}/files", slow.1)).await;
    assert!(list.contains("bracket.gcode</td>"), "{list}");
    slow.0.set_fault(Some(file_list_fault(Fault::Status(500))));
    let list = site.get_page(&format!("{}/files", slow.1)).await;
    assert!(list.contains("The printer failed with an internal error (500)."), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn the_file_list_shows_its_progress_and_then_its_files() {
    let browser = needs!(Browser::start().await);
    let site = DashboardSite::start(1).await;
    let printer = &site.farm.printers()[0];
    browser.open(&format!("{}/login?token={}", site.base, super::ADMIN_TOKEN)).await;
    printer.set_fault(Some(file_list_fault(Fault::Slow(SLOW))));
    browser.open(&format!("{}/printers/{}", site.base, site.ids[0])).await;
    let shown = "const files = document.getElementById('files');
        const has = (selector) => [...files.querySelectorAll(selector)].some((one) => one.checkVisibility());
        return [has('progress'), /\\(\\d+ s\\)/.test(files.innerText), has('a'), files.innerText.includes('bracket.gcode')]";
    for (what, expected) in [("it is read", [true, true, false, false]), ("it is there", [false, false, false, true])] {
        wait::until(what, DEADLINE, async || {
            let found = browser.run(shown, Vec::new()).await;
            if found.as_ref() == Ok(&json!(expected)) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_camera_view_shows_pictures_and_reports_missing_ones() {
    let site = DashboardSite::start(2).await;
    let wall = site.get_page("/?view=cameras").await;
    for id in &site.ids {
        assert!(wall.contains(&format!("src=\"/printers/{id}/camera\"")), "{wall}");
    }
    let picture = send(site.get(&format!("/printers/{}/camera", site.ids[0]))).await;
    assert_eq!(
        (picture.status(), header_value(&picture, "content-type").starts_with("image/")),
        (StatusCode::OK, true)
    );
    assert!(
        header_value(&picture, "last-modified").ends_with("GMT")
            && header_value(&picture, "cache-control") == "no-store"
    );
    site.farm.printers()[1].set_fault(Some(Fault::Status(500)));
    let none = send(site.get(&format!("/printers/{}/camera", site.ids[1]))).await;
    assert_eq!(none.status(), StatusCode::BAD_GATEWAY);
    assert!(none.text().await.expect("a text").starts_with("No picture: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_printer_lists_its_commands_and_prints_back_to_the_oldest() {
    let site = DashboardSite::start(2).await;
    let path = format!("/printers/{}", site.ids[1]);
    let page = site.get_page(&path).await;
    assert!(page.contains("No commands yet."), "{page}");
    // In a batch of both printers, the row of the second printer is not the first one.
    site.run_command(&[("printer_id", site.ids[0].as_str()), ("printer_id", &site.ids[1]), ("command", "start")]).await;
    let page = site.get_page(&path).await;
    let commands = &page[page.find("id=\"history\"").expect("a list")..];
    assert!(commands.contains(">Start</a>") && commands.contains(">Started</span>"), "{commands}");
    assert!(
        commands.contains("href=\"/batches/") && commands.contains("<span class=\"from hint\">admin</span>"),
        "{commands}"
    );
    assert!(commands.contains("bracket.gcode <span") && commands.contains(">Printing</span>"), "{page}");
    let again = site.run_command(&[("printer_id", site.ids[1].as_str()), ("command", "start")]).await;
    assert!(again.contains("None started") && again.contains("1 left as it is: already printing"), "{again}");
    let page = site.get_page(&path).await;
    assert!(page.contains(">Left as it is</span> <span class=\"hint\">"), "the result has a reason: {page}");

    for _ in 0..20 {
        let fields = [("printer_id", site.ids[1].as_str()), ("command", "connect")];
        assert_eq!(site.submit("/batches", &fields).await.status(), StatusCode::SEE_OTHER);
    }
    let page = site.get_page(&path).await;
    let older =
        page.split('"').find(|part| part.starts_with(&format!("{path}?before="))).expect("a link to older ones");
    assert_eq!(page.matches(">Connect</a>").count(), 20);
    // The two starts and the print between them.
    let page = site.get_page(older.split('#').next().expect("an address")).await;
    assert_eq!((page.matches(">Connect</a>").count(), page.matches(">Start</a>").count()), (0, 2), "{page}");
    assert_eq!(page.matches("class=\"a-print\"").count(), 1, "{page}");
    assert!(!page.contains("Older entries") && page.contains(&format!("href=\"{path}#history\"")), "{page}");
    assert!(site.get_page(&format!("{path}?before=2000-01-01T00:00:00Z")).await.contains("No older entries."));
    assert!(site.get_page(&format!("{path}?before=nonsense")).await.contains(">Connect</a>"));
}

/// Returns the codes of the commands that the page offers, and of those under *More*.
fn offered_commands(page: &str) -> [Vec<&str>; 2] {
    let part = page.split("id=\"commands\"").nth(1).and_then(|rest| rest.split("</details>").next()).expect("commands");
    let (acting, others) = part.split_once("<details").unwrap_or((part, ""));
    [acting, others]
        .map(|part| part.split("name=\"command\" value=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_printer_offers_the_commands_that_act_now_and_gives_reasons_for_the_others() {
    let site = DashboardSite::start(1).await;
    let path = format!("/printers/{}", site.ids[0]);
    let page = site.get_page(&path).await;
    assert_eq!(offered_commands(&page)[0], ["start", "disconnect"]);
    assert!(page.contains("rel=\"noreferrer noopener\">Open OctoPrint</a>") && page.contains("Print a file"), "{page}");
    site.run_command(&[("printer_id", site.ids[0].as_str()), ("command", "start")]).await;
    let fragment = site.get_page(&format!("{path}/commands")).await;
    let [acting, others] = offered_commands(&fragment);
    assert!(acting.contains(&"pause") && acting.contains(&"cancel") && !acting.contains(&"start"), "{fragment}");
    assert!(others.contains(&"start") && others.contains(&"resume"), "{fragment}");
    assert!(!fragment.contains("<span class=\"hint\"></span>") && !fragment.contains("<html"), "{fragment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_cannot_be_commanded_has_a_next_step() {
    let site = DashboardSite::start(3).await;
    let [wrong_key, silent, halted] = [0, 1, 2].map(|n| format!("/printers/{}", site.ids[n]));
    site.farm.printers()[0].set_fault(Some(Fault::WrongKey));
    site.farm.printers()[1].set_fault(Some(Fault::Refuse));
    site.farm.printers()[2].perform(MachineAction::FirmwareError("Thermal runaway".to_owned()));
    let shows = async |path: &str, texts: &[&str]| {
        wait::until(path, DEADLINE, async || {
            let page = site.get_page(path).await;
            let missing: Vec<_> = texts.iter().filter(|text| !page.contains(**text)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} {page}")) }
        })
        .await;
    };
    let settings = |path: &str, focus: &str| format!("{path}/settings?focus={focus}");
    let (ask, key, url) = (settings(&wrong_key, "ask"), settings(&wrong_key, "key"), settings(&silent, "url"));
    shows(&wrong_key, &[&ask, ">Request a key</a>", &key, ">Enter a key</a>"]).await;
    shows(&silent, &[">Test again</button>", &url, ">Change address</a>", "Open OctoPrint"]).await;
    shows(&halted, &["name=\"command\" value=\"connect\"", "OctoPrint is not connected to its printer"]).await;
    assert!(!site.get_page(&halted).await.contains("data-heater"), "no temperatures of a halted printer");
    for (page, field) in [(key, "id=\"api-key\" autofocus"), (url, "name=\"url\" autofocus")] {
        assert!(site.get_page(&page).await.contains(field), "{page}");
    }
    // The test of the stored address and key needs no typed values.
    let fields = [("act", "test"), ("url", site.farm.printers()[2].url())];
    let tested = site.submit(&format!("{halted}/settings"), &fields).await.text().await.expect("a page");
    assert!(tested.contains("say good"), "{tested}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_farm_is_sorted_as_requested() {
    let site = DashboardSite::start(3).await;
    let order = async |path: &str| {
        let page = site.get_page(path).await;
        let mut places: Vec<(usize, usize)> = site
            .ids
            .iter()
            .enumerate()
            .map(|(n, id)| (page.find(&format!("id=\"p-{id}\"")).expect("a tile"), n + 1))
            .collect();
        places.sort_unstable();
        places.into_iter().map(|(_, n)| n).collect::<Vec<_>>()
    };
    assert_eq!(order("/?sort=name").await, [1, 2, 3]);
    site.farm.printers()[1].select("calibration/cube.gcode");
    site.run_command(&[("printer_id", site.ids[2].as_str()), ("command", "start")]).await;
    site.run_command(&[("printer_id", site.ids[1].as_str()), ("command", "start")]).await;
    let left = || async { site.get_page("/").await.matches("class=\"in\"").count() == 2 };
    wait::until("both prints have a remaining time", DEADLINE, left).await;
    assert_eq!(order("/?sort=left").await, [2, 3, 1], "by remaining time, then printers without one");
    site.farm.printers()[2].set_fault(Some(printyard::simulator::Fault::Refuse));
    wait::until("one printer is unreachable", DEADLINE, || async {
        site.get_page("/").await.contains("body is-silent")
    })
    .await;
    assert_eq!(order("/").await, [3, 2, 1], "printers that need action, then the active ones, then the idle ones");
    assert_eq!(order("/?sort=news").await[0], 3, "by the age of the last observation, oldest first");
    let page = site.get_page("/?sort=left&show=printing&view=rows").await;
    assert!(page.contains("/?sort=left&#38;view=rows") && page.contains("&#38;sort=left"), "{page}");
}

/// Sends G-code lines to a printer outside any print.
async fn send_gcode(site: &DashboardSite, number: usize, lines: &[&str]) {
    let printer = &site.farm.printers()[number];
    let request = site.http.post(format!("{}/api/printer/command", printer.url()));
    let request = request.header("X-Api-Key", printer.api_key()).json(&json!({ "commands": lines }));
    assert_eq!(send(request).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_temperatures_of_a_printer_are_shown_and_updated_by_its_stream() {
    let site = DashboardSite::start(2).await;
    let path = format!("/printers/{}", site.ids[0]);
    send_gcode(&site, 0, &["M140 S60"]).await;
    let heated = async || {
        let page = site.get_page(&path).await;
        let target = page.contains("data-target>60.0 °C</td>");
        if target && page.contains("data-range>21.3 – ") { Ok(page) } else { Err(page) }
    };
    let page = wait::until("the bed has its target", DEADLINE, heated).await;
    assert!(
        page.contains("Nozzle</td>") && page.contains("Bed</td>") && page.contains("data-target>off</td>"),
        "{page}"
    );
    let mut stream = send(site.get(&format!("/stream?only={}", site.ids[0]))).await;
    let news = read_until(&mut stream, "event: heat\n").await + &read_until(&mut stream, "\n\n").await;
    let news = news.split("event: heat").nth(1).and_then(|rest| rest.split("data: ").nth(1)).expect("news");
    let news: Value = serde_json::from_str(news.split('\n').next().expect("a line")).expect("JSON");
    // The values must come from a new reading, not from an old one.
    let bed = &news["heaters"][1];
    assert_eq!((&bed["name"], &bed["label"], &bed["target"]), (&json!("bed"), &json!("Bed"), &json!([60.0])), "{news}");
    // Pages of the whole farm receive no temperatures.
    let mut farm = send(site.get("/stream")).await;
    let seen = read_until(&mut farm, "event: strip").await + &read_until(&mut farm, "event: heartbeat").await;
    assert!(!seen.contains("event: heat"), "{seen}");

    let other = format!("/printers/{}", site.ids[1]);
    site.farm.printers()[1].set_fault(Some(Fault::Status(500)));
    let page = site.get_page(&other).await;
    assert!(
        page.contains("The temperature history is not available") || page.contains("when the printer answers"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn the_temperature_chart_obeys_the_content_security_policy_and_updates() {
    let browser = needs!(Browser::start().await);
    let site = DashboardSite::start(1).await;
    browser
        .run_on_new_pages(
            "addEventListener('securitypolicyviolation', (event) => { window.stopped = event.blockedURI; });",
        )
        .await;
    browser.open(&format!("{}/login?token={}", site.base, super::ADMIN_TOKEN)).await;
    browser.open(&format!("{}/printers/{}", site.base, site.ids[0])).await;
    send_gcode(&site, 0, &["M104 S60"]).await;
    let script = "const row = document.querySelector('[data-heater=tool0]');
        return [document.querySelectorAll('.plot:not([hidden]) canvas').length, window.stopped ?? null,
            row.querySelector('[data-now]').textContent, row.querySelector('[data-range]').textContent]";
    let expected = json!([1, null, "60.0 °C", "21.3 – 60.0 °C"]);
    wait::until("the chart is updated", DEADLINE, async || {
        let found = browser.run(script, Vec::new()).await;
        if found.as_ref() == Ok(&expected) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    browser.close().await;
}
