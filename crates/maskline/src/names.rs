//! Class names from a file.

use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// No list of names is as long.
const MOST_BYTES: u64 = 16 << 20;

/// Class names from a file, for [`BundleOptions::labels`](crate::BundleOptions::labels): one name per line, or a `names` list or
/// dictionary in YAML or JSON, as [`parse_names`](crate::parse_names) reads it.
///
/// # Errors
/// `BadInput` if the file is missing, too long, no UTF-8 text, or no list of names; the message says what is wrong and where.
pub fn read_names(path: &Path) -> Result<Vec<String>> {
    let bad = |what: &str| Error::new(ErrorKind::BadInput, what).at(path);
    let facts = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if !facts.is_file() || facts.len() > MOST_BYTES {
        let expected = format!("a file of class names of at most {MOST_BYTES} bytes");
        return Err(bad("").expecting(expected).but_found(format!("{} bytes", facts.len())));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let found = format!("another byte at {}", e.utf8_error().valid_up_to());
        bad("class names").expecting("UTF-8 text").but_found(found)
    })?;
    maskline_models::parse_names(&text).map_err(|e| Error::from(e).of_kind(ErrorKind::BadInput).at(path))
}
