//! Request and response bodies for printers. Secrets are write-only.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    access_body::{PrinterHeaders, PrinterHeadersPatch, ProxyAuthBody, ProxyAuthPatchBody},
    production::ProductionPatchBody,
    profile::with_profile_names,
    tools,
};
use crate::{
    clock,
    domain::{
        attention::Attention,
        event_channel::ChannelFailure,
        plate::Plate,
        print::PrintActor,
        printer::PrinterDetails,
        printer_access::PrinterAccess,
        printer_profile::{PrinterProfile, ProfilePatch},
        printer_tool::PrinterTool,
        production::Production,
        reading::{JobFile, Progress, Temperatures},
        state::{PrinterState, Reachability},
        validation::ValidationErrors,
    },
    http::{
        api::{
            list::export::CsvRow,
            request::{
                json::JsonObject,
                merge_patch::{deserialize_nullable, reject_null},
            },
        },
        messages::text_of,
    },
    service::{
        printer_access::AccessPatch,
        printers::{PrinterPatch, PrinterView},
    },
};

/// A printer to register.
// `profile.rs` reads the profile's fields, `openapi/printer_profile.rs` documents them. No Debug: it holds secrets.
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
    /// Address of its OctoPrint: http or https, with or without a path. Must be unique after normalisation.
    #[schema(min_length = 1)]
    url: String,
    /// OctoPrint's API key. Stored encrypted, never returned.
    #[schema(min_length = 1, max_length = 1_000)]
    api_key: Option<String>,
    /// Used by selectors and by tokens that are limited by tags; at most 50.
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// Whether the printer is observed and accepts commands; default true.
    enabled: Option<bool>,
    /// Whether the printer takes prints; default `in_service`.
    #[schema(value_type = Option<ProductionPatchBody>)]
    production: Option<JsonObject<ProductionPatchBody>>,
    /// All tools. `nozzle_mm`, `material` and `color` are those of tool 0: give either them or `tools`.
    #[schema(max_items = 64)]
    tools: Option<Vec<PrinterTool>>,
    /// User and password for a proxy in front of OctoPrint.
    #[schema(value_type = Option<ProxyAuthBody>)]
    proxy_auth: Option<JsonObject<ProxyAuthBody>>,
    /// Extra headers of every request to this printer, its event socket, its files, and a camera at the same host and
    /// port. At most 20. Values are stored encrypted, never returned. Headers of the connection and of OctoPrint are
    /// refused: `Host`, `Content-Length`, `X-Api-Key`, hop-by-hop headers.
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    headers: Option<PrinterHeaders>,
    /// Certificates in PEM that are trusted for this printer, in addition to those of the server. They may be those of
    /// an authority, or the printer's own. Certificates are public, so they are returned. At most 20.
    #[schema(max_length = 64_000)]
    ca_certificate: Option<String>,
    /// Address of this printer's camera image. Replaces the address in OctoPrint's settings. It may contain a user and
    /// a password. Stored encrypted, never returned.
    #[schema(max_length = 2_000)]
    camera_url: Option<String>,
}

impl NewPrinterBody {
    /// Returns details and secrets for the printer registry. Fails if null would clear a required field.
    pub fn into_parts(self, profile: ProfilePatch) -> Result<(PrinterDetails, PrinterAccess), ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        let mut details = PrinterDetails {
            tags: self.tags.unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            ..PrinterDetails::new(self.name, self.url)
        };
        tools::check_ambiguity(&mut invalid, self.tools.as_ref(), &profile);
        if let Some(tools) = self.tools {
            details.set_tools(tools);
        }
        profile.apply(&mut details.profile);
        if let Some(JsonObject(production)) = self.production {
            details.production.apply(production.into_patch(&mut invalid), clock::now());
        }
        let access = PrinterAccess {
            api_key: self.api_key,
            proxy_auth: self.proxy_auth.map(|JsonObject(auth)| auth.into_auth()),
            headers: self.headers.unwrap_or_default(),
            ca_certificate: self.ca_certificate,
            camera_url: self.camera_url,
        };
        invalid.into_result((details, access))
    }
}

/// A change of a printer. Absent fields are kept, null clears a field.
// `profile.rs` reads the profile's fields, `openapi/printer_profile.rs` documents them. No Debug: it may hold secrets.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PrinterPatch, example = json!({"tags": ["hall-b"], "notes": null, "enabled": false}))]
pub struct PrinterPatchBody {
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    name: Option<Option<String>>,
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, min_length = 1)]
    url: Option<Option<String>>,
    /// Kept if absent; null clears it.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1_000)]
    api_key: Option<Option<String>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<Vec<String>>, max_items = 50)]
    tags: Option<Option<Vec<String>>>,
    /// Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<bool>)]
    enabled: Option<Option<bool>>,
    /// Absent fields are kept. Cannot be cleared.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<ProductionPatchBody>)]
    production: Option<Option<JsonObject<ProductionPatchBody>>>,
    /// All tools; null clears them. `nozzle_mm`, `material` and `color` are those of tool 0: give either them or `tools`.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<Vec<PrinterTool>>, max_items = 64)]
    tools: Option<Option<Vec<PrinterTool>>>,
    /// Kept if absent; null clears user and password.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<ProxyAuthPatchBody>)]
    proxy_auth: Option<Option<JsonObject<ProxyAuthPatchBody>>>,
    /// Absent headers are kept, and null removes a header. Null in place of the object removes all headers.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<std::collections::HashMap<String, Option<String>>>)]
    headers: Option<Option<PrinterHeadersPatch>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, max_length = 64_000)]
    ca_certificate: Option<Option<String>>,
    /// Kept if absent; null clears it.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, max_length = 2_000)]
    camera_url: Option<Option<String>>,
}

