//! Sizes that a file writes as text: `prompts`, `32*rows`, `((height - 1)//2) + 1`.

use std::collections::BTreeSet;

use super::Sizes;

/// Deepest nesting that is read: a broken file must not exhaust the stack.
const DEEPEST: usize = 200;

/// What a text comes to. `None` where it is no expression of whole numbers, `+ - * / //`, parentheses and names with known sizes, or
/// comes to no size.
pub(super) fn evaluate(text: &str, sizes: &Sizes) -> Option<usize> {
    // A name may look like an expression (`prompts*tokens`).
    if let Some(size) = sizes.get(text) {
        return Some(*size);
    }
    let value = parse(text, |name| sizes.get(name).map(|size| *size as f64))?;
    (value >= 0.0 && value.fract() == 0.0 && value < 9e15).then_some(value as usize)
}

/// The names in a text; the text itself where it is no expression.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let read = parse(text, |name| {
        names.insert(name.to_string());
        Some(1.0)
    });
    if read.is_none() {
        names = BTreeSet::from([text.to_string()]);
    }
    names
}

/// The value of its only unknown with which a text that is linear in it comes to `size`: the name and the value.
pub(super) fn solve(text: &str, size: usize) -> Option<(String, usize)> {
    let names = names(text);
    let name = names.first().filter(|_| names.len() == 1)?;
    let at = |value: f64| parse(text, |_| Some(value)).or((text == name.as_str()).then_some(value));
    let (first, second) = (at(1.0)?, at(2.0)?);
    let value = 1.0 + (size as f64 - first) / (second - first);
    let fits = value.fract() == 0.0 && value >= 0.0 && at(value)? == size as f64;
    fits.then_some((name.clone(), value as usize))
}

fn parse<F: FnMut(&str) -> Option<f64>>(text: &str, lookup: F) -> Option<f64> {
    let mut parser = Parser { rest: text.trim_start(), depth: 0, lookup };
    parser.sum().filter(|_| parser.rest.is_empty())
}

/// Recursive descent; every method leaves `rest` at the next token.
struct Parser<'t, F> {
    rest: &'t str,
    depth: usize,
    lookup: F,
}

impl<'t, F: FnMut(&str) -> Option<f64>> Parser<'t, F> {
    fn takes(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let (word, rest) = self.rest.split_at(self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product()?;
        loop {
            if self.takes("+") {
                value += self.product()?;
            } else if self.takes("-") {
                value -= self.product()?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        loop {
            if self.takes("//") {
                value = (value / self.factor()?).floor();
            } else if self.takes("*") {
                value *= self.factor()?;
            } else if self.takes("/") {
                value /= self.factor()?;
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self) -> Option<f64> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let value = if self.takes("-") {
            -self.factor()?
        } else if self.takes("(") {
            let value = self.sum()?;
            if !self.takes(")") {
                return None;
            }
            value
        } else if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            self.take_while(|c| c.is_ascii_digit()).parse().ok()?
        } else {
            let name = self.take_while(|c| c.is_alphanumeric() || "_.:[]".contains(c));
            if name.is_empty() {
                return None;
            }
            (self.lookup)(name)?
        };
        self.depth -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Sizes {
        [("rows", 20), ("height", 641), ("prompts*tokens", 5)].map(|(name, size)| (name.to_string(), size)).into()
    }

    #[test]
    fn texts_come_to_sizes() {
        for (text, expected) in [
            ("32*rows", Some(640)),
            ("-2*rows+50", Some(10)),
            ("(((height - 1)//2)) + 1", Some(321)),
            ("height//2", Some(320)),
            ("height/2", None),
            ("prompts*tokens", Some(5)),
            ("2*(rows + 1)*rows", Some(840)),
            ("columns", None),
            ("rows rows", None),
            ("rows-30", None),
            ("1//0", None),
            ("", None),
            ("(rows", None),
            ("floor(rows)", None),
        ] {
            assert_eq!(evaluate(text, &sizes()), expected, "{text}");
        }
        assert_eq!(evaluate(&"(".repeat(1 << 20), &sizes()), None);
        assert_eq!(evaluate(&"-".repeat(1 << 20), &sizes()), None);
    }

    #[test]
    fn names_are_found_and_sizes_solved_for_them() {
        assert_eq!(names("32*rows + columns"), BTreeSet::from(["rows".to_string(), "columns".to_string()]));
        assert_eq!(names("a size?"), BTreeSet::from(["a size?".to_string()]));
        assert_eq!(solve("32*rows", 640), Some(("rows".into(), 20)));
        assert_eq!(solve("32*rows", 650), None);
        assert_eq!(solve("points+2", 5), Some(("points".into(), 3)));
        assert_eq!(solve("a size?", 5), Some(("a size?".into(), 5)));
        assert_eq!(solve("rows*columns", 5), None);
        assert_eq!(solve("rows*rows", 5), None);
    }
}
