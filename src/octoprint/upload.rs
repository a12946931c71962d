//! Uploads of files. They are streamed, and limited by silence instead of their total time.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use http_body_util::BodyExt;
use reqwest::{Method, multipart};
use serde::Deserialize;
use tokio::{sync::watch, time::timeout};

use super::{
    Error, FilesClient, RequestOptions,
    files::RawFile,
    lenient::{Dict, Flag, Object},
    request::MAX_RESPONSE,
};
use crate::{
    domain::{printer_file::UploadResult, reading::LOCAL_ORIGIN},
    outbound,
};

/// An upload ends if the printer accepts no byte for this long.
const UPLOAD_SILENCE: Duration = Duration::from_secs(30);
/// The longest time for an upload, even if bytes are sent steadily.
const LONGEST_UPLOAD: Duration = Duration::from_secs(6 * 3_600);
/// The lowest rate at which OctoPrint stores a received file, in bytes per second.
const STORED_PER_S: u64 = 4 * 1024 * 1024;
/// Maximum size of the part of an upload that the operating system still buffers after the last byte was handed to it, in
/// bytes.
const MAX_BUFFERED: u64 = 4 * 1024 * 1024;

/// A file to be uploaded to a printer. It is streamed and never kept in memory.
#[derive(Debug)]
pub struct Upload {
    pub body: outbound::Body,
    /// Bytes. OctoPrint refuses an upload of unknown length (411, measured on 1.11.8). Its limit is 1 GB. Above that it closes
    /// the connection without a response, so check the length before.
    pub length: u64,
    /// OctoPrint changes some characters (it removes `&`, for example), so use the path in the response.
    pub filename: String,
    /// The target folder. OctoPrint creates it if needed. Empty: the top folder.
    pub folder: String,
    pub select: bool,
    /// Select and print it.
    pub print: bool,
    /// JSON text that the entry of the file returns (measured on 1.11.8 and 2.0.0rc7).
    pub userdata: Option<String>,
}

impl FilesClient<'_> {
    /// Uploads a file, and selects or prints it if requested (201). **Check [`effective_print`](UploadResult::effective_print)**:
    /// if the printer is offline or busy, the file is stored and not printed. A file with the same name is overwritten.
    /// Without a timeout in the options, the upload may take 6 hours while the printer accepts bytes. Needs the permission
    /// FILES_UPLOAD, and FILES_SELECT and PRINT to select and print.
    ///
    /// # Errors
    /// * [`Error::Silent`] if the printer accepts no byte for [`RequestOptions::silence`] (default: 30 s).
    /// * [`Error::Conflict`] if the file with that name is printing.
    /// * [`Error::Refused`] with 415 for an extension that OctoPrint does not print.
    /// * [`Error::Refused`] with 400, or [`Error::Lost`], for a file above OctoPrint's limit.
    pub async fn upload(self, upload: Upload, options: &RequestOptions) -> Result<UploadResult, Error> {
        let Upload { body, length, filename, folder, select, print, userdata } = upload;
        let silence = options.silence.unwrap_or(UPLOAD_SILENCE);
        // The response begins only after the content was sent, however long that takes.
        let timeout = options.timeout.unwrap_or(LONGEST_UPLOAD);
        let options = RequestOptions { timeout: Some(timeout), silence: None, ..options.clone() };
        let (progress, progress_receiver) = watch::channel(());
        let chunks = body.into_data_stream().inspect(move |_| {
            progress.send_replace(());
        });
        let body = outbound::Body::wrap_stream(chunks);
        let file = multipart::Part::stream_with_length(body, length);
        let mut form = multipart::Form::new();
        if !folder.is_empty() {
            form = form.text("path", folder);
        }
        if let Some(userdata) = userdata {
            form = form.text("userdata", userdata);
        }
        let form = form
            .text("select", select.to_string())
            .text("print", print.to_string())
            .part("file", file.file_name(filename));
        self.0.check_address()?;
        let request_parts =
            self.0.build_request(Method::POST, self.0.endpoint(&["api", "files", LOCAL_ORIGIN]), &options)?;
        let request = reqwest::RequestBuilder::from_parts(
            self.0.0.outbound.http_client().clone(),
            request_parts.into_general_request(),
        );
        let request = request.multipart(form).build().map_err(|error| Error::from_send(&error))?;
        let response = async {
            let body: UploadResponse =
                self.0.send_with_general_client(request, &options).await?.json(MAX_RESPONSE).await?;
            body.into_result()
        };
        await_upload(response, progress_receiver, silence, length).await
    }
}

