//! Uploads to the library: written, hashed and analysed while the form arrives.

use axum::extract::Request;

use crate::{
    domain::{file::normalize_folder, message::Message, validation::ValidationErrors},
    http::{
        api::problem::Problem,
        multipart::{FormReader, declared_length},
    },
    service::{
        Services,
        access::Principal,
        files::{IncomingFile, ReceivedContent},
    },
};

/// A file that was received whole.
pub(super) struct ReceivedFile {
    pub content: ReceivedContent,
    pub folder: String,
    pub name: String,
}

/// Receives a form. `folder` replaces the part of the form.
pub(super) async fn receive_form(
    services: &Services,
    who: &Principal,
    folder: Option<String>,
    request: Request,
) -> Result<ReceivedFile, Problem> {
    // Checks before the body is read. A request that waits for a slot uses no memory and no disk.
    let mut slot = Some(services.admit_upload(who)?);
    let mut folder = folder.map(|folder| normalize_folder(&folder));
    services.check_file_place(who, folder.as_deref().unwrap_or_default(), "name")?;
    let length = declared_length(&request);
    let mut form = FormReader::open(request).await?;
    let mut received: Option<(IncomingFile, String)> = None;
    while let Some(mut part) = form.next_part().await? {
        match part.name() {
            "file" => {
                let Some(slot) = slot.take() else {
                    return Err(ValidationErrors::single("/file", "duplicate_field", "rule-once").into());
                };
                let name = part.file_name()?;
                let mut incoming = services.receive_file(slot, &name, length).await?;
                while let Some(chunk) = part.chunk().await? {
                    services.push_to_file(&mut incoming, chunk).await?;
                }
                received = Some((incoming, name));
            }
            "folder" if folder.is_none() => folder = Some(normalize_folder(&part.text().await?)),
            "folder" => return Err(ValidationErrors::single("/folder", "duplicate_field", "rule-once").into()),
            other => {
                let rule = Message::new("rule-unknown-field").with("known", "`file`, `folder`");
                return Err(ValidationErrors::single(format!("/{other}"), "unknown_field", rule).into());
            }
        }
    }
    let Some((incoming, name)) = received else {
        return Err(ValidationErrors::single("/file", "required", "rule-required").into());
    };
    Ok(ReceivedFile { content: incoming.finish().await?, folder: folder.unwrap_or_default(), name })
}
