//! Objects for words and examples (OWLv2), on a model small enough to be asked often.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use maskline::{
    Ask, Concept, Detections, Engine, EngineOptions, ErrorKind, Exemplar, Image, InputSize, LoadOptions, Model, Object, Pair, PairOptions,
    PhraseCount, PredictOptions, Prompt, Request, RgbImage, Stage, WordOptions,
};
use serde_json::json;
use tempfile::TempDir;

const SIZE: (usize, usize) = (64, 64);
/// Words of the model's vocabulary: two letters each, the second one at the end.
const TOKENS: usize = 60;

/// A folder with a model and its tokenizer, and an engine with a cache of its own.
struct Place {
    folder: TempDir,
    engine: Engine,
}

impl Place {
    fn new() -> Self {
        let place = Self::bare();
        std::fs::write(place.model().join("vocab.json"), vocabulary(TOKENS)).unwrap();
        std::fs::write(place.model().join("merges.txt"), "#version: 0.2\n").unwrap();
        place
    }

    /// Without a tokenizer.
    fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Self::engine(folder.path());
        let place = Self { folder, engine };
        std::fs::create_dir(place.model()).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/tiny/owlv2");
        for name in ["config.json", "model.safetensors"] {
            std::fs::copy(from.join(name), place.model().join(name)).unwrap();
        }
        place
    }

    fn engine(folder: &Path) -> Engine {
        Engine::new(EngineOptions { cache: folder.join("cache"), ..EngineOptions::default() }).unwrap()
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("owl")
    }

    fn load(&self) -> Model {
        self.engine.load(self.model().as_path(), &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap()
    }

    /// As another process would find it.
    fn load_again(&self) -> Model {
        let engine = Self::engine(self.folder.path());
        engine.load(self.model().as_path(), &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap()
    }
}

/// Letters, letters at the end of a word, a few more tokens, and the two that begin and end a text.
fn vocabulary(tokens: usize) -> String {
    let letters = ('a'..='z').map(String::from);
    let ends = ('a'..='z').map(|letter| format!("{letter}</w>"));
    let more = (0..tokens.saturating_sub(54)).map(|index| format!("more{index}"));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let all = letters.chain(ends).chain(more).chain(special);
    serde_json::Value::Object(all.enumerate().map(|(id, token)| (token, json!(id))).collect()).to_string()
}

fn picture(seed: u32) -> Image {
    let level = |index: u32| ((index * 37 + index / 64 * seed * 11 + seed * 53) % 251) as u8;
    Image::from_pixels(RgbImage::new(SIZE.0, SIZE.1, (0..3 * 64 * 64).map(level).collect()).unwrap())
}

/// Everything that patches say, whatever its score.
fn all() -> PredictOptions {
    PredictOptions { conf: Some(0.0), ..PredictOptions::default() }
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Concept> {
    texts.into_iter().map(Concept::text).collect()
}

fn phrases(found: &Detections) -> [usize; 3] {
    let PhraseCount { encoded, from_disk, cached } = found.timings.phrases();
    [encoded, from_disk, cached]
}

#[test]
fn each_patch_answers_the_phrase_that_it_is_most_like() {
    let place = Place::new();
    let model = place.load();
    assert!(model.info().takes_words() && model.info().task.takes_concepts());
    let image = picture(1);
    let together = model.find_concepts(&image, &texts(["cat", "a dog", "red car"]), &all()).unwrap();
    assert!(together.objects.is_sorted_by(|a, b| a.score >= b.score) && together.size == SIZE);
    let place_of = |bounds: [f32; 4]| bounds.map(f32::to_bits);
    let alone: Vec<Detections> =
        ["cat", "a dog", "red car"].map(|text| model.find_concepts(&image, &texts([text]), &all()).unwrap()).into();
    assert_eq!(together.objects.len(), alone[0].objects.len(), "as many as there are patches");
    for object in &together.objects {
        let class = object.class_id.unwrap();
        assert_eq!(object.label.as_deref(), Some(["cat", "a dog", "red car"][class]));
        let scores: Vec<f32> = alone
            .iter()
            .map(|found| found.objects.iter().find(|other| place_of(other.bounds) == place_of(object.bounds)).unwrap().score)
            .collect();
        assert!((scores[class] - object.score).abs() < 1e-6, "{object:?}: {scores:?}");
        assert!(scores.iter().all(|score| *score <= object.score + 1e-6), "{object:?}: {scores:?}");
    }
    // Several phrases were best somewhere, or the test shows nothing.
    assert!(together.objects.iter().map(|object| object.class_id).collect::<HashSet<_>>().len() > 1);
}

#[test]
fn words_are_encoded_once_in_a_process_and_once_for_all_processes() {
    let place = Place::new();
    let model = place.load();
    let words = texts(["cat", "dog", "cat", "red car"]);
    let first = model.find_concepts(&picture(1), &words, &all()).unwrap();
    assert_eq!(phrases(&first), [3, 0, 1], "one of them twice");
    for seed in 2..100 {
        assert_eq!(phrases(&model.find_concepts(&picture(seed), &words, &all()).unwrap()), [0, 0, 4]);
    }
    // Another process: neither the text encoder nor the tokenizer is opened.
    let again = place.load_again();
    let known = again.find_concepts(&picture(1), &words, &all()).unwrap();
    assert_eq!((phrases(&known), known.timings.get(Stage::Open)), ([0, 3, 1], Duration::ZERO));
    assert_eq!(known.objects, first.objects);
    let more = again.find_concepts(&picture(1), &texts(["cat", "bird"]), &all()).unwrap();
    assert_eq!(phrases(&more), [1, 0, 1]);
    assert!(more.timings.get(Stage::Open) > Duration::ZERO);
    let told = serde_json::to_value(more.timings).unwrap();
    assert_eq!(told["phrases"], json!({"encoded": 1, "from_disk": 0, "cached": 1}));
    assert!(known.timings.line().contains("(from disk)"), "{}", known.timings.line());
}

#[test]
fn a_model_that_is_ready_has_opened_its_text_encoder() {
    let place = Place::new();
    let model = place.engine.load(place.model().as_path(), &LoadOptions::default()).unwrap();
    let found = model.find_concepts(&picture(1), &texts(["cat"]), &all()).unwrap();
    assert!(found.timings.get(Stage::Open) < Duration::from_millis(1), "{}", found.timings.line());
    // Without a tokenizer it is ready for examples.
    let bare = Place::bare();
    bare.engine.load(bare.model().as_path(), &LoadOptions::default()).unwrap();
}

#[test]
fn callers_who_ask_the_same_words_encode_them_once() {
    let place = Place::new();
    let model = place.load();
    let words: Vec<String> = (0..40u8).map(|index| format!("{} {}", (b'a' + index % 26) as char, (b'a' + index / 2) as char)).collect();
    let concepts: Vec<Concept> = words.iter().map(Concept::text).collect();
    let encoded: usize = std::thread::scope(|scope| {
        let ask = |seed| {
            let (model, concepts) = (&model, &concepts);
            scope.spawn(move || phrases(&model.find_concepts(&picture(seed), concepts, &all()).unwrap())[0])
        };
        let asked: Vec<_> = (0..6).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).sum()
    });
    assert_eq!(encoded, words.iter().collect::<HashSet<_>>().len());
}

#[test]
fn pieces_of_a_list_and_phrasings_change_no_result() {
    let place = Place::new();
    let model = place.load();
    let image = picture(3);
    let score = |found: &Detections, label: &str| -> Vec<f32> {
        found.objects.iter().filter(|object| object.label.as_deref() == Some(label)).map(|object| object.score).collect()
    };
    // 21 phrases are encoded in pieces of 16, 4 and 1; alone, each is a piece of its own.
    let many: Vec<String> = (0..21u8).map(|index| format!("{}x", (b'a' + index) as char)).collect();
    let together = model.find_concepts(&image, &many.iter().map(Concept::text).collect::<Vec<_>>(), &all()).unwrap();
    let elsewhere = Place::new();
    let other = elsewhere.load();
    for phrase in &many {
        let alone = other.find_concepts(&image, &texts([phrase.as_str()]), &all()).unwrap();
        for score in score(&together, phrase) {
            assert!(alone.objects.iter().any(|object| (object.score - score).abs() < 1e-5), "{phrase}: {score}");
        }
    }
    // The phrasings' mean is that of their logits.
    let templates = PredictOptions { words: WordOptions { templates: true, truncate: true, ..WordOptions::default() }, ..all() };
    let mean = model.find_concepts(&image, &texts(["ox"]), &templates).unwrap();
    let said = [
        "itap of a ox.",
        "a bad photo of the ox.",
        "a origami ox.",
        "a photo of the large ox.",
        "a ox in a video game.",
        "art of the ox.",
        "a photo of the small ox.",
    ];
    let cut = PredictOptions { words: WordOptions { truncate: true, ..WordOptions::default() }, ..all() };
    let each: Vec<Detections> = said.map(|text| model.find_concepts(&image, &texts([text]), &cut).unwrap()).into();
    let logit = |score: f32| (score / (1.0 - score)).ln();
    for object in &mean.objects {
        let logits = each.iter().map(|found| logit(found.objects.iter().find(|other| other.bounds == object.bounds).unwrap().score));
        let expected = logits.sum::<f32>() / said.len() as f32;
        assert!((logit(object.score) - expected).abs() < 1e-3, "{object:?}: {expected}");
    }
}

#[test]
fn ten_thousand_phrases_are_answered() {
    let place = Place::new();
    let model = place.load();
    let letter = |index: usize| (b'a' + (index % 26) as u8) as char;
    let many: Vec<Concept> =
        (0..10_000).map(|index| Concept::text(format!("{}{}{}", letter(index), letter(index / 26), letter(index / 676)))).collect();
    let found = model.find_concepts(&picture(1), &many, &all()).unwrap();
    assert_eq!(phrases(&found), [10_000, 0, 0]);
    assert!(!found.objects.is_empty());
    let more: Vec<Concept> = many.iter().cycle().take(70_000).cloned().collect();
    assert_eq!(model.find_concepts(&picture(1), &more, &all()).unwrap_err().kind(), ErrorKind::OverLimit);
}

#[test]
fn an_example_finds_what_looks_like_it() {
    let place = Place::bare();
    let model = place.load();
    let image = picture(5);
    let of = |concept: Concept| model.find_concepts(&image, &[concept], &PredictOptions::default());
    // On the same picture: it finds itself, best of all.
    let seen = [2.0, 2.0, 30.0, 30.0];
    let here = of(Concept::like(Exemplar::here(seen))).unwrap();
    assert!((here.objects[0].score - 1.0).abs() < 1e-5, "{:?}", here.objects);
    assert!(here.timings.get(Stage::Match) > Duration::ZERO && here.timings.get(Stage::ImageEncode) > Duration::ZERO);
    // The same pixels as another picture: the same answer.
    let there = of(Concept::like(Exemplar::on(picture(5), Some(seen)))).unwrap();
    assert_eq!(there.objects, here.objects);
    let whole = of(Concept { label: Some("it".into()), ..Concept::like(Exemplar::on(picture(6), None)) }).unwrap();
    assert!(!whole.objects.is_empty() && whole.objects.iter().all(|object| object.label.as_deref() == Some("it")));
    // Nobody can be like it and unlike it.
    let opposed =
        Concept { exemplars: vec![Exemplar::here(seen), Exemplar { is_negative: true, ..Exemplar::here(seen) }], ..Concept::default() };
    assert!(!of(opposed).unwrap().objects.iter().any(|object| object.score.is_nan()));
}

#[test]
fn what_is_wrong_with_one_concept_is_its_own_answer() {
    let place = Place::new();
    let model = place.load();
    let long = "ox ".repeat(3400);
    let asks: Vec<Ask> = [
        Concept::text("cat"),
        Concept::text(""),
        Concept::text(" \u{3000} "),
        Concept::text(long.clone()),
        Concept::text("a\u{7}b"),
        Concept::like(Exemplar::here([5.0, 5.0, 5.0, 9.0])),
        Concept::like(Exemplar::here([70.0, 5.0, 90.0, 9.0])),
        Concept::like(Exemplar { bounds: None, ..Exemplar::default() }),
        Concept::like(Exemplar::here([f32::NAN, 0.0, 1.0, 1.0])),
        Concept { exemplars: vec![Exemplar { is_negative: true, ..Exemplar::here([1.0, 1.0, 9.0, 9.0]) }], ..Concept::default() },
        Concept { threshold: Some(2.0), ..Concept::text("cat") },
        Concept::text("dog"),
    ]
    .map(Ask::Concept)
    .into();
    let answers = model.answer(&Request { predict: all(), ..Request::new(picture(1), asks.clone()) }).unwrap().answers;
    let (bad, option) = (Some(ErrorKind::BadInput), Some(ErrorKind::InvalidOption));
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [None, bad, bad, bad, bad, bad, bad, bad, bad, bad, option, None]);
    let told = |index: usize| answers[index].as_ref().unwrap_err().to_string();
    assert!(told(3).contains("ox ox") && told(3).contains("16") && told(3).contains("6802") && told(3).len() < 400, "{}", told(3));
    assert!(told(4).contains("u{7}"), "{}", told(4));
    // The classes are the places of the asks.
    let classes = |index: usize| answers[index].as_ref().unwrap().objects.iter().map(|object| object.class_id).collect::<HashSet<_>>();
    assert!(classes(0).is_subset(&HashSet::from([Some(0)])) && classes(11).is_subset(&HashSet::from([Some(11)])));
    assert!(!(classes(0).is_empty() && classes(11).is_empty()));
    // As one list it is an error, and cut to fit it is none.
    assert_eq!(model.find_concepts(&picture(1), &[Concept::text(long.clone())], &all()).unwrap_err().kind(), ErrorKind::BadInput);
    let cut = PredictOptions { words: WordOptions { truncate: true, ..WordOptions::default() }, ..all() };
    model.find_concepts(&picture(1), &[Concept::text(long)], &cut).unwrap();
}

