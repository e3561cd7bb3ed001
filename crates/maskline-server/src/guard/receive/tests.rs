use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, Request as HttpRequest, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;
use tower_http::decompression::RequestDecompressionLayer;

use super::super::testing::{app, json, text};
use super::*;
use crate::{Limits, ServerOptions, Times};

const KIB: usize = 1 << 10;
const PAUSE: Duration = Duration::from_secs(30);

fn limited(body: usize, memory: usize) -> Arc<App> {
    let limits = Limits { body, memory, ..Limits::default() };
    app(ServerOptions { limits, times: Times { client: PAUSE, ..Times::default() }, ..ServerOptions::default() })
}

/// Answers with the length of the body, and its hash.
async fn told(body: Bytes) -> String {
    format!("{} {}", body.len(), blake3::hash(&body).to_hex())
}

fn router(app: &Arc<App>) -> Router {
    let routes = Router::new().route("/v1/told", post(told)).route("/v2/told", post(told));
    routes.layer(DefaultBodyLimit::disable()).layer(from_fn_with_state(Arc::clone(app), receive))
}

/// A body in pieces, each after a pause; after the last one it ends, or never comes to an end.
struct Slow {
    pieces: std::collections::VecDeque<Bytes>,
    pause: Duration,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    is_endless: bool,
}

impl Slow {
    fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self { pieces: pieces.into_iter().collect(), pause: Duration::ZERO, sleep: None, is_endless: false }
    }

    fn endless() -> Self {
        Self { is_endless: true, ..Self::new([]) }
    }
}

impl hyper::body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pieces.is_empty() {
            return if self.is_endless { Poll::Pending } else { Poll::Ready(None) };
        }
        let pause = self.pause;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        std::task::ready!(sleep.as_mut().poll(context));
        self.sleep = None;
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

async fn send(router: Router, path: &str, headers: &[(HeaderName, String)], body: Slow) -> Response {
    let builder = HttpRequest::post(path);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    router.oneshot(builder.body(Body::new(body)).expect("a request")).await.expect("an answer")
}

fn length(length: usize) -> [(HeaderName, String); 1] {
    [(header::CONTENT_LENGTH, length.to_string())]
}

