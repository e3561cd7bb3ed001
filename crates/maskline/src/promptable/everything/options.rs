//! What everything mode is asked for, and what of it depends on the model and the picture.

use maskline_models::EverythingDefaults;
use maskline_vision::grid::{Crop, OVERLAP_RATIO, crop_boxes, layer_grids};
use maskline_vision::mask::StabilityCut;

use crate::limits::{self, LARGEST_CHUNK};
use crate::{Concern, Error, ErrorKind, Multimask, Result, SegmentOptions};

/// Options of [`Model::everything`](crate::Model::everything); names and defaults are those of `SAM2AutomaticMaskGenerator` and, where
/// the family decides, of `SamAutomaticMaskGenerator`.
#[derive(Debug, Clone, PartialEq)]
pub struct EverythingOptions {
    /// Points along each side of the grid, unless `point_grids` are given. `None`: 32 as in the official generators; 16 of nano, which looks
    /// at the picture anew for every point, so that a grid twice as fine takes four times as long.
    pub points_per_side: Option<usize>,
    /// Points `[x, y]` in 0..=1 of the crop, one list for each layer of crops from the whole picture on.
    pub point_grids: Option<Vec<Vec<[f64; 2]>>>,
    /// Masks of which the predicted IoU is not above this go; 0 keeps all. `None`: 0.8 for SAM 2, 0.88 for SAM 1,
    /// 0.6 for nano.
    pub pred_iou_thresh: Option<f32>,
    /// Masks that are less stable than this go; 0 keeps all. `None`: 0.95, of nano, whose borders are softer, 0.7.
    pub stability_score_thresh: Option<f32>,
    /// Stability compares the areas above `mask_threshold` plus and minus this.
    pub stability_score_offset: f32,
    /// Pixels with a larger logit belong to the mask.
    pub mask_threshold: f32,
    /// Overlap (IoU) of boxes above which the worse of two masks of a crop goes.
    pub box_nms_thresh: f64,
    /// Layers of crops beside the whole picture; layer `i` has `2^i` by `2^i`.
    pub crop_n_layers: usize,
    /// Overlap (IoU) of boxes above which, of two masks of different crops, that of the larger crop goes.
    pub crop_nms_thresh: f64,
    /// How far crops of the first layer overlap, as a part of the short side.
    pub crop_overlap_ratio: f64,
    /// From layer to layer, `points_per_side` is divided by this.
    pub crop_n_points_downscale_factor: usize,
    /// Holes and separate spots that are smaller go; 0 for none. As in the official generators, SAM 1 counts pixels of the picture
    /// (less than this go, and duplicates that arise), SAM 2 pixels of the low-resolution mask (up to this go).
    pub min_mask_region_area: u64,
    /// Each mask is refined once: its low-resolution logits are a prompt together with its point (SAM 2's `use_m2m`). Slow, for it
    /// happens before masks are filtered.
    pub use_m2m: bool,
    /// All masks for ambiguous prompts at each point, or the model's single answer.
    pub multimask_output: bool,
    /// Points that go through the decoder together, up to 64; `None` for what was measured to be fastest.
    pub chunk: Option<usize>,
    /// Most points that are taken, in all crops together, up to 10 million.
    pub max_points: usize,
}

impl Default for EverythingOptions {
    fn default() -> Self {
        Self {
            points_per_side: None,
            point_grids: None,
            pred_iou_thresh: None,
            stability_score_thresh: None,
            stability_score_offset: 1.0,
            mask_threshold: 0.0,
            box_nms_thresh: 0.7,
            crop_n_layers: 0,
            crop_nms_thresh: 0.7,
            crop_overlap_ratio: OVERLAP_RATIO,
            crop_n_points_downscale_factor: 1,
            min_mask_region_area: 0,
            use_m2m: false,
            multimask_output: true,
            chunk: None,
            max_points: 100_000,
        }
    }
}

/// A limit of points that is itself within memory.
const MOST_POINTS: usize = 10_000_000;
/// More layers have more crops than anyone waits for, and [`crop_boxes`] refuses them.
const MOST_LAYERS: usize = 8;

impl EverythingOptions {
    /// What of it the questions at single points share.
    pub(crate) fn asking(&self) -> SegmentOptions {
        let Self { mask_threshold: threshold, chunk, .. } = *self;
        SegmentOptions { multimask: Multimask::Off, threshold, chunk, ..SegmentOptions::default() }
    }

    pub(super) fn cut(&self) -> StabilityCut {
        StabilityCut { threshold: self.mask_threshold, offset: self.stability_score_offset }
    }

