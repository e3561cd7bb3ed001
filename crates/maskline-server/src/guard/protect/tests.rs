use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode, header};
use axum::routing::any;
use tower::ServiceExt;

use super::super::testing::{app, json, text};
use super::*;
use crate::{Access, Key};

const SECRET: &str = "0123456789abcdef";

fn keyed() -> Access {
    Access { keys: vec![Key::new(SECRET).expect("a key")], ..Access::default() }
}

fn router(access: Access, side: Side) -> Router {
    router_of(ServerOptions { access, ..ServerOptions::default() }, side)
}

fn router_of(options: ServerOptions, side: Side) -> Router {
    let app = app(options);
    let inside = Router::new().route("/{*path}", any(async || "inside")).fallback(async || (StatusCode::NOT_FOUND, "fallback"));
    protect(inside, &app, side)
}

/// A request with some headers, the method before the path.
fn request(line: &str, headers: &[(&str, &str)]) -> HttpRequest<Body> {
    let (method, path) = line.split_once(' ').expect("method and path");
    let builder = HttpRequest::builder().method(method).uri(path).header(header::HOST, "localhost:8000");
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(Body::empty()).expect("a request")
}

async fn ask(access: Access, asked: HttpRequest<Body>) -> Response {
    router(access, Side::Http).oneshot(asked).await.expect("an answer")
}

#[tokio::test]
async fn without_keys_everybody_on_this_machine_may_ask() {
    let response = ask(Access::default(), request("POST /v1/segment", &[])).await;
    assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::OK, "inside"));
}

