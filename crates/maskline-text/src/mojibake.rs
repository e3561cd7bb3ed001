//! UTF-8 that someone read as Windows-1252 or Latin-1: `schÃ¶n`, `âœ”`.

/// What Windows-1252 has for the bytes from 0x80 on where Latin-1 has control characters; where it has nothing, those.
const FROM_80: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A control character of Latin-1 as Windows-1252 has it; all others are given back.
pub(crate) fn windows_1252(character: char) -> char {
    match character {
        '\u{80}'..='\u{9f}' => FROM_80[character as usize - 0x80],
        _ => character,
    }
}

/// The byte that either encoding reads as this character.
fn byte_of(character: char) -> Option<u8> {
    u8::try_from(character).ok().or_else(|| FROM_80.iter().position(|c| *c == character).map(|place| 0x80 + place as u8))
}

/// As often as this a text is read again: what was wrongly read twice is rare enough.
const MOST_ROUNDS: usize = 8;

/// Reads the text's bytes as UTF-8 where they are that and it is no accident, again and again until nothing changes.
pub(crate) fn repair(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..MOST_ROUNDS {
        match once(&text) {
            Some(better) => text = better,
            None => break,
        }
    }
    text
}

/// A character of UTF-8 in the bytes of several characters.
struct Sequence<'t> {
    /// The several.
    read_as: &'t [char],
    character: char,
    /// Whether it is no accident.
    is_sure: bool,
}

/// One round: all of a text that can be read as UTF-8 as a whole, else what is no accident. `None` where nothing is.
fn once(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let characters: Vec<char> = text.chars().collect();
    let (mut is_sure, mut is_whole) = (false, true);
    each(&characters, |_, sequence| {
        is_sure |= sequence.as_ref().is_some_and(|sequence| sequence.is_sure);
        is_whole &= sequence.is_some();
    });
    let mut out = String::with_capacity(text.len());
    each(&characters, |first, sequence| match sequence {
        Some(sequence) if is_whole || sequence.is_sure => out.push(sequence.character),
        Some(sequence) => out.extend(sequence.read_as),
        None => out.push(first),
    });
    is_sure.then_some(out)
}

/// Goes over the characters of a text, with the sequence that each begins.
fn each(text: &[char], mut visit: impl FnMut(char, Option<Sequence<'_>>)) {
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = if first.is_ascii() {
            visit(*first, Some(Sequence { read_as: &rest[..1], character: *first, is_sure: false }));
            after
        } else {
            let found = sequence(rest);
            let after = &rest[found.as_ref().map_or(1, |sequence| sequence.read_as.len())..];
            visit(*first, found);
            after
        };
    }
}

/// The character of UTF-8 that a text begins with, in the bytes of its characters.
fn sequence(text: &[char]) -> Option<Sequence<'_>> {
    const LONGEST: usize = 4;
    let mut bytes = [0; LONGEST];
    let mut count = 0;
    for (byte, character) in bytes.iter_mut().zip(text) {
        let Some(value) = byte_of(*character) else { break };
        *byte = value;
        count += 1;
    }
    let wanted = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let character = bytes[..count].get(..wanted).and_then(|bytes| std::str::from_utf8(bytes).ok())?.chars().next()?;
    let read_as = &text[..wanted];
    Some(Sequence { read_as, character, is_sure: wanted > 2 || is_no_accident(read_as) })
}

/// Whether two characters that are UTF-8 were not meant: after the capitals that stand for most of Latin, or with one that nobody writes
/// behind a letter. A capital before a closing quote, a dash or dots is how words end.
fn is_no_accident(pair: &[char]) -> bool {
    matches!(pair, ['Â' | 'Ã', _])
        || matches!(
            pair,
            [_, '\u{80}'..='\u{9f}' | '¡'..='ª' | '¬' | '¯'..='º' | '¼'..='¿' | '†' | '‡' | '‰' | '€' | 'ƒ' | '„' | 'ˆ' | '˜']
        )
}
