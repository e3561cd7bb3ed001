//! The tokenizer files that models ship in the layout of Hugging Face: bytes to a [`Vocabulary`] and the tokens that are found as they stand.

use serde::Deserialize;
use serde_json::Value;
use tokenizers::AddedToken;
use tokenizers::models::bpe::{Merges, Vocab};

use crate::bpe::{END_OF_WORD, Vocabulary};
use crate::error::{Error, ErrorKind, Result, shown};

/// Larger files are refused; those of CLIP have 3.6 MB at most.
const LARGEST_FILE: usize = 64 << 20;
/// More tokens than these are not added to a vocabulary.
const MOST_ADDED: usize = 1024;

const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// What a model ships to cut text into tokens: the contents of the files of [`TokenizerFiles::NAMES`] that are there.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenizerFiles<'a> {
    /// `tokenizer.json`: vocabulary and merges in one file.
    pub tokenizer: Option<&'a [u8]>,
    /// `vocab.json`: ids by token; read where there is no `tokenizer.json`.
    pub vocabulary: Option<&'a [u8]>,
    /// `merges.txt`: which two tokens become one, a line each; read where there is no `tokenizer.json`.
    pub merges: Option<&'a [u8]>,
    /// `tokenizer_config.json`: which tokens begin, end and fill.
    pub config: Option<&'a [u8]>,
    /// `special_tokens_map.json`: the same, of older models.
    pub special_tokens: Option<&'a [u8]>,
}

impl TokenizerFiles<'_> {
    /// Names of the files, in the order of the fields.
    pub const NAMES: [&'static str; 5] = [TOKENIZER, VOCABULARY, MERGES, CONFIG, SPECIAL_TOKENS];
}

/// All that the files say.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) vocabulary: Vocabulary,
    /// Tokens that are found in a text as they stand, with ids of the vocabulary.
    pub(crate) added: Vec<AddedToken>,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// What fills the context: the token that the files name for it, else 0.
    pub(crate) pad: u32,
    /// The token of what the vocabulary lacks.
    pub(crate) unknown: String,
}

impl Published {
    /// Reads `tokenizer.json`, else vocabulary and merges, and what the others say of special tokens.
    pub(crate) fn read(files: &TokenizerFiles<'_>) -> Result<Self> {
        let given = [files.tokenizer, files.vocabulary, files.merges, files.config, files.special_tokens];
        for (name, bytes) in TokenizerFiles::NAMES.into_iter().zip(given) {
            bytes.map_or(Ok(()), |bytes| check_size(name, bytes))?;
        }
        let (vocabulary, listed) = match files {
            TokenizerFiles { tokenizer: Some(tokenizer), .. } => read_tokenizer(tokenizer)?,
            TokenizerFiles { vocabulary: Some(vocabulary), merges: Some(merges), .. } => (read_pair(vocabulary, merges)?, Vec::new()),
            TokenizerFiles { vocabulary, .. } => {
                let missing = if vocabulary.is_some() { MERGES } else { VOCABULARY };
                let error = Error::new(ErrorKind::MissingFile, format!("the model has no {missing}"));
                return Err(error.with_help(format!("give {TOKENIZER}, or {VOCABULARY} and {MERGES}, beside the checkpoint")));
            }
        };
        Self::named(vocabulary, listed, Named::read(files)?)
    }

    /// Finds the tokens that the files name, in the order in which the reference adds them.
    fn named(mut vocabulary: Vocabulary, listed: Vec<Listed>, mut named: Named) -> Result<Self> {
        let newer = std::mem::take(&mut named.listed);
        let mut added = Added::default();
        for listed in if newer.is_empty() { listed } else { newer } {
            place(&mut vocabulary, &listed)?;
            added.push(listed.file, listed.token)?;
        }
        let role = |name: &str, usual: &str| named.role(name).map_or_else(|| usual.to_owned(), |token| token.content.clone());
        let (start, end) = (role("bos_token", "<|startoftext|>"), role("eos_token", "<|endoftext|>"));
        let id = |token: &str, what: &str| {
            let missing = || Error::invalid(vocabulary.vocabulary_file, format!("the vocabulary has no token for the {what} of a text"));
            vocabulary.id(token).ok_or_else(|| missing().with_expected(shown(token)))
        };
        let (start_id, end_id) = (id(&start, "start")?, id(&end, "end")?);
        let unknown = Some(role("unk_token", &end)).filter(|token| vocabulary.id(token).is_some()).unwrap_or_else(|| end.clone());
        for Role { file, token, .. } in &named.roles {
            vocabulary.include(&token.content);
            added.push(file, token.clone())?;
        }
        // Defaults of the reference; a pad token is not among them, for it is the end token where none is named.
        for token in [start, end] {
            added.push(CONFIG, special(token))?;
        }
        let pad = named.role("pad_token").and_then(|token| vocabulary.id(&token.content)).unwrap_or(0);
        Ok(Self { vocabulary, added: added.tokens, start: start_id, end: end_id, pad, unknown })
    }
}

/// Tokens that are found as they stand, each once: the first that is named counts.
#[derive(Default)]
struct Added {
    tokens: Vec<AddedToken>,
}

