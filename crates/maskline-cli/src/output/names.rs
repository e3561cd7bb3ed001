//! What the files of each picture are called: chosen for the whole run before the first picture is opened.
//!
//! A picture's files share a *stem*, a path below the output folder without an ending: `photo`, `b/photo`. No two pictures have one,
//! and the same pictures have the same ones in the next run.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use crate::pictures::{self, Picture};

/// Names that pictures make way for.
#[derive(Debug, Default)]
pub(crate) struct Taken<'a> {
    /// Stems that files of the whole run need (`coco`, `classes`).
    pub(crate) stems: Vec<&'a str>,
    /// What formats put behind the stem of a picture: beside `photo`, another one called `photo.mask-001` would have the name of a mask.
    pub(crate) tails: Vec<&'a str>,
}

impl Taken<'_> {
    pub(crate) fn has(&self, stem: &str, others: &HashSet<String>) -> bool {
        let is_part_of = |tail: &str| {
            let (before, behind) = stem.rsplit_once(tail)?;
            (behind.bytes().all(|byte| byte.is_ascii_digit()) && others.contains(before)).then_some(())
        };
        self.stems.contains(&folded(stem).as_str()) || self.tails.iter().any(|tail| is_part_of(tail).is_some())
    }
}

/// Stems for pictures, in their order.
///
/// A picture is called by its own name, below the folders that it has below the named one. Equal names of different folders keep as much
/// of their folders as tells them apart, equal names with other endings their endings.
pub(crate) fn stems(pictures: &[Picture], taken: &Taken<'_>) -> Vec<String> {
    let mut places: Vec<PathBuf> = pictures.iter().map(|picture| plain(&picture.below)).collect();
    let absolute: Vec<PathBuf> = pictures.iter().map(|picture| absolute(&picture.path)).collect();
    for group in groups(&places) {
        let files: HashSet<&PathBuf> = group.iter().map(|&place| &absolute[place]).collect();
        let folders: HashSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        if folders.len() > 1 {
            let common = shared_folder(&folders);
            for place in group {
                places[place] = plain(absolute[place].strip_prefix(&common).unwrap_or(&absolute[place]));
            }
        }
    }
    let mut stems: Vec<String> = places.iter().map(|place| slashed(&place.with_extension(""))).collect();
    for group in groups(&places) {
        let files: HashSet<&PathBuf> = group.iter().map(|&place| &absolute[place]).collect();
        if files.len() > 1 {
            group.into_iter().for_each(|place| stems[place] = slashed(&places[place]));
        }
    }
    let others: HashSet<String> = stems.iter().map(|stem| folded(stem)).collect();
    for (stem, place) in stems.iter_mut().zip(&places) {
        if taken.has(&folded(stem), &others) {
            *stem = slashed(place);
        }
    }
    numbered(stems, &absolute)
}

