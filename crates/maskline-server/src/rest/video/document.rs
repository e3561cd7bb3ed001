//! What the OpenAPI document tells of sessions.

use serde_json::{Map, Value, json};

use super::super::document::{JSON, ok, operation, reference, responses};
use super::super::format::LINES;

/// The paths of sessions.
pub(in super::super) fn paths() -> Map<String, Value> {
    let part = |name: &str, kind: &str, about: &str| json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": kind}});
    let (id, object) = (part("id", "string", "The session."), part("object", "integer", "The object's number."));
    let empty = |about: &str| json!({"204": {"description": about}});
    let body = |name: &str| json!({"required": true, "content": {JSON: {"schema": reference(name)}}});
    let place = json!({"description": "Where the session is.", "schema": {"type": "string"}});
    let opened = json!({"201": {
        "description": "It is open.", "headers": {"Location": place}, "content": {JSON: {"schema": reference("VideoSession")}},
    }});
    let about = "Open a session: a model follows objects from frame to frame";
    let mut open = operation("openVideo", about, responses(opened, &[400, 401, 403, 404, 413, 415, 429, 501, 503]));
    open["requestBody"] = json!({"content": {JSON: {"schema": reference("VideoRequest")}}});
    let about = "Say where an object is on the frame that was given last";
    let mut say = operation("promptVideo", about, responses(ok("VideoAnswer"), &[400, 401, 403, 404, 409, 413, 415, 429, 503, 504]));
    say["requestBody"] = body("VideoObjectRequest");
    let remove = operation("removeVideoObject", "Follow an object no longer", responses(empty("It is gone."), &[400, 401, 403, 404, 429]));
    let about = "Forget what was said of an object on the frame that was given last";
    let clear = operation("clearVideoObject", about, responses(empty("It is forgotten."), &[400, 401, 403, 404, 409, 429]));
    let about = "Forget all objects and frames";
    let reset = operation("resetVideo", about, responses(empty("All is forgotten."), &[401, 403, 404, 429]));
    let paths = json!({
        "/v1/video": {
            "get": operation("videos", "All sessions", responses(ok("VideoSessions"), &[401, 403])),
            "post": open,
        },
        "/v1/video/{id}": {
            "parameters": [id],
            "get": operation("video", "One session", responses(ok("VideoSession"), &[401, 403, 404])),
            "delete": operation("closeVideo", "Close a session", responses(empty("It is closed."), &[401, 403, 404])),
        },
        "/v1/video/{id}/frames": {"parameters": [id], "post": giving()},
        "/v1/video/{id}/objects": {"parameters": [id], "post": say},
        "/v1/video/{id}/objects/{object}": {"parameters": [id, object], "delete": remove},
        "/v1/video/{id}/objects/{object}/prompts": {"parameters": [id, object], "delete": clear},
        "/v1/video/{id}/reset": {"parameters": [id], "post": reset},
    });
    match paths {
        Value::Object(paths) => paths,
        _ => Map::new(),
    }
}

/// Giving frames.
fn giving() -> Value {
    let frame = json!({"schema": {"type": "string", "format": "binary"}});
    let query = |name: &str, schema: Value, about: &str| json!({"name": name, "in": "query", "description": about, "schema": schema});
    let flag = || json!({"type": "boolean"});
    let parameters = json!([
        query("index", json!({"type": "integer", "minimum": 0}), "Index of the frame, of several ones the first; left out, the next one."),
        query("track", flag(), "Whether the objects are followed onto it (they are, if nothing is said), or it is only gone to."),
        query("direction", reference("VideoDirection"), "Which way the video is gone through."),
        query("masks", flag(), "Whether answers hold masks (they do, if nothing is said)."),
        query("stream", flag(), "Answer as JSON lines, of one frame too."),
        query("timeout", json!({"type": "integer", "minimum": 1}), "Milliseconds for each answer."),
    ]);
    let told = "The objects on the frame; of several frames a line each, of which the first that fails is the last.";
    let good = json!({"200": {"description": told, "content": {
        JSON: {"schema": reference("VideoAnswer")}, LINES: {"schema": {"type": "string"}},
    }}});
    let about = "Give frames, and follow the objects onto them";
    let mut give = operation("giveFrames", about, responses(good, &[400, 401, 403, 404, 406, 408, 413, 415, 429, 503, 504]));
    give["parameters"] = parameters;
    let form = json!({"type": "object", "properties": {"image": {"type": "array", "items": frame["schema"]}}});
    give["requestBody"] = json!({"required": true, "content": {
        JSON: {"schema": reference("VideoFramesRequest")},
        "multipart/form-data": {"schema": form},
        "application/octet-stream": frame, "image/jpeg": frame, "image/png": frame,
    }});
    give
}
