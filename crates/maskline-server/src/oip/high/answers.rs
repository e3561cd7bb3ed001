//! Objects to tensors.

use bytes::Bytes;
use maskline::{Answers, ClassScore, Error, ErrorKind, Object};

use super::super::datatype::Datatype;
use super::super::tensor::{Description, Tensor};
use super::name;
use crate::fault::{Fault, Result};

/// What was found.
pub(super) enum Found {
    /// Objects, and which prompt or phrase each answers.
    Objects { objects: Vec<(Option<usize>, Object)>, asks: usize },
    /// What the picture shows, the most likely first.
    Classes(Vec<ClassScore>),
}

impl Found {
    /// Of answers to prompts or phrases, or to the question what there is at all.
    ///
    /// # Errors
    /// Of the first prompt or phrase that could not be answered: there is no place in tensors for errors of one.
    pub(super) fn of(answers: Answers, is_prompted: bool) -> Result<Self> {
        let asks = answers.answers.len();
        let mut objects = Vec::new();
        for (index, answer) in answers.answers.into_iter().enumerate() {
            let answer = answer.map_err(|error| if asks > 1 { error.named(format!("prompt {index}")) } else { error })?;
            if let Some(classes) = answer.classes {
                return Ok(Self::Classes(classes));
            }
            objects.extend(answer.objects.into_iter().map(|object| (is_prompted.then_some(index), object)));
        }
        Ok(Self::Objects { objects, asks })
    }

    /// Prompts or phrases that were answered.
    pub(super) fn rows(&self) -> usize {
        if let Self::Objects { asks, .. } = self { *asks } else { 1 }
    }

    /// An output.
    ///
    /// # Errors
    /// `Failed` for a name that this answer has not, as when a classifier answers with objects.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        let tensor = match self {
            Self::Objects { objects, .. } => of_objects(name, objects)?,
            Self::Classes(classes) => of_classes(name, classes)?,
        };
        tensor.ok_or_else(|| Fault::from(Error::new(ErrorKind::Failed, format!("the model gave no `{name}`"))))
    }
}

fn of_objects(name: &str, objects: &[(Option<usize>, Object)]) -> Result<Option<Tensor>> {
    let each = || objects.iter().map(|(_, object)| object);
    Ok(Some(match name {
        name::BOXES => floats(name, each().flat_map(|object| object.bounds).collect(), 4)?,
        name::SCORES => floats(name, each().map(|object| object.score).collect(), 1)?,
        name::LABELS => texts(name, each().map(|object| object.label.clone().unwrap_or_default().into_bytes()).collect()),
        name::CLASS_IDS => numbers(name, each().map(|object| object.class_id).collect())?,
        name::PROMPTS => numbers(name, objects.iter().map(|(ask, _)| *ask).collect())?,
        name::MASKS => {
            let rle = |object: &Object| match &object.mask {
                Some(mask) => serde_json::to_vec(&mask.to_rle()),
                None => Ok(Vec::new()),
            };
            let masks = each().map(rle).collect::<Result<Vec<_>, _>>();
            texts(name, masks.map_err(|error| Fault::from(Error::new(ErrorKind::Failed, format!("a mask as JSON: {error}"))))?)
        }
        _ => return Ok(None),
    }))
}

fn of_classes(name: &str, classes: &[ClassScore]) -> Result<Option<Tensor>> {
    Ok(Some(match name {
        name::SCORES => floats(name, classes.iter().map(|class| class.score).collect(), 1)?,
        name::LABELS => texts(name, classes.iter().map(|class| class.label.clone().unwrap_or_default().into_bytes()).collect()),
        name::CLASS_IDS => numbers(name, classes.iter().map(|class| Some(class.class_id)).collect())?,
        _ => return Ok(None),
    }))
}

/// Rows of so many numbers; of one, a vector.
fn floats(name: &str, values: Vec<f32>, width: usize) -> Result<Tensor> {
    let rows = values.len() / width;
    let shape = if width == 1 { vec![rows] } else { vec![rows, width] };
    let content: Bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Ok(Tensor::new(Description { name: name.to_owned(), datatype: Datatype::Fp32, shape }, content)?)
}

/// Indices; -1 where there is none.
fn numbers(name: &str, values: Vec<Option<usize>>) -> Result<Tensor> {
    let shape = vec![values.len()];
    // Indices into lists in memory.
    let content: Bytes = values.iter().flat_map(|value| value.map_or(-1, |value| value as i64).to_le_bytes()).collect();
    Ok(Tensor::new(Description { name: name.to_owned(), datatype: Datatype::Int64, shape }, content)?)
}

fn texts(name: &str, values: Vec<Vec<u8>>) -> Tensor {
    Tensor::of_elements(name, &values)
}
