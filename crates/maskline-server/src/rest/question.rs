//! From what a request says to what the engine is asked.

use std::sync::Arc;
use std::time::Instant;

use maskline::vision::decode::{DecodeOptions, mask_of_picture, size_in_header};
use maskline::{
    Ask, Click, Concept, Error, ErrorKind, EverythingOptions, Exemplar, Image, InputSize, Mask, MaskPrompt, Multimask, PredictOptions,
    Prompt, Request, SegmentOptions, WordOptions,
};

use super::answer::{Drawn, Unmet};
use super::ask::{AskBody, ClassBody, MaskBody, MultimaskBody, OneOrEach, PromptFields, TextFields};
use super::fields::Way;
use super::hear::{Heard, Like};
use super::source::decoded;
use super::words::{Draft, Sought};
use crate::app::App;
use crate::fault::{Fault, Result};
use crate::models::{Served, Slot};

/// Longest text that is looked for, in bytes; no text encoder reads a tenth of it.
const LONGEST_TEXT: usize = 4096;
/// What objects are called that boxes on the picture alone show.
const VISUAL: &str = "visual";

/// What is asked of every picture of a request.
pub(super) struct Question {
    pub(super) way: Way,
    ask: AskBody,
    prompts: Vec<Draft>,
    /// What is looked for.
    pub(super) concepts: Vec<Concept>,
}

impl Question {
    /// Of what was heard; the pictures of examples are decoded now.
    ///
    /// # Errors
    /// `BadRequest`, `TooLarge`, and as the pictures of examples.
    pub(super) async fn of(app: &App, way: Way, heard: Heard) -> Result<Self> {
        let Heard { ask, prompts, sought, like, .. } = heard;
        if let Some(count) = ask.max_detections.filter(|count| *count > MOST_DETECTIONS) {
            return Err(Fault::over("max_detections", MOST_DETECTIONS, count));
        }
        let concepts = concepts(app, Looked { ask: &ask, sought, like }).await?;
        let is_empty = prompts.is_empty() && !ask.everything;
        if way == Way::Segment && is_empty {
            let fault = Fault::bad("segment", "prompts, or everything", "none of them");
            return Err(fault.with_help("curl: -F box=x1,y1,x2,y2, -F point=x,y or -F everything=true"));
        }
        if ask.everything && !prompts.is_empty() {
            return Err(Fault::bad("segment", "prompts, or everything", "both"));
        }
        Ok(Self { way, ask, prompts, concepts })
    }

    /// How many things are asked of a picture.
    pub(super) fn rows(&self) -> usize {
        self.prompts.len().max(self.concepts.len()).max(1)
    }

    /// Whether prompts have rough masks, which take a while to read.
    pub(super) fn has_masks(&self) -> bool {
        self.given_masks() > 0
    }

    fn given_masks(&self) -> usize {
        self.prompts.iter().filter(|draft| draft.mask.is_some() || draft.fields.mask.is_some()).count()
    }

    /// What was asked, as it is drawn; `errors` tell what of it was not answered.
    pub(super) fn drawn(&self, errors: &[Unmet]) -> Drawn {
        let mut drawn = Drawn::default();
        for (index, Draft { fields, .. }) in self.prompts.iter().enumerate() {
            let has_failed = errors.iter().any(|unmet| unmet.index == index);
            let clicks = clicks(&fields.points, fields.labels.as_deref()).unwrap_or_default();
            if has_failed {
                drawn.failed_points.extend(clicks.iter().map(|click| [click.x, click.y]));
                drawn.failed_boxes.extend(fields.bounds);
            } else {
                drawn.points.extend(clicks.iter().map(|click| (click.x, click.y, click.is_positive)));
                drawn.boxes.extend(fields.bounds);
            }
        }
        let examples = self.concepts.iter().flat_map(|concept| &concept.exemplars);
        drawn
            .boxes
            .extend(examples.filter(|example| example.picture.is_none() && !example.is_negative).filter_map(|example| example.bounds));
        drawn
    }

    /// How many masks an answer may hold, where that is known before.
    pub(super) fn masks(&self) -> usize {
        let each = if self.ask.multimask == Some(MultimaskBody::On) { 3 } else { 1 };
        // A rough mask is one more.
        self.prompts.len() * each + self.given_masks()
    }

