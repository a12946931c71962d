//! Uploads to the library from the pages: one or several files in a form. Each file is stored as soon as it is received.

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    domain::{access::Role, file::normalize_folder, message::Message, validation::ValidationErrors},
    http::{
        api::problem::Problem,
        dashboard::{
            Dashboard, list_filters,
            page::{Failure, Visitor},
        },
        multipart::{FormReader, declared_length},
    },
    service::{Services, access::Principal, files::StoredFile},
};

/// Receives a form, and shows the file, or the folder of several files.
pub(in crate::http::dashboard) async fn upload(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    request: Request,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let (stored, folder) = receive_files(&dashboard.services, &who, request).await.map_err(Failure::from_problem)?;
    let shown = match stored.as_slice() {
        [one] => format!("/files/{}", one.file.id),
        _ => list_filters::href("/files", &[("folder", &folder)]),
    };
    Ok(Redirect::to(&shown).into_response())
}

/// Stores the files of a form. A folder before them is their folder.
async fn receive_files(
    services: &Services,
    who: &Principal,
    request: Request,
) -> Result<(Vec<StoredFile>, String), Problem> {
    let length = declared_length(&request);
    // A request that waits for a slot uses no memory and no disk.
    let mut slot = Some(services.admit_upload(who)?);
    let mut form = FormReader::open(request).await?;
    let (mut stored, mut folder) = (Vec::new(), String::new());
    while let Some(mut part) = form.next_part().await? {
        match part.name() {
            "folder" => folder = normalize_folder(&part.text().await?),
            // A browser sends a file without a name if the user chose none.
            "file" if part.raw_file_name().is_empty() => {}
            "file" => {
                let slot = match slot.take() {
                    Some(slot) => slot,
                    None => services.admit_upload(who)?,
                };
                let name = part.file_name()?;
                services.check_file_place(who, &folder, &name)?;
                let mut incoming = services.receive_file(slot, &name, length).await?;
                while let Some(chunk) = part.chunk().await? {
                    services.push_to_file(&mut incoming, chunk).await?;
                }
                stored.push(services.store_file(who, incoming.finish().await?, &folder, &name).await?);
            }
            other => return Err(unknown_field(other)),
        }
    }
    if stored.is_empty() {
        return Err(ValidationErrors::single("/file", "required", "rule-required").into());
    }
    Ok((stored, folder))
}

fn unknown_field(name: &str) -> Problem {
    let rule = Message::new("rule-unknown-field").with("known", "`file`, `folder`");
    ValidationErrors::single(format!("/{name}"), "unknown_field", rule).into()
}
