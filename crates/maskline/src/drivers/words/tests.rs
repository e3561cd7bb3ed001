//! A text encoder that says which tokens it was given: what becomes of its rows.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline_onnx::{Constant, DType, Dialect, Dim, Graph, SaveOptions, Saver};

use super::*;
use crate::{BundleOptions, Engine, EngineOptions, LoadOptions};

const OWL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/tiny/owlv2");
const CONTEXT: usize = 6;
const VOCABULARY: usize = 50;
const WIDTH: usize = 2;
/// Of a stand-in.
const START: f32 = 48.0;
const END: f32 = 49.0;

fn reading(form: Form) -> Reading {
    Reading { context: CONTEXT, vocabulary: VOCABULARY, tokenizer: Vocabulary::StandIn, cleaning: None, width: WIDTH, form }
}

/// A bundle whose text encoder gives of each token its id and the half of it.
fn parts(cache: &Path) -> Parts {
    let engine = Engine::new(EngineOptions { cache: cache.to_path_buf(), ..EngineOptions::default() }).unwrap();
    let bundle = engine.build(Path::new(OWL), &BundleOptions::default()).unwrap();
    let mut graph = Graph::new("telling", Dialect::default());
    let ids = graph.input(WordHead::IDS, DType::I64, [Dim::symbol("texts"), CONTEXT.into()]).unwrap();
    let rows: Vec<f32> = (0..VOCABULARY).flat_map(|id| [id as f32, id as f32 / 2.0]).collect();
    let table = graph.constant(Constant::f32(&[VOCABULARY, WIDTH], rows).unwrap());
    let words = graph.gather(&table, &ids, 0).unwrap();
    graph.output(WordHead::WORDS, &words).unwrap();
    Saver::new(&bundle.directory, SaveOptions::default()).save(WordHead::TEXT_ENCODER, &graph.finish().unwrap()).unwrap();
    Parts::new(engine.library(), bundle, &LoadOptions::default(), "telling")
}

fn embed(reader: &Reader, texts: &[&str]) -> Vec<Embedded> {
    reader.embed(texts, &WordOptions::default(), &mut Stages::default(), &Call::default()).unwrap()
}

#[test]
fn of_a_row_for_each_token_the_texts_own_are_given_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path());
    let reader = Reader::new(&parts, reading(Form::PerToken));
    reader.warm_up().unwrap();
    let texts = ["a red car", "", "car", "one two three four"];
    let embedded = embed(&reader, &texts);
    assert_eq!(embedded.iter().map(|text| text.values.len() / WIDTH).collect::<Vec<_>>(), [5, 2, 3, CONTEXT]);
    for text in &embedded {
        let (ids, halves): (Vec<f32>, Vec<f32>) = text.values.chunks_exact(WIDTH).map(|row| (row[0], row[1])).unzip();
        assert!(text.is_new && ids.iter().zip(halves).all(|(id, half)| id / 2.0 == half), "{text:?}");
        assert!(ids.starts_with(&[START]) && ids.ends_with(&[END]) && !ids[1..ids.len() - 1].contains(&0.0), "{ids:?}");
    }
    // The same word is the same token, wherever it stands.
    assert_eq!(embedded[0].values[3 * WIDTH..4 * WIDTH], embedded[2].values[WIDTH..2 * WIDTH]);
    // Another process finds them on disk, in any order, and without an encoder.
    let another = Reader::new(&parts, Reading { tokenizer: Vocabulary::Missing, ..reading(Form::PerToken) });
    let found = embed(&another, &[texts[3], texts[1], texts[0]]);
    let known = [3, 1, 0].map(|index: usize| Embedded { is_new: false, ..embedded[index].clone() });
    assert_eq!(found, known);
    let counted = count([&embedded[..1], &found[..2], &[found[0].clone(), embedded[0].clone()]]);
    assert_eq!(counted, PhraseCount { encoded: 2, from_disk: 1, cached: 0 });
    // What a text encoder gives of a row of ids is whole.
    let whole = reader.encode(&vec![vec![7; CONTEXT]; 22], &mut Stages::default(), &Call::default()).unwrap();
    assert_eq!(whole, vec![[7.0, 3.5].repeat(CONTEXT); 22]);
}

#[test]
fn an_encoder_of_another_form_or_width_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path());
    for wrong in [reading(Form::OneRow), Reading { width: 3, ..reading(Form::PerToken) }] {
        let reader = Reader::new(&parts, wrong);
        let error = reader.embed(&["car"], &WordOptions::default(), &mut Stages::default(), &Call::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{error}");
    }
}
