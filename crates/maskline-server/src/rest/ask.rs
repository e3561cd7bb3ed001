//! What a request says, in one form for JSON, forms and query strings.

use maskline::runtime::Priority;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A picture: its file as base64, one that was sent before, or one at an address.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a picture as {\"base64\": …}, {\"ref\": …} or {\"url\": …}, or as text: a data URI, a hash (64 hexadecimal digits) or an address"
)]
pub(super) enum PictureBody {
    File(FileBody),
    Held(HeldBody),
    Address(AddressBody),
    /// A data URI, the SHA-256 of a file that was sent before, or an address.
    Text(String),
}

/// The file of a picture.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileBody {
    /// JPEG, PNG, WebP, BMP, TIFF or GIF, as base64 or as a data URI.
    pub(super) base64: String,
}

/// A picture that was sent before.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HeldBody {
    /// SHA-256 of its file, in hexadecimal digits: `image.ref` of an earlier answer.
    #[serde(rename = "ref")]
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    pub(super) reference: String,
}

/// A picture that the server is to fetch, where that is switched on.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressBody {
    /// Where it is.
    pub(super) url: String,
}

/// One number for all, or one for each.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a number, or a list of numbers")]
pub(super) enum OneOrEach {
    One(f32),
    Each(Vec<f32>),
}

impl OneOrEach {
    /// The one for all. A form gives one as a list of one.
    pub(super) fn of_all(&self) -> Option<f32> {
        match self {
            Self::One(number) => Some(*number),
            Self::Each(numbers) => {
                if let [number] = numbers.as_slice() {
                    Some(*number)
                } else {
                    None
                }
            }
        }
    }
}

/// A class, by its index or its name.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(untagged, expecting = "the index or the name of a class")]
pub(super) enum ClassBody {
    Index(u32),
    Name(String),
}

/// How many masks a prompt gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MultimaskBody {
    /// One, of a single click the best of three.
    Auto,
    /// All three.
    On,
    /// The model's single answer.
    Off,
}

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PriorityBody {
    High,
    Normal,
    Low,
}

impl From<PriorityBody> for Priority {
    fn from(body: PriorityBody) -> Self {
        match body {
            PriorityBody::High => Self::High,
            PriorityBody::Normal => Self::Normal,
            PriorityBody::Low => Self::Low,
        }
    }
}

/// What is said about one object, in pixels of the picture; or just a box.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct PromptBody(pub(super) PromptFields);

/// What is said about one object, in pixels of the picture: at least a box, a point or a mask.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PromptFields {
    /// `[x1, y1, x2, y2]`: a box around the object.
    #[serde(rename = "box")]
    #[schema(example = json!([75, 275, 1725, 850]))]
    pub(super) bounds: Option<[f32; 4]>,
    /// Clicks `[x, y]` or `[x, y, label]`: label 1 on the object, 0 beside it.
    #[serde(default)]
    #[schema(example = json!([[500, 375], [100, 100, 0]]))]
    pub(super) points: Vec<Vec<f32>>,
    /// Labels of the points, where they do not carry them.
    pub(super) labels: Option<Vec<f32>>,
    /// A rough mask of the picture's size: COCO's run lengths or polygons, or a picture that is white on black.
    pub(super) mask: Option<MaskBody>,
    /// What the object is called.
    pub(super) label: Option<String>,
    /// Index of its class.
    pub(super) class_id: Option<u32>,
}

impl TryFrom<Value> for PromptBody {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if value.is_array() {
            let bounds = serde_json::from_value(value).map_err(|error| format!("expected a box [x1, y1, x2, y2]: {error}"))?;
            return Ok(Self(PromptFields { bounds: Some(bounds), ..PromptFields::default() }));
        }
        super::fields::read(value).map(Self).map_err(|error| error.to_string())
    }
}

