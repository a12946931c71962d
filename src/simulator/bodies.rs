//! JSON bodies, with the same keys as recorded in `octoprint-samples/`.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{
    config::Flavor,
    files::{FileStore, StoredFile, file_name, unix_seconds, unix_time},
    machine::{MachineState, Progress},
    printer::PrinterInner,
};

/// Returns the version that a flavor reports.
pub fn reported_version(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::V1_11 => "1.11.8",
        Flavor::V2_0 => "2.0.0rc7",
    }
}

/// `GET /api/job`.
pub fn job_body(inner: &PrinterInner, flavor: Flavor, now: Instant) -> Value {
    let mut body = json!({
        "job": job_field(inner, flavor),
        "progress": progress_field(inner, now),
        "state": inner.machine.state().text(),
    });
    let error = &inner.machine.connection_error().error;
    if let Some(body) = body.as_object_mut() {
        match flavor {
            Flavor::V2_0 => {
                body.insert("error".to_owned(), Some(error).filter(|error| !error.is_empty()).cloned().into());
            }
            Flavor::V1_11 if !error.is_empty() => {
                body.insert("error".to_owned(), error.clone().into());
            }
            Flavor::V1_11 => {}
        }
    }
    body
}

/// `job` of `GET /api/job` and of the push frames.
pub fn job_field(inner: &PrinterInner, flavor: Flavor) -> Value {
    let selected = inner.machine.selected();
    let prints = selected.and_then(|file| inner.files.get(&file.path)).map(|entry| &entry.prints);
    let mut file = json!({
        "date": selected.map(|file| file.date),
        "display": selected.map(|file| &file.name),
        "name": selected.map(|file| &file.name),
        "origin": selected.map(|_| "local"),
        "path": selected.map(|file| &file.path),
        "size": selected.map(|file| file.blob.bytes().len()),
    });
    match flavor {
        Flavor::V1_11 => json!({
            "averagePrintTime": prints.and_then(super::files::PrintStatistics::average_print_time),
            "estimatedPrintTime": null,
            "filament": null,
            "file": file,
            "lastPrintTime": prints.and_then(|prints| prints.last_print_time),
            "user": selected.map(|_| "admin"),
        }),
        Flavor::V2_0 => {
            if let Some(file) = file.as_object_mut() {
                file.insert("upload".to_owned(), selected.map(|_| false).into());
            }
            json!({
                "estimatedPrintTime": null, "filament": null, "file": file, "lastPrintTime": null, "user": null,
            })
        }
    }
}

fn progress_field(inner: &PrinterInner, now: Instant) -> Value {
    let selected = inner.machine.selected();
    let average =
        selected.and_then(|file| inner.files.get(&file.path)).and_then(|entry| entry.prints.average_print_time());
    Progress::to_json(inner.machine.progress(now, average))
}

/// `state` of `GET /api/printer` and of the push frames.
pub fn state_field(inner: &PrinterInner) -> Value {
    let state = inner.machine.state();
    json!({"error": inner.machine.connection_error().error, "flags": state.flags(), "text": state.text()})
}

/// Time between two entries of the temperature history.
const HISTORY_STEP: Duration = Duration::from_secs(2);
/// Length of the temperature history, as in OctoPrint's defaults.
const HISTORY_LENGTH: Duration = Duration::from_secs(30 * 60);

/// `GET /api/printer`, without the parts in `exclude`. `history` is the maximum number of entries in the temperature
/// history, if it is requested.
pub fn printer_body(inner: &PrinterInner, now: Instant, exclude: &str, history: Option<usize>) -> Value {
    let excluded: Vec<&str> = exclude.split(',').map(str::trim).collect();
    let mut body = Map::new();
    if !excluded.contains(&"sd") {
        body.insert("sd".to_owned(), json!({"ready": true}));
    }
    if !excluded.contains(&"state") {
        body.insert("state".to_owned(), state_field(inner));
    }
    if !excluded.contains(&"temperature") {
        let [tool, bed] = inner
            .machine
            .temperatures(now)
            .map(|(actual, target)| json!({"actual": round_to_tenths(actual), "offset": 0, "target": target}));
        let mut temperature = json!({"bed": bed, "tool0": tool});
        if let Some(limit) = history {
            temperature["history"] = temperature_history(inner, now, limit);
        }
        body.insert("temperature".to_owned(), temperature);
    }
    Value::Object(body)
}

