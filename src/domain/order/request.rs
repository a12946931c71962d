//! Requests of clients to make or change an order.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{BusinessKey, FailurePolicy, OrderDetails};
use crate::domain::{
    part::{Judgement, Part, PlateFile},
    requirements::Requirements,
};

/// Priority of an order, unless the client sets another one.
pub const DEFAULT_PRIORITY: u32 = 50;

/// A request to make an order. Its serialized form is compared when the business key is used again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrderRequest {
    pub source: String,
    pub external_ref: Option<String>,
    pub line: String,
    pub part: Option<String>,
    pub files: Vec<PlateFile>,
    /// `None`: the title of the part.
    pub title: Option<String>,
    pub quantity: u32,
    /// `None`: the requirements of the part.
    pub requirements: Option<Requirements>,
    pub priority: u32,
    pub not_before: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    pub max_printers: Option<u32>,
    pub max_surplus: Option<u32>,
    pub on_failure: FailurePolicy,
    /// `None`: the judgement of the part.
    pub judgement: Option<Judgement>,
    pub metadata: Map<String, Value>,
}

impl OrderRequest {
    /// Returns a request with the defaults of the API contract.
    pub fn new(quantity: u32) -> Self {
        Self {
            source: String::new(),
            external_ref: None,
            line: String::new(),
            part: None,
            files: Vec::new(),
            title: None,
            quantity,
            requirements: None,
            priority: DEFAULT_PRIORITY,
            not_before: None,
            due_at: None,
            max_printers: None,
            max_surplus: None,
            on_failure: FailurePolicy::default(),
            judgement: None,
            metadata: Map::new(),
        }
    }

    /// Returns the business key, if there is a reference.
    pub fn business_key(&self) -> Option<BusinessKey> {
        let external_ref = self.external_ref.clone()?;
        Some(BusinessKey { source: self.source.clone(), external_ref, line: self.line.clone() })
    }

    /// Returns the details of the order. What the request leaves out comes from the part.
    pub fn details(&self, part: Option<&Part>) -> OrderDetails {
        let part = part.map(|part| &part.details);
        let from_part = part.map(|part| part.requirements.clone()).unwrap_or_default();
        OrderDetails {
            title: self.title.clone().or_else(|| part.map(|part| part.title.clone())).unwrap_or_default(),
            quantity: self.quantity,
            requirements: match self.requirements.clone() {
                Some(own) => complete_requirements(own, from_part),
                None => from_part,
            },
            priority: self.priority,
            not_before: self.not_before,
            due_at: self.due_at,
            max_printers: self.max_printers,
            max_surplus: self.max_surplus,
            on_failure: self.on_failure,
            judgement: self.judgement.or(part.map(|part| part.judgement)).unwrap_or(Judgement::Auto),
            metadata: self.metadata.clone(),
        }
    }
}

/// Returns the order's own requirements. A field that is not set comes from the part.
fn complete_requirements(own: Requirements, part: Requirements) -> Requirements {
    fn or<T>(own: Vec<T>, part: Vec<T>) -> Vec<T> {
        if own.is_empty() { part } else { own }
    }
    Requirements {
        material: own.material.or(part.material),
        color: own.color.or(part.color),
        nozzle_mm: own.nozzle_mm.or(part.nozzle_mm),
        tags_all: or(own.tags_all, part.tags_all),
        tags_any: or(own.tags_any, part.tags_any),
        printer_ids: or(own.printer_ids, part.printer_ids),
    }
}

/// A change of an order: `None` keeps a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrderPatch {
    pub title: Option<String>,
    pub quantity: Option<u32>,
    pub requirements: Option<Requirements>,
    pub priority: Option<u32>,
    pub not_before: Option<Option<DateTime<Utc>>>,
    pub due_at: Option<Option<DateTime<Utc>>>,
    pub max_printers: Option<Option<u32>>,
    pub max_surplus: Option<Option<u32>>,
    pub on_failure: Option<FailurePolicy>,
    pub judgement: Option<Judgement>,
    pub metadata: Option<Map<String, Value>>,
    /// The revision of the part whose files and requirements the order takes.
    pub part_revision: Option<String>,
}

impl OrderPatch {
    /// Applies the patch, except `part_revision`.
    pub fn apply(self, details: &mut OrderDetails) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut details.title, self.title);
        set(&mut details.quantity, self.quantity);
        set(&mut details.requirements, self.requirements);
        set(&mut details.priority, self.priority);
        set(&mut details.not_before, self.not_before);
        set(&mut details.due_at, self.due_at);
        set(&mut details.max_printers, self.max_printers);
        set(&mut details.max_surplus, self.max_surplus);
        set(&mut details.on_failure, self.on_failure);
        set(&mut details.judgement, self.judgement);
        set(&mut details.metadata, self.metadata);
    }
}
