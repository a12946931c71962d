//! Bodies of orders.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::plate_file::PlateFileBody;
use crate::{
    domain::{
        order::{DEFAULT_PRIORITY, FailurePolicy, OrderFile, OrderRequest, OrderState, Quantities},
        part::{Judgement, PlateFile},
        planner::{Feasibility, WaitingReason},
        requirements::Requirements,
    },
    http::api::{batches::request_body::deserialize_time, list::export::CsvRow},
    service::orders::OrderView,
};

/// An order to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrder, example = json!({
    "source": "odoo", "external_ref": "MO/00412", "line": "10", "title": "Bracket", "quantity": 120, "part": "BRKT-7",
    "due_at": "2026-12-03T16:00:00Z"
}))]
pub struct NewOrderBody {
    /// The system that makes the order. Part of the business key.
    #[schema(max_length = 100)]
    source: Option<String>,
    /// Your reference, such as the number of a manufacturing order. Without it the order has no business key.
    #[schema(min_length = 1, max_length = 500)]
    external_ref: Option<String>,
    /// Part of the business key. Absent: empty.
    #[schema(max_length = 100)]
    line: Option<String>,
    /// Absent: the title of the part.
    #[schema(max_length = 200)]
    title: Option<String>,
    /// Ordered parts.
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: u32,
    /// Number of a part. Give either `part` or `files`.
    #[schema(min_length = 1, max_length = 100)]
    part: Option<String>,
    #[schema(min_items = 1, max_items = 50)]
    files: Option<Vec<PlateFileBody>>,
    /// A field that is absent or empty comes from the part.
    requirements: Option<Requirements>,
    /// Higher first. Absent: 50.
    #[schema(maximum = 100)]
    priority: Option<u32>,
    /// No copy is assigned before this time.
    #[serde(default, deserialize_with = "deserialize_time")]
    not_before: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "deserialize_time")]
    due_at: Option<DateTime<Utc>>,
    /// Printers that may work on the order at the same time. Absent: no limit.
    #[schema(minimum = 1, maximum = 5000)]
    max_printers: Option<u32>,
    /// Parts that may be made beyond the quantity, because a plate cannot be divided. Absent: no limit.
    #[schema(maximum = 1_000_000)]
    max_surplus: Option<u32>,
    on_failure: Option<FailurePolicy>,
    /// Absent: as the part says, or else `auto`.
    judgement: Option<Judgement>,
    /// Your own values, at most 50 keys and 8 KB. Printyard only keeps them.
    metadata: Option<Map<String, Value>>,
    /// Refuse the order with `no_printer_can` if no printer can make it.
    require_feasible: Option<bool>,
}

impl NewOrderBody {
    /// Returns the request, and whether a printer must be able to make the order.
    pub fn into_request(self) -> (OrderRequest, bool) {
        let request = OrderRequest {
            source: self.source.unwrap_or_default(),
            external_ref: self.external_ref,
            line: self.line.unwrap_or_default(),
            part: self.part,
            files: self.files.into_iter().flatten().map(PlateFile::from).collect(),
            title: self.title,
            quantity: self.quantity,
            requirements: self.requirements,
            priority: self.priority.unwrap_or(DEFAULT_PRIORITY),
            not_before: self.not_before,
            due_at: self.due_at,
            max_printers: self.max_printers,
            max_surplus: self.max_surplus,
            on_failure: self.on_failure.unwrap_or_default(),
            judgement: self.judgement,
            metadata: self.metadata.unwrap_or_default(),
        };
        (request, self.require_feasible.unwrap_or(false))
    }
}

/// A file of an order. The order keeps its content, even if the file gets another one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderFile)]
struct OrderFileBody {
    file_id: Uuid,
    /// Name of the file when the order was made.
    name: String,
    /// Hash of the content, in hexadecimal digits.
    sha256: String,
    models: Vec<String>,
    parts_per_plate: u32,
    /// Null: not known.
    estimated_print_time_s: Option<u64>,
}

impl From<OrderFile> for OrderFileBody {
    fn from(file: OrderFile) -> Self {
        Self {
            file_id: file.file_id,
            name: file.name,
            sha256: file.sha256,
            models: file.models,
            parts_per_plate: file.parts_per_plate,
            estimated_print_time_s: file.estimated_print_time_s,
        }
    }
}

/// The printers that can make an order, whether they are free or not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Feasible)]
struct FeasibleBody {
    /// Number of printers that can make the order.
    printers: u32,
    /// Why the others cannot.
    reasons: Vec<WaitingReason>,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderBody {
    id: Uuid,
    source: String,
    external_ref: Option<String>,
    line: String,
    title: String,
    quantity: u32,
    /// Null: the order was made from files.
    part: Option<String>,
    part_revision: Option<String>,
    files: Vec<OrderFileBody>,
    requirements: Requirements,
    priority: u32,
    not_before: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    max_printers: Option<u32>,
    max_surplus: Option<u32>,
    on_failure: FailurePolicy,
    judgement: Judgement,
    metadata: Map<String, Value>,
    state: OrderState,
    quantities: Quantities,
    /// Why the order waits.
    waiting_reasons: Vec<WaitingReason>,
    /// Only in the response to the request that makes the order; absent on a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    feasible: Option<FeasibleBody>,
    created_at: DateTime<Utc>,
    /// When details, state or quantities changed last.
    updated_at: DateTime<Utc>,
    /// When the first copy was printing.
    started_at: Option<DateTime<Utc>>,
    /// When the order was completed, short-closed or cancelled.
    completed_at: Option<DateTime<Utc>>,
    /// Name of the token or user that made the order.
    created_by: String,
    version: i64,
}

impl OrderBody {
    /// Returns the version as an `ETag`.
    pub fn etag(&self) -> String {
        format!("\"v{}\"", self.version)
    }

    /// Returns the id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Adds the printers that can make the order.
    pub fn with_feasibility(self, feasibility: Feasibility) -> Self {
        let Feasibility { printers, reasons } = feasibility;
        Self { feasible: Some(FeasibleBody { printers, reasons }), ..self }
    }
}

impl From<OrderView> for OrderBody {
    fn from(view: OrderView) -> Self {
        let (state, quantities) = (view.counted.state(), view.counted.quantities());
        let order = view.counted.order;
        let details = order.details;
        Self {
            id: order.id,
            source: order.source,
            external_ref: order.external_ref,
            line: order.line,
            title: details.title,
            quantity: details.quantity,
            part: order.part,
            part_revision: order.part_revision,
            files: order.files.into_iter().map(OrderFileBody::from).collect(),
            requirements: details.requirements,
            priority: details.priority,
            not_before: details.not_before,
            due_at: details.due_at,
            max_printers: details.max_printers,
            max_surplus: details.max_surplus,
            on_failure: details.on_failure,
            judgement: details.judgement,
            metadata: details.metadata,
            state,
            quantities,
            waiting_reasons: view.waiting_reasons,
            feasible: None,
            created_at: order.created_at,
            updated_at: order.updated_at,
            started_at: order.started_at,
            completed_at: order.completed_at,
            created_by: order.created_by,
            version: order.version,
        }
    }
}

impl CsvRow for OrderBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "source",
        "external_ref",
        "line",
        "title",
        "quantity",
        "part",
        "part_revision",
        "files",
        "requirements",
        "priority",
        "not_before",
        "due_at",
        "max_printers",
        "max_surplus",
        "on_failure",
        "judgement",
        "metadata",
        "state",
        "quantities",
        "waiting_reasons",
        "created_at",
        "updated_at",
        "started_at",
        "completed_at",
        "created_by",
        "version",
    ];
}
