//! Which word of `maskline run` is the model.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;

use maskline::vision::decode::{EXTENSIONS, UNREAD_EXTENSIONS};
use maskline::{Error, ErrorKind, ModelSource};
use maskline_hub as hub;

use super::{ending, has_wildcard};
use crate::failure::Failure;
use crate::model::is_architecture;

/// Endings of files that are models.
const MODEL_EXTENSIONS: [&str; 6] = ["safetensors", "pt", "pth", "onnx", "ckpt", "torchscript"];
/// What tells a model's folder from one of pictures.
const MODEL_FILES: [&str; 2] = ["model.safetensors", "config.json"];
/// Bytes that pictures begin with.
const MAGIC: [&[u8]; 6] = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*"];

/// The model that a command line begins with, unless its first word is a picture, and the pictures behind it.
///
/// # Errors
/// `InvalidOption` where pictures are missing, or a model stands where pictures are expected; `BadInput` for a single word that names
/// nothing.
pub(crate) fn split_model(words: &[OsString]) -> Result<(Option<&OsStr>, &[OsString]), Failure> {
    match words {
        [first, rest @ ..] if names_pictures(first) => match rest.iter().find(|word| names_model(word)) {
            Some(model) => Err(swapped(model, words)),
            None => Ok((None, words)),
        },
        [model, pictures @ ..] if !pictures.is_empty() => match pictures.iter().find(|word| names_model(word)) {
            Some(other) => Err(two_models(model, other)),
            None => Ok((Some(model), pictures)),
        },
        [word] => Err(alone(word)),
        _ => Err(invalid("").expecting("pictures").but_found("nothing").with_help(HOW).into()),
    }
}

const HOW: &str =
    "maskline run [MODEL] IMAGES…; pictures are files, folders of pictures, patterns such as 'photos/*.jpg', or lists: @list.txt";

/// Whether a word means pictures rather than a model.
fn names_pictures(word: &OsStr) -> bool {
    let path = Path::new(word);
    if path.is_dir() {
        return MODEL_FILES.iter().all(|file| !path.join(file).exists());
    }
    let ending = ending(path);
    if EXTENSIONS.contains(&ending.as_str()) || UNREAD_EXTENSIONS.contains(&ending.as_str()) {
        return true;
    }
    if path.exists() {
        return !MODEL_EXTENSIONS.contains(&ending.as_str()) && begins_like_a_picture(path);
    }
    has_wildcard(word) || word.as_encoded_bytes().starts_with(b"@")
}

/// A photo without an ending is still a photo.
fn begins_like_a_picture(path: &Path) -> bool {
    let mut start = Vec::new();
    // A pipe would be emptied by looking at it.
    let is_read = path.is_file() && std::fs::File::open(path).is_ok_and(|file| file.take(12).read_to_end(&mut start).is_ok());
    is_read && (MAGIC.iter().any(|magic| start.starts_with(magic)) || (start.starts_with(b"RIFF") && start.ends_with(b"WEBP")))
}

/// Whether a word can only mean a model: by its ending, or by a name that is known.
fn names_model(word: &OsStr) -> bool {
    let path = Path::new(word);
    if path.is_dir() {
        return path.join(MODEL_FILES[0]).exists();
    }
    let is_known = |name: &str| ModelSource::carried(name).is_some() || hub::find(name).is_some() || is_architecture(name);
    let is_named = || word.to_str().is_some_and(|word| word.split('+').all(is_known));
    MODEL_EXTENSIONS.contains(&ending(path).as_str()) || (!path.exists() && is_named())
}

fn swapped(model: &OsStr, words: &[OsString]) -> Failure {
    let pictures: Vec<&OsStr> = words.iter().map(OsString::as_os_str).filter(|word| *word != model).collect();
    let shown = |words: &[&OsStr]| words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let (name, first) = (model.to_string_lossy(), shown(&pictures[..pictures.len().min(1)]));
    let more = if pictures.len() > 1 { " …" } else { "" };
    let error = invalid(format!("`{name}` is a model, and stands behind the picture `{first}`: the model comes first"));
    error.with_help(format!("maskline run {name} {first}{more}")).into()
}

