//! Errors as problem documents (RFC 9457).

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maskline::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::{Fault, Reason};
use crate::http::RequestId;

/// Why there is no answer.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "/problems/bad_request", "title": "What was sent cannot be answered", "status": 400,
    "detail": "prompt 0: expected a click inside the picture of 640 × 480, found 900, 12", "kind": "bad_input", "message": "prompt 0",
    "expected": "a click inside the picture of 640 × 480", "found": "900, 12"
}))]
pub(crate) struct Problem {
    /// The reason as a reference: `/problems/bad_request`, `/problems/busy`, …
    #[serde(rename = "type")]
    pub(crate) reason: String,
    /// The reason in words.
    pub(crate) title: String,
    /// HTTP's status, again.
    pub(crate) status: u16,
    /// What went wrong, in one line.
    pub(crate) detail: String,
    /// The request's id, where it has one: that of the log and of the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    #[serde(flatten)]
    pub(crate) told: Told,
}

/// An error, part by part.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Told {
    /// What went wrong, for programs: `bad_input`, `invalid_option`, `unavailable`, `over_limit`, `bad_answer`, `io`, `busy`, `timed_out`,
    /// `cancelled` or `failed`.
    #[schema(value_type = String)]
    pub(crate) kind: ErrorKind,
    /// What went wrong, or what it is about.
    pub(crate) message: String,
    /// The file or place that it is about.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// What was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<String>,
    /// What was found instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<String>,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl From<&Error> for Told {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            place: error.place().map(str::to_owned),
            expected: error.expected().map(str::to_owned),
            found: error.found().map(str::to_owned),
            help: error.help().map(str::to_owned),
        }
    }
}

impl From<&Fault> for Problem {
    fn from(fault: &Fault) -> Self {
        Self {
            reason: format!("/problems/{}", fault.reason.name()),
            title: title(fault.reason).to_owned(),
            status: fault.reason.status().as_u16(),
            detail: fault.line(),
            instance: None,
            told: Told::from(&*fault.error),
        }
    }
}

fn title(reason: Reason) -> &'static str {
    match reason {
        Reason::BadRequest => "What was sent cannot be answered",
        Reason::Unauthorized => "A key is missing or wrong",
        Reason::Forbidden => "Not allowed",
        Reason::NotFound => "Not found",
        Reason::MethodNotAllowed => "The path takes other methods",
        Reason::Conflict => "Not in this state",
        Reason::NotAcceptable => "No form of the answer is acceptable",
        Reason::TooLarge => "Over a limit",
        Reason::UnsupportedMedia => "The body is of a kind that is not read",
        Reason::SlowClient => "The request came too slowly",
        Reason::Busy => "Too many requests wait",
        Reason::NotReady => "The model cannot answer now",
        Reason::TimedOut => "The deadline passed",
        Reason::Cancelled => "The request was called off",
        Reason::Unsupported => "Not offered here",
        Reason::Failed => "It failed here",
    }
}

impl IntoResponse for Fault {
    /// A problem document, with `Retry-After` where asking again may help. The fault itself goes along as an extension, for whoever knows
    /// more of the request than what was wrong with it.
    fn into_response(self) -> Response {
        let mut response = (self.reason.status(), Json(Problem::from(&self))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM);
        if let Some(time) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
        }
        if self.reason.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Names the request in its problem document.
pub(crate) async fn name_instance(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let response = next.run(request).await;
    match (id, response.extensions().get::<Fault>()) {
        (Some(id), Some(fault)) => {
            let problem = Problem { instance: Some(id), ..Problem::from(fault) };
            // All of its headers stay, `Allow` among them.
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Json(problem).into_response().into_body())
        }
        _ => response,
    }
}
