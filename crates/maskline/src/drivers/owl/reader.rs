//! Words to what a picture's patches are compared with.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use maskline_models::{Vocabulary, WordHead};
use maskline_runtime::Tensor;
use maskline_text::{Room, Tokenizer, TokenizerFiles};

use super::shelf::Shelf;
use super::sight::query;
use super::templates::phrasings;
use crate::drivers::parts::LazyLanes;
use crate::drivers::{Call, Encoded, Encoding, Lanes, Parts};
use crate::promptable::Stored;
use crate::{Bundle, Concern, Error, ErrorKind, PhraseCount, Result, Stage, Stages, WordOptions};

/// How many phrases run through the text encoder together. A list is cut into pieces of these sizes, the largest ones first: no phrase is
/// padded with others, and all sizes that can occur have run before the model is ready.
const PIECES: [usize; 3] = [16, 4, 1];

/// A phrase's embedding, as the class head takes it.
#[derive(Debug)]
pub(super) struct Words {
    query: Vec<f32>,
}

impl Words {
    /// A query as it is.
    #[cfg(test)]
    pub(super) fn of(query: Vec<f32>) -> Self {
        Self { query }
    }

    pub(super) fn query(&self) -> &[f32] {
        &self.query
    }

    /// The mean of several phrasings: likeness is linear in the query, so it gives the mean of their logits.
    fn mean(queries: &[Vec<f32>]) -> Self {
        let mut mean = vec![0.0; queries.first().map_or(0, Vec::len)];
        for query in queries {
            mean.iter_mut().zip(query).for_each(|(sum, value)| *sum += value / queries.len() as f32);
        }
        Self { query: mean }
    }
}

impl Encoding for Words {
    fn bytes(&self) -> usize {
        size_of_val(self.query.as_slice())
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        Ok(Vec::new())
    }
}

/// A text's embedding, of length 1.
struct Embedded {
    values: Vec<f32>,
    /// Whether this call encoded it.
    is_new: bool,
}

/// The text encoder with its tokenizer, both opened when a phrase comes that nobody has encoded before.
#[derive(Debug)]
pub(super) struct Reader {
    parts: Parts,
    head: WordHead,
    tokenizer: Mutex<Option<Arc<Tokenizer>>>,
    lanes: LazyLanes,
    shelf: Shelf,
}

impl Reader {
    pub(super) fn new(parts: &Parts, head: WordHead) -> Self {
        let lanes = LazyLanes::new(parts, WordHead::TEXT_ENCODER);
        let shelf = Shelf::new(parts.beside("words"), head.width);
        Self { parts: parts.clone(), head, tokenizer: Mutex::new(None), lanes, shelf }
    }

    /// Opens what reading needs, where there is a tokenizer, and runs the encoder in all forms that are to come.
    pub(super) fn warm_up(&self) -> Result<()> {
        if self.head.tokenizer == Vocabulary::Missing {
            return Ok(());
        }
        self.tokenizer()?;
        PIECES.iter().try_for_each(|count| {
            self.encode(&vec![vec![0; self.head.context]; *count], &mut Stages::default(), &Call::default()).map(drop)
        })
    }

    /// The embedding of each phrase: from the shelf, or encoded now and put there.
    pub(super) fn read(&self, phrases: &[&str], options: &WordOptions, call: &Call) -> Result<(Vec<Encoded>, Stages)> {
        let start = Instant::now();
        let mut stages = Stages::of(&[Stage::TextEncode]);
        let phrasings: Vec<Vec<String>> = phrases.iter().map(|phrase| self.phrasings(phrase, options)).collect();
        let texts: Vec<&str> = phrasings.iter().flatten().map(String::as_str).collect();
        let mut embedded = self.embed(&texts, options, &mut stages, call)?.into_iter();
        let mut read: Vec<Encoded> = Vec::with_capacity(phrases.len());
        let mut count = PhraseCount::default();
        for phrasings in &phrasings {
            let embedded: Vec<Embedded> = embedded.by_ref().take(phrasings.len()).collect();
            let is_new = embedded.iter().any(|embedded| embedded.is_new);
            count.encoded += usize::from(is_new);
            count.from_disk += usize::from(!is_new);
            let queries: Vec<Vec<f32>> = embedded.iter().map(|embedded| query(&embedded.values)).collect();
            read.push(Arc::new(Words::mean(&queries)));
        }
        stages.count_phrases(count);
        // Cutting texts into tokens, and the disk.
        Ok((read, stages.rest(Stage::TextEncode, start)))
    }

