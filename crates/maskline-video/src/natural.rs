//! The order in which people count: `2` before `10`.

use std::cmp::Ordering;

/// Compares names, the numbers in them by their values; of equal values the shorter name comes first.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let parted = parts(a).zip(parts(b)).map(|(one, other)| one.cmp(&other)).find(|order| order.is_ne());
    parted.unwrap_or_else(|| parts(a).count().cmp(&parts(b).count())).then(a.len().cmp(&b.len())).then_with(|| a.cmp(b))
}

/// A part of a name. Numbers come before text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// Without leading zeros the longer one is the larger one.
    Number {
        digits: usize,
        text: &'a str,
    },
    Text(&'a str),
}

fn parts(name: &str) -> impl Iterator<Item = Part<'_>> {
    name.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).scan(0, |start, chunk| {
        let part = &name[*start..*start + chunk.len()];
        *start += chunk.len();
        if !chunk[0].is_ascii_digit() {
            return Some(Part::Text(part));
        }
        let text = part.trim_start_matches('0');
        Some(Part::Number { digits: text.len(), text })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count() {
        let mut names =
            ["10.jpg", "2.jpg", "frame10b", "frame9", "00002.jpg", "é1", "1.jpg", "a", "frame10a", "99999999999999999999999.jpg"];
        names.sort_by(|a, b| natural_order(a, b));
        let sorted = ["1.jpg", "2.jpg", "00002.jpg", "10.jpg", "99999999999999999999999.jpg", "a", "frame9", "frame10a", "frame10b", "é1"];
        assert_eq!(names, sorted);
    }
}
