//! Answers in all forms but JSON: as the files that `maskline run` writes.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use maskline::vision::draw::{DrawOptions, annotate_classes, annotate_prompted};
use maskline::vision::write::{
    Answer, CocoAnnotations, EncodedFile, ImageObjects, MaskFormat, MaskOptions, PictureFormat, coco_annotations, coco_category,
    coco_image, encode_masks, encode_picture, yolo_txt,
};
use maskline::{ClassScore, Error, ErrorKind, Object};
use serde_json::{Value, json};

use super::answer::Found;
use super::format::Format;
use crate::fault::Result;

/// What an object is called that nobody has named.
const UNNAMED: &str = "object";
const JPEG: PictureFormat = PictureFormat::Jpeg { quality: 92 };

/// What is written.
pub(super) struct Writing<'a> {
    pub(super) found: &'a Found,
    pub(super) format: Format,
    /// Names of classes by index, as far as there are some.
    pub(super) names: Vec<String>,
    /// YOLO's lines end in the score.
    pub(super) save_conf: bool,
}

impl Writing<'_> {
    /// The answer's bytes. Takes a while for pictures and many masks.
    ///
    /// # Errors
    /// `OverLimit` for what the form cannot hold.
    pub(super) fn bytes(mut self) -> Result<Vec<u8>> {
        let names = std::mem::take(&mut self.names);
        let (objects, classes) = classed(&self.found.objects, names);
        let (width, height) = self.found.picture.image.size();
        let name = self.found.picture.hash.to_string();
        let found = ImageObjects { image_id: 1, width, height, objects: &objects };
        let pixels = self.found.picture.image.pixels();
        let answer = Answer { found, file_name: &name, pixels: Some(pixels), marks: self.found.asked.marks() };
        let masks = |format| encode_masks(format, &answer, &MaskOptions::default()).map_err(Error::from);
        let one = |files: Vec<EncodedFile>| files.into_iter().next().map(|file| file.bytes).unwrap_or_default();
        Ok(match self.format {
            Format::Png => self.overlay(&objects, PictureFormat::Png)?,
            Format::Jpg => self.overlay(&objects, JPEG)?,
            Format::Coco => document(&found, &name, &classes).to_string().into_bytes(),
            Format::Yolo | Format::YoloSeg => yolo_txt(&found, self.save_conf).into_bytes(),
            Format::Masks => zip(masks(MaskFormat::Png)?)?,
            Format::Cutout => zip(masks(MaskFormat::Cutout)?)?,
            Format::PngIndex => one(masks(MaskFormat::PngIndex)?),
            Format::Polygons => one(masks(MaskFormat::Polygons)?),
            Format::Labelme => one(masks(MaskFormat::LabelMe)?),
            Format::LabelStudio => one(masks(MaskFormat::LabelStudio)?),
            Format::Json | Format::CocoRle => one(masks(MaskFormat::CocoRle)?),
        })
    }

    fn overlay(&self, objects: &[Object], format: PictureFormat) -> Result<Vec<u8>> {
        let pixels = self.found.picture.image.pixels();
        let annotated = match &self.found.classes {
            Some(classes) => {
                let named = |class: &ClassScore| (class.label.clone().unwrap_or_else(|| format!("#{}", class.class_id)), class.score);
                annotate_classes(pixels, &classes.iter().map(named).collect::<Vec<_>>())
            }
            None => annotate_prompted(pixels, objects, &self.found.asked.marks(), &DrawOptions::default()),
        };
        // It is the picture that the format cannot hold, not an option that is wrong.
        Ok(encode_picture(&annotated, format).map_err(|error| Error::new(ErrorKind::OverLimit, error.to_string()))?)
    }
}

/// The objects, each of a class, and the names of the classes: what has no number gets that of its name, or a free one.
fn classed(objects: &[Object], names: Vec<String>) -> (Vec<Object>, BTreeMap<usize, String>) {
    let mut classes: BTreeMap<usize, String> = names.into_iter().enumerate().collect();
    let mut objects = objects.to_vec();
    for object in &objects {
        if let Some(id) = object.class_id {
            classes.entry(id).or_insert_with(|| object.label.clone().unwrap_or_else(|| format!("class_{id}")));
        }
    }
    for object in objects.iter_mut().filter(|object| object.class_id.is_none()) {
        let name = object.label.as_deref().unwrap_or(UNNAMED);
        let known = classes.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
        let id = known.or_else(|| (0..).find(|id| !classes.contains_key(id))).unwrap_or_default();
        classes.entry(id).or_insert_with(|| name.to_owned());
        object.class_id = Some(id);
    }
    (objects, classes)
}

/// A COCO data set of one picture.
fn document(found: &ImageObjects<'_>, name: &str, classes: &BTreeMap<usize, String>) -> Value {
    let categories: Vec<Value> = classes.iter().filter_map(|(id, name)| coco_category(*id, name, None)).collect();
    json!({
        "info": {"description": "masks and boxes found by maskline", "version": env!("CARGO_PKG_VERSION")},
        "licenses": [],
        "categories": categories,
        "images": [coco_image(found, name)],
        "annotations": coco_annotations(found, &CocoAnnotations::default()),
    })
}

/// Files as one: they are compressed already.
fn zip(files: Vec<EncodedFile>) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Failed, format!("the files cannot be put together: {error}"));
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for EncodedFile { suffix, bytes } in files {
        zip.start_file(suffix.trim_start_matches('.'), stored).map_err(|error| failed(&error))?;
        zip.write_all(&bytes).map_err(|error| failed(&error))?;
    }
    Ok(zip.finish().map_err(|error| failed(&error))?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_gets_a_class_of_its_name() {
        let object = |label: Option<&str>, class_id| Object { label: label.map(str::to_owned), class_id, ..Object::default() };
        let given = [object(Some("mug"), None), object(None, Some(3)), object(Some("bus"), None), object(None, None)];
        let (objects, classes) = classed(&given, vec!["person".into(), "bus".into()]);
        assert_eq!(objects.iter().map(|object| object.class_id).collect::<Vec<_>>(), [Some(2), Some(3), Some(1), Some(4)]);
        let names: Vec<&str> = classes.values().map(String::as_str).collect();
        assert_eq!(names, ["person", "bus", "mug", "class_3", "object"]);
    }
}
