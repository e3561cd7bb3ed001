//! Words and examples to the rows that the decoder is asked with.

use maskline_models::{ConceptHead, Vocabulary};
use maskline_runtime::{Input, SharedTensor, Tensor};

use super::pooling::weights;
use super::sight::Sight;
use super::{Features, Sam3};
use crate::drivers::{Call, Encoded, Encoding, Shown, Wanted, made_here};
use crate::promptable::Stored;
use crate::{Error, ErrorKind, Result, Stage, Stages, WordOptions};

/// What is read where there are examples and no words: the reference's own choice.
const WORDLESS: &str = "visual";
/// The same in CLIP's vocabulary, from start to end: examples need no tokenizer.
const WORDLESS_IDS: [i64; 3] = [49_406, 7_195, 49_407];
/// Tokens of CLIP's vocabulary.
const CLIP_TOKENS: usize = 49_408;
/// Most examples of one concept: what is pooled of their boxes is in memory at once.
const MOST_EXAMPLES: usize = 256;

/// A phrase: a row for each of its tokens.
#[derive(Debug)]
pub(super) struct Words {
    rows: Vec<f32>,
}

impl Words {
    pub(super) fn of(rows: Vec<f32>) -> Self {
        Self { rows }
    }
}

impl Encoding for Words {
    fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        Ok(Vec::new())
    }
}

/// Examples as the exemplar encoder takes them.
#[derive(Debug, Default)]
pub(super) struct Examples {
    /// Centre and size in 0..1, four per example.
    pub(super) boxes: Vec<f32>,
    /// 1 for what is wanted, 0 for what is not.
    pub(super) labels: Vec<i64>,
}

impl Examples {
    /// An example on a picture of this `size`, its width and height.
    fn add(&mut self, shown: &Shown) -> Result<()> {
        let (width, height) = (shown.size.0 as f32, shown.size.1 as f32);
        let [x1, y1, x2, y2] = shown.bounds.unwrap_or([0.0, 0.0, width, height]);
        if x1.max(0.0) >= x2.min(width) || y1.max(0.0) >= y2.min(height) {
            let expected = format!("a box that overlaps its picture of {width} × {height}");
            return Err(Error::new(ErrorKind::BadInput, "example").expecting(expected).but_found(format!("{:?}", [x1, y1, x2, y2])));
        }
        self.boxes.extend([(x1 + x2) / 2.0 / width, (y1 + y2) / 2.0 / height, (x2 - x1) / width, (y2 - y1) / height]);
        self.labels.push(i64::from(shown.is_positive));
        Ok(())
    }

    /// The inputs of the exemplar encoder.
    pub(super) fn inputs(&self, head: &ConceptHead, coarse: SharedTensor) -> Result<Vec<(&'static str, Input)>> {
        let (count, grid, pooled) = (self.labels.len(), head.grid, head.pooled);
        let (mut across, mut down) = (Vec::new(), Vec::new());
        for side in self.boxes.chunks_exact(4) {
            let ends = |axis: usize| [-0.5, 0.5].map(|half| (side[axis] + half * side[axis + 2]) * grid as f32);
            let ([left, right], [top, bottom]) = (ends(0), ends(1));
            across.extend(weights(left, right, pooled, grid));
            down.extend(weights(top, bottom, pooled, grid));
        }
        Ok(vec![
            (ConceptHead::COARSE, coarse.into()),
            (ConceptHead::BOXES, Tensor::new([1, count, 4], self.boxes.clone())?.into()),
            (ConceptHead::LABELS, Tensor::new([1, count], self.labels.clone())?.into()),
            (ConceptHead::ACROSS, Tensor::new([1, count, pooled, grid], across)?.into()),
            (ConceptHead::DOWN, Tensor::new([1, count, pooled, grid], down)?.into()),
        ])
    }
}

