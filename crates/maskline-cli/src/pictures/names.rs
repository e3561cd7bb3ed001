//! Names of files as text.

use std::borrow::Cow;
use std::path::Path;

/// A path for JSON, which holds text only, and names need not be text.
///
/// A name that is text is given as it is. One that is not, or that looks like the escape, is escaped: every byte that is no UTF-8 as
/// `\xNN`, and every backslash as two. So no two names have the same text: one with `\x` in it is an escaped one, all others are plain.
pub(crate) fn shown(path: &Path) -> String {
    match path.to_str() {
        // There, backslashes stand between folders.
        Some(text) if cfg!(windows) || !text.contains(r"\x") => text.to_owned(),
        _ if cfg!(windows) => path.to_string_lossy().into_owned(),
        _ => escaped(path.as_os_str().as_encoded_bytes()),
    }
}

/// A name within a line for a person: a line break in it, or an escape that colours the terminal, is shown as `\n`, `\u{1b}`.
pub(crate) fn on_a_line(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return Cow::Borrowed(name);
    }
    name.chars().map(|letter| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }).collect()
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text += &chunk.valid().replace('\\', r"\\");
        chunk.invalid().iter().for_each(|byte| text += &format!(r"\x{byte:02x}"));
    }
    text
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_that_are_no_text_stay_apart() {
        let shown = |bytes: &[u8]| shown(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(shown("fotos/café.jpg".as_bytes()), "fotos/café.jpg");
        assert_eq!(shown(br"a\b.jpg"), r"a\b.jpg");
        assert_eq!(shown(b"caf\xe9.jpg"), r"caf\xe9.jpg");
        assert_eq!(shown(br"caf\xe9.jpg"), r"caf\\xe9.jpg", "a name that looks like an escaped one");
        assert_eq!(shown(b"\xff\xfe\\x"), r"\xff\xfe\\x");
    }
}
