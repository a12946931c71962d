//! Makes many orders: one request, one result per order.

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::{NewOrderBody, OrderBody};
use crate::{
    domain::{message::Message, validation::ValidationErrors},
    http::api::{
        middleware::{authentication::Operator, idempotency::NotStored},
        problem::{ItemProblem, Problem},
        request::{
            extract::{JsonBody, NoQuery},
            json::decode_json,
        },
    },
    service::{Services, orders::MAX_ORDERS},
};

/// The orders to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrders, example = json!({"items": [
    {"source": "odoo", "external_ref": "MO/00412", "line": "10", "quantity": 120, "part": "BRKT-7"},
    {"source": "odoo", "external_ref": "MO/00412", "line": "20", "quantity": 40, "part": "BRKT-8"},
]}))]
pub struct NewOrdersBody {
    /// From 1 to 500 orders, each with the fields of `POST /orders`.
    // Parsed one by one, so that an invalid item fails alone.
    #[schema(value_type = Vec<NewOrderBody>, min_items = 1, max_items = 500)]
    items: Vec<Box<RawValue>>,
}

/// The result for each order, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrdersCreated)]
pub struct OrdersCreatedBody {
    items: Vec<OrderCreatedItem>,
}

/// The result for one order: `id` and `order` if it was made now or before, `problem` if not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderCreated)]
struct OrderCreatedItem {
    /// Position in the request, from 0.
    index: usize,
    /// The status that `POST /orders` would return: 200, 201, 409 or 422. It is 503 if the database failed.
    #[schema(example = 201)]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    order: Option<OrderBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    problem: Option<ItemProblem>,
}

/// Makes many orders, each independently.
///
/// An invalid order does not affect the others.
#[utoipa::path(post, path = "/orders/bulk", tag = "orders", request_body = NewOrdersBody, responses(
    (status = MULTI_STATUS, description = "Each order has its own result", body = OrdersCreatedBody),
))]
pub async fn create_orders(
    who: Operator,
    _: NoQuery,
    State(services): State<Services>,
    JsonBody(body): JsonBody<NewOrdersBody>,
) -> Result<(StatusCode, Option<Extension<NotStored>>, Json<OrdersCreatedBody>), Problem> {
    let count = body.items.len();
    if !(1..=MAX_ORDERS).contains(&count) {
        let rule = Message::new("rule-item-count").with("max", MAX_ORDERS).with("count", count);
        return Err(ValidationErrors::single("/items", "length", rule).into());
    }
    let (mut valid, mut indexes, mut items) = (Vec::new(), Vec::new(), Vec::new());
    for (index, raw) in body.items.iter().enumerate() {
        match decode_json::<NewOrderBody>(raw.get().as_bytes()) {
            Ok(body) => {
                valid.push(body.into_request());
                indexes.push(index);
            }
            Err(problem) => items.push(refused_item(index, problem)),
        }
    }
    let results = services.create_orders(&who.0, &valid).await?;
    items.extend(indexes.into_iter().zip(results).map(|(index, result)| match result {
        Ok(created) => {
            let status = if created.is_new { StatusCode::CREATED } else { StatusCode::OK };
            let order = OrderBody::from(created);
            OrderCreatedItem { index, status: status.as_u16(), id: Some(order.id()), order: Some(order), problem: None }
        }
        Err(error) => refused_item(index, error.into()),
    }));
    items.sort_by_key(|item| item.index);
    // After a database failure, the same request with the same key is executed again. A response with refusals only is
    // not stored.
    let is_fresh = items.iter().any(|item| item.status >= 500) || items.iter().all(|item| item.problem.is_some());
    Ok((StatusCode::MULTI_STATUS, is_fresh.then_some(Extension(NotStored)), Json(OrdersCreatedBody { items })))
}

fn refused_item(index: usize, problem: Problem) -> OrderCreatedItem {
    let (status, problem) = problem.into_item(&format!("/items/{index}"));
    OrderCreatedItem { index, status: status.as_u16(), id: None, order: None, problem: Some(problem) }
}
