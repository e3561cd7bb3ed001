//! Golden answers: suppression, masks, run lengths and the geometry of everything mode, none of which needs a network.

mod boxes;
mod masks;
mod runs;

use maskline_vision::Mask;
use serde_json::Value;

use super::Computed;
use super::case::{Case, Tensors};
use super::compare::{Entry, Pair};
use crate::{Error, ErrorKind, Result};

pub(super) fn entries(case: &Case) -> Result<Vec<Entry>> {
    let parts = [
        boxes::suppression(case)?,
        boxes::geometry(case),
        masks::upsampling(case)?,
        masks::regions(case)?,
        runs::coco(case)?,
        runs::label_studio(case)?,
    ];
    Ok(parts.into_iter().flatten().collect())
}

/// An entry for each tensor of a golden file, named after its part of the case.
fn of_tensors(part: &str, golden: &Tensors, pair: impl Fn(&str) -> Result<Pair>) -> Vec<Entry> {
    golden.names().iter().map(|name| Entry::new(format!("{part}.{name}"), pair(name))).collect()
}

/// One entry for a list of facts in `case.json`, computed one by one.
fn of_facts(case: &Case, key: &str, facts: impl Fn(&Value) -> Result<Value>) -> Entry {
    let found = list(case.whole(), key).and_then(|golden| golden.iter().map(facts).collect::<Result<Vec<Value>>>());
    Entry::new(format!("{key} (facts)"), found.map(|found| Pair::exact(case.entry(key).clone(), Value::Array(found))))
}

/// Numbers, bits or indices that must be equal.
fn exact(golden: Computed, data: Vec<f32>, shape: Vec<usize>) -> Pair {
    Pair::Tensors { golden, found: Computed { shape, data }, tolerance: 0.0, is_rounded: false }
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::BadInput, format!("no check knows the entry `{name}`"))
}

/// A whole number of the case.
fn whole(value: &Value) -> Result<usize> {
    let broken = || Error::new(ErrorKind::BadInput, "").expecting("a whole number").but_found(value);
    value.as_u64().and_then(|number| usize::try_from(number).ok()).ok_or_else(broken)
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str> {
    value[key].as_str().ok_or_else(|| Error::new(ErrorKind::BadInput, key).expecting("text").but_found(&value[key]))
}

/// The list under a key.
fn list<'v>(value: &'v Value, key: &str) -> Result<&'v [Value]> {
    let broken = || Error::new(ErrorKind::BadInput, key).expecting("a list").but_found(&value[key]);
    value[key].as_array().map(Vec::as_slice).ok_or_else(broken)
}

/// A stored mask, rows of 0 and 1 under any leading sides of 1.
fn mask(file: &Tensors, name: &str) -> Result<Mask> {
    let stored = file.get(name)?;
    let [.., height, width] = stored.shape.as_slice() else {
        let found = format!("shape {:?}", stored.shape);
        return Err(Error::new(ErrorKind::BadInput, name).expecting("a mask").but_found(found));
    };
    let rows: Vec<u8> = stored.data.iter().map(|value| u8::from(*value != 0.0)).collect();
    Ok(Mask::from_rows(*width, *height, &rows)?)
}

fn bits(mask: &Mask) -> Vec<f32> {
    mask.to_rows(1).into_iter().map(f32::from).collect()
}
