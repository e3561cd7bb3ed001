//! The page: its files, as the binary carries them. It asks the native interface and nothing else.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

/// Where the page is.
const ROOT: &str = "/";
/// Its scripts, styles and pictures lie below this.
const BELOW: &str = "/page/";

/// Nothing is loaded from anywhere else, nothing is run that is no file of the page, and no other page can put it into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; \
                      connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The page's own files. While the code is worked on (with debug assertions) they are read from the folder anew each time.
#[derive(RustEmbed)]
#[folder = "page/static"]
struct Static;

/// The picture that can be tried without having one.
#[derive(RustEmbed)]
#[folder = "../../examples"]
#[include = "still-life.jpg"]
struct Samples;

/// The paths of the page.
pub(crate) fn routes() -> Router {
    Router::new().route(ROOT, get(file)).route(&format!("{BELOW}{{*path}}"), get(file))
}

/// Whether a path is one of the page, which is given to everybody: it asks for a key itself, and holds nothing that is not in the source.
pub(crate) fn is_of(path: &str) -> bool {
    path == ROOT || path.starts_with(BELOW)
}

async fn file(request: Request) -> Response {
    let path = request.uri().path();
    let name = if path == ROOT { "index.html" } else { path.strip_prefix(BELOW).unwrap_or_default() };
    let found = Static::get(name).or_else(|| name.strip_prefix("samples/").and_then(Samples::get));
    match found {
        Some(found) => answer(name, found, request.headers()),
        None => (StatusCode::NOT_FOUND, "the page has no such file\n").into_response(),
    }
}

/// The file, or that the browser has it already.
fn answer(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // One that was packed on its way carries a weak tag.
    let is_known = known.flat_map(|list| list.split(',')).any(|one| one.trim().trim_start_matches("W/") == tag);
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(file.data).into_response() };
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_TYPE, media(name)),
        // Always asked for anew, so that page and server are of one version.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

fn media(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "jpg" => "image/jpeg",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    async fn asked(path: &str, tag: Option<&HeaderValue>) -> Response {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse().expect("a path");
        request.headers_mut().extend(tag.map(|tag| (header::IF_NONE_MATCH, tag.clone())));
        routes().oneshot(request).await.expect("an answer")
    }

    #[tokio::test]
    async fn a_file_is_sent_once_and_then_known() {
        for path in ["/", "/page/main.js", "/page/style.css", "/page/samples/still-life.jpg"] {
            let first = asked(path, None).await;
            assert_eq!(first.status(), StatusCode::OK, "{path}");
            assert_eq!(first.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
            let again = asked(path, first.headers().get(header::ETAG)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        }
    }

    #[tokio::test]
    async fn nothing_else_can_be_read() {
        for path in ["/page/", "/page/../Cargo.toml", "/page/%2e%2e/%2e%2e/Cargo.toml", "/page//etc/passwd", "/page/samples/render.py"] {
            assert_eq!(asked(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn every_kind_of_file_has_a_media_type() {
        let all = Static::iter().chain(Samples::iter());
        let unknown: Vec<_> = all.filter(|name| media(name) == "application/octet-stream").collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
