//! Connections: accepted, encrypted where wished, served over HTTP/1 and HTTP/2 alike, and let go in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Bytes that a peer may send on HTTP/2 before it is told that they were read: some tensors are megabytes.
const WINDOW: u32 = 8 << 20;
/// Bytes of one frame of HTTP/2.
const FRAME: u32 = 1 << 20;
/// Requests at a time on one connection of HTTP/2.
const STREAMS: u32 = 256;
/// So long is waited where the system has no more sockets.
const PAUSE: Duration = Duration::from_millis(50);

/// Where and how requests are served.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    /// Connections at a time.
    pub(crate) connections: Arc<Semaphore>,
    /// The longest that a request's head, or a handshake, may take.
    pub(crate) head: Duration,
    /// No new connections any more, and those that are there end with the request that they are at.
    pub(crate) closing: CancellationToken,
}

impl Listening {
    /// Serves until it is told to close, and then until the last request is answered.
    pub(crate) async fn serve(self) {
        let graceful = GracefulShutdown::new();
        loop {
            let permit = tokio::select! {
                () = self.closing.cancelled() => break,
                permit = Arc::clone(&self.connections).acquire_owned() => permit,
            };
            let accepted = tokio::select! {
                () = self.closing.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // Answers are written in one piece: waiting for more of them gains nothing.
            let _ = stream.set_nodelay(true);
            let connection = Connection { peer, head: self.head, router: self.router.clone(), watcher: graceful.watcher() };
            let tls = self.tls.clone();
            tokio::spawn(async move {
                let _permit = permit;
                connection.serve(stream, tls).await;
            });
        }
        drop(self.listener);
        graceful.shutdown().await;
    }
}

struct Connection {
    peer: SocketAddr,
    head: Duration,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn serve(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.serve_plain(stream).await,
            Some(tls) => match tokio::time::timeout(self.head, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.serve_plain(stream).await,
                Ok(Err(error)) => tracing::debug!(%error, peer = %self.peer, "no TLS"),
                Err(_) => tracing::debug!(peer = %self.peer, "the TLS handshake took too long"),
            },
        }
    }

    async fn serve_plain<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.head);
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(2 * WINDOW)
            .max_frame_size(FRAME)
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(Some(self.head))
            .keep_alive_timeout(self.head);
        let peer = self.peer;
        let service = self.router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
        // What a peer does wrong on its own connection is nobody else's matter.
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, peer = %self.peer, "a connection ended");
        }
    }
}
