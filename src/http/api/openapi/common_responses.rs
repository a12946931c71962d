//! Common parts of all operations in the OpenAPI document: errors, headers, list formats, examples.
//!
//! The handlers document what is specific to them. This module adds the rest.

use serde_json::{Map, Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        self, Components, ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{ArrayItems, Schema, Type},
    },
};

use super::{enum_docs, event_data};
use crate::http::api::{
    list::export::{CSV, NDJSON},
    openapi::printer_profile,
    problem::{MEDIA_TYPE, ProblemBody},
    request::effect::path_has_effect,
};

/// Example items, by the name of their schema.
const EXAMPLES: &str = include_str!("examples.json");
const SCHEMA_PREFIX: &str = "#/components/schemas/";
/// Paths whose POST has a body that may be left out.
const OPTIONAL_BODIES: [&str; 3] =
    ["/api/v1/printers/{id}/emergency-stop", "/api/v1/orders/{id}/cancel", "/api/v1/orders/{id}/short-close"];
/// Prefix of utoipa's schema names for pages.
const PAGE_PREFIX: &str = "Page_";

/// Rate limit headers, in every response to a token.
const RATE_LIMIT_HEADERS: [(&str, &str); 4] = [
    ("RateLimit-Limit", "Requests that this token may send at once (draft-ietf-httpapi-ratelimit-headers-06)."),
    ("RateLimit-Remaining", "Requests that this token may send now."),
    ("RateLimit-Reset", "Seconds until this token may send `RateLimit-Limit` requests at once again."),
    (
        "RateLimit-Policy",
        "The same limit in the format of draft-ietf-httpapi-ratelimit-headers-08 and later: `\"default\";q=200;w=4`.",
    ),
];

/// Adds the common parts to every operation.
pub fn add_common_parts(document: &mut OpenApi) {
    // OpenAPI has no equivalent of the router's `{*rest}` wildcard.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    enum_docs::add_enum_docs(document);
    let examples: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    for (path, item) in &mut document.paths.paths {
        if let Some(post) = item.post.as_mut().filter(|post| post.security.is_none() && path_has_effect(path)) {
            add_idempotency_key(post);
        }
        let optional_body = item.post.as_mut().filter(|_| OPTIONAL_BODIES.contains(&path.as_str()));
        if let Some(RefOr::T(body)) = optional_body.and_then(|post| post.request_body.as_mut()) {
            body.required = Some(Required::False);
        }
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            add_default_descriptions(operation);
            if operation.security.is_none() {
                add_problems(path, operation);
                add_headers(operation);
            }
            add_examples(operation, &examples);
        }
    }
    if let Some(components) = &mut document.components {
        components.headers.extend(
            RATE_LIMIT_HEADERS
                .map(|(name, description)| (name.to_owned(), rate_limit_header(name, description).into())),
        );
        name_pages(components);
        event_data::add_schemas(components);
        printer_profile::add_properties(components);
    }
}

/// Makes the items of a page reference the schema of the item, and names the page after it.
fn name_pages(components: &mut Components) {
    let schemas = std::mem::take(&mut components.schemas);
    components.schemas = schemas
        .into_iter()
        .map(|(name, mut schema)| {
            let Some(item) = name.strip_prefix(PAGE_PREFIX).map(str::to_owned) else { return (name, schema) };
            if let RefOr::T(Schema::Object(page)) = &mut schema {
                page.description = Some(format!("A page of a list, each item a `{item}`."));
                if let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") {
                    items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item.as_str()).into()));
                }
            }
            (format!("{item}Page"), schema)
        })
        .collect();
}

/// Adds a default description to each response without one. OpenAPI requires a description.
fn add_default_descriptions(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = match status.as_str() {
                "201" => "Created",
                "204" => "Done, without a body",
                _ => "Success",
            }
            .to_owned();
        }
    }
}

