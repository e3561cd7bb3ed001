//! Plain values written as text: JSON, or as Python prints them (`{0: 'cat', 1: "dog's"}`).

use crate::attribute::Attribute;

/// Lists and dictionaries inside each other; deeper ones are no facts about a model.
const MAX_DEPTH: usize = 32;

/// Reads one value and nothing after it but blanks.
pub(crate) fn parse(text: &str) -> Option<Attribute> {
    let mut reader = Reader { rest: text.trim_start_matches('\u{feff}') };
    let value = reader.value(0)?;
    reader.skip_blanks();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Attribute> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_blanks();
        match self.rest.chars().next()? {
            '{' => self.map(depth),
            '[' => self.list(1, ']', depth),
            '(' => self.list(1, ')', depth),
            '\'' | '"' => self.text().map(Attribute::Str),
            _ => self.word(),
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, expected: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Items up to the closing bracket, behind the `opening` bytes that began the list.
    fn list(&mut self, opening: usize, close: char, depth: usize) -> Option<Attribute> {
        self.rest = &self.rest[opening..];
        let mut items = Vec::new();
        loop {
            if self.take(close) {
                return Some(Attribute::List(items));
            }
            items.push(self.value(depth + 1)?);
            if !self.take(',') {
                return self.take(close).then_some(Attribute::List(items));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Option<Attribute> {
        self.rest = &self.rest[1..];
        let mut entries = Vec::new();
        loop {
            if self.take('}') {
                return Some(Attribute::Map(entries));
            }
            let key = self.value(depth + 1)?;
            if !self.take(':') {
                return None;
            }
            entries.push((key, self.value(depth + 1)?));
            if !self.take(',') {
                return self.take('}').then_some(Attribute::Map(entries));
            }
        }
    }

    /// `None`, `True`, `false`, `-12`, `1e-3`.
    fn word(&mut self) -> Option<Attribute> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "None" | "null" => Some(Attribute::None),
            "True" | "true" => Some(Attribute::Bool(true)),
            "False" | "false" => Some(Attribute::Bool(false)),
            _ if !word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => None,
            _ => match word.parse() {
                Ok(number) => Some(Attribute::Int(number)),
                Err(_) => word.parse().ok().map(Attribute::Float),
            },
        }
    }

    /// A quoted text with the escapes of Python and JSON.
    fn text(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        let mut characters = self.rest[1..].chars();
        let mut text = String::new();
        loop {
            match characters.next()? {
                '\\' => text.extend(escaped(&mut characters)?),
                c if c == quote => break,
                c => text.push(c),
            }
        }
        self.rest = characters.as_str();
        Some(text)
    }
}

/// What follows a backslash; nothing for one at the end of a line. Unknown escapes keep their backslash, as in Python.
fn escaped(characters: &mut std::str::Chars<'_>) -> Option<Vec<char>> {
    let one = |c: char| Some(vec![c]);
    match characters.next()? {
        '\n' => Some(vec![]),
        'n' => one('\n'),
        't' => one('\t'),
        'r' => one('\r'),
        'a' => one('\u{7}'),
        'b' => one('\u{8}'),
        'f' => one('\u{c}'),
        'v' => one('\u{b}'),
        c @ ('\\' | '\'' | '"' | '/') => one(c),
        'x' => one(char::from_u32(hexadecimal(characters, 2)?)?),
        'U' => one(char::from_u32(hexadecimal(characters, 8)?)?),
        'u' => one(utf16(characters)?),
        first @ '0'..='7' => one(octal(characters, first)?),
        other => Some(vec!['\\', other]),
    }
}

fn octal(characters: &mut std::str::Chars<'_>, first: char) -> Option<char> {
    let mut code = first.to_digit(8)?;
    for _ in 0..2 {
        let Some(digit) = characters.clone().next().and_then(|c| c.to_digit(8)) else { break };
        characters.next();
        code = code * 8 + digit;
    }
    char::from_u32(code)
}

fn hexadecimal(characters: &mut std::str::Chars<'_>, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0_u32, |code, _| Some(code.checked_mul(16)? + characters.next()?.to_digit(16)?))
}

/// Four digits, or a pair of surrogates as JSON writes characters beyond the first plane. A lone surrogate is no character.
fn utf16(characters: &mut std::str::Chars<'_>) -> Option<char> {
    let first = hexadecimal(characters, 4)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = characters.clone();
    if ahead.next() == Some('\\') && ahead.next() == Some('u') {
        let second = hexadecimal(&mut ahead, 4)?;
        if (0xdc00..0xe000).contains(&second) {
            *characters = ahead;
            return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        }
    }
    Some(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Option<Vec<String>> {
        parse(text)?.as_list()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    }

    #[test]
    fn texts_are_read_as_python_and_json_read_them() {
        let python = r#"['a, b: \'c\' "d"', "it's", 'back\\slash', 'new\xa0line\ttab\n', '\u72d7', '\U0001f415', 'odd\q', '\101\0']"#;
        let expected = ["a, b: 'c' \"d\"", "it's", "back\\slash", "new\u{a0}line\ttab\n", "狗", "🐕", "odd\\q", "A\0"];
        assert_eq!(strings(python).as_deref(), Some(expected.map(str::to_owned).as_slice()));
        let json = r#"["\u72d7", "\ud83d\udc15", "\ud83d", "\/", "\"", "猫"]"#;
        let expected = ["狗", "🐕", "\u{fffd}", "/", "\"", "猫"];
        assert_eq!(strings(json).as_deref(), Some(expected.map(str::to_owned).as_slice()));
    }

    #[test]
    fn numbers_words_and_nesting() {
        let value = parse("\u{feff} {'a': (1, -2.5, 1e-3,), \"b\": {0: None, 1: [True, false, null]}, } ").expect("readable");
        assert_eq!(value.get("a").and_then(|a| a.get("2")), Some(&Attribute::Float(1e-3)));
        assert_eq!(value.get("b").and_then(|b| b.get("1")).and_then(Attribute::as_list).map(<[_]>::len), Some(3));
        for broken in ["", "{", "[1, 2", "{1 2}", "'open", "[1] 2", "nn.ReLU()", "[,]", "'\\x1'", "inf", "{'a':}"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None, "nesting is bounded");
    }
}
