//! Prompts: what is wrong with one is its own answer and nobody else's, and every option does what it says.
#![allow(clippy::unwrap_used)]

mod asking;

use asking::parts::{Parts, Tokens};
use asking::{MASK_SIDE, MODEL, Place, Random, SIZE, embedding, picture, shared};
use maskline::vision::mask::{Cleaning, Logits, clean};
use maskline::{
    Embedding, ErrorKind, LoadOptions, Mask, MaskPrompt, Model, ModelSource, Multimask, PredictOptions, Prompt, PromptMask, SegmentOptions,
};
use maskline_models::SingleMask;
use maskline_models::sam::{kind, unblock};

fn answers(embedding: &Embedding, prompts: &[Prompt], options: &SegmentOptions) -> Vec<Vec<PromptMask>> {
    embedding.segment(prompts, options).unwrap().answers.into_iter().map(Result::unwrap).collect()
}

fn good() -> [Prompt; 4] {
    let logits = (0..MASK_SIDE * MASK_SIDE).map(|i| if i % MASK_SIDE < 8 { 6.0 } else { -6.0 }).collect();
    let mask = MaskPrompt::Logits(Logits::new(logits, [MASK_SIDE; 2]).unwrap());
    [
        Prompt::bounds([10.0, 8.0, 60.0, 50.0]),
        Prompt::click(40.0, 30.0),
        Prompt::bounds([20.0, 5.0, 90.0, 60.0]).with_click(30.0, 20.0, false),
        Prompt::default().with_mask(mask),
    ]
}

/// What two answers have in common when nothing is different.
fn content(answers: &[PromptMask]) -> Vec<(usize, f32, Option<f32>, &[f32])> {
    answers.iter().map(|mask| (mask.candidate, mask.score, mask.presence, mask.logits.data())).collect()
}

/// Asserts that each bad prompt is told with its words, among good ones that do not notice.
fn are_refused(bad: &[(Prompt, &[&str])]) {
    let embedding = embedding();
    let options = SegmentOptions::default();
    let good = good();
    let expected = answers(&embedding, &good, &options);
    for (prompt, words) in bad {
        for at in [0, 2, 4] {
            let mut prompts = good.to_vec();
            prompts.insert(at, prompt.clone());
            let mut segments = embedding.segment(&prompts, &options).unwrap();
            let mut found = std::mem::take(&mut segments.answers);
            let error = found.remove(at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
            for word in [format!("prompt {at}:").as_str()].iter().chain(*words) {
                assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
            }
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let found = found.as_ref().unwrap();
                assert_eq!(content(found), content(expected), "{prompt:?} at {at} changed prompt {index}");
                assert_eq!(found[0].prompt, index + usize::from(index >= at));
                assert_eq!(found[0].mask().unwrap(), expected[0].mask().unwrap());
            }
        }
        // Alone it is refused as well, and leaves no object.
        let mut segments = embedding.segment(std::slice::from_ref(prompt), &options).unwrap();
        assert!(segments.answers[0].is_err() && segments.objects().unwrap().is_empty(), "{prompt:?}");
    }
}

#[test]
fn boxes_outside_the_picture() {
    let words: &[&str] = &["box that meets the picture of 97 × 61"];
    are_refused(&[
        (Prompt::bounds([200.0, 10.0, 300.0, 20.0]), words),
        (Prompt::bounds([97.0, 10.0, 300.0, 20.0]), words),
        (Prompt::bounds([-50.0, -50.0, 0.0, 0.0]), words),
        (Prompt::bounds([10.0, 61.0, 20.0, 70.0]), words),
    ]);
}

#[test]
fn boxes_inverted_or_of_no_size() {
    let words: &[&str] = &["x1 < x2 and y1 < y2", "found 30, 30, "];
    are_refused(&[
        (Prompt::bounds([30.0, 30.0, 20.0, 40.0]), words),
        (Prompt::bounds([30.0, 30.0, 40.0, 20.0]), words),
        (Prompt::bounds([30.0, 30.0, 30.0, 40.0]), words),
        (Prompt::bounds([30.0, 30.0, 40.0, 30.0]), words),
        (Prompt::bounds([30.0, 30.0, 30.0, 30.0]).with_click(30.0, 30.0, true), words),
    ]);
}

