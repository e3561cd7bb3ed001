//! What requests about sessions say, and what they are answered.

use maskline::{Direction, MemoryPrecision, Object, TrackerOptions};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::ask::{MaskBody, PictureBody, PromptFields};
use super::super::object::{LONGEST_LABEL, SegmentationBody};
use super::super::words::Draft;
use crate::fault::{Fault, Result};
use crate::video::{Said, Session, State};

/// What a session is opened with. What is left out is as the official predictor of SAM 2 has it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = VideoRequest)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct OpenBody {
    /// Which model follows the objects; left out, the first one that can.
    pub(super) model: Option<String>,
    /// Frames of the video, where that is known: only lengths below 16 change anything.
    #[schema(minimum = 1)]
    length: Option<usize>,
    /// In which numbers memories are kept.
    memory: Option<MemoryBody>,
    /// Answers of so many frames are kept beyond what tracking needs, for going back to them.
    #[serde(default)]
    history: usize,
    /// Most prompted frames of an object that are kept and looked at, the nearest ones; left out, all.
    #[schema(minimum = 2)]
    conditioning_frames: Option<usize>,
    /// A frame that is corrected after it was tracked counts as prompted.
    #[serde(default)]
    corrections_condition: bool,
    /// Memories around a prompted frame, which may be out of date, are forgotten.
    #[serde(default)]
    forget_around_prompts: bool,
    /// Each pixel belongs to one object alone.
    #[serde(default)]
    non_overlapping: bool,
    /// Holes of at most so many low-resolution pixels are filled.
    hole_area: Option<u64>,
}

/// In which numbers memories are kept.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = VideoMemory)]
#[serde(rename_all = "snake_case")]
enum MemoryBody {
    /// Rounded to bfloat16, as the official code keeps them.
    Rounded,
    /// In f32.
    Full,
}

impl OpenBody {
    pub(super) fn options(&self) -> TrackerOptions {
        let usual = TrackerOptions::default();
        TrackerOptions {
            length: self.length,
            memory: match self.memory {
                None | Some(MemoryBody::Rounded) => MemoryPrecision::Rounded,
                Some(MemoryBody::Full) => MemoryPrecision::Full,
            },
            history: self.history,
            conditioning_frames: self.conditioning_frames,
            corrections_condition: self.corrections_condition,
            forget_around_prompts: self.forget_around_prompts,
            non_overlapping: self.non_overlapping,
            hole_area: self.hole_area.unwrap_or(usual.hole_area),
            ..usual
        }
    }
}

/// The sessions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoSessions)]
pub(in super::super) struct SessionsBody {
    /// In the order in which they were opened.
    pub(super) sessions: Vec<SessionBody>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoSession)]
pub(in super::super) struct SessionBody {
    /// What paths call it.
    id: String,
    /// The model that follows its objects.
    model: String,
    /// Index of the frame that was given last.
    frame: Option<usize>,
    /// Frames that were given so far.
    frames: u64,
    /// Width and height of all of them.
    size: Option<[usize; 2]>,
    /// The objects that are followed, in the order in which they were added.
    objects: Vec<i64>,
    /// Bytes that it keeps.
    bytes: usize,
    /// Frames that one may go back.
    history: usize,
    /// Seconds since somebody asked.
    idle_s: f64,
    /// Seconds until it is closed, should nobody ask.
    expires_in_s: f64,
}

impl SessionBody {
    pub(super) fn of(session: &Session) -> Self {
        let State { frame, frames, size, objects, bytes, idle, expires } = session.state();
        let milliseconds = |seconds: f64| (seconds * 1e3).round() / 1e3;
        Self {
            id: session.id.clone(),
            model: session.slot.name().to_owned(),
            frame,
            frames,
            size: size.map(|(width, height)| [width, height]),
            objects,
            bytes,
            history: session.options.history,
            idle_s: milliseconds(idle.as_secs_f64()),
            expires_in_s: milliseconds(expires.as_secs_f64()),
        }
    }
}

/// Frames, and what is to become of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = VideoFramesRequest)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FramesBody {
    /// The frame.
    pub(super) image: Option<PictureBody>,
    /// Several frames, one after the other, which are answered as JSON lines.
    #[serde(default)]
    pub(super) images: Vec<PictureBody>,
    /// Index of the frame, of several ones the first; left out, the one behind the frame that was given last.
    pub(super) index: Option<usize>,
    /// Whether the objects are followed onto it; if not, it is only gone to, so that they can be prompted there.
    pub(super) track: Option<bool>,
    /// Which way the video is gone through.
    pub(super) direction: Option<DirectionBody>,
    /// Whether answers hold masks; if not, only where they are and how large.
    pub(super) masks: Option<bool>,
    /// Answer as JSON lines, of one frame too.
    #[serde(default)]
    pub(super) stream: bool,
    /// Milliseconds for each answer; the server's limit can only be lowered.
    #[schema(minimum = 1, example = 10_000)]
    pub(super) timeout: Option<u64>,
}