/// Waits for the response to an upload while its content is sent, and then until OctoPrint has stored the file.
async fn await_upload(
    response: impl Future<Output = Result<UploadResult, Error>>,
    mut progress: watch::Receiver<()>,
    silence: Duration,
    length: u64,
) -> Result<UploadResult, Error> {
    let started = Instant::now();
    let mut response = pin!(response);
    loop {
        tokio::select! {
            answer = &mut response => return answer,
            change = timeout(silence, progress.changed()) => match change {
                Ok(Ok(())) => {}
                // The content was dropped after its last byte.
                Ok(Err(_)) => break,
                Err(_) => return Err(Error::Silent { after: silence }),
            },
        }
    }
    let stored_within = silence + Duration::from_secs(length / STORED_PER_S) + buffered_time(started.elapsed(), length);
    timeout(stored_within, response).await.map_err(|_| Error::Timeout { after: stored_within })?
}

/// Returns how long the operating system may still send, if it accepted the content within `elapsed`.
fn buffered_time(elapsed: Duration, length: u64) -> Duration {
    let percent = u32::try_from(100 * length.min(MAX_BUFFERED) / length.max(1)).unwrap_or(100);
    elapsed * percent / 100
}

/// The response to an upload.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UploadResponse {
    effective_select: Flag,
    effective_print: Flag,
    files: Dict<Object<RawFile>>,
}

impl UploadResponse {
    fn into_result(self) -> Result<UploadResult, Error> {
        let file = self.files.0.into_values().find_map(|entry| entry.0?.into_file());
        let file = file.ok_or_else(|| Error::protocol("cause-no-uploaded-file"))?;
        Ok(UploadResult {
            path: file.path,
            origin: file.origin,
            name: file.name,
            effective_select: self.effective_select.0.unwrap_or(false),
            effective_print: self.effective_print.0.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::sample;

    #[test]
    fn an_upload_result_distinguishes_selected_and_printed() {
        let print = sample::<UploadResponse>("upload-print").into_result().expect("uploaded");
        assert_eq!(print.path, "farm/batch1/job60.gcode");
        assert!(print.effective_print && !print.effective_select);
        let select = sample::<UploadResponse>("upload-select").into_result().expect("uploaded");
        assert!(!select.effective_print && select.effective_select);
    }

    #[tokio::test]
    async fn an_upload_is_limited_by_silence_and_not_by_its_length() {
        let silence = Duration::from_millis(50);
        let (_silent, receiver) = watch::channel(());
        let ended = await_upload(std::future::pending(), receiver, silence, 1).await;
        assert_eq!(ended, Err(Error::Silent { after: silence }));
        // All content was sent: OctoPrint stores it.
        let (all_taken, receiver) = watch::channel(());
        drop(all_taken);
        let ended = await_upload(std::future::pending(), receiver, silence, 1).await;
        assert!(matches!(ended, Err(Error::Timeout { after }) if after >= silence), "{ended:?}");
        // Takes far longer than the silence, but is never silent for that long.
        let (progress, receiver) = watch::channel(());
        let steady = async move {
            let started = Instant::now();
            while started.elapsed() < 4 * silence {
                progress.send_replace(());
                tokio::task::yield_now().await;
            }
            Err(Error::NotFound)
        };
        assert_eq!(await_upload(steady, receiver, silence, 1).await, Err(Error::NotFound));
    }

    #[test]
    fn buffered_data_gets_time_at_the_rate_of_the_rest() {
        let minute = Duration::from_secs(60);
        assert_eq!(buffered_time(minute, 1), minute);
        assert_eq!(buffered_time(minute, 10 * MAX_BUFFERED), minute / 10);
        assert_eq!(buffered_time(Duration::ZERO, 0), Duration::ZERO);
    }
}
