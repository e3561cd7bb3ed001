//! Masks as PNG files.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError};

use super::{Answer, is_finite};
use crate::{Error, Mask, Object, Result, RgbImage};

/// Most objects that a palette has colours for, beside the background.
const PALETTE_OBJECTS: usize = 255;

/// The 256 colours of PASCAL VOC and DAVIS: R, G, B of index 0, of index 1, …
///
/// Bits 0, 1 and 2 of the index are the highest bits of red, green and blue, bits 3, 4 and 5 the next, and so on (VOCdevkit's
/// `VOClabelcolormap`).
pub fn voc_palette() -> [[u8; 3]; 256] {
    std::array::from_fn(|index| {
        [0, 1, 2].map(|channel| (0..8).fold(0, |color, digit| color | ((index >> (3 * digit + channel) & 1) << (7 - digit)) as u8))
    })
}

/// All masks in one picture of indices: 0 is the background, an object's index its place in the list, from 1.
///
/// Up to 255 objects have 8 bits and the palette of [`voc_palette`], more have 16 bits of grey. Where masks overlap, the one
/// with the higher score wins; of equal ones, the later.
///
/// # Errors
/// `TooLarge` above 65535 objects.
pub(super) fn index_png(answer: &Answer<'_>) -> Result<Vec<u8>> {
    let (found, size) = (&answer.found, [answer.found.width, answer.found.height]);
    let count = found.objects.len();
    if count > usize::from(u16::MAX) {
        let error = Error::too_large("index PNG").with_expected(format!("at most {} objects", u16::MAX));
        return Err(error.with_found(count.to_string()).with_help("write one PNG per object"));
    }
    let mut ordered: Vec<(usize, &Object)> = found.objects.iter().enumerate().filter(|(_, object)| is_finite(object)).collect();
    ordered.sort_by(|(_, a), (_, b)| a.score.total_cmp(&b.score));
    let mut indices = vec![0u16; size[0] * size[1]];
    for (place, object) in ordered {
        if let Some(mask) = &object.mask {
            paint(&mut indices, mask, place as u16 + 1);
        }
    }
    if count <= PALETTE_OBJECTS {
        let narrow: Vec<u8> = indices.iter().map(|&index| index as u8).collect();
        return encode(size, ColorType::Indexed, &narrow);
    }
    let bytes: Vec<u8> = indices.iter().flat_map(|index| index.to_be_bytes()).collect();
    encode(size, ColorType::Grayscale, &bytes)
}

/// Sets the mask's pixels in a picture of its size.
fn paint(indices: &mut [u16], mask: &Mask, index: u16) {
    let Some([x1, y1, x2, y2]) = mask.bounds() else { return };
    let rows = mask.rows_within([x1, y1, x2, y2], 1);
    for (row, y) in rows.chunks_exact(x2 - x1).zip(y1..) {
        for (pixel, &set) in indices[y * mask.width() + x1..].iter_mut().zip(row) {
            *pixel = if set == 0 { *pixel } else { index };
        }
    }
}

/// A mask as a PNG of 8-bit grey, 0 or `value`; the whole picture or `bounds` of it (`[x1, y1, x2, y2]`), which lie within.
///
/// # Errors
/// `InvalidArgument` for a size that a PNG cannot have.
pub fn mask_png(mask: &Mask, bounds: Option<[usize; 4]>, value: u8) -> Result<Vec<u8>> {
    let [x1, y1, x2, y2] = bounds.unwrap_or([0, 0, mask.width(), mask.height()]);
    encode([x2 - x1, y2 - y1], ColorType::Grayscale, &mask.rows_within([x1, y1, x2, y2], value))
}

/// The picture's colours within the bounds, transparent outside of the mask. The hidden colours stay in the file, so that
/// scaling it mixes no other ones into the edge.
pub(super) fn cutout_png(image: &RgbImage, mask: &Mask, [x1, y1, x2, y2]: [usize; 4]) -> Result<Vec<u8>> {
    let alpha = mask.rows_within([x1, y1, x2, y2], u8::MAX);
    let colors = (y1..y2).flat_map(|y| image.row(y)[x1 * 3..x2 * 3].as_chunks::<3>().0);
    let pixels: Vec<u8> = colors.zip(alpha).flat_map(|(&[r, g, b], a)| [r, g, b, a]).collect();
    encode([x2 - x1, y2 - y1], ColorType::Rgba, &pixels)
}

/// 8 bits per value, or 16 where there are twice as many bytes. Indexed pictures get the palette of [`voc_palette`].
fn encode([width, height]: [usize; 2], color: ColorType, values: &[u8]) -> Result<Vec<u8>> {
    let unfit = |reason: String| {
        let message = format!("PNG: the picture of {width} × {height} cannot be encoded: {reason}");
        Error::invalid(message)
    };
    let [columns, rows] = [width, height].map(u32::try_from);
    let (columns, rows) = columns.ok().zip(rows.ok()).ok_or_else(|| unfit("a side is too long".into()))?;
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(color);
    encoder.set_depth(if values.len() > width * height * color.samples() { BitDepth::Sixteen } else { BitDepth::Eight });
    encoder.set_compression(Compression::Fast);
    if color == ColorType::Indexed {
        encoder.set_palette(voc_palette().concat());
    }
    let finish = |encoder: Encoder<'_, &mut Vec<u8>>| -> Result<(), EncodingError> {
        let mut writer = encoder.write_header()?;
        writer.write_image_data(values)?;
        writer.finish()
    };
    finish(encoder).map_err(|error| unfit(error.to_string()))?;
    Ok(bytes)
}
