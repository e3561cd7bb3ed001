//! What the server answers instead of what was asked for: an engine's error with its fields, and what that means in each protocol.

use std::time::Duration;

use axum::http::StatusCode;
use maskline::{Error, ErrorKind};
use serde::Serialize;

/// Why there is no answer. Decides the status in each protocol; the fields of the [`Error`] say the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// What was sent cannot be answered, however often it is sent.
    BadRequest,
    /// No key, or a wrong one.
    Unauthorized,
    /// Not for this caller: a foreign host name, a picture's address that is not allowed.
    Forbidden,
    /// No such model, version, path, or picture that is held.
    NotFound,
    /// The path takes other methods.
    MethodNotAllowed,
    /// Not in the state that what is asked about is in.
    Conflict,
    /// No form of an answer that the caller accepts.
    NotAcceptable,
    /// Over a limit of sizes or counts.
    TooLarge,
    /// A body of a kind that is not read.
    UnsupportedMedia,
    /// The caller sent too slowly.
    SlowClient,
    /// Too many requests wait.
    Busy,
    /// The model is known, and cannot answer now.
    NotReady,
    /// The deadline passed.
    TimedOut,
    /// Whoever asked has gone.
    Cancelled,
    /// Not offered here.
    Unsupported,
    /// It failed on our side.
    Failed,
}

impl Reason {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::NotAcceptable,
        Self::TooLarge,
        Self::UnsupportedMedia,
        Self::SlowClient,
        Self::Busy,
        Self::NotReady,
        Self::TimedOut,
        Self::Cancelled,
        Self::Unsupported,
        Self::Failed,
    ];

    /// Stable name: that of metrics, and the end of a problem's type.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::NotAcceptable => "not_acceptable",
            Self::TooLarge => "too_large",
            Self::UnsupportedMedia => "unsupported_media",
            Self::SlowClient => "slow_client",
            Self::Busy => "busy",
            Self::NotReady => "not_ready",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Unsupported => "unsupported",
            Self::Failed => "failed",
        }
    }

    /// Of the native interface.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::Cancelled => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::SlowClient => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Of the Open Inference Protocol: a full queue and a passed deadline are 503, as Triton has it, and what has another form than
    /// expected is 400.
    pub(crate) fn oip_status(self) -> StatusCode {
        match self {
            Self::Busy | Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnsupportedMedia | Self::NotAcceptable => StatusCode::BAD_REQUEST,
            other => other.status(),
        }
    }

    /// Of gRPC.
    pub(crate) fn grpc_code(self) -> tonic::Code {
        match self {
            Self::BadRequest | Self::UnsupportedMedia | Self::NotAcceptable | Self::MethodNotAllowed | Self::TooLarge => {
                tonic::Code::InvalidArgument
            }
            Self::Unauthorized => tonic::Code::Unauthenticated,
            Self::Forbidden => tonic::Code::PermissionDenied,
            Self::Conflict => tonic::Code::FailedPrecondition,
            Self::NotFound => tonic::Code::NotFound,
            Self::Busy | Self::NotReady | Self::TimedOut | Self::SlowClient => tonic::Code::Unavailable,
            Self::Cancelled => tonic::Code::Cancelled,
            Self::Unsupported => tonic::Code::Unimplemented,
            Self::Failed => tonic::Code::Internal,
        }
    }
}

/// No answer, and why. Each protocol puts it into its own words.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    /// Boxed, so that results are small where nothing went wrong.
    pub(crate) error: Box<Error>,
    /// When it may be worth asking again.
    pub(crate) retry_after: Option<Duration>,
}

/// `Result` with a [`Fault`].
pub(crate) type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    pub(crate) fn new(reason: Reason, error: Error) -> Self {
        let retry_after = matches!(reason, Reason::Busy | Reason::NotReady).then_some(Duration::from_secs(1));
        Self { reason, error: Box::new(error), retry_after }
    }

    /// What was sent is wrong: `what` it is about, `expected` and `found`.
    pub(crate) fn bad(what: impl Into<String>, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Self {
        Self::new(Reason::BadRequest, Error::new(ErrorKind::BadInput, what).expecting(expected).but_found(found))
    }

    /// Over a limit.
    pub(crate) fn over(what: impl Into<String>, limit: impl std::fmt::Display, found: impl std::fmt::Display) -> Self {
        let error = Error::new(ErrorKind::OverLimit, what).expecting(format!("at most {limit}"));
        Self::new(Reason::TooLarge, error.but_found(found))
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Reason::NotFound, Error::new(ErrorKind::BadInput, message))
    }

    /// With the way out.
    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        *self.error = self.error.with_help(help);
        self
    }

    /// In one line, for protocols that have no fields.
    pub(crate) fn line(&self) -> String {
        self.error.to_string().replace("\n  in   ", " in ").replace("\n  help: ", "; ").replace("\n        ", " ")
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::BadInput | ErrorKind::InvalidOption => Reason::BadRequest,
            ErrorKind::OverLimit => Reason::TooLarge,
            ErrorKind::Busy => Reason::Busy,
            ErrorKind::TimedOut => Reason::TimedOut,
            ErrorKind::Cancelled => Reason::Cancelled,
            ErrorKind::Unavailable => Reason::NotReady,
            _ => Reason::Failed,
        };
        Self::new(reason, error)
    }
}

impl From<maskline::runtime::Error> for Fault {
    fn from(error: maskline::runtime::Error) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_name_of_its_own_and_statuses_that_say_whose_fault_it_is() {
        let names: std::collections::BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            let is_ours = matches!(reason, Reason::NotReady | Reason::TimedOut | Reason::Unsupported | Reason::Failed);
            assert_eq!(reason.status().is_server_error(), is_ours, "{reason:?}");
            assert_eq!(serde_json::to_value(reason).ok(), Some(reason.name().into()));
        }
        assert_eq!((Reason::Busy.status().as_u16(), Reason::Busy.oip_status().as_u16()), (429, 503));
    }

    #[test]
    fn an_error_with_all_its_fields_is_told_in_one_line() {
        let fault = Fault::bad("input `x`", "[2, 3]", "[2, 4]").with_help("send six numbers");
        assert_eq!(fault.line(), "input `x`: expected [2, 3], found [2, 4]; send six numbers");
        assert_eq!(Fault::from(Error::new(ErrorKind::Busy, "full")).retry_after, Some(Duration::from_secs(1)));
    }
}
