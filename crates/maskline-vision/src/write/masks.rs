//! One answer in the format that the user asks for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;

use super::png::{cutout_png, index_png, mask_png};
use super::{
    Answer, LabelMeShapes, LabelStudioNames, PictureFormat, coco_results, coco_rle, encode_picture, is_finite, label_studio, labelme,
    polygons, write_atomically, yolo_txt,
};
use crate::draw::{DrawOptions, annotate_prompted};
use crate::limits::mask_pixels;
use crate::{Error, Mask, Result, RgbImage};

/// A format for the answer to one picture. Parsed from and shown as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MaskFormat {
    /// `coco-rle`: objects with compressed run lengths, `<stem>.rle.json` ([`coco_rle`]).
    CocoRle,
    /// `coco`: COCO's list of results, `<stem>.coco.json` ([`coco_results`]).
    Coco,
    /// `png-index`: one picture of object numbers, `<stem>.index.png`. 0 is the background and 1 the first object of the list;
    /// where masks overlap, the higher score wins, of equal ones the later. Up to 255 objects: 8 bits with the palette of
    /// [`voc_palette`](super::voc_palette); up to 65535: 16 bits of grey.
    PngIndex,
    /// `png`: 0 and 255 in 8 bits of grey, a file per object, `<stem>.mask-001.png`.
    Png,
    /// `cutout`: the picture's colours where the mask is set, transparent elsewhere, cut to the mask's bounds; a file per
    /// object, `<stem>.cutout-001.png`. The colours under transparent pixels stay in the file.
    Cutout,
    /// `polygons`: outlines with holes and their IoU with the mask, `<stem>.polygons.json` ([`polygons`]).
    Polygons,
    /// `labelme`: LabelMe's annotations, `<stem>.json` ([`labelme`]).
    LabelMe,
    /// `yolo-seg`: YOLO's labels, `<stem>.txt` ([`yolo_txt`]).
    YoloSeg,
    /// `label-studio`: a task with predictions, `<stem>.label-studio.json` ([`label_studio`]).
    LabelStudio,
    /// `overlay`: the picture with masks and prompts painted over it, `<stem>.overlay.png` or `.jpg`
    /// ([`annotate_prompted`]).
    Overlay,
}

impl MaskFormat {
    /// Every format.
    pub const ALL: [Self; 10] = [
        Self::CocoRle,
        Self::Coco,
        Self::PngIndex,
        Self::Png,
        Self::Cutout,
        Self::Polygons,
        Self::LabelMe,
        Self::YoloSeg,
        Self::LabelStudio,
        Self::Overlay,
    ];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::CocoRle => "coco-rle",
            Self::Coco => "coco",
            Self::PngIndex => "png-index",
            Self::Png => "png",
            Self::Cutout => "cutout",
            Self::Polygons => "polygons",
            Self::LabelMe => "labelme",
            Self::YoloSeg => "yolo-seg",
            Self::LabelStudio => "label-studio",
            Self::Overlay => "overlay",
        }
    }

    /// Whether [`Answer::pixels`] must be given.
    pub fn needs_pixels(self) -> bool {
        matches!(self, Self::Cutout | Self::Overlay)
    }
}

impl fmt::Display for MaskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for MaskFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let unknown = || Error::invalid("mask format").with_expected(format!("one of {}", names())).with_found(format!("{text:?}"));
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(unknown)
    }
}

/// Options of [`write_masks`]; each format looks at its own.
#[derive(Debug, Clone)]
pub struct MaskOptions<'a> {
    /// `polygons`, `labelme`: pixels that a polygon may leave its mask's edges. 0 keeps every pixel.
    pub tolerance: f32,
    /// `coco`: category ids by class index, as [`COCO_91`](super::COCO_91).
    pub category_ids: Option<&'a [i64]>,
    /// `cutout`: as large as the picture.
    pub whole_frame: bool,
    /// `labelme`: polygons or masks.
    pub labelme: LabelMeShapes,
    /// `label-studio`: the names of the project's tags.
    pub label_studio: LabelStudioNames<'a>,
    /// `yolo-seg`: scores at the ends of the lines, as results have them and labels do not.
    pub yolo_scores: bool,
    /// `overlay`: what is drawn.
    pub draw: DrawOptions,
    /// `overlay`: PNG or JPEG.
    pub picture: PictureFormat,
}

impl Default for MaskOptions<'_> {
    fn default() -> Self {
        Self {
            tolerance: 1.0,
            category_ids: None,
            whole_frame: false,
            labelme: LabelMeShapes::Auto,
            label_studio: LabelStudioNames::default(),
            yolo_scores: false,
            draw: DrawOptions { mask_tags: true, ..DrawOptions::default() },
            picture: PictureFormat::Png,
        }
    }
}

/// A file that is not written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFile {
    /// What follows the stem in the file's name, as `.mask-001.png`.
    pub suffix: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Writes one answer; returns the files. `stem` is the folder and the picture's name without its extension, as `out/photo`;
