//! The tools of a printer in request bodies.

use crate::domain::{
    printer_profile::{ProfileField, ProfilePatch},
    printer_tool::PrinterTool,
    validation::ValidationErrors,
};

/// Fields of the profile that describe tool 0.
const FIELDS_OF_TOOL_0: [&str; 3] = ["nozzle_mm", "material", "color"];

/// Adds an error if a request has both tools and a field of tool 0.
pub fn check_ambiguity(invalid: &mut ValidationErrors, tools: Option<&Vec<PrinterTool>>, profile: &ProfilePatch) {
    let has_field = |name: &&str| ProfileField::find(name).is_some_and(|field| profile.contains(field));
    if tools.is_some() && FIELDS_OF_TOOL_0.iter().any(has_field) {
        invalid.add("/tools", "ambiguous", "rule-tools-or-fields");
    }
}