    /// Refuses what is outside its domain, for any model and picture.
    fn check(&self) -> Result<()> {
        let Self { pred_iou_thresh, stability_score_thresh, box_nms_thresh, crop_nms_thresh, crop_overlap_ratio, .. } = *self;
        let shares = [
            ("pred_iou_thresh", f64::from(pred_iou_thresh.unwrap_or(0.0))),
            ("stability_score_thresh", f64::from(stability_score_thresh.unwrap_or(0.0))),
            ("box_nms_thresh", box_nms_thresh),
            ("crop_nms_thresh", crop_nms_thresh),
            ("crop_overlap_ratio", crop_overlap_ratio),
        ];
        if let Some((name, value)) = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(invalid(name).expecting("a number from 0 to 1").but_found(value));
        }
        let (offset, threshold) = (self.stability_score_offset, self.mask_threshold);
        if !offset.is_finite() || offset < 0.0 {
            return Err(invalid("stability_score_offset").expecting("a finite number from 0 up").but_found(offset));
        }
        if !threshold.is_finite() {
            return Err(invalid("mask_threshold").expecting("a finite number").but_found(threshold));
        }
        if self.crop_n_layers > MOST_LAYERS {
            return Err(invalid("crop_n_layers").expecting(format!("at most {MOST_LAYERS}")).but_found(self.crop_n_layers));
        }
        if self.crop_n_points_downscale_factor == 0 {
            return Err(invalid("crop_n_points_downscale_factor").expecting("at least 1").but_found(0));
        }
        self.chunk.map_or(Ok(()), |chunk| limits::check_count("chunk", chunk, LARGEST_CHUNK))
    }

    /// The points of each layer of crops; so many a side where nothing is said.
    fn grids(&self, default_side: usize) -> Result<Vec<Vec<[f64; 2]>>> {
        let layers = self.crop_n_layers;
        match (self.points_per_side, &self.point_grids) {
            (side, None) => {
                let side = side.unwrap_or(default_side);
                // Counted first: a grid may be larger than memory.
                let downscale = self.crop_n_points_downscale_factor;
                let of_layer = |layer| side / downscale.saturating_pow(layer as u32).max(1);
                self.limit((0..=layers).map(|layer| of_layer(layer).saturating_mul(of_layer(layer))))?;
                Ok(layer_grids(side, layers, downscale)?)
            }
            (None, Some(grids)) => {
                if grids.len() <= layers {
                    let expected = format!("one for each of {} layers", layers + 1);
                    return Err(invalid("point_grids").expecting(expected).but_found(grids.len()));
                }
                for (layer, grid) in grids.iter().enumerate() {
                    let of_layer = || invalid(format!("point_grids: layer {layer}"));
                    let is_outside = |point: &&[f64; 2]| point.iter().any(|side| !(0.0..=1.0).contains(side));
                    if let Some([x, y]) = grid.iter().find(is_outside) {
                        return Err(of_layer().expecting("points in 0..=1").but_found(format!("{x}, {y}")));
                    }
                    if grid.is_empty() {
                        return Err(of_layer().expecting("at least one point").but_found("none"));
                    }
                }
                self.limit(grids.iter().take(layers + 1).map(Vec::len))?;
                Ok(grids.clone())
            }
            (Some(_), Some(_)) => Err(invalid("").expecting("either points_per_side or point_grids").but_found("both")),
        }
    }

    /// Refuses more points than the limit; `per_crop` are those of a crop of each layer.
    fn limit(&self, per_crop: impl Iterator<Item = usize>) -> Result<()> {
        limits::check_count("max_points", self.max_points, MOST_POINTS)?;
        let crops = |layer: usize| 1_usize << (2 * layer);
        let all = per_crop.enumerate().fold(0_usize, |all, (layer, points)| all.saturating_add(points.saturating_mul(crops(layer))));
        if all <= self.max_points {
            return Ok(());
        }
        let expected = format!("at most {} points in all crops", self.max_points);
        let error = Error::new(ErrorKind::OverLimit, "everything").expecting(expected).but_found(all);
        // They are the same for every picture.
        Err(error.with_help("use fewer points a side or fewer layers of crops, or raise the limit").about(Concern::Options))
    }
}

fn invalid(name: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOption, name)
}

/// The options, made definite for a model and a picture.
#[derive(Debug)]
pub(super) struct Plan<'o> {
    pub(super) options: &'o EverythingOptions,
    /// Layer after layer.
    pub(super) crops: Vec<Crop>,
    /// Points in 0..=1 of a crop, by layer.
    pub(super) grids: Vec<Vec<[f64; 2]>>,
    pub(super) predicted_iou: f32,
    pub(super) stability: f32,
    /// `[height, width]` of the picture.
    pub(super) size: [usize; 2],
    /// Small regions are removed from the logits (SAM 2), not from the finished masks (SAM 1).
    pub(super) cleans_logits: bool,
}

impl<'o> Plan<'o> {
    /// Clicks in all crops together.
    pub(super) fn points(&self) -> usize {
        self.crops.iter().map(|crop| self.grids[crop.layer].len()).sum()
    }

