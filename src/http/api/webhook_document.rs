//! The section `webhooks` of the OpenAPI 3.1 document: the request that a receiver gets.

use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder, HttpMethod, ObjectBuilder, OpenApi, PathItem, PathsBuilder, Ref, Required, ResponseBuilder,
        Type,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        security::SecurityRequirement,
    },
};

use crate::domain::event_body::EventBody;

const DESCRIPTION: &str = "Each event that a webhook wants is sent to its `url`, signed by the specification of Standard \
    Webhooks: verify the body as it came, byte for byte, with the secret that was shown when the webhook was made.\n\n\
    An event is sent at least once: after a lost answer it comes again with the same `webhook-id`, so keep the ids of \
    what was handled. Answer any 2xx within 15 s, and do the work afterwards; redirects are not followed. What is not taken \
    is sent again after 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, and up to a fifth later; `Retry-After` of 429 \
    and 503 is respected. 410 switches the webhook off, and so do 5 days in which nothing gets through. Up to 4 requests go \
    to one receiver at once, so events may overtake each other unless the webhook is `ordered`: then an event that is \
    not taken holds up those behind it, until it is given up. `POST /webhooks/{id}/test` sends the type `webhook.test`.";

/// Adds the request that a receiver gets.
pub fn add(document: &mut OpenApi) {
    let header = |name: &str, text: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(text))
            .schema(Some(schema))
            .build()
    };
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name(EventBody::name()))).build();
    let answer = ResponseBuilder::new().description("Any 2xx: it is taken. The body is not looked at.");
    let operation = OperationBuilder::new()
        .tag("webhooks")
        .operation_id(Some("receive_event"))
        .summary(Some("Something happened"))
        .description(Some(DESCRIPTION))
        .parameter(header("webhook-id", "The id of the event, the same with each attempt."))
        .parameter(header("webhook-timestamp", "When this attempt was made, in seconds since 1970."))
        .parameter(header(
            "webhook-signature",
            "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. Two of them with a space between while a secret \
             is being replaced: one has to match.",
        ))
        .request_body(Some(RequestBodyBuilder::new().content("application/json", body).required(Some(Required::True)).build()))
        .security(SecurityRequirement::default())
        .response("200", answer)
        .build();
    let paths = PathsBuilder::new().path("event", PathItem::new(HttpMethod::Post, operation)).build();
    document.webhooks = Some(paths);
}
