//! A small vocabulary, made here: ids, room, cleaning, and what becomes of files and texts that are not as they should be.
#![allow(clippy::unwrap_used)]

use maskline_text::{Cleaning, ErrorKind, Room, Tokenizer, TokenizerFiles};
use proptest::prelude::*;
use serde_json::{Value, json};

const MERGES: [&str; 6] = ["c a", "ca t</w>", "d o", "do g</w>", "( )</w>", "a &</w>"];
/// The first id of a merge: 256 bytes and 256 ends of words stand before it.
const FIRST: u32 = 512;
const CAT: u32 = FIRST + 1;
const DOG: u32 = FIRST + 3;

/// The vocabulary as CLIP ships it.
fn original() -> String {
    format!("\"small#version: 0.2\n{}\n", MERGES.join("\n"))
}

/// The characters of the bytes, by id; a second time, without the code that is tested.
fn letters() -> Vec<char> {
    let shown = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    let letters: Vec<char> = shown.collect();
    let hidden = 256 - letters.len();
    letters.into_iter().chain((0x100..).take(hidden).map(|code| char::from_u32(code).unwrap())).collect()
}

/// `vocab.json`, and with which tokens at its end.
fn vocabulary(special: [&str; 2]) -> Value {
    let letters: Vec<String> = letters().into_iter().map(String::from).collect();
    let ends: Vec<String> = letters.iter().map(|letter| format!("{letter}</w>")).collect();
    let merged = MERGES.map(|merge| merge.replace(' ', ""));
    let tokens = letters.into_iter().chain(ends).chain(merged).chain(special.map(str::to_owned));
    Value::Object(tokens.enumerate().map(|(id, token)| (token, json!(id))).collect())
}

fn published() -> Value {
    vocabulary(["<|startoftext|>", "<|endoftext|>"])
}

/// The files as bytes.
#[derive(Clone, Default)]
struct Files {
    tokenizer: Option<String>,
    vocabulary: Option<String>,
    merges: Option<String>,
    config: Option<String>,
    special_tokens: Option<String>,
}

impl Files {
    fn pair() -> Self {
        let merges = format!("#version: 0.2\n{}\n", MERGES.join("\n"));
        Self { vocabulary: Some(published().to_string()), merges: Some(merges), ..Self::default() }
    }

    /// `tokenizer.json` with something put over it.
    fn single(pointer: &str, value: Value) -> Self {
        let mut whole = json!({
            "added_tokens": [{"id": 519, "content": "<|endoftext|>", "normalized": false, "special": true}],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]},
            "model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": published(), "merges": MERGES},
        });
        if let Some(place) = whole.pointer_mut(pointer).filter(|_| !pointer.is_empty()) {
            *place = value;
        }
        Self { tokenizer: Some(whole.to_string()), ..Self::default() }
    }

    fn open(&self) -> Result<Tokenizer, maskline_text::Error> {
        self.open_with(Cleaning::HuggingFace)
    }

    fn open_with(&self, cleaning: Cleaning) -> Result<Tokenizer, maskline_text::Error> {
        let [tokenizer, vocabulary, merges, config, special_tokens] =
            [&self.tokenizer, &self.vocabulary, &self.merges, &self.config, &self.special_tokens]
                .map(|text| text.as_ref().map(String::as_bytes));
        Tokenizer::open_with(&TokenizerFiles { tokenizer, vocabulary, merges, config, special_tokens }, cleaning)
    }
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.ids(text).unwrap()
}

#[test]
fn words_become_the_ids_of_their_merges() {
    let ways = [Files::pair().open(), Files::single("", Value::Null).open(), Tokenizer::of_original(original().as_bytes())];
    for tokenizer in ways.map(Result::unwrap) {
        assert_eq!(ids(&tokenizer, " Cat\t\n DOG  "), [CAT, DOG], "{tokenizer:?}");
        // `o` inside a word, `x` at its end.
        let letter = |letter: char| letters().iter().position(|other| *other == letter).unwrap() as u32;
        assert_eq!(ids(&tokenizer, "ox"), [letter('o'), 256 + letter('x')]);
        // Two bytes of UTF-8.
        assert_eq!(ids(&tokenizer, "é"), [letter('Ã'), 256 + letter('©')]);
        assert_eq!(ids(&tokenizer, "()cat's"), [FIRST + 4, CAT, letter('\''), 256 + letter('s')]);
        assert_eq!(tokenizer.vocabulary(), 520);
    }
}

