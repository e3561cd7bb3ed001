//! One line of text.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontArc, PxScale, ScaleFont, point};

use super::canvas::Canvas;
use super::{Color, Fonts};

static SANS: LazyLock<FontArc> = LazyLock::new(|| {
    let bytes: &[u8] = include_bytes!("../../assets/maskline-sans.ttf");
    FontArc::try_from_slice(bytes).expect("the embedded font is whole; every test with a label reads it")
});

const ELLIPSIS: char = '…';

/// The embedded font at one size, and others for letters that it lacks.
pub(super) struct Font {
    size: f32,
    others: Fonts,
}

/// A text whose letters can all be drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Line(String);

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many letters it has.
    pub(super) fn letters(&self) -> usize {
        self.0.chars().count()
    }
}

impl Font {
    pub(super) fn new(size: f32, others: &Fonts) -> Self {
        Self { size, others: others.clone() }
    }

    /// Height of a line.
    pub(super) fn height(&self) -> f32 {
        SANS.as_scaled(self.size).height().ceil()
    }

    /// The text as it is drawn: controls as spaces, marks without a shape left out, letters that no font has by their number.
    pub(super) fn line(&self, text: &str) -> Line {
        let mut line = String::with_capacity(text.len());
        for letter in text.chars().filter(|letter| !is_invisible(*letter)) {
            if letter.is_control() {
                line.push(' ');
            } else if SANS.glyph_id(letter).0 != 0 || letter.is_whitespace() || self.others.with_letter(letter).is_some() {
                line.push(letter);
            } else {
                line.extend(letter.escape_unicode());
            }
        }
        Line(line)
    }

    /// Width of a line.
    pub(super) fn width(&self, line: &Line) -> f32 {
        line.0.chars().map(|letter| self.advance(letter)).sum()
    }

    /// The line, cut off with an ellipsis where it is wider than the room; empty where not even that fits.
    pub(super) fn fitted(&self, line: Line, room: f32) -> Line {
        if self.width(&line) <= room {
            return line;
        }
        let mut width = self.advance(ELLIPSIS);
        if width > room {
            return Line::default();
        }
        let fits = |letter: &char| {
            width += self.advance(*letter);
            width <= room
        };
        let mut cut: String = line.0.chars().take_while(fits).collect();
        cut.truncate(cut.trim_end().len());
        cut.push(ELLIPSIS);
        Line(cut)
    }

    /// Draws the line; `start` is its top left corner.
    pub(super) fn draw(&self, canvas: &mut Canvas, line: &Line, start: [f32; 2], color: Color) {
        let mut pen = point(start[0], start[1] + SANS.as_scaled(self.size).ascent());
        for letter in line.0.chars() {
            let font = self.font_of(letter);
            let glyph = font.glyph_id(letter).with_scale_and_position(PxScale::from(self.size), pen);
            if let Some(outline) = font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|x, y, coverage| {
                    let [x, y] = [corner.x + x as f32, corner.y + y as f32];
                    if x >= 0.0 && y >= 0.0 {
                        canvas.blend(x as usize, y as usize, color, coverage);
                    }
                });
            }
            pen.x += self.advance(letter);
        }
    }

    fn advance(&self, letter: char) -> f32 {
        let font = self.font_of(letter);
        font.as_scaled(self.size).h_advance(font.glyph_id(letter))
    }

    /// The font that this letter is drawn in.
    fn font_of(&self, letter: char) -> FontArc {
        let own = SANS.glyph_id(letter).0 != 0 || letter.is_whitespace();
        if own { None } else { self.others.with_letter(letter) }.unwrap_or_else(|| SANS.clone())
    }
}

/// Joiners, directions, variants and byte order marks, which have no shape of their own.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}