#[test]
fn coordinates_that_are_no_numbers() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    are_refused(&[
        (Prompt::bounds([nan, 1.0, 20.0, 20.0]), &["expected a box", "NaN"]),
        (Prompt::bounds([1.0, 1.0, nan, 20.0]), &["expected a box", "NaN"]),
        (Prompt::bounds([1.0, 1.0, inf, 20.0]), &["expected a box", "inf"]),
        (Prompt::bounds([-inf, 1.0, 20.0, 20.0]), &["expected a box", "inf"]),
        (Prompt::click(nan, 5.0), &["expected a click", "NaN"]),
        (Prompt::click(5.0, inf), &["expected a click", "inf"]),
    ]);
}

#[test]
fn clicks_outside_the_picture() {
    let words: &[&str] = &["expected a click inside the picture of 97 × 61"];
    are_refused(&[
        (Prompt::click(97.5, 5.0), words),
        (Prompt::click(5.0, -0.5), words),
        (Prompt::click(5.0, 5.0).with_click(1e30, 5.0, false), words),
        (Prompt::bounds([1.0, 1.0, 20.0, 20.0]).with_click(5.0, 61.5, true), words),
    ]);
}

#[test]
fn prompts_of_nothing_and_of_too_much() {
    let many = (0..257).fold(Prompt::default(), |prompt, i| prompt.with_click(i as f32 / 4.0, 5.0, true));
    are_refused(&[(Prompt::default(), &["a click, a box or a mask"]), (many, &["at most 256 clicks", "257"])]);
}

#[test]
fn masks_that_do_not_fit() {
    let logits = |value: f32, [rows, columns]: [usize; 2]| {
        let mut values = vec![1.0; rows * columns];
        values[7] = value;
        Prompt::default().with_mask(MaskPrompt::Logits(Logits::new(values, [rows, columns]).unwrap()))
    };
    let picture = |width, height| Prompt::default().with_mask(MaskPrompt::Picture(Mask::from_fn(width, height, |x, _| x > 9).unwrap()));
    are_refused(&[
        (logits(1.0, [15, 16]), &["mask logits of 16 × 16", "found 16 × 15"]),
        (logits(1.0, [256, 256]), &["mask logits of 16 × 16", "found 256 × 256"]),
        (logits(f32::NAN, [16, 16]), &["finite mask logits"]),
        (logits(f32::NEG_INFINITY, [16, 16]), &["finite mask logits"]),
        (picture(61, 97), &["a mask of the picture's size 97 × 61", "found 61 × 97"]),
        (picture(16, 16), &["a mask of the picture's size 97 × 61", "found 16 × 16"]),
    ]);
}

#[test]
fn boxes_far_beyond_the_picture_are_cut_one_picture_away() {
    let embedding = embedding();
    let options = SegmentOptions { chunk: Some(1), ..SegmentOptions::default() };
    let ask = |bounds: [f32; 4]| answers(&embedding, &[Prompt::bounds(bounds)], &options).remove(0);
    let cut = ask([-97.0, -61.0, 194.0, 122.0]);
    for bounds in [[-1e4, -1e4, 1e4, 1e4], [-1e30, -1e30, 1e30, 1e30], [f32::MIN, f32::MIN, f32::MAX, f32::MAX]] {
        assert_eq!(content(&ask(bounds)), content(&cut), "{bounds:?}");
    }
    assert_ne!(content(&ask([-20.0, -20.0, 110.0, 80.0])), content(&cut), "what reaches less far is taken as it is");
}

