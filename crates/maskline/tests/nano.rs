//! nano, as a user of the library meets it: the golden case, and what holds for any prompt.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use maskline::verify::{VerifyOptions, verify};
use maskline::vision::mask::Logits;
use maskline::{
    BundleOptions, Concern, Dialect, Embedding, Engine, EngineOptions, ErrorKind, EverythingOptions, Image, LoadOptions, Mask, MaskPrompt,
    Model, ModelSource, PartLogits, PredictOptions, Prompt, RgbImage, SegmentOptions,
};
use proptest::prelude::*;

const SIZE: (usize, usize) = (301, 203);

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(EngineOptions::default()).unwrap())
}

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| engine().load(ModelSource::Nano, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap())
}

/// A bright ellipse over a dark, uneven ground.
fn picture() -> Image {
    let mut pixels = Vec::with_capacity(3 * SIZE.0 * SIZE.1);
    for (y, x) in (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (y, x))) {
        let is_inside = is_in_ellipse(x, y);
        let noise = ((x * 31 + y * 17) % 23) as u8;
        pixels.extend(if is_inside { [220, 190 + noise, 60] } else { [40 + noise, 60, 90 + noise] });
    }
    Image::from_pixels(RgbImage::new(SIZE.0, SIZE.1, pixels).unwrap())
}

fn is_in_ellipse(x: usize, y: usize) -> bool {
    let (dx, dy) = ((x as f32 - 160.0) / 70.0, (y as f32 - 100.0) / 45.0);
    dx * dx + dy * dy < 1.0
}

const BOX: [f32; 4] = [90.0, 55.0, 230.0, 145.0];

fn embedding() -> &'static Embedding {
    static EMBEDDING: OnceLock<Embedding> = OnceLock::new();
    EMBEDDING.get_or_init(|| model().embed(&picture()).unwrap())
}

fn ask(prompts: &[Prompt]) -> Vec<Mask> {
    let found = embedding().find(prompts, &SegmentOptions::default()).unwrap();
    assert!(found.errors().next().is_none(), "{:?}", found.answers);
    found.into_objects().into_iter().map(|object| object.mask.unwrap()).collect()
}

#[test]
fn it_is_the_network_that_was_trained() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/nano");
    for dialect in [Dialect::Ort, Dialect::Portable] {
        let reports = verify(engine(), &case, &VerifyOptions { dialect, ..VerifyOptions::default() }).unwrap();
        assert_eq!(reports.len(), 1);
        for row in &reports[0].rows {
            assert!(row.passed, "{dialect:?} {row:?}");
        }
        assert_eq!(reports[0].rows.len(), 27);
    }
}

#[test]
fn a_plain_object_is_found_by_box_and_by_clicks() {
    let truth = Mask::from_fn(SIZE.0, SIZE.1, is_in_ellipse).unwrap();
    let prompts = [
        Prompt::bounds(BOX),
        Prompt::click(160.0, 100.0),
        Prompt::click(160.0, 100.0).with_click(20.0, 20.0, false),
        Prompt::bounds(BOX).with_click(160.0, 100.0, true),
    ];
    for (prompt, mask) in prompts.iter().zip(ask(&prompts)) {
        let iou = mask.iou(&truth).unwrap();
        assert!(iou > 0.8, "{prompt:?}: {iou}");
    }
}

#[test]
fn neighbours_and_their_number_change_nothing() {
    let prompts: Vec<Prompt> = (0..21)
        .map(|i| match i % 3 {
            0 => Prompt::bounds([3.0 * i as f32, 10.0, 3.0 * i as f32 + 120.0, 150.0]),
            1 => Prompt::click(14.0 * i as f32, 9.0 * i as f32),
            _ => Prompt::click(150.0, 100.0).with_click(10.0, 7.0 * i as f32, false),
        })
        .collect();
    let together = embedding().segment(&prompts, &SegmentOptions::default()).unwrap();
    for (prompt, answer) in prompts.iter().zip(together.answers) {
        let options = SegmentOptions { chunk: Some(1), ..SegmentOptions::default() };
        let mut alone = embedding().segment(std::slice::from_ref(prompt), &options).unwrap();
        let (alone, together) = (alone.answers.remove(0).unwrap(), answer.unwrap());
        for (a, b) in alone[0].logits.data().iter().zip(together[0].logits.data()) {
            assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{prompt:?}: {a} and {b}");
        }
        assert_eq!(alone[0].part.map(|part| part.map(f64::round)), together[0].part.map(|part| part.map(f64::round)));
    }
}

