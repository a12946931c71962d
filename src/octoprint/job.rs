//! The job client. It has the same functions as `OctoPrint.job` in OctoPrint's JavaScript client.
//!
//! All of them except [`get`](JobClient::get) post to `/api/job`. OctoPrint answers `204 No Content` in 2 to 15 ms, before the
//! printer has done anything: **`Ok(())` means accepted, never done**. The effect of an accepted command is visible in `get`
//! and on the event socket.
//!
//! Commands to one printer must not overlap: of 15 pairs of simultaneous `start`, 6 logged "Print job started" twice (1.11.8).
//!
//! Errors that all functions share:
//! * [`Error::Conflict`] with "Printer is not operational" while OctoPrint is not connected to its printer.
//! * [`Error::Unauthorized`] for a bad key, or a key without the permission PRINT (`get`: STATUS).

use bytes::Bytes;
use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{Number, Object, Text},
    request::MAX_RESPONSE,
};
use crate::domain::{
    reading::{JobFile, JobReading, LOCAL_ORIGIN, Progress},
    state::PrinterState,
};

/// The client for the print job of one OctoPrint instance; from [`OctoPrint::job`].
#[derive(Debug, Clone, Copy)]
pub struct JobClient<'a>(pub(super) &'a OctoPrint);

impl JobClient<'_> {
    /// Reads the job: the selected file, its progress, and the printer's state (`GET /api/job`, about 3 ms).
    ///
    /// There is no job id: the path and the origin of the file are the only identity of a job. After a print, the file stays
    /// selected and `completion` stays 100. After a cancel, the progress is empty. A disconnect or an error deselects the
    /// file. A firmware error has a text on 1.11 and none on 2.x.
    ///
    /// # Errors
    /// [`Error`]. Reading has no effect, whatever [`Error::may_have_acted`] returns. JSON that has neither state nor job is
    /// [`Error::Protocol`].
    pub async fn get(self, options: &RequestOptions) -> Result<JobReading, Error> {
        let body: JobResponse = self.0.get_json(self.0.0.job_url.clone(), MAX_RESPONSE, options).await?;
        body.into_reading()
    }

    /// Starts printing the selected file from its beginning.
    ///
    /// | state | OctoPrint's response |
    /// |-|-|
    /// | operational, a file is selected | accepted; `Starting`, then `Printing` within 20 ms |
    /// | operational, **no file** | **accepted, and nothing happens** |
    /// | operational, an empty file | accepted; started and done within 10 ms, `completion` is then -100 |
    /// | starting, printing, pausing, paused, resuming, cancelling, finishing | conflict: "Printer already has an active print job, did you mean 'restart'?" |
    ///
    /// # Errors
    /// [`Error`]. If the request [may have acted](Error::may_have_acted), a second start could print twice.
    pub async fn start(self, options: &RequestOptions) -> Result<(), Error> {
        self.post_command(br#"{"command":"start"}"#, options).await
    }

    /// Cancels the job.
    ///
    /// | state | OctoPrint's response |
    /// |-|-|
    /// | starting | accepted; `Cancelling` for the rest of the start script, `Printing` for 8 ms, then `Operational` |
    /// | printing, pausing, resuming | accepted; `Cancelling` for the rest of the running G-code line (0.1 s; an `M109` took 13 s), then `Operational` |
    /// | paused | accepted; `Operational` at once |
    /// | cancelling | accepted, and nothing else happens |
    /// | finishing | **accepted**: the print was done, and is also reported as cancelled |
    /// | operational | conflict: "Printer is neither printing nor paused" |
    ///
    /// A cancelled job sends both `PrintCancelled` and `PrintFailed` (reason `cancelled`).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel(self, options: &RequestOptions) -> Result<(), Error> {
        self.post_command(br#"{"command":"cancel"}"#, options).await
    }

    /// Sends OctoPrint's own restart, which prints the paused job from its beginning.
    ///
    /// | state | OctoPrint's response |
    /// |-|-|
    /// | paused | 1.11: accepted, `Printing` from 0, with `PrintStarted` and no event of a cancel. **2.x: accepted, and nothing happens** (2.0.0rc7, 2.1.0.dev) |
    /// | any other | conflict: "Printer does not have an active print job or is not paused" |
    ///
    /// The steps that work in every state and version: [`cancel`](Self::cancel), wait for `Operational`,
    /// [`start`](Self::start).
    ///
    /// # Errors
    /// [`Error`]. If the request [may have acted](Error::may_have_acted), a second restart could print twice.
    pub async fn restart(self, options: &RequestOptions) -> Result<(), Error> {
        self.post_command(br#"{"command":"restart"}"#, options).await
    }

    /// Pauses the job. The request names the action, so a repeated request cannot resume it.
    ///
    /// | state | OctoPrint's response |
    /// |-|-|
    /// | printing, resuming | accepted; `Pausing` for 0.03 to 1.1 s or the rest of the running G-code line, then `Paused` |
    /// | starting | **accepted and lost**: `Pausing`, then `Printing` again, but the event `PrintPaused` is still sent |
    /// | pausing, paused, cancelling, finishing | accepted, and nothing else happens |
    /// | operational | conflict: "Printer is neither printing nor paused" |
    ///
    /// # Errors
    /// [`Error`].
    pub async fn pause(self, options: &RequestOptions) -> Result<(), Error> {
        self.post_command(br#"{"command":"pause","action":"pause"}"#, options).await
    }

    /// Resumes the paused job. The request names the action, so a repeated request cannot pause it.
    ///
    /// | state | OctoPrint's response |
    /// |-|-|
    /// | paused | accepted; `Printing` within 20 ms |
    /// | pausing | **accepted and lost**: the state becomes `Paused` |
    /// | starting, printing, resuming, cancelling, finishing | accepted, and nothing else happens |
    /// | operational | conflict: "Printer is neither printing nor paused" |
    ///
    /// # Errors
    /// [`Error`].
    pub async fn resume(self, options: &RequestOptions) -> Result<(), Error> {
        self.post_command(br#"{"command":"pause","action":"resume"}"#, options).await
    }

    /// Pauses a printing job, or resumes a paused one: OctoPrint decides. A repeated request reverses the first one. If
    /// possible, read the state and use [`pause`](Self::pause) or [`resume`](Self::resume).
    ///
    /// | state | OctoPrint's response |
    /// |-|-|
    /// | printing, resuming | as `pause` |
    /// | paused | 1.11: as `resume`. **2.0.0rc7: accepted, and nothing happens** |
    /// | starting | accepted, and the pause is lost |
    /// | pausing, cancelling, finishing | accepted, and nothing else happens |
    /// | operational | conflict: "Printer is neither printing nor paused" |
    ///
    /// # Errors
    /// [`Error`]. If the request [may have acted](Error::may_have_acted), a second one may undo the first.
    pub async fn toggle_pause(self, options: &RequestOptions) -> Result<(), Error> {
        self.post_command(br#"{"command":"pause","action":"toggle"}"#, options).await
    }

    async fn post_command(self, json: &'static [u8], options: &RequestOptions) -> Result<(), Error> {
        self.0.post(self.0.0.job_url.clone(), Bytes::from_static(json), options).await
    }
}

/// `GET /api/job`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobResponse {
    state: Text,
    error: Text,
    job: Object<RawJob>,
    progress: Object<RawProgress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawJob {
    file: Object<RawJobFile>,
    estimated_print_time: Number,
    user: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawJobFile {
    name: Text,
    path: Text,
    origin: Text,
    size: Number,
    date: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawProgress {
    completion: Number,
    filepos: Number,
    print_time: Number,
    print_time_left: Number,
}

impl JobResponse {
    fn into_reading(self) -> Result<JobReading, Error> {
        if self.state.0.is_none() && self.job.0.is_none() {
            return Err(Error::protocol("cause-not-a-job"));
        }
        let state_text = self.state.0.unwrap_or_default();
        let state = PrinterState::from_text(&state_text);
        // While a file is sent to the SD card, job and progress describe that transfer, which is not a print.
        let is_print = state != PrinterState::Transferring;
        let job = self.job.0.filter(|_| is_print).unwrap_or_default();
        Ok(JobReading {
            state,
            state_text,
            error: self.error.non_empty(),
            file: job.file.0.and_then(RawJobFile::into_job_file),
            user: job.user.non_empty(),
            estimated_print_time_s: job.estimated_print_time.0,
            progress: self.progress.0.filter(|_| is_print).map(RawProgress::into_progress).unwrap_or_default(),
        })
    }
}

impl RawJobFile {
    /// Returns `None` for a file without a path: OctoPrint sends the object with nulls if no file is selected.
    fn into_job_file(self) -> Option<JobFile> {
        let path = self.path.non_empty()?;
        let last = path.rsplit('/').next().unwrap_or(&path).to_owned();
        Some(JobFile {
            name: self.name.non_empty().unwrap_or(last),
            origin: self.origin.non_empty().unwrap_or_else(|| LOCAL_ORIGIN.to_owned()),
            size: self.size.as_u64(),
            date: self.date.as_i64().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0)),
            path,
        })
    }
}

impl RawProgress {
    /// On 1.11 an empty file has a `completion` of -100. It is read as `None`.
    fn into_progress(self) -> Progress {
        Progress {
            completion: self.completion.0.filter(|percent| *percent >= 0.0).map(|percent| percent.min(100.0)),
            print_time_s: self.print_time.as_i64(),
            print_time_left_s: self.print_time_left.as_i64(),
            file_position: self.filepos.as_u64(),
        }
    }
}

#[cfg(test)]
mod tests;
