//! Models of pictures: a file and prompts or words in, objects out.

mod answers;
mod question;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use maskline::{Answerer, ModelInfo};

use super::datatype::Datatype;
use super::describe::{Signature, TensorSignature};
use super::infer::{Answered, Urgency, degradation};
use super::message::InferRequest;
use crate::app::App;
use crate::fault::Result;
use crate::models::Turn;
use crate::statistics::Spent;

/// What a model, or a pair of them, takes and gives, as data of its own says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// Clicks and boxes.
    prompts: bool,
    /// Words for what is to be found.
    words: bool,
    /// Objects, or the class of the whole picture, without being asked for any.
    finds: bool,
    /// The class of the whole picture, and no objects.
    classifies: bool,
    /// Objects have masks.
    masks: bool,
}

/// A request to a model of pictures.
pub(super) struct Question<'a> {
    pub(super) request: &'a InferRequest,
    pub(super) urgency: &'a Urgency,
}

/// The names of inputs and outputs.
mod name {
    pub(super) const IMAGE: &str = "image";
    pub(super) const POINTS: &str = "points";
    pub(super) const POINT_LABELS: &str = "point_labels";
    /// What some clients call the labels of points.
    pub(super) const LABELS_OF_POINTS: &str = "labels";
    pub(super) const POINT_OBJECTS: &str = "point_objects";
    pub(super) const BOXES: &str = "boxes";
    pub(super) const TEXT: &str = "text";

    pub(super) const SCORES: &str = "scores";
    pub(super) const LABELS: &str = "labels";
    pub(super) const CLASS_IDS: &str = "class_ids";
    pub(super) const PROMPTS: &str = "prompts";
    pub(super) const MASKS: &str = "masks";
}

impl Form {
    pub(super) fn of(answerer: &Answerer) -> Self {
        let models: Vec<&ModelInfo> = answerer.models().into_iter().map(maskline::Model::info).collect();
        let (first, last) = (models.first(), models.last());
        let of_first = |says: fn(&ModelInfo) -> bool| first.is_some_and(|info| says(info));
        Self {
            prompts: last.is_some_and(|info| info.takes_prompts()),
            words: of_first(|info| info.task.takes_concepts() && info.takes_words()),
            finds: of_first(|info| info.task.finds_boxes() || info.task.classifies()),
            classifies: of_first(|info| info.task.classifies()),
            masks: last.is_some_and(|info| info.task.has_masks()),
        }
    }

    /// What it takes and gives.
    pub(super) fn signature(self, name: &str) -> Signature {
        let mut inputs = vec![TensorSignature::new(name::IMAGE, Datatype::Bytes, &[Some(1)])];
        if self.prompts {
            inputs.push(TensorSignature::new(name::POINTS, Datatype::Fp32, &[None, Some(2)]).optional());
            inputs.push(TensorSignature::new(name::POINT_LABELS, Datatype::Int64, &[None]).optional());
            inputs.push(TensorSignature::new(name::POINT_OBJECTS, Datatype::Int64, &[None]).optional());
            inputs.push(TensorSignature::new(name::BOXES, Datatype::Fp32, &[None, Some(4)]).optional());
        }
        if self.words {
            let text = TensorSignature::new(name::TEXT, Datatype::Bytes, &[None]);
            inputs.push(if self.prompts { text.optional() } else { text });
        }
        let output = |name: &&str| {
            let (datatype, sizes): (_, &[Option<usize>]) = match *name {
                name::BOXES => (Datatype::Fp32, &[None, Some(4)]),
                name::SCORES => (Datatype::Fp32, &[None]),
                name::LABELS | name::MASKS => (Datatype::Bytes, &[None]),
                _ => (Datatype::Int64, &[None]),
            };
            TensorSignature::new(name, datatype, sizes)
        };
        let outputs = self.outputs().iter().map(output).collect();
        Signature { name: name.to_owned(), platform: "maskline", max_batch: 0, inputs, outputs }
    }

    /// The names of what it gives.
    pub(super) fn outputs(self) -> Vec<&'static str> {
        let has_labels = self.finds || self.words;
        let all = [
            (name::BOXES, !self.classifies),
            (name::SCORES, true),
            (name::LABELS, has_labels),
            (name::CLASS_IDS, has_labels),
            (name::PROMPTS, self.prompts || self.words),
            (name::MASKS, self.masks),
        ];
        all.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect()
    }

    /// Answers a request; dropped meanwhile, it is called off.
    ///
    /// # Errors
    /// `BadRequest` for what the model does not take; as answering it.
    pub(super) async fn infer(self, app: &Arc<App>, turn: &Turn, question: Question<'_>) -> Result<Answered> {
        let limits = question::Limits { prompts: app.limits().prompts };
        let read = question::read(self, question.request, &limits)?;
        let picture = app.pictures.take(read.picture.clone()).await?;
        let is_prompted = !read.asks.contains(&maskline::Ask::Detect);
        let request = maskline::Request {
            predict: read.predict,
            segment: read.segment,
            deadline: Some(question.urgency.deadline),
            priority: question.urgency.priority,
            ..maskline::Request::new(Arc::clone(&picture.image), read.asks)
        };
        let answers = crate::app::answer(turn, request).await?;
        let began = std::time::Instant::now();
        let timings = answers.timings;
        let found = answers::Found::of(answers, is_prompted)?;
        let wanted: Vec<&str> = match &question.request.outputs {
            Some(wanted) => wanted.iter().map(|output| output.name.as_str()).collect(),
            None => self.outputs(),
        };
        let tensors = wanted.into_iter().map(|name| found.tensor(name)).collect::<Result<_>>()?;
        let mut spent = Spent::of(&timings, found.rows());
        spent.input += picture.decode;
        spent.output += began.elapsed();
        let parameters = degradation(turn.served.degraded().is_some(), || turn.served.provider());
        Ok(Answered { tensors, parameters, spent })
    }
}
