//! What the planner has read. It reads again only what changed.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    domain::{
        order::{OpenOrder, Order},
        planner::PlanFile,
        printer::Printer,
    },
    service::{Services, error::Error},
    storage::{self, orders::RowStamp, table_stamps::TableStamp},
};

/// Everything is read again after this time, whatever the stamps are: two changes can have the same time.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Printers, open orders, and the files of these orders.
#[derive(Default)]
pub(super) struct KeptFarm {
    read_at: Option<Instant>,
    printers_stamp: Option<TableStamp>,
    printers: HashMap<Uuid, Printer>,
    orders: HashMap<Uuid, KeptOrder>,
    files_stamp: Option<TableStamp>,
    /// By content.
    files: HashMap<String, PlanFile>,
}

struct KeptOrder {
    stamp: RowStamp,
    /// `None`: the order needs no more parts.
    open: Option<OpenOrder>,
}

impl KeptFarm {
    /// Reads what changed since the last call. After an error, the next call reads it.
    pub(super) async fn refresh(&mut self, services: &Services) -> Result<(), Error> {
        if self.read_at.is_none_or(|at| at.elapsed() >= KEPT_FOR) {
            *self = Self { read_at: Some(Instant::now()), ..Self::default() };
        }
        self.refresh_printers(services).await?;
        self.refresh_orders(services).await?;
        self.refresh_files(services).await
    }

    async fn refresh_printers(&mut self, services: &Services) -> Result<(), Error> {
        // Before the rows: a change between both is read twice.
        let stamp = storage::table_stamps::get_printers(&services.db).await?;
        if self.printers_stamp.as_ref() != Some(&stamp) {
            let printers = storage::printers::list_printers(&services.db).await?;
            self.printers = printers.into_iter().map(|printer| (printer.id, printer)).collect();
            self.printers_stamp = Some(stamp);
        }
        Ok(())
    }

    async fn refresh_orders(&mut self, services: &Services) -> Result<(), Error> {
        let stamps: HashMap<Uuid, RowStamp> =
            storage::orders::list_open_stamps(&services.db).await?.into_iter().collect();
        self.orders.retain(|id, kept| stamps.get(id) == Some(&kept.stamp));
        let missing = |id: &&Uuid| !self.orders.contains_key(*id);
        let changed: Vec<Uuid> = stamps.keys().filter(missing).copied().collect();
        if changed.is_empty() {
            return Ok(());
        }
        let open = storage::orders::list_open(&services.db, &changed).await?;
        let filled = changed.iter().filter_map(|id| Some((*id, KeptOrder { stamp: *stamps.get(id)?, open: None })));
        self.orders.extend(filled);
        for order in open {
            let id = order.counted.order.id;
            if let Some(kept) = self.orders.get_mut(&id) {
                kept.open = Some(order);
            }
        }
        Ok(())
    }

    async fn refresh_files(&mut self, services: &Services) -> Result<(), Error> {
        let stamp = storage::table_stamps::get_files(&services.db).await?;
        if self.files_stamp.as_ref() != Some(&stamp) {
            self.files.clear();
        }
        let files = self.open_orders().flat_map(|one| &one.counted.order.files);
        let needed: HashSet<String> = files.map(|file| file.sha256.clone()).collect();
        self.files.retain(|sha256, _| needed.contains(sha256));
        let missing: Vec<String> = needed.into_iter().filter(|sha256| !self.files.contains_key(sha256)).collect();
        if !missing.is_empty() {
            self.files.extend(services.read_plan_files(&missing).await?);
        }
        self.files_stamp = Some(stamp);
        Ok(())
    }

    /// Returns the open orders that need parts, in no particular order.
    pub(super) fn open_orders(&self) -> impl Iterator<Item = &OpenOrder> {
        self.orders.values().filter_map(|kept| kept.open.as_ref())
    }

    pub(super) fn order(&self, id: Uuid) -> Option<&Order> {
        Some(&self.orders.get(&id)?.open.as_ref()?.counted.order)
    }

    pub(super) fn printers(&self) -> &HashMap<Uuid, Printer> {
        &self.printers
    }

    /// Returns what is known of the files of the open orders, by content.
    pub(super) fn files(&self) -> &HashMap<String, PlanFile> {
        &self.files
    }
}