/// see [`MaskFormat`] for what is appended. Existing files are replaced, each in one step; nothing is written unless
/// everything could be encoded. Numbered files count the objects of the list from 1; those without a mask or with an empty
/// one have none. Files with higher numbers that an earlier answer left stay.
///
/// # Errors
/// As [`encode_masks`]; `Io` as [`write_atomically`].
pub fn write_masks(format: MaskFormat, answer: &Answer<'_>, stem: &Path, options: &MaskOptions<'_>) -> Result<Vec<PathBuf>> {
    let named = |file: EncodedFile| {
        // Not `with_extension`, which would cut `photo.v2`.
        let mut path = stem.as_os_str().to_owned();
        path.push(&file.suffix);
        (PathBuf::from(path), file.bytes)
    };
    let files = encode_masks(format, answer, options).map_err(|error| error.at(stem))?;
    files.into_iter().map(named).map(|(path, bytes)| write_atomically(&path, &bytes).map(|()| path)).collect()
}

/// The files that [`write_masks`] writes, for those who send them elsewhere.
///
/// # Errors
/// `InvalidArgument` for a mask or pixels of another size than the picture, a missing picture, a tolerance that is negative or
/// not finite, and as [`encode_picture`]; `TooLarge` for pictures above
/// [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS), for more than 65535 objects in one index picture, and for masks
/// of 2^30 pixels in `label-studio`.
pub fn encode_masks(format: MaskFormat, answer: &Answer<'_>, options: &MaskOptions<'_>) -> Result<Vec<EncodedFile>> {
    check(answer, options)?;
    let single = |suffix: &str, bytes: Vec<u8>| vec![EncodedFile { suffix: suffix.to_owned(), bytes }];
    let json = |value: &Value| (value.to_string() + "\n").into_bytes();
    Ok(match format {
        MaskFormat::CocoRle => single(".rle.json", json(&coco_rle(answer))),
        MaskFormat::Coco => single(".coco.json", json(&coco_results(&[answer.found], options.category_ids))),
        MaskFormat::PngIndex => single(".index.png", index_png(answer)?),
        MaskFormat::Png => per_object(answer, "mask", |mask, _| mask_png(mask, None, u8::MAX))?,
        MaskFormat::Cutout => {
            let image = pixels_of(format, answer)?;
            let whole = [0, 0, image.width(), image.height()];
            per_object(answer, "cutout", |mask, bounds| cutout_png(image, mask, if options.whole_frame { whole } else { bounds }))?
        }
        MaskFormat::Polygons => single(".polygons.json", json(&polygons(answer, options.tolerance)?)),
        MaskFormat::LabelMe => single(".json", json(&labelme(answer, options.tolerance, options.labelme)?)),
        MaskFormat::YoloSeg => single(".txt", yolo_txt(&answer.found, options.yolo_scores).into_bytes()),
        MaskFormat::LabelStudio => single(".label-studio.json", json(&label_studio(answer, &options.label_studio)?)),
        MaskFormat::Overlay => {
            let drawn = annotate_prompted(pixels_of(format, answer)?, answer.found.objects, &answer.marks, &options.draw);
            let suffix = if options.picture == PictureFormat::Png { ".overlay.png" } else { ".overlay.jpg" };
            single(suffix, encode_picture(&drawn, options.picture)?)
        }
    })
}

/// A file for every mask that has pixels; `encode` gets the mask and its bounds.
fn per_object(answer: &Answer<'_>, kind: &str, encode: impl Fn(&Mask, [usize; 4]) -> Result<Vec<u8>>) -> Result<Vec<EncodedFile>> {
    let finite = answer.found.objects.iter().enumerate().filter(|(_, object)| is_finite(object));
    let masks = finite.filter_map(|(place, object)| object.mask.as_ref().and_then(|mask| Some((place + 1, mask, mask.bounds()?))));
    let file = |(number, mask, bounds)| Ok(EncodedFile { suffix: format!(".{kind}-{number:03}.png"), bytes: encode(mask, bounds)? });
    masks.map(file).collect()
}

fn pixels_of<'a>(format: MaskFormat, answer: &Answer<'a>) -> Result<&'a RgbImage> {
    let missing = || Error::invalid(format.to_string()).with_expected("the picture's pixels").with_found("none");
    answer.pixels.ok_or_else(missing)
}

fn check(answer: &Answer<'_>, options: &MaskOptions<'_>) -> Result<()> {
    let [width, height] = [answer.found.width, answer.found.height];
    mask_pixels(width, height)?;
    for (index, mask) in answer.found.objects.iter().enumerate().filter_map(|(index, object)| Some((index, object.mask.as_ref()?))) {
        if [mask.width(), mask.height()] != [width, height] {
            let error = Error::invalid(format!("mask of object {index}")).with_expected(format!("{width} × {height}"));
            return Err(error.with_found(format!("{} × {}", mask.width(), mask.height())));
        }
    }
    if let Some(image) = answer.pixels.filter(|image| image.size() != (width, height)) {
        let error = Error::invalid("pixels").with_expected(format!("a picture of {width} × {height}"));
        return Err(error.with_found(format!("{} × {}", image.width(), image.height())));
    }
    if !(options.tolerance >= 0.0 && options.tolerance.is_finite()) {
        let error = Error::invalid("tolerance").with_expected("pixels from 0 up");
        return Err(error.with_found(options.tolerance.to_string()));
    }
    Ok(())
}
