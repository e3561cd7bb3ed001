//! Answers painted over their picture: translucent masks, boxes, keypoints and labels.
//!
//! Everything is blended straight into the RGB rows, only where something is drawn. Widths and letters grow with the picture.

mod canvas;
mod fonts;
mod marks;
mod palette;
mod tags;
mod text;

use canvas::Canvas;
pub use fonts::Fonts;
use marks::MarkSizes;
pub use marks::{Marks, Unanswered};
use palette::{BLACK, Color, WHITE, color_of, readable_on, toward};
use tags::Places;
use text::{Font, Line};

use crate::{Keypoint, Mask, Object, RgbImage};

/// What [`annotate`] draws besides masks and keypoints.
#[derive(Debug, Clone)]
pub struct DrawOptions {
    /// Boxes, upright or rotated.
    pub boxes: bool,
    /// Class names in the tags.
    pub labels: bool,
    /// Scores in the tags, with two decimals.
    pub scores: bool,
    /// Tags for masks without a class name too, which have only a score to show.
    pub mask_tags: bool,
    /// Opacity of the masks, 0..=1.
    pub mask_opacity: f32,
    /// Keypoints with a lower score are not drawn, nor are the limbs that end in them.
    pub min_keypoint_score: f32,
    /// Where letters come from that the embedded font lacks.
    pub fonts: Fonts,
}

impl Default for DrawOptions {
    fn default() -> Self {
        Self {
            boxes: true,
            labels: true,
            scores: true,
            mask_tags: false,
            mask_opacity: 0.4,
            min_keypoint_score: 0.25,
            fonts: Fonts::system(),
        }
    }
}

