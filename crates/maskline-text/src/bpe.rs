//! Byte pair encoding of one word: tokens with their ids, and which two become one (Sennrich et al. 2016, on bytes as in GPT-2).

use tokenizers::models::bpe::{BPE, Merges, Vocab};

use crate::error::{Error, Result, shown};

/// Larger ids belong to no text encoder; the table of a file with one would be all gaps.
const LARGEST_ID: u32 = 1 << 22;

/// What ends the last token of a word.
pub(crate) const END_OF_WORD: &str = "</w>";

/// A vocabulary, read and not yet checked.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    pub(crate) ids: Vocab,
    pub(crate) merges: Merges,
    /// The files that it is from, for errors.
    pub(crate) vocabulary_file: &'static str,
    pub(crate) merges_file: &'static str,
}

impl Vocabulary {
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// One more than the largest id.
    pub(crate) fn size(&self) -> usize {
        self.ids.values().max().map_or(0, |id| (*id as usize).saturating_add(1))
    }

    /// Gives a token that has no id the next one.
    pub(crate) fn include(&mut self, token: &str) {
        if !self.ids.contains_key(token) {
            // Ids that do not fit are refused by `model`.
            let next = u32::try_from(self.size().max(self.ids.len())).unwrap_or(u32::MAX);
            self.ids.insert(token.to_owned(), next);
        }
    }

    /// Checks ids and merges, and makes the encoder of words; `unknown` stands for characters that the vocabulary lacks.
    pub(crate) fn model(&self, unknown: &str) -> Result<BPE> {
        if let Some((token, id)) = self.ids.iter().find(|(_, id)| **id > LARGEST_ID) {
            let error = Error::invalid(self.vocabulary_file, format!("id of the token {}", shown(token)));
            return Err(error.with_expected(format!("at most {LARGEST_ID}")).with_found(id.to_string()));
        }
        for (place, (first, second)) in self.merges.iter().enumerate() {
            let both = format!("{first}{second}");
            if let Some(token) = [first, second, &both].into_iter().find(|token| !self.ids.contains_key(*token)) {
                let merge = format!("merge {} ({})", place + 1, shown(&format!("{first} {second}")));
                let error = Error::invalid(self.merges_file, merge).with_expected("tokens of the vocabulary").with_found(shown(token));
                return Err(error.with_help("give the merges and the vocabulary of one model"));
            }
        }
        BPE::builder()
            .vocab_and_merges(self.ids.clone(), self.merges.clone())
            .unk_token(unknown.to_owned())
            .end_of_word_suffix(END_OF_WORD.to_owned())
            .build()
            .map_err(|error| Error::invalid(self.merges_file, error.to_string()))
    }
}

/// The characters that stand for the 256 bytes, in the order of the bytes: those of Latin-1 that show stand for themselves, the others,
/// in order, follow from U+0100 on.
pub(crate) fn byte_characters() -> [char; 256] {
    let mut characters = ['\0'; 256];
    let mut next = 0x100_u32;
    for byte in 0..=u8::MAX {
        characters[usize::from(byte)] = if is_shown(byte) {
            char::from(byte)
        } else {
            next += 1;
            // Of at most 256 steps from U+0100, none of which is a surrogate.
            char::from_u32(next - 1).unwrap_or('\u{fffd}')
        };
    }
    characters
}

/// Whether a byte stands for itself.
pub(crate) fn is_shown(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}
