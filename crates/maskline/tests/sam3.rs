//! SAM 3: objects with masks for words and examples, and masks for clicks, from one encoding of the picture; on a model small enough to be
//! asked often.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use maskline::{
    Ask, Concept, EmbeddingSource, Engine, EngineOptions, ErrorKind, Exemplar, Image, LoadOptions, Model, Object, PredictOptions, Prompt,
    Request, RgbImage, SegmentOptions, Stage, WordOptions,
};
use maskline_testing::TinySam3;
use tempfile::TempDir;

const SIZE: (usize, usize) = (50, 40);

/// A folder with a model of both heads and its tokenizer.
struct Place {
    folder: TempDir,
    engine: Engine,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() }).unwrap();
        let place = Self { folder, engine };
        TinySam3::new().write(&place.model());
        place
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("sam3")
    }

    fn load(&self) -> Model {
        self.engine.load(self.model().as_path(), &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap()
    }
}

fn picture(seed: u32) -> Image {
    let level = |index: usize| ((index * 37 + index / 50 * seed as usize * 11 + seed as usize * 53) % 251) as u8;
    Image::from_pixels(RgbImage::new(SIZE.0, SIZE.1, (0..3 * SIZE.0 * SIZE.1).map(level).collect()).unwrap())
}

/// All queries that lie on the picture, whatever their score.
fn all() -> PredictOptions {
    PredictOptions { conf: Some(0.0), ..PredictOptions::default() }
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Concept> {
    texts.into_iter().map(Concept::text).collect()
}

fn scores(objects: &[Object]) -> Vec<f32> {
    objects.iter().map(|object| object.score).collect()
}

/// Objects that are the same but for rounding.
fn assert_alike(found: &[Object], expected: &[Object]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found.score - expected.score).abs() < 1e-5, "{found:?} and {expected:?}");
        assert!(found.bounds.iter().zip(expected.bounds).all(|(a, b)| (a - b).abs() < 1e-2), "{found:?} and {expected:?}");
        let area = |object: &Object| object.mask.as_ref().unwrap().area() as f64;
        assert!((area(found) - area(expected)).abs() <= 2.0, "{found:?} and {expected:?}");
    }
}

#[test]
fn words_find_objects_with_masks() {
    let place = Place::new();
    let model = place.load();
    let info = model.info();
    assert!(info.takes_words() && info.task.takes_concepts() && info.task.has_masks() && info.takes_prompts());
    let found = model.find_concepts(&picture(1), &texts(["red cat"]), &all()).unwrap();
    assert!(!found.objects.is_empty() && found.objects.is_sorted_by(|a, b| a.score >= b.score));
    for object in &found.objects {
        assert_eq!((object.label.as_deref(), object.class_id), (Some("red cat"), Some(0)));
        let [x1, y1, x2, y2] = object.bounds;
        assert!(0.0 <= x1 && x1 < x2 && x2 <= SIZE.0 as f32 && 0.0 <= y1 && y1 < y2 && y2 <= SIZE.1 as f32, "{object:?}");
        let mask = object.mask.as_ref().unwrap();
        assert_eq!((mask.width(), mask.height()), SIZE);
    }
    // The least score of a phrase, of all, and the usual one; a score has to be above it.
    let middle = scores(&found.objects)[found.objects.len() / 2];
    let above = |least: f32| found.objects.iter().filter(|object| object.score > least).count();
    let count = |concepts: &[Concept], options: &PredictOptions| model.find_concepts(&picture(1), concepts, options).unwrap().objects.len();
    assert_eq!(count(&[Concept { threshold: Some(middle), ..Concept::text("red cat") }], &all()), above(middle));
    assert_eq!(count(&texts(["red cat"]), &PredictOptions { conf: Some(middle), ..all() }), above(middle));
    assert_eq!(count(&texts(["red cat"]), &PredictOptions::default()), above(0.5));
    assert!(above(middle) < found.objects.len());
    // The best few.
    let few = model.find_concepts(&picture(1), &texts(["red cat"]), &PredictOptions { max_detections: 2, ..all() }).unwrap();
    assert_eq!(few.objects, found.objects[..2]);
}