#[test]
fn answers_can_be_prompts_and_masks_too() {
    let mut first = embedding().segment(&[Prompt::click(160.0, 100.0)], &SegmentOptions::default()).unwrap();
    let answer = first.answers.remove(0).unwrap().remove(0);
    let truth = Mask::from_fn(SIZE.0, SIZE.1, is_in_ellipse).unwrap();
    let rough = Mask::from_fn(SIZE.0, SIZE.1, |x, y| (110..210).contains(&x) && (60..140).contains(&y)).unwrap();
    let prompts = [
        Prompt::default().with_mask(answer.to_prompt()),
        Prompt::default().with_mask(MaskPrompt::Picture(rough.clone())),
        Prompt::click(160.0, 100.0).with_mask(MaskPrompt::Picture(rough)),
    ];
    for mask in ask(&prompts) {
        let iou = mask.iou(&truth).unwrap();
        assert!(iou > 0.7, "{iou}");
    }
}

#[test]
fn masks_that_must_not_overlap_do_not() {
    let prompts = [Prompt::bounds(BOX), Prompt::bounds([60.0, 30.0, 200.0, 190.0]), Prompt::click(150.0, 90.0)];
    let options = SegmentOptions { non_overlapping: true, ..SegmentOptions::default() };
    let masks: Vec<Mask> =
        embedding().find(&prompts, &options).unwrap().into_objects().into_iter().map(|object| object.mask.unwrap()).collect();
    let free = ask(&prompts);
    assert!(free[0].overlap(&free[2]).unwrap() > 1000, "these prompts mean the same object");
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        assert_eq!(masks[i].overlap(&masks[j]).unwrap(), 0);
    }
    let union = |masks: &[Mask]| masks[0].union(&masks[1]).unwrap().union(&masks[2]).unwrap().area();
    assert_eq!(union(&masks), union(&free), "no pixel is lost");
}

