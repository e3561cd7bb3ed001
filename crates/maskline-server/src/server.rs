//! The life of the server: open at once, ready when it is warm, and gone only when the last answer is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use maskline::{Engine, Error, ErrorKind};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::listen::Listening;
use crate::models::{Models, State};
use crate::options::{Repository, ServerOptions};
use crate::pictures::Pictures;
use crate::video::Sessions;

/// How often the server looks whether a model is idle.
const LOOKS: std::time::Duration = std::time::Duration::from_secs(1);

/// What the server is made from, beside its options.
pub struct Parts {
    /// Makes the engine; called once the ports are open, as it may fetch ONNX Runtime.
    pub engine: Box<dyn FnOnce() -> maskline::Result<Engine> + Send>,
    /// Models by name.
    pub repository: Arc<dyn Repository>,
}

/// A server whose ports are open.
pub struct Server {
    app: Arc<App>,
    engine: Box<dyn FnOnce() -> maskline::Result<Engine> + Send>,
    http: TcpListener,
    grpc: Option<TcpListener>,
    tls: Option<tokio_rustls::TlsAcceptor>,
    closing: CancellationToken,
}

/// Tells a server to end. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop {
    ending: CancellationToken,
    closing: CancellationToken,
}

impl Stop {
    /// Says "not ready", goes on for [`Times::notice`](crate::Times), then finishes what was accepted.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Takes nothing more from now on, and finishes what was accepted.
    pub fn close(&self) {
        self.ending.cancel();
        self.closing.cancel();
    }

    /// Whether it was told to end.
    pub fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }
}

impl Server {
    /// Opens the ports. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `InvalidOption` for an address that others reach without a key, and for keys and certificates that cannot be used; `Io` for a port
    /// that cannot be opened.
    pub async fn open(mut options: ServerOptions, parts: Parts) -> maskline::Result<Self> {
        options.access.check(&options)?;
        let tls = options.access.tls.as_ref().map(crate::guard::Tls::acceptor).transpose()?;
        let http = listen(options.http).await?;
        let grpc = match options.grpc {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        // Where port 0 was wished, the one that was found.
        options.http = http.local_addr().unwrap_or(options.http);
        options.grpc = grpc.as_ref().and_then(|listener| listener.local_addr().ok()).or(options.grpc);
        let ending = CancellationToken::new();
        let models = Arc::new(Models::new(parts.repository, options.limits.queue, Sessions::new(options.video.clone())));
        options.models.iter().for_each(|spec| drop(models.add(spec.clone(), true)));
        let pictures = Pictures::new(&options.limits);
        let app = Arc::new(App { models, pictures, options, ending: ending.clone(), began: Instant::now() });
        Ok(Self { app, engine: parts.engine, http, grpc, tls, closing: CancellationToken::new() })
    }

    /// Where HTTP is answered.
    pub fn http(&self) -> Option<SocketAddr> {
        self.http.local_addr().ok()
    }

    /// Where gRPC is answered.
    pub fn grpc(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The way to end it.
    pub fn stop(&self) -> Stop {
        Stop { ending: self.app.ending.clone(), closing: self.closing.clone() }
    }

    /// Loads the models and answers until it is told to end.
    ///
    /// # Errors
    /// As making the engine; of the first model that could not be loaded where [`ServerOptions::exit_on_failure`] is set; `TimedOut` if
    /// what was accepted was not answered in [`Times::drain`](crate::Times).
    pub async fn run(self) -> maskline::Result<()> {
        let Self { app, engine, http, grpc, tls, closing } = self;
        let connections = Arc::new(Semaphore::new(app.limits().connections));
        let listening = |listener: TcpListener, router: Router| Listening {
            listener,
            tls: tls.clone(),
            router,
            connections: Arc::clone(&connections),
            head: app.times().client,
            closing: closing.clone(),
        };
        // What is counted from now on is kept.
        crate::observe::metrics();
        drop(tokio::spawn(crate::observe::upkeep(Arc::clone(&app))));
        drop(tokio::spawn(crate::video::upkeep(Arc::clone(&app))));
        let mut serving = JoinSet::new();
        serving.spawn(listening(http, crate::http::router(&app)).serve());
        if let Some(grpc) = grpc {
            serving.spawn(listening(grpc, crate::http::grpc_router(&app)).serve());
        }
        let loading = load_all(Arc::clone(&app), engine);
        let outcome = tokio::select! {
            failure = loading => failure,
            () = app.ending.cancelled() => Ok(()),
        };
        if outcome.is_ok() {
            notice(&app, &closing).await;
        }
        app.ending.cancel();
        closing.cancel();
        let drained = async { while serving.join_next().await.is_some() {} };
        let is_drained = tokio::time::timeout(app.times().drain, drained).await.is_ok();
        outcome?;
        let late = || {
            Error::new(ErrorKind::TimedOut, format!("requests were still under way {:?} after the end was asked for", app.times().drain))
        };
        if is_drained { Ok(()) } else { Err(late()) }
    }
}

/// Not ready any more, and still answering: whoever spreads requests has time to see it.
async fn notice(app: &App, closing: &CancellationToken) {
    tracing::info!(notice = ?app.times().notice, "ending: not ready from now on");
    tokio::select! {
        () = tokio::time::sleep(app.times().notice) => {}
        () = closing.cancelled() => {}
    }
}

/// Loads what the server was started with, and then looks after idle models for ever; ends only by a failure.
async fn load_all(app: Arc<App>, engine: Box<dyn FnOnce() -> maskline::Result<Engine> + Send>) -> maskline::Result<()> {
    let made = tokio::task::spawn_blocking(engine).await;
    let engine = made.unwrap_or_else(|_| Err(Error::new(ErrorKind::Failed, "starting the engine panicked")))?;
    app.models.start(Arc::new(engine));
    for slot in app.models.all() {
        if let Err(fault) = app.models.load(&slot).await {
            tracing::error!(model = slot.name(), error = %fault.line(), "could not be loaded");
            if app.options.exit_on_failure {
                // What went wrong itself, which says more than that the model is not ready.
                let error = slot.status().error.unwrap_or(fault.error);
                return Err((*error).named(format!("`{}`", slot.name())));
            }
        }
    }
    if app.models.all().iter().all(|slot| slot.status().state == State::Ready) {
        tracing::info!(took = ?app.began.elapsed(), "ready");
    }
    let Some(keep_alive) = app.times().keep_alive else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOKS.min(keep_alive)).await;
        app.models.unload_idle(keep_alive).await;
    }
}

async fn listen(address: SocketAddr) -> maskline::Result<TcpListener> {
    let failed = |error: std::io::Error| {
        let new = Error::new(ErrorKind::Io, format!("cannot listen on {address}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                new.with_help("another program is there (`maskline ps`?); choose another port: --http, --grpc")
            }
            _ => new,
        }
    };
    TcpListener::bind(address).await.map_err(failed)
}