#[tokio::test(start_paused = true)]
async fn a_body_is_handed_on_whole_however_it_was_cut() {
    let bytes: Vec<u8> = (0..3 * STEP + 17).map(|at| (at * 31 % 251) as u8).collect();
    let expected = told(bytes.clone().into()).await;
    let app = limited(4 * STEP, 8 * STEP);
    for piece in [1000, 64 * KIB, STEP, bytes.len()] {
        for headers in [&length(bytes.len())[..], &[]] {
            let pieces = Slow::new(bytes.chunks(piece).map(Bytes::copy_from_slice));
            let response = send(router(&app), "/v1/told", headers, pieces).await;
            assert_eq!(text(response).await, expected, "pieces of {piece}");
        }
    }
    assert_eq!(text(send(router(&app), "/v1/told", &[], Slow::new([])).await).await, told(Bytes::new()).await);
    drop(app.pictures.room(8 * STEP as u64 - 1).await.expect("all room is free again"));
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_as_too_large_is_refused_before_it_is_read() {
    let app = limited(KIB, 64 * KIB);
    let response = send(router(&app), "/v1/told", &length(KIB + 1), Slow::endless()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.headers()[header::CONNECTION], "close");
    let problem = json(response).await;
    assert_eq!((problem["expected"].as_str(), problem["found"].as_str()), (Some("at most 1024 bytes"), Some("1025")));
    let oip = send(router(&app), "/v2/told", &length(usize::MAX), Slow::endless()).await;
    assert_eq!(oip.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(json(oip).await["error"].is_string());
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_met_to_the_byte_without_an_announcement() {
    let app = limited(KIB, 64 * KIB);
    let pieces = |count: usize| Slow::new(vec![Bytes::from(vec![7; 128]); count]);
    assert_eq!(send(router(&app), "/v1/told", &[], pieces(8)).await.status(), StatusCode::OK);
    assert_eq!(send(router(&app), "/v1/told", &[], pieces(9)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_for_what_comes_out_of_compression() {
    let app = limited(64 * KIB, 1024 * KIB);
    let packed = |length: usize| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![0; length]).expect("compressed");
        Bytes::from(encoder.finish().expect("compressed"))
    };
    let ask = |body: Bytes| {
        let headers = [(header::CONTENT_ENCODING, "gzip".to_owned()), (header::CONTENT_LENGTH, body.len().to_string())];
        let router = router(&app).layer(RequestDecompressionLayer::new());
        async move { send(router, "/v1/told", &headers, Slow::new([body])).await }
    };
    assert_eq!(text(ask(packed(64 * KIB)).await).await, told(vec![0; 64 * KIB].into()).await);
    let bomb = packed(32 << 20);
    assert!(bomb.len() < 64 * KIB);
    assert_eq!(ask(bomb).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let broken = packed(64 * KIB).slice(..20);
    assert_eq!(ask(broken).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_sending_is_not_waited_for() {
    let app = limited(64 * KIB, 1024 * KIB);
    let began = Instant::now();
    let silent = Slow { is_endless: true, ..Slow::new([Bytes::from_static(b"a beginning")]) };
    let response = send(router(&app), "/v1/told", &length(1000), silent).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(response.headers()[header::CONNECTION], "close");
    assert_eq!(json(response).await["type"], "/problems/slow_client");
    assert!((PAUSE..2 * PAUSE).contains(&began.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_slowly_but_steadily_is_heard_and_whoever_drips_is_not() {
    let app = limited(1024 * KIB, 4096 * KIB);
    let paced = |piece: usize| Slow { pause: PAUSE / 2, ..Slow::new(vec![Bytes::from(vec![1; piece]); 8]) };
    let steady = send(router(&app), "/v1/told", &[], paced(SLOWEST * 15)).await;
    assert_eq!(steady.status(), StatusCode::OK);
    let drip = send(router(&app), "/v1/told", &[], paced(1)).await;
    assert_eq!(drip.status(), StatusCode::REQUEST_TIMEOUT, "a byte before the end of each pause is no progress");
}

#[tokio::test(start_paused = true)]
async fn where_others_hold_all_room_the_body_is_refused_in_each_forms_way() {
    let app = limited(64 * KIB, 64 * KIB);
    let held = app.pictures.room(60 * KIB as u64).await.expect("room");
    let body = || Slow::new([Bytes::from(vec![0; 16 * KIB])]);
    let native = send(router(&app), "/v1/told", &[], body()).await;
    assert_eq!(native.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(native.headers()[header::RETRY_AFTER], "1");
    assert_eq!(send(router(&app), "/v2/told", &[], body()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(held);
    assert_eq!(send(router(&app), "/v1/told", &[], body()).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_room_is_held_until_the_answer_is_made_or_as_long_as_the_answer_wishes() {
    let app = limited(64 * KIB, 64 * KIB);
    let is_free = async |app: &App| app.pictures.room(32 * KIB as u64).await.is_ok();
    let state = Arc::clone(&app);
    let handler = move |room: axum::Extension<Room>, _: Bytes| async move {
        let free = is_free(&state).await;
        // An answer that goes on after its head takes the room along.
        (room, if free { "free" } else { "held" }).1
    };
    let router = Router::new().route("/v1/told", post(handler)).layer(from_fn_with_state(Arc::clone(&app), receive));
    let response = send(router, "/v1/told", &length(40 * KIB), Slow::new([Bytes::from(vec![0; 40 * KIB])])).await;
    assert_eq!(text(response).await, "held");
    drop(app.pictures.room(32 * KIB as u64).await.expect("free once it is answered"));
}

/// A router behind a port, as the server has it.
async fn listening(router: Router) -> (std::net::SocketAddr, tokio_util::sync::DropGuard) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let closing = tokio_util::sync::CancellationToken::new();
    let connections = Arc::new(tokio::sync::Semaphore::new(64));
    let listening = crate::listen::Listening { listener, tls: None, router, connections, head: PAUSE, closing: closing.clone() };
    tokio::spawn(listening.serve());
    (address, closing.drop_guard())
}

async fn sent(address: std::net::SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream
}

async fn answered(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let reading = tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await;
    reading.expect("the connection ends").expect("an answer");
    answer
}

#[tokio::test]
async fn a_refused_body_is_not_called_for_and_ends_its_connection() {
    let (address, _closing) = listening(router(&limited(KIB, 64 * KIB))).await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let head = format!("POST /v1/told HTTP/1.1\r\nHost: localhost\r\n{expect}Content-Length: 100000\r\n\r\n");
        let answer = answered(sent(address, &head).await).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[tokio::test]
async fn callers_that_vanish_leave_no_room_taken() {
    let (address, _closing) = listening(router(&limited(64 * KIB, 64 * KIB))).await;
    let head = format!("POST /v1/told HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", 60 * KIB);
    for _ in 0..8 {
        drop(sent(address, &(head.clone() + &"x".repeat(30 * KIB))).await);
    }
    let answer = answered(sent(address, &(head + &"x".repeat(60 * KIB))).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