#[test]
fn prompts_on_the_very_border_are_good() {
    let corners = Prompt::click(0.0, 0.0).with_click(97.0, 61.0, true);
    let larger = Prompt::bounds([-100.0, -100.0, 1000.0, 1000.0]);
    let prompts = [corners, larger, Prompt::bounds([96.5, 60.5, 200.0, 200.0])];
    assert_eq!(answers(&embedding(), &prompts, &SegmentOptions::default()).len(), 3);
}

#[test]
fn lists_and_options_outside_their_domain() {
    let embedding = embedding();
    let click = Prompt::click(5.0, 5.0);
    let fails = |prompts: &[Prompt], options: &SegmentOptions| embedding.segment(prompts, options).unwrap_err();
    let standard = SegmentOptions::default();
    assert!(answers(&embedding, &[], &standard).is_empty(), "an empty list has no answers");
    let error = fails(&vec![click.clone(); 100_000], &standard);
    assert_eq!(error.kind(), ErrorKind::OverLimit);
    assert!(["at most 10000", "found 100000", "raise the limit"].iter().all(|word| error.to_string().contains(word)), "{error}");
    let three = SegmentOptions { max_prompts: 3, ..standard.clone() };
    assert_eq!(answers(&embedding, &vec![click.clone(); 3], &three).len(), 3);
    assert_eq!(fails(&vec![click.clone(); 4], &three).kind(), ErrorKind::OverLimit);
    for options in [
        SegmentOptions { threshold: f32::NAN, ..standard.clone() },
        SegmentOptions { threshold: f32::INFINITY, ..standard.clone() },
        SegmentOptions { chunk: Some(0), ..standard.clone() },
    ] {
        assert_eq!(fails(std::slice::from_ref(&click), &options).kind(), ErrorKind::InvalidOption, "{options:?}");
    }
}

#[test]
fn a_detector_takes_no_prompts_and_a_promptable_model_finds_nothing_by_itself() {
    let place = Place::new();
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 0 };
    let detector = place.engine.load(source, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    let error = detector.embed(&picture(1, SIZE)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("yolov8n takes no prompts"), "{error}");
    assert_eq!(detector.cached_embedding_bytes(), 0);
    let error = MODEL.predict(&picture(1, SIZE), &PredictOptions::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("clicks, boxes or masks"), "{error}");
}

#[test]
fn multimask_gives_three_or_one() {
    let embedding = embedding();
    let ask = |multimask| answers(&embedding, &good(), &SegmentOptions { multimask, ..SegmentOptions::default() });
    let [on, off, auto] = [Multimask::On, Multimask::Off, Multimask::Auto].map(ask);
    for index in 0..good().len() {
        let candidates: Vec<usize> = on[index].iter().map(|mask| mask.candidate).collect();
        assert_eq!((candidates, off[index].len(), auto[index].len()), (vec![1, 2, 3], 1, 1));
        assert!(on[index].iter().all(|mask| mask.presence.is_some_and(f32::is_finite)), "SAM 2 tells whether the object is there");
        assert_eq!(on[index][0].presence, on[index][2].presence, "of the prompt, not of the mask");
    }
    // The second prompt is a single click, which may mean a part or the whole: the best of three.
    let best = on[1].iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
    assert_eq!(content(&auto[1]), content(std::slice::from_ref(best)));
    for index in [0, 2, 3] {
        assert_eq!(content(&auto[index]), content(&off[index]), "what is not ambiguous gets the single answer");
    }
}

