//! Class names: what a file says they are, in the forms in which such files say it.

use std::collections::BTreeMap;

use maskline_weights::Attribute;

use crate::{Error, ErrorKind, Result};

/// More classes than any data set has; a larger index is a broken one.
const MAX_CLASSES: usize = 1 << 20;

/// Names by class index, perhaps with gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names(BTreeMap<usize, String>);

impl Names {
    /// A list of names, a dictionary from index to name in any order, or either as a text in Python's, JSON's or YAML's form, or a name a
    /// line. Numbers are names too, as Python would print them.
    pub(crate) fn of(attribute: &Attribute) -> Option<Self> {
        match attribute {
            Attribute::Str(text) => match Attribute::parse(text) {
                Some(Attribute::Str(_)) => None,
                Some(value) => Self::of(&value),
                None => Self::of_lines(text),
            },
            Attribute::List(items) => items.iter().map(name).enumerate().map(|(i, name)| Some((i, name?))).collect::<Option<_>>().map(Self),
            Attribute::Map(entries) => {
                entries.iter().map(|(key, value)| Some((index(key)?, name(value)?))).collect::<Option<_>>().map(Self)
            }
            _ => None,
        }
    }

    /// YAML, or a name a line; one line alone is neither.
    fn of_lines(text: &str) -> Option<Self> {
        let is_block = text.trim().contains('\n') && !text.trim_start().starts_with(['{', '[', '(']);
        is_block.then(|| parse_names(text).ok())?.map(|names| Self(names.into_iter().enumerate().collect()))
    }

