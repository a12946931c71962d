//! What people have to do for production, most urgent first. Made for the phone of a person between the shelves.

use askama::Template;
use axum::{
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use uuid::Uuid;

use super::order_path;
use crate::{
    http::dashboard::{
        Dashboard, filters,
        form::FormData,
        messages::{t, t_with},
        outlook::attention_id,
        page::{Failure, PageFrame, PathUuid, Visitor, render_html},
        time::TimeElement,
    },
    service::tasks::{Task, TaskKind},
};

/// A line of the page.
struct TaskRow {
    /// The id of its element. It stays the same while the task exists.
    id: String,
    kind: TaskKind,
    label: &'static str,
    icon: &'static str,
    printer: Option<(Uuid, String)>,
    order: Option<(String, String)>,
    /// More about the task.
    note: String,
    print_id: Option<Uuid>,
    since: Option<TimeElement>,
}

impl TaskRow {
    fn new(task: Task) -> Self {
        let (label, icon) = match task.kind {
            TaskKind::Attention => ("task-attention", "alert"),
            TaskKind::ClearPlate => ("task-clear-plate", "plate"),
            TaskKind::LoadMaterial => ("task-load-material", "tag"),
            TaskKind::Judge => ("task-judge", "done"),
        };
        let attention = task.attention.map(|reason| t(attention_id(reason)));
        let material = task.detail.map(|detail| t_with("task-material", &[("material", &detail)]));
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        Self {
            id: format!("task-{icon}-{}-{}", id(task.printer_id), id(task.copy_id.or(task.order_id))),
            kind: task.kind,
            label: t(label),
            icon,
            printer: task.printer_id.zip(task.printer_name),
            order: task.order_id.map(order_path).zip(task.order_label),
            note: attention.map(str::to_owned).or(material).unwrap_or_default(),
            print_id: task.print_id,
            since: task.since.map(TimeElement::date_and_time),
        }
    }
}

#[derive(Template)]
#[template(path = "orders/todo.html")]
struct TodoPage {
    frame: PageFrame,
    rows: Vec<TaskRow>,
}

/// Shows what people have to do.
pub(in crate::http::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
) -> Result<Html<String>, Failure> {
    let tasks = dashboard.services.list_tasks(&who).await?;
    render_html(&TodoPage { frame: PageFrame::new(&who, "queue"), rows: tasks.into_iter().map(TaskRow::new).collect() })
}

/// Ends the attention of a printer: a person has looked at it.
pub(in crate::http::dashboard) async fn clear_attention(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    PathUuid(id): PathUuid,
    form: FormData,
) -> Result<Response, Failure> {
    dashboard.services.clear_attention(&who, id).await?;
    Ok(Redirect::to(form.back_path()).into_response())
}
