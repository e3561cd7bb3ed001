//! Words that are to be encoded anew, as whoever measures the text encoder wants.
#![allow(clippy::unwrap_used)]

use maskline::{
    Ask, BundleOptions, Concept, Engine, EngineOptions, Image, LoadOptions, ModelSource, PhraseCount, PredictOptions, Request, RgbImage,
    WordOptions,
};

#[test]
fn words_that_are_not_to_be_kept_are_encoded_by_every_call_and_found_by_none() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let bundle = BundleOptions { image_size: Some(240), ..BundleOptions::default() };
    let source = ModelSource::Synthetic { architecture: "owlv2-base".into(), seed: 0 };
    let model = engine.load(source, &LoadOptions { bundle, ..LoadOptions::default() }).unwrap();
    let embedding = model.embed(&Image::from_pixels(RgbImage::new(32, 24, vec![90; 32 * 24 * 3]).unwrap())).unwrap();
    let ask = |words: &[&str], uncached: bool| {
        let asks = words.iter().map(|word| Ask::Concept(Concept::text(*word)));
        let words = WordOptions { uncached, ..WordOptions::default() };
        let predict = PredictOptions { conf: Some(0.0), words, ..PredictOptions::default() };
        model.answer(&Request { predict, ..Request::new(embedding.clone(), asks) }).unwrap()
    };
    let words = ["a mug", "two pears"];
    let counted = |encoded: usize, cached: usize| PhraseCount { encoded, cached, from_disk: 0 };
    let first = ask(&words, true);
    assert_eq!(first.timings.phrases(), counted(2, 0));
    assert_eq!(ask(&words, true).timings.phrases(), counted(2, 0), "the first call kept nothing");
    let kept = ask(&words, false);
    assert_eq!(kept.timings.phrases().cached, 0, "nothing was in memory");
    assert_eq!(ask(&words, false).timings.phrases(), counted(0, 2));
    assert_eq!(ask(&words, true).timings.phrases(), counted(2, 0), "what is cached is encoded all the same");
    for (uncached, kept) in first.answers.iter().zip(&kept.answers) {
        assert_eq!(uncached.as_ref().unwrap(), kept.as_ref().unwrap());
    }
}
