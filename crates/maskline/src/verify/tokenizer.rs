//! Golden texts: the ids that both references of the CLIP family cut them into.
//!
//! The vocabulary is not part of a case: it lies in a folder that the environment names, in the case, or with other test material.

use std::path::PathBuf;

use maskline_text::{PublishedVocabulary, Room, Tokenizer, TokenizerFiles, cleaned};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::case::Case;
use super::compare::{Entry, Pair};
use crate::{Error, ErrorKind, Result};

/// Names a folder with the vocabulary.
const FOLDER: &str = "MASKLINE_VOCABULARY";
const ORIGINAL: &str = "bpe_simple_vocab_16e6.txt.gz";
/// Where it lies beside the folder of all cases.
const BESIDE: &str = "data/clip";

/// The tokenizers that a case compares, from one vocabulary.
struct Tokenizers {
    official: Tokenizer,
    /// Of Hugging Face, with the pad token `!`.
    published: Tokenizer,
    /// The same with the default pad token.
    plain: Tokenizer,
    /// Of the original file.
    sha256: String,
}

pub(super) fn entries(case: &Case) -> Result<Vec<Entry>> {
    let golden = case.read_json("tokens.json")?;
    let rows = golden["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tokenizers = Tokenizers::open(case)?;
    let found: Vec<Result<Value>> = rows.iter().map(|row| tokenizers.row(row)).collect();
    let differing = |same: &str| -> Value {
        found.iter().flatten().filter(|row| row[same] == false).map(|row| row["text"].clone()).collect::<Vec<Value>>().into()
    };
    let mut entries = vec![
        Entry::new("vocabulary (sha256)", Ok(Pair::exact(golden["bpe_file_sha256"].clone(), json!(tokenizers.sha256)))),
        Entry::new("strings", Ok(Pair::exact(case.entry("strings").clone(), json!(rows.len())))),
    ];
    for (list, same) in [("hf_differs", "same"), ("hf_plain_differs", "same_plain")] {
        entries.push(Entry::new(list, Ok(Pair::exact(case.entry(list).clone(), differing(same)))));
    }
    for (row, found) in rows.iter().zip(found) {
        entries.push(Entry::new(row["text"].to_string(), found.map(|found| Pair::exact(row.clone(), found))));
    }
    Ok(entries)
}

/// The file of the vocabulary.
fn original(case: &Case) -> PathBuf {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return PathBuf::from(folder).join(ORIGINAL);
    }
    let own = case.path(ORIGINAL);
    let folder = case.path("");
    // Links lead elsewhere, but `..` of a path that is given is meant as it stands.
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let beside = folder.ancestors().map(|folder| folder.join(BESIDE).join(ORIGINAL)).find(|path| path.is_file());
    if own.is_file() { own } else { beside.unwrap_or(own) }
}

impl Tokenizers {
    fn open(case: &Case) -> Result<Self> {
        let path = original(case);
        let help = format!("put CLIP's {ORIGINAL} into the case, or set {FOLDER} to the folder that has it");
        let original = std::fs::read(&path).map_err(|e| Error::io(&path, e).with_help(help))?;
        let PublishedVocabulary { vocabulary, merges } = PublishedVocabulary::of_original(&original)?;
        let files = TokenizerFiles { vocabulary: Some(&vocabulary), merges: Some(&merges), ..TokenizerFiles::default() };
        let padded = TokenizerFiles { config: Some(br#"{"pad_token": "!"}"#), ..files };
        Ok(Self {
            official: Tokenizer::of_original(&original)?,
            published: Tokenizer::open(&padded)?,
            plain: Tokenizer::open(&files)?,
            sha256: Sha256::digest(&original).iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// All that a golden row says of its text, computed.
    fn row(&self, golden: &Value) -> Result<Value> {
        let no_text = || Error::new(ErrorKind::BadInput, "text").expecting("text").but_found(&golden["text"]);
        let text = golden["text"].as_str().ok_or_else(no_text)?;
        let codes: Vec<String> = text.chars().map(|character| format!("{:#x}", u32::from(character))).collect();
        let [official, published, plain] = [self.official.ids(text)?, self.published.ids(text)?, self.plain.ids(text)?];
        let mut row = Map::from_iter([
            ("text".to_owned(), json!(text)),
            ("text_codepoints".to_owned(), if golden["text_codepoints"].is_null() { Value::Null } else { json!(codes) }),
            ("cleaned".to_owned(), json!(cleaned(text))),
            ("same".to_owned(), json!(official == published)),
            ("same_plain".to_owned(), json!(official == plain)),
            ("official_ids".to_owned(), json!(official)),
            ("hf_ids".to_owned(), json!(published)),
            ("hf_ids_plain".to_owned(), json!(plain)),
        ]);
        for context in [16, 32] {
            let room = Room { context, truncate: true };
            let (official, published) = (self.official.encode(text, room)?, self.published.encode(text, room)?);
            row.insert(format!("official_ctx{context}"), json!(official.ids));
            row.insert(format!("hf_ctx{context}_mask"), json!(published.mask()));
            row.insert(format!("hf_ctx{context}"), json!(published.ids));
        }
        Ok(Value::Object(row))
    }
}
