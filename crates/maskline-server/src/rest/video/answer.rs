//! What is answered about frames and prompts.

use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maskline::{Object, Stage, Stages, Tracked, TrackedObject};

use super::super::answer::{no_json, with_timings};
use super::super::format::Format;
use super::super::run::{MASK_LOGITS, SERVER_TIMING};
use super::super::source::heavy;
use super::body::{VideoAnswerBody, VideoObjectBody};
use crate::app::App;
use crate::fault::Result;
use crate::statistics::Spent;
use crate::video::Answered;

/// How an answer is written.
pub(super) struct Writing {
    /// The session's name.
    pub(super) session: String,
    /// Whether it holds masks.
    pub(super) has_masks: bool,
    pub(super) began: Instant,
}

/// An answer as it is sent.
pub(super) struct Told {
    pub(super) bytes: Vec<u8>,
    timings: Stages,
    pub(super) spent: Spent,
}

impl Writing {
    /// Writes an answer, for which masks are made at the size of the frame.
    ///
    /// # Errors
    /// `TooLarge` for more masks than there is memory for, `Busy`; as making them.
    pub(super) async fn told(self, app: &App, answered: Answered) -> Result<Told> {
        let encoding = Instant::now();
        let Answered { tracked: Tracked { frame, size: (width, height), objects, mut timings }, labels } = answered;
        let (rows, mask) = (objects.len(), (width * height) as u64 / 8);
        let room = app.pictures.room(mask.saturating_add(MASK_LOGITS).saturating_mul(rows as u64)).await?;
        let Self { session, has_masks, began } = self;
        let write = move || {
            let _room = room;
            let objects = objects.iter().zip(labels).map(|(object, label)| body(object, label, has_masks));
            let objects = objects.collect::<maskline::Result<Vec<_>>>()?;
            serde_json::to_vec(&VideoAnswerBody { session, frame, size: [width, height], objects }).map_err(no_json)
        };
        // A mask has a bit for a pixel.
        let bytes = heavy(width * height / 8 * rows, write).await??;
        timings.spend(Stage::Encode, encoding.elapsed());
        let timings = timings.rest(Stage::Other, began);
        let spent = Spent::of(&timings, rows.max(1));
        Ok(Told { bytes: with_timings(bytes, &timings)?, timings, spent })
    }
}

fn body(tracked: &TrackedObject, label: Option<String>, has_mask: bool) -> maskline::Result<VideoObjectBody> {
    let mask = tracked.mask()?;
    // What is no number is left out.
    let bounds = mask.bounds().map_or([f32::NAN; 4], |bounds| bounds.map(|side| side as f32));
    let area = (!has_mask).then(|| mask.area());
    let object = Object { score: tracked.score, bounds, label, mask: has_mask.then_some(mask), ..Object::default() };
    let iou = (f64::from(tracked.iou) * 1e5).round() / 1e5;
    Ok(VideoObjectBody { id: tracked.id, object, area, iou, prompted: tracked.is_prompted })
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.bytes));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Json.media()));
        headers.extend(HeaderValue::from_str(&self.timings.server_timing()).ok().map(|timing| (SERVER_TIMING, timing)));
        response
    }
}
