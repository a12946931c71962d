//! Screenshots of every page for review: in both themes, on a phone, a desktop and a wall screen, with farms of several
//! sizes and states.
//!
//! `tests/run --quick screenshots --ignored` writes them to `target/pictures`.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use printyard::simulator::{Farm, Fault, MachineAction};
use serde_json::json;

use super::visit;
use crate::{
    cross_site_scripting::list_page_paths,
    support::{
        browser::Browser,
        needs, routes,
        server::{TestServer, start_server_with_farm},
    },
};

/// Width and height, in CSS pixels.
const SCREENS: [(u32, u32); 3] = [(390, 844), (1280, 800), (3840, 2160)];
const THEMES: [&str; 2] = ["light", "dark"];
/// For pictures of all texts of a page.
const TALL_SCREENS: [(u32, u32); 2] = [(390, 2400), (1280, 1600)];

/// A farm of a certain size and state.
struct ScreenshotScene {
    name: &'static str,
    server: TestServer,
    farm: Farm,
    ids: Vec<String>,
}

impl ScreenshotScene {
    async fn start(name: &'static str, printers: usize, busy: bool, with_failures: bool) -> Self {
        let (server, farm, ids) = start_server_with_farm(printers).await;
        if busy {
            let file = json!({"path": "long/vase.gcode"});
            let start = json!({"command": "start", "select": {"all": true}, "file": file});
            server.post_and_wait("/api/v1/batches", start).await;
        }
        let scene = Self { name, server, farm, ids };
        if with_failures {
            scene.cause_failures().await;
        }
        scene
    }

    /// Causes one failure of each kind in the first twelve printers, and again in twelve of each further sixty.
    async fn cause_failures(&self) {
        for (at, printer) in self.farm.printers().iter().enumerate().filter(|(at, _)| at % 60 < 12) {
            match at % 12 {
                2 => printer.perform(MachineAction::FirmwareError(
                    "Thermal runaway on heater 0, the printer was halted".to_owned(),
                )),
                4 => printer.set_fault(Some(Fault::Refuse)),
                6 => printer.perform(MachineAction::M600),
                8 => printer.set_fault(Some(Fault::WrongKey)),
                10 => printer.perform(MachineAction::Cancel),
                _ => {}
            }
        }
        let stop = json!({"command": "cancel", "select": {"printer_ids": self.ids.iter().take(12).collect::<Vec<_>>()}, "reason": "end of the shift"});
        self.server.post_and_wait("/api/v1/batches", stop).await;
    }

    /// Saves a picture of a page. The name has the language unless it is English.
    async fn save_page(
        &self,
        browser: &Browser,
        folder: &Path,
        path: &str,
        language: &str,
        (width, height): (u32, u32),
        theme: &str,
    ) {
        browser.set_screen_size(width, height).await;
        // The session's cookie stays.
        let set = format!("document.cookie = 'printyard_language={language}; path=/'");
        browser.run(&set, Vec::new()).await.expect("a page");
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        browser.send_devtools_command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        browser.open(&format!("{}{path}", self.server.url)).await;
        browser
            .until_true(
                "every visible picture is loaded",
                "return [...document.images].filter((one) => {
                    const box = one.getBoundingClientRect(); return box.top < innerHeight && box.bottom > 0;
                }).every((one) => one.complete)",
            )
            .await;
        let language = if language == "en" { String::new() } else { format!("{language}_") };
        let name = format!("{}_{}_{language}{width}_{theme}", self.name, file_name(path));
        save_screenshot(browser, folder, &name).await;
    }

    /// Returns the farm pages of this scene, or all pages.
    async fn list_paths(&self, with_all_pages: bool) -> Vec<String> {
        let mut pages: Vec<String> = ["/", "/?view=rows", "/?view=cameras"].map(str::to_owned).into();
        // With hundreds of cameras the page looks the same as with sixty, and only takes longer.
        pages.retain(|path| self.ids.len() < 500 || !path.contains("cameras"));
        if with_all_pages {
            let batches = self.server.get("/api/v1/batches").await.1;
            let batches: Vec<String> = batches["items"]
                .as_array()
                .expect("batches")
                .iter()
                .filter_map(|batch| batch["id"].as_str().map(str::to_owned))
                .take(2)
                .collect();
            let all = routes::list_page_routes().into_iter().flat_map(|(verb, route)| {
                list_page_paths(&verb, &route, &self.ids[..3], &self.ids[..3], &[], &batches)
            });
            pages.extend(all.filter(|path| path != "/" && !path.ends_with(".csv") && !path.starts_with("/login/oidc")));
            pages.push("/nowhere".to_owned());
        }
        pages
    }
}

async fn save_screenshot(browser: &Browser, folder: &Path, name: &str) {
    let shot = browser.send_devtools_command("Page.captureScreenshot", json!({"format": "png"})).await;
    let bytes = STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("as base64");
    std::fs::write(folder.join(format!("{name}.png")), bytes).expect("written");
}

/// Returns a file name for a URL. Each id becomes the same word.
fn file_name(path: &str) -> String {
    let parts = path.split(['/', '?', '=', '&']).filter(|part| !part.is_empty());
    let name = parts.map(|part| if part.len() == 36 { "one" } else { part }).collect::<Vec<_>>().join("-");
    if name.is_empty() { "farm".to_owned() } else { name }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and is for looking: `tests/run --quick screenshots --ignored`"]
async fn screenshots_of_every_page() {
    let browser = needs!(Browser::start().await);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pictures");
    std::fs::create_dir_all(&folder).expect("a folder");
    let scenes = [
        ("empty-0", 0, false, false),
        ("calm-3", 3, false, false),
        ("busy-60", 60, true, false),
        ("trouble-60", 60, true, true),
        ("trouble-1000", 1_000, true, true),
    ];
    for (name, printers, busy, with_failures) in scenes {
        let scene = ScreenshotScene::start(name, printers, busy, with_failures).await;
        visit(&browser, &scene.server, "admin", "/").await;
        let with_all_pages = name == "trouble-60";
        for path in scene.list_paths(with_all_pages).await {
            for size in SCREENS {
                for theme in THEMES {
                    scene.save_page(&browser, &folder, &path, "en", size, theme).await;
                }
            }
            if with_all_pages {
                for size in TALL_SCREENS {
                    scene.save_page(&browser, &folder, &path, "de", size, "light").await;
                }
            }
        }
        scene.server.stop().await;
    }
    browser.close().await;
}
