//! Forms with files (`multipart/form-data`), read part by part with bounded memory and deadlines.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{StatusCode, header},
};
use bytes::Bytes;

use super::metered_body::{HeaderMeter, MeteredBody};
use crate::{
    domain::{
        message::Message,
        validation::{ValidationErrors, check_line},
    },
    http::api::{problem::Problem, request::extract::body_timeout},
};

/// The longest text of a part that is not a file, in bytes.
const MAX_TEXT_BYTES: usize = 4_096;
/// A client that sends nothing for this long is disconnected.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// A form that is being read.
pub struct FormReader {
    form: Multipart,
    meter: HeaderMeter,
}

/// One part of a form. Drop it before the next part is read.
pub struct FormPart<'a> {
    field: Field<'a>,
    meter: HeaderMeter,
}

/// Returns the length of a request, in bytes, if its client declared it.
pub fn declared_length(request: &Request) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl FormReader {
    /// Starts to read the body of a request. Fails with 415 if it is no form.
    pub async fn open(request: Request) -> Result<Self, Problem> {
        let meter = HeaderMeter::default();
        let request = request.map(|body| Body::from_stream(MeteredBody::new(body, meter.clone())));
        let form = Multipart::from_request(request, &()).await.map_err(|_| {
            let detail = "The body must be sent as multipart/form-data, with a boundary.";
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
        })?;
        Ok(Self { form, meter })
    }

    /// Returns the next part. `None`: the form has come to its end.
    pub async fn next_part(&mut self) -> Result<Option<FormPart<'_>>, Problem> {
        self.meter.start_counting();
        let field = with_timeout(self.form.next_field()).await?;
        self.meter.stop_counting();
        Ok(field.map(|field| FormPart { field, meter: self.meter.clone() }))
    }
}

impl FormPart<'_> {
    /// Returns the name of the part.
    pub fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// Returns the file name, as the client sent it.
    pub fn raw_file_name(&self) -> &str {
        self.field.file_name().unwrap_or_default()
    }

    /// Returns the name of the file without folders. Browsers and curl send a quotation mark as `%22`.
    pub fn file_name(&self) -> Result<String, Problem> {
        let name = self.raw_file_name().replace("%22", "\"");
        let name = last_path_part(&name);
        let mut invalid = ValidationErrors::default();
        check_line(&mut invalid, "/file", name, 1, 255);
        if matches!(name, "." | "..") {
            invalid.add("/file", "filename", "rule-file-name");
        }
        invalid.into_result(name.to_owned()).map_err(Problem::from)
    }

    /// Returns the next bytes of the part. `None`: the part has come to its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = with_timeout(self.field.chunk()).await?;
        if chunk.is_none() {
            self.meter.start_counting();
        }
        Ok(chunk)
    }

    /// Reads the part as a short text.
    pub async fn text(mut self) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > MAX_TEXT_BYTES {
                let rule = Message::new("rule-max-bytes").with("max", MAX_TEXT_BYTES);
                return Err(ValidationErrors::single(format!("/{}", self.name()), "length", rule).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        let not_utf8 = |_| Problem::malformed("malformed_multipart", "A part of the form is not UTF-8.");
        String::from_utf8(bytes).map_err(not_utf8)
    }
}

/// Returns the part of a path after its last separator. Clients on Windows send backslashes.
pub fn last_path_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default().trim()
}

/// Waits for the next piece of a form, up to [`CLIENT_TIMEOUT`].
async fn with_timeout<T>(piece: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
    let piece = tokio::time::timeout(CLIENT_TIMEOUT, piece).await.map_err(|_| body_timeout())?;
    piece.map_err(|_| {
        Problem::malformed("malformed_multipart", "The form is not multipart/form-data, or did not come to its end.")
    })
}
