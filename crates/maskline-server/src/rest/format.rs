//! The forms of answers: their names, their media types, and which one a request gets.

use maskline::vision::write::{FileFormat, has_coco_classes};
use maskline::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Way;
use crate::fault::{Fault, Reason, Result};

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// Objects or classes, with timings.
    Json,
    /// Objects with masks as run lengths.
    CocoRle,
    /// A COCO data set of the one picture.
    Coco,
    /// COCO's results, with the numbers of that data set.
    CocoResults,
    /// The same with COCO's own category ids, 1 to 90.
    Coco91,
    /// LabelMe's annotations.
    Labelme,
    /// A task with predictions for Label Studio.
    LabelStudio,
    /// Outlines with holes.
    Polygons,
    /// YOLO's labels.
    Yolo,
    /// YOLO's segments.
    YoloSeg,
    /// One PNG of object numbers.
    PngIndex,
    /// The picture with what was found drawn over it.
    Png,
    /// The same as a JPEG.
    Jpg,
    /// One black and white PNG per object, in a zip.
    Masks,
    /// One PNG per object with the rest transparent, in a zip.
    Cutout,
}

impl Format {
    pub(super) const ALL: [Self; 15] = [
        Self::Json,
        Self::CocoRle,
        Self::Coco,
        Self::CocoResults,
        Self::Coco91,
        Self::Labelme,
        Self::LabelStudio,
        Self::Polygons,
        Self::Yolo,
        Self::YoloSeg,
        Self::PngIndex,
        Self::Png,
        Self::Jpg,
        Self::Masks,
        Self::Cutout,
    ];

    /// The format of the files.
    pub(super) fn of_files(self) -> FileFormat {
        match self {
            Self::Json => FileFormat::Json,
            Self::CocoRle => FileFormat::CocoRle,
            Self::Coco => FileFormat::Coco,
            Self::CocoResults => FileFormat::CocoResults,
            Self::Coco91 => FileFormat::Coco91,
            Self::Labelme => FileFormat::LabelMe,
            Self::LabelStudio => FileFormat::LabelStudio,
            Self::Polygons => FileFormat::Polygons,
            Self::Yolo => FileFormat::Yolo,
            Self::YoloSeg => FileFormat::YoloSeg,
            Self::PngIndex => FileFormat::PngIndex,
            Self::Png => FileFormat::Png,
            Self::Jpg => FileFormat::Jpg,
            Self::Masks => FileFormat::Masks,
            Self::Cutout => FileFormat::Cutout,
        }
    }

    /// Name, as on the command line.
    pub(super) fn name(self) -> &'static str {
        self.of_files().name()
    }

    /// The format of a name.
    ///
    /// # Errors
    /// `NotAcceptable` with those that there are.
    pub(super) fn of_name(name: &str, formats: &[Self]) -> Result<Self> {
        let known = formats.iter().find(|format| format.name() == name);
        known.copied().ok_or_else(|| not_acceptable(format!("format `{}`", name.chars().take(40).collect::<String>()), formats))
    }

    /// Media type. Several files are one zip: every language opens it, `curl -o` writes it, and no client reads `multipart/mixed`.
    pub(super) fn media(self) -> &'static str {
        match self {
            Self::Json | Self::CocoRle | Self::Coco | Self::CocoResults | Self::Coco91 => "application/json",
            Self::Labelme | Self::LabelStudio | Self::Polygons => "application/json",
            Self::Yolo | Self::YoloSeg => "text/plain; charset=utf-8",
            Self::PngIndex | Self::Png => "image/png",
            Self::Jpg => "image/jpeg",
            Self::Masks | Self::Cutout => ZIP,
        }
    }

    /// Whether it holds masks and nothing else.
    pub(super) fn needs_masks(self) -> bool {
        matches!(self, Self::PngIndex | Self::Masks | Self::Cutout | Self::CocoRle)
    }

    /// Whether it holds something of objects that have masks or none, and are of these classes.
    pub(super) fn fits(self, has_masks: bool, labels: &[String]) -> bool {
        (has_masks || !self.needs_masks()) && (self != Self::Coco91 || has_coco_classes(labels))
    }

    /// Those that an endpoint gives.
    pub(super) fn of(way: Way) -> &'static [Self] {
        match way {
            Way::Segment | Way::Detect => &Self::ALL,
            Way::Classify => &[Self::Json, Self::Png, Self::Jpg],
            Way::Embed => &[Self::Json],
        }
    }
}

