//! Rules for the fields of an order.

use chrono::Datelike;
use serde_json::Value;

use super::{Adjustment, OrderDetails, OrderRequest, priority::MAX_PRIORITY};
use crate::domain::{
    message::Message,
    part::{MAX_TITLE, check_files, check_number, check_range, check_requirements},
    validation::{ValidationErrors, check_line, check_text},
};

/// Largest quantity of an order.
pub const MAX_QUANTITY: u32 = 1_000_000;
const MAX_ATTEMPTS: u32 = 100;
/// Maximum number of keys of the metadata.
const MAX_METADATA_KEYS: usize = 50;
/// Maximum size of the metadata as JSON, in bytes.
const MAX_METADATA_BYTES: usize = 8 * 1024;
/// Years of times that both databases and every client can store.
const YEARS: std::ops::RangeInclusive<i32> = 2_000..=9_999;

impl OrderRequest {
    /// Checks the fields that details do not have. Pointers refer to the body of `POST /orders`.
    pub fn check(&self, invalid: &mut ValidationErrors) {
        check_line(invalid, "/source", &self.source, 0, 100);
        if let Some(external_ref) = &self.external_ref {
            check_line(invalid, "/external_ref", external_ref, 1, 500);
        }
        check_line(invalid, "/line", &self.line, 0, 100);
        match (&self.part, self.files.is_empty()) {
            (Some(number), true) => check_number(invalid, "/part", number),
            (None, false) => check_files(invalid, &self.files),
            (Some(_), false) => {
                invalid.add("/files", "conflicting_field", Message::new("rule-not-with").with("other", "part"))
            }
            (None, true) => invalid.add("/part", "required", "rule-part-or-files"),
        }
    }
}

impl OrderDetails {
    /// Checks the fields. Pointers refer to the body of `POST /orders`.
    pub fn check(&self, invalid: &mut ValidationErrors) {
        check_line(invalid, "/title", &self.title, 0, MAX_TITLE);
        let mut range = |name: &str, value: Option<u32>, min: u32, max: u32| {
            if let Some(value) = value {
                check_range(invalid, &format!("/{name}"), u64::from(value), u64::from(min), u64::from(max));
            }
        };
        range("quantity", Some(self.quantity), 1, MAX_QUANTITY);
        range("priority", Some(self.priority), 0, MAX_PRIORITY);
        range("max_printers", self.max_printers, 1, 5_000);
        range("max_surplus", self.max_surplus, 0, MAX_QUANTITY);
        range("on_failure/max_attempts", Some(self.on_failure.max_attempts), 1, MAX_ATTEMPTS);
        for (name, at) in [("not_before", self.not_before), ("due_at", self.due_at)] {
            if let Some(year) = at.map(|at| at.year()).filter(|year| !YEARS.contains(year)) {
                let rule = Message::new("rule-years").with("min", YEARS.start()).with("max", YEARS.end());
                invalid.add(format!("/{name}"), "range", rule.with("value", year));
            }
        }
        check_requirements(invalid, &self.requirements);
        self.check_metadata(invalid);
    }

    fn check_metadata(&self, invalid: &mut ValidationErrors) {
        if self.metadata.len() > MAX_METADATA_KEYS {
            let rule = Message::new("rule-max-items").with("max", MAX_METADATA_KEYS);
            invalid.add("/metadata", "too_many", rule);
        }
        let size = serde_json::to_string(&self.metadata).map_or(0, |text| text.len());
        if size > MAX_METADATA_BYTES {
            invalid.add("/metadata", "length", Message::new("rule-max-bytes").with("max", MAX_METADATA_BYTES));
        }
        if self.metadata.iter().any(|(name, value)| name.contains('\0') || has_nul(value)) {
            invalid.add("/metadata", "control_character", "rule-no-control-characters");
        }
    }
}

/// Returns whether a text in a value contains U+0000, which PostgreSQL cannot store.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Checks parts that were counted by hand.
pub fn check_adjustment(invalid: &mut ValidationErrors, adjustment: &Adjustment) {
    let max = i64::from(MAX_QUANTITY);
    for (name, value) in [("good", adjustment.good), ("scrap", adjustment.scrap)] {
        if i64::from(value).abs() > max {
            let rule = Message::new("rule-range").with("min", -max).with("max", max).with("value", value);
            invalid.add(format!("/{name}"), "range", rule);
        }
    }
    if adjustment.good == 0 && adjustment.scrap == 0 {
        invalid.add("/good", "required", "rule-adjustment");
    }
    check_reason(invalid, Some(&adjustment.reason));
}

/// Checks a reason that a person gives. `Some("")` is refused.
pub fn check_reason(invalid: &mut ValidationErrors, reason: Option<&str>) {
    if let Some(reason) = reason {
        check_text(invalid, "/reason", reason, 1, 500);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::part::PlateFile;

    fn pointers(request: &OrderRequest) -> Vec<String> {
        let mut invalid = ValidationErrors::default();
        request.check(&mut invalid);
        request.details(None).check(&mut invalid);
        invalid.0.into_iter().map(|error| error.pointer).collect()
    }

    fn file() -> PlateFile {
        PlateFile { file_id: Uuid::nil(), models: Vec::new(), parts_per_plate: 1, estimated_print_time_s: None }
    }

    #[test]
    fn an_order_names_either_a_part_or_files() {
        let request = OrderRequest { part: Some("BRKT-7".into()), ..OrderRequest::new(120) };
        assert_eq!(pointers(&request), [""; 0]);
        assert_eq!(pointers(&OrderRequest { files: vec![file()], ..request.clone() }), ["/files"]);
        assert_eq!(pointers(&OrderRequest { part: None, ..request.clone() }), ["/part"]);
        assert_eq!(pointers(&OrderRequest { part: None, files: vec![file()], ..request }), [""; 0]);
    }

    #[test]
    fn every_broken_rule_names_its_field() {
        let mut request = OrderRequest { part: Some(String::new()), ..OrderRequest::new(0) };
        request.source = "a\tb".into();
        request.external_ref = Some(String::new());
        request.line = "x".repeat(101);
        request.title = Some("x".repeat(201));
        request.priority = 101;
        request.max_printers = Some(0);
        request.on_failure.max_attempts = 0;
        request.due_at = chrono::DateTime::from_timestamp(0, 0);
        request.metadata = (0..51).map(|n| (format!("k{n}"), json!(["\0"]))).collect();
        let expected = [
            "/source",
            "/external_ref",
            "/line",
            "/part",
            "/title",
            "/quantity",
            "/priority",
            "/max_printers",
            "/on_failure/max_attempts",
            "/due_at",
            "/metadata",
            "/metadata",
        ];
        assert_eq!(pointers(&request), expected);
        request = OrderRequest { part: Some("a".into()), ..OrderRequest::new(1) };
        request.metadata = [("k".to_owned(), json!("x".repeat(MAX_METADATA_BYTES)))].into_iter().collect();
        assert_eq!(pointers(&request), ["/metadata"]);
    }

    #[test]
    fn an_adjustment_changes_something_and_has_a_reason() {
        for (good, scrap, reason, expected) in [
            (-2, 2, "counted", vec![]),
            (0, 0, "counted", vec!["/good"]),
            (1, 0, "", vec!["/reason"]),
            (2_000_000, i32::MIN, "x", vec!["/good", "/scrap"]),
        ] {
            let mut invalid = ValidationErrors::default();
            check_adjustment(&mut invalid, &Adjustment { good, scrap, reason: reason.into() });
            assert_eq!(invalid.0.iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>(), expected);
        }
    }
}