impl Sam3 {
    /// The rows that a concept is asked with: those of its words, and those of its examples, or of there being none.
    pub(super) fn prompt(&self, concept: &Wanted, features: &Features, stages: &mut Stages, call: &Call) -> Result<Vec<f32>> {
        let mut rows = match &concept.words {
            Some(words) => made_here::<Words>(words)?.rows.clone(),
            None => self.wordless(stages, call)?,
        };
        if concept.examples.is_empty() {
            let (blank, spent) = features.ask(call, || {
                let blank = features.get(ConceptHead::BLANK)?;
                Ok((blank.view::<f32>()?.data.to_vec(), Stages::default()))
            })?;
            *stages += spent;
            rows.extend(blank);
            return Ok(rows);
        }
        if concept.examples.len() > MOST_EXAMPLES {
            let error = Error::new(ErrorKind::BadInput, "examples").expecting(format!("at most {MOST_EXAMPLES} of one concept"));
            return Err(error.but_found(concept.examples.len()));
        }
        // Those of one picture are encoded together, in their order.
        let mut pictures: Vec<(&Encoded, Examples)> = Vec::new();
        for shown in &concept.examples {
            let known = pictures.iter().position(|(picture, _)| std::sync::Arc::ptr_eq(picture, &shown.picture));
            let index = known.unwrap_or_else(|| {
                pictures.push((&shown.picture, Examples::default()));
                pictures.len() - 1
            });
            pictures[index].1.add(shown)?;
        }
        for (picture, examples) in pictures {
            let features = self.features(made_here::<Sight>(picture)?, stages, call)?;
            rows.extend(self.encode_examples(&examples, &features, stages, call)?);
        }
        Ok(rows)
    }

    /// Examples on one picture: a row for each, and one for all.
    pub(super) fn encode_examples(&self, examples: &Examples, features: &Features, stages: &mut Stages, call: &Call) -> Result<Vec<f32>> {
        let lanes = self.exemplars.get(stages)?;
        let (outputs, spent) = features.ask(call, || {
            let inputs = examples.inputs(&self.head, features.get(ConceptHead::COARSE)?)?;
            lanes.run(inputs, Stage::ExemplarEncode, call)
        })?;
        *stages += spent;
        Ok(outputs.f32(ConceptHead::EXEMPLARS)?.data.to_vec())
    }

    fn wordless(&self, stages: &mut Stages, call: &Call) -> Result<Vec<f32>> {
        let none = || Error::new(ErrorKind::Failed, "the text encoder gave nothing");
        let ConceptHead { vocabulary, context, width, .. } = self.head;
        if self.head.tokenizer == Vocabulary::Missing && vocabulary == CLIP_TOKENS && context >= WORDLESS_IDS.len() {
            let mut ids = WORDLESS_IDS.to_vec();
            ids.resize(context, 0);
            let mut rows = self.reader.encode(&[ids], stages, call)?.pop().ok_or_else(none)?;
            rows.truncate(WORDLESS_IDS.len() * width);
            return Ok(rows);
        }
        let mut embedded = self.reader.embed(&[WORDLESS], &WordOptions::default(), stages, call)?;
        Ok(embedded.pop().ok_or_else(none)?.values)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use maskline_text::{Room, Tokenizer};

    use super::{CLIP_TOKENS, WORDLESS, WORDLESS_IDS};

    #[test]
    fn what_is_read_without_words_is_known_without_a_tokenizer() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/clip/bpe_simple_vocab_16e6.txt.gz");
        let Ok(bytes) = std::fs::read(&file) else {
            return maskline_testing::skip(format_args!("{} is missing", file.display()));
        };
        let tokenizer = Tokenizer::of_original(&bytes).unwrap();
        assert_eq!(tokenizer.vocabulary(), CLIP_TOKENS);
        let tokens = tokenizer.encode(WORDLESS, Room { context: 32, truncate: false }).unwrap();
        assert_eq!(tokens.ids[..tokens.length], WORDLESS_IDS);
    }
}
