//! Request and response bodies for printers. Secrets are write-only.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    decode::Object,
    export::Line,
    merge_patch::{given, kept},
    printer_access_body::{Headers, HeadersPatch, ProxyAuthBody, ProxyAuthPatchBody},
};
use crate::{
    clock,
    domain::{
        channel::ChannelFailure,
        invalid::Invalid,
        plate::Plate,
        print::By,
        printer::PrinterDetails,
        printer_access::PrinterAccess,
        reading::{JobFile, Progress, Temperatures},
        state::{PrinterState, Reachability},
    },
    service::{
        printer_access::AccessPatch,
        printers::{PrinterPatch, PrinterView},
    },
};

/// A printer that is to be registered.
// No Debug: it holds secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPrinter, example = json!({
    "name": "MK4-017", "url": "http://10.0.3.17", "api_key": "3F2504E04F8911D39A0C0305E82C3301",
    "tags": ["hall-a", "petg"], "model": "MK4", "material": "PETG", "color": "#000000", "nozzle_mm": 0.4,
    "bed_mm": [250, 210, 220], "power_group": "hall-a-3",
    "proxy_auth": {"user": "printyard", "password": "correct horse battery staple"}
}))]
pub struct NewPrinterBody {
    /// Unique; 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// Where its OctoPrint is: http or https, with or without a path. Unique in its normal form.
    #[schema(min_length = 1)]
    url: String,
    /// OctoPrint's API key. Kept encrypted, never shown.
    #[schema(min_length = 1, max_length = 1_000)]
    api_key: Option<String>,
    /// What selectors and tokens go by; at most 50.
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// Whether it is watched and commanded; default true.
    enabled: Option<bool>,
    #[schema(min_length = 1, max_length = 100)]
    model: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    material: Option<String>,
    /// `#rrggbb`.
    #[schema(pattern = "^#[0-9A-Fa-f]{6}$")]
    color: Option<String>,
    #[schema(exclusive_minimum = 0, maximum = 10)]
    nozzle_mm: Option<f64>,
    /// Width, depth and height.
    #[schema(min_items = 3, max_items = 3)]
    bed_mm: Option<[f64; 3]>,
    /// Printers on one electrical circuit, for `max_heating`.
    #[schema(min_length = 1, max_length = 100)]
    power_group: Option<String>,
    #[schema(max_length = 10_000)]
    notes: Option<String>,
    /// User and password that a web server before OctoPrint asks for.
    #[schema(value_type = Option<ProxyAuthBody>)]
    proxy_auth: Option<Object<ProxyAuthBody>>,
    /// Headers that go with every request to this printer, its event socket, files and camera at the same host and port. At
    /// most 20. Values are kept encrypted, never shown. Headers of the connection and of OctoPrint are refused: `Host`,
    /// `Content-Length`, `X-Api-Key`, hop-by-hop headers.
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    headers: Option<Headers>,
    /// Certificates in PEM that are trusted for this printer in addition to those of the server: of an authority, or the
    /// printer's own. Public: they are shown. At most 20.
    #[schema(max_length = 64_000)]
    ca_certificate: Option<String>,
    /// Where pictures of this printer are, in place of the address in OctoPrint's settings; it may have a user and a password.
    /// Kept encrypted, never shown.
    #[schema(max_length = 2_000)]
    camera_url: Option<String>,
}

impl NewPrinterBody {
    /// Returns details and secrets for the printer registry.
    pub fn into_parts(self) -> (PrinterDetails, PrinterAccess) {
        let details = PrinterDetails {
            tags: self.tags.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            model: self.model,
            material: self.material,
            color: self.color,
            nozzle_mm: self.nozzle_mm,
            bed_mm: self.bed_mm,
            power_group: self.power_group,
            notes: self.notes.unwrap_or_default(),
            ..PrinterDetails::new(self.name, self.url)
        };
        let access = PrinterAccess {
            api_key: self.api_key,
            proxy_auth: self.proxy_auth.map(|Object(auth)| auth.into_auth()),
            headers: self.headers.unwrap_or_default(),
            ca_certificate: self.ca_certificate,
            camera_url: self.camera_url,
        };
        (details, access)
    }
}

