//! What two reports' identities differ in.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::report::{Identity, Report, Subject};

/// These change by themselves, or are what is being compared.
const EXPECTED: [&str; 13] = [
    "created",
    "tool",
    "run.arguments",
    "run.seconds",
    "machine.clock_mhz",
    "machine.temperature_celsius",
    "machine.throttles",
    "machine.cards",
    "machine.bandwidth_gbs",
    "machine.multiply_add_gflops",
    "machine.load_before",
    // By name, below.
    "subjects",
    // Of a subject: what is on disk says nothing of speed.
    "effort",
];

/// What differs, in words, shared facts first; subjects are matched by name.
pub(super) fn differences(before: &Report, after: &Report) -> Result<Vec<String>> {
    let (old, new) = (&before.identity, &after.identity);
    let mut found = Vec::new();
    walk("", &json::<Identity>(old)?, &json(new)?, &mut found);
    for subject in &new.subjects {
        match named(old, &subject.name) {
            Some(earlier) => {
                let mut own = Vec::new();
                walk("", &json(earlier)?, &json(subject)?, &mut own);
                found.extend(own.into_iter().map(|line| format!("subject {}: {line}", subject.name)));
            }
            None => found.push(format!("subject {}: only in the later report", subject.name)),
        }
    }
    let gone = old.subjects.iter().filter(|subject| named(new, &subject.name).is_none());
    found.extend(gone.map(|subject| format!("subject {}: only in the earlier report", subject.name)));
    Ok(found)
}

fn named<'a>(identity: &'a Identity, name: &str) -> Option<&'a Subject> {
    identity.subjects.iter().find(|subject| subject.name == name)
}

fn json<T: serde::Serialize>(part: &T) -> Result<Value> {
    serde_json::to_value(part).map_err(|error| Error::argument("identity", "finite numbers", error))
}

fn walk(place: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if EXPECTED.contains(&place) || before == after {
        return;
    }
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        found.push(format!("{place}: {} before, {} after", text(before), text(after)));
        return;
    };
    for (name, value) in new {
        let inner = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        walk(&inner, old.get(name).unwrap_or(&Value::Null), value, found);
    }
}

/// A value as people read it: words without quotes, fields by name.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(words) => words.clone(),
        Value::Object(fields) => fields.iter().map(|(name, value)| format!("{name} {}", text(value))).collect::<Vec<_>>().join(" "),
        _ => value.to_string(),
    }
}
