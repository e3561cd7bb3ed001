//! The prompts that an answer was made for.

use super::canvas::Canvas;
use super::palette::{BLACK, Color, WHITE, toward};
use super::visible;

/// Prompts, in pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Marks<'a> {
    /// `(x, y, is_positive)`: clicks on the object and beside it.
    pub points: &'a [(f32, f32, bool)],
    /// `[x1, y1, x2, y2]`.
    pub boxes: &'a [[f32; 4]],
    /// Those of prompts that could not be answered.
    pub unanswered: Unanswered<'a>,
}

/// What was asked and not answered: drawn in grey and crossed out, so that it is not taken for an empty answer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Unanswered<'a> {
    /// `[x, y]` of clicks, on the object or beside it.
    pub points: &'a [[f32; 2]],
    /// `[x1, y1, x2, y2]`.
    pub boxes: &'a [[f32; 4]],
}

/// Sizes in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct MarkSizes {
    pub(super) line_width: f32,
    pub(super) point_radius: f32,
}

const UNANSWERED: Color = [0x6b, 0x72, 0x80];
const POSITIVE: Color = [0x16, 0xa3, 0x4a];
const NEGATIVE: Color = [0xdc, 0x26, 0x26];

impl Marks<'_> {
    pub(super) fn draw_boxes(&self, canvas: &mut Canvas<'_>, sizes: MarkSizes) {
        let size = canvas.size();
        for bounds in self.unanswered.boxes.iter().filter_map(|bounds| visible(*bounds, size)) {
            let [x1, y1, x2, y2] = bounds;
            canvas.line([x1, y1], [x2, y2], sizes.line_width * 0.5, UNANSWERED);
            canvas.line([x1, y2], [x2, y1], sizes.line_width * 0.5, UNANSWERED);
            dashed_frame(canvas, bounds, sizes.line_width);
        }
        for bounds in self.boxes.iter().filter_map(|bounds| visible(*bounds, size)) {
            dashed_frame(canvas, bounds, sizes.line_width);
        }
    }

    pub(super) fn draw_points(&self, canvas: &mut Canvas<'_>, sizes: MarkSizes) {
        for &center in self.unanswered.points {
            point(canvas, center, sizes, Sign::Cross);
        }
        for &(x, y, is_positive) in self.points {
            point(canvas, [x, y], sizes, if is_positive { Sign::Plus } else { Sign::Minus });
        }
    }
}

/// What a point says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    /// The object is here.
    Plus,
    /// The object is not here.
    Minus,
    /// There was no answer.
    Cross,
}

/// White dashes on a dark line, which show on any background.
fn dashed_frame(canvas: &mut Canvas, [x1, y1, x2, y2]: [f32; 4], line_width: f32) {
    // Through the middles of pixels, where thin lines are sharp.
    let corners = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]].map(|corner| corner.map(|value| value.floor() + 0.5));
    let dash = line_width * 4.0;
    for (from, to) in corners.into_iter().zip(corners.into_iter().cycle().skip(1)) {
        canvas.line(from, to, (line_width * 0.45).max(1.0), toward(BLACK, WHITE, 0.1));
        let length = (to[0] - from[0]).abs() + (to[1] - from[1]).abs();
        // A whole number of dashes and gaps, with half a dash at both corners.
        let periods = (length / (2.0 * dash)).round().max(1.0);
        let at = |share: f32| [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * (share / periods).clamp(0.0, 1.0));
        for index in 0..=periods as usize {
            canvas.line(at(index as f32 - 0.25), at(index as f32 + 0.25), (line_width * 0.25).max(0.6), WHITE);
        }
    }
}

/// A disc with a white rim and a white sign.
fn point(canvas: &mut Canvas, center: [f32; 2], sizes: MarkSizes, sign: Sign) {
    let radius = sizes.point_radius;
    let color = match sign {
        Sign::Plus => POSITIVE,
        Sign::Minus => NEGATIVE,
        Sign::Cross => UNANSWERED,
    };
    canvas.line(center, center, radius * 1.2, WHITE);
    canvas.line(center, center, radius, color);
    let [x, y] = center;
    let (arm, width) = (radius * 0.5, radius / 7.0);
    if sign == Sign::Cross {
        let arm = arm * 0.8;
        canvas.line([x - arm, y - arm], [x + arm, y + arm], width, WHITE);
        canvas.line([x - arm, y + arm], [x + arm, y - arm], width, WHITE);
        return;
    }
    canvas.line([x - arm, y], [x + arm, y], width, WHITE);
    if sign == Sign::Plus {
        canvas.line([x, y - arm], [x, y + arm], width, WHITE);
    }
}