/// A change of a printer: what is absent is kept, null clears.
// No Debug: it may hold secrets.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PrinterPatch, example = json!({"tags": ["hall-b"], "notes": null, "enabled": false}))]
pub struct PrinterPatchBody {
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    name: Option<Option<String>>,
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1)]
    url: Option<Option<String>>,
    /// Kept when absent; null clears it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1_000)]
    api_key: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    tags: Option<Option<Vec<String>>>,
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    enabled: Option<Option<bool>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    model: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    material: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, pattern = "^#[0-9A-Fa-f]{6}$")]
    color: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 10)]
    nozzle_mm: Option<Option<f64>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<[f64; 3]>, min_items = 3, max_items = 3)]
    bed_mm: Option<Option<[f64; 3]>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    power_group: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 10_000)]
    notes: Option<Option<String>>,
    /// Kept when absent; null clears user and password.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<ProxyAuthPatchBody>)]
    proxy_auth: Option<Option<Object<ProxyAuthPatchBody>>>,
    /// A header that is absent is kept, null removes it; null in place of the object removes all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<std::collections::HashMap<String, Option<String>>>)]
    headers: Option<Option<HeadersPatch>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 64_000)]
    ca_certificate: Option<Option<String>>,
    /// Kept when absent; null clears it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 2_000)]
    camera_url: Option<Option<String>>,
}

impl PrinterPatchBody {
    /// Converts to a patch for the printer registry. Fails if null would clear a required field.
    pub fn into_patch(self) -> Result<PrinterPatch, Invalid> {
        let mut invalid = Invalid::default();
        let mut refuse = |field: &str| invalid.add(format!("/{field}"), "null", "cannot be cleared");
        let name = kept(self.name, || refuse("name"));
        let url = kept(self.url, || refuse("url"));
        let enabled = kept(self.enabled, || refuse("enabled"));
        let proxy_auth = self.proxy_auth.map(|auth| auth.map(|Object(auth)| auth.into_patch(&mut invalid)));
        invalid.or_ok(PrinterPatch {
            name,
            url,
            access: AccessPatch {
                api_key: self.api_key,
                proxy_auth,
                headers: self.headers,
                ca_certificate: self.ca_certificate,
                camera_url: self.camera_url,
            },
            tags: self.tags.map(Option::unwrap_or_default),
            enabled,
            model: self.model,
            material: self.material,
            color: self.color,
            nozzle_mm: self.nozzle_mm,
            bed_mm: self.bed_mm,
            power_group: self.power_group,
            notes: self.notes.map(Option::unwrap_or_default),
        })
    }
}

/// A registered printer with what is seen of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Printer)]
pub struct PrinterBody {
    id: Uuid,
    name: String,
    url: String,
    tags: Vec<String>,
    enabled: bool,
    model: Option<String>,
    material: Option<String>,
    color: Option<String>,
    nozzle_mm: Option<f64>,
    /// Width, depth and height.
    #[schema(min_items = 3, max_items = 3)]
    bed_mm: Option<[f64; 3]>,
    power_group: Option<String>,
    notes: String,
    /// User that a web server before OctoPrint asks for; null without one.
    proxy_user: Option<String>,
    /// Names of the headers that go with every request, in lower case.
    header_names: Vec<String>,
    /// PEM.
    ca_certificate: Option<String>,
    /// Whether it has a camera address of its own.
    camera_url_set: bool,
    /// What `ETag` and `If-Match` carry, as `"v3"`.
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    status: StatusBody,
    plate: Plate,
    /// The active print, or the file that is selected; null when there is neither.
    job: Option<JobBody>,
}