/// Returns the newest entries of the history, oldest first.
fn temperature_history(inner: &PrinterInner, now: Instant, limit: usize) -> Value {
    let steps =
        u32::try_from(limit).unwrap_or(u32::MAX).min(HISTORY_LENGTH.as_secs() as u32 / HISTORY_STEP.as_secs() as u32);
    let time = unix_seconds();
    let mut entries: Vec<Value> = (0..steps)
        .map_while(|n| {
            let ago = HISTORY_STEP * n;
            let [tool, bed] = inner
                .machine
                .past_temperatures(now.checked_sub(ago)?)?
                .map(|(actual, target)| json!({"actual": round_to_tenths(actual), "target": target}));
            Some(json!({"time": time - i64::try_from(ago.as_secs()).ok()?, "bed": bed, "tool0": tool}))
        })
        .collect();
    entries.reverse();
    entries.into()
}

fn round_to_tenths(degrees: f64) -> f64 {
    (degrees * 10.0).round() / 10.0
}

/// `GET /api/connection`.
pub fn connection_body(state: MachineState, flavor: Flavor) -> Value {
    let closed = matches!(state, MachineState::Offline | MachineState::OfflineAfterError);
    let (text, profile) = match (closed, flavor) {
        (true, Flavor::V1_11) => ("Closed", Some("_default")),
        (true, Flavor::V2_0) => ("Offline", None),
        (false, _) => (state.text(), Some("_default")),
    };
    json!({
        "current": {
            "baudrate": (!closed).then_some(115_200),
            "port": (!closed).then_some("VIRTUAL"),
            "printerProfile": profile,
            "state": text,
        },
        "options": {
            "baudratePreference": 115_200,
            "baudrates": [250_000, 230_400, 115_200, 57_600, 38_400, 19_200, 9_600],
            "portPreference": "VIRTUAL",
            "ports": ["/dev/ttyS0", "VIRTUAL"],
            "printerProfilePreference": "_default",
            "printerProfiles": [{"id": "_default", "name": "Default"}],
        },
    })
}

/// `GET /api/files`.
pub fn files_body(files: &FileStore, url: &str, flavor: Flavor, recursive: bool) -> Value {
    let listing = list_folder(files, "", url, flavor, recursive);
    json!({"files": listing, "free": 77_146_894_336_u64, "total": 270_553_174_016_u64})
}

/// Returns the content of a folder (`""` is the root).
fn list_folder(files: &FileStore, path: &str, url: &str, flavor: Flavor, recursive: bool) -> Vec<Value> {
    let is_here = |name: &&str| name.rsplit_once('/').map_or("", |(folder, _)| folder) == path;
    let folders = files.folders().filter(is_here).map(|name| folder_body(files, name, url, flavor, recursive));
    let entries = files.entries().filter(|(name, _)| is_here(name)).map(|(name, it)| file_body(name, it, url, flavor));
    folders.chain(entries).collect()
}

/// A folder in a listing. Only a recursive listing has `children`.
pub fn folder_body(files: &FileStore, path: &str, url: &str, flavor: Flavor, recursive: bool) -> Value {
    let below = format!("{path}/");
    let size: usize =
        files.entries().filter(|(name, _)| name.starts_with(&below)).map(|(_, it)| it.blob.bytes().len()).sum();
    let mut body = json!({
        "display": file_name(path), "name": file_name(path), "origin": "local", "path": path, "prints": null,
        "refs": {"resource": format!("{url}/api/files/local/{path}")},
        "size": size, "type": "folder", "typePath": ["folder"],
    });
    if let Some(body) = body.as_object_mut() {
        body.remove("prints");
        if recursive {
            body.insert("children".to_owned(), list_folder(files, path, url, flavor, recursive).into());
        }
    }
    body
}