fn two_models(model: &OsStr, other: &OsStr) -> Failure {
    let (model, other) = (model.to_string_lossy(), other.to_string_lossy());
    let error = invalid("").expecting(format!("pictures behind the model `{model}`")).but_found(format!("another model: `{other}`"));
    error.with_help(format!("a detector and a promptable model are joined by a plus: maskline run {model}+{other} IMAGES…")).into()
}

/// The error for a single word that is no picture.
fn alone(word: &OsStr) -> Failure {
    let name = word.to_string_lossy();
    if !Path::new(word).exists() && !names_model(word) && !name.contains('+') {
        let found = format!("`{name}`, which is neither a file nor a model");
        return Error::new(ErrorKind::BadInput, "no such picture").expecting("pictures").but_found(found).with_help(HOW).into();
    }
    let error = invalid("").expecting("pictures").but_found(format!("only `{name}`, which is read as a model"));
    error.with_help(format!("name pictures behind it: maskline run {name} photo.jpg\n        ({HOW})")).into()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOption, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    fn refused(line: &[&str]) -> String {
        let Err(Failure::Error(error)) = split_model(&words(line)) else { panic!("{line:?}") };
        error.to_string()
    }

    #[test]
    fn a_first_word_that_is_no_picture_is_the_model() {
        let lines = [
            &["a.jpg"][..],
            &["A.JPEG", "b.png"],
            &["photos/*.webp"],
            &["scan.tiff"],
            &["nano.png"],
            &["a.JFIF"],
            &["a.bmp", "b.gif"],
            &["@list.txt"],
            &["scan.heic"],
        ];
        for pictures in lines {
            let words = words(pictures);
            assert!(matches!(split_model(&words), Ok((None, all)) if all == words), "{pictures:?}");
        }
        for model in ["nano", "yolov8n.safetensors", "yolov8n+nano", "weights/sam.pt", "model.onnx"] {
            let words = words(&[model, "a.jpg", "b.jpg"]);
            assert!(matches!(split_model(&words), Ok((Some(found), rest)) if found == model && rest.len() == 2), "{model}");
        }
    }

    #[test]
    fn words_in_the_wrong_place_are_told() {
        assert!(refused(&["nano"]).contains("maskline run nano photo.jpg"));
        assert!(refused(&["some.safetensors"]).contains("read as a model"));
        for model in ["model.safetensors", "nano", "sam2.1-tiny", "yolov8n+nano", "yolov8n-obb", "x.onnx"] {
            let message = refused(&["a.jpg", model]);
            assert!(message.contains("comes first") && message.contains(&format!("maskline run {model} a.jpg")), "{message}");
        }
        assert!(refused(&["a.jpg", "b.jpg", "x.pt"]).contains("maskline run x.pt a.jpg …"));
        assert!(refused(&["yolov8n.pt", "sam.pt", "a.jpg"]).contains("yolov8n.pt+sam.pt"));
        assert!(refused(&["nosuch"]).contains("no such picture"));
    }

    #[test]
    fn a_photo_without_an_ending_is_a_photo() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(name), bytes).unwrap();
            names_pictures(folder.path().join(name).as_os_str())
        };
        assert!(file("IMG_0001", b"\xff\xd8\xff\xe0and so on") && file("picture", b"RIFF\x01\x02\x03\x04WEBPVP8 "));
        assert!(!file("notes", b"hello") && !file("weights", b"RIFF\x01\x02\x03\x04WAVEfmt ") && !file("empty", b""));
        assert!(!file("x.pt", b"\xff\xd8\xff\xe0"), "an ending of models goes before the content");
    }
}
