//! Forms of a library file: rename and move, correct facts, remove.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    facts::{format_number, list_numbers},
    show::show_errors,
};
use crate::{
    domain::{
        access::Role,
        file::{FileOverrides, LibraryFile, normalize_folder},
        gcode::ToolFacts,
        validation::{FieldError, ValidationErrors},
    },
    http::dashboard::{
        Dashboard,
        form::{FormData, parse_decimal},
        list_filters,
        messages::{t, t_with},
        page::{Failure, PathUuid, Visitor, field_label, form_errors},
        print_minutes,
    },
    service::{Error, files::FilePatch},
};

/// Maximum number of tools that the form shows.
const MAX_TOOLS: usize = 16;

/// An input for a correction.
pub(super) struct CorrectionField {
    pub name: String,
    pub label: String,
    pub value: String,
    /// What the file says.
    pub placeholder: String,
}

/// Returns the inputs for the corrections of a file, with the corrections that it has.
pub(super) fn correction_fields(file: &LibraryFile) -> Vec<CorrectionField> {
    let (facts, overrides) = (&file.content.facts, &file.overrides);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let number = |value: Option<f64>| value.map(|value| format_number(value, 3)).unwrap_or_default();
    let minutes = |seconds: Option<u64>| seconds.map(print_minutes::format).unwrap_or_default();
    let field = |name: &str, label: String, value: String, placeholder: String| CorrectionField {
        name: name.to_owned(),
        label,
        value,
        placeholder,
    };
    let nozzles = overrides.nozzle_mm.as_deref().map(list_numbers).unwrap_or_default();
    let mut fields = vec![
        field("model", field_label("model"), text(&overrides.printer_model), text(&facts.printer_model)),
        field("nozzle_mm", field_label("nozzle_mm"), nozzles, list_numbers(&facts.nozzle_mm)),
        field(
            "layer_height_mm",
            field_label("layer_height_mm"),
            number(overrides.layer_height_mm),
            number(facts.layer_height_mm),
        ),
        field(
            "print_minutes",
            field_label("print_minutes"),
            minutes(overrides.estimated_print_time_s),
            minutes(facts.estimated_print_time_s),
        ),
    ];
    let tools = tool_numbers(file);
    for tool in &tools {
        let said = facts.tools.iter().find(|one| one.tool == *tool).cloned().unwrap_or_default();
        let corrected = find_tool(overrides, *tool).cloned().unwrap_or_default();
        let label = |name: &str| match tools.len() {
            1 => field_label(name),
            _ => t_with("file-field-of-tool", &[("field", &field_label(name)), ("tool", tool)]),
        };
        for (name, value, placeholder) in [
            ("material", text(&corrected.material), text(&said.material)),
            ("color", text(&corrected.color), text(&said.color)),
            ("filament_g", number(corrected.filament_g), number(said.filament_g)),
        ] {
            fields.push(field(&format!("{name}_{tool}"), label(name), value, placeholder));
        }
    }
    fields
}

/// Returns the tools of the form: those that the file or a correction names, or the first one.
fn tool_numbers(file: &LibraryFile) -> Vec<u32> {
    let mut tools: Vec<u32> = file.facts().tools.iter().map(|tool| tool.tool).take(MAX_TOOLS).collect();
    if tools.is_empty() {
        tools.push(0);
    }
    tools
}

fn find_tool(overrides: &FileOverrides, tool: u32) -> Option<&ToolFacts> {
    overrides.tools.iter().flatten().find(|one| one.tool == tool)
}

