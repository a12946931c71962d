//! Whether anything of a text was run, would have been run but for the page's policy, or became a part of the page.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use axum::response::{Html, IntoResponse};
use serde_json::Value;

use super::{Browser, PayloadLog, payloads::PAYLOADS};
use crate::support::needs;

/// Before anything of a page: what its texts would call, and an ear for what its policy stops.
const RECORDER_SCRIPT: &str = r#"
window.__said = [];
window.__xss = (n) => { window.__said.push("ran " + n); };
window.addEventListener("securitypolicyviolation", (event) => {
  window.__said.push(["blocked", event.violatedDirective, event.blockedURI, event.sample].join(" "));
}, true);
"#;

/// Finds what is wrong with a page, and which texts it shows. The pages have no inline handlers and no foreign scripts.
const CHECK_SCRIPT: &str = r#"
const found = [...window.__said];
// The browser's own page for an answer without one: nothing of it is ours.
if (document.body?.classList.contains("neterror")) return { found, seen: [] };
const own = (at) => at && new URL(at).origin === location.origin && /^\/static\//.test(new URL(at).pathname);
for (const one of document.querySelectorAll("*")) {
  const name = one.tagName.toLowerCase();
  if ([`iframe:not([name="tested"]:not([src]):not([srcdoc]))`, "frame", "object", "embed", "base", "applet"].some((bad) => one.matches(bad))) found.push(one.outerHTML.slice(0, 200));
  if (name === "script" && !own(one.src)) found.push("a script: " + one.outerHTML.slice(0, 200));
  for (const { name: key, value } of one.attributes) {
    if (key.startsWith("on") || key === "data-xss" || key === "srcdoc") found.push("the attribute " + key + " of a " + name);
    if (/^(href|src|action|formaction|xlink:href|data)$/.test(key) && /^[\s\0-\x1f]*(javascript|vbscript|data):/i.test(value))
      found.push("the address " + value.slice(0, 200));
  }
}
const seen = [...document.documentElement.outerHTML.matchAll(/__xss\((\d+)\)/g)].map((match) => Number(match[1]));
return { found: [...new Set(found)], seen: [...new Set(seen)] };
"#;

/// A browser in which nothing may happen.
pub struct ScriptDetector {
    pub browser: Browser,
    pub payloads: PayloadLog,
    shown_places: Mutex<BTreeSet<String>>,
}

impl ScriptDetector {
    /// Puts the ear into every page of a browser.
    pub async fn new(browser: Browser, payloads: PayloadLog) -> Self {
        browser.run_on_new_pages(RECORDER_SCRIPT).await;
        Self { browser, payloads, shown_places: Mutex::default() }
    }

