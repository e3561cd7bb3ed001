//! Which picture each key of a prompt file means.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::nearest::{listed, nearest, shortened};
use crate::pictures::{Picture, identity};

/// More keys than these are only counted.
const MOST_TOLD: usize = 3;
/// Letters of a warning.
const LONGEST: usize = 600;

/// Keys and the pictures that they mean.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// Indices of keys by the path of the picture, in the order of the file.
    pub(super) of_picture: HashMap<PathBuf, Vec<usize>>,
    /// Keys that mean no picture, each with what may have been meant.
    unused: Vec<String>,
}

/// Finds the picture of each key. A key means a picture as a path does, seen from the current folder or from that of the prompt file,
/// however it is written; else, where only one picture fits, by the end of its path, such as its name.
pub(super) fn bind(keys: &[&str], folder: &Path, pictures: &[Picture]) -> Bound {
    let mut bound = Bound::default();
    if keys.is_empty() {
        return bound;
    }
    let identities: Vec<PathBuf> = pictures.iter().map(|picture| identity(&picture.path)).collect();
    let by_path: HashMap<&Path, usize> = identities.iter().enumerate().map(|(index, path)| (path.as_path(), index)).collect();
    let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, path) in identities.iter().enumerate() {
        by_name.entry(path.file_name().unwrap_or_default()).or_default().push(index);
    }
    for (number, key) in keys.iter().enumerate() {
        let spellings = spellings(key);
        let exact = spellings.iter().flat_map(|path| [path.clone(), folder.join(path)]);
        let found = exact.into_iter().find_map(|path| by_path.get(identity(&path).as_path()).copied());
        let ends = |path: &PathBuf| {
            let named = by_name.get(path.file_name()?)?;
            let fitting: Vec<usize> = named.iter().copied().filter(|index| identities[*index].ends_with(path)).collect();
            (!fitting.is_empty()).then_some(fitting)
        };
        let fitting = found.map(|index| vec![index]).or_else(|| spellings.iter().find_map(ends)).unwrap_or_default();
        match *fitting.as_slice() {
            [index] => bound.of_picture.entry(pictures[index].path.clone()).or_default().push(number),
            [] => bound.unused.push(unknown(key, pictures)),
            [first, second, ..] => {
                let [first, second] = [first, second].map(|index| pictures[index].path.display());
                bound.unused.push(format!("`{key}` could be {first} or {second}: write more of its path"));
            }
        }
    }
    bound
}

/// The key as a path, and where it has backslashes, as a path of the other system.
fn spellings(key: &str) -> Vec<PathBuf> {
    let plain = |text: &str| Path::new(text).components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    let mut spellings = vec![plain(key)];
    if key.contains('\\') {
        spellings.push(plain(&key.replace('\\', "/")));
    }
    spellings
}

fn unknown(key: &str, pictures: &[Picture]) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names: Vec<String> = pictures.iter().map(|picture| name(&picture.path)).collect();
    let near = nearest(&name(&spellings(key).pop().unwrap_or_default()), names.iter().map(String::as_str));
    let meant = if near.is_empty() { String::new() } else { format!(" (is {} meant?)", listed(&near)) };
    format!("`{key}` names none of the pictures{meant}")
}

impl Bound {
    /// What is said of the keys that mean no picture.
    pub(super) fn warnings(&self, file: &Path) -> Vec<String> {
        let mut lines: Vec<String> =
            self.unused.iter().take(MOST_TOLD).map(|key| format!("warning: {}: {}", file.display(), shortened(key, LONGEST))).collect();
        if self.unused.len() > MOST_TOLD {
            lines.push(format!("warning: {}: {} more keys name none of the pictures", file.display(), self.unused.len() - MOST_TOLD));
        }
        lines
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The numbers of the keys that each picture got, and what is said of the others.
    fn bound(keys: &[&str], paths: &[&str]) -> (Vec<Vec<usize>>, Vec<String>) {
        let pictures: Vec<Picture> = paths.iter().map(|path| Picture { path: PathBuf::from(path), below: PathBuf::from(path) }).collect();
        let bound = bind(keys, Path::new("nowhere"), &pictures);
        let of = |picture: &Picture| bound.of_picture.get(&picture.path).cloned().unwrap_or_default();
        (pictures.iter().map(of).collect(), bound.unused)
    }

    #[test]
    fn keys_match_as_paths_do() {
        let here = std::env::current_dir().unwrap();
        let absolute = here.join("src/a.jpg").display().to_string();
        for key in
            ["src/a.jpg", "./src/a.jpg", "src/./a.jpg", "src/../src/a.jpg", "src//a.jpg", r"src\a.jpg", r".\src\a.jpg", "a.jpg", &absolute]
        {
            assert_eq!(bound(&[key], &["src/a.jpg", "src/b.jpg"]), (vec![vec![0], vec![]], vec![]), "{key}");
            assert_eq!(bound(&[key], &[&absolute]), (vec![vec![0]], vec![]), "{key}");
        }
        // Two spellings of one picture are both its own.
        assert_eq!(bound(&["./src/a.jpg", "a.jpg"], &["src/a.jpg"]).0, [[0, 1]]);
    }

    #[test]
    fn a_name_that_several_pictures_have_means_none_of_them() {
        let (found, unused) = bound(&["a.jpg", "src/a.jpg"], &["src/a.jpg", "tests/a.jpg"]);
        assert_eq!(found, [vec![1], vec![]]);
        assert!(unused.len() == 1 && unused[0].contains("src/a.jpg or tests/a.jpg"), "{unused:?}");
    }

    #[test]
    fn keys_that_name_nothing_are_told_with_what_is_near() {
        let (found, unused) = bound(&["phto.jpg", "elsewhere/photo.jpg"], &["photo.jpg"]);
        assert!(found[0].is_empty());
        assert!(unused[0].contains("is `photo.jpg` meant?") && unused[1].contains("elsewhere"), "{unused:?}");
        let many: Vec<String> = (0..50).map(|number| format!("{number}.png")).collect();
        let pictures = [Picture { path: "photo.jpg".into(), below: "photo.jpg".into() }];
        let warnings = bind(&many.iter().map(String::as_str).collect::<Vec<_>>(), Path::new(""), &pictures).warnings(Path::new("p.json"));
        assert!(warnings.len() == 4 && warnings[3].contains("47 more keys"), "{warnings:?}");
    }
}
