//! Names of the classes that files speak of by number.

use std::collections::BTreeMap;

use maskline::{Error, ErrorKind, Model};

use crate::concepts::Concepts;
use crate::failure::Failure;
use crate::prompts::{GivenClass, Prompts};

/// What an object is called that nobody has named.
pub(crate) const UNNAMED: &str = "object";
/// Highest number of a class that prompts may give.
const HIGHEST: usize = 9_999;

/// Class names by number: those of what is looked for, or a detector's, and behind them those that the prompts give, in their order.
pub(super) fn names(models: &[Model], prompts: &Prompts, concepts: &Concepts) -> Result<Vec<String>, Failure> {
    let detected = models.iter().map(|model| model.info().labels.as_slice());
    match std::iter::once(concepts.names()).chain(detected).find(|labels| !labels.is_empty()) {
        Some(labels) => Ok(with_prompts(labels, prompts.classes())),
        None => of_prompts(prompts.classes()),
    }
}

/// What is asked for beside a detector is of a class of its name, never of one that happens to have its number.
fn with_prompts<'a>(detected: &[String], given: impl Iterator<Item = GivenClass<'a>>) -> Vec<String> {
    let mut names = detected.to_vec();
    for class in given.filter(|class| class.id.is_none()) {
        let name = class.label.unwrap_or(UNNAMED);
        if names.iter().all(|known| known != name) {
            names.push(name.to_string());
        }
    }
    names
}

/// How many keypoints a model finds for each object.
pub(super) fn keypoints(models: &[Model]) -> Option<usize> {
    models.iter().find_map(|model| model.info().keypoints())
}

/// Labels keep the numbers that were given with them; the others get those that are free.
fn of_prompts<'a>(given: impl Iterator<Item = GivenClass<'a>>) -> Result<Vec<String>, Failure> {
    let given: Vec<_> = given.collect();
    let mut names: BTreeMap<usize, String> = BTreeMap::new();
    for GivenClass { id, label } in &given {
        let Some(id) = *id else { continue };
        if id > HIGHEST {
            let error = Error::new(ErrorKind::BadInput, "class_id of a prompt");
            return Err(error.expecting(format!("at most {HIGHEST}")).but_found(id).into());
        }
        names.entry(id).or_insert_with(|| label.map_or_else(|| format!("class_{id}"), str::to_string));
    }
    let unnumbered = given.iter().filter(|class| class.id.is_none());
    let mut unnumbered: Vec<&str> = unnumbered.map(|class| class.label.unwrap_or(UNNAMED)).collect();
    if names.is_empty() && unnumbered.is_empty() {
        unnumbered.push(UNNAMED);
    }
    for label in unnumbered {
        if names.values().all(|name| name != label) {
            let free = (0..).find(|id| !names.contains_key(id)).unwrap_or_default();
            names.insert(free, label.to_string());
        }
    }
    let count = names.last_key_value().map_or(0, |(id, _)| id + 1);
    Ok((0..count).map(|id| names.remove(&id).unwrap_or_else(|| format!("class_{id}"))).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn classes<'a>(given: &'a [(Option<usize>, Option<&'a str>)]) -> impl Iterator<Item = GivenClass<'a>> {
        given.iter().map(|(id, label)| GivenClass { id: *id, label: *label })
    }

    #[test]
    fn what_is_asked_for_beside_a_detector_comes_after_its_classes() {
        let detected = ["person", "bus"].map(str::to_string);
        assert_eq!(with_prompts(&detected, classes(&[(None, Some("bus")), (None, None), (Some(0), None)])), ["person", "bus", "object"]);
        assert_eq!(with_prompts(&detected, std::iter::empty()), detected);
    }

    #[test]
    fn labels_become_classes() {
        let of = |given: &[(Option<usize>, Option<&'static str>)]| of_prompts(classes(given)).unwrap();
        assert_eq!(of(&[]), ["object"]);
        assert_eq!(of(&[(None, Some("mug")), (None, None), (None, Some("mug"))]), ["mug", "object"]);
        assert_eq!(of(&[(None, Some("mug")), (Some(0), Some("cup")), (Some(3), None)]), ["cup", "mug", "class_2", "class_3"]);
        assert!(of_prompts(classes(&[(Some(10_000), None)])).is_err());
    }
}