impl Added {
    fn push(&mut self, file: &str, token: AddedToken) -> Result<()> {
        // The whitespace beside a token is taken as its flags say; within it, two tokens could claim the same.
        if token.content.is_empty() || token.content.contains(char::is_whitespace) {
            return Err(Error::invalid(file, format!("the added token {} is empty or has spaces", shown(&token.content))));
        }
        if self.tokens.iter().all(|other| other.content != token.content) {
            self.tokens.push(token);
        }
        Ok(())
    }
}

/// Refuses a file that is too large to be what it should be.
pub(crate) fn check_size(name: &str, bytes: &[u8]) -> Result<()> {
    if bytes.len() <= LARGEST_FILE {
        return Ok(());
    }
    let error = Error::new(ErrorKind::TooLarge, "the file is too large for a tokenizer").at(name);
    Err(error.with_expected(format!("at most {LARGEST_FILE} bytes")).with_found(bytes.len().to_string()))
}

/// A token with the id that a file gives it.
#[derive(Debug)]
struct Listed {
    id: u32,
    token: AddedToken,
    file: &'static str,
}

/// Gives a token its id, which must be that of the vocabulary where it has one.
fn place(vocabulary: &mut Vocabulary, listed: &Listed) -> Result<()> {
    let Listed { id, token, file } = listed;
    match vocabulary.id(&token.content) {
        Some(known) if known != *id => {
            let error = Error::invalid(file, format!("id of the added token {}", shown(&token.content)));
            Err(error.with_expected(format!("{known}, as in the vocabulary")).with_found(id.to_string()))
        }
        Some(_) => Ok(()),
        None => {
            vocabulary.ids.insert(token.content.clone(), *id);
            Ok(())
        }
    }
}

fn special(content: String) -> AddedToken {
    AddedToken::from(content, true)
}

/// A token and what it is for, e.g. `pad_token`; one of a list is for no purpose of ours.
#[derive(Debug)]
struct Role {
    name: &'static str,
    file: &'static str,
    token: AddedToken,
}

/// What `tokenizer_config.json` and `special_tokens_map.json` say.
#[derive(Debug, Default)]
struct Named {
    roles: Vec<Role>,
    /// `added_tokens_decoder`.
    listed: Vec<Listed>,
}

impl Named {
    const ROLES: [&'static str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    fn role(&self, name: &str) -> Option<&AddedToken> {
        self.roles.iter().find(|role| role.name == name).map(|role| &role.token)
    }

    /// The older file says more, but is not read where the newer one lists its tokens, as the reference has it.
    fn read(files: &TokenizerFiles<'_>) -> Result<Self> {
        let config = files.config.map_or(Ok(Value::Null), |bytes| parse(CONFIG, bytes))?;
        let older = files.special_tokens.map_or(Ok(Value::Null), |bytes| parse(SPECIAL_TOKENS, bytes))?;
        let mut named = Self::default();
        if let Some(tokens) = config["added_tokens_decoder"].as_object() {
            check_count(CONFIG, tokens.len())?;
            for (id, token) in tokens {
                let id =
                    id.parse().map_err(|_| Error::invalid(CONFIG, "added_tokens_decoder").with_expected("ids").with_found(shown(id)))?;
                named.listed.extend(token_of(CONFIG, token)?.map(|token| Listed { id, token, file: CONFIG }));
            }
            named.listed.sort_by_key(|listed| listed.id);
        }
        let is_newer = config["added_tokens_decoder"].is_object();
        for name in Self::ROLES {
            let older = if is_newer { None } else { token_of(SPECIAL_TOKENS, &older[name])? };
            let file = if older.is_some() { SPECIAL_TOKENS } else { CONFIG };
            let token = older.map_or_else(|| token_of(CONFIG, &config[name]), |token| Ok(Some(token)))?;
            named.roles.extend(token.map(|token| Role { name, file, token: AddedToken { special: true, ..token } }));
        }
        for list in ["extra_special_tokens", "additional_special_tokens"] {
            let tokens = config[list].as_array().map(Vec::as_slice).unwrap_or_default();
            check_count(CONFIG, tokens.len())?;
            for token in tokens {
                named.roles.extend(token_of(CONFIG, token)?.map(|token| Role {
                    name: list,
                    file: CONFIG,
                    token: AddedToken { special: true, ..token },
                }));
            }
        }
        Ok(named)
    }
}

fn check_count(file: &str, count: usize) -> Result<()> {
    if count <= MOST_ADDED {
        return Ok(());
    }
    Err(Error::invalid(file, "added tokens").with_expected(format!("at most {MOST_ADDED}")).with_found(count.to_string()))
}

