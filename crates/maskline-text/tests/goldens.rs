//! The ids that both references of the CLIP family give 88 texts, exactly.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline_text::{Cleaning, PublishedVocabulary, Room, Tokenizer, TokenizerFiles};
use serde_json::Value;

/// Golden texts, and the vocabulary that they are cut by, as CLIP ships it and as Hugging Face does.
struct Material {
    rows: Vec<Value>,
    original: Vec<u8>,
    published: PublishedVocabulary,
}

impl Material {
    /// `None` (said aloud) where something is missing.
    fn find() -> Option<Self> {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
        let goldens = shared.join("goldens/tokenizer/clip_bpe/tokens.json");
        let vocabulary = shared.join("data/clip/bpe_simple_vocab_16e6.txt.gz");
        if let Some(missing) = [&goldens, &vocabulary].into_iter().find(|path| !path.is_file()) {
            maskline_testing::skip(format_args!("{} is missing", missing.display()));
            return None;
        }
        let json: Value = serde_json::from_slice(&std::fs::read(goldens).unwrap()).unwrap();
        let rows = json["rows"].as_array().unwrap().clone();
        assert!(rows.len() >= 88, "only {} texts", rows.len());
        let original = std::fs::read(vocabulary).unwrap();
        let published = PublishedVocabulary::of_original(&original).unwrap();
        Some(Self { rows, original, published })
    }

    fn files(&self) -> TokenizerFiles<'_> {
        let PublishedVocabulary { vocabulary, merges } = &self.published;
        TokenizerFiles { vocabulary: Some(vocabulary), merges: Some(merges), ..TokenizerFiles::default() }
    }

    /// Compares ids without start and end.
    fn check_ids(&self, tokenizer: &Tokenizer, golden: &str) {
        for row in &self.rows {
            let found: Vec<i64> = tokenizer.ids(text(row)).unwrap().into_iter().map(i64::from).collect();
            assert_eq!(found, numbers(&row[golden]), "{golden} of {:?}", text(row));
        }
    }

    /// Compares the inputs of text encoders.
    fn check_room(&self, tokenizer: &Tokenizer, golden: &str) {
        for context in [16, 32] {
            for row in &self.rows {
                let key = format!("{golden}_ctx{context}");
                let (wanted, found) = (numbers(&row[&key]), tokenizer.encode(text(row), Room { context, truncate: true }).unwrap());
                assert_eq!(found.ids, wanted, "{key} of {:?}", text(row));
                let mask = &row[format!("{key}_mask")];
                assert!(mask.is_null() || found.mask() == numbers(mask), "{key}_mask of {:?}", text(row));
                let strict = tokenizer.encode(text(row), Room { context, truncate: false });
                assert_eq!(strict.is_err(), found.was_cut, "{:?}", text(row));
            }
        }
    }
}

fn text(row: &Value) -> &str {
    row["text"].as_str().unwrap()
}

fn numbers(json: &Value) -> Vec<i64> {
    json.as_array().unwrap().iter().map(|number| number.as_i64().unwrap()).collect()
}

#[test]
fn hugging_face_with_a_pad_token_of_its_own() {
    let Some(material) = Material::find() else { return };
    for (config, special) in [(Some(r#"{"pad_token": "!"}"#), None), (None, Some(r#"{"pad_token": "!"}"#))] {
        let [config, special_tokens] = [config, special].map(|text| text.map(str::as_bytes));
        let tokenizer = Tokenizer::open(&TokenizerFiles { config, special_tokens, ..material.files() }).unwrap();
        assert_eq!(tokenizer.vocabulary(), 49408);
        material.check_ids(&tokenizer, "hf_ids");
        material.check_room(&tokenizer, "hf");
    }
}

#[test]
fn hugging_face_with_the_default_pad_token() {
    let Some(material) = Material::find() else { return };
    material.check_ids(&Tokenizer::open(&material.files()).unwrap(), "hf_ids_plain");
}

#[test]
fn original_from_its_own_vocabulary_and_from_the_published_one() {
    let Some(material) = Material::find() else { return };
    let own = Tokenizer::of_original(&material.original).unwrap();
    for tokenizer in [own, Tokenizer::open_with(&material.files(), Cleaning::Original).unwrap()] {
        assert_eq!((tokenizer.vocabulary(), tokenizer.cleaning()), (49408, Some(Cleaning::Original)));
        material.check_ids(&tokenizer, "official_ids");
        material.check_room(&tokenizer, "official");
    }
    for row in &material.rows {
        assert_eq!(maskline_text::cleaned(text(row)), row["cleaned"].as_str().unwrap(), "{:?}", text(row));
    }
}
