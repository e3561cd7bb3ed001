//! A family that answers words needs a driver and nothing else: this one is a stand-in without networks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use maskline_runtime::Cache;
use maskline_vision::RgbImage;

use super::{Ask, Concept, Exemplar, Request};
use crate::drivers::{
    Call, Driver, Encoded, Encoding, Inquiry, Listener, Pictures, Prompting, Question, Sweep, Take, Video, Wanted, made_here,
};
use crate::promptable::{EmbeddingFile, Stored};
use crate::verify::{AtSize, Case, Check};
use crate::{
    Bundle, BundleOptions, Detections, Error, ErrorKind, Image, Model, ModelSource, Object, PredictOptions, Result, Stage, Stages,
    WordOptions,
};

/// Finds an object per letter of a phrase, and remembers what it was asked to encode.
#[derive(Debug, Default)]
struct Worded {
    pictures: AtomicUsize,
    phrases: Mutex<HashMap<String, usize>>,
}

#[derive(Debug)]
struct Letters(String);

impl Encoding for Letters {
    fn bytes(&self) -> usize {
        self.0.len()
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        Ok(Vec::new())
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::new(ErrorKind::InvalidOption, "only words"))
}

impl Driver for Worded {
    fn warm_up(&self) -> Result<()> {
        Ok(())
    }

    fn detect(&self, _: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        refused()
    }

    /// It is asked about encoded pictures, though not by prompts.
    fn prompting(&self) -> Result<Prompting> {
        let everything = maskline_models::EverythingDefaults::SAM_2;
        Ok(Prompting { mask_side: 4, is_part: false, candidates: 1, everything })
    }

    fn encode(&self, image: &Image, _: &Call) -> Result<(Encoded, Stages)> {
        self.pictures.fetch_add(1, Ordering::Relaxed);
        Ok((Arc::new(Letters(format!("{:?}", image.size()))), Stages::of(&[Stage::ImageEncode])))
    }

    fn restore(&self, _: &EmbeddingFile) -> Result<Encoded> {
        refused()
    }

    fn tune(&self, _: &Encoded) -> Result<()> {
        Ok(())
    }

    fn segment(&self, _: &Question<'_>, _: Take<'_>) -> Result<Stages> {
        refused()
    }

    fn sweep(&self, _: &Sweep<'_>, _: &mut dyn Listener) -> Result<Stages> {
        refused()
    }

    fn read(&self, phrases: &[&str], _: &WordOptions, _: &Call) -> Result<(Vec<Encoded>, Stages)> {
        let mut counted = self.phrases.lock().expect("no test panics here");
        let mut encoded: Vec<Encoded> = Vec::new();
        for phrase in phrases {
            *counted.entry((*phrase).to_owned()).or_default() += 1;
            encoded.push(Arc::new(Letters((*phrase).to_owned())));
        }
        Ok((encoded, Stages::of(&[Stage::TextEncode])))
    }

    fn find(&self, inquiry: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)> {
        made_here::<Letters>(inquiry.picture)?;
        let of = |concept: &Wanted| match &concept.words {
            Some(words) => {
                let Letters(phrase) = made_here::<Letters>(words)?;
                let object = |letter: char| Object { label: Some(letter.into()), ..Object::default() };
                Ok(phrase.chars().filter(|letter| *letter != ' ').map(object).collect())
            }
            None if concept.examples.is_empty() => Ok(Vec::new()),
            None => Err(Error::new(ErrorKind::BadInput, "no words")),
        };
        Ok((inquiry.concepts.iter().map(of).collect(), Stages::of(&[Stage::MaskDecode])))
    }

    fn video(&self) -> Result<Arc<Video>> {
        refused()
    }

    fn golden<'c>(self: Arc<Self>, _: &'c Case, _: Arc<dyn Driver>, _: AtSize<'_>) -> Result<Box<dyn Check + 'c>> {
        refused()
    }
}

fn picture(level: u8) -> Image {
    Image::from_pixels(RgbImage::new(3, 2, vec![level; 18]).expect("18 bytes"))
}

#[test]
fn words_are_encoded_once_whoever_asks_and_answered_beside_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = Bundle::open(&Cache::new(folder.path()), &ModelSource::Nano, &BundleOptions::default()).expect("nano is carried");
    let driver = Arc::new(Worded::default());
    let model = Model::of_driver(bundle, driver.clone());
    let asks = || {
        let concepts =
            [Concept::text("red car"), Concept::like(Exemplar::here([0.0, 0.0, 2.0, 2.0])), Concept::text("dog"), Concept::text("dog")];
        concepts.map(Ask::Concept)
    };
    for level in [1, 2, 1] {
        let answers = model.answer(&Request::new(picture(level), asks())).expect("answers");
        let found: Vec<Option<usize>> =
            answers.answers.iter().map(|answer| answer.as_ref().ok().map(|answer| answer.objects.len())).collect();
        assert_eq!(found, [Some(6), None, Some(3), Some(3)]);
        assert!(answers.timings.iter().any(|(stage, _)| stage == Stage::MaskDecode));
    }
    assert_eq!(driver.pictures.load(Ordering::Relaxed), 2, "two pictures");
    let phrases = driver.phrases.lock().expect("no test panics here");
    assert_eq!(*phrases, HashMap::from([("red car".to_owned(), 1), ("dog".to_owned(), 1)]));
}

#[test]
fn masks_keep_apart_only_where_they_are_found_for_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = Bundle::open(&Cache::new(folder.path()), &ModelSource::Nano, &BundleOptions::default()).expect("nano is carried");
    let driver = Arc::new(Worded::default());
    let model = Model::of_driver(bundle, driver.clone());
    let separate = PredictOptions { separate: true, ..PredictOptions::default() };
    let found = model.find_concepts(&picture(1), &[Concept::text("dog")], &separate);
    for error in [found.map(drop), model.predict(&picture(1), &separate).map(drop)].map(|answer| answer.expect_err("no masks")) {
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidOption, "separate"));
        assert_eq!(error.found(), Some("test (a promptable model)"));
    }
    assert_eq!(driver.pictures.load(Ordering::Relaxed), 0, "nothing is computed for it");
    assert!(model.find_concepts(&picture(1), &[Concept::text("dog")], &PredictOptions::default()).is_ok());
}