/// Which way a video is gone through.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = VideoDirection)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum DirectionBody {
    Forward,
    Backward,
}

impl From<DirectionBody> for Direction {
    fn from(body: DirectionBody) -> Self {
        match body {
            DirectionBody::Forward => Self::Forward,
            DirectionBody::Backward => Self::Backward,
        }
    }
}

/// What is said of an object on the frame that was given last: points and a box, or a mask.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = VideoObjectRequest)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SaidBody {
    /// What the object is called in paths and answers. A number that is not there yet is a new object.
    object: i64,
    /// `[x1, y1, x2, y2]`: a box around the object.
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    /// Clicks `[x, y]` or `[x, y, label]`: label 1 on the object, 0 beside it.
    #[serde(default)]
    #[schema(example = json!([[500, 375], [100, 100, 0]]))]
    points: Vec<Vec<f32>>,
    /// Labels of the points, where they do not carry them.
    labels: Option<Vec<f32>>,
    /// The object itself, as a mask of the frame's size: COCO's run lengths or polygons, or a picture that is white on black.
    mask: Option<MaskBody>,
    /// The points come beside what was said of the object on this frame before, which is forgotten otherwise.
    #[serde(default)]
    refine: bool,
    /// What people call the object; answers tell it again.
    #[schema(max_length = 1024)]
    label: Option<String>,
}

impl SaidBody {
    pub(super) fn has_mask(&self) -> bool {
        self.mask.is_some()
    }

    /// What is said on a frame of this width and height.
    ///
    /// # Errors
    /// `BadRequest` for what is no prompt, `TooLarge`.
    pub(super) fn said(self, size: (usize, usize)) -> Result<Said> {
        let Self { object, bounds, points, labels, mask, refine, label } = self;
        if let Some(length) = label.as_ref().map(String::len).filter(|length| *length > LONGEST_LABEL) {
            return Err(Fault::over("label", format!("{LONGEST_LABEL} bytes"), length));
        }
        let draft = Draft { fields: PromptFields { bounds, points, labels, mask, label, class_id: None }, mask: None };
        let prompt = draft.prompt(size).map_err(|error| error.named(format!("object {object}")))?;
        Ok(Said { object, prompt, refines: refine })
    }
}

/// Objects on a frame.
// The answer's timings follow it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VideoAnswer)]
pub(in super::super) struct VideoAnswerBody {
    /// The session.
    pub(super) session: String,
    /// Index of the frame.
    pub(super) frame: usize,
    /// Its width and height.
    pub(super) size: [usize; 2],
    /// In the order in which they were added; of an answer to a prompt, the one that was prompted.
    pub(super) objects: Vec<VideoObjectBody>,
}

/// An object on a frame.
#[derive(Debug, Serialize)]
pub(in super::super) struct VideoObjectBody {
    pub(super) id: i64,
    /// Its box is left out where it is not seen.
    #[serde(flatten)]
    pub(super) object: Object,
    /// Of a mask that is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) area: Option<u64>,
    pub(super) iou: f64,
    pub(super) prompted: bool,
}

/// An object on a frame.
#[derive(Debug, ToSchema)]
#[schema(as = VideoObject)]
#[allow(dead_code, reason = "tells the form, in which objects write themselves")]
struct VideoObjectForm {
    /// What paths call it.
    id: i64,
    /// What people call it.
    label: Option<String>,
    /// That it is seen, 0 to 1.
    score: f32,
    /// Predicted overlap of the mask with the object.
    iou: f32,
    /// Whether something was said of it on this frame.
    prompted: bool,
    /// `[x1, y1, x2, y2]` around the mask; left out where it is not seen.
    #[schema(rename = "box")]
    bounds: Option<[f32; 4]>,
    /// Pixels of the mask.
    area: u64,
    /// The mask as COCO's run lengths; left out with `masks=false`.
    segmentation: Option<SegmentationBody>,
}

impl utoipa::PartialSchema for VideoObjectBody {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        <VideoObjectForm as utoipa::PartialSchema>::schema()
    }
}

impl ToSchema for VideoObjectBody {
    fn name() -> std::borrow::Cow<'static, str> {
        VideoObjectForm::name()
    }

    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        VideoObjectForm::schemas(schemas);
    }
}
