//! The files of an OctoPrint instance: list, print counters, selection and deletion.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{List, Number, Object, Text},
};
use crate::domain::{
    message::Message,
    printer_file::{FileEntry, PrintCounts},
    reading::LOCAL_ORIGIN,
};

/// The largest list of files that is read, in bytes: about 40,000 entries of 1.11 with their analysis.
const MAX_LIST: usize = 64 * 1024 * 1024;
/// Reading a list ends when no byte arrives for this long. OctoPrint sends the first byte when the list is complete: that took
/// 14 s for 15,000 files.
const LIST_SILENCE: Duration = Duration::from_secs(120);
/// The longest time for a list, even if bytes arrive steadily: the largest list at 35 KB/s.
const LONGEST_LIST: Duration = Duration::from_secs(30 * 60);

/// The client for the files of one OctoPrint instance; from [`OctoPrint::files`].
#[derive(Debug, Clone, Copy)]
pub struct FilesClient<'a>(pub(super) &'a OctoPrint);

impl FilesClient<'_> {
    /// Lists all files of all origins and folders, without the folders themselves and without models. Sends one request, and
    /// reads up to 64 MB. Without a timeout in the options, the list may take 30 minutes while bytes arrive. Needs the
    /// permission FILES_LIST.
    ///
    /// # Errors
    /// [`Error::Silent`] if no byte arrives for [`RequestOptions::silence`] (default: 120 s).
    pub async fn list(self, options: &RequestOptions) -> Result<Vec<FileEntry>, Error> {
        let mut url = self.0.endpoint(&["api", "files"]);
        url.query_pairs_mut().append_pair("recursive", "true");
        let options = RequestOptions {
            timeout: Some(options.timeout.unwrap_or(LONGEST_LIST)),
            silence: Some(options.silence.unwrap_or(LIST_SILENCE)),
            ..options.clone()
        };
        let body: FileListResponse = self.0.get_json(url, MAX_LIST, &options).await?;
        Ok(flatten_files(body.files.0))
    }

    /// Lists the files in a folder of OctoPrint's own storage and below. Empty if there is no such folder. `folder` is
    /// `top/folder`: a folder in a folder of the top.
    ///
    /// 1.11.8 answers 500 if the parent of the folder is missing (measured). 2.0.0rc7 answers 404.
    pub async fn list_folder(self, folder: &str, options: &RequestOptions) -> Result<Vec<FileEntry>, Error> {
        let mut url = self.url(folder, LOCAL_ORIGIN)?;
        url.query_pairs_mut().append_pair("recursive", "true");
        match self.0.get_json::<RawFile>(url, MAX_LIST, options).await {
            Ok(entry) => Ok(flatten_files(entry.children.0)),
            Err(Error::NotFound) => Ok(Vec::new()),
            Err(error @ Error::Server { status: 500 }) => {
                let Some((parent, _)) = folder.rsplit_once('/') else { return Err(error) };
                match self.0.get_json::<RawFile>(self.url(parent, LOCAL_ORIGIN)?, MAX_LIST, options).await {
                    Err(Error::NotFound) => Ok(Vec::new()),
                    Ok(_) | Err(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Reads one file with its print counters.
    ///
    /// # Errors
    /// [`Error::NotFound`], also if the path is that of a folder.
    pub async fn get(self, path: &str, origin: &str, options: &RequestOptions) -> Result<FileEntry, Error> {
        let entry: RawFile = self.0.get_json(self.url(path, origin)?, MAX_LIST, options).await?;
        if entry.is_folder() {
            return Err(Error::NotFound);
        }
        entry.into_file().ok_or_else(|| Error::protocol("cause-not-a-file"))
    }

    /// Selects a file, and prints it if `print` is true (204: accepted). Needs the permissions FILES_SELECT and PRINT.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] "Printer is already printing, cannot select a new file". 1.11.8 also sends
    /// that conflict if the printer is merely offline. If a request with `print` [may have acted](Error::may_have_acted), a
    /// second one could print twice.
    pub async fn select(self, path: &str, origin: &str, print: bool, options: &RequestOptions) -> Result<(), Error> {
        let json: &[u8] =
            if print { br#"{"command":"select","print":true}"# } else { br#"{"command":"select","print":false}"# };
        self.0.post(self.url(path, origin)?, Bytes::from_static(json), options).await
    }

    /// Deletes a file. Deleting the selected file deselects it if the printer is idle. Needs the permission FILES_DELETE.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] while the file prints.
    pub async fn delete(self, path: &str, origin: &str, options: &RequestOptions) -> Result<(), Error> {
        let call = self.0.build_request(Method::DELETE, self.url(path, origin)?, options)?;
        self.0.send_request(call, options).await?.discard_body()
    }

    /// Returns the URL of a file. Each part of the path is percent-encoded on its own. Parts that lead out of the folder
    /// (`..`) are refused. So are control characters, which no file name in OctoPrint contains.
    fn url(self, path: &str, origin: &str) -> Result<Url, Error> {
        let mut segments = vec!["api", "files", origin];
        segments.extend(path.split('/').filter(|part| !part.is_empty()));
        let leads_elsewhere = |part: &&str| matches!(*part, "." | "..") || part.contains(char::is_control);
        if segments.len() == 3 || origin.is_empty() || segments.iter().any(leads_elsewhere) {
            return Err(Error::Invalid { detail: Message::new("cause-not-a-file-path").with("path", path) });
        }
        Ok(self.0.endpoint(&segments))
    }
}

/// `GET /api/files?recursive=true`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FileListResponse {
    files: List<Object<RawFile>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawFile {
    name: Text,
    path: Text,
    origin: Text,
    #[serde(rename = "type")]
    kind: Text,
    size: Number,
    date: Number,
    hash: Text,
    userdata: Object<RawUserdata>,
    prints: Object<RawPrintCounts>,
    #[serde(rename = "gcodeAnalysis")]
    analysis: Object<Analysis>,
    children: List<Object<RawFile>>,
}

/// What Printyard stores with an upload.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawUserdata {
    printyard: Object<RawUploadTag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawUploadTag {
    sha256: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPrintCounts {
    success: Number,
    failure: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Analysis {
    estimated_print_time: Number,
}

impl RawFile {
    fn is_folder(&self) -> bool {
        self.kind.0.as_deref() == Some("folder")
    }

    pub(super) fn into_file(self) -> Option<FileEntry> {
        let path = self.path.non_empty()?;
        let last = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let prints = self.prints.0.unwrap_or_default();
        Some(FileEntry {
            name: self.name.non_empty().unwrap_or(last),
            origin: self.origin.non_empty().unwrap_or_else(|| LOCAL_ORIGIN.to_owned()),
            size: self.size.as_u64(),
            date: self.date.as_i64().and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            prints: PrintCounts {
                success: prints.success.as_u64().unwrap_or(0),
                failure: prints.failure.as_u64().unwrap_or(0),
            },
            estimated_print_time_s: self.analysis.0.and_then(|analysis| analysis.estimated_print_time.0),
            hash: self.hash.non_empty(),
            content: self.userdata.0.and_then(|userdata| userdata.printyard.0?.sha256.non_empty()),
            path,
        })
    }
}

/// Flattens the folders. If a server repeats a path within one origin, the path is kept once.
fn flatten_files(entries: Vec<Object<RawFile>>) -> Vec<FileEntry> {
    let mut files = Vec::new();
    let mut paths = BTreeSet::new();
    let mut pending: Vec<Object<RawFile>> = entries.into_iter().rev().collect();
    while let Some(entry) = pending.pop() {
        let Some(mut entry) = entry.0 else { continue };
        pending.extend(std::mem::take(&mut entry.children.0).into_iter().rev());
        if entry.is_folder() || entry.kind.0.as_deref() == Some("model") {
            continue;
        }
        let Some(file) = entry.into_file() else { continue };
        if paths.insert((file.origin.clone(), file.path.clone())) {
            files.push(file);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::octoprint::testing::{StubServer, client, sample};

    #[test]
    fn a_recursive_list_is_flattened() {
        let files = flatten_files(sample::<FileListResponse>("files-recursive").files.0);
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert!(paths.contains(&"farm/batch1/job60.gcode"), "{paths:?}");
        assert!(paths.contains(&"Ünï cödé  (1).gcode"), "{paths:?}");
        assert!(!paths.contains(&"farm"), "{paths:?}");
        let job2 = files.iter().find(|file| file.path == "job2.gcode").expect("job2");
        assert_eq!(job2.prints, PrintCounts { success: 3, failure: 1 });
        assert_eq!(job2.size, Some(355));
        assert_eq!(
            flatten_files(sample::<FileListResponse>("dev2-files-v1").files.0).first().map(|file| file.prints.success),
            Some(4)
        );
    }

    #[test]
    fn one_file_has_its_counters_and_analysis() {
        let analysed = sample::<RawFile>("file-analysed").into_file().expect("file");
        assert_eq!(analysed.estimated_print_time_s.map(f64::round), Some(798.0));
        let printed = sample::<RawFile>("file-after-print").into_file().expect("file");
        assert_eq!(printed.prints, PrintCounts { success: 4, failure: 1 });
        assert_eq!(printed.estimated_print_time_s, None);
    }

    #[test]
    fn a_path_is_encoded_part_by_part_and_cannot_lead_elsewhere() {
        let client = client("http://127.0.0.1/farm");
        let url = client.files().url("a b/50%?#.gcode", LOCAL_ORIGIN).expect("url");
        assert_eq!(url.as_str(), "http://127.0.0.1/farm/api/files/local/a%20b/50%25%3F%23.gcode");
        for path in ["../job", "a/../../job", ".", "", "/", ".\n./.\t./job", "a\rb", "a\0b"] {
            assert!(matches!(client.files().url(path, LOCAL_ORIGIN), Err(Error::Invalid { .. })), "{path}");
        }
    }

    /// Serves a list of one file in pieces, and then sends nothing.
    async fn serve_list_in_pieces(pieces: usize, ends: bool) -> StubServer {
        let list = br#"{"files":[{"name":"a.gcode","path":"a.gcode","origin":"local","type":"machinecode"}]}"#;
        StubServer::start(move |mut stream| async move {
            let length = if ends { pieces } else { pieces + 1 } + list.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            for _ in 0..pieces {
                let _ = stream.write_all(b" ").await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let _ = stream.write_all(list).await;
            std::future::pending::<()>().await;
        })
        .await
    }

    #[tokio::test]
    async fn a_list_is_limited_by_silence_and_not_by_its_length() {
        let silence = Duration::from_millis(600);
        let options = RequestOptions { silence: Some(silence), ..RequestOptions::default() };
        let started = Instant::now();
        let files = serve_list_in_pieces(60, true).await.client().files().list(&options).await;
        assert_eq!(files.map(|files| files.len()), Ok(1));
        assert!(started.elapsed() > silence);
        let cut = serve_list_in_pieces(1, false).await.client().files().list(&options).await;
        assert_eq!(cut, Err(Error::Silent { after: silence }));
    }
}
