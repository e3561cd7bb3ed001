//! Which pictures the arguments name.

use std::path::{Path, PathBuf};

use maskline::ErrorKind;

use crate::failure::Failure;

/// A picture that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) path: PathBuf,
    pub(crate) below: PathBuf,
}

pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// Pictures that are not read: that a model was meant is less likely than that somebody tries.
const OTHER_EXTENSIONS: [&str; 8] = ["bmp", "gif", "tif", "tiff", "avif", "heic", "jxl", "ppm"];
/// What tells a model's folder from one of pictures.
const MODEL_FILES: [&str; 2] = ["model.safetensors", "config.json"];

/// The model that a command line begins with, unless its first word is a picture, and the pictures behind it.
pub(crate) fn split_model(words: &[String]) -> Result<(Option<&str>, &[String]), Failure> {
    match words {
        [first, ..] if names_pictures(first) => Ok((None, words)),
        [model, pictures @ ..] if !pictures.is_empty() => Ok((Some(model), pictures)),
        _ => {
            let found = words.first().map_or("nothing", String::as_str);
            let message = format!("expected pictures, found only `{found}`, which is read as a model");
            let help = "\n  help: maskline run [MODEL] IMAGES…; pictures end in .jpg, .png or .webp, or are a folder or a pattern of such";
            Err(Failure::new(ErrorKind::InvalidOption, message + help))
        }
    }
}

/// Whether a word means pictures rather than a model.
fn names_pictures(word: &str) -> bool {
    let path = Path::new(word);
    if path.is_dir() {
        return MODEL_FILES.iter().all(|file| !path.join(file).exists());
    }
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let is_of_picture = |e: String| EXTENSIONS.contains(&e.as_str()) || OTHER_EXTENSIONS.contains(&e.as_str());
    extension.is_some_and(is_of_picture) || (!path.exists() && word.contains(['*', '?', '[']))
}

/// Files as they are (also missing ones: each gets its own error), the pictures of folders in order, and globs.
pub(crate) fn pictures(arguments: &[String]) -> Result<Vec<Picture>, Failure> {
    let mut found = Vec::new();
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_dir() {
            found.extend(of_folder(path)?);
        } else if !path.exists() && argument.contains(['*', '?', '[']) {
            found.extend(of_glob(argument)?);
        } else {
            found.push(path.to_path_buf());
        }
    }
    Ok(found.into_iter().map(|path| Picture { below: path.file_name().map(PathBuf::from).unwrap_or_default(), path }).collect())
}

fn of_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| bad(format!("{e}\n  in   {}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_picture(path)).collect();
    files.sort();
    if files.is_empty() {
        return Err(bad(format!("the folder {} holds no pictures ({})", folder.display(), EXTENSIONS.join(", "))));
    }
    Ok(files)
}

fn of_glob(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let paths = glob::glob(pattern).map_err(|e| bad(format!("the pattern `{pattern}` is broken: {e}")))?;
    let files: Vec<PathBuf> = paths.flatten().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(bad(format!("nothing matches `{pattern}`")));
    }
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    path.is_file() && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn bad(message: String) -> Failure {
    Failure::new(ErrorKind::BadInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_word_that_is_no_picture_is_the_model() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<String>>();
        for pictures in [&["a.jpg"][..], &["A.JPEG", "b.png"], &["photos/*.webp"], &["scan.tiff"], &["nano.png"]] {
            let words = words(pictures);
            assert!(matches!(split_model(&words), Ok((None, all)) if all == words), "{pictures:?}");
        }
        for model in ["nano", "yolov8n.safetensors", "yolov8n+nano", "weights/sam.pt", "model.onnx"] {
            let words = words(&[model, "a.jpg", "b.jpg"]);
            assert!(matches!(split_model(&words), Ok((Some(found), rest)) if found == model && rest.len() == 2), "{model}");
        }
        assert!(split_model(&words(&["nano"])).is_err(), "a model alone");
    }
}
