//! One line of text.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, Glyph, PxScaleFont, ScaleFont, point};

use super::Color;
use super::canvas::Canvas;

static SANS: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    let bytes: &[u8] = include_bytes!("../../assets/maskline-sans.ttf");
    FontRef::try_from_slice(bytes).expect("the embedded font is whole; every test with a label reads it")
});

const ELLIPSIS: char = '…';

/// The embedded font at one size.
pub(super) struct Font {
    scaled: PxScaleFont<&'static FontRef<'static>>,
}

impl Font {
    pub(super) fn new(size: f32) -> Self {
        Self { scaled: (&*SANS).into_scaled(size) }
    }

    /// Height of a line.
    pub(super) fn height(&self) -> f32 {
        self.scaled.height().ceil()
    }

    /// Width of a text.
    pub(super) fn width(&self, text: &str) -> f32 {
        text.chars().map(|character| self.advance(character)).sum()
    }

    /// The text, cut off with an ellipsis where it is wider than the room; empty where not even that fits.
    pub(super) fn fitted(&self, text: &str, room: f32) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let mut width = self.advance(ELLIPSIS);
        if width > room {
            return String::new();
        }
        let fits = |character: &char| {
            width += self.advance(*character);
            width <= room
        };
        let mut cut: String = text.chars().take_while(fits).collect();
        cut.truncate(cut.trim_end().len());
        cut.push(ELLIPSIS);
        cut
    }

    /// Draws the text; `start` is the top left corner of the line.
    pub(super) fn draw(&self, canvas: &mut Canvas, text: &str, start: [f32; 2], color: Color) {
        let mut pen = point(start[0], start[1] + self.scaled.ascent());
        for character in text.chars() {
            let glyph: Glyph = self.scaled.glyph_id(shown(character)).with_scale_and_position(self.scaled.scale(), pen);
            pen.x += self.advance(character);
            let Some(outline) = self.scaled.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|x, y, coverage| {
                let [x, y] = [corner.x + x as f32, corner.y + y as f32];
                if x >= 0.0 && y >= 0.0 {
                    canvas.blend(x as usize, y as usize, color, coverage);
                }
            });
        }
    }

    fn advance(&self, character: char) -> f32 {
        self.scaled.h_advance(self.scaled.glyph_id(shown(character)))
    }
}

/// Line breaks and other controls as spaces.
fn shown(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}