fn rate_limit_header(name: &str, description: &str) -> openapi::Header {
    let kind = if name == "RateLimit-Policy" { Type::String } else { Type::Integer };
    let schema = ObjectBuilder::new().schema_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

fn add_headers(operation: &mut Operation) {
    let is_wait = |parameter: &RefOr<_>| matches!(parameter, RefOr::T(Parameter { name, .. }) if name == "wait");
    let waits = operation.parameters.iter().flatten().any(is_wait);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with('2') || status == "429" {
            let rate_limit = RATE_LIMIT_HEADERS
                .map(|(name, _)| (name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))));
            response.headers.extend(rate_limit);
        }
        if response.content.contains_key(CSV) {
            let file_headers = [
                ("X-Next-Cursor", "`next_cursor` of a page in CSV or NDJSON."),
                ("Content-Disposition", "File name for CSV and NDJSON."),
            ];
            let text = |description: &str| {
                let schema = ObjectBuilder::new().schema_type(Type::String).build();
                HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build().into()
            };
            response.headers.extend(file_headers.map(|(name, description)| (name.to_owned(), text(description))));
            let other = if waits { "`wait`" } else { "`cursor`" };
            response.description = format!(
                "A page. As `{CSV}` or `{NDJSON}` (by `Accept`) without `limit` and {other}: the whole list as a file, \
                 which is cut off on an error. With one of them: one page as a file."
            );
        }
    }
}

/// Replaces generated schema names of pages and adds examples to responses.
fn add_examples(operation: &mut Operation, examples: &Map<String, Value>) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        for (media_type, content) in &mut response.content {
            let RefOr::T(content) = content else { continue };
            let Some(RefOr::Ref(schema)) = &mut content.schema else { continue };
            let name = schema.ref_location.trim_start_matches(SCHEMA_PREFIX).to_owned();
            let example = match name.strip_prefix(PAGE_PREFIX) {
                Some(item) => {
                    schema.ref_location = format!("{SCHEMA_PREFIX}{item}Page");
                    examples.get(item).map(|item| json!({"items": [item], "next_cursor": null}))
                }
                None => compose_example(&name, examples),
            };
            if media_type == "application/json" && content.example.is_none() {
                content.example = example;
            }
        }
    }
}

/// Returns an example by schema name. Some examples are composed of others.
fn compose_example(name: &str, examples: &Map<String, Value>) -> Option<Value> {
    let with = |base: &str, fields: Value| {
        let mut whole = examples.get(base)?.as_object()?.clone();
        whole.extend(fields.as_object()?.clone());
        Some(Value::Object(whole))
    };
    match name {
        "Batch" => with("BatchSummary", json!({"commands": [examples.get("CommandRow")?], "commands_next": null})),
        "EventPage" => {
            let event = examples.get("Event")?;
            Some(json!({"items": [event], "next_cursor": event.get("cursor")?}))
        }
        "WebhookWithSecret" => with("Webhook", json!({"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"})),
        "TokenCreated" => with("Token", json!({"token": "pyd_4hJk2…"})),
        "Sessions" => Some(json!({"items": [examples.get("Session")?]})),
        "OrdersCreated" => {
            let order = examples.get("Order")?;
            let problem = json!({
                "code": "order_conflict", "existing_id": order.get("id")?,
                "detail": "Another order has this source, external_ref and line, with other content.",
            });
            Some(json!({"items": [
                {"index": 0, "status": 201, "id": order.get("id")?, "order": order},
                {"index": 1, "status": 409, "problem": problem},
            ]}))
        }
        "PrintersCreated" => {
            let printer = examples.get("Printer")?;
            let problem = json!({"code": "name_taken", "detail": "Another printer has this name."});
            Some(json!({"items": [
                {"index": 0, "status": 201, "id": printer.get("id")?, "printer": printer},
                {"index": 1, "status": 409, "problem": problem},
            ]}))
        }
        other => examples.get(other).cloned(),
    }
}

