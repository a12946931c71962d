//! Languages of the pages: the browser's language, or the one that the user chose.

use printyard::simulator::Fault;
use reqwest::{StatusCode, header};

use super::DashboardSite;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_the_browsers_language_until_the_user_chooses() {
    let site = DashboardSite::start(1).await;
    let page = async |accepted: &str, chosen: &str| {
        let cookie = format!("{}{chosen}", site.cookie);
        let request = site.http.get(format!("{}/", site.base)).header(header::COOKIE, cookie);
        let answer = request.header(header::ACCEPT_LANGUAGE, accepted).send().await.expect("an answer");
        let language = answer.headers()[header::CONTENT_LANGUAGE].to_str().expect("a language").to_owned();
        (language, answer.text().await.expect("a page"))
    };
    let (language, german) = page("de-CH, en;q=0.5", "").await;
    assert_eq!(language, "de");
    assert!(german.contains("<html lang=\"de\">") && german.contains("Bereit"), "German tiles: {german}");
    let (language, english) = page("fr", "").await;
    assert_eq!(language, "en");
    assert!(english.contains("<html lang=\"en\">") && english.contains("Ready"), "English tiles: {english}");

    let choice = site.http.post(format!("{}/language", site.base)).header("sec-fetch-site", "same-origin");
    let choice = choice
        .header(header::REFERER, format!("{}/batches?x=1", site.base))
        .header(header::CONTENT_TYPE, FORM)
        .body("language=de");
    let answer = choice.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[header::LOCATION], "/batches?x=1", "returns to the page of the form");
    let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("a cookie").to_owned();
    let cookie = format!("; {}", cookie.split(';').next().expect("its value"));
    assert_eq!(page("en", &cookie).await.0, "de", "the user's choice has priority over the browser");
    assert_eq!(page("en", "; printyard_language=<script>").await.0, "en");

    let strange = site.http.post(format!("{}/language", site.base)).header("sec-fetch-site", "same-origin");
    let strange = strange
        .header(header::REFERER, "https://evil.example//evil.example/x")
        .header(header::CONTENT_TYPE, FORM)
        .body("language=de");
    let answer = strange.send().await.expect("an answer");
    assert_eq!(answer.headers()[header::LOCATION], "/", "no redirect to another site");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_every_layer_are_in_the_browsers_language() {
    let site = DashboardSite::start(1).await;
    let request = site.http.get(format!("{}/nowhere", site.base)).header(header::COOKIE, site.cookie.clone());
    let page = request.header(header::ACCEPT_LANGUAGE, "de").send().await.expect("an answer");
    let page = page.text().await.expect("a page");
    assert!(page.contains("Seite nicht gefunden"), "{page}");
    let name = "x".repeat(101);
    let form = format!("name={name}&url=http%3A%2F%2F127.0.0.1%3A1&api_key=k&act=add");
    let request = site.http.post(format!("{}/printers/new", site.base)).header("sec-fetch-site", "same-origin");
    let request = request.header(header::COOKIE, site.cookie.clone()).header(header::ACCEPT_LANGUAGE, "de");
    let page = request
        .header(header::CONTENT_TYPE, FORM)
        .body(form)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a page");
    assert!(page.contains("muss 1 bis 100 Zeichen lang sein und hat 101"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn camera_and_field_errors_are_in_the_browsers_language() {
    let site = DashboardSite::start(1).await;
    let german = |request: reqwest::RequestBuilder| request.header(header::ACCEPT_LANGUAGE, "de");
    site.farm.printers()[0].set_fault(Some(Fault::Status(500)));
    let picture = german(site.get(&format!("/printers/{}/camera", site.ids[0]))).send().await.expect("an answer");
    let text = picture.text().await.expect("a text");
    assert!(text.starts_with("Kein Bild: Der Drucker "), "{text}");
    let settings = format!("{}/printers/new", site.base);
    let form = "name=new&url=http%3A%2F%2F10.0.0.9&has_access=1&headers=none&act=add";
    let request = site.http.post(settings).header("cookie", &site.cookie).header("sec-fetch-site", "same-origin");
    let refused = german(request).header(header::CONTENT_TYPE, FORM).body(form).send().await.expect("an answer");
    let page = refused.text().await.expect("a page");
    assert!(page.contains("Header müssen je eine Zeile haben"), "{page}");
}
