//! The files that an OctoPrint has: list, counters, upload, selection, removal.

use std::{collections::BTreeSet, pin::pin, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use reqwest::{Method, multipart};
use serde::Deserialize;
use tokio::{sync::watch, time::timeout};
use url::Url;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{Dict, Flag, List, Number, Object, Text},
    request::SMALL,
};
use crate::{domain::reading::LOCAL, outbound};

/// The largest list of files that is read, in bytes: about 40,000 entries of 1.11 with their analysis.
const LIST: usize = 64 * 1024 * 1024;

/// An upload fails when the printer takes nothing for this long.
const UPLOAD_SILENCE: Duration = Duration::from_secs(30);
/// An upload takes no longer, however steadily it goes.
const LONGEST_UPLOAD: Duration = Duration::from_secs(6 * 3_600);
/// How fast OctoPrint stores a file that it has received, at the least, in bytes per second.
const STORED_PER_S: u64 = 4 * 1024 * 1024;

/// The files of one OctoPrint instance; from [`OctoPrint::files`].
#[derive(Debug, Clone, Copy)]
pub struct FilesClient<'a>(pub(super) &'a OctoPrint);

/// A file as OctoPrint knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// With folders, separated by `/`. Together with `origin` the file's only identity.
    pub path: String,
    /// `local`, `sdcard` (1.x), `printer` (2.x).
    pub origin: String,
    /// The last part of the path.
    pub name: String,
    /// Bytes.
    pub size: Option<u64>,
    /// When OctoPrint got it.
    pub date: Option<DateTime<Utc>>,
    /// How often it was printed. Overwriting the file sets them to nothing (seen on 1.11.8).
    pub prints: Prints,
    /// Seconds, from OctoPrint's analysis, which comes up to 2 s after the upload, and waits while something prints.
    pub estimated_print_time_s: Option<f64>,
    /// The content's SHA-1 in hexadecimal: 1.11 only.
    pub hash: Option<String>,
}

/// How often a file was printed. A cancelled print counts as a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prints {
    /// Prints that came to their end.
    pub success: u64,
    /// Prints that failed or were cancelled.
    pub failure: u64,
}

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

