//! Bulk edit of tags: adds tags to the selected printers, and removes tags from them.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use crate::{
    domain::{access::Role, printer::parse_tags},
    http::dashboard::{
        Dashboard,
        batches::form,
        filters,
        form::FormData,
        messages::{t, t_with},
        page::{Failure, PageFrame, Visitor, form_errors, render_html},
    },
    service::{access::Principal, tags::TagChange},
};

/// Number of printer names that are shown.
const MAX_NAMES: usize = 40;

#[derive(Template)]
#[template(path = "printers/tags.html")]
struct TagsPage {
    frame: PageFrame,
    ids: Vec<Uuid>,
    names: Vec<String>,
    more_names: usize,
    /// Existing tags, each with its number of printers and whether it is ticked.
    tags: Vec<(String, usize, bool)>,
    add: String,
    errors: Vec<String>,
    /// The result of the change.
    done: Option<String>,
    back_path: String,
}

pub(in crate::http::dashboard) async fn edit(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: FormData,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let ids = if form.is_set("all") {
        form::matching_entries(&dashboard, &who, &form).await?.iter().map(|entry| entry.id()).collect()
    } else {
        form.ids("printer_id")
    };
    if ids.is_empty() {
        let text = t("failure-nothing-selected");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
    }
    let mut page = TagsPage {
        frame: PageFrame::new(&who, "farm"),
        ids,
        names: Vec::new(),
        more_names: 0,
        tags: Vec::new(),
        add: String::new(),
        errors: Vec::new(),
        done: None,
        back_path: form.back_path().to_owned(),
    };
    let mut remove = Vec::new();
    if form.text("act") == Some("save") {
        let retag = TagChange {
            add: parse_tags(form.text("add").unwrap_or_default()),
            remove: form.values("remove").map(str::to_owned).collect(),
        };
        match dashboard.services.retag_printers(&who, &page.ids, &retag).await {
            Ok(changed) => page.done = Some(describe_result(changed.len(), page.ids.len())),
            Err(error) => {
                page.errors = form_errors(error)?;
                page.add = retag.add.join(", ");
                remove = retag.remove;
            }
        }
    }
    page.load_tags(&dashboard, &who, &remove).await?;
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, render_html(&page)?).into_response())
}

impl TagsPage {
    /// Loads the current tags of the printers.
    async fn load_tags(&mut self, dashboard: &Dashboard, who: &Principal, ticked: &[String]) -> Result<(), Failure> {
        let mut printers = dashboard.services.registered_printers(&self.ids).await?;
        printers.retain(|printer| who.may_see(printer));
        self.ids = printers.iter().map(|printer| printer.id).collect();
        self.more_names = printers.len().saturating_sub(MAX_NAMES);
        self.names = printers.iter().take(MAX_NAMES).map(|printer| printer.details.name.clone()).collect();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for tag in printers.into_iter().flat_map(|printer| printer.details.tags) {
            *counts.entry(tag).or_default() += 1;
        }
        self.tags = counts.into_iter().map(|(tag, n)| (tag.clone(), n, ticked.contains(&tag))).collect();
        Ok(())
    }
}

fn describe_result(changed: usize, total: usize) -> String {
    let mut parts = vec![t_with("printer-tags-changed", &[("n", &changed)])];
    if changed < total {
        parts.push(t_with("printer-tags-unchanged", &[("n", &(total - changed))]));
    }
    parts.join(" ")
}