    /// The embedding of each text, of length 1.
    fn embed(&self, texts: &[&str], options: &WordOptions, stages: &mut Stages, call: &Call) -> Result<Vec<Embedded>> {
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
            let room = Room { context: self.head.context, truncate: options.truncate };
            let tokens = missing.iter().map(|index| Ok(tokenizer.encode(texts[*index], room)?.ids)).collect::<Result<Vec<_>>>()?;
            for (index, values) in missing.into_iter().zip(self.encode(&tokens, stages, call)?) {
                if let Some(shelf) = shelf {
                    shelf.put(texts[index], options.truncate, &values);
                }
                known[index] = Some(Embedded { values, is_new: true });
            }
        }
        Ok(known.into_iter().flatten().collect())
    }

    fn phrasings(&self, phrase: &str, options: &WordOptions) -> Vec<String> {
        if options.templates { phrasings(phrase) } else { vec![phrase.to_owned()] }
    }

    /// The lanes of the text encoder, opened now if need be.
    pub(super) fn lanes(&self, stages: &mut Stages) -> Result<Arc<Lanes>> {
        self.lanes.get(stages)
    }

    /// Rows of token ids to embeddings of length 1.
    pub(super) fn encode(&self, rows: &[Vec<i64>], stages: &mut Stages, call: &Call) -> Result<Vec<Vec<f32>>> {
        let lanes = self.lanes(stages)?;
        let mut embeddings = Vec::with_capacity(rows.len());
        let mut left = rows;
        while !left.is_empty() {
            let size = PIECES.into_iter().find(|size| *size <= left.len()).unwrap_or(1);
            let (piece, rest) = left.split_at(size);
            left = rest;
            let ids = Tensor::new([size, self.head.context], piece.concat())?;
            let (outputs, spent) = lanes.run(vec![(WordHead::IDS, ids)], Stage::TextEncode, call)?;
            *stages += spent;
            let words = outputs.f32(WordHead::WORDS)?;
            if words.shape != [size, self.head.width] || words.data.iter().any(|value| !value.is_finite()) {
                let error = Error::new(ErrorKind::BadAnswer, "the text encoder's answer");
                let expected = format!("finite numbers [{size}, {}]", self.head.width);
                return Err(error.expecting(expected).but_found(format!("{:?}", words.shape)));
            }
            embeddings.extend(words.data.chunks_exact(self.head.width).map(<[f32]>::to_vec));
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
        let tokenizer = match self.head.tokenizer {
            Vocabulary::StandIn => Tokenizer::stand_in(self.head.vocabulary),
            Vocabulary::Files => self.of_files()?,
            Vocabulary::Missing => {
                let error = Error::new(ErrorKind::BadInput, format!("{}: it has no tokenizer and cannot read words", self.parts.name()));
                let error = error
                    .expecting("tokenizer.json, or vocab.json and merges.txt, beside its weights")
                    .but_found("none of them")
                    .about(Concern::Model);
                return Err(error.with_help("put the model's tokenizer files beside the weights, or show it an example"));
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
        let opened = Tokenizer::open(&files)?;
        if opened.vocabulary() == self.head.vocabulary {
            return Ok(opened);
        }
        let error = Error::new(ErrorKind::BadInput, format!("{}: its tokenizer is of another model", self.parts.name()));
        let error = error
            .expecting(format!("{} tokens, as its embedding has", self.head.vocabulary))
            .but_found(opened.vocabulary())
            .about(Concern::Model);
        Err(error.with_help("put the tokenizer files that the weights were published with beside them"))
    }
}
