//! The form for a new order: of a part, or of a file of the library.

use askama::Template;
use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    errors::FormErrors,
    fields::{parse_local_time, parse_number, parse_required},
    order_path,
};
use crate::{
    domain::{
        access::Role,
        calendar::Calendar,
        file::FileFilter,
        order::{DEFAULT_PRIORITY, OrderRequest},
        part::{Judgement, PartFilter, PlateFile},
        validation::ValidationErrors,
    },
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        list_filters,
        page::{Failure, PageFrame, Visitor, render_html},
    },
    service::access::Principal,
};

/// Number of parts that the form proposes.
const MAX_PARTS: i64 = 500;
/// Number of files that the form offers, newest first.
const MAX_FILES: i64 = 200;

/// Query parameters of the form: a part or a file that it begins with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::http::dashboard) struct NewOrderParams {
    part: String,
    file: String,
}

/// The inputs as they were typed.
struct NewOrderFields {
    part: String,
    file_id: String,
    models: String,
    parts_per_plate: String,
    quantity: String,
    title: String,
    due_at: String,
    priority: String,
    judgement: String,
}

#[derive(Template)]
#[template(path = "orders/new.html")]
struct NewOrderPage {
    frame: PageFrame,
    fields: NewOrderFields,
    errors: FormErrors,
    /// Numbers and titles of parts.
    parts: Vec<(String, String)>,
    /// Ids and names of files.
    files: Vec<(String, String)>,
    zone: &'static str,
}

impl NewOrderFields {
    fn from_params(params: NewOrderParams) -> Self {
        Self {
            part: params.part,
            file_id: params.file,
            models: String::new(),
            parts_per_plate: "1".to_owned(),
            quantity: String::new(),
            title: String::new(),
            due_at: String::new(),
            priority: DEFAULT_PRIORITY.to_string(),
            judgement: String::new(),
        }
    }

    fn from_form(form: &FormData) -> Self {
        let text = |name| form.text(name).unwrap_or_default().to_owned();
        Self {
            part: text("part"),
            file_id: text("file_id"),
            models: text("models"),
            parts_per_plate: text("parts_per_plate"),
            quantity: text("quantity"),
            title: text("title"),
            due_at: text("due_at"),
            priority: text("priority"),
            judgement: text("judgement"),
        }
    }
}

pub(in crate::http::dashboard) async fn show_form(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    Query(params): Query<NewOrderParams>,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    render_form(&dashboard, &who, NewOrderFields::from_params(params), FormErrors::default()).await
}

/// Creates the order and opens its page. If a field is wrong, the page shows the form again.
pub(in crate::http::dashboard) async fn create(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Operator)?;
    let mut invalid = ValidationErrors::default();
    let request = parse_request(&form, dashboard.services.calendar(), &mut invalid);
    let errors = if !invalid.0.is_empty() {
        FormErrors::from_rules(&invalid.0)
    } else {
        match dashboard.services.create_order(&who, &request, false).await {
            Ok(created) => return Ok(Redirect::to(&order_path(created.view.counted.order.id)).into_response()),
            Err(error) => FormErrors::from_error(error)?,
        }
    };
    render_form(&dashboard, &who, NewOrderFields::from_form(&form), errors).await
}

fn parse_request(form: &FormData, calendar: Calendar, invalid: &mut ValidationErrors) -> OrderRequest {
    let text = |name| form.text(name).map(str::to_owned);
    let file_id: Option<Uuid> = form.text("file_id").and_then(|id| id.parse().ok());
    let parts_per_plate = parse_number(form, "parts_per_plate", invalid).unwrap_or(1);
    let models = form.text("models").unwrap_or_default().split(',').map(str::trim);
    let models: Vec<String> = models.filter(|model| !model.is_empty()).map(str::to_owned).collect();
    let plate = file_id.map(|file_id| PlateFile { file_id, models, parts_per_plate, estimated_print_time_s: None });
    OrderRequest {
        part: text("part"),
        files: plate.into_iter().collect(),
        title: text("title"),
        due_at: parse_local_time(form, "due_at", calendar, invalid),
        priority: parse_number(form, "priority", invalid).unwrap_or(DEFAULT_PRIORITY),
        judgement: form.text("judgement").and_then(Judgement::parse),
        ..OrderRequest::new(parse_required(form, "quantity", invalid))
    }
}

async fn render_form(
    dashboard: &Dashboard,
    who: &Principal,
    fields: NewOrderFields,
    errors: FormErrors,
) -> Result<Response, Failure> {
    let services = &dashboard.services;
    let parts = services.list_parts(who, &PartFilter::default(), None, MAX_PARTS).await?;
    let files = services.list_library(who, &FileFilter::default(), None, MAX_FILES).await?;
    let mut files: Vec<(String, String)> = files.into_iter().map(|file| (file.id.to_string(), file.name)).collect();
    // An older file, from the link on its page.
    let chosen = list_filters::non_empty(&fields.file_id).and_then(|id| id.parse::<Uuid>().ok());
    if let Some(id) = chosen.filter(|id| files.iter().all(|(known, _)| *known != id.to_string())) {
        files.insert(0, (id.to_string(), services.file(who, id).await?.name));
    }
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = NewOrderPage {
        frame: PageFrame::new(who, "queue"),
        fields,
        errors,
        parts: parts.into_iter().map(|part| (part.number, part.details.title)).collect(),
        files,
        zone: services.calendar().name(),
    };
    Ok((status, render_html(&page)?).into_response())
}