/// Places of equal stems, whatever their case: some file systems know no difference.
fn groups(places: &[PathBuf]) -> Vec<Vec<usize>> {
    let mut groups: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, place) in places.iter().enumerate() {
        groups.entry(folded(&slashed(&place.with_extension("")))).or_default().push(index);
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

/// What is still equal gets a number; the same file named twice is one picture.
fn numbered(stems: Vec<String>, absolute: &[PathBuf]) -> Vec<String> {
    let mut owners: HashMap<String, &PathBuf> = HashMap::new();
    let mut given = Vec::with_capacity(stems.len());
    for (stem, file) in stems.into_iter().zip(absolute) {
        let is_free = |stem: &String| owners.get(&folded(stem)).is_none_or(|owner| *owner == file);
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let free = std::iter::once(stem.clone()).chain(numbered).find(is_free).unwrap_or(stem);
        owners.insert(folded(&free), file);
        given.push(free);
    }
    given
}

/// The same spelling for names that some file systems hold to be equal.
fn folded(stem: &str) -> String {
    stem.to_lowercase()
}

/// Names only: nothing that would lead out of the output folder.
fn plain(path: &Path) -> PathBuf {
    path.components().filter_map(|component| if let Component::Normal(name) = component { Some(name) } else { None }).collect()
}

pub(crate) fn without_ending(stem: &str) -> String {
    slashed(&Path::new(stem).with_extension(""))
}

/// With forward slashes, as journals and data sets of every system have them; what is no UTF-8 is replaced.
pub(crate) fn slashed(path: &Path) -> String {
    let names: Vec<_> = path.components().map(|component| component.as_os_str().to_string_lossy()).collect();
    names.join("/")
}

pub(crate) fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

/// The folder that holds all pictures; links to pictures are in their own folder.
pub(crate) fn common_folder(pictures: &[Picture]) -> PathBuf {
    let real: Vec<PathBuf> = pictures.iter().map(|picture| pictures::identity(&picture.path)).collect();
    shared_folder(&real.iter().filter_map(|path| path.parent()).collect())
}

/// How data sets name pictures, with forward slashes: below the folder that was named where all lie below the same one, else below the
/// folder that holds them all. In both cases there is one folder in which all are found, and no two have the same name.
pub(crate) fn in_data_sets(pictures: &[Picture]) -> Vec<String> {
    let root = |picture: &Picture| {
        let path = std::path::absolute(&picture.path).unwrap_or_else(|_| picture.path.clone());
        path.ancestors().nth(picture.below.components().count()).map(Path::to_path_buf)
    };
    // What is missing is in no data set.
    let roots: HashSet<Option<PathBuf>> = pictures.iter().filter(|picture| picture.path.exists()).map(root).collect();
    if roots.len() <= 1 {
        return pictures.iter().map(|picture| slashed(&picture.below)).collect();
    }
    let common = common_folder(pictures);
    let below =
        |picture: &Picture| pictures::identity(&picture.path).strip_prefix(&common).map_or_else(|_| slashed(&picture.path), slashed);
    pictures.iter().map(below).collect()
}

fn shared_folder(folders: &HashSet<&Path>) -> PathBuf {
    let mut folders = folders.iter();
    let mut common = folders.next().map(|folder| folder.to_path_buf()).unwrap_or_default();
    for folder in folders {
        while !folder.starts_with(&common) && common.pop() {}
    }
    common
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::output) fn alone(path: &str) -> Picture {
        let path = PathBuf::from(path);
        Picture { below: path.file_name().map(PathBuf::from).unwrap_or_default(), path }
    }

    fn of(paths: &[&str]) -> Vec<String> {
        let pictures: Vec<Picture> = paths.iter().map(|path| alone(path)).collect();
        stems(&pictures, &Taken { stems: vec!["coco"], tails: vec![".mask-", ".index"] })
    }

    #[test]
    fn names_stay_apart() {
        assert_eq!(of(&["x/a.jpg", "x/b.jpg"]), ["a", "b"]);
        assert_eq!(of(&["x/a.jpg", "y/a.jpg", "b.jpg"]), ["x/a", "y/a", "b"]);
        assert_eq!(of(&["x/1/a.jpg", "x/2/a.png", "x/a.jpg"]), ["1/a", "2/a", "a"]);
        assert_eq!(of(&["a.jpg", "a.png", "a.jpg.png"]), ["a.jpg", "a.png", "a.jpg-2"]);
        assert_eq!(of(&["a.jpg", "A.jpg"]), ["a.jpg", "A.jpg-2"]);
        assert_eq!(of(&["x/a.jpg", "x/a.png", "y/a.jpg"]), ["x/a.jpg", "x/a.png", "y/a"]);
        assert_eq!(of(&["a.v1.jpg", "a.v2.jpg"]), ["a.v1", "a.v2"]);
        assert_eq!(of(&["coco.jpg"]), ["coco.jpg"]);
        assert_eq!(of(&["a.mask-001.jpg", "a.jpg", "A.index.png"]), ["a.mask-001.jpg", "a", "A.index.png"]);
        assert_eq!(of(&["a.mask-001.jpg", "b.mask-x.jpg", "b.jpg"]), ["a.mask-001", "b.mask-x", "b"]);
    }

    #[test]
    fn one_file_is_one_picture() {
        assert_eq!(of(&["a.jpg", "./a.jpg", "x/../a.jpg"])[..2], ["a", "a"]);
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        assert_eq!(of(&["../../a.jpg", "/a.jpg"]).iter().filter(|stem| stem.contains("..") || stem.starts_with('/')).count(), 0);
    }

    #[test]
    fn folders_are_mirrored() {
        let below = |path: &str, below: &str| Picture { path: path.into(), below: below.into() };
        let pictures = [below("in/a.jpg", "a.jpg"), below("in/s/a.jpg", "s/a.jpg"), below("in/s/t/b.jpg", "s/t/b.jpg")];
        assert_eq!(stems(&pictures, &Taken::default()), ["a", "s/a", "s/t/b"]);
    }
}
