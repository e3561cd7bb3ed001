//! Answers in the tool's form: `{"success": true, "data": …}`, or what went wrong.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::fault::{Fault, Reason, Result};

/// What came of a request.
pub(super) struct Told<T>(pub(super) Result<T>);

impl<T: Serialize> IntoResponse for Told<T> {
    fn into_response(self) -> Response {
        match self.0 {
            Ok(data) => Json(json!({"success": true, "data": data})).into_response(),
            Err(fault) => refusal(&fault),
        }
    }
}

/// The answer where there is none.
pub(crate) fn refusal(fault: &Fault) -> Response {
    let error = json!({"code": code(fault.reason), "message": fault.line()});
    let mut response = (fault.reason.status(), Json(json!({"success": false, "error": error}))).into_response();
    if let Some(time) = fault.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
    }
    response
}

/// The tool's own words, where it has some.
fn code(reason: Reason) -> String {
    match reason {
        Reason::NotFound => "MODEL_NOT_FOUND".to_owned(),
        Reason::Busy => "QUEUE_FULL".to_owned(),
        Reason::Failed => "INFERENCE_ERROR".to_owned(),
        other => other.name().to_uppercase(),
    }
}