    /// `size` is width and height of the picture.
    pub(super) fn new(options: &'o EverythingOptions, convention: &EverythingDefaults, size: (usize, usize)) -> Result<Self> {
        options.check()?;
        let grids = options.grids(convention.points_per_side)?;
        let size = [size.1, size.0];
        // The options are in their domain: what is wrong now is the picture.
        let too_small = |error: maskline_vision::Error| Error::new(ErrorKind::BadInput, error.to_string());
        let crops = crop_boxes(size, options.crop_n_layers, options.crop_overlap_ratio).map_err(too_small)?;
        let EverythingDefaults { cleans_logits, predicted_iou, stability, .. } = *convention;
        let predicted_iou = options.pred_iou_thresh.unwrap_or(predicted_iou);
        let stability = options.stability_score_thresh.unwrap_or(stability);
        Ok(Self { options, crops, grids, predicted_iou, stability, size, cleans_logits })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAM_1: EverythingDefaults = EverythingDefaults::SAM_1;
    const SAM_2: EverythingDefaults = EverythingDefaults::SAM_2;
    const NANO: EverythingDefaults = EverythingDefaults { predicted_iou: 0.6, stability: 0.7, cleans_logits: true, points_per_side: 16 };

    fn refused(change: impl FnOnce(&mut EverythingOptions), size: (usize, usize)) -> (ErrorKind, String) {
        let mut options = EverythingOptions::default();
        change(&mut options);
        let error = Plan::new(&options, &SAM_2, size).unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn thresholds_are_those_of_the_family() {
        let options = EverythingOptions::default();
        let plan = |is_sam2| Plan::new(&options, if is_sam2 { &SAM_2 } else { &SAM_1 }, (640, 480)).unwrap();
        assert_eq!((plan(true).predicted_iou, plan(false).predicted_iou), (0.8, 0.88));
        assert_eq!((plan(true).cleans_logits, plan(false).cleans_logits), (true, false));
        assert_eq!((plan(true).crops.len(), plan(true).grids[0].len()), (1, 1024));
        let plan = |options| Plan::new(options, &NANO, (640, 480)).unwrap().points();
        assert_eq!((plan(&options), plan(&EverythingOptions { points_per_side: Some(32), ..options.clone() })), (256, 1024));
        let options = EverythingOptions { pred_iou_thresh: Some(0.5), ..options };
        assert_eq!(Plan::new(&options, &SAM_1, (640, 480)).unwrap().predicted_iou, 0.5);
    }

    #[test]
    fn options_outside_their_domain_are_named() {
        let size = (640, 480);
        type Change = fn(&mut EverythingOptions);
        let bad: [(Change, &str); 14] = [
            (|o| o.pred_iou_thresh = Some(1.5), "pred_iou_thresh"),
            (|o| o.stability_score_thresh = Some(f32::NAN), "stability_score_thresh"),
            (|o| o.stability_score_offset = -1.0, "stability_score_offset"),
            (|o| o.mask_threshold = f32::INFINITY, "mask_threshold"),
            (|o| o.box_nms_thresh = -0.1, "box_nms_thresh"),
            (|o| o.crop_nms_thresh = 2.0, "crop_nms_thresh"),
            (|o| o.crop_overlap_ratio = f64::NAN, "crop_overlap_ratio"),
            (|o| o.crop_n_layers = 9, "crop_n_layers"),
            (|o| o.chunk = Some(0), "chunk"),
            (|o| (o.points_per_side, o.point_grids) = (Some(3), Some(vec![])), "both"),
            (|o| o.points_per_side = Some(0), "at least 1 a side"),
            (|o| (o.crop_n_layers, o.crop_n_points_downscale_factor) = (2, 10), "crop layer 2"),
            (|o| (o.points_per_side, o.point_grids) = (None, Some(vec![vec![[0.5, 1.5]]])), "0.5, 1.5"),
            (|o| (o.points_per_side, o.point_grids, o.crop_n_layers) = (None, Some(vec![vec![[0.5, 0.5]]]), 1), "2 layers, found 1"),
        ];
        for (change, word) in bad {
            let (kind, message) = refused(change, size);
            assert!(kind == ErrorKind::InvalidOption && message.contains(word), "`{word}`: {kind:?} {message}");
        }
        assert!(refused(|o| (o.points_per_side, o.point_grids) = (None, Some(vec![vec![]])), size).1.contains("at least one point"));
        assert!(refused(|o| o.crop_n_points_downscale_factor = 0, size).1.contains("crop_n_points_downscale_factor"));
    }

    #[test]
    fn too_many_points_are_refused_before_there_is_memory_for_them() {
        let (kind, message) = refused(|o| o.points_per_side = Some(usize::MAX), (640, 480));
        assert!(kind == ErrorKind::OverLimit && message.contains("100000"), "{message}");
        // 1024 + 4 * 256 points.
        let layers = |max_points| {
            move |o: &mut EverythingOptions| {
                (o.crop_n_layers, o.crop_n_points_downscale_factor, o.max_points) = (1, 2, max_points);
            }
        };
        assert_eq!(refused(layers(2047), (640, 480)).0, ErrorKind::OverLimit);
        let mut enough = EverythingOptions::default();
        layers(2048)(&mut enough);
        assert_eq!(Plan::new(&enough, &SAM_2, (640, 480)).unwrap().crops.len(), 5);
    }

    #[test]
    fn a_picture_too_small_for_the_crops_is_a_bad_input() {
        let (kind, message) = refused(|o| o.crop_n_layers = 3, (5, 3));
        assert!(kind == ErrorKind::BadInput && message.contains("5 x 3"), "{message}");
    }
}
