//! Everything mode against the official algorithm, done the plain and slow way: every mask at full size, every box with every other.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use maskline::runtime::LibraryOptions;
use maskline::vision::fit::longest_side_size;
use maskline::vision::grid::{Crop, crop_boxes, layer_grids};
use maskline::vision::mask::{Frame, Logits, upsample};
use maskline::{
    BundleOptions, Embedding, EmbeddingSource, Engine, EngineOptions, EverythingOptions, Image, LoadOptions, MaskPrompt, Model, Multimask,
    Prompt, PromptMask, RgbImage, SegmentOptions, Stage,
};
use maskline_models::{Output, Preprocess, PromptHead};

const SIZE: (usize, usize) = (200, 150);

struct Place {
    engine: Engine,
    _cache: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let cache = tempfile::tempdir().unwrap();
        let engine = Engine::new(EngineOptions {
            library: LibraryOptions::from_env(),
            cache: cache.path().to_path_buf(),
            ..EngineOptions::default()
        })
        .unwrap();
        Self { engine, _cache: cache }
    }

    /// The checkpoint of a golden case, or `None` (said aloud) where the case is missing or its family not there yet.
    fn golden(&self, family: &str, case: &str, checkpoint: &str) -> Option<Model> {
        let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens").join(family).join(case);
        let is_known = maskline::families().iter().any(|known| family.starts_with(known.description().name));
        if !folder.exists() || !is_known {
            maskline_testing::skip(format_args!("{} is missing, or no family reads it yet", folder.display()));
            return None;
        }
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
        let config = (!folder.join("config.json").exists()).then(|| json["config"].clone());
        let bundle = BundleOptions { config, ..BundleOptions::default() };
        Some(self.engine.load(&folder.join(checkpoint), &LoadOptions { bundle, warm_up: false, ..LoadOptions::default() }).unwrap())
    }
}

/// A picture with things in it.
fn picture() -> Image {
    let (width, height) = SIZE;
    let pixel = |x: usize, y: usize| {
        let disc = (x as f64 - 60.0).hypot(y as f64 - 50.0) < 30.0;
        let bar = (110..190).contains(&x) && (90..120).contains(&y);
        let stripes = (x / 7 + y / 11).is_multiple_of(3) && x > 120 && y < 70;
        match (disc, bar, stripes) {
            (true, ..) => [220, 40, 30],
            (_, true, _) => [20, 200, (x % 50) as u8],
            (_, _, true) => [250, 250, 90],
            _ => [(x / 2) as u8, (y / 2) as u8, ((x * y) % 97) as u8],
        }
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    Image::from_pixels(RgbImage::new(width, height, pixels).unwrap())
}

/// What the plain way finds.
#[derive(Debug, Clone)]
struct Found {
    /// Rows of the picture.
    mask: Vec<bool>,
    /// First and last set column and row, in pixels of the picture.
    bounds: [i64; 4],
    score: f32,
    stability: f32,
    point: [f64; 2],
    crop: Crop,
}

/// How many masks each filter took.
#[derive(Debug, Default)]
struct Dropped {
    predicted_iou: usize,
    stability: usize,
    edges: usize,
    in_crop: usize,
    between_crops: usize,
    by_regions: usize,
    changed_by_regions: usize,
}

struct Official<'m> {
    model: &'m Model,
    head: PromptHead,
    options: EverythingOptions,
    dropped: Dropped,
}

impl<'m> Official<'m> {
    fn new(model: &'m Model, options: &EverythingOptions) -> Self {
        let Output::Promptable(head) = &model.info().output else { panic!("{} is promptable", model.name()) };
        Self { model, head: head.clone(), options: options.clone(), dropped: Dropped::default() }
    }

    fn is_sam2(&self) -> bool {
        self.head.object_score
    }

