//! Phrases to what a picture's patches are compared with.

use std::sync::Arc;
use std::time::Instant;

use super::sight::query;
use super::templates::phrasings;
use crate::drivers::words::{Embedded, Reader, count};
use crate::drivers::{Call, Encoded, Encoding};
use crate::promptable::Stored;
use crate::{Result, Stage, Stages, WordOptions};

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
    fn mean(phrasings: &[Embedded]) -> Self {
        let mut mean = vec![0.0; phrasings.first().map_or(0, |embedded| embedded.values.len())];
        for embedded in phrasings {
            mean.iter_mut().zip(query(&embedded.values)).for_each(|(sum, value)| *sum += value / phrasings.len() as f32);
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

/// The embedding of each phrase, in their order.
pub(super) fn read(reader: &Reader, phrases: &[&str], options: &WordOptions, call: &Call) -> Result<(Vec<Encoded>, Stages)> {
    let start = Instant::now();
    let mut stages = Stages::of(&[Stage::TextEncode]);
    let per_phrase = |phrase: &&str| if options.templates { phrasings(phrase) } else { vec![(*phrase).to_owned()] };
    let phrasings: Vec<Vec<String>> = phrases.iter().map(per_phrase).collect();
    let texts: Vec<&str> = phrasings.iter().flatten().map(String::as_str).collect();
    let mut embedded = reader.embed(&texts, options, &mut stages, call)?.into_iter();
    let embedded: Vec<Vec<Embedded>> = phrasings.iter().map(|phrasings| embedded.by_ref().take(phrasings.len()).collect()).collect();
    let read = embedded.iter().map(|phrasings| Arc::new(Words::mean(phrasings)) as Encoded).collect();
    stages.count_phrases(count(embedded.iter().map(Vec::as_slice)));
    // Cutting texts into tokens, and the disk.
    Ok((read, stages.rest(Stage::TextEncode, start)))
}
