//! Cutting as the first CLIP code does, whose `SimpleTokenizer` SAM 3 carries on.

use std::io::Read;

use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Merges};
use tokenizers::utils::SysRegex;

use crate::bpe::{END_OF_WORD, Vocabulary, byte_characters, is_shown};
use crate::clean::cleaned;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::files::{check_size, merge_of};
use crate::published::internal;

const VOCABULARY: &str = "bpe_simple_vocab_16e6.txt";

/// How the tokens of start and end are written in a text.
pub(crate) const SPECIAL: [&str; 2] = ["<start_of_text>", "<end_of_text>"];

/// The same where Hugging Face publishes them.
const PUBLISHED_SPECIAL: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// Words as in `published`, but start and end are found only where a word may begin, and in either case. U+0345, a mark with a
/// letter for a capital, is neither a letter nor anything else there, and left out.
const WORDS: &str = r"(?i:<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}\x{345}]+";

/// Of the published file's lines these are merges; the rest is not used.
const MOST_MERGES: usize = 49152 - 256 - 2;
/// What the unpacked file may have; the published one has 3.2 MB.
const LARGEST_UNPACKED: u64 = 64 << 20;

/// The whole of the original cutting.
pub(crate) struct OriginalCutter {
    words: SysRegex,
    bpe: BPE,
    bytes: [char; 256],
    /// Ids of [`SPECIAL`].
    special: [u32; 2],
}

impl OriginalCutter {
    /// With start and end tokens by id; what the vocabulary lacks is `unknown`.
    pub(crate) fn new(vocabulary: &Vocabulary, special: [u32; 2], unknown: &str) -> Result<Self> {
        let words = SysRegex::new(WORDS).map_err(internal)?;
        Ok(Self { words, bpe: vocabulary.model(unknown)?, bytes: byte_characters(), special })
    }

    /// Ids of a text, without start and end.
    pub(crate) fn cut(&self, text: &str) -> Result<Vec<u32>> {
        let text = cleaned(text);
        let mut ids = Vec::new();
        for (start, end) in self.words.find_iter(&text) {
            let word = &text[start..end];
            match SPECIAL.iter().position(|special| *special == word) {
                Some(place) => ids.push(self.special[place]),
                None => {
                    let letters: String = word.bytes().map(|byte| self.bytes[usize::from(byte)]).collect();
                    ids.extend(self.bpe.tokenize(&letters).map_err(internal)?.into_iter().map(|token| token.id));
                }
            }
        }
        Ok(ids)
    }
}

/// Reads the vocabulary that CLIP ships: a line of version, then a merge a line; plain or gzipped. Ids: the bytes that show, then the
/// others, the same as ends of words, the merges, start, end.
pub(crate) fn read(bytes: &[u8]) -> Result<Vocabulary> {
    check_size(VOCABULARY, bytes)?;
    let text = unpack(bytes)?;
    let characters = byte_characters();
    let shown_first = (0..=u8::MAX).filter(|byte| is_shown(*byte)).chain((0..=u8::MAX).filter(|byte| !is_shown(*byte)));
    let letters: Vec<String> = shown_first.map(|byte| characters[usize::from(byte)].to_string()).collect();
    let mut merges = Merges::new();
    for (number, line) in text.lines().enumerate().skip(1).take(MOST_MERGES) {
        if !line.is_empty() {
            merges.push(merge_of(line).ok_or_else(|| {
                let error = Error::invalid(VOCABULARY, format!("line {}", number + 1));
                error.with_expected("two tokens with a space between them").with_found(shown(line))
            })?);
        }
    }
    if merges.is_empty() {
        return Err(Error::invalid(VOCABULARY, "the file").with_expected("a line of version, then a merge a line").with_found("no merges"));
    }
    let ends = letters.iter().map(|letter| format!("{letter}{END_OF_WORD}"));
    let merged = merges.iter().map(|(first, second)| format!("{first}{second}"));
    let tokens = letters.iter().cloned().chain(ends).chain(merged).chain(SPECIAL.map(str::to_owned));
    let ids = tokens.zip(0_u32..).collect();
    Ok(Vocabulary { ids, merges, vocabulary_file: VOCABULARY, merges_file: VOCABULARY })
}

/// A vocabulary in the layout of Hugging Face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedVocabulary {
    /// `vocab.json`.
    pub vocabulary: Vec<u8>,
    /// `merges.txt`.
    pub merges: Vec<u8>,
}

impl PublishedVocabulary {
    /// Of the file that CLIP ships (`bpe_simple_vocab_16e6.txt`), plain or gzipped.
    ///
    /// # Errors
    /// As [`Tokenizer::of_original`](crate::Tokenizer::of_original).
    pub fn of_original(bytes: &[u8]) -> Result<Self> {
        let Vocabulary { ids, merges, .. } = read(bytes)?;
        let published = |token: &str| match SPECIAL.iter().position(|special| *special == token) {
            Some(place) => PUBLISHED_SPECIAL[place].to_owned(),
            None => token.to_owned(),
        };
        let ids: serde_json::Map<String, serde_json::Value> = ids.iter().map(|(token, id)| (published(token), (*id).into())).collect();
        let lines = merges.iter().map(|(first, second)| format!("{first} {second}\n"));
        let merges: String = std::iter::once("#version: 0.2\n".to_owned()).chain(lines).collect();
        Ok(Self { vocabulary: serde_json::Value::Object(ids).to_string().into_bytes(), merges: merges.into_bytes() })
    }
}

fn unpack(bytes: &[u8]) -> Result<String> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let mut plain = Vec::new();
    if bytes.starts_with(&GZIP) {
        let read = flate2::read::GzDecoder::new(bytes).take(LARGEST_UNPACKED + 1).read_to_end(&mut plain);
        read.map_err(|error| Error::invalid(VOCABULARY, format!("broken gzip: {error}")))?;
        if plain.len() as u64 > LARGEST_UNPACKED {
            let error = Error::new(ErrorKind::TooLarge, "the file is too large for a vocabulary").at(VOCABULARY);
            return Err(error.with_expected(format!("at most {LARGEST_UNPACKED} bytes when unpacked")));
        }
    } else {
        plain.extend_from_slice(bytes);
    }
    String::from_utf8(plain).map_err(|error| Error::invalid(VOCABULARY, format!("not UTF-8: {error}")))
}
