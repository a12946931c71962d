//! The printer registry. The fleet follows each change (`registry.rs`).

use std::{sync::Arc, time::Duration};

use serde_json::json;
use uuid::Uuid;

use super::{
    Services,
    access::Principal,
    error::Error,
    printer_access::{AccessPatch, checked_access},
};
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, changed_fields, object_fields},
        camera::CameraPicture,
        message::Message,
        plate::Plate,
        printer::{Printer, PrinterDetails},
        printer_access::PrinterAccess,
        printer_profile::ProfilePatch,
        printer_tool::PrinterTool,
        production::ProductionPatch,
        reading::JobReading,
        state::{PrinterState, Reachability},
        validation::ValidationErrors,
    },
    fleet::view::LivePrinter,
    octoprint::RequestOptions,
    storage::{
        self,
        printers::{NewPrinter, PrinterFilter},
    },
};

/// Timeout of a read from a printer, because a user waits for the result.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts to store a patch without `If-Match` while other requests change the printer.
const PATCH_ATTEMPTS: u32 = 10;

/// A printer with its state in the fleet.
#[derive(Debug, Clone)]
pub struct PrinterView {
    pub printer: Printer,
    pub live: Arc<LivePrinter>,
}

/// A change of a printer: `None` keeps a value, `Some(None)` clears it.
// No Debug: it may contain secrets.
#[derive(Clone, Default)]
pub struct PrinterPatch {
    pub name: Option<String>,
    pub url: Option<String>,
    pub access: AccessPatch,
    pub tags: Option<Vec<String>>,
    pub enabled: Option<bool>,
    pub profile: ProfilePatch,
    pub production: Option<ProductionPatch>,
    /// All tools.
    pub tools: Option<Vec<PrinterTool>>,
}

impl PrinterPatch {
    /// Returns the lowest role that may apply the patch. Operators change the service state, and nothing else: not whether
    /// the planner may start prints.
    fn required_role(&self) -> Role {
        let Self { name, url, access, tags, enabled, profile, production, tools } = self;
        let changes_other = name.is_some() || url.is_some() || tags.is_some() || enabled.is_some() || tools.is_some();
        let is_production_only = production.as_ref().is_some_and(|production| production.auto.is_none())
            && !changes_other
            && access.is_empty()
            && *profile == ProfilePatch::default();
        if is_production_only { Role::Operator } else { Role::Manager }
    }
}

/// Filter of a list of printers.
#[derive(Debug, Clone, Default)]
pub struct PrinterQuery {
    pub tag: Option<String>,
    pub q: Option<String>,
    /// Compared with the last observed state.
    pub state: Option<PrinterState>,
    pub reachability: Option<Reachability>,
}

impl Services {
    /// Registers a printer, which may be switched off. Fails with `Invalid`, `name_taken` or `url_taken`.
    pub async fn register_printer(
        &self,
        who: &Principal,
        details: PrinterDetails,
        access: PrinterAccess,
    ) -> Result<PrinterView, Error> {
        who.require(Role::Manager)?;
        let (details, access) = check_new_printer(details, access)?;
        let new = self.new_printer(who, details, &access)?;
        self.change_registry(async {
            storage::printers::insert(&self.db, std::slice::from_ref(&new)).await.map_err(Error::from)
        })
        .await?;
        let printer = new.printer;
        self.apply_to_fleet(&[(printer.id, Some(printer.version))]).await;
        tracing::info!(printer.id = %printer.id, printer.name = %printer.details.name, by = %who.name, "printer registered");
        Ok(self.view_of(printer))
    }

