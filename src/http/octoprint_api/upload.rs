//! Uploads of slicers, and the commands that slicers send for an uploaded file.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{destination::Upload, links::Links};
use crate::{
    domain::file::{LibraryFile, normalize_folder},
    http::{
        api::{
            problem::Problem,
            request::extract::{PathParams, read_json_body},
        },
        messages::text_of,
        multipart::{FormPart, FormReader, declared_length, last_path_part},
    },
    service::{Error, Services, access::Principal, files::IncomingFile, orders::CreatedOrder, printers::PrinterView},
};

/// Words that OctoPrint reads as true in a form.
const TRUE_WORDS: [&str; 4] = ["true", "yes", "y", "1"];
/// Bytes of an unknown field of a form that are read and ignored.
const MAX_IGNORED_BYTES: usize = 1024 * 1024;

/// A form that was received whole.
struct ReceivedForm {
    file: IncomingFile,
    name: String,
    folder: String,
    /// The form asks for a print of the file.
    is_for_print: bool,
    /// The form asks for a selection of the file.
    is_for_selection: bool,
}

/// Stores the file of a form in the library. With `print`, an order of one copy is made for the destination. With `print` or
/// `select`, a printer that the planner may not start also gets the file and selects it.
pub(super) async fn upload_file(
    Upload { who, destination }: Upload,
    links: Links,
    State(services): State<Services>,
    request: Request,
) -> Result<Response, Problem> {
    let form = receive_form(&services, &who, request).await?;
    let received = form.file.finish().await?;
    let stored = services.store_file(&who, received, &form.folder, &form.name).await.map_err(refusal_of)?;
    let file = stored.file;
    let target = destination.print_target().filter(|_| form.is_for_print);
    let order = match target {
        Some(target) => match services.order_one_copy(&who, &file, target).await {
            // Nobody knows for which printers the file is. The chosen printer still gets it.
            Err(Error::Unprocessable { code: "models_required", .. }) if destination.printer().is_some() => None,
            made => Some(made?),
        },
        None => None,
    };
    let is_wanted = form.is_for_print || form.is_for_selection;
    let by_hand = |view: &&PrinterView| is_wanted && (order.is_none() || !view.printer.details.production.auto);
    let selected_on = destination.printer().filter(by_hand);
    if let Some(view) = selected_on {
        services.send_to_printer(&who, &file, view.printer.id, true).await?;
    }
    let location = links.file(&file.path());
    let body = json!({
        "done": true,
        "effectiveSelect": false,
        "effectivePrint": false,
        "files": {"local": {
            "name": file.name,
            "display": file.name,
            "path": file.path(),
            "origin": "local",
            "refs": {"resource": location},
        }},
        "message": result_sentence(&file, order.as_ref(), selected_on),
    });
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(body)).into_response())
}

/// Executes a command for a file of the library. `select` sends the file to a printer and selects it there. `print` in
/// it is ignored. `unselect` does nothing.
pub(super) async fn select_file(
    Upload { who, destination }: Upload,
    path: PathParams,
    State(services): State<Services>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let body = read_json_body(request).await?;
    let body: Value = serde_json::from_slice(&body)
        .map_err(|_| Problem::malformed("malformed_json", "The body of the request is not JSON."))?;
    let (folder, name) = path.get("path").rsplit_once('/').unwrap_or(("", path.get("path")));
    let file = services.file_by_name(&who, folder, name).await?;
    match body["command"].as_str() {
        Some("select") => {
            if let Some(view) = destination.printer() {
                services.send_to_printer(&who, &file, view.printer.id, true).await?;
            }
        }
        Some("unselect") => {}
        _ => return Err(Problem::malformed("unknown_command", "Printyard knows only the command select for files.")),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Receives the form of an upload, with its fields in any order. Everything that the headers show is checked before the
/// body is read: with `Expect: 100-continue`, a refused client sends no body.
async fn receive_form(services: &Services, who: &Principal, request: Request) -> Result<ReceivedForm, Problem> {
    let mut slot = Some(services.admit_upload(who)?);
    let length = declared_length(&request);
    services.check_library_space(length).await?;
    let mut form = FormReader::open(request).await?;
    let mut received: Option<(IncomingFile, String)> = None;
    let (mut folder, mut is_for_print, mut is_for_selection) = (String::new(), false, false);
    while let Some(mut part) = form.next_part().await? {
        match part.name() {
            "file" => {
                let Some(slot) = slot.take() else {
                    return Err(Problem::malformed("duplicate_field", "Upload one file at a time."));
                };
                let name = file_name(&part);
                services.check_file_place(who, &folder, &name).map_err(refusal_of)?;
                let mut incoming = services.receive_file(slot, &name, length).await?;
                while let Some(chunk) = part.chunk().await? {
                    services.push_to_file(&mut incoming, chunk).await?;
                }
                received = Some((incoming, name));
            }
            "path" => {
                folder = normalize_folder(&part.text().await?);
                services.check_file_place(who, &folder, "name").map_err(refusal_of)?;
            }
            "print" => is_for_print |= is_true(&part.text().await?),
            "select" => is_for_selection |= is_true(&part.text().await?),
            _ => ignore(part).await?,
        }
    }
    match received {
        Some((file, name)) => Ok(ReceivedForm { file, name, folder, is_for_print, is_for_selection }),
        None => Err(Problem::malformed("file_missing", "The form has no file. Upload a G-code file.")),
    }
}

/// Returns the name of the file without folders. Slicers send a quotation mark as `%22`, and no other character
/// percent-encoded.
fn file_name(part: &FormPart<'_>) -> String {
    last_path_part(&part.raw_file_name().replace("%22", "\"")).to_owned()
}

fn is_true(text: &str) -> bool {
    TRUE_WORDS.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// Reads a field without a meaning for Printyard, such as `plateindex`.
async fn ignore(mut part: FormPart<'_>) -> Result<(), Problem> {
    let mut length = 0;
    while let Some(chunk) = part.chunk().await? {
        length += chunk.len();
        if length > MAX_IGNORED_BYTES {
            let detail = format!("The field {} of the form is too large.", part.name());
            return Err(Problem::too_large(detail));
        }
    }
    Ok(())
}

/// Returns the problem of an error. A broken rule becomes one sentence about the name or the folder, with 400 as from
/// OctoPrint.
fn refusal_of(error: Error) -> Problem {
    let Error::Invalid(invalid) = &error else { return error.into() };
    let Some(first) = invalid.0.first() else { return error.into() };
    let field = if first.pointer == "/folder" { "The folder" } else { "The file name" };
    Problem::malformed("invalid_input", format!("{field} {}.", text_of(&first.detail)))
}

/// Returns what happened to an upload.
fn result_sentence(file: &LibraryFile, order: Option<&CreatedOrder>, selected_on: Option<&PrinterView>) -> String {
    let mut text = format!("Stored in the library as {}.", file.path());
    match order.map(|order| order.feasibility.printers) {
        Some(0) => {
            text.push_str(" An order of one copy was made. No printer can make it yet: the page of the order says why.")
        }
        Some(1) => text.push_str(" An order of one copy was made. 1 printer can make it."),
        Some(n) => text.push_str(&format!(" An order of one copy was made. {n} printers can make it.")),
        None => {}
    }
    if let Some(view) = selected_on {
        let name = &view.printer.details.name;
        text.push_str(&format!(" The printer {name} gets the file and selects it when it is idle."));
    }
    text.push_str(" Nothing was started.");
    text
}