#[test]
fn words_need_the_models_own_tokenizer() {
    let bare = Place::bare();
    let error = bare.load().find_concepts(&picture(1), &texts(["cat"]), &all()).unwrap_err();
    let told = error.to_string();
    assert!(error.kind() == ErrorKind::BadInput && told.contains("tokenizer.json") && told.contains("merges.txt"), "{told}");
    let other = Place::bare();
    std::fs::write(other.model().join("vocab.json"), vocabulary(TOKENS + 40)).unwrap();
    std::fs::write(other.model().join("merges.txt"), "#version: 0.2\n").unwrap();
    let error = other.load().find_concepts(&picture(1), &texts(["cat"]), &all()).unwrap_err();
    let told = error.to_string();
    assert!(error.kind() == ErrorKind::BadInput && told.contains("60 tokens") && told.contains("100"), "{told}");
    let broken = Place::bare();
    std::fs::write(broken.model().join("tokenizer.json"), "{\"model\": 7").unwrap();
    let error = broken.load().find_concepts(&picture(1), &texts(["cat"]), &all()).unwrap_err();
    assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains("tokenizer.json"), "{error}");
}

#[test]
fn a_finder_of_words_refuses_what_it_does_not_answer() {
    let place = Place::new();
    let model = place.load();
    let asks = [Ask::Detect, Ask::Object(Prompt::click(3.0, 3.0)), Ask::Concept(Concept::text("cat"))];
    let answers = model.answer(&Request { predict: all(), ..Request::new(picture(1), asks) }).unwrap().answers;
    let told = |index: usize| answers[index].as_ref().unwrap_err();
    assert!(answers[2].is_ok());
    for index in [0, 1] {
        assert_eq!(told(index).kind(), ErrorKind::InvalidOption);
        assert!(told(index).help().is_some_and(|help| help.contains("words")), "{}", told(index));
    }
    let usual = PredictOptions::default();
    let wrong = [
        PredictOptions { conf: Some(1.5), ..usual.clone() },
        PredictOptions { iou: Some(f32::NAN), ..usual.clone() },
        PredictOptions { size: InputSize::Square(64), ..usual.clone() },
        PredictOptions { max_detections: 0, ..usual },
    ];
    for options in wrong {
        assert_eq!(model.find_concepts(&picture(1), &texts(["cat"]), &options).unwrap_err().kind(), ErrorKind::InvalidOption);
    }
    model.find_concepts(&picture(1), &texts(["cat"]), &PredictOptions { size: InputSize::Square(40), ..all() }).unwrap();
}

