//! The form of a part: created, changed and removed without scripts.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    DashboardSite,
    library::{hidden_value, sliced_gcode, upload_one},
    orders::{assert_contains, start_site},
    send,
};

/// Returns the fields of the form with the row of one file.
fn with_file<'a>(file_id: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let file = [("files-0-file_id", file_id), ("files-0-parts_per_plate", "4")];
    [("act", "save")].iter().chain(&file).chain(more).copied().collect()
}

impl DashboardSite {
    async fn part(&self, path: &str) -> Value {
        self.api(Method::GET, path, Value::Null).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_creates_a_part_of_several_files_and_changes_it() {
    let site = DashboardSite::start(2).await;
    let mut files = Vec::new();
    for model in ["MK4", "XL"] {
        let page = upload_one(&site, &format!("{model}.gcode"), sliced_gcode(model)).await;
        files.push(page.strip_prefix("/files/").expect("the page of a file").to_owned());
    }
    assert_contains(&site.get_page("/parts").await, &["href=\"/parts/new\""]);
    assert_contains(&site.get_page("/parts/new?number=BR%2F7").await, &["name=\"number\" value=\"BR/7\"", "MK4.gcode"]);
    // A further row keeps what was typed.
    let typed = with_file(&files[0], &[("number", "BR/7"), ("title", "Bracket <x>")]);
    let more: Vec<(&str, &str)> =
        typed.iter().map(|(name, value)| if *name == "act" { ("act", "add_file") } else { (*name, *value) }).collect();
    let answer = site.submit("/parts/new", &more).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.expect("a page");
    let selected = format!("<option value=\"{}\" selected>", files[0]);
    assert_contains(&page, &["value=\"Bracket &#60;x&#62;\"", "name=\"files-1-file_id\"", &selected]);
    let fields = [
        &typed[..],
        &[
            ("revision", "C"),
            ("judgement", "manual"),
            // The row between them was left empty.
            ("files-2-file_id", files[1].as_str()),
            ("files-2-models", "XL, MK3"),
            ("files-2-parts_per_plate", "6"),
            ("files-2-print_minutes", "60,12"),
            ("material", "PETG"),
            ("color", "#f2711c"),
            ("nozzle_mm", "0,4"),
            ("tags_all", "hall-a, fast"),
            ("printers", "P-2\nP-1\n"),
        ],
    ];
    let path = site.submit_change("/parts/new", &fields.concat()).await;
    assert_eq!(path, "/parts/BR%2F7");
    let part = site.part("/parts/BR%2F7").await;
    let expected = json!({"material": "PETG", "color": "#f2711c", "nozzle_mm": 0.4, "tags_all": ["hall-a", "fast"],
        "tags_any": [], "printer_ids": [site.ids[1], site.ids[0]]});
    assert_eq!(
        (&part["requirements"], &part["judgement"], &part["revision"]),
        (&expected, &json!("manual"), &json!("C"))
    );
    let expected = json!([
        {"file_id": files[0], "models": ["MK4"], "parts_per_plate": 4, "estimated_print_time_s": null},
        {"file_id": files[1], "models": ["XL", "MK3"], "parts_per_plate": 6, "estimated_print_time_s": 3607},
    ]);
    assert_eq!(part["files"], expected);

    // The form of the part has all of it, and sending it again changes nothing.
    let page = site.get_page(&format!("{path}/edit")).await;
    assert_contains(
        &page,
        &["value=\"hall-a, fast\"", ">P-2\nP-1</textarea>", "value=\"XL, MK3\"", "value=\"60.12\"", "value=\"0.4\""],
    );
    let version = hidden_value(&page, "version");
    let change = with_file(&files[0], &[("version", version), ("title", "Clip"), ("files-0-models", "MK4")]);
    assert_eq!(site.submit_change(&format!("{path}/edit"), &change).await, path);
    let part = site.part("/parts/BR%2F7").await;
    assert_eq!((&part["title"], &part["files"].as_array().map(Vec::len)), (&json!("Clip"), &Some(1)));
    assert_eq!(part["requirements"]["printer_ids"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_error_of_a_part_is_beside_its_field_and_what_was_typed_is_kept() {
    let (site, file_id) = start_site().await;
    let wrong = [
        ("number", "<N>"),
        ("title", "Clips"),
        ("files-0-parts_per_plate", "many"),
        ("nozzle_mm", "thin"),
        ("files-0-print_minutes", "1 h"),
        ("color", "red"),
        ("printers", "Nowhere"),
    ];
    let fields: Vec<(&str, &str)> =
        with_file(&file_id, &wrong).into_iter().filter(|field| *field != ("files-0-parts_per_plate", "4")).collect();
    let page = site.submit_refused("/parts/new", &fields).await;
    for id in ["files-0-parts_per_plate", "files-0-print_minutes", "nozzle_mm", "color", "printer_ids"] {
        assert_contains(&page, &[&format!("aria-describedby=\"{id}-error\""), &format!("id=\"{id}-error\"")]);
    }
    let kept = ["value=\"&#60;N&#62;\"", "value=\"Clips\"", "value=\"many\"", "value=\"thin\"", ">Nowhere</textarea>"];
    assert_contains(&page, &kept);
    assert_contains(
        &page,
        &["Parts per plate must be a whole number", "Nozzle (mm) must be a number", "“Nowhere” does not exist"],
    );
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[("number", "BRKT-7")], "Part number is the number of an existing part"),
        (&[("title", "no number")], "id=\"number-error\""),
        (&[("number", "N"), ("color", "red")], "id=\"color-error\""),
        (&[("number", "N"), ("tags_all", &"x".repeat(200))], "id=\"tags_all-error\""),
        (&[("number", "N"), ("files-0-models", &"x".repeat(101))], "id=\"files-0-models-error\""),
        (&[("number", "N"), ("files-1-file_id", "none")], "id=\"files-1-file_id-error\""),
        (&[("number", "N"), ("files-0-print_minutes", "0")], "Print time (min) must be 1 to 86400, and is 0"),
        (&[("number", "N"), ("revision", &"x".repeat(101))], "id=\"revision-error\""),
    ];
    for (fields, words) in cases {
        assert_contains(&site.submit_refused("/parts/new", &with_file(&file_id, fields)).await, &[words]);
    }
    let no_file = [("number", "N"), ("act", "save"), ("files-0-models", "MK4, XL")];
    let no_file = site.submit_refused("/parts/new", &no_file).await;
    assert_contains(&no_file, &["id=\"files-error\"", "value=\"MK4, XL\""]);
    let plain = upload_one(&site, "plain.gcode", "; plain\nG1 X1\n".to_owned()).await;
    let plain = plain.strip_prefix("/files/").expect("the page of a file");
    assert_contains(
        &site.submit_refused("/parts/new", &with_file(plain, &[("number", "N")])).await,
        &["File 1 names no printer model"],
    );
    assert_eq!(send(site.get("/parts/N")).await.status(), StatusCode::NOT_FOUND, "no part was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_changed_meanwhile_is_not_overwritten() {
    let (site, file_id) = start_site().await;
    let page = site.get_page("/parts/BRKT-7/edit").await;
    let version = hidden_value(&page, "version");
    let first = with_file(&file_id, &[("version", version), ("title", "First")]);
    let second = with_file(&file_id, &[("version", version), ("title", "Second")]);
    site.submit_change("/parts/BRKT-7/edit", &first).await;
    let refused = site.submit_refused("/parts/BRKT-7/edit", &second).await;
    assert_contains(
        &refused,
        &["The part was changed in the meantime", "value=\"Second\"", "href=\"/parts/BRKT%2D7/edit\""],
    );
    assert_eq!(site.part("/parts/BRKT-7").await["title"], "First");
    let stale = [("version", version), ("sure", "1")];
    assert_eq!(site.submit("/parts/BRKT-7/remove", &stale).await.status(), StatusCode::CONFLICT);
    let page = site.get_page("/parts/BRKT-7").await;
    let version = hidden_value(&page, "version");
    let unsure = site.submit("/parts/BRKT-7/remove", &[("version", version)]).await;
    assert_eq!(unsure.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let sure = [("version", version), ("sure", "1")];
    assert_eq!(site.submit_change("/parts/BRKT-7/remove", &sure).await, "/parts");
    assert_eq!(send(site.get("/parts/BRKT-7")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_number_is_new_has_pages_of_its_own() {
    let (site, file_id) = start_site().await;
    let path = site.submit_change("/parts/new", &with_file(&file_id, &[("number", "new")])).await;
    assert_contains(&site.get_page(&path).await, &["<h1>new</h1>"]);
    let page = site.get_page(&format!("{path}/edit")).await;
    let version = hidden_value(&page, "version");
    let change = with_file(&file_id, &[("version", version), ("title", "Changed")]);
    assert_eq!(site.submit_change(&format!("{path}/edit"), &change).await, path);
    assert_eq!(site.part("/parts/new").await["title"], "Changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_read_parts_and_see_no_buttons_that_change_them() {
    let (site, _) = start_site().await;
    let token = site.api(Method::POST, "/tokens", json!({"name": "o", "role": "operator"})).await;
    let cookie = site.log_in(token["token"].as_str().expect("a secret")).await;
    for path in ["/parts", "/parts/BRKT-7"] {
        let request = site.http.get(format!("{}{path}", site.base)).header("cookie", &cookie);
        let page = send(request).await.text().await.expect("a page");
        let has_forms = ["/parts/new", "/edit", "/remove"].iter().any(|part| page.contains(part));
        assert!(page.contains("BRKT-7") && !has_forms, "{path}: {page}");
    }
}
