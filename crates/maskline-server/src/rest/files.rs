//! Answers in all forms but JSON: as the files that `maskline run` writes.

use std::io::{Cursor, Write};

use axum::http::HeaderValue;
use maskline::vision::draw::Marks;
use maskline::vision::write::{
    Answer, FileFormat, FileOptions, GivenClass, ImageObjects, LabelStudioNames, class_names, encode_files, gathered_part, label_studio,
    number_in_name, numbered, write_gathered, yolo_files,
};
use maskline::{ClassScore, Error, ErrorKind, Image, Object};

use super::format::Format;
use crate::fault::{Fault, Result};
use crate::pictures::PictureHash;

/// Longest name of a file, in bytes: that of most file systems.
const LONGEST_NAME: usize = 255;

/// What files call the picture that they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PictureName {
    /// With its ending: `photo.jpg`.
    pub(super) whole: String,
    /// Without: what the names of the files begin with.
    stem: String,
    /// Whether somebody chose it.
    is_given: bool,
}

impl PictureName {
    /// From what a caller says.
    ///
    /// # Errors
    /// `BadRequest` for what is no name of a file.
    pub(super) fn of(name: &str) -> Result<Self> {
        let is_strange = |letter: char| letter.is_control() || matches!(letter, '/' | '\\');
        if name.is_empty() || name.len() > LONGEST_NAME || matches!(name, "." | "..") || name.contains(is_strange) {
            let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
            let fault = Fault::bad("name", format!("a file's name of at most {LONGEST_NAME} bytes, without folders"), format!("`{shown}`"));
            return Err(fault.with_help("photo.jpg"));
        }
        // A name that begins with its only dot has no ending.
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem });
        Ok(Self { whole: name.to_owned(), stem: stem.to_owned(), is_given: true })
    }

    /// Where nobody says one.
    pub(super) fn of_hash(hash: PictureHash) -> Self {
        Self { whole: hash.to_string(), stem: hash.to_string(), is_given: false }
    }

    /// The name of a file about the picture, which ends like this; without a name for the picture, the end alone.
    pub(super) fn file_name(name: Option<&Self>, ending: &str) -> String {
        match name.filter(|name| name.is_given) {
            Some(name) => format!("{}{ending}", name.stem),
            None => ending.trim_start_matches('.').to_owned(),
        }
    }
}

/// A file, which is sent or put into a zip.
pub(super) struct NamedFile {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// What is written.
pub(super) struct Writing<'a> {
    pub(super) image: &'a Image,
    pub(super) objects: &'a [Object],
    /// Of a classifier.
    pub(super) ranked: Option<&'a [ClassScore]>,
    /// What was asked.
    pub(super) marks: Marks<'a>,
    pub(super) name: &'a PictureName,
    /// Names of classes by index, as far as there are some.
    pub(super) known: &'a [String],
    /// Keypoints of an object.
    pub(super) keypoints: Option<usize>,
    /// YOLO's lines end in the score.
    pub(super) has_scores: bool,
}

