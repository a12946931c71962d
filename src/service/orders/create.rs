//! Makes orders, at most one for each business key.

use std::collections::HashSet;

use uuid::Uuid;

use super::OrderView;
use crate::{
    clock,
    domain::{
        access::Role,
        audit::{Action, AuditEntry, object_fields},
        message::Message,
        order::{Order, OrderFile, OrderRequest},
        part::{Part, PlateFile},
        planner::Feasibility,
        printer::Printer,
        requirements::Requirements,
        validation::ValidationErrors,
    },
    service::{Services, access::Principal, error::Error, idempotency::fingerprint, parts::resolve_models},
    storage::{self, orders::OrderInsert},
};

/// Attempts to make an order while other requests use its business key.
const ATTEMPTS: usize = 3;

/// Result of [`Services::create_order`].
#[derive(Debug, Clone)]
pub struct CreatedOrder {
    pub view: OrderView,
    /// `false`: an earlier request with the same business key and content made the order.
    pub is_new: bool,
    pub feasibility: Feasibility,
}

impl Services {
    /// Makes an order. With the business key and the content of an earlier request, returns the order of that request.
    /// Fails with `Invalid`, `models_required`, `order_conflict` and, if asked for, `no_printer_can`.
    pub async fn create_order(
        &self,
        who: &Principal,
        request: &OrderRequest,
        require_feasible: bool,
    ) -> Result<CreatedOrder, Error> {
        who.require(Role::Operator)?;
        let printers = storage::printers::list_printers(&self.db).await?;
        self.create_one(who, request, require_feasible, &printers).await
    }

    /// Makes each of these orders as [`Services::create_order`] does, in the given order. Returns one result for each. The
    /// second value of each says whether a printer must be able to make it.
    pub async fn create_orders(
        &self,
        who: &Principal,
        requests: &[(OrderRequest, bool)],
    ) -> Result<Vec<Result<CreatedOrder, Error>>, Error> {
        who.require(Role::Operator)?;
        let printers = storage::printers::list_printers(&self.db).await?;
        let mut results = Vec::with_capacity(requests.len());
        for (request, require_feasible) in requests {
            results.push(self.create_one(who, request, *require_feasible, &printers).await);
        }
        Ok(results)
    }

    async fn create_one(
        &self,
        who: &Principal,
        request: &OrderRequest,
        require_feasible: bool,
        printers: &[Printer],
    ) -> Result<CreatedOrder, Error> {
        let mut invalid = ValidationErrors::default();
        request.check(&mut invalid);
        request.details(None).check(&mut invalid);
        invalid.into_result(())?;
        let fingerprint = request_fingerprint(request);
        for _ in 0..ATTEMPTS {
            if let Some(view) = self.find_made(who, request, &fingerprint).await? {
                let feasible = self.feasibility_among(&view.counted.order, printers).await?;
                return Ok(CreatedOrder { view, is_new: false, feasibility: feasible });
            }
            let order = self.build_order(who, request).await?;
            let feasible = self.feasibility_among(&order, printers).await?;
            if require_feasible && feasible.printers == 0 {
                let detail = Message::new("refusal-no-printer-can");
                return Err(Error::Unprocessable { code: "no_printer_can", detail });
            }
            let entry =
                AuditEntry { subject: Some(order.id), ..who.audit_entry(Action::OrderCreated, audited(&order)) };
            let new = [(order, fingerprint.clone(), entry)];
            if storage::orders::insert(&self.db, &new).await? == OrderInsert::Inserted {
                let [(order, ..)] = new;
                tracing::info!(order.id = %order.id, order.label = %order.label(), by = %who.name, "order made");
                return Ok(CreatedOrder {
                    view: self.order(who, order.id).await?,
                    is_new: true,
                    feasibility: feasible,
                });
            }
        }
        Err(Error::Busy(Message::new("refusal-order-being-made")))
    }

    /// Returns the order that an earlier request with this business key made. Fails if its content was different.
    async fn find_made(
        &self,
        who: &Principal,
        request: &OrderRequest,
        fingerprint: &[u8],
    ) -> Result<Option<OrderView>, Error> {
        let Some(key) = request.business_key() else { return Ok(None) };
        let Some((existing_id, first)) = storage::orders::find_by_key(&self.db, &key).await? else { return Ok(None) };
        let conflict = Error::OrderConflict { existing_id };
        if first != fingerprint {
            return Err(conflict);
        }
        match self.order(who, existing_id).await {
            Ok(view) => Ok(Some(view)),
            // It exists, and the principal may not see it.
            Err(Error::NotFound(_)) => Err(conflict),
            Err(error) => Err(error),
        }
    }

