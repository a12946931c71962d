//! Screenshots of every page for review: in both themes, on a phone, a desktop and a wall screen, with farms of several
//! sizes and states.
//!
//! `tests/run --quick pictures --ignored` writes them to `target/pictures`.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use printyard::simulator::{Act, Farm, Fault};
use serde_json::json;

use super::visit;
use crate::{
    browser::addresses,
    support::{
        browser::Browser,
        needs, routes,
        server::{TestServer, yard},
    },
};

/// Width and height, in CSS pixels.
const SCREENS: [(u32, u32); 3] = [(390, 844), (1280, 800), (3840, 2160)];
const THEMES: [&str; 2] = ["light", "dark"];

/// A farm of a certain size and state.
struct Scene {
    name: &'static str,
    server: TestServer,
    farm: Farm,
    ids: Vec<String>,
}

impl Scene {
    async fn of(name: &'static str, printers: usize, busy: bool, troubled: bool) -> Self {
        let (server, farm, ids) = yard(printers).await;
        if busy {
            for printer in farm.printers() {
                printer.select("long/vase.gcode");
            }
            let start = json!({"command": "start", "select": {"all": true}});
            server.post_and_wait("/api/v1/batches", start).await;
        }
        let scene = Self { name, server, farm, ids };
        if troubled {
            scene.break_some().await;
        }
        scene
    }

    /// Causes one failure of each kind in the first twelve printers, and again in twelve of each further sixty.
    async fn break_some(&self) {
        for (at, printer) in self.farm.printers().iter().enumerate().filter(|(at, _)| at % 60 < 12) {
            match at % 12 {
                2 => printer
                    .at_printer(Act::FirmwareError("Thermal runaway on heater 0, the printer was halted".to_owned())),
                4 => printer.set_fault(Some(Fault::Refuse)),
                6 => printer.at_printer(Act::M600),
                8 => printer.set_fault(Some(Fault::WrongKey)),
                10 => printer.at_printer(Act::Cancel),
                _ => {}
            }
        }
        let stop = json!({"command": "cancel", "select": {"printer_ids": self.ids.iter().take(12).collect::<Vec<_>>()}, "reason": "end of the shift"});
        self.server.post_and_wait("/api/v1/batches", stop).await;
    }

    /// Returns the farm pages of this scene, or all pages.
    async fn pages(&self, everything: bool) -> Vec<String> {
        let mut pages: Vec<String> = ["/", "/?view=rows", "/?view=cameras"].map(str::to_owned).into();
        // With hundreds of cameras the page looks the same as with sixty, and only takes longer.
        pages.retain(|path| self.ids.len() < 500 || !path.contains("cameras"));
        if everything {
            let batches = self.server.get("/api/v1/batches").await.1;
            let batches: Vec<String> = batches["items"]
                .as_array()
                .expect("batches")
                .iter()
                .filter_map(|batch| batch["id"].as_str().map(str::to_owned))
                .take(2)
                .collect();
            let all = routes::of_pages()
                .into_iter()
                .flat_map(|(verb, route)| addresses(&verb, &route, &self.ids[..3], &[], &batches));
            pages.extend(all.filter(|path| path != "/" && !path.ends_with(".csv") && !path.starts_with("/login/oidc")));
            pages.push("/nowhere".to_owned());
        }
        pages
    }
}

async fn picture(browser: &Browser, folder: &Path, name: &str) {
    let shot = browser.own("Page.captureScreenshot", json!({"format": "png"})).await;
    let bytes = STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("as base64");
    std::fs::write(folder.join(format!("{name}.png")), bytes).expect("written");
}

/// Returns a file name for a URL. Each id becomes the same word.
fn plain(path: &str) -> String {
    let parts = path.split(['/', '?', '=', '&']).filter(|part| !part.is_empty());
    let name = parts.map(|part| if part.len() == 36 { "one" } else { part }).collect::<Vec<_>>().join("-");
    if name.is_empty() { "farm".to_owned() } else { name }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and is for looking: `tests/run --quick pictures --ignored`"]
async fn pictures_of_every_page() {
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
    for (name, printers, busy, troubled) in scenes {
        let scene = Scene::of(name, printers, busy, troubled).await;
        visit(&browser, &scene.server, "admin", "/").await;
        for path in scene.pages(name == "trouble-60").await {
            for (width, height) in SCREENS {
                browser.screen(width, height).await;
                for theme in THEMES {
                    let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
                    browser.own("Emulation.setEmulatedMedia", json!({ "features": features })).await;
                    browser.open(&format!("{}{path}", scene.server.url)).await;
                    browser
                        .until(
                            "every visible picture is loaded",
                            "return [...document.images].filter((one) => {
                        const box = one.getBoundingClientRect(); return box.top < innerHeight && box.bottom > 0;
                    }).every((one) => one.complete)",
                        )
                        .await;
                    picture(&browser, &folder, &format!("{}_{}_{width}_{theme}", scene.name, plain(&path))).await;
                }
            }
        }
        scene.server.stop().await;
    }
    browser.end().await;
}