/// What became of an upload.
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
    /// All files of all origins and folders, folders themselves and models left out. One request, up to 64 MB.
    /// Needs the permission FILES_LIST.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list(self, options: &RequestOptions) -> Result<Vec<FileEntry>, Error> {
        let mut url = self.0.endpoint(&["api", "files"]);
        url.query_pairs_mut().append_pair("recursive", "true");
        let body: Listing = self.0.get_json(url, LIST, options).await?;
        Ok(flattened(body.files.0))
    }

    /// One file, with its counters.
    ///
    /// # Errors
    /// [`Error::NotFound`], also when the path is a folder's.
    pub async fn get(self, path: &str, origin: &str, options: &RequestOptions) -> Result<FileEntry, Error> {
        let entry: Entry = self.0.get_json(self.url(path, origin)?, LIST, options).await?;
        if entry.is_folder() {
            return Err(Error::NotFound);
        }
        entry.file().ok_or_else(|| Error::protocol("what came does not describe a file"))
    }

    /// Uploads a file, and selects or prints it where that is asked for (201). **Look at
    /// [`effective_print`](Uploaded::effective_print)**: with the printer offline or busy the file is stored and not printed.
    /// A file of the same name is overwritten. Where the options set no timeout, it takes as long as the printer takes bytes.
    /// Needs the permission FILES_UPLOAD, and FILES_SELECT and PRINT for the rest.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the file of that name is printing; [`Error::Refused`] with 415 for an extension that
    /// OctoPrint does not print. A file over OctoPrint's limit: 400, or [`Error::Lost`].
    pub async fn upload(self, upload: Upload, options: &RequestOptions) -> Result<Uploaded, Error> {
        let Upload { body, length, filename, folder, select, print } = upload;
        let options = RequestOptions { timeout: Some(options.timeout.unwrap_or(LONGEST_UPLOAD)), ..options.clone() };
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
        while_it_moves(answer, seen, UPLOAD_SILENCE, UPLOAD_SILENCE + Duration::from_secs(length / STORED_PER_S)).await
    }

    /// Selects a file, and prints it where `print` says so (204: accepted). Needs the permission FILES_SELECT, and PRINT.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] "Printer is already printing, cannot select a new file", which 1.11.8 also
    /// says when it is merely offline. With `print`, when it [may have acted](Error::may_have_acted), a second one could
    /// print twice.
    pub async fn select(self, path: &str, origin: &str, print: bool, options: &RequestOptions) -> Result<(), Error> {
        let json: &[u8] =
            if print { br#"{"command":"select","print":true}"# } else { br#"{"command":"select","print":false}"# };
        self.0.post(self.url(path, origin)?, Bytes::from_static(json), options).await
    }

    /// Deletes a file. Deleting the selected one, when idle, deselects it. Needs the permission FILES_DELETE.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] while it prints.
    pub async fn delete(self, path: &str, origin: &str, options: &RequestOptions) -> Result<(), Error> {
        let call = self.0.call(Method::DELETE, self.url(path, origin)?, options)?;
        self.0.exchange(call, options).await?.nothing()
    }

    /// Each part of the path is percent-encoded by itself. Parts that would lead elsewhere (`..`) are refused, and so are
    /// control characters, which no file of OctoPrint has in its name.
    fn url(self, path: &str, origin: &str) -> Result<Url, Error> {
        let mut segments = vec!["api", "files", origin];
        segments.extend(path.split('/').filter(|part| !part.is_empty()));
        let leads_elsewhere = |part: &&str| matches!(*part, "." | "..") || part.contains(char::is_control);
        if segments.len() == 3 || origin.is_empty() || segments.iter().any(leads_elsewhere) {
            return Err(Error::Invalid { detail: format!("{origin}:{path} does not name a file") });
        }
        Ok(self.0.endpoint(&segments))
    }
}

/// Waits for the answer to an upload while its content is taken, and then for `stored_within`.
async fn while_it_moves(
    answer: impl Future<Output = Result<Uploaded, Error>>,
    mut seen: watch::Receiver<()>,
    silence: Duration,
    stored_within: Duration,
) -> Result<Uploaded, Error> {
    let mut answer = pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            moved = timeout(silence, seen.changed()) => match moved {
                Ok(Ok(())) => {}
                // The content was dropped after its last byte.
                Ok(Err(_)) => break,
                Err(_) => return Err(Error::Timeout { after: silence }),
            },
        }
    }
    timeout(stored_within, answer).await.map_err(|_| Error::Timeout { after: stored_within })?
}

/// `GET /api/files?recursive=true`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listing {
    files: List<Object<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    name: Text,
    path: Text,
    origin: Text,
    #[serde(rename = "type")]
    kind: Text,
    size: Number,
    date: Number,
    hash: Text,
    prints: Object<Counted>,
    #[serde(rename = "gcodeAnalysis")]
    analysis: Object<Analysis>,
    children: List<Object<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Counted {
    success: Number,
    failure: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Analysis {
    estimated_print_time: Number,
}

/// The answer to an upload.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UploadBody {
    effective_select: Flag,
    effective_print: Flag,
    files: Dict<Object<Entry>>,
}

impl Entry {
    fn is_folder(&self) -> bool {
        self.kind.0.as_deref() == Some("folder")
    }

    fn file(self) -> Option<FileEntry> {
        let path = self.path.filled()?;
        let last = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let prints = self.prints.0.unwrap_or_default();
        Some(FileEntry {
            name: self.name.filled().unwrap_or(last),
            origin: self.origin.filled().unwrap_or_else(|| LOCAL.to_owned()),
            size: self.size.count(),
            date: self.date.whole().and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            prints: Prints {
                success: prints.success.count().unwrap_or(0),
                failure: prints.failure.count().unwrap_or(0),
            },
            estimated_print_time_s: self.analysis.0.and_then(|analysis| analysis.estimated_print_time.0),
            hash: self.hash.filled(),
            path,
        })
    }
}

