//! Orders that slicers make: *Upload and print* is an order of one copy, never a start.

use super::CreatedOrder;
use crate::{
    domain::{
        file::LibraryFile,
        order::OrderRequest,
        part::{Part, PlateFile},
        printer::Printer,
        requirements::Requirements,
    },
    service::{Services, access::Principal, error::Error},
};

/// Source of the orders that slicers make.
const SOURCE: &str = "slicer";

/// Where an uploaded file is to be printed.
#[derive(Debug, Clone, Copy)]
pub enum PrintTarget<'a> {
    /// This printer only.
    Printer(&'a Printer),
    /// Any printer with this tag.
    Tag(&'a str),
    /// Any printer that meets the requirements of a part.
    Part(&'a Part),
}

impl Services {
    /// Makes an order of one copy of a file.
    pub async fn order_one_copy(
        &self,
        who: &Principal,
        file: &LibraryFile,
        target: PrintTarget<'_>,
    ) -> Result<CreatedOrder, Error> {
        self.create_order(who, &one_copy(file, target), false).await
    }
}

fn one_copy(file: &LibraryFile, target: PrintTarget<'_>) -> OrderRequest {
    let plain = PlateFile { file_id: file.id, models: Vec::new(), parts_per_plate: 1, estimated_print_time_s: None };
    let request = OrderRequest { source: SOURCE.to_owned(), title: Some(file.name.clone()), ..OrderRequest::new(1) };
    match target {
        PrintTarget::Printer(printer) => {
            // A file that names no model is for the printer that the user chose.
            let is_known = file.facts().printer_model.is_some();
            let models = printer.details.profile.model.iter().filter(|_| !is_known).cloned().collect();
            let requirements = Requirements { printer_ids: vec![printer.id], ..Requirements::default() };
            OrderRequest { files: vec![PlateFile { models, ..plain }], requirements: Some(requirements), ..request }
        }
        PrintTarget::Tag(tag) => {
            let requirements = Requirements { tags_all: vec![tag.to_owned()], ..Requirements::default() };
            OrderRequest { files: vec![plain], requirements: Some(requirements), ..request }
        }
        PrintTarget::Part(part) => match part.details.files.iter().find(|one| one.file_id == file.id) {
            Some(known) => OrderRequest {
                part: Some(part.number.clone()),
                title: None,
                quantity: known.parts_per_plate,
                ..request
            },
            None => OrderRequest {
                files: vec![plain],
                title: Some(part.details.title.clone()).filter(|title| !title.is_empty()).or(request.title.clone()),
                requirements: Some(part.details.requirements.clone()),
                judgement: Some(part.details.judgement),
                ..request
            },
        },
    }
}