impl PrinterPatchBody {
    /// Converts to a patch for the printer registry. Fails if null would clear a required field.
    pub fn into_patch(self, profile: ProfilePatch) -> Result<PrinterPatch, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        let mut refuse = |field: &str| invalid.add(format!("/{field}"), "null", "rule-no-null");
        let name = reject_null(self.name, || refuse("name"));
        let url = reject_null(self.url, || refuse("url"));
        let enabled = reject_null(self.enabled, || refuse("enabled"));
        let production = reject_null(self.production, || refuse("production"));
        let production = production.map(|JsonObject(production)| production.into_patch(&mut invalid));
        let tools = self.tools.map(Option::unwrap_or_default);
        tools::check_ambiguity(&mut invalid, tools.as_ref(), &profile);
        let proxy_auth = self.proxy_auth.map(|auth| auth.map(|JsonObject(auth)| auth.into_patch(&mut invalid)));
        invalid.into_result(PrinterPatch {
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
            profile,
            production,
            tools,
        })
    }
}

/// A registered printer with its last observation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Printer)]
pub struct PrinterBody {
    id: Uuid,
    name: String,
    url: String,
    tags: Vec<String>,
    enabled: bool,
    #[serde(flatten)]
    #[schema(ignore)]
    profile: PrinterProfile,
    production: Production,
    /// All tools that are known. `nozzle_mm`, `material` and `color` are those of tool 0.
    tools: Vec<PrinterTool>,
    /// User for a proxy in front of OctoPrint; null without a proxy login.
    proxy_user: Option<String>,
    /// Names of the extra headers of every request, in lower case.
    header_names: Vec<String>,
    /// PEM.
    ca_certificate: Option<String>,
    /// Whether the printer has its own camera address.
    camera_url_set: bool,
    /// Version number. `ETag` and `If-Match` contain it as `"v3"`.
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    status: PrinterStatusBody,
    plate: Plate,
    /// The active print, or the selected file. Null if there is neither.
    job: Option<JobBody>,
}

impl CsvRow for PrinterBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "url",
        "tags",
        "enabled",
        "production",
        "tools",
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

    fn columns() -> Vec<&'static str> {
        with_profile_names(Self::COLUMNS)
    }
}

/// The last observation of a printer, and its age.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PrinterStatus)]
pub struct PrinterStatusBody {
    reachability: Reachability,
    /// `unknown` while the printer is not online.
    state: PrinterState,
    /// The last observed state.
    last_state: PrinterState,
    /// State text as OctoPrint reports it.
    state_text: String,
    error: Option<String>,
    observed_at: Option<DateTime<Utc>>,
    age_ms: Option<i64>,
    /// How changes are observed: `push` by the event socket, `poll` by reading the printer at intervals.
    channel: Option<&'static str>,
    /// Why the printer is polled instead of sending events. Null while its event socket is being opened.
    channel_error: Option<ChannelErrorBody>,
    octoprint_version: Option<String>,
    /// Degrees Celsius, by the heater names of OctoPrint.
    #[schema(value_type = std::collections::BTreeMap<String, crate::domain::reading::Temperature>)]
    temperatures: Temperatures,
    /// The planner starts nothing until a person has looked at the printer: `POST /printers/{id}/attention/clear`.
    attention: Option<Attention>,
}

/// Why a printer sends no events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelError)]
pub struct ChannelErrorBody {
    code: ChannelFailure,
    /// HTTP status of the refusal, if there was one.
    status: Option<u16>,
    /// For people, in English.
    detail: String,
}

/// The job of a printer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobBody {
    /// The active print. Null if a file is only selected.
    pub print_id: Option<Uuid>,
    pub file: Option<JobFile>,
    pub user: Option<String>,
    pub estimated_print_time_s: Option<f64>,
    pub started_by: Option<PrintActor>,
    pub paused_by: Option<PrintActor>,
    /// When progress stopped while the printer reports that it prints.
    pub stalled_since: Option<DateTime<Utc>>,
    pub progress: Progress,
}

impl From<PrinterView> for PrinterBody {
    fn from(view: PrinterView) -> Self {
        let job = live_job(&view);
        let PrinterView { printer, live } = view;
        let observed_at = live.observed_at();
        let status = PrinterStatusBody {
            reachability: live.reachability,
            state: live.state,
            last_state: live.last_state,
            state_text: live.state_text.clone(),
            error: live.error.as_ref().map(text_of),
            observed_at,
            age_ms: observed_at.map(|at| (clock::now() - at).num_milliseconds().max(0)),
            channel: live.channel.map(|channel| channel.as_str()),
            channel_error: live.channel_error.map(|error| ChannelErrorBody {
                code: error.code,
                status: error.status,
                detail: text_of(&error.code.message()),
            }),
            octoprint_version: live.octoprint_version.as_deref().map(str::to_owned),
            temperatures: Temperatures::clone(&live.temperatures),
            attention: printer.attention,
        };
        let details = printer.details;
        let tools = details.tools();
        Self {
            id: printer.id,
            name: details.name,
            url: details.url,
            tags: details.tags,
            enabled: details.enabled,
            profile: details.profile,
            production: details.production,
            tools,
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
