//! The fault panel of the demo. The route exists only if the server runs a demo.

use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    Dashboard,
    farm::status_group::{StatusGroup, status_group},
    filters,
    form::FormData,
    messages::{t, t_with},
    page::{Failure, PageFrame, Visitor, form_errors, render_html},
};
use crate::{
    domain::access::Role,
    service::{Services, access::Principal, demo::DemoFault, printers::PrinterQuery},
};

/// Maximum number of printers in the list.
const MAX_PRINTERS: usize = 5_000;

#[derive(Template)]
#[template(path = "demo/show.html")]
struct DemoPage {
    frame: PageFrame,
    printers: Vec<PrinterOption>,
    selected: Option<Uuid>,
    faults: Vec<FaultRow>,
    /// What the last request did.
    done: Option<String>,
    errors: Vec<String>,
}

struct PrinterOption {
    id: Uuid,
    name: String,
    group: StatusGroup,
}

struct FaultRow {
    fault: DemoFault,
    label: &'static str,
    /// What happens on the farm page.
    effect: &'static str,
}

/// Query parameters of the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DemoParams {
    printer: String,
    done: String,
}

/// Returns the route of the panel if the server runs a demo, otherwise an empty router.
pub(super) fn router(services: &Services) -> Router<Dashboard> {
    match services.demo_farm() {
        Some(_) => Router::new().route("/demo", get(show).post(cause)),
        None => Router::new(),
    }
}

async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<DemoParams>,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let page = DemoPage::load(&dashboard, &who, params.printer.parse().ok()).await?;
    let done = match DemoFault::parse(&params.done) {
        Some(fault) => page.selected_name().map(|name| {
            let (label, effect) = (fault_label(fault), fault_effect(fault));
            t_with("demo-done", &[("printer", &name), ("fault", &label), ("effect", &effect)])
        }),
        None => (params.done == "reset").then(|| t("demo-reset-done").to_owned()),
    };
    Ok(render_html(&DemoPage { done, ..page })?.into_response())
}

async fn cause(State(dashboard): State<Dashboard>, Visitor(who): Visitor, form: FormData) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    if form.is_set("reset") {
        dashboard.services.end_demo_faults(&who)?;
        return Ok(Redirect::to("/demo?done=reset").into_response());
    }
    let id = form.ids("printer").first().copied();
    let fault = form.text("fault").and_then(DemoFault::parse);
    let Some((id, fault)) = id.zip(fault) else { return Err(Failure::invalid_form()) };
    match dashboard.services.cause_demo_fault(&who, id, fault).await {
        Ok(_) => Ok(Redirect::to(&format!("/demo?done={fault}&printer={id}")).into_response()),
        Err(error) => {
            let errors = form_errors(error)?;
            let page = DemoPage::load(&dashboard, &who, Some(id)).await?;
            Ok((StatusCode::CONFLICT, render_html(&DemoPage { errors, ..page })?).into_response())
        }
    }
}

impl DemoPage {
    /// Loads the printers. Without `selected`, a random printer that prints is selected.
    async fn load(dashboard: &Dashboard, who: &Principal, selected: Option<Uuid>) -> Result<Self, Failure> {
        let plate_gate = dashboard.services.plate_gate();
        let views = dashboard.services.list_printers(who, &PrinterQuery::default(), None, MAX_PRINTERS).await?;
        let printers: Vec<PrinterOption> = views
            .into_iter()
            .map(|view| PrinterOption {
                id: view.printer.id,
                group: status_group(&view, plate_gate, None),
                name: view.printer.details.name,
            })
            .collect();
        let printing: Vec<Uuid> =
            printers.iter().filter(|option| option.group == StatusGroup::Printing).map(|option| option.id).collect();
        let any_printing = || printing.get(rand::random_range(0..printing.len().max(1))).copied();
        let faults = DemoFault::ALL.iter().map(|fault| FaultRow {
            fault: *fault,
            label: fault_label(*fault),
            effect: fault_effect(*fault),
        });
        Ok(Self {
            frame: PageFrame::new(who, "demo"),
            selected: selected.or_else(any_printing),
            printers,
            faults: faults.collect(),
            done: None,
            errors: Vec::new(),
        })
    }

    fn selected_name(&self) -> Option<String> {
        self.printers.iter().find(|option| Some(option.id) == self.selected).map(|option| option.name.clone())
    }
}

fn fault_label(fault: DemoFault) -> &'static str {
    t(match fault {
        DemoFault::FirmwareError => "demo-firmware-error",
        DemoFault::FilamentRunsOut => "demo-filament",
        DemoFault::PausedAtPrinter => "demo-paused",
        DemoFault::PrintFails => "demo-fails",
        DemoFault::FinishPrint => "demo-finish",
        DemoFault::StopsAnswering => "demo-silent",
        DemoFault::Slow => "demo-slow",
        DemoFault::LosesEventSocket => "demo-socket",
        DemoFault::AnswersAgain => "demo-answers",
        DemoFault::KeyRefused => "demo-key",
        DemoFault::KeyRestored => "demo-key-restored",
    })
}

fn fault_effect(fault: DemoFault) -> &'static str {
    t(match fault {
        DemoFault::FirmwareError => "demo-firmware-error-effect",
        DemoFault::FilamentRunsOut => "demo-filament-effect",
        DemoFault::PausedAtPrinter => "demo-paused-effect",
        DemoFault::PrintFails => "demo-fails-effect",
        DemoFault::FinishPrint => "demo-finish-effect",
        DemoFault::StopsAnswering => "demo-silent-effect",
        DemoFault::Slow => "demo-slow-effect",
        DemoFault::LosesEventSocket => "demo-socket-effect",
        DemoFault::AnswersAgain => "demo-answers-effect",
        DemoFault::KeyRefused => "demo-key-effect",
        DemoFault::KeyRestored => "demo-key-restored-effect",
    })
}