#[test]
fn several_phrases_are_asked_of_one_encoding() {
    let place = Place::new();
    let model = place.load();
    let words = ["cat", "red dog", "bird", "dog", "car", "train"];
    let together = model.find_concepts(&picture(2), &texts(words), &all()).unwrap();
    assert_eq!((together.timings.embedding(), together.timings.phrases().encoded), (Some(EmbeddingSource::Miss), 6));
    assert!(together.timings.get(Stage::ConceptDecode) > Duration::ZERO && together.timings.get(Stage::MaskDecode) > Duration::ZERO);
    for (index, word) in words.iter().enumerate() {
        let alone = model.find_concepts(&picture(2), &texts([*word]), &all()).unwrap();
        // Neither the picture nor the words are encoded again.
        assert_eq!(alone.timings.embedding(), Some(EmbeddingSource::Hit));
        assert_eq!((alone.timings.get(Stage::ImageEncode), alone.timings.phrases().cached), (Duration::ZERO, 1));
        let own: Vec<Object> = together.objects.iter().filter(|object| object.class_id == Some(index)).cloned().collect();
        assert_alike(&alone.objects, &own);
    }
    let firsts: HashSet<u32> = words
        .iter()
        .enumerate()
        .map(|(index, _)| together.objects.iter().find(|object| object.class_id == Some(index)).unwrap().score.to_bits())
        .collect();
    assert_eq!(firsts.len(), words.len(), "each phrase has an answer of its own");
}

#[test]
fn examples_refine_words_and_stand_for_them() {
    let place = Place::new();
    let model = place.load();
    let image = picture(3);
    let of = |concept: Concept| model.find_concepts(&image, &[concept], &all()).map(|found| found.objects);
    let shown = [5.0, 6.0, 30.0, 25.0];
    let unlike = Exemplar { is_negative: true, ..Exemplar::here([31.0, 2.0, 48.0, 20.0]) };
    let with = |exemplars: Vec<Exemplar>| Concept { exemplars, ..Concept::text("cat") };
    let answers = [
        of(Concept::text("cat")).unwrap(),
        of(with(vec![Exemplar::here(shown)])).unwrap(),
        of(with(vec![unlike.clone()])).unwrap(),
        of(with(vec![Exemplar::here(shown), unlike.clone()])).unwrap(),
        of(Concept::like(Exemplar::here(shown))).unwrap(),
    ];
    let different: HashSet<u32> = answers.iter().map(|objects| objects[0].score.to_bits()).collect();
    assert_eq!(different.len(), answers.len(), "every example counts");
    // Without words it is what the reference calls them.
    let visual = of(Concept { exemplars: vec![Exemplar::here(shown)], ..Concept::text("visual") }).unwrap();
    assert_eq!(scores(&visual), scores(&answers[4]));
    // The same pixels as another picture: the same answer. A whole picture is an example too.
    let there = of(Concept::like(Exemplar::on(picture(3), Some(shown)))).unwrap();
    assert_eq!(there, answers[4]);
    assert!(!of(Concept::like(Exemplar::on(picture(4), None))).unwrap().is_empty());
    // A box may reach beyond the picture, and be as small as a pixel.
    assert!(!of(with(vec![Exemplar::here([-20.0, -20.0, 30.0, 25.0]), Exemplar::here([7.0, 7.0, 8.0, 8.0])])).unwrap().is_empty());
}

