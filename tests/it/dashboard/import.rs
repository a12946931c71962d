//! Printer import from a list: all rows are checked before any is written, and then all or none are written.

use printyard::simulator::{Farm, FarmConfig};
use reqwest::{Response, StatusCode, multipart};

use super::{ADMIN_TOKEN, DEADLINE, DashboardSite, send};
use crate::support::wait;

async fn upload_list(site: &DashboardSite, field: &'static str, list: impl Into<Vec<u8>>) -> Response {
    let part = multipart::Part::bytes(list.into());
    let part = if field == "file" { part.file_name("printers.csv") } else { part };
    let form = multipart::Form::new().part(field, part);
    let request = site.http.post(format!("{}/printers/import", site.base)).header("cookie", &site.cookie);
    send(request.header("sec-fetch-site", "same-origin").multipart(form)).await
}

async fn read_text(answer: Response) -> (StatusCode, String) {
    (answer.status(), answer.text().await.expect("a page"))
}

fn hidden_field(page: &str, name: &str) -> String {
    let from = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    from.split('"').next().unwrap_or_default().to_owned()
}

async fn get_api(site: &DashboardSite, path: &str) -> serde_json::Value {
    let request = site.http.get(format!("{}/api/v1/{path}", site.base)).bearer_auth(ADMIN_TOKEN);
    send(request).await.json().await.expect("JSON")
}