/// A file in a listing.
pub fn file_body(path: &str, entry: &StoredFile, url: &str, flavor: Flavor) -> Value {
    let flat = json!({"depth": 0, "height": 0, "width": 0});
    let area = json!({"maxX": 0, "maxY": 0, "maxZ": 0, "minX": 0, "minY": 0, "minZ": 0});
    let mut body = json!({
        "date": entry.date,
        "display": file_name(path),
        "gcodeAnalysis": {
            "_empty": true, "dimensions": flat, "filament": {}, "printingArea": area,
            "travelArea": area, "travelDimensions": flat,
        },
        "name": file_name(path),
        "origin": "local",
        "path": path,
        "refs": file_refs(path, url),
        "size": entry.blob.bytes().len(),
        "type": "machinecode",
        "typePath": ["machinecode", "gcode"],
        "user": "admin",
    });
    let Some(fields) = body.as_object_mut() else { return body };
    if flavor == Flavor::V1_11 {
        fields.insert("hash".to_owned(), entry.blob.hash().into());
    }
    if let Some(userdata) = &entry.userdata {
        fields.insert("userdata".to_owned(), userdata.clone());
    }
    let prints = &entry.prints;
    if let Some((date, time)) = prints.last_print {
        let mut last = json!({"date": date, "success": time.is_some()});
        if let Some(last) = last.as_object_mut() {
            if let Some(time) = time {
                last.insert("printTime".to_owned(), time.into());
            }
            if flavor == Flavor::V2_0 {
                last.insert("printerProfile".to_owned(), "_default".into());
            }
        }
        let record = json!({"failure": prints.failure, "last": last, "success": prints.success});
        fields.insert("prints".to_owned(), record);
        let by_profile = |time: Option<f64>| time.map_or_else(|| json!({}), |time| json!({"_default": time}));
        let statistics = json!({
            "averagePrintTime": by_profile(prints.average_print_time()), "lastPrintTime": by_profile(prints.last_print_time),
        });
        fields.insert("statistics".to_owned(), statistics);
    }
    body
}

/// `refs` of a file.
pub fn file_refs(path: &str, url: &str) -> Value {
    json!({
        "download": format!("{url}/downloads/files/local/{path}"),
        "resource": format!("{url}/api/files/local/{path}"),
    })
}

/// `current` and `history` of the event socket, which hardly differ.
pub fn push_body(inner: &PrinterInner, flavor: Flavor, now: Instant) -> Value {
    let [tool, bed] = inner
        .machine
        .temperatures(now)
        .map(|(actual, target)| json!({"actual": round_to_tenths(actual), "target": target}));
    let time = unix_time();
    json!({
        "state": state_field(inner),
        "job": job_field(inner, flavor),
        "currentZ": null,
        "progress": progress_field(inner, now),
        "offsets": {},
        "resends": {"count": 0, "transmitted": 0, "ratio": 0},
        "serverTime": time,
        "temps": [{
            "time": time.floor(), "tool0": tool, "bed": bed, "chamber": {"actual": null, "target": null},
        }],
        "busyFiles": [],
        "markings": [],
        "logs": [],
        "messages": [],
    })
}

/// `webcam` of `GET /api/settings`. The stream is a relative URL. The snapshot is the URL on OctoPrint's host.
pub fn webcam_settings(url: &str) -> Value {
    let snapshot = format!("{url}/webcam/?action=snapshot");
    let stream = "/webcam/?action=stream";
    let ice = json!(["stun:stun.l.google.com:19302"]);
    json!({
        "bitrate": "10000k", "cacheBuster": false, "defaultWebcam": "classic", "ffmpegPath": null,
        "ffmpegThreads": 1, "ffmpegVideoCodec": "libx264", "flipH": false, "flipV": false,
        "renderAfterPrintDelay": 0, "rotate90": false, "snapshotSslValidation": true, "snapshotTimeout": 5,
        "snapshotUrl": snapshot, "snapshotWebcam": "classic", "streamRatio": "16:9", "streamTimeout": 5,
        "streamUrl": stream, "streamWebrtcIceServers": ice, "timelapseEnabled": true, "watermark": true,
        "webcamEnabled": true,
        "webcams": [{
            "canSnapshot": true,
            "compat": {
                "cacheBuster": false, "snapshot": snapshot, "snapshotSslValidation": true, "snapshotTimeout": 5,
                "stream": stream, "streamRatio": "16:9", "streamTimeout": 5, "streamWebrtcIceServers": ice,
            },
            "displayName": "Classic Webcam",
            "extras": {
                "cacheBuster": false, "stream": stream, "streamRatio": "16:9", "streamTimeout": 5,
                "streamWebrtcIceServers": ice,
            },
            "flipH": false, "flipV": false, "name": "classic", "provider": "classicwebcam", "rotate90": false,
            "snapshotDisplay": snapshot,
        }],
    })
}

/// Permissions of the simulated user, who may do everything.
pub const PERMISSIONS: [&str; 16] = [
    "ADMIN",
    "STATUS",
    "CONNECTION",
    "PRINT",
    "FILES_LIST",
    "FILES_UPLOAD",
    "FILES_DOWNLOAD",
    "FILES_DELETE",
    "FILES_SELECT",
    "CONTROL",
    "SETTINGS_READ",
    "SETTINGS",
    "WEBCAM",
    "TIMELAPSE_LIST",
    "MONITOR_TERMINAL",
    "GCODE_VIEWER",
];
