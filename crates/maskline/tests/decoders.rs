//! The mask decoder of our own operators against the graph of ONNX Runtime's: the same answers to everything that can be asked.
#![allow(clippy::unwrap_used)]

mod asking;

use asking::{MASK_SIDE, Place, Random, SIZE, picture};
use maskline::{
    BundleOptions, Dialect, Embedding, ErrorKind, LoadOptions, MaskDecoder, Model, ModelSource, Multimask, Prompt, SegmentOptions,
};

/// A model with a decoder, of generated weights.
fn model(place: &Place, architecture: &str, options: LoadOptions) -> Model {
    let source = ModelSource::Synthetic { architecture: architecture.into(), seed: 5 };
    let bundle = BundleOptions { image_size: Some(asking::SIDE), dialect: Dialect::Native, ..options.bundle };
    place.engine.load(source, &LoadOptions { bundle, warm_up: false, ..options }).unwrap()
}

fn with(decoder: MaskDecoder) -> LoadOptions {
    LoadOptions { bundle: BundleOptions { decoder: Some(decoder), ..BundleOptions::default() }, ..LoadOptions::default() }
}

/// Clicks, boxes, masks and all of them, and a prompt with many clicks.
fn prompts() -> Vec<Prompt> {
    let mut random = Random(11);
    let mut prompts: Vec<Prompt> = (0..24).map(|_| random.prompt(SIZE, MASK_SIDE)).collect();
    prompts.push((0..20).fold(Prompt::default(), |prompt, index| prompt.with_click(4.0 * index as f32, 2.0 * index as f32, index % 3 > 0)));
    prompts
}

/// Logits of every mask, and its score.
fn masks(embedding: &Embedding, prompts: &[Prompt], multimask: Multimask) -> Vec<(Vec<f32>, f32)> {
    let options = SegmentOptions { multimask, ..SegmentOptions::default() };
    let answers = embedding.segment(prompts, &options).unwrap().answers;
    answers.into_iter().flat_map(Result::unwrap).map(|mask| (mask.logits.data().to_vec(), mask.score)).collect()
}

#[test]
fn both_decoders_answer_alike() {
    let place = Place::new();
    for architecture in ["sam2.1-tiny", "mobile-sam"] {
        let [native, graph] = [MaskDecoder::Native, MaskDecoder::Graph].map(|decoder| {
            let model = model(&place, architecture, with(decoder));
            assert_eq!(model.info().mask_decoder(), Some(decoder));
            model.embed(&picture(1, SIZE)).unwrap()
        });
        for multimask in [Multimask::On, Multimask::Off] {
            let [native, graph] = [&native, &graph].map(|embedding| masks(embedding, &prompts(), multimask));
            assert_eq!(native.len(), graph.len());
            for (index, ((native, score), (graph, other))) in native.iter().zip(&graph).enumerate() {
                let largest = graph.iter().fold(1.0, |largest: f32, logit| largest.max(logit.abs()));
                let apart = native.iter().zip(graph).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 5e-5 * largest, "{architecture}, mask {index}: {apart} of {largest}");
                assert!((score - other).abs() < 1e-4, "{architecture}, mask {index}: {score}, {other}");
            }
        }
    }
}

#[test]
fn the_native_decoder_gives_the_same_bits_for_any_number_of_threads() {
    let place = Place::new();
    let [one, three] = [1, 3].map(|threads| {
        let model = model(&place, "sam2.1-tiny", LoadOptions { threads, ..with(MaskDecoder::Native) });
        (model.embed(&picture(1, SIZE)).unwrap(), model)
    });
    // What the encoder gives is ONNX Runtime's, whose products depend on the threads: both are asked about one embedding.
    let path = place.folder.path().join("picture.embedding");
    one.0.save(&path).unwrap();
    let three = three.1.load_embedding(&path).unwrap();
    let boxes: Vec<Prompt> = (0..9).map(|index| Prompt::bounds([index as f32, 2.0, 60.0 + index as f32, 50.0])).collect();
    let answered = |embedding: &Embedding, prompts: &[Prompt], chunk: usize| {
        let options = SegmentOptions { chunk: Some(chunk), ..SegmentOptions::default() };
        let answers = embedding.segment(prompts, &options).unwrap().answers;
        answers.into_iter().flat_map(Result::unwrap).map(|mask| mask.logits.data().to_vec()).collect::<Vec<_>>()
    };
    let expected = answered(&one.0, &boxes, 4);
    assert_eq!(answered(&three, &boxes, 4), expected, "three threads");
}

#[test]
fn a_native_decoder_that_cannot_be_had_is_refused() {
    let place = Place::new();
    let source = ModelSource::Synthetic { architecture: "mobile-sam".into(), seed: 5 };
    for dialect in [Dialect::Ort, Dialect::Portable] {
        let bundle = BundleOptions { dialect, decoder: Some(MaskDecoder::Native), ..BundleOptions::default() };
        let error = place.engine.build(source.clone(), &bundle).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("native mask decoder") && error.help().is_some(), "{error}");
    }
    let bundle = BundleOptions { dialect: Dialect::Portable, image_size: Some(asking::SIDE), ..BundleOptions::default() };
    assert_eq!(place.engine.build(source, &bundle).unwrap().info().mask_decoder(), Some(MaskDecoder::Graph), "nobody wished for one");
}
