//! Whoever answers a request, for callers to whom one model or two are the same.

use super::{Answers, Request};
use crate::drivers::Call;
use crate::workers::Workers;
use crate::{Model, Pair, Result};

/// A model, or a pair of them.
#[derive(Debug, Clone)]
pub enum Answerer {
    /// One model.
    One(Model),
    /// A finder and a segmenter.
    Pair(Pair),
}

impl From<Model> for Answerer {
    fn from(model: Model) -> Self {
        Self::One(model)
    }
}

impl From<Pair> for Answerer {
    fn from(pair: Pair) -> Self {
        Self::Pair(pair)
    }
}

impl Answerer {
    /// The model's name; of a pair both, `yolov8n+sam2.1-tiny`.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.models().into_iter().map(Model::name).collect();
        names.join("+")
    }

    /// The models, a finder before its segmenter.
    pub fn models(&self) -> Vec<&Model> {
        match self {
            Self::One(model) => vec![model],
            Self::Pair(pair) => vec![pair.finder(), pair.segmenter()],
        }
    }

    /// The model whose embeddings can be asked about: of a pair the segmenter.
    pub fn last(&self) -> &Model {
        match self {
            Self::One(model) => model,
            Self::Pair(pair) => pair.segmenter(),
        }
    }

    /// Answers a request on this thread.
    ///
    /// # Errors
    /// As [`Model::answer`] and [`Pair::answer`].
    pub fn answer(&self, request: &Request) -> Result<Answers> {
        self.answer_for(request, &Call::of(request))
    }

    /// As [`Answerer::answer`], for somebody.
    pub(super) fn answer_for(&self, request: &Request, call: &Call) -> Result<Answers> {
        match self {
            Self::One(model) => model.answer_for(request, call),
            Self::Pair(pair) => pair.answer_for(request, call),
        }
    }

    /// Who answers tickets.
    pub(super) fn workers(&self) -> &Workers {
        self.last().workers()
    }
}
