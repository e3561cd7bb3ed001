//! Tokenizer files, and texts that they cut: the input is `tokenizer.json` and `special_tokens_map.json`, or `vocab.json` and `merges.txt`, then
//! a text, with a byte between them that no text has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline_text::{Cleaning, Room, Tokenizer, TokenizerFiles};

const CONTEXT: usize = 16;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|byte| *byte == 0xff);
    let (Some(first), Some(second), Some(text)) = (parts.next(), parts.next(), parts.next()) else { return };
    let single = TokenizerFiles { tokenizer: Some(first), special_tokens: Some(second), ..TokenizerFiles::default() };
    let pair = TokenizerFiles { vocabulary: Some(first), merges: Some(second), ..TokenizerFiles::default() };
    let text = String::from_utf8_lossy(text);
    for (files, cleaning) in [(single, Cleaning::HuggingFace), (pair, Cleaning::HuggingFace), (pair, Cleaning::Original)] {
        let Ok(tokenizer) = Tokenizer::open_with(&files, cleaning) else { continue };
        let Ok(tokens) = tokenizer.encode(&text, Room { context: CONTEXT, truncate: true }) else { continue };
        assert_eq!(tokens.ids.len(), CONTEXT);
        assert!(tokens.ids.iter().all(|id| *id < tokenizer.vocabulary() as i64));
    }
});