    /// One more than the largest index.
    pub(crate) fn classes(&self) -> usize {
        self.0.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// A name for each class; one that nobody named is called by its index, as ultralytics does.
    pub(crate) fn fill(mut self) -> Vec<String> {
        (0..self.classes()).map(|class| self.0.remove(&class).unwrap_or_else(|| class.to_string())).collect()
    }
}

fn name(value: &Attribute) -> Option<String> {
    match value {
        Attribute::Str(text) => Some(text.clone()),
        Attribute::Int(number) => Some(number.to_string()),
        Attribute::Float(number) => Some(format!("{number:?}")),
        Attribute::Bool(value) => Some(if *value { "True" } else { "False" }.into()),
        _ => None,
    }
}

/// JSON has texts as keys only.
fn index(key: &Attribute) -> Option<usize> {
    let index = match key {
        Attribute::Int(number) => usize::try_from(*number).ok()?,
        Attribute::Str(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (index < MAX_CLASSES).then_some(index)
}

/// Class names from the text of a file: one name per line; JSON or YAML with a list or dictionary `names`; or that list or dictionary
/// alone. A byte order mark is skipped.
///
/// # Errors
/// `Configuration` if it is none of these, or a line in the middle is empty: what comes after it would belong to another class.
pub fn parse_names(text: &str) -> Result<Vec<String>> {
    let text = text.trim_start_matches('\u{feff}');
    let names = match text.trim_start().chars().next() {
        None => return Err(unreadable("the file of class names is empty")),
        Some('{' | '[') => structured(text),
        _ if yaml::has_names(text) => yaml::names(text),
        _ => return lines(text),
    };
    names.filter(|names| names.classes() > 0).map(Names::fill).ok_or_else(|| unreadable("the class names cannot be read"))
}

fn unreadable(message: impl Into<String>) -> Error {
    let help = "give one name per line, or a `names:` list or dictionary in YAML or JSON";
    Error::new(ErrorKind::Configuration, message).with_help(help)
}

/// JSON, as it is or under the key `names`, in Hugging Face's configurations `id2label`.
fn structured(text: &str) -> Option<Names> {
    let value = Attribute::parse(text)?;
    Names::of(value.get("names").or_else(|| value.get("id2label")).unwrap_or(&value))
}

fn lines(text: &str) -> Result<Vec<String>> {
    let names: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    match names.iter().position(String::is_empty) {
        Some(line) => Err(unreadable(format!("class names: line {} is empty", line + 1))),
        None => Ok(names),
    }
}

/// As much of YAML as files of data sets use: a block or an inline list or dictionary of plain or quoted names.
mod yaml {
    use super::{Names, index, name};
    use maskline_weights::Attribute;

    /// Whether there is a key `names`, or nothing but entries of a list or dictionary of names.
    pub(super) fn has_names(text: &str) -> bool {
        let mut entries = content(text).peekable();
        key_line(text).is_some() || (entries.peek().is_some() && entries.all(|line| entry(line).is_some()))
    }

    pub(super) fn names(text: &str) -> Option<Names> {
        let Some((after, rest)) = key_line(text) else { return block(content(text)) };
        let next = content(rest).next().unwrap_or_default().trim_start();
        if after.is_empty() && !next.starts_with(['[', '{']) {
            return block(content(rest).take_while(|line| line.starts_with([' ', '\t', '-'])));
        }
        // An inline list may go on over several lines.
        let mut inline = after.to_owned();
        for line in content(rest) {
            if inline.ends_with([']', '}']) {
                break;
            }
            inline = inline + " " + line.trim();
        }
        flow(inline.trim())
    }

    /// What follows `names:` in its line, and the lines after it.
    fn key_line(text: &str) -> Option<(&str, &str)> {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            start += line.len();
            let key = ["names", "\"names\"", "'names'"].iter().find_map(|key| line.strip_prefix(key));
            if let Some(after) = key.and_then(|rest| rest.trim_start().strip_prefix(':')) {
                return Some((without_comment(after).trim(), &text[start..]));
            }
        }
        None
    }

    /// Lines that say something.
    fn content(text: &str) -> impl Iterator<Item = &str> {
        text.lines().map(|line| without_comment(line).trim_end()).filter(|line| !line.trim().is_empty() && *line != "---")
    }

    /// A comment starts at a `#` at the start or after a blank, outside of quotes.
    fn without_comment(line: &str) -> &str {
        let mut quote = None;
        let mut before = ' ';
        for (at, c) in line.char_indices() {
            match quote {
                None if c == '#' && before.is_whitespace() => return &line[..at],
                // A quote opens a text only where a value may start: `dog's` is plain.
                None if matches!(c, '\'' | '"') && (before.is_whitespace() || matches!(before, '[' | '{' | ',' | ':')) => quote = Some(c),
                Some(open) if c == open => quote = None,
                _ => {}
            }
            before = c;
        }
        line
    }

    /// Key (of a dictionary) and value of a line `- cat` or `0: cat`.
    fn entry(line: &str) -> Option<(Option<usize>, String)> {
        let line = line.trim();
        if let Some(item) = line.strip_prefix("- ") {
            return Some((None, scalar(item)?));
        }
        let (key, value) = line.split_once(':')?;
        if !value.starts_with([' ', '\t']) {
            return None;
        }
        let key = key.trim().trim_matches(['\'', '"']);
        Some((Some(index(&Attribute::Str(key.into()))?), scalar(value)?))
    }

    fn block<'t>(lines: impl Iterator<Item = &'t str>) -> Option<Names> {
        let entries: Vec<(Option<usize>, String)> = lines.map(entry).collect::<Option<_>>()?;
        let is_list = entries.first()?.0.is_none();
        let places = entries.into_iter().enumerate().map(|(i, (key, name))| match key {
            None if is_list => Some((i, name)),
            Some(key) if !is_list => Some((key, name)),
            _ => None,
        });
        places.collect::<Option<_>>().map(Names)
    }

    /// A value in quotes (single ones double a quote, double ones escape) or as it stands.
    fn scalar(text: &str) -> Option<String> {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('\'') {
            return inner.strip_suffix('\'').map(|inner| inner.replace("''", "'"));
        }
        if text.starts_with('"') {
            return Attribute::parse(text).as_ref().and_then(name);
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// `[cat, "dog's bone"]` or `{0: cat, 1: 'dog'}`.
    fn flow(text: &str) -> Option<Names> {
        let is_list = text.starts_with('[');
        let inner = if is_list { text.strip_prefix('[')?.strip_suffix(']')? } else { text.strip_prefix('{')?.strip_suffix('}')? };
        let parts = split(inner);
        let entries = parts.iter().enumerate().map(|(i, part)| {
            if is_list {
                return Some((i, scalar(part)?));
            }
            let (key, value) = part.split_once(':')?;
            Some((index(&Attribute::Str(key.trim().trim_matches(['\'', '"']).into()))?, scalar(value)?))
        });
        entries.collect::<Option<_>>().map(Names)
    }

    /// At commas outside of quotes; a last empty part is none.
    fn split(text: &str) -> Vec<&str> {
        let (mut parts, mut start, mut quote, mut escaped) = (Vec::new(), 0, None, false);
        let mut is_start = true;
        for (at, c) in text.char_indices() {
            match quote {
                Some('"') if c == '\\' && !escaped => {
                    escaped = true;
                    continue;
                }
                Some(open) if c == open && !escaped => quote = None,
                None if is_start && matches!(c, '\'' | '"') => quote = Some(c),
                None if c == ',' => {
                    parts.push(&text[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
            escaped = false;
            is_start = matches!(c, ',' | ':') || (is_start && c.is_whitespace());
        }
        parts.push(&text[start..]);
        if parts.last().is_some_and(|part| part.trim().is_empty()) {
            parts.pop();
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        parse_names(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_name_per_line() {
        assert_eq!(read("\u{feff}cat\r\ndog's bone\r\n  traffic light \n\n\n"), ["cat", "dog's bone", "traffic light"]);
        assert_eq!(read("ratio 1:2\n# sharp\n狗"), ["ratio 1:2", "# sharp", "狗"]);
        let error = parse_names("cat\n\ndog").expect_err("refused").to_string();
        assert!(error.contains("line 2") && error.contains("help:"), "{error}");
        assert!(parse_names(" \n").is_err());
    }

    #[test]
    fn json_lists_and_dictionaries() {
        assert_eq!(read(r#"["cat", "d\u00f6g"]"#), ["cat", "dög"]);
        assert_eq!(read("\u{feff}{\"nc\": 2, \"names\": {\"1\": \"b\", \"0\": \"a\"}}"), ["a", "b"]);
        assert_eq!(read(r#"{"names": ["a", 7]}"#), ["a", "7"]);
        assert_eq!(read(r#"{"model_type": "x", "id2label": {"0": "a", "1": "b"}}"#), ["a", "b"]);
        assert_eq!(read("{2: 'c', 0: \"it's\"}"), ["it's", "1", "c"], "a gap is called by its index");
        for broken in ["{\"names\": 3}", "[]", "{}", "[\"a\"", "{\"a\": \"b\"}", "{\"-1\": \"b\"}", "{\"99999999999\": \"b\"}"] {
            assert!(parse_names(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn yaml_as_data_sets_have_it() {
        let block = "path: ../x # here\nnames: # all of them\n  0: person\n  2: 'it''s'\n  1: \"d\\u00f6g: #1\"\n\ndownload: |\n  0: no\n";
        assert_eq!(read(block), ["person", "dög: #1", "it's"]);
        assert_eq!(read("nc: 3\nnames:\n- a\n- dog's # comment\n- C# sharp\nval: x"), ["a", "dog's", "C# sharp"]);
        assert_eq!(read("names: [cat, 'a, b', \"c]\",\n  traffic light]\nnc: 4"), ["cat", "a, b", "c]", "traffic light"]);
        assert_eq!(read("names:\n  [\n    cat, 'a, b',\n    dog\n  ]\nnc: 3"), ["cat", "a, b", "dog"]);
        assert_eq!(read("names: {0: cat, 1: \"x: y\"}"), ["cat", "x: y"]);
        assert_eq!(read("0: cat\n1: dog\n"), ["cat", "dog"]);
        assert_eq!(read("- cat\n- dog\n"), ["cat", "dog"]);
        for broken in ["names:\nnc: 3", "names:\n  - a\n  1: b", "names: cat", "names: [a", "names:\n  x: y"] {
            assert!(parse_names(broken).is_err(), "{broken}");
        }
    }
}
