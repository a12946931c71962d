//! Parts and orders of the demo, and the printers that take copies of them by themselves.

use chrono::{DateTime, TimeDelta, Utc};
use printyard::{
    domain::{
        audit::ActorKind,
        order::{Adjustment, OrderRequest},
        part::{Judgement, PartDetails, PlateFile},
        requirements::Requirements,
    },
    service::{Services, access::Principal},
};

use uuid::Uuid;

use super::plan::Situation;

/// A part of the farm's customers. Its position is that of its file.
struct CatalogPart {
    number: &'static str,
    title: &'static str,
    parts_per_plate: u32,
}

const CATALOG: [CatalogPart; 6] = [
    CatalogPart { number: "BRKT-7", title: "Bracket, left", parts_per_plate: 6 },
    CatalogPart { number: "STND-2", title: "Phone stand", parts_per_plate: 2 },
    CatalogPart { number: "FAN-11", title: "Fan housing", parts_per_plate: 1 },
    CatalogPart { number: "CHN-3", title: "Cable chain, 12 links", parts_per_plate: 3 },
    CatalogPart { number: "GEAR-48", title: "Gear, 48 teeth", parts_per_plate: 4 },
    CatalogPart { number: "GUIDE-5", title: "Drill guide", parts_per_plate: 2 },
];

/// An order of the demo.
struct PlannedOrder {
    part: &'static str,
    quantity: u32,
    /// Good parts that were counted before the demo begins.
    good: i32,
    external_ref: Option<&'static str>,
    due_hours: i64,
    priority: u32,
    /// A material that no printer has loaded.
    material: Option<&'static str>,
}

const ORDERS: [PlannedOrder; 5] = [
    PlannedOrder {
        part: "BRKT-7",
        quantity: 120,
        good: 78,
        external_ref: Some("MO/00412"),
        due_hours: 31,
        priority: 75,
        material: None,
    },
    PlannedOrder {
        part: "GEAR-48",
        quantity: 48,
        good: 20,
        external_ref: Some("MO/00415"),
        due_hours: 54,
        priority: 50,
        material: None,
    },
    PlannedOrder {
        part: "FAN-11",
        quantity: 12,
        good: 5,
        external_ref: Some("MO/00417"),
        due_hours: 100,
        priority: 50,
        material: None,
    },
    PlannedOrder {
        part: "STND-2",
        quantity: 30,
        good: 0,
        external_ref: None,
        due_hours: 150,
        priority: 25,
        material: None,
    },
    PlannedOrder {
        part: "GUIDE-5",
        quantity: 8,
        good: 0,
        external_ref: Some("MO/00420"),
        due_hours: 76,
        priority: 50,
        material: Some("PA-CF"),
    },
];

/// Returns whether a printer takes copies by itself. Those that are ready wait for a person, who tries to start them.
pub fn is_opted_in(situation: Situation) -> bool {
    match situation {
        Situation::Printing { .. } | Situation::PlateOccupied { .. } | Situation::PausedAtPrinter { .. } => true,
        Situation::Ready | Situation::Halted { .. } | Situation::Unreachable { .. } | Situation::KeyRefused => false,
    }
}

/// Stores a part for each file, in the order of the demo's files, and orders of some of them.
pub async fn store_orders(services: &Services, files: &[Uuid], now: DateTime<Utc>) -> anyhow::Result<()> {
    let anna = Principal { name: "Anna".to_owned(), ..Principal::server_admin(ActorKind::User) };
    let erp = Principal { name: "ERP".to_owned(), ..Principal::server_admin(ActorKind::Token) };
    for (part, file) in CATALOG.iter().zip(files) {
        let file = PlateFile {
            file_id: *file,
            models: Vec::new(),
            parts_per_plate: part.parts_per_plate,
            estimated_print_time_s: None,
        };
        let details = PartDetails {
            title: part.title.to_owned(),
            judgement: Judgement::Manual,
            files: vec![file],
            revision: "A".to_owned(),
            requirements: Requirements::default(),
        };
        services.put_part(&anna, part.number, None, details).await?;
    }
    for planned in &ORDERS {
        let request = OrderRequest {
            source: if planned.external_ref.is_some() { "odoo".to_owned() } else { String::new() },
            external_ref: planned.external_ref.map(str::to_owned),
            part: Some(planned.part.to_owned()),
            priority: planned.priority,
            due_at: Some(now + TimeDelta::hours(planned.due_hours)),
            requirements: planned
                .material
                .map(|material| Requirements { material: Some(material.to_owned()), ..Requirements::default() }),
            ..OrderRequest::new(planned.quantity)
        };
        let who = if planned.external_ref.is_some() { &erp } else { &anna };
        let created = services.create_order(who, &request, false).await?;
        if planned.good > 0 {
            let reason = "Counted before Printyard planned the farm".to_owned();
            let adjustment = Adjustment { good: planned.good, scrap: 0, reason };
            services.adjust_order(&anna, created.view.counted.order.id, adjustment).await?;
        }
    }
    Ok(())
}