#[test]
fn an_encoded_picture_is_kept_on_disk_and_asked_in_words() {
    let place = Place::new();
    let model = place.load();
    let path = place.folder.path().join("picture.embedding");
    model.embed(&picture(2)).unwrap().save(&path).unwrap();
    let embedding = model.load_embedding(&path).unwrap();
    let request = Request { predict: all(), ..Request::new(embedding, [Ask::Concept(Concept::text("cat"))]) };
    let answers = model.answer(&request).unwrap();
    let expected = model.find_concepts(&picture(2), &texts(["cat"]), &all()).unwrap();
    assert_eq!(answers.answers[0].as_ref().unwrap().objects, expected.objects);
    assert_eq!(answers.timings.get(Stage::ImageEncode), Duration::ZERO);
}

#[test]
fn a_pair_gives_masks_to_what_words_find() {
    let place = Place::new();
    let finder = place.load();
    let segmenter = place.engine.load("nano", &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    let pair = Pair::new(finder.clone(), segmenter.clone()).unwrap();
    let image = picture(0);
    let concepts = [Concept::text("a cat"), Concept::text(" "), Concept::text("dog")];
    let asks = concepts.clone().map(Ask::Concept).into_iter().chain([Ask::Object(Prompt::click(9.0, 9.0)), Ask::Detect]);
    let predict = PredictOptions { conf: Some(0.0), max_detections: 4, ..PredictOptions::default() };
    let request = Request { predict: predict.clone(), ..Request::new(image.clone(), asks) };
    let answers = pair.answer(&request).unwrap();
    let alone = finder.answer(&request).unwrap();
    for index in [0, 2] {
        let told = |object: &Object| (object.class_id, object.label.clone(), object.score.to_bits(), object.bounds.map(f32::to_bits));
        let [found, expected] = [&answers, &alone].map(|answers| &answers.answers[index].as_ref().unwrap().objects);
        assert!(!found.is_empty() && found.iter().all(|object| object.mask_score.is_some()));
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected.iter().map(told).collect::<Vec<_>>());
    }
    let kinds = [1, 4].map(|index: usize| answers.answers[index].as_ref().unwrap_err().kind());
    assert_eq!(kinds, [ErrorKind::BadInput, ErrorKind::InvalidOption], "a phrase of spaces; a finder that is told what to find");
    assert_eq!(answers.answers[3].as_ref().unwrap().objects.len(), 1);
    assert!([Stage::Detect, Stage::TextEncode, Stage::MaskDecode].iter().all(|stage| answers.timings.get(*stage) > Duration::ZERO));

    // The way for those who want one list: what is wrong with one concept is wrong with all.
    let options = |concepts: &[Concept]| PairOptions { concepts: concepts.to_vec(), predict: predict.clone(), ..PairOptions::default() };
    assert_eq!(pair.find(&image, &options(&concepts)).unwrap_err().kind(), ErrorKind::BadInput);
    let masked = pair.find(&image, &options(&[concepts[0].clone(), concepts[2].clone()])).unwrap();
    assert_eq!(
        masked.objects.len(),
        answers.answers[0].as_ref().unwrap().objects.len() + answers.answers[2].as_ref().unwrap().objects.len()
    );
    assert!(masked.objects.is_sorted_by(|a, b| a.score >= b.score));
}
