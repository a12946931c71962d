//! Actions of the farm page that need no batch page: the one action of a tile, and clearing many plates.

use std::collections::{HashMap, HashSet};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde_json::json;
use uuid::Uuid;

use super::tile_parts::{CONNECT, RESUME};
use crate::{
    domain::{access::Role, batch::BatchSpec, command::Command, plate::ClearResult},
    http::dashboard::{
        Dashboard,
        batches::form::{BatchPlan, target_ids},
        form::FormData,
        messages::{t, t_with},
        page::{Failure, PathUuid, Visitor},
    },
    service::plates::PlateToClear,
};

/// Executes the action of one tile. The form may also contain the selected printers: they are not meant.
pub(in crate::http::dashboard) async fn act(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let command = match form.text("act") {
        Some(RESUME) => Command::Resume,
        Some(CONNECT) => Command::Connect,
        _ => return Err(Failure::invalid_form()),
    };
    let plan = BatchPlan { ids: vec![id], spec: BatchSpec::new(command) };
    dashboard.services.create_batch(&who, plan.to_new_batch(false)).await?;
    Ok(Redirect::to(form.back_path()).into_response())
}

/// Returns why a plate was not cleared. `None`: it is clear.
fn refusal(result: ClearResult) -> Option<&'static str> {
    match result {
        ClearResult::Cleared | ClearResult::AlreadyClear => None,
        ClearResult::Printing => Some("printer-plate-printing"),
        ClearResult::PlateChanged => Some("printer-plate-changed"),
        ClearResult::NotFound | ClearResult::Forbidden => Some("failure-not-found-text"),
    }
}

/// Marks the plates of the selected printers as clear: those that the page showed, with the prints that were on them. A
/// print that began since is not cleared.
pub(in crate::http::dashboard) async fn clear_plates(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let seen = form.values("plate").filter_map(|value| {
        let (printer, print) = value.split_once(':')?;
        Some((printer.parse::<Uuid>().ok()?, print.parse::<Uuid>().ok()))
    });
    let seen: HashMap<Uuid, Option<Uuid>> = seen.collect();
    let selected: HashSet<Uuid> = if form.is_set("shown") {
        seen.keys().copied().collect()
    } else {
        target_ids(&dashboard, &who, &form).await?.into_iter().collect()
    };
    let plates = seen.into_iter().filter(|(id, _)| selected.contains(id));
    let plates: Vec<PlateToClear> =
        plates.map(|(printer_id, print_id)| PlateToClear { printer_id, print_id }).collect();
    if plates.is_empty() {
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", t("farm-no-plates")));
    }
    let results = dashboard.services.clear_plates(&who, &plates).await?;
    let failed: Vec<(Uuid, &'static str)> =
        results.iter().filter_map(|(plate, result)| Some((plate.printer_id, refusal(*result)?))).collect();
    let (cleared, total) = (results.len() - failed.len(), results.len());
    let text = match failed.first() {
        None => t_with("farm-plates-cleared", &[("n", &cleared)]),
        Some((_, why)) => {
            let counts = t_with("farm-plates-partly-cleared", &[("n", &cleared), ("total", &total)]);
            format!("{counts} {}", t(why))
        }
    };
    if form.is_set("quick") {
        let ids: Vec<Uuid> = failed.iter().map(|(id, _)| *id).collect();
        return Ok(Json(json!({"text": text, "failed": ids})).into_response());
    }
    if failed.is_empty() {
        return Ok(Redirect::to(form.back_path()).into_response());
    }
    Err(Failure::new(StatusCode::CONFLICT, "printer-plate-not-marked-clear", text))
}
