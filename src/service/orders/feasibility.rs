//! How many printers can make an order.

use crate::domain::{
    fit::is_same_model,
    order::{Order, WaitingReason},
    printer::Printer,
};

/// Which printers can make an order, whether they are free or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feasibility {
    /// Number of printers that can make it.
    pub printers: u32,
    /// Why the others cannot.
    pub reasons: Vec<WaitingReason>,
}

/// Returns which of these printers can make an order.
pub(super) fn feasibility(order: &Order, printers: &[Printer]) -> Feasibility {
    let (mut able, mut wrong_model) = (0, 0);
    for printer in printers.iter().filter(|printer| is_in_scope(order, printer)) {
        let model = printer.details.profile.model.as_deref();
        let mut models = order.files.iter().flat_map(|file| &file.models);
        if model.is_some_and(|model| models.any(|one| is_same_model(one, model))) {
            able += 1;
        } else {
            wrong_model += 1;
        }
    }
    let reason = WaitingReason { code: "model".to_owned(), printers: wrong_model, detail: None, until: None };
    let reasons = Some(reason).filter(|reason| reason.printers > 0).into_iter().collect();
    Feasibility { printers: able, reasons }
}

/// Returns whether the order may use the printer at all.
fn is_in_scope(order: &Order, printer: &Printer) -> bool {
    let has = |tag: &String| printer.details.tags.contains(tag);
    let any = |tags: &[String]| tags.is_empty() || tags.iter().any(has);
    let required = &order.details.requirements;
    any(&order.tag_limit)
        && any(&required.tags_any)
        && required.tags_all.iter().all(has)
        && (required.printer_ids.is_empty() || required.printer_ids.contains(&printer.id))
}
