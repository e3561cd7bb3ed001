//! What is said instead of an answer, before a request reaches the part that it is for: in that part's form.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Side;
use crate::anylabeling;
use crate::app::App;
use crate::fault::{Fault, Reason};

/// The form of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A problem (RFC 9457).
    Problem,
    /// `{"error": …}`.
    Oip,
    /// X-AnyLabeling's.
    AnyLabeling,
    /// A status in the trailers.
    Grpc,
}

impl Form {
    fn of(side: Side, path: &str) -> Self {
        let is_oip = path.strip_prefix("/v2").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match side {
            Side::Grpc => Self::Grpc,
            Side::Http if is_oip => Self::Oip,
            Side::Http if anylabeling::is_of(path) => Self::AnyLabeling,
            Side::Http => Self::Problem,
        }
    }

    /// As accounts have it.
    fn protocol(self) -> &'static str {
        match self {
            Self::Problem => "rest",
            Self::Oip => "http",
            Self::AnyLabeling => anylabeling::PROTOCOL,
            Self::Grpc => "grpc",
        }
    }
}

/// Counts a refusal, and puts it into words for whoever asked for a path.
pub(super) fn refuse(app: &App, refused: Refused<'_>) -> Response {
    let Refused { side, path, fault } = refused;
    let form = Form::of(side, path);
    app.account_of_none(form.protocol()).fail(fault);
    let mut response = match form {
        Form::Problem => return fault.clone().into_response(),
        Form::AnyLabeling => anylabeling::refusal(fault),
        Form::Oip => (fault.reason.oip_status(), axum::Json(json!({ "error": fault.line() }))).into_response(),
        Form::Grpc => tonic::Status::new(fault.reason.grpc_code(), fault.line()).into_http::<Body>(),
    };
    let headers = response.headers_mut();
    if fault.reason == Reason::Unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(after) = fault.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    response
}

/// What is refused.
pub(super) struct Refused<'a> {
    pub(super) side: Side,
    pub(super) path: &'a str,
    pub(super) fault: &'a Fault,
}