/// Asserts that the single answers of random boxes are those of the rule, from outputs that are made by hand. Returns how many have
/// a stable first mask, and how many have not.
fn follows_the_rule(model: &Model) -> [usize; 2] {
    let parts = Parts::of(model);
    let SingleMask::Stable { delta, threshold } = parts.head.single else { panic!("{:?}", parts.head.single) };
    let image = picture(1, SIZE);
    let mut random = Random(7);
    let prompts: Vec<Prompt> = (0..40)
        .map(|_| {
            let (x, y) = (random.up_to(60.0), random.up_to(40.0));
            Prompt::bounds([x, y, x + 1.0 + random.up_to(60.0), y + 1.0 + random.up_to(40.0)])
        })
        .collect();
    let scale = [SIZE.0, SIZE.1].map(|length| parts.head.space as f32 / length as f32);
    let coords = prompts.iter().flat_map(|prompt| {
        let [x1, y1, x2, y2] = prompt.bounds.unwrap();
        [x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1], 0.0, 0.0]
    });
    let kinds = [kind::TOP_LEFT, kind::BOTTOM_RIGHT, kind::PAD].repeat(prompts.len());
    let raw = parts.decode(&parts.encode(&image), &Tokens { points: 3, coords: coords.collect(), kinds, masks: None });
    let options = SegmentOptions { multimask: Multimask::Off, chunk: Some(prompts.len()), ..SegmentOptions::default() };
    let found = answers(&model.embed(&image).unwrap(), &prompts, &options);

    let area = parts.head.mask_side() * parts.head.mask_side();
    let mut counts = [0; 2];
    for ((found, logits), scores) in found.iter().zip(raw.logits.chunks_exact(4 * area)).zip(raw.scores.chunks_exact(4)) {
        let above = |level: f32| logits[..area].iter().filter(|logit| **logit > level).count() as f32;
        let is_stable = above(-delta) == 0.0 || above(delta) / above(-delta) >= threshold;
        let best = (1..4).fold(1, |best, i| if scores[i] > scores[best] { i } else { best });
        let expected = if is_stable { 0 } else { best };
        assert_eq!((found[0].candidate, found.len()), (expected, 1));
        assert!((found[0].score - scores[expected]).abs() < 1e-5);
        let mut rows = Vec::new();
        unblock(&logits[expected * area..][..area], parts.head.grid, &mut rows);
        let largest = rows.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        let difference = rows.iter().zip(found[0].logits.data()).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(difference <= 1e-4 * largest, "{difference} of {largest}");
        counts[usize::from(!is_stable)] += 1;
    }
    counts
}

#[test]
fn the_single_answer_is_the_first_mask_where_it_is_stable() {
    // Generated weights give steep borders.
    let place = Place::new();
    let [stable, _] = follows_the_rule(&place.synthetic(LoadOptions::default()));
    assert!(stable > 0);
}

#[test]
fn the_single_answer_is_the_best_of_the_others_where_the_first_mask_is_not_stable() {
    let Some(checkpoint) = shared("goldens/sam2_image/tiny128") else { return };
    let place = Place::new();
    let [_, unstable] = follows_the_rule(&place.engine.load(&checkpoint, &LoadOptions::default()).unwrap());
    assert!(unstable > 0);
}

#[test]
fn non_overlapping_masks_are_disjoint() {
    let embedding = MODEL.embed(&picture(1, (1003, 701))).unwrap();
    let mut random = Random(11);
    let prompts: Vec<Prompt> = (0..12).map(|_| random.prompt((1003, 701), MASK_SIDE)).collect();
    for threshold in [0.0, -0.7, 0.3] {
        let masks = |non_overlapping| {
            let options = SegmentOptions { non_overlapping, threshold, multimask: Multimask::Off, ..SegmentOptions::default() };
            let answers = answers(&embedding, &prompts, &options);
            answers.iter().map(|masks| masks[0].mask().unwrap().to_rows(1)).collect::<Vec<_>>()
        };
        let (apart, before) = (masks(true), masks(false));
        let count = |masks: &[Vec<u8>], pixel: usize| masks.iter().filter(|rows| rows[pixel] != 0).count();
        let pixels = 1003 * 701;
        let overlap = (0..pixels).filter(|pixel| count(&before, *pixel) > 1).count();
        assert!(overlap > pixels / 20, "{overlap} pixels overlap: too few to show anything");
        let rest = (0..pixels).filter(|pixel| count(&apart, *pixel) > 1).count();
        assert_eq!(rest, 0, "of {overlap} pixels that overlapped at the threshold {threshold}, so many still do");
        // What was covered stays covered, but for a seam between masks.
        let [kept, covered] = [&apart, &before].map(|masks| (0..pixels).filter(|pixel| count(masks, *pixel) > 0).count());
        assert!(kept as f64 > 0.9 * covered as f64, "{kept} of {covered} pixels are left");
    }
}

