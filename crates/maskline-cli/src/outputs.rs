//! What `run` writes into its folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use maskline::vision::draw::{DrawOptions, Marks, annotate_classes, annotate_prompted};
use maskline::vision::write::{
    COCO_91, ImageObjects, MaskFormat, MaskOptions, PictureFormat, coco_results, save_picture, write_atomically, write_masks, yolo_txt,
};
use maskline::{ClassScore, ErrorKind, Image, Object};
use serde_json::Value;

use crate::args::{Format, Run};
use crate::failure::Failure;
use crate::terminal;

/// Folder for results where none is given.
pub(crate) const FOLDER: &str = "maskline-out";

/// What was found in one picture, and what was asked.
pub(crate) struct Answer<'a> {
    pub(crate) objects: &'a [Object],
    pub(crate) classes: Option<&'a [ClassScore]>,
    pub(crate) marks: Marks<'a>,
}

/// The folder and what has been gathered for files that hold all pictures.
pub(crate) struct Outputs {
    folder: PathBuf,
    formats: Vec<Format>,
    names: HashSet<PathBuf>,
    lines: String,
    coco: Vec<Value>,
    pictures: i64,
    quiet: bool,
}

impl Outputs {
    /// Makes the folder, so that a wrong one is told before anything is computed.
    /// Of a model that was not named (`is_first_try`) masks are written beside the overlay.
    pub(crate) fn open(arguments: &Run, is_first_try: bool) -> Result<Self, Failure> {
        let mut formats = arguments.format.clone();
        if formats.is_empty() && (!arguments.json || arguments.output.is_some()) {
            formats.push(Format::Jpg);
            if is_first_try {
                formats.push(Format::Masks);
            }
        }
        let folder = arguments.output.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
        if !formats.is_empty() {
            let unwritable = |error: std::io::Error| {
                let message = format!("the output folder cannot be written: {error}\n  in   {}", folder.display());
                Failure::new(ErrorKind::Io, message + "\n  help: give another one with -o DIR")
            };
            std::fs::create_dir_all(&folder).map_err(unwritable)?;
            // A file that comes and goes tells what permissions alone do not.
            let probe = folder.join(format!(".maskline-{}", std::process::id()));
            std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(unwritable)?;
        }
        let (lines, coco, names) = (String::new(), Vec::new(), HashSet::new());
        Ok(Self { folder, formats, names, lines, coco, pictures: 0, quiet: arguments.json || arguments.repeat > 1 })
    }

    /// Writes or gathers one picture's answer.
    pub(crate) fn write(&mut self, path: &Path, image: &Image, answer: &Answer<'_>) -> Result<(), Failure> {
        self.pictures += 1;
        let (width, height) = image.size();
        let all = ImageObjects { image_id: image_id(path, self.pictures), width, height, objects: answer.objects };
        for format in self.formats.clone() {
            match format {
                Format::Jpg => self.picture(path, (image, answer), ("jpg", PictureFormat::Jpeg { quality: 92 }))?,
                Format::Png => self.picture(path, (image, answer), ("png", PictureFormat::Png))?,
                Format::Yolo => {
                    let target = self.target(path, "txt");
                    write_atomically(&target, yolo_txt(&all, true).as_bytes())?;
                    self.tell(&target);
                }
                Format::Coco => self.gather(&all, None),
                Format::Coco91 => self.gather(&all, Some(&COCO_91)),
                Format::Json => {}
                Format::CocoRle => self.masks(path, (image, answer, &all), (MaskFormat::CocoRle, "rle.json"))?,
                Format::PngIndex => self.masks(path, (image, answer, &all), (MaskFormat::PngIndex, "index.png"))?,
                Format::Masks => self.masks(path, (image, answer, &all), (MaskFormat::Png, "mask-001.png"))?,
                Format::Cutout => self.masks(path, (image, answer, &all), (MaskFormat::Cutout, "cutout-001.png"))?,
                Format::Polygons => self.masks(path, (image, answer, &all), (MaskFormat::Polygons, "polygons.json"))?,
                Format::Labelme => self.masks(path, (image, answer, &all), (MaskFormat::LabelMe, "json"))?,
                Format::YoloSeg => self.masks(path, (image, answer, &all), (MaskFormat::YoloSeg, "txt"))?,
            }
        }
        Ok(())
    }

