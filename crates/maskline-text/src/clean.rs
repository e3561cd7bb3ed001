//! Cleaning as the original code has it: ftfy's repairs, HTML's characters, whitespace, lower case.

use std::borrow::Cow;

use tokenizers::NormalizedString;

use crate::html::{unescape, unescape_whole};
use crate::mojibake::{repair, windows_1252};

/// Repairs go on until nothing changes; a text that is wrapped more often than this in itself is no phrase.
const MOST_ROUNDS: usize = 64;

/// Letters in one character that mean several.
const LIGATURES: [(char, &str); 22] = [
    ('Ĳ', "IJ"),
    ('ĳ', "ij"),
    ('ŉ', "ʼn"),
    ('Ǆ', "DŽ"),
    ('ǅ', "Dž"),
    ('ǆ', "dž"),
    ('Ǉ', "LJ"),
    ('ǈ', "Lj"),
    ('ǉ', "lj"),
    ('Ǌ', "NJ"),
    ('ǋ', "Nj"),
    ('ǌ', "nj"),
    ('Ǳ', "DZ"),
    ('ǲ', "Dz"),
    ('ǳ', "dz"),
    ('ﬀ', "ff"),
    ('ﬁ', "fi"),
    ('ﬂ', "fl"),
    ('ﬃ', "ffi"),
    ('ﬄ', "ffl"),
    ('ﬅ', "ſt"),
    ('ﬆ', "st"),
];

/// A text as [`Cleaning::Original`](crate::Cleaning::Original) cuts it.
pub fn cleaned(text: &str) -> String {
    let text = unescape(&unescape(&mended(text)));
    // One lower case for the whole text: the last sigma of a word has a form of its own.
    text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whitespace as Python has it.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// ftfy's `fix_text`: line by line; from the first `<` on the text is HTML, and its references are left.
fn mended(text: &str) -> String {
    let mut is_html = false;
    let lines = text.split_inclusive('\n').map(|line| {
        is_html |= line.contains('<');
        let mut line = line.to_owned();
        for _ in 0..MOST_ROUNDS {
            let better = mended_once(&line, is_html);
            if better == line {
                break;
            }
            line = better;
        }
        line
    });
    lines.collect()
}

fn mended_once(line: &str, is_html: bool) -> String {
    let line = if is_html { Cow::Borrowed(line) } else { Cow::Owned(unescape_whole(line)) };
    let line: String = repair(&line).chars().map(windows_1252).collect();
    let mut plain = String::with_capacity(line.len());
    for character in line.chars() {
        match LIGATURES.iter().find(|(ligature, _)| *ligature == character) {
            Some((_, letters)) => plain.push_str(letters),
            None => push_plain(&mut plain, character),
        }
    }
    let mut line = NormalizedString::from(without_controls(&plain).as_str());
    line.nfc();
    line.get().to_owned()
}

/// Straight quotes for curled ones, and characters in the width of their script.
fn push_plain(plain: &mut String, character: char) {
    match character {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => plain.push('\''),
        '\u{201c}'..='\u{201f}' => plain.push('"'),
        '\u{3000}' => plain.push(' '),
        '\u{ff01}'..='\u{ffef}' => {
            let mut wide = NormalizedString::from(character.to_string().as_str());
            wide.nfkc();
            plain.push_str(wide.get());
        }
        _ => plain.push(character),
    }
}

/// Without the escapes that colour a terminal, and without control characters that are no whitespace.
fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = terminal_escape(rest).unwrap_or(&rest[character.len_utf8()..]);
        let is_control = matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}');
        if !is_control && !matches!(character, '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}') {
            out.push(character);
        }
    }
    out
}

/// What follows the escape that a text begins with.
fn terminal_escape(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\u{1b}[")?;
    codes
        .trim_start_matches(|character: char| character.is_ascii_digit() || character == ';')
        .strip_prefix(|character: char| character.is_ascii_alphabetic())
}