    fn generate(&mut self, image: &Image) -> Vec<Found> {
        let options = self.options.clone();
        let grids = match (&options.point_grids, options.points_per_side) {
            (Some(grids), _) => grids.clone(),
            (None, side) => layer_grids(side.unwrap(), options.crop_n_layers, options.crop_n_points_downscale_factor).unwrap(),
        };
        let crops = crop_boxes([SIZE.1, SIZE.0], options.crop_n_layers, options.crop_overlap_ratio).unwrap();
        let mut all = Vec::new();
        for crop in &crops {
            all.extend(self.crop(image, *crop, &grids[crop.layer]));
        }
        if crops.len() > 1 {
            let area =
                |found: &Found| ((found.crop.bounds[2] - found.crop.bounds[0]) * (found.crop.bounds[3] - found.crop.bounds[1])) as f32;
            let before = all.len();
            all = suppressed(all, |found| 1.0 / area(found), options.crop_nms_thresh);
            self.dropped.between_crops = before - all.len();
        }
        if options.min_mask_region_area > 0 && !self.is_sam2() {
            all = self.without_small_regions(all);
        }
        all
    }

    fn crop(&mut self, image: &Image, crop: Crop, grid: &[[f64; 2]]) -> Vec<Found> {
        let [x1, y1, x2, y2] = crop.bounds;
        let (width, height) = (x2 - x1, y2 - y1);
        let mut pixels = Vec::new();
        for y in y1..y2 {
            for x in x1..x2 {
                pixels.extend(&image.pixels().row(y)[3 * x..3 * x + 3]);
            }
        }
        let embedding = self.model.embed(&Image::from_pixels(RgbImage::new(width, height, pixels).unwrap())).unwrap();
        let points: Vec<[f64; 2]> = grid.iter().map(|[x, y]| [x * width as f64, y * height as f64]).collect();
        let mut found = Vec::new();
        for answer in self.answers(&embedding, &points) {
            if self.options.pred_iou_thresh.unwrap() > 0.0 && answer.score <= self.options.pred_iou_thresh.unwrap() {
                self.dropped.predicted_iou += 1;
                continue;
            }
            let logits = self.full_size(&answer.logits, (width, height));
            let above = |level: f32| logits.iter().filter(|logit| **logit > level).count();
            let (threshold, offset) = (self.options.mask_threshold, self.options.stability_score_offset);
            let stability = above(threshold + offset) as f32 / above(threshold - offset) as f32;
            let least = self.options.stability_score_thresh.unwrap_or(0.95);
            if least > 0.0 && stability.partial_cmp(&least).is_none_or(|o| o.is_lt()) {
                self.dropped.stability += 1;
                continue;
            }
            let mut mask = vec![false; SIZE.0 * SIZE.1];
            for (at, _) in logits.iter().enumerate().filter(|(_, logit)| **logit > threshold) {
                mask[(y1 + at / width) * SIZE.0 + x1 + at % width] = true;
            }
            if !mask.contains(&true) {
                continue;
            }
            let bounds = box_of(&mask);
            let edges = [(x1, 0), (y1, 0), (x2, SIZE.0), (y2, SIZE.1)];
            let is_cut =
                |side: i64, (crop, picture): (usize, usize)| (side - crop as i64).abs() <= 20 && (side - picture as i64).abs() > 20;
            if bounds.iter().zip(edges).any(|(side, edges)| is_cut(*side, edges)) {
                self.dropped.edges += 1;
                continue;
            }
            let [x, y] = points[answer.prompt];
            found.push(Found { mask, bounds, score: answer.score, stability, point: [x + x1 as f64, y + y1 as f64], crop });
        }
        let before = found.len();
        let kept = suppressed(found, |found| found.score, self.options.box_nms_thresh);
        self.dropped.in_crop += before - kept.len();
        kept
    }

    fn answers(&self, embedding: &Embedding, points: &[[f64; 2]]) -> Vec<PromptMask> {
        let ask = |prompts: &[Prompt], multimask| {
            let answers = embedding.segment(prompts, &SegmentOptions { multimask, ..SegmentOptions::default() }).unwrap().answers;
            answers.into_iter().flat_map(|masks| masks.unwrap()).collect::<Vec<PromptMask>>()
        };
        let click = |[x, y]: [f64; 2]| Prompt::click(x as f32, y as f32);
        let prompts: Vec<Prompt> = points.iter().map(|point| click(*point)).collect();
        let first = ask(&prompts, if self.options.multimask_output { Multimask::On } else { Multimask::Off });
        if !self.options.use_m2m {
            return first;
        }
        let clamped =
            |logits: &Logits| Logits::new(logits.data().iter().map(|logit| logit.clamp(-32.0, 32.0)).collect(), logits.size()).unwrap();
        let again = |mask: &PromptMask| click(points[mask.prompt]).with_mask(MaskPrompt::Logits(clamped(&mask.logits)));
        let mut refined = ask(&first.iter().map(again).collect::<Vec<_>>(), Multimask::Off);
        refined.iter_mut().zip(&first).for_each(|(refined, first)| refined.prompt = first.prompt);
        refined
    }