/// Limbs of COCO's 17 person keypoints: legs, hips, trunk, arms, head.
const COCO_LIMBS: [[usize; 2]; 19] = [
    [15, 13],
    [13, 11],
    [16, 14],
    [14, 12],
    [11, 12],
    [5, 11],
    [6, 12],
    [5, 6],
    [5, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [1, 2],
    [0, 1],
    [0, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
];

/// The picture with its objects: masks below, then boxes and keypoints, tags on top; better scores over worse.
///
/// An object with a mask has a colour of its own, which tells it from others of its class; of others the colour follows the class
/// index, or the place in the list where there is none. An object with a mask and no class name (an answer to a click) has no box, and
/// a tag only with [`DrawOptions::mask_tags`]: its outline says all. Where a detector's object has a segmenter's mask, the box, the
/// name and the score are the detector's. What lies outside of the picture is cut off, and what is not finite is not drawn.
///
/// Tags must not hide what they name: on small pictures letters shrink, and are left out where they could not be read; names that
/// are too long, or have no room beside others, end in an ellipsis, and lose their score first. No tag covers another one or leaves the
/// picture: it makes way, and where there is no room near its box it is left out, as are those of the worse scores where tags would cover
/// more than a fifth of a small picture.
pub fn annotate(image: &RgbImage, objects: &[Object], options: &DrawOptions) -> RgbImage {
    annotate_prompted(image, objects, &Marks::default(), options)
}

/// [`annotate`], with the prompts: points as a green + or a red − on top of all, boxes as dashed lines below the tags; those that
/// could not be answered in grey, crossed out.
pub fn annotate_prompted(image: &RgbImage, objects: &[Object], marks: &Marks<'_>, options: &DrawOptions) -> RgbImage {
    let mut drawn = image.clone();
    let mut painter = Painter::new(&mut drawn, options);
    let mut ordered: Vec<(&Object, Color)> =
        objects.iter().enumerate().map(|(index, object)| (object, color_of(color_index(object, index)))).collect();
    ordered.sort_by(|(a, _), (b, _)| a.score.total_cmp(&b.score));

    for (mask, color) in ordered.iter().filter_map(|(object, color)| Some((object.mask.as_ref()?, *color))) {
        painter.mask(mask, color);
    }
    for (object, color) in &ordered {
        if options.boxes && !is_bare_mask(object) {
            painter.outline(object, *color);
        }
        if let Some(keypoints) = &object.keypoints {
            painter.pose(keypoints, *color);
        }
    }
    let sizes = MarkSizes { line_width: painter.measures.line_width, point_radius: painter.measures.point_radius };
    marks.draw_boxes(&mut painter.canvas, sizes);
    painter.tags(&ordered);
    marks.draw_points(&mut painter.canvas, sizes);
    drawn
}

/// What an object's colour follows.
fn color_index(object: &Object, place: usize) -> usize {
    object.class_id.filter(|_| object.mask.is_none()).unwrap_or(place)
}

/// The picture with a list of classes and their scores, best first, in the top left corner. Rows are left out that would cover more
/// than the upper half of the picture, or that could not be read.
pub fn annotate_classes(image: &RgbImage, classes: &[(String, f32)]) -> RgbImage {
    annotate_classes_with(image, classes, &Fonts::system())
}

/// [`annotate_classes`] with given fonts.
pub fn annotate_classes_with(image: &RgbImage, classes: &[(String, f32)], fonts: &Fonts) -> RgbImage {
    let mut drawn = image.clone();
    let measures = Measures::of(image);
    let Some(font_size) = measures.font_size else { return drawn };
    let font = Font::new(font_size, fonts);
    let mut canvas = Canvas::new(&mut drawn);
    let [width, height] = canvas.size();
    let padding = measures.padding + measures.line_width;
    let row_height = font.height() + measures.line_width + measures.padding;
    let rows = ((height * MOST_PANEL - 2.0 * padding) / row_height).max(0.0) as usize;
    let classes = &classes[..classes.len().min(rows)];
    if classes.is_empty() {
        return drawn;
    }

    let texts: Vec<(Line, Line)> = classes.iter().map(|(label, score)| (font.line(label), font.line(&format!("{score:.3}")))).collect();
    let score_width = texts.iter().map(|(_, score)| font.width(score)).fold(0.0, f32::max);
    let label_width = texts.iter().map(|(label, _)| font.width(label)).fold(0.0, f32::max);
    let gap = font.height() / 2.0;
    let inner = (label_width + gap + score_width).min(width - 2.0 * padding).max(0.0);
    let panel = [0.0, 0.0, inner + 2.0 * padding, row_height * classes.len() as f32 + 2.0 * padding];
    canvas.fill(panel, BLACK, 0.6);
    for (index, ((label, score_text), (_, score))) in texts.into_iter().zip(classes).enumerate() {
        let top = padding + row_height * index as f32;
        let room = inner - gap - score_width;
        let score_start = padding + inner - font.width(&score_text);
        font.draw(&mut canvas, &font.fitted(label, room), [padding, top], WHITE);
        font.draw(&mut canvas, &score_text, [score_start, top], WHITE);
        let bar_top = top + font.height();
        let share = if score.is_finite() { score.clamp(0.0, 1.0) } else { 0.0 };
        canvas.fill([padding, bar_top, padding + inner, bar_top + measures.line_width], WHITE, 0.2);
        canvas.fill([padding, bar_top, padding + inner * share, bar_top + measures.line_width], color_of(index), 1.0);
    }
    drawn
}

/// A mask without a class name or a detector's box.
fn is_bare_mask(object: &Object) -> bool {
    object.mask.is_some() && object.label.is_none() && object.mask_box.is_none()
}

/// Letters below this size, in pixels, cannot be read.
const LEAST_FONT: f32 = 7.0;
/// The short side of a picture is at least as many letters high.
const LEAST_LINES: f32 = 9.0;
/// Lines are thin on pictures whose short side is below.
const SMALL_SIDE: usize = 48;
/// Tags are counted on pictures whose short side is below: they cover at most [`MOST_TAGS`] of the area.
const CROWDED_SIDE: usize = 256;
const MOST_TAGS: f32 = 0.2;
/// Where letters are smaller, in pixels, a name stands without its score.
const LEAST_SCORED_FONT: f32 = 10.0;
/// Most of the width that one tag covers.
const MOST_TAG_WIDTH: f32 = 0.75;
/// Parts of its width that a name is shortened to where there is no room for more.
const SHORTER: [f32; 3] = [0.7, 0.5, 0.35];
/// Letters of the shortest of them.
const LEAST_LETTERS: usize = 8;
/// Most of the height that a list of classes covers.
const MOST_PANEL: f32 = 0.5;

/// Sizes in pixels that follow from the picture's.
struct Measures {
    line_width: f32,
    point_radius: f32,
    /// `None` where letters would cover the picture or could not be read.
    font_size: Option<f32>,
    padding: f32,
    /// Area that tags may cover.
    tag_area: f32,
}

impl Measures {
    fn of(image: &RgbImage) -> Self {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let (mean_side, short_side) = ((width + height) / 2.0, width.min(height));
        let font_size = (mean_side * 0.018).round().max(12.0).min((short_side / LEAST_LINES).round());
        let is_small = image.width().min(image.height()) < SMALL_SIDE;
        let line_width = if is_small { 1.0 } else { (mean_side * 0.003).round().max(2.0) };
        Self {
            line_width,
            point_radius: (line_width * 3.5).min(short_side / 8.0).max(1.0),
            font_size: Some(font_size).filter(|size| *size >= LEAST_FONT),
            padding: (font_size * 0.2).round(),
            tag_area: if image.width().min(image.height()) < CROWDED_SIDE { width * height * MOST_TAGS } else { f32::INFINITY },
        }
    }
}

struct Painter<'a> {
    canvas: Canvas<'a>,
    options: &'a DrawOptions,
    measures: Measures,
    font: Option<Font>,
}

impl<'a> Painter<'a> {
    fn new(image: &'a mut RgbImage, options: &'a DrawOptions) -> Self {
        let measures = Measures::of(image);
        let font = measures.font_size.map(|size| Font::new(size, &options.fonts));
        Self { canvas: Canvas::new(image), options, measures, font }
    }

    fn mask(&mut self, mask: &Mask, color: Color) {
        self.canvas.blend_mask(mask, color, self.options.mask_opacity);
        let radius = (self.measures.line_width * 0.4).max(if self.measures.line_width > 1.0 { 1.0 } else { 0.4 });
        self.canvas.closed_lines(&mask.smooth_outlines(), radius, color);
    }

    fn outline(&mut self, object: &Object, color: Color) {
        if let Some(rotated) = &object.rotated {
            self.canvas.closed_lines(&[rotated.corners()], self.measures.line_width / 2.0, color);
        } else if let Some(bounds) = visible(object.bounds, self.canvas.size()) {
            self.canvas.frame(bounds, self.measures.line_width, color);
        }
    }

    fn pose(&mut self, keypoints: &[Keypoint], color: Color) {
        let place = |keypoint: &Keypoint| {
            let is_seen = keypoint.score.is_none_or(|score| score >= self.options.min_keypoint_score);
            is_seen.then_some([keypoint.x, keypoint.y])
        };
        let places: Vec<Option<[f32; 2]>> = keypoints.iter().map(place).collect();
        let radius = self.measures.line_width;
        if places.len() == 17 {
            for [from, to] in COCO_LIMBS {
                if let (Some(from), Some(to)) = (places[from], places[to]) {
                    self.canvas.line(from, to, radius / 2.0, color);
                }
            }
        }
        for place in places.into_iter().flatten() {
            self.canvas.line(place, place, radius * 1.4, toward(color, BLACK, 0.4));
            self.canvas.line(place, place, radius * 0.8, WHITE);
        }
    }

    /// Best scores choose their places first and are painted last.
    fn tags(&mut self, ordered: &[(&Object, Color)]) {
        let Some(font) = &self.font else { return };
        let mut placed: Vec<([f32; 4], Line, Color)> = Vec::new();
        let (picture, padding) = (self.canvas.size(), self.measures.padding);
        let mut places = Places::new(picture, self.measures.line_width / 2.0);
        let mut free = self.measures.tag_area;
        for (object, color) in ordered.iter().rev().filter(|(object, _)| self.options.mask_tags || !is_bare_mask(object)) {
            let whole = font.fitted(font.line(&self.tag_text(object)), picture[0] * MOST_TAG_WIDTH - 2.0 * padding);
            let size = |text: &Line| [font.width(text) + 2.0 * padding, font.height() + padding];
            let [width, height] = size(&whole);
            let Some(bounds) = visible(tagged_bounds(object, width), picture).filter(|_| !whole.is_empty()) else { continue };
            free -= width * height;
            if free < 0.0 {
                break;
            }
            // Where a whole name would hide another one, its beginning may have room; there is no use in less than a word.
            let shorter = SHORTER.iter().map(|share| font.fitted(whole.clone(), font.width(&whole) * share));
            let texts = std::iter::once(whole.clone()).chain(shorter.filter(|text| text.letters() >= LEAST_LETTERS));
            let mut at_box = texts.filter_map(|text| Some((places.at(bounds, size(&text))?, text)));
            let place = at_box.next().or_else(|| Some((places.near(bounds, size(&whole))?, whole.clone())));
            if let Some((tag, text)) = place {
                places.take(tag);
                placed.push((tag, text, *color));
            }
        }
        for (tag, text, color) in placed.iter().rev() {
            self.canvas.fill(*tag, *color, 1.0);
            font.draw(&mut self.canvas, text, [tag[0] + padding, tag[1] + padding / 2.0], readable_on(*color));
        }
    }

    fn tag_text(&self, object: &Object) -> String {
        let label = object.label.as_deref().filter(|label| self.options.labels && !label.is_empty());
        let has_room = label.is_none() || self.measures.font_size.is_some_and(|size| size >= LEAST_SCORED_FONT);
        let score = (self.options.scores && has_room && object.score.is_finite()).then(|| format!("{:.2}", object.score));
        label.map(str::to_owned).into_iter().chain(score).collect::<Vec<_>>().join(" ")
    }
}

/// The box that a tag of this width stands at. A mask that shows no box is tagged where it begins.
fn tagged_bounds(object: &Object, width: f32) -> [f32; 4] {
    match &object.mask {
        Some(mask) if is_bare_mask(object) => top_of(mask, width).unwrap_or(object.bounds),
        _ => object.rotated.map_or(object.bounds, |rotated| rotated.bounds()),
    }
}

/// A box of this width around the middle of the mask's first row, down to its last.
fn top_of(mask: &Mask, width: f32) -> Option<[f32; 4]> {
    let [_, top, _, bottom] = mask.bounds()?;
    let columns: Vec<usize> = mask.column_runs().filter(|(_, ys)| ys.start == top).map(|(x, _)| x).collect();
    let middle = columns[columns.len() / 2] as f32 + 0.5;
    Some([middle - width / 2.0, top as f32, middle + width / 2.0, bottom as f32])
}

/// The part of a box inside the picture; nothing for one outside or not finite.
fn visible(bounds: [f32; 4], [width, height]: [f32; 2]) -> Option<[f32; 4]> {
    let [x1, y1, x2, y2] = bounds;
    let is_inside = x1 <= x2 && y1 <= y2 && x1 < width && y1 < height && x2 > 0.0 && y2 > 0.0;
    (is_inside && bounds.iter().all(|side| side.is_finite())).then(|| [x1.max(0.0), y1.max(0.0), x2.min(width), y2.min(height)])
}
