//! Embeddings of texts on disk, beside the bundle whose text encoder made them.
//!
//! The bundle's name is a hash of the weights, so what lies beside it belongs to them. A text is found by what it says, not by its
//! tokens: then not even the tokenizer need be opened for it. What cannot be read is encoded again, what cannot be written is not kept.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use maskline_vision::write::write_atomically;

/// Most texts whose names begin alike, of which there are 256: about 64 thousand texts in all, some 130 MB with one row each, and with a
/// row of 256 numbers for each token some 65 MB times their tokens.
const MOST_IN_FOLDER: usize = 256;

/// The folder of a model's texts.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    widths: Widths,
}

/// How many numbers an embedding has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    /// Numbers of a row.
    pub(super) row: usize,
    /// An embedding has 1 to this many rows.
    pub(super) most: usize,
}

impl Widths {
    fn allow(self, bytes: usize) -> bool {
        let row = size_of::<f32>() * self.row;
        bytes.checked_div(row).is_some_and(|rows| rows * row == bytes && (1..=self.most).contains(&rows))
    }
}

impl Shelf {
    pub(super) fn new(folder: PathBuf, widths: Widths) -> Self {
        Self { folder, widths }
    }

    /// The embedding of a text that was encoded before; `is_cut` says whether it may have been cut to fit.
    pub(super) fn get(&self, text: &str, is_cut: bool) -> Option<Vec<f32>> {
        let bytes = std::fs::read(self.path(text, is_cut)).ok()?;
        let (sum, values) = bytes.split_at_checked(blake3::OUT_LEN)?;
        let is_whole = self.widths.allow(values.len()) && blake3::hash(values).as_bytes() == sum;
        is_whole.then(|| values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Keeps an embedding.
    pub(super) fn put(&self, text: &str, is_cut: bool, embedding: &[f32]) {
        let path = self.path(text, is_cut);
        let Some(folder) = path.parent() else { return };
        let values: Vec<u8> = embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes = [blake3::hash(&values).as_bytes().as_slice(), &values].concat();
        if std::fs::create_dir_all(folder).is_ok() && write_atomically(&path, &bytes).is_ok() {
            make_room(folder);
        }
    }

    fn path(&self, text: &str, is_cut: bool) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[u8::from(is_cut)]).update(text.as_bytes());
        let name = hasher.finalize().to_hex();
        self.folder.join(&name[..2]).join(&name[2..])
    }
}

/// Removes the older half of a folder that holds too many.
fn make_room(folder: &Path) {
    let files = || std::fs::read_dir(folder).into_iter().flatten().flatten();
    if files().count() <= MOST_IN_FOLDER {
        return;
    }
    let age = |file: &std::fs::DirEntry| file.metadata().and_then(|facts| facts.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut aged: Vec<(SystemTime, PathBuf)> = files().map(|file| (age(&file), file.path())).collect();
    aged.sort();
    for (_, path) in aged.iter().take(MOST_IN_FOLDER / 2) {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ONE_ROW: Widths = Widths { row: 3, most: 1 };

    #[test]
    fn an_embedding_has_whole_rows_and_no_more_than_a_text_has_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("words");
        let shelf = |row: usize, most: usize| Shelf::new(place.clone(), Widths { row, most });
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        shelf(2, 3).put("dog", false, &values);
        assert_eq!(shelf(2, 3).get("dog", false), Some(values.to_vec()));
        assert_eq!(shelf(3, 9).get("dog", false), Some(values.to_vec()));
        assert_eq!(shelf(2, 2).get("dog", false), None, "three rows where two are allowed");
        assert_eq!(shelf(4, 9).get("dog", false), None, "a row and a half");
        shelf(2, 3).put("cat", false, &[]);
        assert_eq!(shelf(2, 3).get("cat", false), None, "no row");
    }

    #[test]
    fn what_was_put_is_found_until_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("words"), ONE_ROW);
        assert_eq!(shelf.get("dog", false), None);
        shelf.put("dog", false, &[1.0, -0.5, 3e-9]);
        assert_eq!(shelf.get("dog", false), Some(vec![1.0, -0.5, 3e-9]));
        assert_eq!((shelf.get("dog", true), shelf.get("dog ", false)), (None, None));
        // An embedding of another width, a changed one, and one that was cut off.
        assert_eq!(Shelf::new(folder.path().join("words"), Widths { row: 2, most: 1 }).get("dog", false), None);
        let path = shelf.path("dog", false);
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[40] ^= 1;
        for damaged in [&changed[..], &whole[..20], &whole[..whole.len() - 4], &[]] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(shelf.get("dog", false), None);
        }
    }

    #[test]
    fn a_full_folder_makes_room_and_a_place_that_cannot_be_written_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..=MOST_IN_FOLDER {
            std::fs::write(folder.path().join(index.to_string()), [0]).unwrap();
        }
        make_room(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), MOST_IN_FOLDER / 2 + 1);
        let file = folder.path().join("file");
        std::fs::write(&file, []).unwrap();
        let shelf = Shelf::new(file, Widths { row: 1, most: 1 });
        shelf.put("dog", false, &[1.0]);
        assert_eq!(shelf.get("dog", false), None);
    }
}