    fn full_size(&mut self, logits: &Logits, (width, height): (usize, usize)) -> Vec<f32> {
        let area = self.options.min_mask_region_area;
        let mut logits = logits.clone();
        if self.is_sam2() && area > 0 {
            let side = logits.size()[1];
            let set: Vec<bool> = logits.data().iter().map(|logit| *logit > 0.0).collect();
            let small = |value: bool| regions(&set, side, value).into_iter().filter(|region| region.len() as u64 <= area).flatten();
            let (holes, spots): (Vec<usize>, Vec<usize>) = (small(false).collect(), small(true).collect());
            self.dropped.changed_by_regions += usize::from(!holes.is_empty() || !spots.is_empty());
            holes.into_iter().for_each(|at| logits.data_mut()[at] = 10.0);
            spots.into_iter().for_each(|at| logits.data_mut()[at] = -10.0);
        }
        let frame = match self.model.info().preprocess {
            Preprocess::LongestSide(_) => {
                Frame::Padded { side: self.head.space, kept: longest_side_size([height, width], self.head.space).unwrap() }
            }
            _ => Frame::Whole,
        };
        upsample(&logits, &frame, [height, width]).unwrap()
    }

    fn without_small_regions(&mut self, mut all: Vec<Found>) -> Vec<Found> {
        let mut unchanged = Vec::new();
        for found in &mut all {
            let area = self.options.min_mask_region_area as usize;
            // A mask counts as changed where it had small regions, also if its only one had to stay.
            let mut had_none = true;
            for hole in regions(&found.mask, SIZE.0, false).into_iter().filter(|hole| hole.len() < area) {
                had_none = false;
                hole.into_iter().for_each(|at| found.mask[at] = true);
            }
            let islands = regions(&found.mask, SIZE.0, true);
            // Where all are small, the largest stays; of several, the first that OpenCV meets in its scan of squares of 2 x 2.
            let met = |island: &Vec<usize>| island.iter().map(|at| (at / SIZE.0 / 2, at % SIZE.0 / 2)).min();
            let largest = islands.iter().max_by_key(|island| (island.len(), std::cmp::Reverse(met(island)))).unwrap().clone();
            for island in islands.into_iter().filter(|island| island.len() < area) {
                had_none = false;
                if island == largest {
                    continue;
                }
                island.into_iter().for_each(|at| found.mask[at] = false);
            }
            found.bounds = box_of(&found.mask);
            unchanged.push(if had_none { 1.0 } else { 0.0 });
        }
        self.dropped.changed_by_regions = unchanged.iter().filter(|score| **score == 0.0).count();
        let before = all.len();
        let threshold = self.options.box_nms_thresh.max(self.options.crop_nms_thresh);
        let mut scores = unchanged.into_iter();
        let scored: Vec<(Found, f32)> = all.into_iter().map(|found| (found, scores.next().unwrap())).collect();
        let kept = suppressed_by(scored, threshold);
        self.dropped.by_regions = before - kept.len();
        kept
    }
}

fn box_of(mask: &[bool]) -> [i64; 4] {
    let set = || mask.iter().enumerate().filter(|(_, set)| **set).map(|(at, _)| ((at % SIZE.0) as i64, (at / SIZE.0) as i64));
    [set().map(|p| p.0).min(), set().map(|p| p.1).min(), set().map(|p| p.0).max(), set().map(|p| p.1).max()].map(Option::unwrap)
}

