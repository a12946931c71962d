//! What slicers ask before an upload: version, settings, user and printer profile.

use axum::Json;
use serde_json::{Value, json};

use super::{destination::Upload, links::Links};
use crate::{domain::access::Role, service::access::Principal};

/// The version of OctoPrint whose API these endpoints follow.
const OCTOPRINT_VERSION: &str = "1.11.8";
const API_VERSION: &str = "0.1";
/// Permissions of OctoPrint that a token has here.
const PERMISSIONS: [&str; 4] = ["STATUS", "FILES_UPLOAD", "FILES_SELECT", "SETTINGS_READ"];

/// Returns the version. PrusaSlicer and its relatives check that `text` begins with `OctoPrint`.
pub(super) async fn get_version(_: Upload) -> Json<Value> {
    let text = format!("OctoPrint (Printyard {})", env!("CARGO_PKG_VERSION"));
    Json(json!({"api": API_VERSION, "server": OCTOPRINT_VERSION, "text": text}))
}

/// Returns the state of the server.
pub(super) async fn get_server(_: Upload) -> Json<Value> {
    Json(json!({"version": OCTOPRINT_VERSION, "safemode": null}))
}

/// Returns the settings that slicers read. Cura tests a key with this request.
pub(super) async fn get_settings(upload: Upload) -> Json<Value> {
    Json(json!({
        "api": {"allowCrossOrigin": false},
        "appearance": {"name": upload.destination.name(), "color": "default"},
        "feature": {"sdSupport": false, "autoUppercaseBlacklist": [], "modelSizeDetection": false},
        "folder": {},
        "plugins": {},
        "temperature": {"profiles": [], "cutoff": 30},
    }))
}

/// Returns the token as a user.
pub(super) async fn get_current_user(upload: Upload) -> Json<Value> {
    Json(json!({"name": upload.who.name, "permissions": PERMISSIONS, "groups": ["users"]}))
}

/// Answers a passive login with the token as a user. It opens no session.
pub(super) async fn log_in(upload: Upload) -> Json<Value> {
    let Principal { name, role, .. } = &upload.who;
    let is_admin = *role >= Role::Admin;
    Json(json!({
        "name": name,
        "active": true,
        "user": true,
        "admin": is_admin,
        "roles": if is_admin { vec!["user", "admin"] } else { vec!["user"] },
        "groups": ["users"],
        "permissions": PERMISSIONS,
        "needs": {},
        "settings": {},
        "apikey": null,
        "session": null,
        "_is_external_client": true,
    }))
}

/// Returns one profile, with the size of the printer where the destination is one.
pub(super) async fn list_printer_profiles(upload: Upload, links: Links) -> Json<Value> {
    let profile = upload.destination.printer().map(|view| view.printer.details.profile.clone()).unwrap_or_default();
    let [width, depth, height] = profile.bed_mm.unwrap_or([250.0, 210.0, 210.0]);
    let axis = |speed: u32| json!({"speed": speed, "inverted": false});
    let profile = json!({
        "id": "_default",
        "name": upload.destination.name(),
        "model": profile.model.as_deref().unwrap_or("Printyard"),
        "color": "default",
        "default": true,
        "current": true,
        "resource": links.endpoint("printerprofiles/_default"),
        "volume": {
            "formFactor": "rectangular", "origin": "lowerleft", "width": width, "depth": depth, "height": height,
            "custom_box": false,
        },
        "heatedBed": true,
        "heatedChamber": false,
        "axes": {"x": axis(6_000), "y": axis(6_000), "z": axis(200), "e": axis(300)},
        "extruder": {
            "count": 1, "offsets": [[0.0, 0.0]], "nozzleDiameter": profile.nozzle_mm.unwrap_or(0.4),
            "sharedNozzle": false, "defaultExtrusionLength": 5,
        },
    });
    Json(json!({"profiles": {"_default": profile}}))
}