#[test]
fn non_overlapping_leaves_a_mask_without_rivals_as_it_is() {
    let embedding = embedding();
    let options = SegmentOptions { non_overlapping: true, ..SegmentOptions::default() };
    // The refused one is no rival.
    let prompts = [good()[0].clone(), Prompt::default()];
    let apart = embedding.segment(&prompts, &options).unwrap().answers;
    let alone = answers(&embedding, &prompts[..1], &SegmentOptions::default());
    assert_eq!(content(apart[0].as_ref().unwrap()), content(&alone[0]));
}

#[test]
fn holes_are_filled_and_spots_removed_on_request() {
    let embedding = embedding();
    let mut random = Random(3);
    let prompts: Vec<Prompt> = (0..40).map(|_| random.prompt(SIZE, MASK_SIDE)).collect();
    let standard = SegmentOptions { multimask: Multimask::On, ..SegmentOptions::default() };
    for (threshold, max_hole_area, max_sprinkle_area) in [(0.0, 12, 0), (0.0, 0, 6), (0.2, 12, 6)] {
        let options = SegmentOptions { threshold, ..standard.clone() };
        let before = answers(&embedding, &prompts, &options);
        let after = answers(&embedding, &prompts, &SegmentOptions { max_hole_area, max_sprinkle_area, ..options });
        let mut changed = 0;
        for (before, after) in before.iter().flatten().zip(after.iter().flatten()) {
            let mut expected = before.logits.clone();
            clean(&mut expected, &Cleaning { threshold, max_hole_area, max_sprinkle_area });
            assert_eq!(after.logits, expected);
            changed += usize::from(expected != before.logits);
        }
        assert!(changed > 0, "nothing had a hole or spot at {threshold}, {max_hole_area}, {max_sprinkle_area}");
    }
}

#[test]
fn a_mask_may_be_a_picture_or_logits() {
    // Five pixels a cell: a cell is all inside, all outside, or of a known share.
    let side = 5 * MASK_SIDE;
    let embedding = MODEL.embed(&picture(1, (side, side))).unwrap();
    let ask = |mask: MaskPrompt| {
        let prompts = [Prompt::default().with_mask(mask.clone()), Prompt::bounds([9.0, 9.0, 50.0, 50.0]).with_mask(mask)];
        answers(&embedding, &prompts, &SegmentOptions { multimask: Multimask::On, ..SegmentOptions::default() })
    };
    let same = |picture: Mask, logits: Vec<f32>| {
        let (a, b) = (ask(MaskPrompt::Picture(picture)), ask(MaskPrompt::Logits(Logits::new(logits, [MASK_SIDE; 2]).unwrap())));
        a.iter().zip(&b).for_each(|(a, b)| assert_eq!(content(a), content(b)));
        a
    };
    let is_inside = |x: usize, y: usize| (3..12).contains(&x) && (5..9).contains(&y) && x + y != 14;
    let cells = |value: &dyn Fn(usize, usize) -> f32| (0..MASK_SIDE * MASK_SIDE).map(|i| value(i % MASK_SIDE, i / MASK_SIDE)).collect();
    let sharp = Mask::from_fn(side, side, |x, y| is_inside(x / 5, y / 5)).unwrap();
    let first = same(sharp, cells(&|x, y| if is_inside(x, y) { 10.0 } else { -10.0 }));
    // Two of the five columns of each cell: a share of 0.4.
    let striped = Mask::from_fn(side, side, |x, y| is_inside(x / 5, y / 5) && x % 5 < 2).unwrap();
    let second = same(striped, cells(&|x, y| if is_inside(x, y) { 10.0 * (2.0 * 0.4 - 1.0) } else { -10.0 }));
    assert_ne!(content(&first[0]), content(&second[0]), "the mask says something");
}