/// The 8-connected regions of one value, each as positions.
fn regions(set: &[bool], width: usize, value: bool) -> Vec<Vec<usize>> {
    let mut seen = vec![false; set.len()];
    let mut all = Vec::new();
    for start in 0..set.len() {
        if seen[start] || set[start] != value {
            continue;
        }
        let (mut region, mut queue) = (Vec::new(), VecDeque::from([start]));
        seen[start] = true;
        while let Some(at) = queue.pop_front() {
            region.push(at);
            for (dx, dy) in [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)] {
                let (x, y) = ((at % width) as i64 + dx, (at / width) as i64 + dy);
                let next = (y * width as i64 + x) as usize;
                if (0..width as i64).contains(&x) && (0..(set.len() / width) as i64).contains(&y) && !seen[next] && set[next] == value {
                    seen[next] = true;
                    queue.push_back(next);
                }
            }
        }
        all.push(region);
    }
    all
}

fn suppressed(all: Vec<Found>, score: impl Fn(&Found) -> f32, threshold: f64) -> Vec<Found> {
    let scored = all.into_iter().map(|found| (found.clone(), score(&found))).collect();
    suppressed_by(scored, threshold)
}

fn suppressed_by(mut scored: Vec<(Found, f32)>, threshold: f64) -> Vec<Found> {
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut kept: Vec<Found> = Vec::new();
    for (found, _) in scored {
        let overlap = |other: &Found| {
            let ([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) = (found.bounds, other.bounds);
            let shared = (ax2.min(bx2) - ax1.max(bx1)).max(0) * (ay2.min(by2) - ay1.max(by1)).max(0);
            shared as f64 / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared) as f64
        };
        if kept.iter().all(|other| overlap(other) <= threshold || overlap(other).is_nan()) {
            kept.push(found);
        }
    }
    kept
}

/// Both ways; what the plain one dropped.
fn compare(model: &Model, options: &EverythingOptions) -> Dropped {
    let image = picture();
    let mut official = Official::new(model, options);
    let expected = official.generate(&image);
    let found = model.everything(&image, options).unwrap();
    let dropped = official.dropped;
    eprintln!("{}: {} objects, {dropped:?}", model.name(), expected.len());
    assert_eq!(found.objects.len(), expected.len(), "{dropped:?}");
    assert_eq!((found.origins.len(), found.size), (expected.len(), SIZE));
    assert!(expected.len() > 2, "a comparison needs objects: {dropped:?}");
    for ((object, origin), expected) in found.objects.iter().zip(&found.origins).zip(&expected) {
        let [x1, y1, x2, y2] = expected.bounds;
        assert_eq!((object.score, object.stability), (expected.score, Some(expected.stability)));
        assert_eq!(object.bounds, [x1, y1, x2 + 1, y2 + 1].map(|side| side as f32));
        assert_eq!(origin.crop, expected.crop.bounds);
        assert!((0..2).all(|i| (f64::from(origin.point[i]) - expected.point[i]).abs() < 1e-4), "{origin:?}");
        let rows = object.mask.as_ref().unwrap().to_rows(1);
        assert!(rows.iter().zip(&expected.mask).all(|(row, set)| (*row == 1) == *set), "the masks of {origin:?} differ");
    }
    dropped
}

/// Options under which every filter of a model with generated weights has something to do: its masks are noise, of which
/// everything below the quantile `share` of the logits is cut away.
fn tuned(model: &Model, share: f64) -> EverythingOptions {
    let embedding = model.embed(&picture()).unwrap();
    let prompts: Vec<Prompt> = (0..16).map(|i| Prompt::click(25.0 + 50.0 * (i % 4) as f32, 18.0 + 37.0 * (i / 4) as f32)).collect();
    let options = SegmentOptions { multimask: Multimask::On, ..SegmentOptions::default() };
    let answers: Vec<PromptMask> = embedding.segment(&prompts, &options).unwrap().answers.into_iter().flat_map(Result::unwrap).collect();
    let quantile = |values: &mut Vec<f32>, share: f64| {
        values.sort_by(f32::total_cmp);
        values[(share * (values.len() - 1) as f64) as usize]
    };
    let mut scores = answers.iter().map(|answer| answer.score).collect();
    let mut logits: Vec<f32> = answers.iter().flat_map(|answer| answer.logits.data().to_vec()).collect();
    let (middle, high) = (quantile(&mut logits, 0.5), quantile(&mut logits, share));
    EverythingOptions {
        points_per_side: Some(9),
        pred_iou_thresh: Some(quantile(&mut scores, 0.3).clamp(0.0, 1.0)),
        stability_score_thresh: Some(0.5),
        stability_score_offset: 0.01 * (high - middle),
        mask_threshold: high,
        box_nms_thresh: 0.98,
        crop_nms_thresh: 0.9,
        ..EverythingOptions::default()
    }
}