/// Walks the folders; a path that a strange server repeats within one origin is taken once.
fn flattened(entries: Vec<Object<Entry>>) -> Vec<FileEntry> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<Object<Entry>> = entries.into_iter().rev().collect();
    while let Some(entry) = open.pop() {
        let Some(mut entry) = entry.0 else { continue };
        open.extend(std::mem::take(&mut entry.children.0).into_iter().rev());
        if entry.is_folder() || entry.kind.0.as_deref() == Some("model") {
            continue;
        }
        let Some(file) = entry.file() else { continue };
        if seen.insert((file.origin.clone(), file.path.clone())) {
            files.push(file);
        }
    }
    files
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
    use crate::octoprint::testing::{client, sample};

    #[test]
    fn a_recursive_list_is_flattened() {
        let files = flattened(sample::<Listing>("files-recursive").files.0);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert!(paths.contains(&"farm/batch1/job60.gcode"), "{paths:?}");
        assert!(paths.contains(&"Ünï cödé  (1).gcode"), "{paths:?}");
        assert!(!paths.contains(&"farm"), "{paths:?}");
        let job2 = files.iter().find(|file| file.path == "job2.gcode").expect("job2");
        assert_eq!(job2.prints, Prints { success: 3, failure: 1 });
        assert_eq!(job2.size, Some(355));
        assert_eq!(
            flattened(sample::<Listing>("dev2-files-v1").files.0).first().map(|file| file.prints.success),
            Some(4)
        );
    }

    #[test]
    fn one_file_tells_its_counters_and_analysis() {
        let analysed = sample::<Entry>("file-analysed").file().expect("file");
        assert_eq!(analysed.estimated_print_time_s.map(f64::round), Some(798.0));
        let printed = sample::<Entry>("file-after-print").file().expect("file");
        assert_eq!(printed.prints, Prints { success: 4, failure: 1 });
        assert_eq!(printed.estimated_print_time_s, None);
    }

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
        let (silence, stored) = (Duration::from_millis(50), Duration::from_millis(60));
        let (_silent, seen) = watch::channel(());
        let ended = while_it_moves(std::future::pending(), seen, silence, stored).await;
        assert_eq!(ended, Err(Error::Timeout { after: silence }));
        // Everything is taken: OctoPrint stores it.
        let (all_taken, seen) = watch::channel(());
        drop(all_taken);
        let ended = while_it_moves(std::future::pending(), seen, silence, stored).await;
        assert_eq!(ended, Err(Error::Timeout { after: stored }));
        // Far longer than the silence, but never silent for so long.
        let (progress, seen) = watch::channel(());
        let steady = async move {
            let started = std::time::Instant::now();
            while started.elapsed() < 4 * silence {
                progress.send_replace(());
                tokio::task::yield_now().await;
            }
            Err(Error::NotFound)
        };
        assert_eq!(while_it_moves(steady, seen, silence, stored).await, Err(Error::NotFound));
    }

    #[test]
    fn a_path_is_encoded_part_by_part_and_cannot_lead_elsewhere() {
        let client = client("http://127.0.0.1/farm");
        let url = client.files().url("a b/50%?#.gcode", LOCAL).expect("url");
        assert_eq!(url.as_str(), "http://127.0.0.1/farm/api/files/local/a%20b/50%25%3F%23.gcode");
        for path in ["../job", "a/../../job", ".", "", "/", ".\n./.\t./job", "a\rb", "a\0b"] {
            assert!(matches!(client.files().url(path, LOCAL), Err(Error::Invalid { .. })), "{path}");
        }
    }
}
