//! What people have to do for production, most urgent first: plates, material, judgements, and printers under attention.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Services, access::Principal, error::Error, planner::Outlook, printers::PrinterView};
use crate::{
    domain::{
        attention::AttentionReason,
        command::string_enum,
        copy::{Copy, CopyFilter, CopyState, Quality},
        order::Order,
        planner::{PlanReason, WaitingOrder},
        plate::PlateState,
    },
    storage,
};

/// Maximum number of copies to be judged in the list.
const MAX_JUDGEMENTS: i64 = 500;

string_enum! {
    /// What a person has to do. In the order of the list: the most urgent first.
    TaskKind {
        /// Look at a printer that gets no work until then.
        Attention = "attention",
        /// Remove a print, and mark its plate as clear.
        ClearPlate = "clear_plate",
        /// Load a material that orders wait for.
        LoadMaterial = "load_material",
        /// Judge the parts of a finished copy.
        Judge = "judge",
    }
}

/// Something that a person has to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub kind: TaskKind,
    pub printer_id: Option<Uuid>,
    pub printer_name: Option<String>,
    pub order_id: Option<Uuid>,
    /// How people call the order.
    pub order_label: Option<String>,
    /// The copy to be judged.
    pub copy_id: Option<Uuid>,
    /// The print on the plate.
    pub print_id: Option<Uuid>,
    /// The material or the colour to be loaded.
    pub detail: Option<String>,
    pub attention: Option<AttentionReason>,
    pub since: Option<DateTime<Utc>>,
}

impl Task {
    fn new(kind: TaskKind, since: Option<DateTime<Utc>>) -> Self {
        Self {
            kind,
            printer_id: None,
            printer_name: None,
            order_id: None,
            order_label: None,
            copy_id: None,
            print_id: None,
            detail: None,
            attention: None,
            since,
        }
    }

    fn at_printer(kind: TaskKind, view: &PrinterView, since: Option<DateTime<Utc>>) -> Self {
        let (id, name) = (view.printer.id, view.printer.details.name.clone());
        Self { printer_id: Some(id), printer_name: Some(name), ..Self::new(kind, since) }
    }

    fn with_order(self, order: Option<&Order>) -> Self {
        Self { order_id: order.map(|order| order.id), order_label: order.map(Order::label), ..self }
    }
}

impl Services {
    /// Returns what people have to do: of each kind, the oldest first.
    pub async fn list_tasks(&self, who: &Principal) -> Result<Vec<Task>, Error> {
        let printers = self.all_printers(who).await?;
        let unknown_starts = self.find_unknown_starts(who, &printers).await?;
        let outlooks = self.outlooks();
        let mut tasks = Vec::new();
        for view in &printers {
            if let Some(attention) = view.printer.attention {
                let task = Task::at_printer(TaskKind::Attention, view, Some(attention.since));
                let task = task.with_order(unknown_starts.get(&view.printer.id));
                tasks.push(Task { attention: Some(attention.reason), ..task });
            }
            let is_printing = view.live.state.is_active();
            let is_unchecked = outlooks.get(&view.printer.id).is_some_and(Outlook::needs_plate_check);
            if !is_printing && (view.live.plate.state == PlateState::Occupied || is_unchecked) {
                let task = Task::at_printer(TaskKind::ClearPlate, view, view.live.plate.since);
                tasks.push(Task { print_id: view.live.plate.print_id, ..task });
            }
        }
        tasks.extend(self.list_judgements(who, &printers).await?);
        tasks.extend(self.list_materials(who).await?);
        tasks.sort_by_key(|task| (task.kind, task.since));
        Ok(tasks)
    }