    /// What is asked of one picture.
    ///
    /// # Errors
    /// `BadRequest` for classes that the model does not have. What is wrong with a prompt is told in its place.
    pub(super) fn about(&self, picture: &Arc<Image>, asked: &AskedModel) -> Result<Asked> {
        let mut failed = Vec::new();
        let asks = match self.way {
            Way::Classify => vec![Ask::Detect],
            Way::Embed => vec![Ask::Encode],
            Way::Detect if self.concepts.is_empty() => vec![Ask::Detect],
            Way::Detect => self.concepts.iter().cloned().map(Ask::Concept).collect(),
            Way::Segment if self.ask.everything => vec![Ask::Everything(self.everything())],
            Way::Segment => {
                let prompt = |(index, draft): (usize, &Draft)| {
                    // An empty prompt stands in the place of one that cannot be asked.
                    Ask::Object(draft.prompt(picture.size()).unwrap_or_else(|error| {
                        failed.push((index, error.named(format!("prompt {index}"))));
                        Prompt::default()
                    }))
                };
                self.prompts.iter().enumerate().map(prompt).collect()
            }
        };
        let request = Request {
            predict: self.predict(&asked.served)?,
            segment: self.segment(),
            deadline: Some(asked.deadline),
            priority: self.ask.priority.map(Into::into).unwrap_or_default(),
            ..Request::new(Arc::clone(picture), asks)
        };
        Ok(Asked { request, failed })
    }

    fn segment(&self) -> SegmentOptions {
        let (ask, usual) = (&self.ask, SegmentOptions::default());
        SegmentOptions {
            multimask: match ask.multimask {
                None | Some(MultimaskBody::Auto) => Multimask::Auto,
                Some(MultimaskBody::On) => Multimask::On,
                Some(MultimaskBody::Off) => Multimask::Off,
            },
            threshold: ask.mask_threshold.unwrap_or(usual.threshold),
            non_overlapping: ask.no_overlap,
            max_hole_area: ask.fill_holes.unwrap_or(usual.max_hole_area),
            max_sprinkle_area: ask.remove_spots.unwrap_or(usual.max_sprinkle_area),
            ..usual
        }
    }

    fn everything(&self) -> EverythingOptions {
        let (ask, usual) = (&self.ask, EverythingOptions::default());
        EverythingOptions {
            points_per_side: ask.points_per_side,
            pred_iou_thresh: ask.pred_iou_thresh,
            stability_score_thresh: ask.stability_thresh,
            stability_score_offset: ask.stability_offset.unwrap_or(usual.stability_score_offset),
            mask_threshold: ask.mask_threshold.unwrap_or(usual.mask_threshold),
            box_nms_thresh: ask.box_nms_thresh.unwrap_or(usual.box_nms_thresh),
            crop_n_layers: ask.crop_layers.unwrap_or(usual.crop_n_layers),
            crop_nms_thresh: ask.crop_nms_thresh.unwrap_or(usual.crop_nms_thresh),
            crop_overlap_ratio: ask.crop_overlap.unwrap_or(usual.crop_overlap_ratio),
            crop_n_points_downscale_factor: ask.crop_points_downscale.unwrap_or(usual.crop_n_points_downscale_factor),
            min_mask_region_area: ask.min_area.unwrap_or(usual.min_mask_region_area),
            use_m2m: ask.m2m,
            multimask_output: ask.multimask != Some(MultimaskBody::Off),
            ..usual
        }
    }

    fn predict(&self, served: &Served) -> Result<PredictOptions> {
        let (ask, usual) = (&self.ask, PredictOptions::default());
        let finds_words = served.first().is_some_and(|model| model.info().task.takes_concepts() && model.info().task.has_masks());
        Ok(PredictOptions {
            size: match (ask.size, ask.rect) {
                (size, true) => InputSize::Rect(size.unwrap_or(0)),
                (Some(size), false) => InputSize::Square(size),
                (None, false) => InputSize::Default,
            },
            conf: match &ask.conf {
                Some(conf) => conf.of_all(),
                None => None,
            },
            iou: ask.iou,
            max_detections: ask.max_detections.unwrap_or(usual.max_detections),
            agnostic_nms: ask.agnostic_nms,
            classes: classes(served, &ask.classes)?,
            top: ask.top.unwrap_or(usual.top),
            words: WordOptions { truncate: ask.truncate, templates: ask.templates, ..WordOptions::default() },
            separate: ask.no_overlap && finds_words && self.way == Way::Detect,
            ..usual
        })
    }
}

