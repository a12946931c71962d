//! A printer as programs write and read it. The API key goes in and never comes out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::export::Line;
use crate::{
    clock,
    domain::{
        channel::ChannelFailure,
        invalid::Invalid,
        plate::Plate,
        print::By,
        printer::PrinterDetails,
        reading::{JobFile, Progress, Temperatures},
        state::{PrinterState, Reachability},
    },
    service::printers::{PrinterPatch, PrinterView},
};

/// A printer that is to be registered.
// No Debug: it holds a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPrinter, example = json!({
    "name": "MK4-017", "url": "http://10.0.3.17", "api_key": "3F2504E04F8911D39A0C0305E82C3301",
    "tags": ["hall-a", "petg"], "model": "MK4", "material": "PETG", "color": "#000000", "nozzle_mm": 0.4,
    "bed_mm": [250, 210, 220], "power_group": "hall-a-3"
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
}

impl NewPrinterBody {
    /// What the register takes, and the key.
    pub fn into_parts(self) -> (PrinterDetails, Option<String>) {
        let details = PrinterDetails {
            name: self.name,
            url: self.url,
            tags: self.tags.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            model: self.model,
            material: self.material,
            color: self.color,
            nozzle_mm: self.nozzle_mm,
            bed_mm: self.bed_mm,
            power_group: self.power_group,
            notes: self.notes.unwrap_or_default(),
        };
        (details, self.api_key)
    }
}

/// A change of a printer: what is absent is kept, null clears.
// No Debug: it may hold a key.
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
}

/// Tells null from absent.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl PrinterPatchBody {
    /// What the register takes. Fails where null would clear what has to be there.
    pub fn into_patch(self) -> Result<PrinterPatch, Invalid> {
        let mut invalid = Invalid::default();
        let mut refuse = |field: &str| invalid.add(format!("/{field}"), "null", "cannot be cleared");
        let name = kept(self.name, || refuse("name"));
        let url = kept(self.url, || refuse("url"));
        let enabled = kept(self.enabled, || refuse("enabled"));
        invalid.or_ok(PrinterPatch {
            name,
            url,
            api_key: self.api_key,
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

/// What is given; `refuse` is called where that is null.
pub(super) fn kept<T>(field: Option<Option<T>>, refuse: impl FnOnce()) -> Option<T> {
    if matches!(field, Some(None)) {
        refuse();
    }
    field.flatten()
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
            version: printer.version,
            created_at: printer.created_at,
            updated_at: printer.updated_at,
            status,
            plate: live.plate.clone(),
            job,
        }
    }
}

/// The job that is known of a printer, without asking it.
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
