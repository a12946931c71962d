//! Uploads of files: streamed, and limited by silence instead of by their length.

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

/// An upload ends when the printer takes no byte for this long.
const UPLOAD_SILENCE: Duration = Duration::from_secs(30);
/// An upload takes no longer, however steadily it goes.
const LONGEST_UPLOAD: Duration = Duration::from_secs(6 * 3_600);
/// How fast OctoPrint stores a file that it has received, at the least, in bytes per second.
const STORED_PER_S: u64 = 4 * 1024 * 1024;
/// What the operating system keeps of an upload, at most, when its last byte was handed over, in bytes.
const BUFFERED: u64 = 4 * 1024 * 1024;

/// A file on its way to a printer. It is streamed: nothing is kept in memory.
#[derive(Debug)]
pub struct Upload {
    /// The content.
    pub body: outbound::Body,
    /// Bytes. OctoPrint refuses an upload of unknown length (411 on 1.11.8, measured); its limit is 1 GB, and over it the
    /// connection breaks without a word: check before.
    pub length: u64,
    /// OctoPrint makes it tame (`&` goes, for one), so use the path that comes back.
    pub filename: String,
    /// Where to; made as needed. Empty: the top.
    pub folder: String,
    /// Select it.
    pub select: bool,
    /// Select and print it.
    pub print: bool,
}

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The path that OctoPrint gave it.
    pub path: String,
    /// Where it is.
    pub origin: String,
    /// The last part of the path.
    pub name: String,
    /// It is selected now. (`false` when it was asked to print and does: 1.11.8.)
    pub effective_select: bool,
    /// It prints now. **`false`, with success all the same, when the printer was offline, printing or paused.**
    pub effective_print: bool,
}

impl FilesClient<'_> {
    /// Uploads a file, and selects or prints it where that is asked for (201). **Look at
    /// [`effective_print`](Uploaded::effective_print)**: with the printer offline or busy the file is stored and not printed.
    /// A file of the same name is overwritten. Where the options set no timeout, it takes as long as the printer takes bytes.
    /// Needs the permission FILES_UPLOAD, and FILES_SELECT and PRINT for the rest.
    ///
    /// # Errors
    /// [`Error::Silent`] when the printer takes no byte for [`RequestOptions::silence`] (without it: 30 s).
    /// [`Error::Conflict`] when the file of that name is printing; [`Error::Refused`] with 415 for an extension that
    /// OctoPrint does not print. A file over OctoPrint's limit: 400, or [`Error::Lost`].
    pub async fn upload(self, upload: Upload, options: &RequestOptions) -> Result<Uploaded, Error> {
        let Upload { body, length, filename, folder, select, print } = upload;
        let silence = options.silence.unwrap_or(UPLOAD_SILENCE);
        // The reply begins after the content, however long that takes.
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

/// Waits for the answer to an upload while its content is taken, and then until OctoPrint has stored it.
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

/// How long the operating system still sends, after so much of the content was handed over within so long.
fn buffered(elapsed: Duration, length: u64) -> Duration {
    let percent = u32::try_from(100 * length.min(BUFFERED) / length.max(1)).unwrap_or(100);
    elapsed * percent / 100
}

/// The answer to an upload.
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
        // Everything is taken: OctoPrint stores it.
        let (all_taken, seen) = watch::channel(());
        drop(all_taken);
        let ended = while_it_moves(std::future::pending(), seen, silence, 1).await;
        assert!(matches!(ended, Err(Error::Timeout { after }) if after >= silence), "{ended:?}");
        // Far longer than the silence, but never silent for so long.
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