    /// Returns the orders of copies whose start stays unknown, by printer. The printer gets no work before a person decides
    /// about the copy.
    async fn find_unknown_starts(
        &self,
        who: &Principal,
        printers: &[PrinterView],
    ) -> Result<HashMap<Uuid, Order>, Error> {
        let is_unknown = |view: &&PrinterView| {
            view.printer.attention.is_some_and(|attention| attention.reason == AttentionReason::StartUnknown)
        };
        let waiting: HashSet<Uuid> = printers.iter().filter(is_unknown).map(|view| view.printer.id).collect();
        if waiting.is_empty() {
            return Ok(HashMap::new());
        }
        let mut copies = self.active_copies(who).await?;
        copies.retain(|copy| waiting.contains(&copy.printer_id));
        let ids: Vec<Uuid> = copies.iter().map(|copy| copy.order_id).collect();
        let orders = storage::orders::get_many(&self.db, &ids).await?;
        let order_of = |copy: &Copy| orders.iter().find(|one| one.order.id == copy.order_id);
        Ok(copies.iter().filter_map(|copy| Some((copy.printer_id, order_of(copy)?.order.clone()))).collect())
    }

    async fn list_judgements(&self, who: &Principal, printers: &[PrinterView]) -> Result<Vec<Task>, Error> {
        let filter = CopyFilter {
            state: Some(CopyState::Finished),
            quality: Some(Quality::Unjudged),
            visible_tags: who.visible_tags(),
            ..CopyFilter::default()
        };
        let copies = storage::copies::list_page(&self.db, &filter, None, MAX_JUDGEMENTS).await?;
        let ids: Vec<Uuid> = copies.iter().map(|copy| copy.order_id).collect();
        let orders = storage::orders::get_many(&self.db, &ids).await?;
        let orders: HashMap<Uuid, Order> = orders.into_iter().map(|one| (one.order.id, one.order)).collect();
        let names: HashMap<Uuid, &str> =
            printers.iter().map(|view| (view.printer.id, view.printer.details.name.as_str())).collect();
        let task = |copy: Copy| {
            let task = Task::new(TaskKind::Judge, copy.finished_at).with_order(orders.get(&copy.order_id));
            let printer_name = names.get(&copy.printer_id).map(|name| (*name).to_owned());
            Task { printer_id: Some(copy.printer_id), printer_name, copy_id: Some(copy.id), ..task }
        };
        Ok(copies.into_iter().map(task).collect())
    }

    /// Returns the materials and colours that orders wait for, one task for each order.
    async fn list_materials(&self, who: &Principal) -> Result<Vec<Task>, Error> {
        let Some(latest) = self.planner.latest() else { return Ok(Vec::new()) };
        let missing: HashMap<Uuid, String> = latest.plan.waiting.iter().filter_map(missing_material).collect();
        let ids: Vec<Uuid> = missing.keys().copied().collect();
        let orders = storage::orders::get_many(&self.db, &ids).await?;
        let visible = orders.iter().map(|one| &one.order).filter(|order| order.is_visible_to(&who.tags));
        let task = |order: &Order| {
            let task = Task::new(TaskKind::LoadMaterial, Some(order.created_at)).with_order(Some(order));
            Task { detail: missing.get(&order.id).cloned(), ..task }
        };
        Ok(visible.map(task).collect())
    }
}

/// Returns what must be loaded for an order that only waits for material: no printer has it, or will be free with it.
fn missing_material(waiting: &WaitingOrder) -> Option<(Uuid, String)> {
    let is_material = |code: PlanReason| matches!(code, PlanReason::Material | PlanReason::Color);
    let will_come = |code: PlanReason| {
        matches!(
            code,
            PlanReason::Busy
                | PlanReason::PlateNotClear
                | PlanReason::PlateNeverCleared
                | PlanReason::BehindOthers
                | PlanReason::Starting
                | PlanReason::Uploading
                | PlanReason::Transferring
                | PlanReason::MaxPrinters
                | PlanReason::SurplusLimit
                | PlanReason::NotBefore
                | PlanReason::OnHold
                | PlanReason::AttemptsUsedUp
                | PlanReason::ProductionStopped
        )
    };
    if waiting.reasons.iter().any(|reason| will_come(reason.code)) {
        return None;
    }
    let missing = waiting.reasons.iter().filter(|reason| is_material(reason.code));
    let missing: Vec<&str> = missing.filter_map(|reason| reason.detail.as_deref()).collect();
    (!missing.is_empty()).then(|| (waiting.order, missing.join(", ")))
}
