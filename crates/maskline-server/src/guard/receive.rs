//! The body of a request: as much as there is room for, from whoever sends it fast enough.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use maskline::{Error, ErrorKind};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Side;
use super::refusal::{Refused, refuse};
use crate::app::App;
use crate::fault::{Fault, Reason, Result};

/// Room is taken in pieces of so many bytes: what a caller announces and never sends keeps it from nobody.
const STEP: usize = 1 << 20;
/// Bytes in a second that a caller must come to on average, once it has used the time that is given for a pause.
const SLOWEST: usize = 8 << 10;

/// The room that a request's body takes, in the request's extensions. It is held until the answer is made; an answer that goes on after its
/// head (a stream) keeps a clone for as long as it needs the body.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Reads the whole body before anything is made of it. Stands inside of what decompresses, so that the limit is for what comes out of that.
/// Inside of it axum's own limit of 2 MB must be off (`DefaultBodyLimit`). For HTTP only: gRPC has its own frames.
pub(crate) async fn receive(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match read(&app, &parts.headers, body).await {
        Ok(Received { bytes, room }) => {
            // Held here too: whoever takes the request apart drops the extensions.
            let _room = room.clone();
            if let Some(room) = room {
                parts.extensions.insert(room);
            }
            next.run(Request::from_parts(parts, Body::from(bytes))).await
        }
        Err(fault) => {
            let mut response = refuse(&app, Refused { side: Side::Http, path: parts.uri.path(), fault: &fault });
            // The rest of the body is not read: in HTTP/1 there is no way back to the next request.
            if parts.version < Version::HTTP_2 {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}

struct Received {
    bytes: Bytes,
    room: Option<Room>,
}

async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Received> {
    let most = app.limits().body;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(announced) = announced.filter(|announced| *announced > most as u64) {
        return Err(too_large(most, announced));
    }
    let announced = announced.and_then(|announced| usize::try_from(announced).ok()).unwrap_or_default();
    let mut reading = Reading { app, announced, pieces: Pieces::default(), room: None, has: 0 };
    let mut pace = Pace::new(app.times().client);
    let mut body = body;
    while let Some(piece) = pace.next(&mut body).await? {
        reading.take(piece).await?;
        pace.received = reading.pieces.length();
    }
    let Reading { pieces, room, .. } = reading;
    Ok(Received { bytes: pieces.whole(), room: room.map(|permit| Room { _permit: Arc::new(permit) }) })
}

fn too_large(most: usize, found: impl std::fmt::Display) -> Fault {
    Fault::over("body", format!("{most} bytes"), found).with_help("the server's --max-body is the most that it reads")
}

/// A body that is being read.
struct Reading<'a> {
    app: &'a App,
    announced: usize,
    pieces: Pieces,
    room: Option<OwnedSemaphorePermit>,
    /// Bytes that there is room for.
    has: usize,
}

impl Reading<'_> {
    async fn take(&mut self, piece: Bytes) -> Result<()> {
        let most = self.app.limits().body;
        let length = self.pieces.length().saturating_add(piece.len());
        if length > most {
            return Err(too_large(most, "more"));
        }
        if length > self.has {
            let coming = self.announced.saturating_sub(self.has).min(STEP);
            let step = coming.max(length - self.has);
            let more = self.app.pictures.room(step as u64).await?;
            match &mut self.room {
                Some(room) => room.merge(more),
                none => *none = Some(more),
            }
            self.has += step;
        }
        self.pieces.push(piece, self.has);
        Ok(())
    }
}

/// What was read: a body of one piece stays as it came.
#[derive(Default)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn length(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(piece) => piece.len(),
            Self::Many(whole) => whole.len(),
        }
    }

    /// Adds a piece; there is room for so many bytes in all.
    fn push(&mut self, piece: Bytes, room: usize) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(piece),
            Self::One(first) => {
                let mut whole = BytesMut::with_capacity(room);
                whole.extend_from_slice(&first);
                whole.extend_from_slice(&piece);
                Self::Many(whole)
            }
            Self::Many(mut whole) => {
                whole.reserve(room.saturating_sub(whole.len()).max(piece.len()));
                whole.extend_from_slice(&piece);
                Self::Many(whole)
            }
        };
    }

    fn whole(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(piece) => piece,
            Self::Many(whole) => whole.freeze(),
        }
    }
}

/// How fast a caller sends.
struct Pace {
    /// The longest pause.
    pause: Duration,
    began: Instant,
    received: usize,
}

impl Pace {
    fn new(pause: Duration) -> Self {
        Self { pause, began: Instant::now(), received: 0 }
    }

    /// The next piece; `None` at the end.
    async fn next(&self, body: &mut Body) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(self.left(), body.frame()).await.map_err(|_| self.slow())?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                // What follows a body (trailers) says nothing to anyone here.
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    fn left(&self) -> Duration {
        let given = self.pause.saturating_add(Duration::from_secs_f64(self.received as f64 / SLOWEST as f64));
        given.saturating_sub(self.began.elapsed()).min(self.pause)
    }

    fn slow(&self) -> Fault {
        let error =
            Error::new(ErrorKind::TimedOut, "body").expecting(format!("no pause of {:?}, and {SLOWEST} bytes a second", self.pause));
        Fault::new(Reason::SlowClient, error.but_found(format!("{} bytes in {:.1?}", self.received, self.began.elapsed())))
    }
}

/// A body that ends before its end: the caller has gone, or what it sent cannot be decompressed.
fn broken(error: &axum::Error) -> Fault {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<hyper::Error>() {
            return Fault::new(Reason::Cancelled, Error::new(ErrorKind::Cancelled, format!("the body ended early: {error}")));
        }
        source = error.source();
    }
    Fault::bad("body", "one that can be read to its end", error)
}

#[cfg(test)]
mod tests;
