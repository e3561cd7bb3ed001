//! Ids of pictures, categories and annotations, which files write as numbers or as text.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// An id as it stands in a file. A whole number is the same in any form: `139`, `139.0`, `"139"` and `"000139"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Number(i64),
    /// Text that is no number.
    Text(String),
}

/// Numbers for the ids that are text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids {
    numbers: HashMap<String, i64>,
    /// Made-up numbers go down from here; no number in the file is as low.
    first: i64,
}

impl Ids {
    /// Gives every text a number of its own.
    pub(crate) fn of<'a>(ids: impl Iterator<Item = &'a Id> + Clone) -> Self {
        let lowest = ids.clone().filter_map(|id| if let Id::Number(number) = id { Some(*number) } else { None }).min();
        let first = lowest.unwrap_or_default().min(0).saturating_sub(1);
        let mut numbers = HashMap::new();
        for id in ids {
            if let Id::Text(text) = id {
                let next = first.saturating_sub(i64::try_from(numbers.len()).unwrap_or(i64::MAX));
                numbers.entry(text.clone()).or_insert(next);
            }
        }
        Self { numbers, first }
    }

    /// The number of an id; `None` for text that is not among the ids, and for a number that was made up for text.
    pub(crate) fn number(&self, id: &Id) -> Option<i64> {
        match id {
            Id::Text(text) => self.numbers.get(text).copied(),
            Id::Number(number) => (self.numbers.is_empty() || *number > self.first).then_some(*number),
        }
    }

    /// The text that a number was made up for.
    pub(crate) fn text(&self, number: i64) -> Option<&str> {
        self.numbers.iter().find(|(_, made_up)| **made_up == number).map(|(text, _)| text.as_str())
    }

    /// A number as it stands in the file.
    pub(crate) fn shown(&self, number: i64) -> String {
        self.text(number).map_or_else(|| number.to_string(), |text| Id::Text(text.to_owned()).to_string())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id: a whole number, or text")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Id, E> {
        Ok(Id::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
        i64::try_from(number).map(Id::Number).map_err(|_| E::custom(format!("expected an id of at most 63 bits, found {number}")))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Id, E> {
        whole_number(number).map(Id::Number).ok_or_else(|| E::custom(format!("expected a whole number as an id, found {number}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
        // Digits only: `+5` and ` 5` are names.
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_number);
        Ok(number.map_or_else(|| Id::Text(text.to_owned()), Id::Number))
    }
}

/// A number without a fraction, as far as 64 bits of floating point count them all.
fn whole_number(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// A count of pixels, which some writers give as `640.0`.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let number = f64::deserialize(deserializer)?;
    let count = whole_number(number).and_then(|number| usize::try_from(number).ok());
    count.ok_or_else(|| D::Error::custom(format!("expected a whole number of pixels, found {number}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_in_every_form() {
        let id = |json: &str| serde_json::from_str::<Id>(json);
        for json in ["139", "139.0", "\"139\"", "\"000139\"", "1.39e2"] {
            assert_eq!(id(json).unwrap(), Id::Number(139), "{json}");
        }
        for json in ["\"img_139\"", "\"\"", "\"-\"", "\"+5\"", "\"99999999999999999999\""] {
            assert!(matches!(id(json).unwrap(), Id::Text(_)), "{json}");
        }
        for json in ["1.5", "null", "[1]", "1e300", "18446744073709551615"] {
            assert!(id(json).is_err(), "{json}");
        }
    }

    #[test]
    fn texts_get_numbers_that_nothing_else_has() {
        let id = |text: &str| Id::Text(text.into());
        let all = [Id::Number(3), id("a"), Id::Number(-5), id("b"), id("a")];
        let ids = Ids::of(all.iter());
        let numbers: Vec<i64> = all.iter().map(|id| ids.number(id).unwrap()).collect();
        assert_eq!(numbers, [3, -6, -5, -7, -6]);
        assert_eq!((ids.text(-7), ids.text(3), ids.shown(-6), ids.shown(3)), (Some("b"), None, "\"a\"".into(), "3".into()));
        assert_eq!((ids.number(&id("c")), ids.number(&Id::Number(-6)), ids.number(&Id::Number(8))), (None, None, Some(8)));
    }
}