#[tokio::test]
async fn with_keys_one_must_be_shown_and_all_failures_look_alike() {
    for (name, value) in [("authorization", format!("Bearer {SECRET}")), ("x-api-key", SECRET.into()), ("token", SECRET.into())] {
        assert_eq!(ask(keyed(), request("GET /v1/models", &[(name, &value)])).await.status(), StatusCode::OK);
    }
    let mut answers = std::collections::BTreeSet::new();
    for headers in [&[][..], &[("x-api-key", "0123456789abcdeg")], &[("authorization", "Basic eDp5")], &[("authorization", "Bearer")]] {
        let response = ask(keyed(), request("GET /v1/models", headers)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        answers.insert(text(response).await);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn the_page_is_given_without_a_key_where_there_is_one() {
    for path in ["/", "/page/main.js"] {
        let status = async |page: bool| {
            let options = ServerOptions { access: keyed(), page, ..ServerOptions::default() };
            router_of(options, Side::Http).oneshot(request(&format!("GET {path}"), &[])).await.expect("an answer").status()
        };
        // Without a page `/` is the fallback, which is covered too.
        assert_eq!(status(false).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_ne!(status(true).await, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(ask(keyed(), request("GET /pages", &[])).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn health_is_told_without_a_key_and_metrics_only_if_so_wished() {
    for path in ["/health", "/v2/health/live", "/v2/health/ready", "/x-anylabeling/health"] {
        assert_eq!(ask(keyed(), request(&format!("GET {path}"), &[])).await.status(), StatusCode::OK, "{path}");
    }
    for path in ["/metrics", "/v2", "/v2/models/m/ready", "/v2/health/../models", "/v2/health/live/", "//health", "/openapi.json"] {
        assert_eq!(ask(keyed(), request(&format!("GET {path}"), &[])).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let open = Access { has_open_metrics: true, ..keyed() };
    assert_eq!(ask(open, request("GET /metrics", &[])).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_has_the_form_of_what_was_asked() {
    let problem = ask(keyed(), request("GET /v1/models", &[])).await;
    assert_eq!(problem.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem = json(problem).await;
    assert_eq!(problem["type"], "/problems/unauthorized");
    assert_eq!((problem["status"].as_u64(), problem["kind"].as_str()), (Some(401), Some("bad_input")));
    assert!(problem["help"].as_str().is_some_and(|help| help.contains("X-Api-Key")), "{problem}");

    let oip = ask(keyed(), request("POST /v2/models/m/infer", &[])).await;
    assert_eq!(oip.headers()[header::CONTENT_TYPE], "application/json");
    let oip = json(oip).await;
    assert!(oip["error"].as_str().is_some_and(|error| error.contains("no key")), "{oip}");

    let tool = ask(keyed(), request("POST /x-anylabeling/v1/predict", &[("token", "")])).await;
    assert_eq!(tool.status(), StatusCode::UNAUTHORIZED);
    let tool = json(tool).await;
    assert_eq!((&tool["success"], tool["error"]["code"].as_str()), (&serde_json::json!(false), Some("UNAUTHORIZED")));

    let problem = json(ask(keyed(), request("GET /v2x", &[])).await).await;
    assert_eq!(problem["type"], "/problems/unauthorized");
}

#[tokio::test]
async fn over_grpc_a_refusal_is_a_status_and_health_is_open() {
    let asked = |path: &str, headers: &[(&str, &str)]| router(keyed(), Side::Grpc).oneshot(request(&format!("POST {path}"), headers));
    let refused = asked("/inference.GRPCInferenceService/ModelInfer", &[]).await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::OK);
    assert_eq!(refused.headers()["grpc-status"], "16");
    assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/grpc");
    let shown = asked("/inference.GRPCInferenceService/ModelInfer", &[("authorization", &format!("bearer {SECRET}"))]).await;
    assert_eq!(text(shown.expect("an answer")).await, "inside");
    for path in ["/grpc.health.v1.Health/Check", "/inference.GRPCInferenceService/ServerReady"] {
        assert_eq!(text(asked(path, &[]).await.expect("an answer")).await, "inside");
    }
    let foreign = asked("/inference.GRPCInferenceService/ServerLive", &[("host", "evil.example")]).await.expect("an answer");
    assert_eq!(foreign.headers()["grpc-status"], "7");
}

#[tokio::test]
async fn a_foreign_name_is_refused_even_with_a_key_and_for_health() {
    for (access, line) in [(Access::default(), "GET /v2/health/live"), (keyed(), "POST /v1/segment")] {
        let mut asked = request(line, &[("x-api-key", SECRET)]);
        asked.headers_mut().insert(header::HOST, "evil.example:8000".parse().expect("a value"));
        assert_eq!(ask(access, asked).await.status(), StatusCode::FORBIDDEN);
    }
    let mut asked = request("GET /v1/models", &[]);
    asked.headers_mut().insert(header::HOST, "masks.example.org".parse().expect("a value"));
    let named = Access { hosts: vec!["masks.example.org".into()], ..Access::default() };
    assert_eq!(ask(named, asked).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_page_of_elsewhere_changes_nothing_though_a_form_needs_no_leave_to_be_sent() {
    let form = [("origin", "https://evil.example"), ("content-type", "text/plain")];
    let response = ask(Access::default(), request("POST /v1/server/stop", &form)).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(json(response).await["found"], "`https://evil.example`");
    let own = [("origin", "http://localhost:8000")];
    assert_eq!(ask(Access::default(), request("POST /v1/segment", &own)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn no_page_is_told_that_it_may_ask_unless_it_was_named() {
    let preflight = |origin| {
        let headers =
            [("origin", origin), ("access-control-request-method", "POST"), ("access-control-request-headers", "x-api-key, content-type")];
        request("OPTIONS /v1/segment", &headers)
    };
    let closed = ask(Access::default(), preflight("https://lab.example")).await;
    assert!(!closed.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));

    let open = || Access { origins: vec!["https://Lab.example".into()], ..keyed() };
    let leave = ask(open(), preflight("https://lab.example")).await;
    assert_eq!(leave.status(), StatusCode::OK, "a browser asks for leave without a key");
    assert_eq!(leave.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://lab.example");
    assert_eq!(leave.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "x-api-key, content-type");
    assert!(!leave.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    let refused = ask(open(), preflight("https://evil.example")).await;
    assert!(!refused.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));

    let answer = ask(open(), request("POST /v1/segment", &[("origin", "https://lab.example"), ("x-api-key", SECRET)])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let exposed = answer.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text").to_owned();
    assert!(exposed.contains("server-timing") && exposed.contains("retry-after"), "{exposed}");
    let keyless = ask(open(), request("POST /v1/segment", &[("origin", "https://lab.example")])).await;
    assert_eq!(keyless.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(keyless.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://lab.example", "the page may read why");

    let any = Access { origins: vec!["*".into()], ..Access::default() };
    assert_eq!(ask(any, preflight("https://who.example")).await.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}
