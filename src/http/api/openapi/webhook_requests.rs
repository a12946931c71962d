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

const DESCRIPTION: &str = "Each event of the webhook's types is sent to its `url`, signed as Standard Webhooks specifies. \
    Verify the received body, byte for byte, with the secret that was shown when the webhook was created.\n\n\
    An event is sent at least once. After a lost response it is sent again with the same `webhook-id`, so store the ids of \
    handled events. Respond with any 2xx within 15 s, and do the work afterwards. Redirects are not followed. An event that \
    is not accepted is sent again after 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, and up to a fifth later. \
    `Retry-After` of 429 and 503 is respected. 410 disables the webhook, and so do 5 days without a successful delivery. Up \
    to 4 requests are sent to one receiver at once, so events may overtake each other. If the webhook is `ordered`, an \
    event that is not accepted delays the events after it until it is abandoned. `POST /webhooks/{id}/test` sends the type \
    `webhook.test`.";

/// Adds the request that a receiver gets.
pub fn add_webhook_request(document: &mut OpenApi) {
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
    let response = ResponseBuilder::new().description("Any 2xx: the event is accepted. The body is ignored.");
    let operation = OperationBuilder::new()
        .tag("webhooks")
        .operation_id(Some("receive_event"))
        .summary(Some("Receives an event"))
        .description(Some(DESCRIPTION))
        .parameter(header("webhook-id", "The id of the event, the same for each attempt."))
        .parameter(header("webhook-timestamp", "When this attempt was made, in seconds since 1970."))
        .parameter(header(
            "webhook-signature",
            "`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. While a secret is being replaced, there are two \
             signatures with a space between them, and one must match.",
        ))
        .request_body(Some(RequestBodyBuilder::new().content("application/json", body).required(Some(Required::True)).build()))
        .security(SecurityRequirement::default())
        .response("200", response)
        .build();
    let paths = PathsBuilder::new().path("event", PathItem::new(HttpMethod::Post, operation)).build();
    document.webhooks = Some(paths);
}
