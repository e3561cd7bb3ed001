//! The report on a promptable model.

use serde::{Serialize, Serializer};

use crate::interval::{Cluster, interval, mean};
use crate::rounds::{Played, Score};

/// What a mask is the answer to. Serialises as `box`, `clicks_1`, …, `filled_box`, `filled_ellipse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The tight box around the object.
    Bounds,
    /// So many clicks.
    Clicks(usize),
    /// No model: all pixels of the box.
    FilledBox,
    /// No model: the ellipse in the box.
    FilledEllipse,
}

/// How good a promptable model is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptableReport {
    /// Pictures that were encoded.
    pub images: usize,
    /// Objects that were asked for.
    pub objects: usize,
    /// Annotations of all pictures that were not.
    pub left_out: LeftOut,
    /// What came of each kind of prompt, and of the answers that need no model.
    pub prompts: Vec<PromptQuality>,
    /// The single objects, by picture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_object: Vec<ObjectQuality>,
}

/// Annotations that were not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LeftOut {
    /// Those that stand for many objects.
    pub crowds: usize,
    /// Smaller ones than wished.
    pub small: usize,
    /// Those without a segmentation.
    pub without_mask: usize,
    /// Those beyond the wished number of pictures or objects.
    pub not_chosen: usize,
}

/// The answers to one kind of prompt. Sizes are COCO's: small below 32² pixels of the true mask, medium below 96², else large. Subsets
/// without objects are `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptQuality {
    /// What was asked.
    pub prompt: Asked,
    /// All objects.
    pub all: Quality,
    /// Small objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub small: Option<Quality>,
    /// Medium objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Quality>,
    /// Large objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large: Option<Quality>,
    /// Things, where the data set tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub things: Option<Quality>,
    /// Stuff, where the data set tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuff: Option<Quality>,
}

/// Figures of some objects.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// How many objects.
    pub objects: usize,
    /// In how many pictures.
    pub images: usize,
    /// Mean over the objects of intersection over union.
    pub mean_iou: f64,
    /// 95 % interval of that mean, by resampling pictures; `None` for a single picture.
    pub interval: Option<[f64; 2]>,
    /// Share of objects with an IoU above 0.5.
    pub above_50: f64,
    /// Share of objects with an IoU above 0.75.
    pub above_75: f64,
    /// Share of objects with an IoU above 0.9.
    pub above_90: f64,
    /// Share of answers without a pixel.
    pub empty: f64,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectQuality {
    /// Id of its picture.
    pub image_id: i64,
    /// The text that the data set has for it, where that is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_text_id: Option<String>,
    /// Id of its annotation.
    pub annotation_id: i64,
    /// The text that the data set has for it, where that is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation_text_id: Option<String>,
    /// Pixels of its mask.
    pub area: u64,
    /// Thing or stuff, where the data set tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_thing: Option<bool>,
    /// IoU of each answer, in the order of [`PromptableReport::prompts`]; six decimals as JSON.
    #[serde(serialize_with = "six_decimals")]
    pub ious: Vec<f64>,
}

/// An object of the report before it is summed up.
pub(crate) struct Judged {
    pub(crate) facts: ObjectQuality,
    pub(crate) scores: Vec<Score>,
}

/// How means are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statistics {
    pub(crate) resamples: usize,
    pub(crate) seed: u64,
}

/// COCO's limits of small and of medium areas.
const SMALL: u64 = 32 * 32;
const MEDIUM: u64 = 96 * 96;

impl Judged {
    pub(crate) fn new(mut facts: ObjectQuality, played: &Played) -> Self {
        let scores: Vec<Score> =
            [played.bounds].iter().chain(&played.clicks).chain([&played.filled_box, &played.filled_ellipse]).copied().collect();
        facts.ious = scores.iter().map(|score| score.iou).collect();
        Self { facts, scores }
    }
}

/// Kinds of prompts in the order of an object's scores.
pub(crate) fn kinds(clicks: usize) -> Vec<Asked> {
    let with_clicks = (1..=clicks).map(Asked::Clicks);
    [Asked::Bounds].into_iter().chain(with_clicks).chain([Asked::FilledBox, Asked::FilledEllipse]).collect()
}

/// Sums up objects, which come picture by picture.
pub(crate) fn summarise(objects: &[Judged], clicks: usize, statistics: Statistics) -> Vec<PromptQuality> {
    let of = |kind: usize, is_in: &dyn Fn(&ObjectQuality) -> bool| statistics.quality(objects, kind, is_in);
    let rows = kinds(clicks).into_iter().enumerate().filter_map(|(kind, prompt)| {
        Some(PromptQuality {
            prompt,
            all: of(kind, &|_| true)?,
            small: of(kind, &|object| object.area < SMALL),
            medium: of(kind, &|object| (SMALL..MEDIUM).contains(&object.area)),
            large: of(kind, &|object| object.area >= MEDIUM),
            things: of(kind, &|object| object.is_thing == Some(true)),
            stuff: of(kind, &|object| object.is_thing == Some(false)),
        })
    });
    rows.collect()
}

