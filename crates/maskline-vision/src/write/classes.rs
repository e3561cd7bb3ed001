//! Numbers for the classes of objects, where files want some.

use std::collections::BTreeMap;

use crate::{Error, Object, Result};

/// What an object is called that nobody has named.
pub const UNNAMED: &str = "object";
/// Highest number that a class may have which no list names: lists have a name for each number below.
pub const HIGHEST_CLASS: usize = 9_999;

/// What is said of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenClass<'a> {
    /// Its number.
    pub id: Option<usize>,
    /// Its name.
    pub label: Option<&'a str>,
}

impl<'a> GivenClass<'a> {
    /// That of an object.
    pub fn of(object: &'a Object) -> Self {
        Self { id: object.class_id, label: object.label.as_deref() }
    }
}

/// Class names by number: the `known` ones, those that are given with a number, and behind them the others, which get numbers that are
/// free. Where nothing is known or given, there is one class, [`UNNAMED`].
///
/// # Errors
/// `InvalidArgument` for a number above [`HIGHEST_CLASS`] that is none of the known classes'.
pub fn class_names<'a>(known: &[String], given: impl IntoIterator<Item = GivenClass<'a>>) -> Result<Vec<String>> {
    let given: Vec<GivenClass<'a>> = given.into_iter().collect();
    let mut names: BTreeMap<usize, String> = known.iter().cloned().enumerate().collect();
    for GivenClass { id, label } in &given {
        let Some(id) = *id else { continue };
        if id > HIGHEST_CLASS && id >= known.len() {
            return Err(Error::invalid("class_id").with_expected(format!("at most {HIGHEST_CLASS}")).with_found(id.to_string()));
        }
        names.entry(id).or_insert_with(|| label.map_or_else(|| unnamed(id), str::to_owned));
    }
    let unnumbered = given.iter().filter(|class| class.id.is_none());
    let mut unnumbered: Vec<&str> = unnumbered.map(|class| class.label.unwrap_or(UNNAMED)).collect();
    if names.is_empty() && unnumbered.is_empty() {
        unnumbered.push(UNNAMED);
    }
    let mut taken: std::collections::HashSet<String> = names.values().cloned().collect();
    let mut free = 0;
    for label in unnumbered {
        if taken.insert(label.to_owned()) {
            while names.contains_key(&free) {
                free += 1;
            }
            names.insert(free, label.to_owned());
        }
    }
    let count = names.last_key_value().map_or(0, |(id, _)| id + 1);
    Ok((0..count).map(|id| names.remove(&id).unwrap_or_else(|| unnamed(id))).collect())
}

fn unnamed(id: usize) -> String {
    format!("class_{id}")
}

/// The objects as files tell them: each with a class, where `classes` have one of its name, and with the numbers that its JSON has
/// ([`Object::rounded`]), so that whoever has the JSON can write the same files.
pub fn numbered(objects: &[Object], classes: &[String]) -> Vec<Object> {
    let place = |object: &Object| {
        let name = object.label.as_deref().unwrap_or(UNNAMED);
        classes.iter().position(|class| class == name)
    };
    let one = |object: &Object| Object { class_id: object.class_id.or_else(|| place(object)), ..object.rounded() };
    objects.iter().map(one).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(known: &[&str], given: &[(Option<usize>, Option<&str>)]) -> Result<Vec<String>> {
        let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        class_names(&known, given.iter().map(|(id, label)| GivenClass { id: *id, label: *label }))
    }

    #[test]
    fn labels_become_classes() {
        let free = |given| of(&[], given).unwrap();
        assert_eq!(free(&[]), ["object"]);
        assert_eq!(free(&[(None, Some("mug")), (None, None), (None, Some("mug"))]), ["mug", "object"]);
        assert_eq!(free(&[(None, Some("mug")), (Some(0), Some("cup")), (Some(3), None)]), ["cup", "mug", "class_2", "class_3"]);
        assert!(of(&[], &[(Some(10_000), None)]).is_err());
    }

    #[test]
    fn what_is_given_beside_known_classes_comes_after_them() {
        let given = [(None, Some("bus")), (None, None), (Some(0), None)];
        assert_eq!(of(&["person", "bus"], &given).unwrap(), ["person", "bus", "object"]);
        assert_eq!(of(&["person", "bus"], &[]).unwrap(), ["person", "bus"]);
        assert_eq!(of(&["person"], &[(Some(2), Some("cat"))]).unwrap(), ["person", "class_1", "cat"]);
    }

    #[test]
    fn objects_get_the_numbers_of_their_names() {
        let object = |label: Option<&str>, class_id| Object { label: label.map(str::to_owned), class_id, ..Object::default() };
        let given = [object(Some("mug"), None), object(None, Some(3)), object(Some("bus"), None), object(None, None)];
        let known = ["person".to_owned(), "bus".to_owned()];
        let classes = class_names(&known, given.iter().map(GivenClass::of)).unwrap();
        assert_eq!(classes, ["person", "bus", "mug", "class_3", "object"]);
        let ids: Vec<_> = numbered(&given, &classes).iter().map(|object| object.class_id).collect();
        assert_eq!(ids, [Some(2), Some(3), Some(1), Some(4)]);
    }
}
