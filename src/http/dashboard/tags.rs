//! Bulk edit of tags: adds tags to the selected printers, and removes tags from them.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use super::{
    Dashboard, batch_form, filters,
    form::Form,
    messages::{t, t_with},
    page::{Failure, Frame, Visitor, html},
    register::sentences,
};
use crate::{
    domain::{access::Role, printer::tags_of},
    service::{access::Principal, tags::Retag},
};

/// Number of printer names that are shown.
const NAMES: usize = 40;

#[derive(Template)]
#[template(path = "printers/tags.html")]
struct TagsPage {
    frame: Frame,
    ids: Vec<Uuid>,
    names: Vec<String>,
    more: usize,
    /// Existing tags, each with its number of printers and whether it is ticked.
    tags: Vec<(String, usize, bool)>,
    add: String,
    errors: Vec<String>,
    /// The result of the change.
    done: Option<String>,
    back: String,
}

pub(super) async fn edit(
    State(dashboard): State<Dashboard>,
    Visitor(who): Visitor,
    form: Form,
) -> Result<Response, Failure> {
    who.require(Role::Manager)?;
    let ids = if form.is_set("all") {
        batch_form::matching(&dashboard, &who, &form).await?.iter().map(|entry| entry.id()).collect()
    } else {
        form.ids("printer_id")
    };
    if ids.is_empty() {
        let text = t("failure-no-printer-selected-tick");
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "word-nothing-done", text));
    }
    let mut page = TagsPage {
        frame: Frame::of(&who, "farm"),
        ids,
        names: Vec::new(),
        more: 0,
        tags: Vec::new(),
        add: String::new(),
        errors: Vec::new(),
        done: None,
        back: form.back().to_owned(),
    };
    let mut remove = Vec::new();
    if form.text("act") == Some("save") {
        let retag = Retag {
            add: tags_of(form.text("add").unwrap_or_default()),
            remove: form.all("remove").map(str::to_owned).collect(),
        };
        match dashboard.services.retag_printers(&who, &page.ids, &retag).await {
            Ok(changed) => page.done = Some(said(changed.len(), page.ids.len())),
            Err(error) => {
                page.errors = sentences(error)?;
                page.add = retag.add.join(", ");
                remove = retag.remove;
            }
        }
    }
    page.show(&dashboard, &who, &remove).await?;
    let status = if page.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, html(&page)?).into_response())
}

impl TagsPage {
    /// Loads the current tags of the printers.
    async fn show(&mut self, dashboard: &Dashboard, who: &Principal, ticked: &[String]) -> Result<(), Failure> {
        let mut printers = dashboard.services.registered(&self.ids).await?;
        printers.retain(|printer| who.may_see(printer));
        self.ids = printers.iter().map(|printer| printer.id).collect();
        self.more = printers.len().saturating_sub(NAMES);
        self.names = printers.iter().take(NAMES).map(|printer| printer.details.name.clone()).collect();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for tag in printers.into_iter().flat_map(|printer| printer.details.tags) {
            *counts.entry(tag).or_default() += 1;
        }
        self.tags = counts.into_iter().map(|(tag, n)| (tag.clone(), n, ticked.contains(&tag))).collect();
        Ok(())
    }
}

fn said(changed: usize, of: usize) -> String {
    let mut said = vec![t_with("printer-printer-changed", &[("n", &changed)])];
    if changed < of {
        said.push(t_with("printer-had-tags-so-already", &[("n", &(of - changed))]));
    }
    said.join(" ")
}
