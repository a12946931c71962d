//! Redirects to addresses without empty fields. A browser sends every field of a filter form, even an empty one.

use axum::{
    extract::Request,
    http::Method,
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::list_filters;

/// Responds with a redirect if fields of the query are empty.
pub(super) async fn drop_empty_fields(request: Request, next: Next) -> Response {
    let clean = request.uri().query().filter(|_| request.method() == Method::GET).and_then(|query| {
        let fields: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        let has_empty = fields.iter().any(|(_, value)| list_filters::non_empty(value).is_none());
        has_empty.then(|| list_filters::href(request.uri().path(), &fields))
    });
    match clean {
        Some(href) => Redirect::to(&href).into_response(),
        None => next.run(request).await,
    }
}