impl Statistics {
    /// The answers to one kind of prompt for the objects of a subset; `None` where it is empty.
    fn quality(self, objects: &[Judged], kind: usize, is_in: &dyn Fn(&ObjectQuality) -> bool) -> Option<Quality> {
        let mut clusters: Vec<Cluster> = Vec::new();
        let (mut last, mut above, mut empty, mut count) = (None, [0_usize; 3], 0_usize, 0_usize);
        for object in objects.iter().filter(|object| is_in(&object.facts)) {
            let score = object.scores[kind];
            if last != Some(object.facts.image_id) {
                clusters.push(Cluster::default());
                last = Some(object.facts.image_id);
            }
            let cluster = clusters.last_mut()?;
            cluster.sum += score.iou;
            cluster.count += 1;
            count += 1;
            empty += usize::from(score.is_empty);
            for (above, limit) in above.iter_mut().zip([0.5, 0.75, 0.9]) {
                *above += usize::from(score.iou > limit);
            }
        }
        let share = |part: usize| part as f64 / count as f64;
        (count > 0).then(|| Quality {
            objects: count,
            images: clusters.len(),
            mean_iou: mean(&clusters),
            interval: interval(&clusters, self.resamples, self.seed),
            above_50: share(above[0]),
            above_75: share(above[1]),
            above_90: share(above[2]),
            empty: share(empty),
        })
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bounds => f.write_str("box"),
            Self::Clicks(1) => f.write_str("1 click"),
            Self::Clicks(count) => write!(f, "{count} clicks"),
            Self::FilledBox => f.write_str("filled box"),
            Self::FilledEllipse => f.write_str("filled ellipse"),
        }
    }
}

impl Serialize for Asked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bounds => serializer.serialize_str("box"),
            Self::Clicks(count) => serializer.collect_str(&format_args!("clicks_{count}")),
            Self::FilledBox => serializer.serialize_str("filled_box"),
            Self::FilledEllipse => serializer.serialize_str("filled_ellipse"),
        }
    }
}

fn six_decimals<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|value| (value * 1e6).round() / 1e6))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn object(image_id: i64, area: u64, is_thing: Option<bool>, iou: f64) -> Judged {
        let score = Score { iou, is_empty: iou == 0.0 };
        let zero = Score { iou: 0.25, is_empty: false };
        let facts =
            ObjectQuality { image_id, image_text_id: None, annotation_id: 1, annotation_text_id: None, area, is_thing, ious: Vec::new() };
        Judged::new(facts, &Played { bounds: score, clicks: vec![zero; 2], filled_box: zero, filled_ellipse: zero })
    }

    #[test]
    fn subsets_have_their_objects() {
        let objects = [
            object(1, 1023, Some(true), 0.0),
            object(1, 1024, Some(false), 0.6),
            object(2, 9215, None, 0.76),
            object(2, 9216, Some(true), 0.9),
            object(3, 99999, Some(true), 1.0),
        ];
        let report = summarise(&objects, 2, Statistics { resamples: 500, seed: 1 });
        let names: Vec<String> = report.iter().map(|row| row.prompt.to_string()).collect();
        assert_eq!(names, ["box", "1 click", "2 clicks", "filled box", "filled ellipse"]);
        let boxes = &report[0];
        assert!((boxes.all.mean_iou - 3.26 / 5.0).abs() < 1e-12);
        assert_eq!((boxes.all.objects, boxes.all.images), (5, 3));
        assert_eq!((boxes.all.above_50, boxes.all.above_75, boxes.all.above_90, boxes.all.empty), (0.8, 0.6, 0.2, 0.2));
        let [low, high] = boxes.all.interval.unwrap();
        assert!(low >= 0.3 && low < boxes.all.mean_iou && boxes.all.mean_iou < high && high <= 1.0);
        let means = [&boxes.small, &boxes.medium, &boxes.large, &boxes.things, &boxes.stuff].map(|part| part.unwrap().mean_iou);
        for (found, expected) in means.into_iter().zip([0.0, 0.68, 0.95, 1.9 / 3.0, 0.6]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(boxes.small.unwrap().interval, None);
        let json = serde_json::to_value(summarise(&objects[2..3], 1, Statistics { resamples: 5, seed: 1 })).unwrap();
        assert_eq!(json[1]["prompt"], "clicks_1");
        assert!(json[0].get("things").is_none() && json[0]["medium"]["objects"] == 1, "{json}");
    }
}
