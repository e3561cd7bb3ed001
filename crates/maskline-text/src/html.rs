//! Characters as HTML writes them: `&amp;`, `&#38;`, `&#x26;`, as Python's `html.unescape` and ftfy read them.

use htmlize::ENTITIES;

/// The longest name that is looked at, as Python has it; the longest there is has 31 characters.
const LONGEST_NAME: usize = 32;
/// The same of ftfy.
const LONGEST_WHOLE: usize = 24;

/// Python's `html.unescape`: the semicolon may be missing where HTML 5 allows it, and a longer word may begin with a name.
pub(crate) fn unescape(text: &str) -> String {
    replace(text, reference)
}

/// ftfy's `unescape_html`: only with a semicolon; names of letters may stand in capitals.
pub(crate) fn unescape_whole(text: &str) -> String {
    replace(text, |rest| {
        let body = rest.strip_prefix('&')?;
        let name = body.strip_prefix('#').unwrap_or(body);
        let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if length == 0 || length > LONGEST_WHOLE || !name[length..].starts_with(';') {
            return None;
        }
        let whole = &rest[..rest.len() - name.len() + length + 1];
        // A number that leaves a semicolon was only half a reference.
        let numbered = || Some(unescape(whole)).filter(|text| !text.contains(';'));
        let replacement = if body.starts_with('#') { numbered() } else { in_any_capitals(whole) };
        Some(Replaced { length: whole.len(), text: replacement.unwrap_or_else(|| whole.to_owned()) })
    })
}

/// A named character, or the capital of one whose name is written in capitals.
fn in_any_capitals(whole: &str) -> Option<String> {
    if let Some(text) = named(whole) {
        return Some(text.to_owned());
    }
    let lower = whole.to_ascii_lowercase();
    let is_capitals = lower.to_ascii_uppercase() == whole && unescape(whole) == whole;
    named(&lower).filter(|_| is_capitals).map(str::to_uppercase)
}

/// What stands for the beginning of a text, and how much of it.
struct Replaced {
    length: usize,
    text: String,
}

fn replace(text: &str, replaced: impl Fn(&str) -> Option<Replaced>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let Replaced { length, text } = replaced(rest).unwrap_or(Replaced { length: 1, text: "&".into() });
        out.push_str(&text);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The reference at the beginning of a text.
fn reference(rest: &str) -> Option<Replaced> {
    let body = rest.strip_prefix('&')?;
    if let Some(number) = body.strip_prefix('#') {
        return numeric(number).map(|Replaced { length, text }| Replaced { length: length + 2, text });
    }
    let ends = |character: char| matches!(character, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let length = body.char_indices().take(LONGEST_NAME).take_while(|(_, c)| !ends(*c)).map(|(at, c)| at + c.len_utf8()).last()?;
    let length = 1 + length + usize::from(body[length..].starts_with(';'));
    let whole = &rest[..length];
    // The longest name that it begins with, of two characters at least; what follows stays as it is, and is not looked at again.
    let prefixes = whole.char_indices().map(|(at, _)| at).chain([length]).filter(|at| *at > 2).rev();
    let known = prefixes.into_iter().find_map(|at| named(&whole[..at]).map(|text| format!("{text}{}", &whole[at..])));
    Some(Replaced { length, text: known.unwrap_or_else(|| whole.to_owned()) })
}

/// A character by number, of what follows `&#`.
fn numeric(number: &str) -> Option<Replaced> {
    let hexadecimal = number.strip_prefix(['x', 'X']);
    let (digits, radix) = (hexadecimal.unwrap_or(number), if hexadecimal.is_some() { 16 } else { 10 });
    let count = digits.bytes().take_while(|byte| char::from(*byte).is_digit(radix)).count();
    if count == 0 {
        return None;
    }
    let value = digits[..count].bytes().fold(0_u32, |value, byte| {
        let digit = char::from(byte).to_digit(radix).unwrap_or(0);
        value.saturating_mul(radix).saturating_add(digit)
    });
    let length = number.len() - digits.len() + count + usize::from(digits[count..].starts_with(';'));
    Some(Replaced { length, text: numbered(value) })
}

/// The character of a number, as browsers and Python read it.
fn numbered(value: u32) -> String {
    match (value, char::from_u32(value)) {
        (0, _) | (_, None) => "\u{fffd}".into(),
        (0x80..=0x9f, Some(character)) => crate::mojibake::windows_1252(character).to_string(),
        (0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef, _) => String::new(),
        (value, _) if value & 0xfffe == 0xfffe => String::new(),
        (_, Some(character)) => character.into(),
    }
}

/// The text of a name with its `&`, and its semicolon where it has one.
fn named(whole: &str) -> Option<&'static str> {
    ENTITIES.get(whole.as_bytes()).and_then(|text| std::str::from_utf8(text).ok())
}