/// Documents the `Idempotency-Key` header of a POST that has an effect.
fn add_idempotency_key(operation: &mut Operation) {
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Makes the request repeatable for 24 h. Use a new key for each request. A repeated request has no second effect. \
             Its response has the first status, the current resource and `Idempotent-Replayed: true`, and honours `Prefer`. A \
             refusal is not stored. Uploads are compared by their length only.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(255))
                .pattern(Some("^[!#-~]([ !#-~]*[!#-~])?$")),
        ))
        .example(Some(json!("MO/00412-start")))
        .build();
    operation.parameters.get_or_insert_default().push(key.into());
    let responses = &mut operation.responses.responses;
    let codes = [
        ("400", "`malformed_idempotency_key`, `idempotency_key_required`"),
        ("404", "`not_found`: the result of the first request with this key was removed"),
        (
            "409",
            "`request_in_progress`: the first request with this key has not ended; see `Retry-After`; \
             `replay_body_gone`: the request was executed, and its response is not kept any more",
        ),
        ("422", "`idempotency_key_reused`: the key was used for a different request"),
    ];
    for (status, code) in codes {
        match responses.get_mut(status) {
            Some(RefOr::T(own)) => own.description = format!("{}; {code}", own.description),
            Some(RefOr::Ref(_)) => {}
            None => drop(responses.insert(status.to_owned(), problem_response(code).into())),
        }
    }
    let replayed = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build();
    let replayed =
        HeaderBuilder::new().schema(Some(replayed)).description(Some("Response to an earlier request.")).build();
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            response.headers.insert("Idempotent-Replayed".to_owned(), replayed.clone().into());
        }
    }
}

fn add_problems(path: &str, operation: &mut Operation) {
    let body = match &operation.request_body {
        Some(RefOr::T(body)) => Some(body),
        Some(RefOr::Ref(_)) | None => None,
    };
    let takes = |media_type: &str| body.is_some_and(|body| body.content.keys().any(|key| key.contains(media_type)));
    let (json, form, has_body) = (takes("json"), takes("multipart"), body.is_some());
    let malformed = [
        (true, "`malformed_query`"),
        (path.contains('{'), "`malformed_path`"),
        (json, "`malformed_json`"),
        (form, "`malformed_multipart`"),
        (has_body, "`incomplete_body`"),
    ];
    let malformed: Vec<&str> = malformed.into_iter().filter_map(|(applies, code)| applies.then_some(code)).collect();
    let rule_codes = if has_body { "`invalid_query`, `invalid_input`" } else { "`invalid_query`" };
    let shared = [
        (true, "400", format!("{}: the request cannot be parsed", malformed.join(", "))),
        (true, "401", "`unauthenticated`: no valid token".to_owned()),
        (true, "403", "`forbidden`: the token's role does not allow this".to_owned()),
        (path.contains('{'), "404", "`not_found`, also for a path id that is no UUID".to_owned()),
        (has_body, "408", "`body_timeout`: the body did not arrive in time".to_owned()),
        (has_body, "413", "`too_large`".to_owned()),
        (has_body, "415", "`unsupported_media_type`".to_owned()),
        (true, "422", format!("{rule_codes}: well-formed, but breaks a rule; see `errors`")),
        (true, "429", "`rate_limited`: send fewer requests; see `Retry-After`".to_owned()),
        (true, "500", "`internal`: an error in the server; search its log for the request id".to_owned()),
        (
            true,
            "503",
            "`unavailable`, `overloaded`, `answer_timeout`: try again; see `Retry-After`. After `answer_timeout` the \
             request may have been executed"
                .to_owned(),
        ),
    ];
    for (applies, status, description) in shared {
        match operation.responses.responses.get_mut(status) {
            _ if !applies => {}
            // Descriptions that are specific to the operation come first.
            Some(RefOr::T(own)) => {
                let shared = problem_response(&format!("{}; {description}", own.description));
                (own.description, own.content) = (shared.description, shared.content);
            }
            Some(RefOr::Ref(_)) => {}
            None => {
                drop(operation.responses.responses.insert(status.to_owned(), problem_response(&description).into()))
            }
        }
    }
    let retry_after = ObjectBuilder::new().schema_type(Type::Integer).build();
    let retry_after =
        HeaderBuilder::new().schema(Some(retry_after)).description(Some("Seconds after which to try again.")).build();
    for status in ["429", "503"] {
        if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) {
            response.headers.insert("Retry-After".to_owned(), retry_after.clone().into());
        }
    }
}

/// Returns a response whose body is a problem.
pub fn problem_response(description: &str) -> openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build();
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build()
}
