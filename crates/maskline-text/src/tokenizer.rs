//! The tokenizer: what cuts, and how ids are laid out for a text encoder.

use crate::error::{Error, ErrorKind, Result, shown};
use crate::files::{Published, TokenizerFiles};
use crate::original::{self, OriginalCutter, SPECIAL};
use crate::published::PublishedCutter;

/// Longer texts are not read, in bytes: no context holds a hundredth of it, and counting their tokens would take time.
const LONGEST_TEXT: usize = 64 << 10;

/// How a text is cleaned and cut into words, in which the two references of the CLIP family differ.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cleaning {
    /// As `CLIPTokenizer` of transformers, which OWL-ViT and OWLv2 follow: NFC, lower case. `&amp;` stays five characters, `“` is not `"`,
    /// `schÃ¶n` not `schön`, `ＡＢ` not `ab`; a final `Σ` becomes `σ`. Literal special tokens are `<|startoftext|>`, `<|endoftext|>` and
    /// those that the files name: where the pad token is `!`, every `!` is one.
    HuggingFace,
    /// As `SimpleTokenizer` of CLIP and SAM 3: text is mended (ftfy), HTML's characters are unescaped twice: `&amp;amp;` is `&`, `“` is `"`,
    /// `schÃ¶n` is `schön`, `ﬁ` is `fi`; a final `Σ` becomes `ς`. Literal special tokens are `<start_of_text>` and `<end_of_text>`, where
    /// a word may begin.
    ///
    /// Of ftfy's repairs of wrongly decoded text, the one from UTF-8 read as Windows-1252 or Latin-1 is made, for bytes that are whole.
    /// Those from other code pages, with lost bytes or spaces in place of U+00A0, are not; whether short sequences are an accident is decided by
    /// simpler rules.
    Original,
}

/// How much room a text encoder has for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Ids of the input, start and end among them; at least 2.
    pub context: usize,
    /// Whether a text that is too long is cut off, as the references do, or refused.
    pub truncate: bool,
}

/// A text as the input of a text encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Start, tokens, end, padding; exactly as many as the context has.
    pub ids: Vec<i64>,
    /// Ids before the padding, start and end among them.
    pub length: usize,
    /// Whether tokens of the text were left out.
    pub was_cut: bool,
}

impl Tokens {
    /// 1 for each id of the text, start and end among them, 0 for each that pads: the attention mask of Hugging Face.
    pub fn mask(&self) -> Vec<i64> {
        (0..self.ids.len()).map(|place| i64::from(place < self.length)).collect()
    }
}

/// Cuts texts into the ids of one model's vocabulary.
pub struct Tokenizer {
    cutter: Cutter,
    vocabulary: usize,
    start: u32,
    end: u32,
    pad: u32,
}

enum Cutter {
    Published(Box<PublishedCutter>),
    Original(Box<OriginalCutter>),
    StandIn,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { vocabulary, start, end, pad, .. } = self;
        let mut debug = f.debug_struct("Tokenizer");
        debug.field("cleaning", &self.cleaning()).field("vocabulary", vocabulary);
        debug.field("start", start).field("end", end).field("pad", pad).finish()
    }
}

impl Tokenizer {
    /// Opens what a model ships: `tokenizer.json`, else vocabulary and merges; texts are cleaned as Hugging Face does.
    ///
    /// # Errors
    /// `MissingFile` if neither is there, `InvalidFile` if one is broken, of another kind or lacks start or end, `TooLarge`.
    pub fn open(files: &TokenizerFiles<'_>) -> Result<Self> {
        Self::open_with(files, Cleaning::HuggingFace)
    }

    /// The same with either cleaning: SAM 3 is published in the layout of Hugging Face too, whose vocabulary is the same.
    ///
    /// # Errors
    /// As [`Tokenizer::open`].
    pub fn open_with(files: &TokenizerFiles<'_>, cleaning: Cleaning) -> Result<Self> {
        let published = Published::read(files)?;
        let Published { start, end, pad, .. } = published;
        let cutter = match cleaning {
            Cleaning::HuggingFace => Cutter::Published(Box::new(PublishedCutter::new(&published)?)),
            Cleaning::Original => Cutter::Original(Box::new(OriginalCutter::new(&published.vocabulary, [start, end], &published.unknown)?)),
        };
        Ok(Self { cutter, vocabulary: published.vocabulary.size(), start, end, pad })
    }

