//! Version, login, settings, timelapse and camera.

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{At, Body, Refused, gate::FORBIDDEN};
use crate::simulator::{bodies, picture};

/// `GET /api/version`.
pub async fn version(At(printer): At) -> Result<Json<Value>, Refused> {
    if printer.with(|inner, _| inner.rights.as_ref().is_some_and(|rights| rights.iter().all(|right| right != "STATUS")))
    {
        return Err(Refused::new(403, FORBIDDEN));
    }
    let version = bodies::version(printer.common().flavor);
    Ok(Json(json!({"api": "0.1", "server": version, "text": format!("OctoPrint {version}")})))
}

/// `GET /api/server`.
pub async fn server(At(printer): At) -> Json<Value> {
    Json(json!({"safemode": null, "version": bodies::version(printer.common().flavor)}))
}

/// `POST /api/login {"passive": true}`: returns the session for the event socket.
pub async fn login(At(printer): At, body: Body) -> Result<Json<Value>, Refused> {
    if !body.is_true("passive") {
        return Err(Refused::new(403, "User unknown or password incorrect"));
    }
    let rights = printer.with(|inner, _| inner.rights.clone());
    let roles: Vec<String> = match &rights {
        None => bodies::PERMISSIONS.iter().map(|key| key.to_lowercase()).collect(),
        Some(rights) => rights.iter().map(|right| right.to_lowercase()).collect(),
    };
    // A user of the group `users` has no permissions of their own (measured).
    let (group, own) = if rights.is_none() {
        (json!(["admins", "users"]), &bodies::PERMISSIONS[..])
    } else {
        (json!(["users"]), &[][..])
    };
    Ok(Json(json!({
        "_is_external_client": true,
        "_login_mechanism": "apikey",
        "active": true,
        "admin": rights.is_none(),
        "apikey": printer.api_key(),
        "groups": group,
        "name": "admin",
        "needs": {"group": group, "role": roles},
        "permissions": own,
        "roles": ["user", "admin"],
        "session": printer.new_session(),
        "settings": {},
        "user": true,
    })))
}

/// `GET /api/settings`, only with the parts that a farm reads.
pub async fn settings(At(printer): At) -> Json<Value> {
    let scripts = printer.with(|inner, _| inner.machine.scripts().clone());
    Json(json!({
        "appearance": {"color": "default", "name": printer.name()},
        "scripts": {"gcode": scripts},
        "webcam": bodies::webcam(printer.url()),
    }))
}

/// `POST /api/settings`: only the G-code scripts have an effect.
pub async fn change_settings(At(printer): At, body: Body) -> Json<Value> {
    if let Some(scripts) = body.0.pointer("/scripts/gcode").and_then(Value::as_object) {
        for (name, gcode) in scripts {
            printer.set_script(name, gcode.as_str().unwrap_or_default());
        }
    }
    settings(At(printer)).await
}

/// `GET /api/timelapse`.
pub async fn timelapse() -> Json<Value> {
    Json(json!({"config": {"type": "off"}, "enabled": true, "files": [], "unrendered": []}))
}

/// `GET /webcam/?action=snapshot`, without a key, like a camera beside OctoPrint.
pub async fn snapshot(At(printer): At) -> Response {
    let completion =
        printer.with(|inner, now| inner.machine.progress(now, None).map_or(0.0, |progress| progress.completion));
    ([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-store")], picture::snapshot(completion))
        .into_response()
}