#[test]
fn an_embedding_that_was_saved_answers_alike() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.embedding");
    embedding().save(&file).unwrap();
    let again = model().load_embedding(&file).unwrap();
    let prompts = [Prompt::bounds(BOX), Prompt::click(30.0, 30.0)];
    let masks = |embedding: &Embedding| {
        let found = embedding.find(&prompts, &SegmentOptions::default()).unwrap();
        found.into_objects().into_iter().map(|object| object.mask.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(masks(embedding()), masks(&again));
    assert_eq!(again.size(), SIZE);
}

#[test]
fn everything_is_found_and_lies_in_the_picture() {
    let options = EverythingOptions { points_per_side: Some(6), ..EverythingOptions::default() };
    let everything = model().everything(&picture(), &options).unwrap();
    let truth = Mask::from_fn(SIZE.0, SIZE.1, is_in_ellipse).unwrap();
    let best = everything.objects.iter().map(|object| object.mask.as_ref().unwrap().iou(&truth).unwrap()).fold(0.0, f64::max);
    assert!(best > 0.8, "the ellipse is among them, {best}");
}

#[test]
fn progress_is_told_and_breaking_ends_the_work() {
    let options = EverythingOptions { points_per_side: Some(6), crop_n_layers: 1, ..EverythingOptions::default() };
    let mut heard = Vec::new();
    let watched = model().everything_watched(&picture(), &options, &mut |progress| {
        heard.push(progress);
        ControlFlow::Continue(())
    });
    // Five crops of 36 clicks.
    assert_eq!((heard[0].done, heard.last().unwrap().done), (0, 180));
    assert!(heard.iter().all(|progress| progress.total == 180) && heard.windows(2).all(|pair| pair[0].done <= pair[1].done));
    assert!(heard.len() >= 10, "it is told often: {heard:?}");
    let plain = model().everything(&picture(), &options).unwrap();
    assert_eq!(watched.unwrap().objects, plain.objects);
    for end in [0, 40] {
        let mut last = 0;
        let error = model().everything_watched(&picture(), &options, &mut |progress| {
            last = progress.done;
            if progress.done >= end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let error = error.unwrap_err();
        assert!(error.kind() == ErrorKind::Cancelled && error.concerns() == Concern::Options && last < 80, "{error} after {last}");
    }
}

#[test]
fn wrong_prompts_say_what_is_wrong() {
    let logits = |side: usize| MaskPrompt::Logits(Logits::new(vec![0.0; side * side], [side; 2]).unwrap());
    let empty = Mask::from_fn(SIZE.0, SIZE.1, |_, _| false).unwrap();
    let part = |bounds: [f64; 4]| {
        let logits = Logits::new(vec![1.0; 48 * 48], [48; 2]).unwrap();
        Prompt::default().with_mask(MaskPrompt::Part(PartLogits { logits, bounds }))
    };
    for (prompt, word) in [
        (part([400.0, 10.0, 500.0, 90.0]), "meets the picture"),
        (part([-1e300, -90.0, 0.0, 90.0]), "meets the picture"),
        (part([10.0, 20.0, 10.0, 90.0]), "x1, y1, x2, y2"),
        (part([10.0, 20.0, f64::INFINITY, 90.0]), "x1, y1, x2, y2"),
        (Prompt::default(), "none of them"),
        (Prompt::click(400.0, 10.0), "inside the picture"),
        (Prompt::bounds([50.0, 50.0, 40.0, 60.0]), "x1 < x2"),
        (Prompt::default().with_mask(logits(48)), "to_prompt"),
        (Prompt::default().with_mask(MaskPrompt::Picture(empty)), "at least one pixel"),
    ] {
        let error = embedding().segment(&[prompt], &SegmentOptions::default()).unwrap().answers.remove(0).unwrap_err();
        assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains(word), "{word}: {error}");
    }
    assert_eq!(model().predict(&picture(), &PredictOptions::default()).unwrap_err().kind(), ErrorKind::InvalidOption);
}

#[test]
fn logits_of_a_part_are_refused_by_models_that_see_the_whole() {
    let architecture = "sam2.1-tiny".to_string();
    let config = serde_json::json!({});
    let bundle = BundleOptions { image_size: Some(256), config: Some(config), ..BundleOptions::default() };
    let options = LoadOptions { warm_up: false, bundle, ..LoadOptions::default() };
    let sam = engine().load(ModelSource::Synthetic { architecture, seed: 0 }, &options).unwrap();
    let answer = embedding().segment(&[Prompt::bounds(BOX)], &SegmentOptions::default()).unwrap().answers.remove(0).unwrap().remove(0);
    let prompt = Prompt::bounds(BOX).with_mask(answer.to_prompt());
    let error = sam.embed(&picture()).unwrap().segment(&[prompt], &SegmentOptions::default()).unwrap().answers.remove(0).unwrap_err();
    assert!(error.to_string().contains("another model"), "{error}");
}

/// Prompts of all kinds, also at the picture's borders and beyond them.
fn prompts() -> impl Strategy<Value = Prompt> {
    let click = (0.0..=SIZE.0 as f32, 0.0..=SIZE.1 as f32, any::<bool>());
    let clicks = proptest::collection::vec(click, 0..6);
    let corner = (-50.0..SIZE.0 as f32 - 1.0, -50.0..SIZE.1 as f32 - 1.0);
    let bounds = proptest::option::of((corner, 0.01_f32..400.0, 0.01_f32..400.0));
    (clicks, bounds).prop_filter_map("it says something that meets the picture", |(clicks, bounds)| {
        let bounds = bounds.map(|((x, y), width, height)| [x, y, x + width, y + height]);
        let prompt = clicks
            .iter()
            .fold(Prompt { bounds, ..Prompt::default() }, |prompt, (x, y, is_positive)| prompt.with_click(*x, *y, *is_positive));
        let meets = bounds.is_none_or(|[.., x2, y2]| x2 > 0.0 && y2 > 0.0);
        (meets && (bounds.is_some() || !clicks.is_empty())).then_some(prompt)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_prompt_gets_a_finite_answer_inside_the_picture(prompt in prompts()) {
        let mut segments = embedding().segment(std::slice::from_ref(&prompt), &SegmentOptions::default()).unwrap();
        let answer = segments.answers[0].as_ref().unwrap()[0].clone();
        prop_assert!(answer.logits.data().iter().all(|logit| logit.is_finite()));
        prop_assert!((0.0..=1.0).contains(&answer.score));
        let object = segments.objects().unwrap().remove(0);
        let mask = object.mask.unwrap();
        prop_assert_eq!((mask.width(), mask.height()), SIZE);
        let [x1, y1, x2, y2] = object.bounds;
        prop_assert!(x1 >= 0.0 && y1 >= 0.0 && x2 <= SIZE.0 as f32 && y2 <= SIZE.1 as f32);
        prop_assert_eq!(mask.is_empty(), mask.bounds().is_none());
        prop_assert_eq!(mask.is_empty(), object.bounds == [0.0; 4], "an empty mask has no box");
    }
}

#[test]
fn one_thing_is_looked_at_once_and_found_all_the_same() {
    let grid = |box_nms_thresh| EverythingOptions { points_per_side: Some(8), box_nms_thresh, ..EverythingOptions::default() };
    let found = |options: &EverythingOptions| {
        // It is told after every few looks.
        let mut told = 0;
        let mut count = |_| {
            told += 1;
            ControlFlow::Continue(())
        };
        let found = model().everything_watched(&picture(), options, &mut count).unwrap();
        (found, told)
    };
    let (usual, few) = found(&grid(0.7));
    // Nothing overlaps by more than the whole: every click is looked at to the end.
    let (all, many) = found(&grid(1.0));
    assert!(usual.objects.len() < all.objects.len() && few < many, "{few} and {many}");
    let best = all.objects.iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap().mask.as_ref().unwrap();
    let nearest = usual.objects.iter().map(|object| object.mask.as_ref().unwrap().iou(best).unwrap()).fold(0.0, f64::max);
    assert!(nearest > 0.8, "the best of all is among the usual ones, {nearest}");
}