/// Several files as one.
pub(super) const ZIP: &str = "application/zip";
/// JSON lines.
pub(super) const LINES: &str = "application/x-ndjson";

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) format: Format,
    /// As JSON lines.
    pub(super) is_stream: bool,
}

/// What decides about the form.
pub(super) struct Wish<'a> {
    pub(super) way: Way,
    /// The field `format`.
    pub(super) format: Option<&'a str>,
    /// The header `Accept`.
    pub(super) accept: Option<&'a str>,
    /// The field `stream`, or several pictures.
    pub(super) is_stream: bool,
}

impl Wish<'_> {
    /// Chooses: `format` before `Accept`.
    ///
    /// # Errors
    /// `BadRequest` for a format that there is not; `NotAcceptable` where there is nothing that the caller accepts.
    pub(super) fn choose(&self) -> Result<Chosen> {
        let formats = Format::of(self.way);
        let named = self.format.map(|name| Format::of_name(name, formats));
        let (format, is_stream) = match (named.transpose()?, self.accept) {
            (Some(format), _) => (format, false),
            (None, Some(accept)) => accepted(accept, formats).ok_or_else(|| not_acceptable("Accept".into(), formats))?,
            (None, None) => (Format::Json, false),
        };
        let is_stream = is_stream || self.is_stream;
        if is_stream && format != Format::Json {
            let fault = not_acceptable(format!("format `{}` of JSON lines", format.name()), &[Format::Json]);
            return Err(fault.with_help("ask about one picture at a time"));
        }
        Ok(Chosen { format, is_stream })
    }
}

/// The refusal of a form, with those that there are.
pub(super) fn not_acceptable(what: String, formats: &[Format]) -> Fault {
    let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
    let error = Error::new(ErrorKind::InvalidOption, what).expecting(format!("one of {}", names.join(", ")));
    Fault::new(Reason::NotAcceptable, error.with_help("say format=NAME, or Accept: application/json, image/png, …"))
}

/// The form that `Accept` likes most, and whether as JSON lines.
pub(super) fn accepted(accept: &str, formats: &[Format]) -> Option<(Format, bool)> {
    let mut ranges: Vec<(f32, &str)> = accept.split(',').map(weighed).filter(|(weight, _)| *weight > 0.0).collect();
    // Stable: of equal weight the first.
    ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranges.into_iter().find_map(|(_, range)| {
        if range == LINES || range == "application/jsonl" {
            return Some((Format::Json, true));
        }
        // The overlay is the picture that a viewer wants; numbers of objects are asked for by name.
        let known = formats.iter().filter(|format| !matches!(format, Format::PngIndex));
        let fits = |format: &&Format| {
            let media = format.media().split(';').next().unwrap_or_default();
            range == "*/*" || range == media || range.strip_suffix("/*").is_some_and(|kind| media.split('/').next() == Some(kind))
        };
        known.copied().find(|format| fits(&format)).map(|format| (format, false))
    })
}

/// A range and its weight.
fn weighed(range: &str) -> (f32, &str) {
    let mut parts = range.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
    (weight, range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(format: Option<&str>, accept: Option<&str>) -> Result<Chosen> {
        Wish { way: Way::Segment, format, accept, is_stream: false }.choose()
    }

    #[test]
    fn the_format_goes_before_what_is_accepted() {
        let name = |format, accept| chosen(format, accept).map(|chosen| chosen.format.name()).ok();
        assert_eq!(name(Some("png-index"), Some("application/json")), Some("png-index"));
        assert_eq!(name(None, Some("image/*")), Some("png"));
        assert_eq!(name(None, Some("image/jpeg;q=0.5, application/zip;q=0.9")), Some("masks"));
        assert_eq!(name(None, Some("text/html, */*;q=0.1")), Some("json"));
        assert_eq!(name(None, Some("application/json;q=0")), None);
        assert_eq!(name(Some("pgn"), None), None);
        assert!(chosen(None, Some(LINES)).is_ok_and(|chosen| chosen.is_stream));
        assert!(chosen(None, Some("text/html")).is_err_and(|fault| fault.reason == Reason::NotAcceptable));
        let lines = Wish { way: Way::Segment, format: Some("png"), accept: None, is_stream: true }.choose();
        assert!(lines.is_err_and(|fault| fault.reason == Reason::NotAcceptable));
    }

    #[test]
    fn names_are_those_that_are_told() {
        for format in Format::ALL {
            assert_eq!(serde_json::to_value(format).ok(), Some(format.name().into()));
        }
    }
}