async fn count_printers(site: &DashboardSite) -> usize {
    get_api(site, "printers?limit=500").await["items"].as_array().expect("items").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_previewed_and_then_imported_unchanged() {
    let site = DashboardSite::start(1).await;
    let farm = Farm::start(FarmConfig { printers: 2, ..FarmConfig::default() }).await.expect("a farm");
    let [one, two] = farm.printers() else { panic!("two printers") };
    let here = site.farm.printers()[0].url();
    // A list as a German spreadsheet saves it: Windows-1252, semicolons, decimal commas, an empty last row.
    let list = format!(
        "Name;URL;API key;Tags;Nozzle mm;Notes\r\nHalle ö;{};{};\"halle-a, petg\";0,6;\"by the \"\"door\"\"\"\r\n\
         P-1;{here};;;;\r\nMK4;{};;;;\r\n;;;;;\r\n",
        one.url(),
        one.api_key(),
        two.url()
    );
    let bytes: Vec<u8> = list.chars().map(|char| u8::try_from(u32::from(char)).expect("Latin")).collect();
    let (status, page) = read_text(upload_list(&site, "file", bytes).await).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    for part in ["2 printers will be added", "1 already exists", "Halle ö", "with API key · halle-a · petg"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains(one.api_key()), "the page shows no API key: {page}");
    assert_eq!(count_printers(&site).await, 1, "the preview stores nothing");

    let (sealed, number) = (hidden_field(&page, "list"), hidden_field(&page, "number"));
    assert_eq!(number, "2");
    let fields = [("list", sealed.as_str()), ("number", number.as_str())];
    let (status, page) = read_text(site.submit("/printers/import/confirm", &fields).await).await;
    assert!(status.is_success() && page.contains("2 printers were imported."), "{page}");
    let printers = get_api(&site, "printers").await;
    let added = printers["items"].as_array().expect("items").iter().find(|item| item["name"] == "Halle ö").cloned();
    let added = added.expect("it was added");
    assert_eq!((&added["nozzle_mm"], &added["notes"]), (&0.6.into(), &"by the \"door\"".into()), "{added}");
    let path = format!("printers/{}", added["id"].as_str().expect("an id"));
    wait::until("the API key works", DEADLINE, async || {
        let seen = get_api(&site, &path).await["status"]["reachability"].clone();
        if seen == "online" { Ok(()) } else { Err(seen) }
    })
    .await;
    let audit = get_api(&site, "audit?action=printer.registered").await;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(3), "one audit row for each printer: {audit}");

    // A reload of the page sends the form again. Nothing changes, and the page shows the existing printers.
    let (status, page) = read_text(site.submit("/printers/import/confirm", &fields).await).await;
    assert!(status == StatusCode::CONFLICT && page.contains("3 already exist"), "{page}");
    assert_eq!(count_printers(&site).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_invalid_row_names_its_errors_and_is_skipped() {
    let site = DashboardSite::start(1).await;
    let here = site.farm.printers()[0].url();
    let list = format!(
        "name,url,color,tags,bed_mm,api_key\n\
         good,http://good,,,,\n\
         ,http://nameless,,,,\n\
         P-1,http://other,,,,\n\
         mine,{here},,,,\n\
         good,http://twice,,,,\n\
         bad,ftp://x,red,,1 x 2,two words\n\
         long,http://long,,{},,\n\
         same,HTTP://GOOD:80/,,,,\n\
         more,http://more,,,,,,x\n",
        "x".repeat(51)
    );
    let (status, page) = read_text(upload_list(&site, "text", list).await).await;
    assert!(status.is_success() && page.contains("1 printer will be added · 8 rows cannot be imported"), "{page}");
    for words in [
        "Name must be 1 to 100 characters long",
        "Name is already used by another printer",
        "Address is already used by P-1",
        "Name is also in line 2",
        "Address must begin with http",
        "Color must be a color",
        "Bed (mm) must be three numbers",
        "API key must be 1 to 1000 visible",
        "tags 0 must be 1 to 50",
        "Address is also in line 2",
        "Row must have 6 fields",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("two words"), "an invalid key is not shown either");
    let fields = [("list", hidden_field(&page, "list")), ("number", "1".to_owned())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert!(site.submit("/printers/import/confirm", &fields).await.status().is_success());
    assert_eq!(count_printers(&site).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_or_changed_list_is_refused() {
    let site = DashboardSite::start(0).await;
    let huge = format!("name,url\n{}", "a,http://a\n".repeat(100_000));
    for (list, words) in [
        ("", "“name” is missing"),
        ("name,url\n", "must follow the first line"),
        ("name,url,colour\na,http://a,x", "“colour” is unknown"),
        ("PK\u{3}\u{4}\u{0}", "save the sheet as CSV"),
        (huge.as_str(), "at most 1 MB"),
    ] {
        let (status, page) = read_text(upload_list(&site, "file", list).await).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{words}: {page}");
        assert!(page.contains(words), "{words}: {page}");
    }
    // A list of the maximum size must fit into the form of the second step too.
    let full: String = (0..1_000).map(|n| format!("P{n},http://p{n},{}\n", "\"\"".repeat(490))).collect();
    let (status, page) = read_text(upload_list(&site, "file", format!("name,url,notes\n{full}")).await).await;
    assert!(status.is_success() && page.contains("1000 printers will be added"), "{status}");
    let sealed = hidden_field(&page, "list");
    for (list, number) in [("nonsense", "1000"), (sealed.as_str(), "999")] {
        let answer = site.submit("/printers/import/confirm", &[("list", list), ("number", number)]).await;
        assert!(answer.status().is_client_error(), "{number}");
    }
    assert_eq!(count_printers(&site).await, 0, "a different number of printers is refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_columns_for_proxies_certificates_and_cameras() {
    let site = DashboardSite::start(0).await;
    let list = "name,url,proxy_user,proxy_password,headers,camera_url\n\
        A,a.test/#temp,ann,list-password-1,\"X-Token: list-token-1\nX-Hall: 3\",http://cam.test/shot\n\
        B,b.test,ann,,,\nC,c.test,,,Host: x,\nD,d.test,,,token,\n";
    let (status, page) = read_text(upload_list(&site, "text", list).await).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(!page.contains("list-password-1") && !page.contains("list-token-1"), "{page}");
    for part in [
        "1 printer will be added",
        "3 rows cannot be imported",
        "with proxy, TLS or camera settings",
        "Proxy password must be given with a user",
        "headers host must not be set",
        "must be one header per line",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (list, number) = (hidden_field(&page, "list"), hidden_field(&page, "number"));
    let fields = [("list", list.as_str()), ("number", number.as_str())];
    let (status, page) = read_text(site.submit("/printers/import/confirm", &fields).await).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let printer = &get_api(&site, "printers").await["items"][0];
    let shown = ["url", "proxy_user", "header_names", "camera_url_set"].map(|name| printer[name].to_string());
    assert_eq!(shown, ["\"http://a.test\"", "\"ann\"", "[\"x-hall\",\"x-token\"]", "true"]);
}
