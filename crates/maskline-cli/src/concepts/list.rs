//! `--texts FILE`: a phrase a line.

use std::io::Read;
use std::path::Path;

use maskline::{Error, ErrorKind};

/// Larger files are no list of phrases.
const LARGEST: u64 = 64 << 20;

/// The phrases of a file: a line each, without spaces around it. Empty lines, and those that begin with `#`, are left out.
pub(super) fn read(path: &Path) -> Result<Vec<String>, Error> {
    let bad = |message: String| Error::new(ErrorKind::BadInput, message).at(path);
    let unreadable = |error: std::io::Error| bad(format!("--texts: the list of phrases cannot be read: {error}"));
    let mut bytes = Vec::new();
    // There is no end to reading some files.
    std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        let error = Error::new(ErrorKind::OverLimit, "--texts: the list of phrases").at(path);
        return Err(error.expecting(format!("at most {LARGEST} bytes")).but_found("more"));
    }
    let text = String::from_utf8(bytes).map_err(|_| bad("--texts: the list of phrases is no text in UTF-8".into()))?;
    let lines = text.strip_prefix('\u{feff}').unwrap_or(&text).lines().map(str::trim);
    let phrases: Vec<String> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    if phrases.is_empty() {
        return Err(bad("--texts: the list has no phrases".into()).with_help("write one a line"));
    }
    Ok(phrases)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_phrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.txt");
        std::fs::write(&path, "\u{feff}a red car\r\n\n  # left out\n\tperson \n").unwrap();
        assert_eq!(read(&path).unwrap(), ["a red car", "person"]);
        for bytes in [&b"\n# nothing\n"[..], b"caf\xe9"] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::BadInput);
        }
        assert_eq!(read(&folder.path().join("missing")).unwrap_err().kind(), ErrorKind::BadInput);
    }
}