impl utoipa::PartialSchema for PromptBody {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let number = utoipa::openapi::Object::with_type(utoipa::openapi::schema::Type::Number);
        let bounds = utoipa::openapi::ArrayBuilder::new().items(number).min_items(Some(4)).max_items(Some(4));
        utoipa::openapi::OneOfBuilder::new().item(utoipa::openapi::Ref::from_schema_name("PromptFields")).item(bounds).into()
    }
}

impl ToSchema for PromptBody {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        schemas.push((PromptFields::name().into(), <PromptFields as utoipa::PartialSchema>::schema()));
        PromptFields::schemas(schemas);
    }
}

/// A rough mask.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a mask as run lengths {\"size\": [height, width], \"counts\": …}, polygons [[x, y, …], …] or {\"base64\": …} of a picture"
)]
pub(super) enum MaskBody {
    Runs(RunsBody),
    /// COCO's polygons: `[[x, y, x, y, …], …]`.
    Polygons(Vec<Vec<f64>>),
    Picture(MaskPicture),
}

/// COCO's run lengths.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsBody {
    /// `[height, width]`, which are the picture's.
    pub(super) size: [usize; 2],
    /// COCO's compressed text, or a list of numbers.
    #[schema(value_type = Counts)]
    pub(super) counts: Value,
}

/// Run lengths.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "tells the form; read by the masks themselves")]
#[serde(untagged)]
pub(super) enum Counts {
    /// COCO's compressed text.
    Text(String),
    /// Columns from the left, alternately zeros and ones.
    List(Vec<u32>),
}

/// A mask as a picture.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MaskPicture {
    /// PNG or another format, white on black, as base64.
    pub(super) base64: String,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(untagged, expecting = "words as text, or {\"text\", \"like_boxes\", \"unlike_boxes\", \"conf\"}")]
pub(super) enum TextBody {
    /// Words, such as `a red car`.
    Words(String),
    More(TextFields),
}

/// Words, and boxes on the picture that say more.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TextFields {
    /// Words, such as `a red car`.
    pub(super) text: String,
    /// `[x1, y1, x2, y2]`: boxes on the picture around what is looked for.
    #[serde(default)]
    pub(super) like_boxes: Vec<[f32; 4]>,
    /// Boxes around what is not looked for.
    #[serde(default)]
    pub(super) unlike_boxes: Vec<[f32; 4]>,
    /// Least score of what is found, instead of `conf` for all.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) conf: Option<f32>,
}

impl From<TextBody> for TextFields {
    fn from(body: TextBody) -> Self {
        match body {
            TextBody::Words(text) => Self { text, ..Self::default() },
            TextBody::More(fields) => fields,
        }
    }
}

/// An example on another picture.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LikeBody {
    /// The picture.
    pub(super) image: PictureBody,
    /// `[x1, y1, x2, y2]` on it; left out, the model chooses what stands for the picture.
    #[serde(rename = "box")]
    pub(super) bounds: Option<[f32; 4]>,
    /// What objects that are like it are called.
    pub(super) label: Option<String>,
}

