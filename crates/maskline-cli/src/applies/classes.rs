//! `--classes`: by index or by name.

use maskline::{Error, ErrorKind, Model};

use crate::failure::Failure;
use crate::nearest::{listed, nearest};

/// Indices of the classes that `--classes` names, each once; `None` where it was not given. A number is an index; a name may hold commas.
///
/// # Errors
/// `InvalidOption` for an index that the model does not have, and for a name, with those that are spelt like it.
pub(crate) fn classes(model: &Model, words: &[String]) -> Result<Option<Vec<usize>>, Failure> {
    if words.is_empty() {
        return Ok(None);
    }
    let info = model.info();
    let count = info.classes().unwrap_or(info.labels.len());
    let known = Known { model: model.name(), count, labels: &info.labels };
    let mut found = Vec::new();
    for word in words {
        known.read(word, &mut found).map_err(|error| error.named("--classes"))?;
    }
    Ok(Some(found))
}

/// The classes of a model.
struct Known<'a> {
    model: &'a str,
    count: usize,
    labels: &'a [String],
}

impl Known<'_> {
    /// Adds the classes of a list with commas.
    fn read(&self, list: &str, found: &mut Vec<usize>) -> Result<(), Error> {
        let parts: Vec<&str> = list.split(',').collect();
        let mut start = 0;
        while start < parts.len() {
            // The longest name that begins here: names may hold commas.
            let longest = (start + 1..=parts.len()).rev().find_map(|end| Some((self.index(parts[start..end].join(",").trim())?, end)));
            let Some((index, end)) = longest else { return Err(self.unknown(parts[start].trim())) };
            if !found.contains(&index) {
                found.push(index);
            }
            start = end;
        }
        Ok(())
    }

    fn index(&self, word: &str) -> Option<usize> {
        let number = word.parse::<usize>().ok().filter(|index| *index < self.count);
        let exact = || self.labels.iter().position(|label| label == word);
        number
            .or_else(exact)
            .or_else(|| self.labels.iter().position(|label| !word.is_empty() && label.to_lowercase() == word.to_lowercase()))
    }

    fn unknown(&self, word: &str) -> Error {
        let Self { model, count, labels } = *self;
        let invalid = |message: String| Error::new(ErrorKind::InvalidOption, message);
        if word.is_empty() {
            return invalid(String::new()).expecting("classes with commas").but_found("nothing");
        }
        let range = format!("{model} has {count} classes, 0 to {}", count.saturating_sub(1));
        if word.parse::<i128>().is_ok() {
            return invalid(String::new()).expecting(format!("an index below {count}")).but_found(word).with_help(range);
        }
        if labels.is_empty() {
            return invalid(format!("`{word}` is no index, and {model} has no names of classes")).with_help(range);
        }
        let near = nearest(word, labels.iter().map(String::as_str));
        let some: Vec<&str> = labels.iter().map(String::as_str).take(5).collect();
        let more = if labels.len() > some.len() { ", …" } else { "" };
        let help = match near.as_slice() {
            [] => format!("its {count} classes are {}{more}", some.join(", ")),
            near => format!("is {} meant?", listed(near)),
        };
        invalid(format!("{model} has no class `{word}`")).with_help(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(labels: &[&str], list: &str) -> Result<Vec<usize>, String> {
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        let mut found = Vec::new();
        Known { model: "m", count: labels.len(), labels: &labels }.read(list, &mut found).map(|()| found).map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_numbers_are_mixed() {
        let labels = ["person", "traffic light", "dog, wild", "dog", "Bus", "bus"];
        assert_eq!(read(&labels, "person,3, 1"), Ok(vec![0, 3, 1]));
        assert_eq!(read(&labels, "traffic light,person,0"), Ok(vec![1, 0]));
        assert_eq!(read(&labels, "dog, wild,dog"), Ok(vec![2, 3]), "a name with a comma");
        assert_eq!(read(&labels, "bus,Bus,BUS,Person"), Ok(vec![5, 4, 0]), "exactly, else in any case");
        assert_eq!(read(&["7", "8"], "8,1"), Ok(vec![1]), "what is no index may be a name");
    }

    #[test]
    fn what_is_no_class_is_told() {
        let message = |list: &str| read(&["person", "car", "cat"], list).err().unwrap_or_default();
        for (list, words) in [
            ("999", &["below 3", "found 999", "0 to 2"][..]),
            ("-1", &["found -1"]),
            ("persn", &["no class `persn`", "is `person` meant?"]),
            ("car,zebra", &["no class `zebra`", "person, car, cat"]),
            ("", &["found nothing"]),
            ("car,,cat", &["found nothing"]),
        ] {
            assert!(words.iter().all(|word| message(list).contains(word)), "{list}: {}", message(list));
        }
        assert!(read(&[], "car").is_err_and(|message| message.contains("no names")));
    }
}
