//! Names of the classes that files speak of by number.

use maskline::vision::write::class_names;
use maskline::{Error, ErrorKind, Model};

use crate::concepts::Concepts;
use crate::failure::Failure;
use crate::prompts::Prompts;

/// Class names by number: those of what is looked for, or a detector's, and behind them those that the prompts give, in their order. What
/// is asked for beside a detector is of a class of its name, never of one that happens to have its number.
pub(super) fn names(models: &[Model], prompts: &Prompts, concepts: &Concepts) -> Result<Vec<String>, Failure> {
    let detected = models.iter().map(|model| model.info().labels.as_slice());
    let known = std::iter::once(concepts.names()).chain(detected).find(|labels| !labels.is_empty()).unwrap_or_default();
    let of_prompt = |error: maskline::vision::Error| Error::from(error).of_kind(ErrorKind::BadInput).named("a prompt");
    Ok(class_names(known, prompts.classes()).map_err(of_prompt)?)
}

/// How many keypoints a model finds for each object.
pub(super) fn keypoints(models: &[Model]) -> Option<usize> {
    models.iter().find_map(|model| model.info().keypoints())
}