#[test]
fn a_picture_of_an_answer_says_what_its_signs_say() {
    let size = (640, 480);
    let embedding = MODEL.embed(&picture(1, size)).unwrap();
    let options = SegmentOptions { multimask: Multimask::Off, ..SegmentOptions::default() };
    let earlier = answers(&embedding, &[Prompt::bounds([100.0, 80.0, 500.0, 400.0])], &options).remove(0).remove(0);
    let signs = earlier.logits.data().iter().map(|logit| if *logit > 0.0 { 10.0 } else { -10.0 }).collect();
    let prompts = [MaskPrompt::Logits(Logits::new(signs, [MASK_SIDE; 2]).unwrap()), MaskPrompt::Picture(earlier.mask().unwrap())];
    let prompts = prompts.map(|mask| Prompt::bounds([100.0, 80.0, 500.0, 400.0]).with_mask(mask));
    let [a, b] = [0, 1].map(|i| answers(&embedding, &prompts[i..=i], &options)[0][0].mask().unwrap().to_rows(1));
    let count = |test: fn(u8, u8) -> bool| a.iter().zip(&b).filter(|(a, b)| test(**a, **b)).count() as f64;
    let iou = count(|a, b| a & b != 0) / count(|a, b| a | b != 0);
    assert!(iou > 0.85, "IoU {iou}");
}

#[test]
fn names_and_classes_are_carried_to_the_objects() {
    let embedding = embedding();
    let [boxed, clicked, ..] = good();
    let prompts = [
        Prompt { label: Some("cat".into()), class_id: Some(15), ..boxed.clone() },
        Prompt { label: Some("ghost".into()), ..Prompt::default() },
        clicked,
        Prompt { label: Some("Ä dog".into()), ..boxed },
    ];
    let options = SegmentOptions { multimask: Multimask::On, ..SegmentOptions::default() };
    let mut segments = embedding.segment(&prompts, &options).unwrap();
    let objects = segments.objects().unwrap();
    let found: Vec<_> = objects.iter().map(|object| (object.prompt.unwrap(), object.label.as_deref(), object.class_id)).collect();
    let expected = [(0, Some("cat"), Some(15)), (2, None, None), (3, Some("Ä dog"), None)];
    assert_eq!(found, expected.into_iter().flat_map(|object| [object; 3]).collect::<Vec<_>>());
    for (object, answer) in objects.iter().zip(segments.answers.iter().flatten().flatten()) {
        let mask = object.mask.as_ref().unwrap();
        assert_eq!((mask, object.score, object.stability), (&answer.mask().unwrap(), answer.score, Some(answer.stability())));
        assert_eq!(object.bounds, mask.bounds().unwrap_or_default().map(|side| side as f32));
        assert_eq!((mask.width(), mask.height()), SIZE);
    }
}

#[test]
fn finding_gives_the_objects_and_errors_of_segmenting() {
    let embedding = embedding();
    let mut random = Random(7);
    // More than are enlarged together, of several token counts, two of them bad.
    let mut prompts: Vec<Prompt> = (0..70).map(|_| random.prompt(SIZE, MASK_SIDE)).collect();
    prompts[3] = Prompt::click(-1.0, 0.0);
    prompts[50] = Prompt::default();
    prompts[11].label = Some("eleven".into());
    for non_overlapping in [false, true] {
        for multimask in [Multimask::Auto, Multimask::On] {
            let options = SegmentOptions { multimask, non_overlapping, ..SegmentOptions::default() };
            let mut segments = embedding.segment(&prompts, &options).unwrap();
            let found = embedding.find(&prompts, &options).unwrap();
            assert_eq!(found.objects().cloned().collect::<Vec<_>>(), segments.objects().unwrap());
            assert_eq!(found.errors().map(|(index, _)| index).collect::<Vec<_>>(), [3, 50]);
            assert!(found.objects().any(|object| object.prompt == Some(11) && object.label.as_deref() == Some("eleven")));
        }
    }
}
