//! Version, login, settings, timelapse and camera.

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    extract::{ErrorResponse, JsonBody, RequestPrinter},
    request_middleware::FORBIDDEN_TEXT,
};
use crate::simulator::{bodies, camera_picture};

/// `GET /api/version`.
pub async fn get_version(RequestPrinter(printer): RequestPrinter) -> Result<Json<Value>, ErrorResponse> {
    if printer.with_inner(|inner, _| {
        inner
            .permissions
            .as_ref()
            .is_some_and(|permissions| permissions.iter().all(|permission| permission != "STATUS"))
    }) {
        return Err(ErrorResponse::new(403, FORBIDDEN_TEXT));
    }
    let version = bodies::reported_version(printer.context().flavor);
    Ok(Json(json!({"api": "0.1", "server": version, "text": format!("OctoPrint {version}")})))
}

/// `GET /api/server`.
pub async fn get_server(RequestPrinter(printer): RequestPrinter) -> Json<Value> {
    Json(json!({"safemode": null, "version": bodies::reported_version(printer.context().flavor)}))
}

/// `POST /api/login {"passive": true}`: returns the session for the event socket.
pub async fn log_in(RequestPrinter(printer): RequestPrinter, body: JsonBody) -> Result<Json<Value>, ErrorResponse> {
    if !body.is_true("passive") {
        return Err(ErrorResponse::new(403, "User unknown or password incorrect"));
    }
    let permissions = printer.with_inner(|inner, _| inner.permissions.clone());
    let roles: Vec<String> = match &permissions {
        None => bodies::PERMISSIONS.iter().map(|key| key.to_lowercase()).collect(),
        Some(permissions) => permissions.iter().map(|permission| permission.to_lowercase()).collect(),
    };
    // A user of the group `users` has no permissions of their own (measured).
    let (group, own_permissions) = if permissions.is_none() {
        (json!(["admins", "users"]), &bodies::PERMISSIONS[..])
    } else {
        (json!(["users"]), &[][..])
    };
    Ok(Json(json!({
        "_is_external_client": true,
        "_login_mechanism": "apikey",
        "active": true,
        "admin": permissions.is_none(),
        "apikey": printer.api_key(),
        "groups": group,
        "name": "admin",
        "needs": {"group": group, "role": roles},
        "permissions": own_permissions,
        "roles": ["user", "admin"],
        "session": printer.new_session(),
        "settings": {},
        "user": true,
    })))
}

/// `GET /api/settings`, only with the parts that a farm reads.
pub async fn get_settings(RequestPrinter(printer): RequestPrinter) -> Json<Value> {
    let scripts = printer.with_inner(|inner, _| inner.machine.scripts().clone());
    Json(json!({
        "appearance": {"color": "default", "name": printer.name()},
        "scripts": {"gcode": scripts},
        "webcam": bodies::webcam_settings(printer.url()),
    }))
}

/// `POST /api/settings`: only the G-code scripts have an effect.
pub async fn change_settings(RequestPrinter(printer): RequestPrinter, body: JsonBody) -> Json<Value> {
    if let Some(scripts) = body.0.pointer("/scripts/gcode").and_then(Value::as_object) {
        for (name, gcode) in scripts {
            printer.set_script(name, gcode.as_str().unwrap_or_default());
        }
    }
    get_settings(RequestPrinter(printer)).await
}

/// `GET /api/timelapse`.
pub async fn get_timelapse() -> Json<Value> {
    Json(json!({"config": {"type": "off"}, "enabled": true, "files": [], "unrendered": []}))
}

/// `GET /webcam/?action=snapshot`, without a key, like a camera beside OctoPrint.
pub async fn get_snapshot(RequestPrinter(printer): RequestPrinter) -> Response {
    let completion =
        printer.with_inner(|inner, now| inner.machine.progress(now, None).map_or(0.0, |progress| progress.completion));
    (
        [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")],
        camera_picture::render_snapshot(completion),
    )
        .into_response()
}