impl Line for PrinterBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "url",
        "tags",
        "enabled",
        "model",
        "material",
        "color",
        "nozzle_mm",
        "bed_mm",
        "power_group",
        "notes",
        "proxy_user",
        "header_names",
        "ca_certificate",
        "camera_url_set",
        "version",
        "created_at",
        "updated_at",
        "status",
        "plate",
        "job",
    ];
}

/// What is seen of a printer, and how old that is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrinterStatus)]
pub struct StatusBody {
    reachability: Reachability,
    /// `unknown` while the printer is not online.
    state: PrinterState,
    /// What was seen last.
    last_state: PrinterState,
    /// OctoPrint's own words.
    state_text: String,
    error: Option<String>,
    observed_at: Option<DateTime<Utc>>,
    age_ms: Option<i64>,
    /// How changes are observed: `push` by the event socket, `poll` by reading the printer at intervals.
    channel: Option<&'static str>,
    /// Why no events come, while the printer is polled; null while its event socket is being opened.
    channel_error: Option<ChannelErrorBody>,
    octoprint_version: Option<String>,
    /// Degrees Celsius, by OctoPrint's names of the heaters.
    #[schema(value_type = std::collections::BTreeMap<String, crate::domain::reading::Temperature>)]
    temperatures: Temperatures,
}

/// Why a printer sends no events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelError)]
pub struct ChannelErrorBody {
    code: ChannelFailure,
    /// The HTTP status of the refusal, where there was one.
    status: Option<u16>,
    /// For people, in English.
    detail: &'static str,
}

/// The job of a printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobBody {
    /// The active print; null while a file is only selected.
    pub print_id: Option<Uuid>,
    pub file: Option<JobFile>,
    pub user: Option<String>,
    pub estimated_print_time_s: Option<f64>,
    pub started_by: Option<By>,
    pub paused_by: Option<By>,
    /// Since when it prints without progress.
    pub stalled_since: Option<DateTime<Utc>>,
    pub progress: Progress,
}

impl From<PrinterView> for PrinterBody {
    fn from(view: PrinterView) -> Self {
        let job = live_job(&view);
        let PrinterView { printer, live } = view;
        let observed_at = live.observed_at();
        let status = StatusBody {
            reachability: live.reachability,
            state: live.state,
            last_state: live.last_state,
            state_text: live.state_text.clone(),
            error: live.error.clone(),
            observed_at,
            age_ms: observed_at.map(|at| (clock::now() - at).num_milliseconds().max(0)),
            channel: live.channel.map(|channel| channel.as_str()),
            channel_error: live.channel_error.map(|error| ChannelErrorBody {
                code: error.code,
                status: error.status,
                detail: error.code.sentence(),
            }),
            octoprint_version: live.octoprint_version.as_deref().map(str::to_owned),
            temperatures: Temperatures::clone(&live.temperatures),
        };
        let details = printer.details;
        Self {
            id: printer.id,
            name: details.name,
            url: details.url,
            tags: details.tags,
            enabled: details.enabled,
            model: details.model,
            material: details.material,
            color: details.color,
            nozzle_mm: details.nozzle_mm,
            bed_mm: details.bed_mm,
            power_group: details.power_group,
            notes: details.notes,
            proxy_user: details.proxy_user,
            header_names: details.header_names,
            ca_certificate: details.ca_certificate,
            camera_url_set: details.has_camera_url,
            version: printer.version,
            created_at: printer.created_at,
            updated_at: printer.updated_at,
            status,
            plate: live.plate.clone(),
            job,
        }
    }
}

/// Returns the last observed job of a printer. Does not contact the printer.
pub fn live_job(view: &PrinterView) -> Option<JobBody> {
    let job = view.live.job.as_ref()?;
    Some(JobBody {
        print_id: job.print_id,
        file: job.file.clone(),
        user: job.user.clone(),
        estimated_print_time_s: job.estimated_print_time_s,
        started_by: job.started_by,
        paused_by: job.paused_by,
        stalled_since: view.live.stalled_since,
        progress: job.progress,
    })
}