    async fn build_order(&self, who: &Principal, request: &OrderRequest) -> Result<Order, Error> {
        let part = match &request.part {
            Some(number) => {
                let found = storage::parts::get(&self.db, number).await?;
                Some(found.ok_or_else(|| ValidationErrors::single("/part", "not_found", "rule-part"))?)
            }
            None => None,
        };
        let details = request.details(part.as_ref());
        self.check_required_printers(who, &details.requirements).await?;
        let plates = part.as_ref().map_or(&request.files, |part| &part.details.files);
        let files = self.resolve_plates(plates).await?;
        let tag_limit: HashSet<String> = who.tags.iter().cloned().collect();
        let mut tag_limit: Vec<String> = tag_limit.into_iter().collect();
        tag_limit.sort();
        let now = clock::now();
        Ok(Order {
            id: clock::new_id(),
            source: request.source.clone(),
            external_ref: request.external_ref.clone(),
            line: request.line.clone(),
            part: request.part.clone(),
            part_revision: part.map(|part| part.details.revision),
            files,
            details,
            hold: None,
            ended_as: None,
            running: None,
            tag_limit,
            version: 1,
            created_at: now,
            updated_at: now,
            started_at: None,
            completed_at: None,
            attempts_since: None,
            created_by: who.name.clone(),
        })
    }

    /// Returns the files of an order, with the contents that they have now.
    pub(super) async fn resolve_plates(&self, plates: &[PlateFile]) -> Result<Vec<OrderFile>, Error> {
        let library = self.files_of_plates(plates).await?;
        let mut plates = plates.to_vec();
        resolve_models(&mut plates, &library)?;
        let files = plates.into_iter().filter_map(|plate| {
            let file = library.get(&plate.file_id)?;
            Some(OrderFile {
                file_id: file.id,
                sha256: file.content.sha256.clone(),
                name: file.name.clone(),
                print_size: file.content.print_size,
                models: plate.models,
                parts_per_plate: plate.parts_per_plate,
                estimated_print_time_s: plate.estimated_print_time_s.or(file.facts().estimated_print_time_s),
            })
        });
        Ok(files.collect())
    }

    /// Returns the part of an order, if it has this revision now.
    pub(super) async fn part_of_revision(&self, order: &Order, revision: &str) -> Result<Part, Error> {
        let unknown = || ValidationErrors::single("/part_revision", "not_found", "rule-part-revision");
        let Some(number) = &order.part else { return Err(unknown().into()) };
        let part = storage::parts::get(&self.db, number).await?;
        Ok(part.filter(|part| part.details.revision == revision).ok_or_else(unknown)?)
    }

    /// Checks that the printers that requirements name exist, and that the principal may see them.
    pub(in crate::service) async fn check_required_printers(
        &self,
        who: &Principal,
        requirements: &Requirements,
    ) -> Result<(), Error> {
        let ids = &requirements.printer_ids;
        if ids.is_empty() {
            return Ok(());
        }
        let found = storage::printers::get_many(&self.db, ids).await?;
        let visible: HashSet<Uuid> =
            found.iter().filter(|printer| who.may_see(printer)).map(|printer| printer.id).collect();
        let mut invalid = ValidationErrors::default();
        for (i, _) in ids.iter().enumerate().filter(|(_, id)| !visible.contains(id)) {
            invalid.add(format!("/requirements/printer_ids/{i}"), "not_found", "rule-printer-id");
        }
        Ok(invalid.into_result(())?)
    }
}

/// Returns what is compared when a business key is used again.
fn request_fingerprint(request: &OrderRequest) -> Vec<u8> {
    // Infallible for this type.
    fingerprint("POST", "/orders", &serde_json::to_string(request).unwrap_or_default())
}

fn audited(order: &Order) -> serde_json::Map<String, serde_json::Value> {
    let mut fields = object_fields(&order.details);
    fields.insert("order".to_owned(), order.label().into());
    fields.insert("external_ref".to_owned(), order.external_ref.clone().into());
    fields.insert("part".to_owned(), order.part.clone().into());
    fields.retain(|_, value| !value.is_null());
    fields
}