/// Reads the corrections of a form.
fn parse_corrections(form: &FormData, file: &LibraryFile) -> Result<FileOverrides, ValidationErrors> {
    let mut invalid = ValidationErrors::default();
    let mut number = |name: &str, pointer: &str| {
        let parsed = parse_decimal(form.text(name)?);
        if parsed.is_none() {
            invalid.add(format!("/{pointer}"), "number", "rule-number");
        }
        parsed
    };
    let layer_height_mm = number("layer_height_mm", "layer_height_mm");
    let mut tools: Vec<ToolFacts> = Vec::new();
    let shown = tool_numbers(file);
    for tool in &shown {
        let corrected = ToolFacts {
            tool: *tool,
            material: form.text(&format!("material_{tool}")).map(str::to_owned),
            color: form.text(&format!("color_{tool}")).map(str::to_owned),
            // The form does not show the length.
            filament_mm: find_tool(&file.overrides, *tool).and_then(|tool| tool.filament_mm),
            filament_g: number(&format!("filament_g_{tool}"), "filament_g"),
        };
        if corrected != (ToolFacts { tool: *tool, ..ToolFacts::default() }) {
            tools.push(corrected);
        }
    }
    tools.extend(file.overrides.tools.iter().flatten().filter(|tool| !shown.contains(&tool.tool)).cloned());
    let mut nozzle_mm = None;
    if let Some(text) = form.text("nozzle_mm") {
        let parsed: Option<Vec<f64>> = text.split([',', ';']).map(|part| part.trim().parse().ok()).collect();
        if parsed.is_none() {
            invalid.add("/nozzle_mm", "number", "rule-number");
        }
        nozzle_mm = parsed;
    }
    let minutes = form.text("print_minutes").unwrap_or_default();
    let estimated_print_time_s = print_minutes::parse(minutes, "/print_minutes", &mut invalid);
    invalid.into_result(FileOverrides {
        printer_model: form.text("model").map(str::to_owned),
        nozzle_mm,
        layer_height_mm,
        estimated_print_time_s,
        tools: (!tools.is_empty()).then_some(tools),
    })
}

/// Replaces the pointers of the API by the names of the form's fields.
fn to_form_pointers(invalid: ValidationErrors) -> ValidationErrors {
    let rename = |pointer: &str| {
        let Some(rest) = pointer.strip_prefix("/overrides/") else { return pointer.to_owned() };
        let name = rest.split('/').rfind(|part| part.parse::<usize>().is_err()).unwrap_or(rest);
        format!("/{}", if name == "printer_model" { "model" } else { name })
    };
    let renamed = invalid.0.into_iter().map(|error| FieldError { pointer: rename(&error.pointer), ..error });
    ValidationErrors(renamed.collect())
}

/// Renames, moves or corrects a file.
pub(in crate::http::dashboard) async fn change(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let file = dashboard.services.file(&who, id).await?;
    let version = form.text("version").and_then(|version| version.parse().ok());
    let is_correction = form.text("act") == Some("correct");
    let patch = if is_correction {
        parse_corrections(&form, &file)
            .map(|overrides| FilePatch { overrides: Some(overrides), ..FilePatch::default() })
    } else {
        let folder = normalize_folder(form.text("folder").unwrap_or_default());
        let name = form.text("name").unwrap_or_default().to_owned();
        Ok(FilePatch { name: Some(name), folder: Some(folder), overrides: None })
    };
    let changed = match patch {
        Ok(patch) => dashboard.services.patch_file(&who, id, version, patch).await,
        Err(invalid) => Err(invalid.into()),
    };
    let error = match changed {
        Ok(_) => return Ok(redirect_to_file(id)),
        Err(Error::Invalid(invalid)) => Error::Invalid(to_form_pointers(invalid)),
        Err(error) => error,
    };
    let typed = is_correction.then(|| {
        let fields = correction_fields(&file).into_iter();
        fields.map(|field| CorrectionField { value: form.text(&field.name).unwrap_or_default().to_owned(), ..field })
    });
    let errors = form_errors(error)?;
    show_errors(&dashboard, &who, &file, StatusCode::UNPROCESSABLE_ENTITY, errors, typed.map(Iterator::collect)).await
}

/// Removes a file from the library. If a batch needs it, the page says so.
pub(in crate::http::dashboard) async fn remove(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let file = dashboard.services.file(&who, id).await?;
    if let Err(error) = dashboard.services.remove_file(&who, id, None).await {
        let errors = form_errors(error)?;
        let errors = errors.into_iter().map(|why| format!("{} {why}", t("file-not-deleted"))).collect();
        return show_errors(&dashboard, &who, &file, StatusCode::CONFLICT, errors, None).await;
    }
    Ok(Redirect::to(&list_filters::href("/files", &[("folder", &file.folder)])).into_response())
}

fn redirect_to_file(id: uuid::Uuid) -> Response {
    Redirect::to(&format!("/files/{id}")).into_response()
}