#[test]
fn what_examples_cannot_be_is_told() {
    let place = Place::new();
    let model = place.load();
    let one = |exemplars: Vec<Exemplar>| Concept { exemplars, ..Concept::text("cat") };
    let unlike = Exemplar { is_negative: true, ..Exemplar::here([1.0, 1.0, 9.0, 9.0]) };
    let wrong = [
        one(vec![Exemplar::here([60.0, 5.0, 80.0, 9.0])]),
        Concept { text: None, ..one(vec![unlike]) },
        one(vec![Exemplar::here([1.0, 1.0, 9.0, 9.0]); 1000]),
        Concept::text("o".repeat(20)),
    ];
    let asks: Vec<Ask> = wrong.iter().cloned().chain([Concept::text("cat")]).map(Ask::Concept).collect();
    let answers = model.answer(&Request { predict: all(), ..Request::new(picture(1), asks) }).unwrap().answers;
    let told = |index: usize| answers[index].as_ref().unwrap_err();
    assert!(answers[4].is_ok(), "one concept's error is no other's");
    for (index, parts) in [&["overlaps", "50", "40"][..], &["only what is not wanted"], &["256", "1000"], &["8", "22"]].iter().enumerate() {
        let message = told(index).to_string();
        assert_eq!(told(index).kind(), ErrorKind::BadInput, "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let templates = PredictOptions { words: WordOptions { templates: true, ..WordOptions::default() }, ..all() };
    assert_eq!(model.find_concepts(&picture(1), &texts(["cat"]), &templates).unwrap_err().kind(), ErrorKind::InvalidOption);
}

#[test]
fn boxes_suppress_each_other_where_it_is_wished_and_masks_keep_apart() {
    let place = Place::new();
    let model = place.load();
    let ask = |options: PredictOptions| model.find_concepts(&picture(5), &texts(["cat", "dog"]), &options).unwrap().objects;
    let plain = ask(all());
    let of_class = |objects: &[Object]| {
        let mut counts = [0; 2];
        objects.iter().for_each(|object| counts[object.class_id.unwrap()] += 1);
        counts
    };
    let fewer = ask(PredictOptions { iou: Some(0.1), ..all() });
    assert!((0..2).all(|class| of_class(&fewer)[class] < of_class(&plain)[class]), "{:?} {:?}", of_class(&fewer), of_class(&plain));
    assert!(ask(PredictOptions { iou: Some(0.1), agnostic_nms: true, ..all() }).len() < fewer.len());
    let covered = |objects: &[Object]| -> (u64, u64) {
        let masks: Vec<Vec<u8>> = objects.iter().map(|object| object.mask.as_ref().unwrap().to_rows(1)).collect();
        let times = |pixel: usize| masks.iter().filter(|mask| mask[pixel] != 0).count();
        let counts: Vec<usize> = (0..SIZE.0 * SIZE.1).map(times).collect();
        (counts.iter().filter(|count| **count > 0).count() as u64, counts.iter().filter(|count| **count > 1).count() as u64)
    };
    let apart = ask(PredictOptions { separate: true, ..all() });
    assert!(covered(&plain).1 > 0 && covered(&apart).1 == 0, "{:?} {:?}", covered(&plain), covered(&apart));
    assert!(covered(&apart).0 > 0 && apart.len() == plain.len());
}

#[test]
fn clicks_and_words_share_the_encoding_of_a_picture() {
    let place = Place::new();
    let model = place.load();
    let image = picture(6);
    let asks =
        [Ask::Concept(Concept::text("cat")), Ask::Object(Prompt::click(20.0, 15.0)), Ask::Object(Prompt::bounds([5.0, 5.0, 30.0, 30.0]))];
    let answer = model.answer(&Request { predict: all(), ..Request::new(image.clone(), asks) }).unwrap();
    assert!(answer.answers.iter().all(Result::is_ok), "{:?}", answer.answers);
    assert_eq!(answer.timings.embedding(), Some(EmbeddingSource::Miss));
    // Asked for clicks alone, by a process that never reads a word.
    let other = place.load();
    let found = other.find(&image, &[Prompt::click(20.0, 15.0)], &SegmentOptions::default()).unwrap();
    let mask = |object: &Object| object.mask.clone().unwrap();
    let clicked = found.objects().next().unwrap();
    assert_eq!(mask(clicked), mask(&answer.answers[1].as_ref().unwrap().objects[0]));
    assert_eq!((mask(clicked).width(), mask(clicked).height()), SIZE);
}

#[test]
fn an_encoded_picture_is_kept_on_disk_and_asked_by_both_heads() {
    let place = Place::new();
    let model = place.load();
    let image = picture(7);
    let path = place.folder.path().join("picture.embedding");
    model.embed(&image).unwrap().save(&path).unwrap();
    let asks = [Ask::Concept(Concept::text("cat")), Ask::Object(Prompt::click(20.0, 15.0))];
    let stored = Request { predict: all(), ..Request::new(model.load_embedding(&path).unwrap(), asks.clone()) };
    let (stored, fresh) = (model.answer(&stored).unwrap(), model.answer(&Request { predict: all(), ..Request::new(image, asks) }).unwrap());
    for (stored, fresh) in stored.answers.iter().zip(&fresh.answers) {
        assert_eq!(stored.as_ref().unwrap().objects, fresh.as_ref().unwrap().objects);
    }
}