    /// Opens a page, and holds it against the rules.
    pub async fn visit(&self, url: &str) {
        self.browser.open(url).await;
        self.check_page().await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Holds the page that is open against the rules; the numbers of the texts that it shows.
    ///
    /// # Errors
    /// There is no page to look at, yet.
    pub async fn check_page(&self) -> Result<Vec<usize>, String> {
        let (found, seen) = self.run_check_script().await?;
        let url = self.browser.url().await;
        let explained: Vec<String> = found.iter().map(|what| self.describe_finding(what)).collect();
        assert!(found.is_empty(), "{url}: {explained:#?}");
        let places = seen.iter().map(|n| self.payloads.get_place(*n));
        self.shown_places.lock().unwrap_or_else(PoisonError::into_inner).extend(places);
        Ok(seen)
    }

    async fn run_check_script(&self) -> Result<(Vec<String>, Vec<usize>), String> {
        let result = self.browser.run(CHECK_SCRIPT, Vec::new()).await?;
        let list = |name: &str| result[name].as_array().cloned().unwrap_or_default();
        let found = list("found").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let seen = list("seen").iter().filter_map(Value::as_u64).filter_map(|n| usize::try_from(n).ok()).collect();
        Ok((found, seen))
    }

    fn describe_finding(&self, what: &str) -> String {
        let number = what.strip_prefix("ran ").and_then(|n| n.parse().ok());
        number.map_or_else(|| what.to_owned(), |n| format!("{what}: {}", self.payloads.get_place(n)))
    }

    /// Holds the places whose texts some page has shown against those that have to be among them.
    pub fn assert_shown(&self, places: &[&str]) {
        let seen = self.shown_places.lock().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<_> = places.iter().filter(|place| !seen.contains(**place)).collect();
        assert!(missing.is_empty(), "on no page: {missing:#?}\nseen: {seen:#?}");
    }

    /// Ends the browser.
    pub async fn close(self) {
        self.browser.close().await;
    }
}

/// Pages that do what ours must not: a text as it is, where a template would have escaped it.
const UNESCAPED_PAGES: [(&str, &str); 6] = [
    ("text", "<p>TEXT</p>"),
    ("attribute", "<p title=\"TEXT\">x</p>"),
    ("other quotes", "<input value='TEXT'>"),
    ("address", "<a href=\"TEXT\">x</a>"),
    ("decoded twice", "<p id=a>TEXT</p><script>a.innerHTML = a.textContent</script>"),
    ("evaluated", "<p id=a>TEXT</p><script>eval(a.textContent.match(/\\{\\{(.*?)\\}\\}/)?.[1])</script>"),
];

/// The detector finds each kind of text on a page without escaping, even if a policy has stopped the script.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser, which tests/run provides"]
async fn every_payload_is_detected_on_an_unescaped_page() {
    let browser = needs!(Browser::start().await);
    let detector = ScriptDetector::new(browser, PayloadLog::default()).await;
    let policy = "default-src 'self'";
    let server = axum::Router::new().fallback(move |uri: axum::http::Uri| async move {
        let indices: Vec<usize> = uri.path().split('/').filter_map(|part| part.parse().ok()).collect();
        let [kind, page_kind, strict] = indices[..] else { return Html(String::new()).into_response() };
        let page = format!(
            "<!doctype html><title>x</title>{}",
            UNESCAPED_PAGES[page_kind].1.replace("TEXT", &PAYLOADS[kind](7))
        );
        let headers = [("content-security-policy", if strict == 1 { policy } else { "" })];
        (headers, Html(page)).into_response()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move { axum::serve(listener, server).await });
    for (kind, text) in PAYLOADS.iter().map(|text| text(7)).enumerate() {
        let (mut found, mut ran, mut stopped) = (Vec::new(), false, false);
        for strict in [0, 1] {
            for (page_kind, (_, page)) in UNESCAPED_PAGES.iter().enumerate() {
                detector.browser.open(&format!("{url}/{kind}/{page_kind}/{strict}")).await;
                let (findings, seen) = detector.run_check_script().await.expect("a page");
                assert!(page_kind > 0 || seen.contains(&7), "{text}: {seen:?}");
                ran |= findings.iter().any(|what| what == "ran 7");
                // Where the page has no script of its own, it is the text's that was stopped.
                let own = page.contains("<script");
                stopped |= strict == 1 && !own && findings.iter().any(|what| what.starts_with("blocked"));
                // The scripts of the pages themselves do not count.
                found.extend(findings.into_iter().filter(|what| !what.contains("textContent") && strict == 0));
            }
        }
        assert!(!found.is_empty(), "{text} was found nowhere");
        // What waits for a mouse or a click is found in the page, before it runs; what needs a careless script as well
        // cannot be stopped if it does not exist.
        let (waits, needs_a_script) = ([2, 4].contains(&kind), [7, 9].contains(&kind));
        assert!(waits || ran, "{text}: did not run: {found:?}");
        assert!(waits || needs_a_script || stopped, "{text}: was not stopped: {found:?}");
    }
    serving.abort();
    detector.close().await;
}