    /// Returns the registry entry of a new printer. The details must be checked already.
    pub(super) fn new_printer(
        &self,
        who: &Principal,
        mut details: PrinterDetails,
        access: &PrinterAccess,
    ) -> Result<NewPrinter, Error> {
        let now = clock::now();
        details.copy_visible_access(access);
        let printer =
            Printer { id: clock::new_id(), details, attention: None, version: 1, created_at: now, updated_at: now };
        check_within_limit(who, &printer)?;
        let sealed = self.seal_access(printer.id, access)?;
        let mut audited = object_fields(&printer.details);
        audited.insert("api_key".to_owned(), json!(if access.api_key.is_some() { "set" } else { "none" }));
        for (name, is_set) in [
            ("proxy_password", access.proxy_auth.is_some()),
            ("headers", !access.headers.is_empty()),
            ("ca_certificate", access.ca_certificate.is_some()),
            ("camera_url", access.camera_url.is_some()),
        ] {
            if is_set {
                audited.insert(name.to_owned(), json!("set"));
            }
        }
        let entry = with_printer(printer.id, who.audit_entry(Action::PrinterRegistered, audited));
        Ok(NewPrinter { printer, sealed, entry })
    }

    /// Returns one printer. A printer that the principal may not see does not exist.
    pub async fn printer(&self, who: &Principal, id: Uuid) -> Result<PrinterView, Error> {
        let printer = storage::printers::get(&self.db, id).await?.filter(|printer| who.may_see(printer));
        let printer = printer.ok_or(Error::NotFound("printer"))?;
        self.fleet.mark_viewed(id);
        Ok(self.view_of(printer))
    }

    /// Returns the printer with this name. A printer that the principal may not see does not exist.
    pub async fn printer_by_name(&self, who: &Principal, name: &str) -> Result<PrinterView, Error> {
        let filter = PrinterFilter { visible_tags: who.visible_tags(), ..PrinterFilter::default() };
        // Names are unique, so the page that begins at this name begins with its printer.
        let from_name = Some((name.to_owned(), Uuid::nil()));
        let page = storage::printers::list_page(&self.db, &filter, from_name, 1).await?;
        let printer = page.into_iter().find(|printer| printer.details.name == name);
        Ok(self.view_of(printer.ok_or(Error::NotFound("printer"))?))
    }

    /// Returns whether a printer that the principal may see has this tag.
    pub async fn has_tag(&self, who: &Principal, tag: &str) -> Result<bool, Error> {
        let filter =
            PrinterFilter { tag: Some(tag.to_owned()), visible_tags: who.visible_tags(), ..PrinterFilter::default() };
        Ok(!storage::printers::list_page(&self.db, &filter, None, 1).await?.is_empty())
    }

    /// Fails if there is no such printer, or the principal may not see it.
    pub async fn check_printer(&self, who: &Principal, id: Uuid) -> Result<(), Error> {
        let tags = who.visible_tags();
        if tags.is_none() && self.fleet.view().get(id).is_some() {
            return Ok(());
        }
        let named = storage::printers::get_named(&self.db, &[id], tags.as_deref()).await?;
        named.iter().any(|printer| printer.visible).then_some(()).ok_or(Error::NotFound("printer"))
    }

    /// Returns the registry rows of these printers, for pages that follow the fleet. It checks no rights: the caller
    /// must check each printer with [`Principal::may_see`].
    pub async fn registered_printers(&self, ids: &[Uuid]) -> Result<Vec<Printer>, Error> {
        Ok(storage::printers::get_many(&self.db, ids).await?)
    }

    /// Returns every printer that a principal may see.
    pub async fn all_printers(&self, who: &Principal) -> Result<Vec<PrinterView>, Error> {
        let printers = storage::printers::list_printers(&self.db).await?;
        Ok(printers.into_iter().filter(|printer| who.may_see(printer)).map(|printer| self.view_of(printer)).collect())
    }

