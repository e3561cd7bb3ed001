//! Colours that stay apart for colour-blind eyes too.

/// R, G, B.
pub(super) type Color = [u8; 3];

pub(super) const BLACK: Color = [0, 0, 0];
pub(super) const WHITE: Color = [255, 255, 255];

/// The seven hues of Okabe and Ito (2008), then those of Paul Tol's schemes (2021) that differ most from them.
const PALETTE: [Color; 12] = [
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x00, 0x9e, 0x73],
    [0xf0, 0xe4, 0x42],
    [0xcc, 0x79, 0xa7],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x72, 0xb2],
    [0xbb, 0xcc, 0x33],
    [0xee, 0x33, 0x77],
    [0x44, 0xbb, 0x99],
    [0x88, 0x22, 0x55],
    [0x99, 0xdd, 0xff],
];

/// The colour of a class or an object: twelve, then lighter and darker ones of these; repeats after 36.
pub(super) fn color_of(index: usize) -> Color {
    let color = PALETTE[index % PALETTE.len()];
    match index / PALETTE.len() % 3 {
        0 => color,
        1 => toward(color, WHITE, 0.45),
        _ => toward(color, BLACK, 0.4),
    }
}

/// `share` of the way from one colour to another.
pub(super) fn toward(from: Color, to: Color, share: f32) -> Color {
    [0, 1, 2].map(|channel| (f32::from(from[channel]) * (1.0 - share) + f32::from(to[channel]) * share).round() as u8)
}

/// Black or white, whichever has the higher contrast (WCAG 2.1).
pub(super) fn readable_on(background: Color) -> Color {
    let luminance = luminance(background) + 0.05;
    let (with_black, with_white) = (luminance / 0.05, 1.05 / luminance);
    if with_black >= with_white { BLACK } else { WHITE }
}

/// Relative luminance of an sRGB colour, 0..=1.
fn luminance(color: Color) -> f32 {
    let [r, g, b] = color.map(|channel| {
        let value = f32::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}