/// All that a request can say. Which of it an endpoint takes, says [`super::fields`].
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskBody {
    /// Which model answers; left out, the first one that can.
    pub(super) model: Option<String>,
    /// The picture.
    pub(super) image: Option<PictureBody>,
    /// Several pictures, which are answered as JSON lines, in their order.
    #[serde(default)]
    pub(super) images: Vec<PictureBody>,
    /// Form of the answer, before what `Accept` says.
    #[schema(value_type = Option<super::format::Format>)]
    pub(super) format: Option<String>,
    /// What files about the picture call it, `photo.jpg`; left out, its hash.
    #[schema(max_length = 255)]
    pub(super) name: Option<String>,
    /// Answer as JSON lines, for one picture too.
    #[serde(default)]
    pub(super) stream: bool,
    /// Milliseconds for the answer; the server's limit can only be lowered.
    #[schema(minimum = 1, example = 10_000)]
    pub(super) timeout: Option<u64>,
    /// What waits and is more urgent goes first.
    pub(super) priority: Option<PriorityBody>,
    /// What objects are meant, one prompt each.
    #[serde(default)]
    pub(super) prompts: Vec<PromptBody>,
    /// Find all objects, whatever they are.
    #[serde(default)]
    pub(super) everything: bool,
    /// Masks of a prompt.
    pub(super) multimask: Option<MultimaskBody>,
    /// Logit above which a pixel belongs to the mask.
    pub(super) mask_threshold: Option<f32>,
    /// Fill holes of at most so many pixels of the low-resolution mask.
    pub(super) fill_holes: Option<u64>,
    /// Remove separate spots of at most so many pixels of the low-resolution mask.
    pub(super) remove_spots: Option<u64>,
    /// Masks do not overlap: each pixel goes to the strongest.
    #[serde(default)]
    pub(super) no_overlap: bool,
    /// Everything mode: points along each side of the grid.
    #[schema(minimum = 1)]
    pub(super) points_per_side: Option<usize>,
    /// Everything mode: masks with a predicted IoU up to this go.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) pred_iou_thresh: Option<f32>,
    /// Everything mode: less stable masks go.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) stability_thresh: Option<f32>,
    /// Everything mode: stability compares the areas at thresholds this far above and below.
    #[schema(minimum = 0)]
    pub(super) stability_offset: Option<f32>,
    /// Everything mode: overlap of boxes above which the worse of two masks goes.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) box_nms_thresh: Option<f64>,
    /// Everything mode: layers of crops that are looked at too.
    #[schema(maximum = 8)]
    pub(super) crop_layers: Option<usize>,
    /// Everything mode: overlap of boxes above which the mask of the larger crop goes.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) crop_nms_thresh: Option<f64>,
    /// Everything mode: how far crops overlap, as a part of the short side.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) crop_overlap: Option<f64>,
    /// Everything mode: points along each side are divided by this from layer to layer of crops.
    #[schema(minimum = 1)]
    pub(super) crop_points_downscale: Option<usize>,
    /// Everything mode: smaller holes and spots are removed.
    pub(super) min_area: Option<u64>,
    /// Everything mode: refine each mask once by its own logits.
    #[serde(default)]
    pub(super) m2m: bool,
    /// Words for what is looked for.
    #[serde(default)]
    pub(super) texts: Vec<TextBody>,
    /// Examples on other pictures of what is looked for.
    #[serde(default)]
    pub(super) like: Vec<LikeBody>,
    /// Boxes on the picture around what is looked for: with one text they say more of it, without any they show it alone.
    #[serde(default)]
    pub(super) like_boxes: Vec<[f32; 4]>,
    /// Boxes on the picture around what is not looked for.
    #[serde(default)]
    pub(super) unlike_boxes: Vec<[f32; 4]>,
    /// Least score: one for all, or one for each text and example.
    pub(super) conf: Option<OneOrEach>,
    /// Overlap above which the worse of two boxes of a class goes.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) iou: Option<f32>,
    /// Most objects.
    #[schema(maximum = 10_000)]
    pub(super) max_detections: Option<usize>,
    /// Boxes of different classes suppress each other too.
    #[serde(default)]
    pub(super) agnostic_nms: bool,
    /// Only these classes.
    #[serde(default)]
    pub(super) classes: Vec<ClassBody>,
    /// Side of the network's input, of models that take any.
    #[schema(minimum = 1, maximum = 8192)]
    pub(super) size: Option<usize>,
    /// Letterbox to the smallest rectangle instead of a square.
    #[serde(default)]
    pub(super) rect: bool,
    /// Look for words in the phrasings that published figures are measured with.
    #[serde(default)]
    pub(super) templates: bool,
    /// Cut words that are too long for the model, in place of an error.
    #[serde(default)]
    pub(super) truncate: bool,
    /// Classifiers: so many of the best classes.
    #[schema(minimum = 1)]
    pub(super) top: Option<usize>,
    /// YOLO's lines end in the score.
    #[serde(default)]
    pub(super) save_conf: bool,
}