    /// Returns a page of printers by name, after `after`. If there are more, the page has one more than `limit`.
    pub async fn list_printers(
        &self,
        who: &Principal,
        list: &PrinterQuery,
        mut after: Option<(String, Uuid)>,
        limit: usize,
    ) -> Result<Vec<PrinterView>, Error> {
        let filter = PrinterFilter { tag: list.tag.clone(), q: list.q.clone(), visible_tags: who.visible_tags() };
        let chunk = i64::try_from(limit + 1).unwrap_or(i64::MAX).max(200);
        let mut found = Vec::new();
        // The current state is in memory only, so pages are read from the database until enough printers match.
        loop {
            let page = storage::printers::list_page(&self.db, &filter, after.take(), chunk).await?;
            let last = page.last().map(|printer| (printer.details.name.clone(), printer.id));
            let more = i64::try_from(page.len()).unwrap_or(i64::MAX) == chunk;
            let matching = page.into_iter().map(|printer| self.view_of(printer)).filter(|view| {
                list.state.is_none_or(|state| view.live.last_state == state)
                    && list.reachability.is_none_or(|reachability| view.live.reachability == reachability)
            });
            found.extend(matching);
            if found.len() > limit || !more {
                found.truncate(limit + 1);
                return Ok(found);
            }
            after = last;
        }
    }

    /// Changes a printer. `if_match` is the version that the client knows. Fails with `Stale` if the printer has
    /// another one.
    pub async fn patch_printer(
        &self,
        who: &Principal,
        id: Uuid,
        if_match: Option<i64>,
        patch: PrinterPatch,
    ) -> Result<PrinterView, Error> {
        who.require(patch.required_role())?;
        let printer = self.change_registry(self.store_patch(who, id, if_match, &patch)).await?;
        self.apply_to_fleet(&[(id, Some(printer.version))]).await;
        tracing::info!(printer.id = %id, printer.name = %printer.details.name, by = %who.name, "printer changed");
        Ok(self.view_of(printer))
    }

    /// Stores a patch on top of the newest version.
    async fn store_patch(
        &self,
        who: &Principal,
        id: Uuid,
        if_match: Option<i64>,
        patch: &PrinterPatch,
    ) -> Result<Printer, Error> {
        for _ in 0..PATCH_ATTEMPTS {
            if let Some(printer) = self.try_patch(who, id, if_match, patch.clone()).await? {
                return Ok(printer);
            }
        }
        Err(Error::Busy(Message::new("refusal-printer-keeps-changing")))
    }

    /// Tries to store a patch. None: another request changed the printer first.
    async fn try_patch(
        &self,
        who: &Principal,
        id: Uuid,
        if_match: Option<i64>,
        patch: PrinterPatch,
    ) -> Result<Option<Printer>, Error> {
        let (before, sealed) = self.sealed_printer(id).await?;
        if !who.may_see(&before) {
            return Err(Error::NotFound("printer"));
        }
        if if_match.is_some_and(|version| version != before.version) {
            return Err(Error::Stale);
        }
        let access = patch.access.clone();
        let details = apply_patch(before.details.clone(), patch);
        let mut printer = Printer { details, version: before.version + 1, updated_at: clock::now(), ..before.clone() };
        let mut changed = Vec::new();
        let secrets = self.patch_access(&mut printer, &sealed, access, &mut changed);
        let (details, secrets) = match (printer.details.clone().validate(), secrets) {
            (Err(mut errors), Err(Error::Invalid(more))) => {
                errors.0.extend(more.0);
                return Err(errors.into());
            }
            (details, secrets) => (details?, secrets?),
        };
        printer.details = details;
        check_within_limit(who, &printer)?;
        let mut changes = changed_fields(&json!(before.details), &json!(printer.details));
        changes.extend(changed.into_iter().map(|name| (name.to_owned(), json!("changed"))));
        let entry = with_printer(id, who.audit_entry(Action::PrinterChanged, changes));
        let is_stored = storage::printers::update(&self.db, &printer, before.version, secrets, &entry).await?;
        Ok(is_stored.then_some(printer))
    }