    /// Opens the vocabulary of CLIP's own code, `bpe_simple_vocab_16e6.txt`, plain or gzipped; texts are cleaned as that code does.
    ///
    /// # Errors
    /// `InvalidFile` if it is broken, `TooLarge`.
    pub fn of_original(vocabulary: &[u8]) -> Result<Self> {
        let vocabulary = original::read(vocabulary)?;
        let size = vocabulary.size();
        // The last two of at least 514.
        let [start, end] = [size as u32 - 2, size as u32 - 1];
        let cutter = Cutter::Original(Box::new(OriginalCutter::new(&vocabulary, [start, end], SPECIAL[1])?));
        Ok(Self { cutter, vocabulary: size, start, end, pad: 0 })
    }

    /// A tokenizer for generated weights, with ids below `vocabulary`: a word is one id, the same for ever. Start and end are the
    /// last two, padding is 0.
    pub fn stand_in(vocabulary: usize) -> Self {
        let last = u32::try_from(vocabulary.saturating_sub(1)).unwrap_or(u32::MAX);
        Self { cutter: Cutter::StandIn, vocabulary, start: last.saturating_sub(1), end: last, pad: 0 }
    }

    /// How texts are cleaned; `None` for a stand-in.
    pub fn cleaning(&self) -> Option<Cleaning> {
        match self.cutter {
            Cutter::Published(_) => Some(Cleaning::HuggingFace),
            Cutter::Original(_) => Some(Cleaning::Original),
            Cutter::StandIn => None,
        }
    }

    /// Ids are below this.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The ids of a text, without start, end and padding.
    ///
    /// # Errors
    /// `TooLong` for texts of more than 64 KiB.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        if text.len() > LONGEST_TEXT {
            let error = Error::new(ErrorKind::TooLong, format!("the text {} is too long", shown(text)));
            return Err(error.with_expected(format!("at most {LONGEST_TEXT} bytes")).with_found(text.len().to_string()));
        }
        match &self.cutter {
            Cutter::Published(cutter) => cutter.cut(text),
            Cutter::Original(cutter) => cutter.cut(text),
            Cutter::StandIn => Ok(text.split_whitespace().map(|word| self.stand_in_id(word)).collect()),
        }
    }

    /// A text as the input of a text encoder.
    ///
    /// # Errors
    /// `TooLong` if it has more tokens than there is room for and may not be cut off, or more than 64 KiB; `InvalidArgument` for a
    /// context without room for start and end.
    pub fn encode(&self, text: &str, room: Room) -> Result<Tokens> {
        let Room { context, truncate } = room;
        if context < 2 {
            let error = Error::new(ErrorKind::InvalidArgument, "context of a text");
            return Err(error.with_expected("at least 2, for start and end").with_found(context.to_string()));
        }
        let ids = self.ids(text)?;
        let length = ids.len() + 2;
        let was_cut = length > context;
        if was_cut && !truncate {
            let error = Error::new(ErrorKind::TooLong, format!("the text {} is too long for the model", shown(text)));
            let error = error.with_expected(format!("at most {context} tokens, start and end among them")).with_found(length.to_string());
            return Err(error.with_help("use fewer words, or have it cut with `truncate`"));
        }
        let kept = ids.into_iter().take(context - 2);
        let whole = std::iter::once(self.start).chain(kept).chain([self.end]).chain(std::iter::repeat(self.pad));
        Ok(Tokens { ids: whole.take(context).map(i64::from).collect(), length: length.min(context), was_cut })
    }

    /// One of the ids that are not start, end or padding (FNV-1a of the word in lower case).
    fn stand_in_id(&self, word: &str) -> u32 {
        let hash = word
            .to_lowercase()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        match u64::from(self.start).saturating_sub(1) {
            0 => 0,
            words => (1 + hash % words) as u32,
        }
    }
}
