//! Answers as a person reads them.

use std::path::PathBuf;
use std::time::Duration;

use maskline::{ClassScore, Model, Object};

use crate::pictures::on_a_line;
use crate::terminal;

/// More pictures than this get a line each instead of a table.
pub(super) const MOST_TABLES: usize = 8;
/// Names in a line of what was written, and kinds of objects in a line about a picture.
const MOST_NAMES: usize = 4;

/// What was found in one picture.
pub(super) struct Found<'a> {
    pub(super) objects: &'a [Object],
    pub(super) classes: Option<&'a [ClassScore]>,
}

/// How the answer to one picture is told.
pub(super) struct Telling<'a> {
    pub(super) path: &'a str,
    pub(super) size: (usize, usize),
    pub(super) found: Found<'a>,
    /// What is said where nothing was found.
    pub(super) nothing: &'a str,
    /// What was looked for and not found, beside what was.
    pub(super) absent: &'a [String],
    pub(super) timing: &'a str,
    pub(super) total: Duration,
}

impl Telling<'_> {
    /// Everything, with a table.
    pub(super) fn whole(&self) -> String {
        let (width, height) = self.size;
        let found = match (&self.found.classes, self.found.objects) {
            (Some(classes), _) => class_table(classes),
            (None, []) => format!("{}\n", self.nothing),
            (None, objects) => object_table(objects),
        };
        let told = if self.found.objects.is_empty() { &[] } else { self.absent };
        let absent: String = told.iter().map(|absent| format!("{absent}\n")).collect();
        format!("{}  {width} × {height}\n{found}{absent}{}\n", self.path, self.timing)
    }

    /// One line.
    pub(super) fn line(&self) -> String {
        let (width, height) = self.size;
        let found = match &self.found.classes {
            Some(classes) => classes.iter().take(1).map(|class| format!("{} {:.2}", class_name(class), class.score)).collect(),
            None => summary(self.found.objects),
        };
        let found = if found.is_empty() { self.nothing } else { &found };
        format!("{}  {width} × {height}  {found}  {} ms\n", self.path, milliseconds(self.total))
    }
}

/// `5 objects: person × 4, bus`, the most frequent first.
fn summary(objects: &[Object]) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for object in objects {
        let label = label_of(object);
        match kinds.iter_mut().find(|(kind, _)| *kind == label) {
            Some((_, count)) => *count += 1,
            None => kinds.push((label, 1)),
        }
    }
    kinds.retain(|(kind, _)| !kind.is_empty());
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named: Vec<String> =
        kinds.iter().map(|(kind, count)| if *count == 1 { kind.clone() } else { format!("{kind} × {count}") }).collect();
    let objects = match objects.len() {
        0 => return String::new(),
        1 => "1 object".into(),
        count => format!("{count} objects"),
    };
    if named.is_empty() { objects } else { format!("{objects}: {}", shortened(&named)) }
}

/// The first names, and how many there are beside them.
fn shortened(names: &[String]) -> String {
    match names.split_at_checked(MOST_NAMES) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

/// What was written, in one line.
pub(crate) fn written(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| on_a_line(&file.display().to_string()).into_owned()).collect();
    format!("wrote {}", shortened(&names))
}

fn label_of(object: &Object) -> String {
    let label = object.label.as_deref().map(|label| terminal::plain(label).into_owned());
    label.or(object.class_id.map(|id| format!("#{id}"))).unwrap_or_default()
}

fn class_name(class: &ClassScore) -> String {
    class.label.clone().unwrap_or_else(|| format!("#{}", class.class_id))
}

fn class_table(classes: &[ClassScore]) -> String {
    let mut table = terminal::table(&["class", "score"]);
    for class in classes {
        table.add_row([class_name(class), format!("{:.3}", class.score)]);
    }
    format!("{table}\n")
}

/// Name, score and box of each object, and the area where it has a mask.
fn object_table(objects: &[Object]) -> String {
    let has_masks = objects.iter().any(|object| object.mask.is_some());
    let has_prompts = objects.iter().any(|object| object.prompt.is_some());
    let mut titles = vec!["label", "score", "x1", "y1", "x2", "y2"];
    if has_prompts {
        titles.insert(0, "prompt");
    }
    if has_masks {
        titles.push("pixels");
    }
    let mut table = terminal::table(&titles);
    for object in objects {
        let mut row = vec![label_of(object), format!("{:.3}", object.score)];
        row.extend(object.bounds.map(|side| format!("{side:.1}")));
        if has_prompts {
            row.insert(0, object.prompt.map(|prompt| prompt.to_string()).unwrap_or_default());
        }
        if has_masks {
            row.push(object.mask.as_ref().map(|mask| mask.area().to_string()).unwrap_or_default());
        }
        table.add_row(row);
    }
    format!("{table}\n")
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// Says what loading a model took.
pub(super) fn loaded(model: &Model) -> String {
    let start = if model.was_cached() { "from the cache" } else { "built now" };
    format!(
        "loaded {} ({}, {}) on {} in {} ms, {start}",
        model.name(),
        model.info().architecture,
        model.info().task,
        model.provider(),
        milliseconds(model.cold().total),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_objects_are_a_short_line() {
        let object = |label: &str| Object { label: Some(label.into()), ..Object::default() };
        assert_eq!(summary(&[object("cat"), object("dog"), object("dog")]), "3 objects: dog × 2, cat");
        assert_eq!(summary(&[Object::default()]), "1 object");
        let many: Vec<Object> = ["a", "b", "c", "d", "e", "f"].map(object).into();
        assert_eq!(summary(&many), "6 objects: a, b, c, d and 2 more");
        assert_eq!(written(&["a".into(), "b".into()]), "wrote a, b");
    }
}
