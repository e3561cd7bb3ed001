//! The way of a frame, and of a prompt: from what a request gives to what the tracker answers.

use std::sync::Arc;
use std::time::Duration;

use maskline::{Direction, Stage, Tracked};
use tokio::sync::OwnedSemaphorePermit;

use super::session::{Ahead, Place};
use super::{Said, Session, Step, Work};
use crate::app::App;
use crate::fault::Result;
use crate::models::Turn;
use crate::pictures::Picture;

/// A frame that is encoded, and its place in the session.
pub(crate) struct Prepared {
    place: Place,
    turn: Turn,
    ahead: Ahead,
    /// What decoding the picture took.
    decode: Duration,
    /// What waiting took.
    waited: Duration,
}

/// How a frame is gone to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// `None` for the next one.
    pub(crate) index: Option<usize>,
    /// Whether objects are followed onto it.
    pub(crate) tracks: bool,
    pub(crate) direction: Direction,
}

/// Objects on a frame, with what people call them.
pub(crate) struct Answered {
    pub(crate) tracked: Tracked,
    /// For each object.
    pub(crate) labels: Vec<Option<String>>,
}

impl Answered {
    fn of(work: &Work, tracked: Tracked) -> Self {
        let labels = tracked.objects.iter().map(|object| work.label(object.id).cloned()).collect();
        Self { tracked, labels }
    }
}

impl Session {
    /// Takes a place, and decodes and encodes a frame.
    ///
    /// # Errors
    /// `NotFound` where the session is closed, `Busy` where too many wait, `TooLarge` where it has all memory; as the picture's.
    pub(crate) async fn prepared(self: &Arc<Self>, app: &App, picture: impl Future<Output = Result<Picture>>) -> Result<Prepared> {
        let place = self.enter()?;
        let turn = app.models.enter(&self.slot).await?;
        app.models.sessions.check_room(self)?;
        let picture = picture.await?;
        let ahead = place.encoded(Arc::clone(&picture.image)).await?;
        Ok(Prepared { place, turn, decode: picture.decode, waited: picture.waited + ahead.waited, ahead })
    }

    /// Goes to a frame.
    ///
    /// # Errors
    /// As [`Work::step`].
    pub(crate) async fn follow(&self, app: &App, prepared: Prepared, course: Course) -> Result<Answered> {
        let Prepared { place, turn, ahead, decode, waited } = prepared;
        let Course { index, tracks, direction } = course;
        let room = self.room_to_separate(app).await?;
        let encode = ahead.took;
        let step = place.work(turn, move |work| {
            let _room = room;
            let tracked = work.step(Step { frame: ahead.taken(), index, tracks, direction })?;
            Ok(Answered::of(work, tracked))
        });
        let mut answered = step.await?;
        let timings = &mut answered.tracked.timings;
        timings.spend(Stage::Decode, decode);
        timings.spend(Stage::Queue, waited);
        if !tracks {
            // Else tracking tells it.
            timings.spend(Stage::ImageEncode, encode);
        }
        metrics::counter!("maskline_video_frames_total", "model" => self.slot.name().to_owned()).increment(1);
        Ok(answered)
    }

    /// Says where an object is on the current frame; `said` hears its width and height.
    ///
    /// # Errors
    /// `Conflict` where there is no frame yet; as [`Session::prepared`] and [`Work::say`].
    pub(crate) async fn say(
        self: &Arc<Self>,
        app: &App,
        said: impl FnOnce((usize, usize)) -> Result<Said> + Send + 'static,
    ) -> Result<Answered> {
        let place = self.enter()?;
        let turn = app.models.enter(&self.slot).await?;
        app.models.sessions.check_room(self)?;
        let room = self.room_to_separate(app).await?;
        let say = move |work: &mut Work| {
            let _room = room;
            let said = said(work.size()?)?;
            let tracked = work.say(said)?;
            Ok(Answered::of(work, tracked))
        };
        place.work(turn, say).await
    }

    /// Changes what is followed, as by removing an object.
    ///
    /// # Errors
    /// As [`Session::prepared`], and as the change.
    pub(crate) async fn change(self: &Arc<Self>, app: &App, change: impl FnOnce(&mut Work) -> Result<()> + Send + 'static) -> Result<()> {
        let place = self.enter()?;
        let turn = app.models.enter(&self.slot).await?;
        place.work(turn, change).await
    }

    /// Room for the logits of all objects at the size of the frame, where pixels go to one object alone.
    async fn room_to_separate(&self, app: &App) -> Result<Option<OwnedSemaphorePermit>> {
        let state = self.state();
        let Some((width, height)) = state.size.filter(|_| self.options.non_overlapping) else { return Ok(None) };
        // One more may be added.
        let logits = (width * height * size_of::<f32>()) as u64;
        app.pictures.room(logits.saturating_mul(state.objects.len() as u64 + 1)).await.map(Some)
    }
}