    /// Removes a printer. Its queued commands end as skipped, its sent ones as unknown. Their rows keep its name.
    pub async fn remove_printer(&self, who: &Principal, id: Uuid) -> Result<(), Error> {
        who.require(Role::Manager)?;
        let printer = self.printer(who, id).await?.printer;
        let entry = with_printer(id, who.audit_entry(Action::PrinterRemoved, object_fields(&printer.details)));
        let removal = storage::printers::remove(&self.db, id, clock::now(), &entry);
        let batches = self.change_registry(async { removal.await.map_err(Error::from) }).await?;
        batches.ok_or(Error::NotFound("printer"))?;
        self.apply_to_fleet(&[(id, None)]).await;
        tracing::info!(printer.id = %id, printer.name = %printer.details.name, by = %who.name, "printer removed");
        Ok(())
    }

    /// Reads the job of a printer now.
    pub async fn read_job(&self, who: &Principal, id: Uuid) -> Result<(PrinterView, JobReading), Error> {
        let view = self.printer(who, id).await?;
        let octoprint = self.client_for_printer(&view.printer).await?;
        let reading = octoprint.job().get(&RequestOptions::with_timeout(READ_TIMEOUT)).await?;
        self.fleet.request_reading(id);
        Ok((view, reading))
    }

    /// Fetches one picture from a printer's camera.
    pub async fn snapshot(&self, who: &Principal, id: Uuid) -> Result<CameraPicture, Error> {
        self.printer(who, id).await?;
        let (printer, sealed) = self.sealed_printer(id).await?;
        let access = self.open_access(&printer, &sealed)?;
        let octoprint = self.client_for_url(&printer.details.url, &access)?;
        let options = RequestOptions::with_timeout(READ_TIMEOUT);
        let picture = match &access.camera_url {
            Some(url) => {
                let url = url.parse().map_err(|_| Error::Internal("a stored camera address is broken".to_owned()))?;
                Some(octoprint.fetch_picture(&url, &options).await?)
            }
            None => octoprint.fetch_camera_picture(&options).await?,
        };
        picture.ok_or(Error::NotFound("camera"))
    }

    pub(crate) fn view_of(&self, printer: Printer) -> PrinterView {
        let live = self.fleet.view().get(printer.id).unwrap_or_else(|| {
            Arc::new(LivePrinter::unobserved(printer.id, PrinterState::Unknown, None, Plate::clear()))
        });
        PrinterView { printer, live }
    }
}

/// Fails if the printer is outside the principal's tag limit, so that a change never hides a printer from its editor.
pub(super) fn check_within_limit(who: &Principal, printer: &Printer) -> Result<(), ValidationErrors> {
    if who.may_see(printer) {
        Ok(())
    } else {
        Err(ValidationErrors::single("/tags", "outside_your_limit", "rule-tag-limit"))
    }
}

fn with_printer(id: Uuid, entry: AuditEntry) -> AuditEntry {
    AuditEntry { printer_ids: vec![id], ..entry }
}

/// Checks details and access, and collects the errors of both.
pub(super) fn check_new_printer(
    details: PrinterDetails,
    access: PrinterAccess,
) -> Result<(PrinterDetails, PrinterAccess), ValidationErrors> {
    match (details.validate(), checked_access(access)) {
        (Ok(details), Ok(access)) => Ok((details, access)),
        (Err(mut errors), Err(more)) => {
            errors.0.extend(more.0);
            Err(errors)
        }
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}

fn apply_patch(mut details: PrinterDetails, patch: PrinterPatch) -> PrinterDetails {
    fn set<T>(field: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *field = value;
        }
    }
    set(&mut details.name, patch.name);
    set(&mut details.url, patch.url);
    set(&mut details.tags, patch.tags);
    set(&mut details.enabled, patch.enabled);
    patch.profile.apply(&mut details.profile);
    if let Some(tools) = patch.tools {
        details.set_tools(tools);
    }
    details.production.apply(patch.production.unwrap_or_default(), clock::now());
    details
}