/// Most objects of an answer.
const MOST_DETECTIONS: usize = 10_000;

/// Who is asked, and until when.
pub(super) struct AskedModel {
    pub(super) served: Served,
    pub(super) deadline: Instant,
}

/// What is asked of one picture.
pub(super) struct Asked {
    pub(super) request: Request,
    /// Prompts that cannot be asked.
    pub(super) failed: Vec<(usize, Error)>,
}

impl Draft {
    /// The prompt on a picture of this width and height.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn prompt(&self, size: (usize, usize)) -> std::result::Result<Prompt, Error> {
        let PromptFields { bounds, points, labels, mask, label, class_id } = &self.fields;
        let clicks = clicks(points, labels.as_deref())?;
        let mask = match (&self.mask, mask) {
            (None, None) => None,
            (Some(file), _) => Some(mask_of_file(file, size)?),
            (None, Some(MaskBody::Picture(picture))) => {
                let file = decoded(&picture.base64, usize::MAX).map_err(|fault| (*fault.error).named("mask"))?;
                Some(mask_of_file(&file, size)?)
            }
            (None, Some(MaskBody::Polygons(polygons))) => {
                Some(Mask::from_coco_polygons(size.0, size.1, polygons.iter().map(Vec::as_slice)).map_err(of_mask)?)
            }
            (None, Some(MaskBody::Runs(runs))) => {
                let json = serde_json::json!({"size": runs.size, "counts": runs.counts});
                Some(Mask::from_coco_segmentation(&json, [size.0, size.1]).map_err(of_mask)?)
            }
        };
        if mask.as_ref().is_some_and(Mask::is_empty) {
            return Err(Error::new(ErrorKind::BadInput, "mask").expecting("at least one pixel").but_found("an empty one"));
        }
        let class_id = class_id.and_then(|id| usize::try_from(id).ok());
        Ok(Prompt { clicks, bounds: *bounds, mask: mask.map(MaskPrompt::Picture), label: label.clone(), class_id })
    }
}

fn of_mask(error: maskline::vision::Error) -> Error {
    Error::from(error).of_kind(ErrorKind::BadInput).named("mask")
}

/// A mask of the picture's size, which is looked at before anything is decoded.
fn mask_of_file(file: &[u8], size: (usize, usize)) -> std::result::Result<Mask, Error> {
    let told = size_in_header(file).map_err(of_mask)?;
    let turned = (told.1, told.0);
    if told != size && turned != size {
        let error = Error::new(ErrorKind::BadInput, "mask").expecting(format!("the picture's size {} × {}", size.0, size.1));
        return Err(error.but_found(format!("{} × {}", told.0, told.1)));
    }
    mask_of_picture(file, &DecodeOptions::default()).map_err(of_mask)
}

pub(super) fn clicks(points: &[Vec<f32>], labels: Option<&[f32]>) -> std::result::Result<Vec<Click>, Error> {
    let wrong = |expected: &str, found: String| Error::new(ErrorKind::BadInput, "points").expecting(expected).but_found(found);
    if let Some(labels) = labels.filter(|labels| labels.len() != points.len()) {
        return Err(wrong("a label for each point", format!("{} points and {} labels", points.len(), labels.len())));
    }
    let click = |(index, point): (usize, &Vec<f32>)| match (point.as_slice(), labels) {
        ([x, y, label], None) if *label == 0.0 || *label == 1.0 => Ok(Click { x: *x, y: *y, is_positive: *label == 1.0 }),
        ([x, y], None) => Ok(Click { x: *x, y: *y, is_positive: true }),
        ([x, y], Some(labels)) if labels[index] == 0.0 || labels[index] == 1.0 => {
            Ok(Click { x: *x, y: *y, is_positive: labels[index] == 1.0 })
        }
        _ => Err(wrong("[x, y] or [x, y, label], with labels 1 (on the object) or 0 (beside it)", format!("{point:?}"))),
    };
    points.iter().enumerate().map(click).collect()
}