#[test]
fn sam2_finds_what_the_official_algorithm_finds() {
    let place = Place::new();
    let Some(model) = place.golden("sam2_image", "tiny128", "model.safetensors") else { return };
    let options = tuned(&model, 0.996);
    let dropped = compare(&model, &options);
    assert!(dropped.predicted_iou > 0 && dropped.stability > 0 && dropped.in_crop > 0, "{dropped:?}");
    let crops = EverythingOptions { crop_n_layers: 2, crop_n_points_downscale_factor: 2, ..options.clone() };
    let dropped = compare(&model, &crops);
    assert!(dropped.edges > 0 && dropped.between_crops > 0, "{dropped:?}");
    compare(&model, &EverythingOptions { use_m2m: true, points_per_side: Some(4), ..options.clone() });
    compare(&model, &EverythingOptions { multimask_output: false, chunk: Some(3), ..options.clone() });
    let grid = vec![vec![[0.0, 0.0], [0.25, 0.5], [1.0, 1.0], [0.6, 0.7], [0.3, 0.3], [0.8, 0.2]]];
    compare(&model, &EverythingOptions { points_per_side: None, point_grids: Some(grid), ..options });
}

#[test]
fn sam2_removes_small_regions_as_the_official_algorithm_does() {
    let place = Place::new();
    let Some(model) = place.golden("sam2_image", "tiny128", "model.safetensors") else { return };
    let rough = EverythingOptions { crop_n_layers: 2, crop_n_points_downscale_factor: 2, ..tuned(&model, 0.98) };
    let options = EverythingOptions { min_mask_region_area: 6, ..rough.clone() };
    let dropped = compare(&model, &options);
    assert!(dropped.changed_by_regions > 0, "{dropped:?}");
    let found = |options| model.everything(&picture(), options).unwrap().objects;
    assert_ne!(found(&options), found(&rough), "the regions that were removed make a difference");
}

#[test]
fn an_answer_says_where_the_time_went_and_repeats_itself() {
    let place = Place::new();
    let Some(model) = place.golden("sam2_image", "tiny128", "model.safetensors") else { return };
    let options = EverythingOptions { crop_n_layers: 1, ..tuned(&model, 0.996) };
    let start = std::time::Instant::now();
    let first = model.everything(&picture(), &options).unwrap();
    let wall = start.elapsed();
    let again = model.everything(&picture(), &options).unwrap();
    assert!(first.timings.get(Stage::MaskDecode) > Duration::ZERO && first.timings.get(Stage::ImageEncode) > Duration::ZERO);
    assert!(first.timings.total() <= wall && first.timings.total() * 2 > wall, "{:?} of {wall:?}", first.timings);
    assert_eq!(
        (first.timings.embedding(), again.timings.embedding()),
        (Some(EmbeddingSource::Miss), Some(EmbeddingSource::Hit)),
        "the crops' embeddings are kept"
    );
    assert_eq!((first.objects, first.origins), (again.objects, again.origins));
}

#[test]
fn sam1_finds_what_the_official_algorithm_finds() {
    let place = Place::new();
    let Some(model) = place.golden("mobile_sam", "tiny192", "mobile_sam.pt") else { return };
    let options = tuned(&model, 0.996);
    compare(&model, &options);
    let crops = EverythingOptions { crop_n_layers: 1, min_mask_region_area: 60, ..options };
    let dropped = compare(&model, &crops);
    assert!(dropped.edges > 0 && dropped.between_crops > 0 && dropped.changed_by_regions > 0, "{dropped:?}");
}
