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
    files::Entry,
    lenient::{Dict, Flag, Object},
    request::SMALL,
};
use crate::{domain::reading::LOCAL, outbound};

/// An upload ends if the printer accepts no byte for this long.
const UPLOAD_SILENCE: Duration = Duration::from_secs(30);
/// The longest time for an upload, even if bytes are sent steadily.
const LONGEST_UPLOAD: Duration = Duration::from_secs(6 * 3_600);
/// The lowest rate at which OctoPrint stores a received file, in bytes per second.
const STORED_PER_S: u64 = 4 * 1024 * 1024;
/// Maximum size of the part of an upload that the operating system still buffers after the last byte was handed to it, in
/// bytes.
const BUFFERED: u64 = 4 * 1024 * 1024;

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
}

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The path that OctoPrint gave the file.
    pub path: String,
    /// Where the file is stored, for example `local`.
    pub origin: String,
    /// The last part of the path.
    pub name: String,
    /// The file is selected now. (On 1.11.8 this is `false` if a print was requested and has started.)
    pub effective_select: bool,
    /// The file prints now. **If the printer was offline, printing or paused, this is `false`, but the upload still
    /// succeeds.**
    pub effective_print: bool,
}

impl FilesClient<'_> {
    /// Uploads a file, and selects or prints it if requested (201). **Check [`effective_print`](Uploaded::effective_print)**:
    /// if the printer is offline or busy, the file is stored and not printed. A file with the same name is overwritten.
    /// Without a timeout in the options, the upload may take 6 hours while the printer accepts bytes. Needs the permission
    /// FILES_UPLOAD, and FILES_SELECT and PRINT to select and print.
    ///
    /// # Errors
    /// * [`Error::Silent`] if the printer accepts no byte for [`RequestOptions::silence`] (default: 30 s).
    /// * [`Error::Conflict`] if the file with that name is printing.
    /// * [`Error::Refused`] with 415 for an extension that OctoPrint does not print.
    /// * [`Error::Refused`] with 400, or [`Error::Lost`], for a file above OctoPrint's limit.
    pub async fn upload(self, upload: Upload, options: &RequestOptions) -> Result<Uploaded, Error> {
        let Upload { body, length, filename, folder, select, print } = upload;
        let silence = options.silence.unwrap_or(UPLOAD_SILENCE);
        // The response begins only after the content was sent, however long that takes.
        let timeout = options.timeout.unwrap_or(LONGEST_UPLOAD);
        let options = RequestOptions { timeout: Some(timeout), silence: None, ..options.clone() };
        let (progress, seen) = watch::channel(());
        let pieces = body.into_data_stream().inspect(move |_| {
            progress.send_replace(());
        });
        let body = outbound::Body::wrap_stream(pieces);
        let file = multipart::Part::stream_with_length(body, length);
        let mut form = multipart::Form::new();
        if !folder.is_empty() {
            form = form.text("path", folder);
        }
        let form = form
            .text("select", select.to_string())
            .text("print", print.to_string())
            .part("file", file.file_name(filename));
        self.0.check_address()?;
        let call = self.0.call(Method::POST, self.0.endpoint(&["api", "files", LOCAL]), &options)?;
        let request = reqwest::RequestBuilder::from_parts(self.0.0.outbound.http().clone(), call.apart());
        let request = request.multipart(form).build().map_err(|error| Error::from_send(&error))?;
        let answer = async {
            let body: UploadBody = self.0.exchange_apart(request, &options).await?.json(SMALL).await?;
            body.uploaded()
        };
        while_it_moves(answer, seen, silence, length).await
    }
}

/// Waits for the response to an upload while its content is sent, and then until OctoPrint has stored the file.
async fn while_it_moves(
    answer: impl Future<Output = Result<Uploaded, Error>>,
    mut seen: watch::Receiver<()>,
    silence: Duration,
    length: u64,
) -> Result<Uploaded, Error> {
    let begun = Instant::now();
    let mut answer = pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            moved = timeout(silence, seen.changed()) => match moved {
                Ok(Ok(())) => {}
                // The content was dropped after its last byte.
                Ok(Err(_)) => break,
                Err(_) => return Err(Error::Silent { after: silence }),
            },
        }
    }
    let stored_within = silence + Duration::from_secs(length / STORED_PER_S) + buffered(begun.elapsed(), length);
    timeout(stored_within, answer).await.map_err(|_| Error::Timeout { after: stored_within })?
}

/// Returns how long the operating system may still send, if it accepted the content within `elapsed`.
fn buffered(elapsed: Duration, length: u64) -> Duration {
    let percent = u32::try_from(100 * length.min(BUFFERED) / length.max(1)).unwrap_or(100);
    elapsed * percent / 100
}

/// The response to an upload.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UploadBody {
    effective_select: Flag,
    effective_print: Flag,
    files: Dict<Object<Entry>>,
}

impl UploadBody {
    fn uploaded(self) -> Result<Uploaded, Error> {
        let file = self.files.0.into_values().find_map(|entry| entry.0?.file());
        let file = file.ok_or_else(|| Error::protocol("the answer to the upload names no file"))?;
        Ok(Uploaded {
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
    fn an_upload_tells_what_took_effect() {
        let print = sample::<UploadBody>("upload-print").uploaded().expect("uploaded");
        assert_eq!(print.path, "farm/batch1/job60.gcode");
        assert!(print.effective_print && !print.effective_select);
        let select = sample::<UploadBody>("upload-select").uploaded().expect("uploaded");
        assert!(!select.effective_print && select.effective_select);
    }

    #[tokio::test]
    async fn an_upload_ends_by_silence_and_not_by_its_length() {
        let silence = Duration::from_millis(50);
        let (_silent, seen) = watch::channel(());
        let ended = while_it_moves(std::future::pending(), seen, silence, 1).await;
        assert_eq!(ended, Err(Error::Silent { after: silence }));
        // All content was sent: OctoPrint stores it.
        let (all_taken, seen) = watch::channel(());
        drop(all_taken);
        let ended = while_it_moves(std::future::pending(), seen, silence, 1).await;
        assert!(matches!(ended, Err(Error::Timeout { after }) if after >= silence), "{ended:?}");
        // Takes far longer than the silence, but is never silent for that long.
        let (progress, seen) = watch::channel(());
        let steady = async move {
            let started = Instant::now();
            while started.elapsed() < 4 * silence {
                progress.send_replace(());
                tokio::task::yield_now().await;
            }
            Err(Error::NotFound)
        };
        assert_eq!(while_it_moves(steady, seen, silence, 1).await, Err(Error::NotFound));
    }

    #[test]
    fn what_is_buffered_of_an_upload_is_waited_for_at_the_rate_of_the_rest() {
        let minute = Duration::from_secs(60);
        assert_eq!(buffered(minute, 1), minute);
        assert_eq!(buffered(minute, 10 * BUFFERED), minute / 10);
        assert_eq!(buffered(Duration::ZERO, 0), Duration::ZERO);
    }
}
