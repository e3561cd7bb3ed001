//! Texts to what a text encoder gives of them: cut into tokens, encoded together, and kept on disk (`shelf`).

mod shelf;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use maskline_models::{Vocabulary, WordHead};
use maskline_runtime::Tensor;
use maskline_text::{Cleaning, Room, Tokenizer, TokenizerFiles};

use self::shelf::{Shelf, Widths};
use super::parts::LazyLanes;
use super::{Call, Lanes, Parts};
use crate::{Bundle, Concern, Error, ErrorKind, PhraseCount, Result, Stage, Stages, WordOptions};

/// How many texts run through the text encoder together. A list is cut into pieces of these sizes, the largest ones first: no text is
/// padded with others, and all sizes that can occur have run before the model is ready.
const PIECES: [usize; 3] = [16, 4, 1];

/// What a text encoder gives of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers) enum Form {
    /// One row: f32 [texts, width].
    OneRow,
    /// A row for each token: f32 [texts, context, width], of which those after the text's end mean nothing.
    PerToken,
}

impl Form {
    /// Rows of a text of so many tokens.
    fn rows(self, tokens: usize) -> usize {
        match self {
            Self::OneRow => 1,
            Self::PerToken => tokens,
        }
    }
}

/// A text encoder, as its reader must know it. It takes [`WordHead::IDS`] i64 [texts, context] and gives [`WordHead::WORDS`].
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers) struct Reading {
    /// Tokens of a text, with its start and end.
    pub(in crate::drivers) context: usize,
    /// Ids of tokens are below it.
    pub(in crate::drivers) vocabulary: usize,
    pub(in crate::drivers) tokenizer: Vocabulary,
    /// How texts are cleaned; where it is `None`, as the tokenizer's files say.
    pub(in crate::drivers) cleaning: Option<Cleaning>,
    /// Width of a row.
    pub(in crate::drivers) width: usize,
    pub(in crate::drivers) form: Form,
}

/// What the text encoder gives of a text.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::drivers) struct Embedded {
    /// One row, or one for each of the text's own tokens, its start and end among them.
    pub(in crate::drivers) values: Vec<f32>,
    /// Whether this call encoded it.
    pub(in crate::drivers) is_new: bool,
}

/// Where phrases came from of which each has some texts: one of whose texts was encoded now counts as encoded.
pub(in crate::drivers) fn count<'a>(phrases: impl IntoIterator<Item = &'a [Embedded]>) -> PhraseCount {
    let mut count = PhraseCount::default();
    for texts in phrases {
        let is_new = texts.iter().any(|text| text.is_new);
        count.encoded += usize::from(is_new);
        count.from_disk += usize::from(!is_new);
    }
    count
}

/// The text encoder with its tokenizer, both opened when a text comes that nobody has encoded before.
#[derive(Debug)]
pub(in crate::drivers) struct Reader {
    parts: Parts,
    reading: Reading,
    tokenizer: Mutex<Option<Arc<Tokenizer>>>,
    lanes: LazyLanes,
    shelf: Shelf,
}

impl Reader {
    pub(in crate::drivers) fn new(parts: &Parts, reading: Reading) -> Self {
        let lanes = LazyLanes::new(parts, WordHead::TEXT_ENCODER);
        let most = reading.form.rows(reading.context);
        let shelf = Shelf::new(parts.beside("words"), Widths { row: reading.width, most });
        Self { parts: parts.clone(), reading, tokenizer: Mutex::new(None), lanes, shelf }
    }

    /// Opens what reading needs, where there is a tokenizer, and runs the encoder in all forms that are to come.
    pub(in crate::drivers) fn warm_up(&self) -> Result<()> {
        if self.reading.tokenizer == Vocabulary::Missing {
            return Ok(());
        }
        self.tokenizer()?;
        PIECES.iter().try_for_each(|count| {
            self.encode(&vec![vec![0; self.reading.context]; *count], &mut Stages::default(), &Call::default()).map(drop)
        })
    }

    /// Of each text, in their order, what the encoder gives: from the shelf, or encoded now and put there.
    pub(in crate::drivers) fn embed(
        &self,
        texts: &[&str],
        options: &WordOptions,
        stages: &mut Stages,
        call: &Call,
    ) -> Result<Vec<Embedded>> {
        // What is not to be kept is not looked for either.
        let shelf = Some(&self.shelf).filter(|_| !options.uncached);
        let mut known: Vec<Option<Embedded>> = Vec::with_capacity(texts.len());
        for text in texts {
            let values = shelf.and_then(|shelf| shelf.get(text, options.truncate));
            known.push(values.map(|values| Embedded { values, is_new: false }));
        }
        let missing: Vec<usize> = (0..texts.len()).filter(|index| known[*index].is_none()).collect();
        if !missing.is_empty() {
            let tokenizer = self.open_tokenizer(stages)?;
            let room = Room { context: self.reading.context, truncate: options.truncate };
            let (mut rows, mut kept) = (Vec::with_capacity(missing.len()), Vec::with_capacity(missing.len()));
            for index in &missing {
                let tokens = tokenizer.encode(texts[*index], room)?;
                rows.push(tokens.ids);
                kept.push(self.reading.form.rows(tokens.length) * self.reading.width);
            }
            let encoded = self.encode(&rows, stages, call)?.into_iter().zip(kept);
            for (index, (mut values, kept)) in missing.into_iter().zip(encoded) {
                values.truncate(kept);
                if let Some(shelf) = shelf {
                    shelf.put(texts[index], options.truncate, &values);
                }
                known[index] = Some(Embedded { values, is_new: true });
            }
        }
        Ok(known.into_iter().flatten().collect())
    }

