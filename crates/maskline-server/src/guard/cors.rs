//! Pages that may ask from a browser.

use std::time::Duration;

use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, header};
use maskline::{Error, ErrorKind};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// So long a browser need not ask again whether it may ask.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Stands for every page.
const ANY: &str = "*";

/// What lets pages ask; `None` where no page may.
pub(super) fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    // Origins that are no header values were refused at the start.
    let listed = origins.iter().filter_map(|origin| HeaderValue::try_from(origin.to_ascii_lowercase()).ok());
    let allowed = if origins.iter().any(|origin| origin == ANY) { AllowOrigin::any() } else { AllowOrigin::list(listed) };
    let exposed = ["server-timing", "x-request-id", "inference-header-content-length"].map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.into_iter().chain([header::RETRY_AFTER, header::WWW_AUTHENTICATE]).collect::<Vec<_>>())
        .max_age(REMEMBERED);
    Some(layer)
}

/// Whether a page's origin is one of those.
pub(super) fn is_allowed(origins: &[String], origin: &str) -> bool {
    origins.iter().any(|allowed| allowed == ANY || allowed.eq_ignore_ascii_case(origin))
}

/// The host and port of an origin; `None` for what is no origin of the web.
pub(super) fn place(origin: &str) -> Option<&str> {
    origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
}

/// Refuses what no browser sends as an origin.
///
/// # Errors
/// `InvalidOption`.
pub(super) fn check_origin(origin: &str) -> maskline::Result<()> {
    let is_place = |place: &str| place.parse::<Authority>().is_ok_and(|authority| authority.as_str() == place) && !place.contains('@');
    if origin == ANY || place(origin).is_some_and(is_place) {
        return Ok(());
    }
    let expected = "scheme, host and port alone: `https://example.org`, `http://localhost:3000`, or `*`";
    Err(Error::new(ErrorKind::InvalidOption, "origin").expecting(expected).but_found(format!("`{}`", origin.escape_debug())))
}
