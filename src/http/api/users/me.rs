//! Returns the identity and rights of the token. Clients use it to test their token.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::access::Role,
    http::api::{middleware::authentication::Viewer, request::extract::NoQuery},
    service::Services,
};

/// Routes of this resource.
pub fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new().routes(routes!(get_me))
}

/// Identity and rights of the token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me, example = json!({"name": "erp", "kind": "token", "role": "operator", "tags": ["hall-a"]}))]
struct MeBody {
    name: String,
    /// `token`, or `admin_token` for the token in the server's settings.
    kind: &'static str,
    role: Role,
    /// Only printers with any of these tags; empty = all.
    tags: Vec<String>,
}

/// Returns the identity and rights of the token.
///
/// This is a way to test a token without changing anything.
#[utoipa::path(get, path = "/me", tag = "access", responses((status = OK, body = MeBody)))]
async fn get_me(who: Viewer, _: NoQuery) -> Json<MeBody> {
    let who = who.0;
    Json(MeBody { name: who.name, kind: who.kind.as_str(), role: who.role, tags: who.tags })
}