#[test]
fn a_text_fills_its_room() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    let tokenizer = Files::pair().open().unwrap();
    is_shared(&tokenizer);
    let [start, end] = [518, 519];
    let room = |context| Room { context, truncate: false };
    let found = tokenizer.encode("cat dog", room(6)).unwrap();
    assert_eq!(found.ids, [start, i64::from(CAT), i64::from(DOG), end, 0, 0]);
    assert_eq!((found.length, found.was_cut, found.mask()), (4, false, vec![1, 1, 1, 1, 0, 0]));
    assert_eq!(tokenizer.encode("", room(2)).unwrap().ids, [start, end]);
    let whole = tokenizer.encode("cat dog", room(4)).unwrap();
    assert_eq!((whole.ids.len(), whole.was_cut), (4, false));
    let error = tokenizer.encode("cat dog", room(3)).unwrap_err();
    assert_eq!((error.kind(), error.found()), (ErrorKind::TooLong, Some("4")));
    let cut = tokenizer.encode("cat dog", Room { context: 3, truncate: true }).unwrap();
    assert_eq!((cut.ids.as_slice(), cut.length, cut.was_cut), ([start, i64::from(CAT), end].as_slice(), 3, true));
    assert_eq!(tokenizer.encode("cat", Room { context: 1, truncate: true }).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn what_pads_follows_the_files() {
    let [bang, bang_end] = [0, 256];
    let padding = |files: &Files| {
        let tokenizer = files.open().unwrap();
        (tokenizer.encode("cat", Room { context: 4, truncate: false }).unwrap().ids[3], ids(&tokenizer, "!"))
    };
    assert_eq!(padding(&Files::pair()), (0, vec![bang_end]));
    let named = Some(r#"{"pad_token": "!"}"#.to_owned());
    assert_eq!(padding(&Files { config: named.clone(), ..Files::pair() }), (0, vec![bang]));
    assert_eq!(padding(&Files { special_tokens: named.clone(), ..Files::pair() }), (0, vec![bang]));
    assert_eq!(padding(&Files { config: named, ..Files::single("", Value::Null) }), (0, vec![bang]));
    let other = Some(r#"{"pad_token": {"content": "<|endoftext|>", "normalized": false}}"#.to_owned());
    assert_eq!(padding(&Files { config: other, ..Files::pair() }), (519, vec![bang_end]));
    let listed = r#"{"pad_token": "x", "added_tokens_decoder": {"0": {"content": "!", "special": true}}}"#.to_owned();
    let x = letters().iter().position(|letter| *letter == 'x').unwrap() as i64;
    // Where the newer file lists tokens, the older one is not read.
    let both = Files { config: Some(listed), special_tokens: Some(r#"{"pad_token": "y"}"#.into()), ..Files::pair() };
    assert_eq!(padding(&both), (x, vec![bang]));
}

#[test]
fn literal_special_tokens_are_those_of_the_reference() {
    let [start, end] = [518, 519];
    let published = Files::pair().open().unwrap();
    assert_eq!(ids(&published, "cat<|startoftext|>dog <|endoftext|>"), [CAT, start, DOG, end]);
    let original = Tokenizer::of_original(original().as_bytes()).unwrap();
    assert_eq!(ids(&original, "cat<START_of_text>dog <end_of_text>"), [CAT, start, DOG, end]);
    // Not in the middle of other marks.
    assert!(!ids(&original, "!!<start_of_text>").contains(&start));
    let over_published = Files::pair().open_with(Cleaning::Original).unwrap();
    assert_eq!(ids(&over_published, "cat<start_of_text>"), [CAT, start]);
    assert!(!ids(&over_published, "<|startoftext|>").contains(&start));
}

#[test]
fn original_cleaning_mends_and_unescapes() {
    let tokenizer = Tokenizer::of_original(original().as_bytes()).unwrap();
    let same = [
        ("&#99;&#x61;t", "cat"),
        ("&amp;amp;lt;", "<"),
        ("&EACUTE;", "é"),
        ("&eacute dog", "é dog"),
        ("&notit;", "¬it;"),
        ("&#0;&#xD800;", "\u{fffd}\u{fffd}"),
        ("&#1;cat&#x80;", "cat€"),
        ("&#99999999999999;", "\u{fffd}"),
        ("ｃａｔ　ﬁ", "cat fi"),
        ("“a” ‘b’", "\"a\" 'b'"),
        ("schÃ¶n âœ”", "schön ✔"),
        ("cafÃƒÂ©", "café"),
        ("CAFÉ…", "café…"),
        ("\u{1b}[36;44mcat\u{1b}[0m\u{feff}\0", "cat"),
        ("\u{85}", "…"),
        ("cat\u{1c}dog\u{a0}\u{2028}cat", "catdog cat"),
        ("e\u{301}", "é"),
    ];
    for (text, plain) in same {
        assert_eq!(ids(&tokenizer, text), ids(&tokenizer, plain), "{text:?}");
    }
    // Behind a `<` all is HTML, which names nothing in capitals.
    assert_ne!(ids(&tokenizer, "x < &EACUTE;"), ids(&tokenizer, "x < é"));
    // The last sigma of a word, which letter by letter would be σ.
    assert_eq!(ids(&tokenizer, "ΑΣ"), ids(&tokenizer, "ας"));
    let published = Files::pair().open().unwrap();
    assert_eq!(ids(&published, "ΑΣ"), ids(&published, "ασ"));
    assert_ne!(ids(&published, "&amp;"), ids(&published, "&"));
}

#[test]
fn gzip_is_read_and_broken_gzip_is_told() {
    use std::io::Write;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(original().as_bytes()).unwrap();
    let mut packed = writer.finish().unwrap();
    assert_eq!(ids(&Tokenizer::of_original(&packed).unwrap(), "cat"), [CAT]);
    packed.truncate(packed.len() / 2);
    let error = Tokenizer::of_original(&packed).unwrap_err();
    assert_eq!((error.kind(), error.message().split(':').next()), (ErrorKind::InvalidFile, Some("broken gzip")));
}

#[test]
fn a_packed_file_cannot_fill_the_memory() {
    use std::io::Write;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..65 {
        writer.write_all(&vec![b'a'; 1 << 20]).unwrap();
    }
    assert_eq!(Tokenizer::of_original(&writer.finish().unwrap()).unwrap_err().kind(), ErrorKind::TooLarge);
}

/// What is wrong with files, as people read it.
#[track_caller]
fn refused(files: Files, kind: ErrorKind, place: Option<&str>, part: &str) {
    let error = files.open().unwrap_err();
    assert_eq!((error.kind(), error.place()), (kind, place), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn broken_files_are_named() {
    let invalid = ErrorKind::InvalidFile;
    refused(Files::default(), ErrorKind::MissingFile, None, "no vocab.json");
    refused(Files { merges: None, ..Files::pair() }, ErrorKind::MissingFile, None, "no merges.txt");
    refused(Files { vocabulary: Some("{".into()), ..Files::pair() }, invalid, Some("vocab.json"), "broken JSON");
    refused(Files { vocabulary: Some(r#"{"a": -1}"#.into()), ..Files::pair() }, invalid, Some("vocab.json"), "broken JSON");
    let huge = json!({"a": 4_000_000_000_u32, "<|startoftext|>": 0, "<|endoftext|>": 1}).to_string();
    refused(Files { vocabulary: Some(huge), ..Files::pair() }, invalid, Some("vocab.json"), "4000000000");
    let other = vocabulary(["[CLS]", "[SEP]"]).to_string();
    refused(Files { vocabulary: Some(other), ..Files::pair() }, invalid, Some("vocab.json"), "<|startoftext|>");
    refused(Files { merges: Some("c a t\n".into()), ..Files::pair() }, invalid, Some("merges.txt"), "line 1");
    refused(Files { merges: Some("c\n".into()), ..Files::pair() }, invalid, Some("merges.txt"), "line 1");
    refused(Files { merges: Some("x y\n".into()), ..Files::pair() }, invalid, Some("merges.txt"), "\"xy\"");
    refused(Files { merges: Some("未 y\n".into()), ..Files::pair() }, invalid, Some("merges.txt"), "\"未\"");
    for config in ["[", r#"{"pad_token": 7}"#, r#"{"pad_token": ""}"#, r#"{"pad_token": "a b"}"#] {
        refused(Files { config: Some(config.into()), ..Files::pair() }, invalid, Some("tokenizer_config.json"), "");
    }
    let moved = r#"{"added_tokens_decoder": {"7": {"content": "!"}}}"#;
    refused(
        Files { config: Some(moved.into()), ..Files::pair() },
        invalid,
        Some("tokenizer_config.json"),
        "expected 0, as in the vocabulary",
    );
    let spaced = r#"{"pad_token": "a b"}"#;
    refused(Files { special_tokens: Some(spaced.into()), ..Files::pair() }, invalid, Some("special_tokens_map.json"), "a b");
    let many: serde_json::Map<String, Value> = (0..2000).map(|id| (id.to_string(), json!("x"))).collect();
    let many = json!({ "added_tokens_decoder": many }).to_string();
    refused(Files { config: Some(many), ..Files::pair() }, invalid, Some("tokenizer_config.json"), "at most 1024");
    let far = r#"{"added_tokens_decoder": {"4294967295": {"content": "[far]"}}, "pad_token": "[new]"}"#;
    refused(Files { config: Some(far.into()), ..Files::pair() }, invalid, Some("vocab.json"), "4294967295");
    assert_eq!(Tokenizer::of_original(b"").unwrap_err().kind(), invalid);
    assert_eq!(Tokenizer::of_original(&[0xff; 9]).unwrap_err().kind(), invalid);
    assert_eq!(Tokenizer::of_original(b"version\nc a t\n").unwrap_err().kind(), invalid);
}

#[test]
fn tokenizers_of_other_kinds_are_named() {
    let wrong = [
        ("/model/type", json!("WordPiece"), "WordPiece"),
        ("/model/type", json!("Unigram"), "Unigram"),
        ("/model/end_of_word_suffix", json!(null), "</w>"),
        ("/model/merges", json!([["x", "y"]]), "\"xy\""),
        ("/model/merges", json!([["x", "y", "z"]]), "broken JSON"),
        ("/model/merges", json!(["x"]), "a space between"),
        ("/pre_tokenizer/pretokenizers", json!([]), "ByteLevel"),
        ("/normalizer", json!({"type": "BertNormalizer"}), "Lowercase"),
        ("/added_tokens/0/id", json!("x"), "expected ids"),
        ("/added_tokens/0/id", json!(7), "expected 519"),
    ];
    for (pointer, value, part) in wrong {
        refused(Files::single(pointer, value), ErrorKind::InvalidFile, Some("tokenizer.json"), part);
    }
    let plain = Files::single("/model/merges", json!([["c", "a"], ["ca", "t</w>"]])).open().unwrap();
    assert_eq!(ids(&plain, "cat"), [CAT]);
}

#[test]
fn long_and_odd_texts_are_told_shortened() {
    let tokenizer = Files::pair().open().unwrap();
    let text = format!("\u{202e}\0{}", "cat ".repeat(2500));
    let error = tokenizer.encode(&text, Room { context: 16, truncate: false }).unwrap_err();
    assert!(error.message().contains(r"\u{202e}\0cat") && error.message().len() < 200, "{error}");
    assert!(error.to_string().contains("expected at most 16 tokens") && error.found().is_some(), "{error}");
    let found = tokenizer.encode(&text, Room { context: 16, truncate: true }).unwrap();
    assert!(found.was_cut && found.length == 16);
    let huge = "a".repeat((64 << 10) + 1);
    assert_eq!(tokenizer.encode(&huge, Room { context: 16, truncate: true }).unwrap_err().kind(), ErrorKind::TooLong);
}

#[test]
fn a_text_that_is_wrapped_in_itself_is_cleaned_soon() {
    let tokenizer = Tokenizer::of_original(original().as_bytes()).unwrap();
    let wrapped = format!("&{}lt;", "amp;".repeat(16_000));
    assert!(!ids(&tokenizer, &wrapped).is_empty());
    let one_word = "cat".repeat(20_000);
    assert!(ids(&tokenizer, &one_word).len() >= 20_000);
    // Each character could be read with what came of those before it.
    let chain = format!("Ã{}", "\u{83}".repeat(30_000));
    assert!(!ids(&tokenizer, &chain).is_empty());
}

#[test]
fn a_stand_in_gives_words_lasting_ids() {
    let tokenizer = Tokenizer::stand_in(49408);
    let room = Room { context: 5, truncate: true };
    let found = tokenizer.encode("Red  CAT", room).unwrap();
    assert_eq!(found, tokenizer.encode("red cat", room).unwrap());
    assert_eq!((found.ids[0], found.ids[3], found.ids[4], found.length), (49406, 49407, 0, 4));
    // What was measured with it stays comparable.
    assert_eq!(found.ids[1..3], [41893, 25427]);
    assert_ne!(found.ids, tokenizer.encode("cat red", room).unwrap().ids);
    for vocabulary in [1, 2, 3, 4, 40] {
        let found = Tokenizer::stand_in(vocabulary).encode("a b c", room).unwrap();
        assert!(found.ids.iter().all(|id| (0..vocabulary as i64).contains(id)), "{vocabulary}: {found:?}");
    }
}

proptest! {
    #[test]
    fn any_text_has_ids_of_the_vocabulary(text in "\\PC{0,40}|[\\x00-\\u{6ff}]{0,40}|(&[#a-zA-Z0-9]{0,9};?|[ÃÂâ€œ”…a!'<]){0,20}", context in 2_usize..40) {
        let tokenizers = [Files::pair().open(), Tokenizer::of_original(original().as_bytes()), Ok(Tokenizer::stand_in(520))];
        for tokenizer in tokenizers.map(Result::unwrap) {
            let found = tokenizer.encode(&text, Room { context, truncate: true }).unwrap();
            prop_assert_eq!(found.ids.len(), context);
            prop_assert!(found.ids.iter().all(|id| (0..520).contains(id)));
            prop_assert_eq!((found.ids[0], found.ids[found.length - 1]), (518, 519));
            let strict = tokenizer.encode(&text, Room { context, truncate: false });
            prop_assert_eq!(strict.is_err(), found.was_cut);
        }
    }

    #[test]
    fn any_bytes_are_a_vocabulary_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..4000, byte in any::<u8>()) {
        let _ = Tokenizer::of_original(&bytes);
        let files = TokenizerFiles { tokenizer: Some(&bytes), ..TokenizerFiles::default() };
        prop_assert!(Tokenizer::open(&files).is_err());
        let mut whole = Files::single("", Value::Null).tokenizer.unwrap().into_bytes();
        let place = at % whole.len();
        whole[place] = byte;
        if let Ok(tokenizer) = Tokenizer::open(&TokenizerFiles { tokenizer: Some(&whole), ..TokenizerFiles::default() }) {
            let found = tokenizer.encode("a cat", Room { context: 9, truncate: true });
            prop_assert!(found.is_ok(), "{found:?}");
        }
    }
}