/// Indices of the only classes that are wished.
fn classes(served: &Served, wished: &[ClassBody]) -> Result<Option<Vec<usize>>> {
    let Some(info) = served.first().map(maskline::Model::info).filter(|_| !wished.is_empty()) else { return Ok(None) };
    let count = info.classes().unwrap_or(info.labels.len());
    let index = |class: &ClassBody| {
        let (found, shown) = match class {
            ClassBody::Index(index) => (usize::try_from(*index).ok().filter(|index| *index < count), index.to_string()),
            ClassBody::Name(name) => {
                (info.labels.iter().position(|label| label == name), format!("`{}`", name.chars().take(60).collect::<String>()))
            }
        };
        found.ok_or_else(|| Fault::bad("classes", format!("names, or indices below {count}"), shown))
    };
    wished.iter().map(index).collect::<Result<_>>().map(Some)
}

/// What is looked for, before its pictures are decoded.
struct Looked<'a> {
    ask: &'a AskBody,
    sought: Sought,
    like: Vec<Like>,
}

async fn concepts(app: &App, looked: Looked<'_>) -> Result<Vec<Concept>> {
    let Looked { ask, sought: Sought { mut texts, like_boxes, unlike_boxes }, like } = looked;
    let mut concepts = Vec::new();
    let has_boxes = !like_boxes.is_empty() || !unlike_boxes.is_empty();
    match texts.as_mut_slice() {
        [] if has_boxes => {
            let exemplars = exemplars(&like_boxes, &unlike_boxes);
            concepts.push(Concept { exemplars, label: Some(VISUAL.to_owned()), ..Concept::default() });
        }
        [only] => {
            only.like_boxes.extend(like_boxes);
            only.unlike_boxes.extend(unlike_boxes);
        }
        [_, ..] if has_boxes => {
            let fault = Fault::bad("like_boxes", "one text, or boxes within each text", format!("{} texts", texts.len()));
            return Err(fault.with_help("texts: [{\"text\": \"a cup\", \"like_boxes\": […]}, …]"));
        }
        _ => {}
    }
    for TextFields { text, like_boxes, unlike_boxes, conf } in texts {
        if text.len() > LONGEST_TEXT {
            return Err(Fault::over("text", format!("{LONGEST_TEXT} bytes"), text.len()));
        }
        concepts.push(Concept { text: Some(text), exemplars: exemplars(&like_boxes, &unlike_boxes), threshold: conf, label: None });
    }
    for (index, Like { source, bounds, label }) in like.into_iter().enumerate() {
        let picture = source.picture(app).await?;
        let label = label.or_else(|| Some(format!("like-{}", index + 1)));
        concepts.push(Concept { label, ..Concept::like(Exemplar::on(Image::clone(&picture.image), bounds)) });
    }
    let count: usize = concepts.iter().map(|concept| concept.exemplars.len()).sum();
    if count > app.limits().prompts {
        return Err(Fault::over("boxes and examples", app.limits().prompts, count));
    }
    score_each(&mut concepts, ask.conf.as_ref())?;
    Ok(concepts)
}

/// Gives each its own least score, where there is one for each.
fn score_each(concepts: &mut [Concept], conf: Option<&OneOrEach>) -> Result<()> {
    let Some(OneOrEach::Each(scores)) = conf.filter(|conf| conf.of_all().is_none()) else { return Ok(()) };
    if scores.len() != concepts.len() {
        let fault = Fault::bad("conf", format!("one score, or {}, one for each text and example", concepts.len()), scores.len());
        return Err(fault);
    }
    for (concept, score) in concepts.iter_mut().zip(scores) {
        concept.threshold = concept.threshold.or(Some(*score));
    }
    Ok(())
}

fn exemplars(like: &[[f32; 4]], unlike: &[[f32; 4]]) -> Vec<Exemplar> {
    let wanted = like.iter().map(|bounds| Exemplar::here(*bounds));
    wanted.chain(unlike.iter().map(|bounds| Exemplar { is_negative: true, ..Exemplar::here(*bounds) })).collect()
}

/// Names of classes by index, as far as the request or the model gives them.
pub(super) fn class_names(question: &Question, slot: &Slot) -> Vec<String> {
    if !question.concepts.is_empty() {
        return question.concepts.iter().map(|concept| concept.name().unwrap_or_default().to_owned()).collect();
    }
    let served = slot.served();
    served.and_then(|served| served.first().map(|model| model.info().labels.clone())).unwrap_or_default()
}