impl Writing<'_> {
    /// What a model's endpoint answers: one file, without those that go along with it. Takes a while for pictures and many masks.
    ///
    /// # Errors
    /// `OverLimit` for what the form cannot hold.
    pub(super) fn answer(&self, format: Format) -> Result<Vec<u8>> {
        match format {
            Format::Masks | Format::Cutout => zip(self.files(format.of_files())?),
            Format::LabelStudio => {
                let objects = numbered(self.objects, &self.classes()?);
                let task = label_studio(&self.about(&objects), &LabelStudioNames::default()).map_err(Error::from)?;
                Ok(format!("{task}\n").into_bytes())
            }
            _ => Ok(self.files(format.of_files())?.into_iter().next().map(|file| file.bytes).unwrap_or_default()),
        }
    }

    /// The files that the command line writes.
    ///
    /// # Errors
    /// `OverLimit` for what the form cannot hold; `BadRequest` for classes that have too high a number.
    pub(super) fn files(&self, format: FileFormat) -> Result<Vec<NamedFile>> {
        let classes = self.classes()?;
        let objects = numbered(self.objects, &classes);
        let answer = self.about(&objects);
        if let Some(name) = format.gathered_file() {
            let part = gathered_part(format, &answer, &self.name.whole).map_err(Error::from)?;
            let mut bytes = Vec::new();
            write_gathered(format, &mut bytes, &classes, || Ok(Box::new(std::iter::once(Ok(part.clone()))))).map_err(unwritten)?;
            return Ok(vec![NamedFile { name: name.to_owned(), bytes }]);
        }
        let ranked = self.ranked.map(|classes| classes.iter().map(ClassScore::shown).collect::<Vec<_>>());
        let options = FileOptions { classes: ranked.as_deref(), has_scores: self.has_scores };
        let files = encode_files(format, &answer, &options).map_err(Error::from)?;
        // As seen from the folder of the picture.
        let beside = if format.is_yolo() { yolo_files(&classes, ".", self.keypoints).to_vec() } else { Vec::new() };
        let name = |suffix: &str| {
            let name = PictureName::file_name(Some(self.name), suffix);
            // A picture that is called like another of the files makes way.
            let is_taken = beside.iter().any(|(other, _)| name.eq_ignore_ascii_case(other));
            if is_taken { format!("{}{suffix}", self.name.whole) } else { name }
        };
        let own: Vec<NamedFile> = files.into_iter().map(|file| NamedFile { name: name(&file.suffix), bytes: file.bytes }).collect();
        Ok(own
            .into_iter()
            .chain(beside.iter().map(|(name, text)| NamedFile { name: (*name).to_owned(), bytes: text.as_bytes().to_vec() }))
            .collect())
    }

    fn classes(&self) -> Result<Vec<String>> {
        let given = class_names(self.known, self.objects.iter().map(GivenClass::of));
        Ok(given.map_err(|error| Error::from(error).of_kind(ErrorKind::BadInput).named("objects"))?)
    }

    fn about<'o>(&'o self, objects: &'o [Object]) -> Answer<'o> {
        let (width, height) = self.image.size();
        let image_id = number_in_name(&self.name.stem).unwrap_or(1);
        let found = ImageObjects { image_id, width, height, objects };
        Answer { found, file_name: &self.name.whole, pixels: Some(self.image.pixels()), marks: self.marks }
    }
}

fn unwritten(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Failed, format!("the files cannot be put together: {error}"))
}

/// Files as one: they are compressed already.
///
/// # Errors
/// `Failed`.
pub(super) fn zip(files: Vec<NamedFile>) -> Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for NamedFile { name, bytes } in files {
        zip.start_file(name, stored).map_err(unwritten)?;
        zip.write_all(&bytes).map_err(unwritten)?;
    }
    Ok(zip.finish().map_err(unwritten)?.into_inner())
}

/// The header by which a file is kept under its name (RFC 6266): once in the letters that every client reads, and whole where there are others.
pub(super) fn attachment(name: &str) -> HeaderValue {
    let plain: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let mut text = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        text += "; filename*=UTF-8''";
        for byte in name.bytes() {
            let is_unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            text += &if is_unreserved { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        }
    }
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

fn is_plain(letter: char) -> bool {
    letter == ' ' || (letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_file_and_no_way_to_another_folder() {
        let stem = |name| PictureName::of(name).map(|name| name.stem).ok();
        assert_eq!(stem("photo.jpg").as_deref(), Some("photo"));
        assert_eq!(stem("a.v2.tar.gz").as_deref(), Some("a.v2.tar"));
        assert_eq!(stem(".jpg").as_deref(), Some(".jpg"));
        for name in ["", ".", "..", "../a.jpg", "a/b.jpg", "a\\b.jpg", "a\nb.jpg", &"a".repeat(256)] {
            assert_eq!(stem(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_file_is_kept_under_its_name_in_whatever_letters() {
        assert_eq!(attachment("photo.rle.json"), "attachment; filename=\"photo.rle.json\"");
        assert_eq!(attachment("ö\"a.json"), "attachment; filename=\"__a.json\"; filename*=UTF-8''%C3%B6%22a.json");
    }
}