    /// Writes one of the formats for masks; `ending` tells names apart.
    fn masks(
        &mut self,
        path: &Path,
        (image, answer, all): (&Image, &Answer<'_>, &ImageObjects<'_>),
        (format, ending): (MaskFormat, &str),
    ) -> Result<(), Failure> {
        let target = self.target(path, ending);
        let text = target.to_string_lossy();
        let stem = PathBuf::from(text.strip_suffix(&format!(".{ending}")).unwrap_or(&text));
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let answer = maskline::vision::write::Answer {
            found: *all,
            file_name: &absolute.to_string_lossy(),
            pixels: Some(image.pixels()),
            marks: answer.marks,
        };
        for file in write_masks(format, &answer, &stem, &MaskOptions::default())? {
            self.tell(&file);
        }
        Ok(())
    }

    /// Gathers one line of `results.jsonl`.
    pub(crate) fn line(&mut self, line: &Value) -> Result<(), Failure> {
        if self.formats.contains(&Format::Json) {
            self.lines += &format!("{line}\n");
        }
        Ok(())
    }

    /// Writes the files that hold all pictures.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.formats.contains(&Format::Json) {
            let target = self.folder.join("results.jsonl");
            write_atomically(&target, self.lines.as_bytes())?;
            self.tell(&target);
        }
        if self.formats.contains(&Format::Coco) || self.formats.contains(&Format::Coco91) {
            let target = self.folder.join("coco.json");
            write_atomically(&target, Value::Array(self.coco.clone()).to_string().as_bytes())?;
            self.tell(&target);
        }
        Ok(())
    }

    fn gather(&mut self, all: &ImageObjects<'_>, categories: Option<&[i64]>) {
        if let Value::Array(results) = coco_results(std::slice::from_ref(all), categories) {
            self.coco.extend(results);
        }
    }

    fn picture(
        &mut self,
        path: &Path,
        (image, answer): (&Image, &Answer<'_>),
        (extension, format): (&str, PictureFormat),
    ) -> Result<(), Failure> {
        let drawn = match answer.classes {
            Some(classes) => {
                let named = |c: &maskline::ClassScore| (c.label.clone().unwrap_or_else(|| format!("#{}", c.class_id)), c.score);
                annotate_classes(image.pixels(), &classes.iter().map(named).collect::<Vec<_>>())
            }
            None => annotate_prompted(image.pixels(), answer.objects, &answer.marks, &DrawOptions::default()),
        };
        let target = self.target(path, extension);
        save_picture(&target, &drawn, format)?;
        self.tell(&target);
        Ok(())
    }

    /// `<folder>/<stem>.<extension>`; numbered where another picture has the name, and never the picture itself.
    fn target(&mut self, path: &Path, extension: &str) -> PathBuf {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let own = path.canonicalize().ok();
        let mut target = self.folder.join(format!("{stem}.{extension}"));
        let mut number = 1;
        while self.names.contains(&target) || (own.is_some() && target.canonicalize().ok() == own) {
            number += 1;
            target = self.folder.join(format!("{stem}-{number}.{extension}"));
        }
        self.names.insert(target.clone());
        target
    }

    fn tell(&self, target: &Path) {
        if !self.quiet {
            terminal::say(&format!("wrote {}", target.display()));
        }
    }
}

/// COCO's picture id: the number that the file is named by, as in `000000000139.jpg`, else the place in the list.
fn image_id(path: &Path, place: i64) -> i64 {
    path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).unwrap_or(place)
}
