//! `POST /api/files/local`: files and folders, with OctoPrint's `effectiveSelect` and `effectivePrint`.

use axum::{
    Json,
    extract::Multipart,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    extract::{ErrorResponse, RequestPrinter},
    files::is_printing_path,
};
use crate::simulator::{
    bodies,
    files::{file_name, sanitise_name},
    machine::{JobCommand, MachineState, PushEvent},
};

/// Extensions that OctoPrint accepts as G-code.
const GCODE_EXTENSIONS: [&str; 3] = ["gcode", "gco", "g"];

/// Fields of the form.
#[derive(Default)]
struct UploadForm {
    file: Option<(String, Vec<u8>)>,
    folder: Option<String>,
    path: String,
    select: bool,
    print: bool,
    no_overwrite: bool,
    userdata: Option<Value>,
}

impl UploadForm {
    async fn from_multipart(mut multipart: Multipart) -> Result<Self, ErrorResponse> {
        let malformed = |_| ErrorResponse::new(400, "Malformed multipart body in request");
        let mut form = Self::default();
        while let Some(field) = multipart.next_field().await.map_err(malformed)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "file" {
                let filename = field.file_name().unwrap_or_default().to_owned();
                form.file = Some((filename, field.bytes().await.map_err(malformed)?.to_vec()));
                continue;
            }
            let text = field.text().await.map_err(malformed)?;
            let is_true = matches!(text.trim().to_lowercase().as_str(), "true" | "yes" | "y" | "1");
            match name.as_str() {
                "foldername" => form.folder = Some(text),
                "path" => form.path = text,
                "select" => form.select = is_true,
                "print" => form.print = is_true,
                "noOverwrite" => form.no_overwrite = is_true,
                "userdata" => {
                    let userdata = serde_json::from_str(&text);
                    form.userdata =
                        Some(userdata.map_err(|_| ErrorResponse::new(400, "userdata contains invalid JSON"))?);
                }
                _ => {}
            }
        }
        Ok(form)
    }
}

/// Handles an upload.
pub async fn upload_file(
    RequestPrinter(printer): RequestPrinter,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Response, ErrorResponse> {
    let missing_file = || ErrorResponse::new(400, "No file to upload and no folder to create");
    let form = UploadForm::from_multipart(multipart.map_err(|_| missing_file())?).await?;
    let folder = sanitise_folder(&form.path)?;
    let url = printer.url().to_owned();
    let Some((name, bytes)) = form.file else {
        let name = form.folder.filter(|name| !name.is_empty()).ok_or_else(missing_file)?;
        let path = join_path(&folder, &sanitise_folder(&name)?);
        printer.with_inner(|inner, _| inner.files.put_folder(&path));
        let created_folder = json!({
            "name": file_name(&path), "path": path, "origin": "local",
            "refs": {"resource": format!("{url}/api/files/local/{path}")},
        });
        return Ok(created_response(&url, &path, json!({"done": true, "folder": created_folder})));
    };
    // The name of a file may contain its folder.
    let (below, name) = name.rsplit_once('/').unwrap_or(("", &name));
    let name = sanitise_name(name);
    let path = join_path(&join_path(&folder, &sanitise_folder(below)?), &name);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default();
    if !GCODE_EXTENSIONS.contains(&extension.as_str()) {
        return Err(ErrorResponse::new(415, "Could not upload file, invalid type"));
    }
    let blob = printer.context().blobs.intern(bytes);
    let (selected, printing) = printer.with_inner(|inner, now| {
        if form.no_overwrite && inner.files.get(&path).is_some() {
            return Err(ErrorResponse::new(409, "File already exists and noOverwrite was set"));
        }
        if is_printing_path(inner, &path) {
            return Err(ErrorResponse::new(409, "Trying to overwrite file that is currently being printed"));
        }
        inner.files.put(&path, blob, form.userdata);
        let added = json!({"storage": "local", "name": name, "path": path, "type": ["machinecode", "gcode"]});
        inner.hub.publish(&PushEvent { kind: "FileAdded", payload: added });
        inner.hub.publish(&PushEvent { kind: "UpdatedFiles", payload: json!({"type": "printables"}) });
        // A selected file that is overwritten is selected again, because its bytes have changed.
        let is_reselected = inner.machine.selected().is_some_and(|file| file.path == path);
        let idle = inner.machine.state() == MachineState::Operational;
        if idle
            && (form.select || form.print || is_reselected)
            && let Some(file) = inner.files.to_selected(&path)
        {
            inner.machine.select(file);
        }
        if idle && form.print {
            let _ = inner.machine.run_command(JobCommand::Start, now);
        }
        // Measured: if `print` has an effect, `effectiveSelect` is false.
        Ok((idle && form.select && !form.print, idle && form.print))
    })?;
    let file = json!({"name": name, "origin": "local", "path": path, "refs": bodies::file_refs(&path, &url)});
    let body = json!({
        "done": true, "effectivePrint": printing, "effectiveSelect": selected, "files": {"local": file},
    });
    Ok(created_response(&url, &path, body))
}

fn created_response(url: &str, path: &str, body: Value) -> Response {
    let location: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let location = location.replace("%2F", "/").replace('+', "%20");
    (StatusCode::CREATED, [(header::LOCATION, format!("{url}/api/files/local/{location}"))], Json(body)).into_response()
}

fn join_path(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

fn sanitise_folder(path: &str) -> Result<String, ErrorResponse> {
    let parts: Vec<&str> = path.split('/').map(str::trim).filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(ErrorResponse::new(400, "Invalid path"));
    }
    Ok(parts.into_iter().map(sanitise_name).collect::<Vec<_>>().join("/"))
}