/// A token as text, which is special, or with its flags; `None` where there is none.
fn token_of(file: &str, value: &Value) -> Result<Option<AddedToken>> {
    #[derive(Deserialize)]
    struct Flags {
        content: String,
        #[serde(default)]
        single_word: bool,
        #[serde(default)]
        lstrip: bool,
        #[serde(default)]
        rstrip: bool,
        normalized: Option<bool>,
        #[serde(default)]
        special: bool,
    }
    match value {
        Value::Null => Ok(None),
        Value::String(content) => Ok(Some(special(content.clone()))),
        _ => {
            let Flags { content, single_word, lstrip, rstrip, normalized, special } =
                Flags::deserialize(value).map_err(|error| Error::invalid(file, format!("a token: {error}")))?;
            let normalized = normalized.unwrap_or(!special);
            Ok(Some(AddedToken { content, single_word, lstrip, rstrip, normalized, special }))
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(file: &str, bytes: &'a [u8]) -> Result<T> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(file, format!("broken JSON: {error}")))
}

/// `vocab.json` and `merges.txt`.
fn read_pair(vocabulary: &[u8], merges: &[u8]) -> Result<Vocabulary> {
    let ids: Vocab = parse(VOCABULARY, vocabulary)?;
    let text = std::str::from_utf8(merges).map_err(|error| Error::invalid(MERGES, format!("not UTF-8: {error}")))?;
    let mut pairs = Merges::new();
    for (number, line) in text.lines().enumerate() {
        if !line.starts_with("#version") && !line.is_empty() {
            pairs.push(merge_of(line).ok_or_else(|| {
                let error = Error::invalid(MERGES, format!("line {}", number + 1));
                error.with_expected("two tokens with a space between them").with_found(shown(line))
            })?);
        }
    }
    Ok(Vocabulary { ids, merges: pairs, vocabulary_file: VOCABULARY, merges_file: MERGES })
}

/// Two tokens with a space between them.
pub(crate) fn merge_of(line: &str) -> Option<(String, String)> {
    let (first, second) = line.split_once(' ')?;
    let is_pair = !first.is_empty() && !second.is_empty() && !second.contains(' ');
    is_pair.then(|| (first.to_owned(), second.to_owned()))
}

/// `tokenizer.json` of a CLIP tokenizer. Of its steps only the kinds are looked at: CLIP's are always the same, and the reference makes
/// them anew from vocabulary and merges too.
fn read_tokenizer(bytes: &[u8]) -> Result<(Vocabulary, Vec<Listed>)> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Merge {
        Text(String),
        Pair(String, String),
    }
    #[derive(Deserialize)]
    struct Model {
        #[serde(default)]
        vocab: Vocab,
        #[serde(default)]
        merges: Vec<Merge>,
    }
    #[derive(Deserialize)]
    struct File {
        model: Model,
    }
    // Twice: what it is first, so that a tokenizer of another kind is named as one, whatever its vocabulary looks like.
    let whole: Value = parse(TOKENIZER, bytes)?;
    check_kind(&whole)?;
    let File { model } = parse(TOKENIZER, bytes)?;
    let merge = |merge| match merge {
        Merge::Pair(first, second) => Ok((first, second)),
        Merge::Text(text) => merge_of(&text).ok_or_else(|| {
            Error::invalid(TOKENIZER, "a merge").with_expected("two tokens with a space between them").with_found(shown(&text))
        }),
    };
    let merges = model.merges.into_iter().map(merge).collect::<Result<Merges>>()?;
    let tokens = whole["added_tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    check_count(TOKENIZER, tokens.len())?;
    let mut listed = Vec::new();
    for token in tokens {
        let id = token["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        let id =
            id.ok_or_else(|| Error::invalid(TOKENIZER, "added_tokens").with_expected("ids").with_found(shown(&token["id"].to_string())))?;
        listed.extend(token_of(TOKENIZER, token)?.map(|token| Listed { id, token, file: TOKENIZER }));
    }
    Ok((Vocabulary { ids: model.vocab, merges, vocabulary_file: TOKENIZER, merges_file: TOKENIZER }, listed))
}

/// Whether a `tokenizer.json` is one of CLIP: pairs of bytes, words with an end of their own, in lower case.
fn check_kind(whole: &Value) -> Result<()> {
    let model = &whole["model"];
    // Older files do not name the kind where it is this one.
    let kind = model["type"].as_str().unwrap_or(if model["merges"].is_array() { "BPE" } else { "no kind" });
    let suffix = model["end_of_word_suffix"].as_str().unwrap_or("");
    let mismatch = if kind != "BPE" {
        Some(("BPE", kind))
    } else if suffix != END_OF_WORD {
        Some(("words that end in </w>", suffix))
    } else if !has_kind(&whole["pre_tokenizer"], "ByteLevel", "pretokenizers") {
        Some(("the pre-tokenizer ByteLevel", "another"))
    } else if !has_kind(&whole["normalizer"], "Lowercase", "normalizers") {
        Some(("the normalizer Lowercase", "another"))
    } else {
        None
    };
    match mismatch {
        None => Ok(()),
        Some((expected, found)) => {
            let error = Error::invalid(TOKENIZER, "not a tokenizer of the CLIP family").with_expected(expected);
            Err(error.with_found(if found.is_empty() { "none" } else { found }))
        }
    }
}

/// Whether a step is of a kind, or a sequence with one that is.
fn has_kind(step: &Value, kind: &str, within: &str) -> bool {
    step["type"] == kind || step[within].as_array().into_iter().flatten().any(|inner| inner["type"] == kind)
}
