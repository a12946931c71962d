//! A real browser: Debian's Chromium with a fresh profile, controlled through chromedriver.
//!
//! Each started process has its temporary folder on its command line. The clean-up finds processes by that folder, also
//! when the driver has died before its browsers.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

use super::{env_or_skip, http_client, port, wait};

/// From the start of a browser to its first page; 2 s on an idle machine.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// Deadline for a page to show something on a busy machine.
pub const PAGE_DEADLINE: Duration = Duration::from_secs(60);

/// No sandbox, because it is not available in containers and for root. No requests to the internet.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one window.
pub struct Browser {
    driver: Option<Client>,
    child: Child,
    // The last field, so the folder is removed after every process that writes to it has ended.
    folder: TempDir,
}

impl Browser {
    /// Starts a browser. Returns `None` where it is not installed, and prints that the test is left out.
    pub async fn start() -> Option<Self> {
        let chromedriver = env_or_skip("PRINTYARD_TEST_CHROMEDRIVER", "chromedriver")?;
        let chromium = env_or_skip("PRINTYARD_TEST_CHROMIUM", "Chromium")?;
        let http = http_client();
        let folder = tempfile::Builder::new().prefix("printyard-browser-").tempdir().expect("a temporary folder");
        let port = port::pick_free_port();
        let child = Command::new(&chromedriver)
            .arg(format!("--port={port}"))
            .arg(format!("--log-path={}", folder.path().join("driver.log").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{chromedriver} does not start: {error}"));
        let mut browser = Self { driver: None, child, folder };
        let url = format!("http://127.0.0.1:{port}");
        wait::until("the driver is ready", START_DEADLINE, async || {
            let answer = http.get(format!("{url}/status")).send().await.map_err(|error| error.to_string())?;
            let status: Value = answer.json().await.map_err(|error| error.to_string())?;
            if status["value"]["ready"] == true { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        let profile = format!("--user-data-dir={}", browser.folder.path().join("profile").display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([profile.as_str()]).collect();
        let capabilities =
            json!({"browserName": "chrome", "goog:chromeOptions": {"binary": chromium, "args": arguments}});
        let capabilities = capabilities.as_object().cloned().expect("an object");
        let driver = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&url).await;
        browser.driver = Some(driver.unwrap_or_else(|error| panic!("{chromium} does not start: {error}")));
        Some(browser)
    }

    fn driver(&self) -> &Client {
        self.driver.as_ref().expect("a browser that has started")
    }

    /// Opens a page and waits until it is loaded, including its pictures.
    pub async fn open(&self, url: &str) {
        self.driver().goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Returns the current URL.
    pub async fn url(&self) -> String {
        self.driver().current_url().await.expect("an address").to_string()
    }

    /// Runs a script in the page. Returns its result.
    ///
    /// # Errors
    /// The driver's message, for example while the page is changing.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Result<Value, String> {
        self.driver().execute(script, arguments).await.map_err(|error| error.to_string())
    }

    /// Runs a script in the page. Returns its value.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.run(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until a script returns true.
    pub async fn until_true(&self, what: &str, script: &str) {
        wait::until(what, PAGE_DEADLINE, async || match self.run(script, Vec::new()).await {
            Ok(Value::Bool(true)) => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// Presses a key. CDP counts the modifiers as 1 (Alt), 2 (Ctrl), 4 (Meta) and 8 (Shift).
    pub async fn press(&self, key: &str, modifiers: u8) {
        let text = Some(key).filter(|key| key.chars().count() == 1 && modifiers & 2 == 0);
        let code = if key == " " { "Space" } else { key };
        for kind in ["keyDown", "keyUp"] {
            // Without its number, a key does not trigger the browser's own functions.
            let number = if key == "Escape" { 27 } else { 0 };
            let mut event = json!({"type": kind, "key": key, "code": code, "modifiers": modifiers,
                "windowsVirtualKeyCode": number});
            if let Some(text) = text.filter(|_| kind == "keyDown") {
                event["text"] = json!(text);
            }
            self.send_devtools_command("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Moves the mouse over the centers of elements in turn. The button is pressed from the first to the last.
    pub async fn drag_over(&self, selectors: &[&str], modifiers: u8) {
        for (at, selector) in selectors.iter().enumerate() {
            let script = "const box = document.querySelector(arguments[0]).getBoundingClientRect();
                return [box.left + box.width / 2, box.top + box.height / 2];";
            let center = self.run(script, vec![json!(selector)]).await.expect("an element");
            let event = |kind: &str, held: u8| {
                let button = if held > 0 || kind == "mouseReleased" { "left" } else { "none" };
                json!({"type": kind, "x": center[0], "y": center[1], "button": button, "buttons": held, "clickCount": 1,
                    "modifiers": modifiers})
            };
            self.send_devtools_command("Input.dispatchMouseEvent", event("mouseMoved", u8::from(at > 0))).await;
            if at == 0 {
                self.send_devtools_command("Input.dispatchMouseEvent", event("mousePressed", 1)).await;
            }
            if at + 1 == selectors.len() {
                self.send_devtools_command("Input.dispatchMouseEvent", event("mouseReleased", 0)).await;
            }
        }
    }

    /// Shows pages on a screen of this size, in CSS pixels.
    pub async fn set_screen_size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.send_devtools_command("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Sends a command of Chromium's DevTools protocol.
    pub async fn send_devtools_command(&self, name: &'static str, parameters: Value) -> Value {
        self.driver()
            .issue_cmd(DevToolsCommand(name, parameters))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a script in every page from now on, before the page's own scripts. The page's policy does not apply to it.
    pub async fn run_on_new_pages(&self, script: &str) {
        self.send_devtools_command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Deletes all cookies and sets one for the current site.
    pub async fn set_cookie(&self, name: &str, value: &str) {
        self.driver().delete_all_cookies().await.expect("no cookies");
        // Uses Chromium's own command: the driver's client sends a null for a missing domain, which the driver refuses.
        let cookie = json!({"name": name, "value": value, "url": self.url().await, "httpOnly": true});
        let set = self.send_devtools_command("Network.setCookie", cookie).await;
        assert_eq!(set["success"], true, "{set}");
    }

    /// Closes the browser.
    pub async fn close(mut self) {
        if let Some(driver) = self.driver.take() {
            driver.close().await.expect("a clean end");
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let gone = || find_processes(&self.folder.path().to_string_lossy()).is_empty();
        wait::until_blocking(Duration::from_secs(10), || {
            for pid in find_processes(&self.folder.path().to_string_lossy()) {
                let _ = Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).stderr(Stdio::null()).status();
            }
            gone()
        });
    }
}

/// A command of Chromium's DevTools protocol: its name and its parameters.
#[derive(Debug)]
struct DevToolsCommand(&'static str, Value);

impl WebDriverCompatibleCommand for DevToolsCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (reqwest::Method, Option<String>) {
        let body = json!({"cmd": self.0, "params": self.1});
        (reqwest::Method::POST, Some(body.to_string()))
    }
}

/// Returns the processes that have a folder on their command line.
fn find_processes(folder: &str) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let named = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    };
    numbers.filter(named).collect()
}
