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
}

const POSITIVE: Color = [0x16, 0xa3, 0x4a];
const NEGATIVE: Color = [0xdc, 0x26, 0x26];

impl Marks<'_> {
    pub(super) fn draw_boxes(&self, canvas: &mut Canvas<'_>, line_width: f32) {
        for bounds in self.boxes {
            if let Some(bounds) = visible(*bounds, canvas.size()) {
                dashed_frame(canvas, bounds, line_width);
            }
        }
    }

    pub(super) fn draw_points(&self, canvas: &mut Canvas<'_>, line_width: f32) {
        for &(x, y, is_positive) in self.points {
            point(canvas, [x, y], line_width, is_positive);
        }
    }
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
fn point(canvas: &mut Canvas, center: [f32; 2], line_width: f32, is_positive: bool) {
    let radius = line_width * 3.5;
    canvas.line(center, center, radius + line_width * 0.75, WHITE);
    canvas.line(center, center, radius, if is_positive { POSITIVE } else { NEGATIVE });
    let [x, y] = center;
    let arm = radius * 0.5;
    canvas.line([x - arm, y], [x + arm, y], line_width * 0.5, WHITE);
    if is_positive {
        canvas.line([x, y - arm], [x, y + arm], line_width * 0.5, WHITE);
    }
}
