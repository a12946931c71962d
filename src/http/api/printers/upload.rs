//! Uploads of files to a printer: received to disk, then streamed to the printer.
//!
//! OctoPrint accepts an upload only with its length (measured on 1.11.8: 411 `Length Required` for a chunked one). The
//! length of a form's file is known only at the end of the form. Nothing is sent to the printer before the whole form
//! is read and validated.

use axum::extract::Request;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    fs::File,
    io::{AsyncSeekExt, AsyncWriteExt},
};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        file::MAX_FILE_BYTES,
        message::Message,
        printer_file::is_folder,
        validation::{ValidationErrors, check_line},
    },
    http::{
        api::problem::Problem,
        messages::{t, text_of},
        multipart::{FormPart, FormReader},
    },
    service::{Error, Services, access::Principal, printer_files::Upload, uploads::UploadSlot},
};

/// The form of an upload.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes the form for the document; the parts are read one by one")]
pub struct UploadForm {
    /// The content, with a file name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Folder on the printer, created if needed. Empty or absent: the top folder.
    path: Option<String>,
    /// Select the file after the upload: `true` or `false`.
    select: Option<bool>,
}

/// The uploaded file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Uploaded, example = json!({"path": "parts/bracket.gcode", "origin": "local", "size": 1048576}))]
pub struct UploadedBody {
    /// The path that OctoPrint gave it. May differ from the requested path.
    path: String,
    origin: String,
    /// Bytes.
    size: u64,
}

/// The options of an upload.
#[derive(Debug, Default)]
pub struct UploadOptions {
    pub folder: Option<String>,
    pub select: Option<bool>,
}

impl UploadOptions {
    /// Reads one of the text parts.
    async fn read_part(&mut self, part: FormPart<'_>) -> Result<(), Problem> {
        let name = part.name().to_owned();
        let text = part.text().await?;
        let pointer = format!("/{name}");
        match name.as_str() {
            "path" if self.folder.is_none() => {
                let mut invalid = ValidationErrors::default();
                check_line(&mut invalid, "/path", &text, 0, 1_000);
                if !is_folder(&text) {
                    invalid.add("/path", "path", "rule-folder-path");
                }
                invalid.into_result(())?;
                self.folder = Some(text);
            }
            "select" if self.select.is_none() => {
                let value = text.parse().map_err(|_| ValidationErrors::single("/select", "type", "rule-boolean"))?;
                self.select = Some(value);
            }
            "path" | "select" => return Err(ValidationErrors::single(pointer, "duplicate_field", "rule-once").into()),
            _ => {
                let rule = Message::new("rule-unknown-field").with("known", "`file`, `path`, `select`");
                return Err(ValidationErrors::single(pointer, "unknown_field", rule).into());
            }
        }
        Ok(())
    }
}

/// Receives a form and uploads its file to the printer.
pub async fn receive_upload(
    services: &Services,
    who: &Principal,
    id: Uuid,
    mut options: UploadOptions,
    request: Request,
) -> Result<UploadedBody, Problem> {
    if options.folder.as_deref().is_some_and(|folder| !is_folder(folder)) {
        let rule = text_of(&Message::new("rule-folder-path"));
        return Err(Problem::bad_query(vec![("path".to_owned(), "path", rule)]));
    }
    // Checks before the body is read. A request that waits for a slot uses no memory and no disk.
    let mut slot = Some(services.admit_upload(who)?);
    let mut form = FormReader::open(request).await?;
    let mut file: Option<IncomingFile> = None;
    while let Some(mut part) = form.next_part().await? {
        if part.name() != "file" {
            options.read_part(part).await?;
            continue;
        }
        let Some(slot) = slot.take() else {
            return Err(ValidationErrors::single("/file", "duplicate_field", "rule-once").into());
        };
        let mut incoming = IncomingFile::new(part.file_name()?, slot).await?;
        while let Some(chunk) = part.chunk().await? {
            incoming.push(chunk).await?;
        }
        file = Some(incoming);
    }
    match file {
        Some(incoming) => incoming.send_to_printer(services, who, id, options).await,
        None => Err(ValidationErrors::single("/file", "required", "rule-required").into()),
    }
}

/// A file that is being received.
struct IncomingFile {
    size: u64,
    file: File,
    filename: String,
    slot: UploadSlot,
}

impl IncomingFile {
    async fn new(filename: String, slot: UploadSlot) -> Result<Self, Problem> {
        let file = slot.create().await.map_err(|error| disk_error(&error))?;
        Ok(Self { size: 0, file, filename, slot })
    }

    /// Appends a chunk.
    async fn push(&mut self, chunk: Bytes) -> Result<(), Problem> {
        let bytes = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.size += bytes;
        if self.size > MAX_FILE_BYTES {
            return Err(Problem::too_large(t("refusal-file-too-large")));
        }
        self.slot.reserve(bytes)?;
        self.file.write_all(&chunk).await.map_err(|error| disk_error(&error))
    }

    /// Uploads the file to the printer, after the form was read to its end.
    async fn send_to_printer(
        mut self,
        services: &Services,
        who: &Principal,
        id: Uuid,
        options: UploadOptions,
    ) -> Result<UploadedBody, Problem> {
        self.file.flush().await.map_err(|error| disk_error(&error))?;
        self.file.rewind().await.map_err(|error| disk_error(&error))?;
        let upload = Upload {
            file: self.file,
            length: self.size,
            filename: self.filename,
            folder: options.folder.unwrap_or_default(),
            select: options.select.unwrap_or(false),
        };
        let uploaded = services.upload_file(who, id, upload).await?;
        Ok(UploadedBody { path: uploaded.path, origin: uploaded.origin, size: self.size })
    }
}

fn disk_error(error: &std::io::Error) -> Problem {
    Error::Internal(format!("an upload cannot be kept on disk: {error}")).into()
}