    /// The lanes of the text encoder, opened now if need be.
    pub(in crate::drivers) fn lanes(&self, stages: &mut Stages) -> Result<Arc<Lanes>> {
        self.lanes.get(stages)
    }

    /// Rows of token ids to what the encoder gives of each, whole.
    pub(in crate::drivers) fn encode(&self, rows: &[Vec<i64>], stages: &mut Stages, call: &Call) -> Result<Vec<Vec<f32>>> {
        let Reading { context, width, form, .. } = self.reading;
        let lanes = self.lanes(stages)?;
        let mut embeddings = Vec::with_capacity(rows.len());
        let mut left = rows;
        while !left.is_empty() {
            let size = PIECES.into_iter().find(|size| *size <= left.len()).unwrap_or(1);
            let (piece, rest) = left.split_at(size);
            left = rest;
            let ids = Tensor::new([size, context], piece.concat())?;
            let (outputs, spent) = lanes.run(vec![(WordHead::IDS, ids)], Stage::TextEncode, call)?;
            *stages += spent;
            let words = outputs.f32(WordHead::WORDS)?;
            let shape = match form {
                Form::OneRow => vec![size, width],
                Form::PerToken => vec![size, context, width],
            };
            if words.shape != shape || words.data.iter().any(|value| !value.is_finite()) {
                let error = Error::new(ErrorKind::BadAnswer, "the text encoder's answer");
                return Err(error.expecting(format!("finite numbers {shape:?}")).but_found(format!("{:?}", words.shape)));
            }
            embeddings.extend(words.data.chunks_exact(form.rows(context) * width).map(<[f32]>::to_vec));
        }
        Ok(embeddings)
    }

    /// The tokenizer; opening it is told in `stages`.
    fn open_tokenizer(&self, stages: &mut Stages) -> Result<Arc<Tokenizer>> {
        let start = Instant::now();
        let tokenizer = self.tokenizer()?;
        stages.spend(Stage::Open, start.elapsed());
        Ok(tokenizer)
    }

    fn tokenizer(&self) -> Result<Arc<Tokenizer>> {
        let mut slot = self.tokenizer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokenizer) = &*slot {
            return Ok(Arc::clone(tokenizer));
        }
        let tokenizer = match self.reading.tokenizer {
            Vocabulary::StandIn => Tokenizer::stand_in(self.reading.vocabulary),
            Vocabulary::Files => self.of_files()?,
            Vocabulary::Missing => {
                let error = Error::new(ErrorKind::BadInput, format!("{}: it has no tokenizer and cannot read words", self.parts.name()));
                let error = error
                    .expecting("tokenizer.json, or vocab.json and merges.txt, beside its weights")
                    .but_found("none of them")
                    .about(Concern::Model);
                // Those that read each token read an example without words as a word.
                let otherwise = if self.reading.form == Form::OneRow { ", or show it an example" } else { "" };
                return Err(error.with_help(format!("put the model's tokenizer files beside the weights{otherwise}")));
            }
        };
        Ok(Arc::clone(slot.insert(Arc::new(tokenizer))))
    }

    /// The tokenizer that travels with the bundle, if it is one for this model.
    fn of_files(&self) -> Result<Tokenizer> {
        let bundle: &Bundle = &self.parts.bundle;
        let has = |name: &str| bundle.assets().any(|asset| asset == name);
        let contents = TokenizerFiles::NAMES.map(|name| has(name).then(|| bundle.asset(name)).transpose());
        let [tokenizer, vocabulary, merges, config, special_tokens] = contents;
        let (tokenizer, vocabulary, merges, config, special_tokens) = (tokenizer?, vocabulary?, merges?, config?, special_tokens?);
        let files = TokenizerFiles {
            tokenizer: tokenizer.as_deref(),
            vocabulary: vocabulary.as_deref(),
            merges: merges.as_deref(),
            config: config.as_deref(),
            special_tokens: special_tokens.as_deref(),
        };
        let opened = match self.reading.cleaning {
            Some(cleaning) => Tokenizer::open_with(&files, cleaning)?,
            None => Tokenizer::open(&files)?,
        };
        if opened.vocabulary() == self.reading.vocabulary {
            return Ok(opened);
        }
        let error = Error::new(ErrorKind::BadInput, format!("{}: its tokenizer is of another model", self.parts.name()));
        let error = error
            .expecting(format!("{} tokens, as its embedding has", self.reading.vocabulary))
            .but_found(opened.vocabulary())
            .about(Concern::Model);
        Err(error.with_help("put the tokenizer files that the weights were published with beside them"))
    }
}

#[cfg(test)]
mod tests;
