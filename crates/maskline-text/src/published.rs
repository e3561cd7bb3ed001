//! Cutting as Hugging Face's `CLIPTokenizer` does: NFC, one space for any whitespace, lower case character by character.

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence, replace::ReplacePattern};
use tokenizers::pre_tokenizers::{byte_level::ByteLevel, sequence::Sequence as Steps, split::Split, split::SplitPattern};
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior};

use crate::error::{Error, ErrorKind, Result};
use crate::files::Published;

/// Words: contractions, runs of letters, single digits, runs of anything else but whitespace. Tokens that are found as they stand are
/// taken out before; the two that stand here are so even where the files do not list them.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The whole of Hugging Face's cutting.
pub(crate) struct PublishedCutter {
    tokenizer: tokenizers::Tokenizer,
}

impl PublishedCutter {
    pub(crate) fn new(published: &Published) -> Result<Self> {
        let mut tokenizer = tokenizers::Tokenizer::new(ModelWrapper::BPE(published.vocabulary.model(&published.unknown)?));
        let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").map_err(internal)?;
        let normalizers: [NormalizerWrapper; 3] = [NFC.into(), spaces.into(), Lowercase.into()];
        tokenizer.with_normalizer(Some(Sequence::new(normalizers.into()))).map_err(internal)?;
        let words = Split::new(SplitPattern::Regex(WORDS.into()), SplitDelimiterBehavior::Removed, true).map_err(internal)?;
        let steps: [PreTokenizerWrapper; 2] = [words.into(), ByteLevel::new(false, true, true).into()];
        tokenizer.with_pre_tokenizer(Some(Steps::new(steps.into())));
        let refused = |error: tokenizers::Error| Error::invalid(published.vocabulary.vocabulary_file, format!("added tokens: {error}"));
        tokenizer.add_tokens(published.added.iter().cloned()).map_err(refused)?;
        Ok(Self { tokenizer })
    }

    /// Ids of a text, without start and end.
    pub(crate) fn cut(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode_fast(text, false).map_err(internal)?.get_ids().to_vec())
    }
}

/// Of steps that are the same for all models, and of words that were checked.
pub(crate) fn internal(error: tokenizers::Error) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("the text cannot be cut: {error}"))
}
