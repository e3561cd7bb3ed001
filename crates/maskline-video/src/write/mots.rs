//! MOTS: a line of text per object and frame.

use std::io::Write;
use std::path::Path;

use maskline_vision::Mask;

use super::documents::unwritable;
use super::{MaskLines, ObjectMask};
use crate::{Error, Result};

/// Objects of a class that MOTS numbers: `class × 1000 + object`.
const OBJECTS_PER_CLASS: i64 = 1000;
/// Pixels of it are not counted.
const IGNORED_CLASS: usize = 10;

/// Options of [`write_mots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MotsOptions {
    /// Number of the clip's first frame: 0 as in KITTI MOTS (the default), 1 as in MOTSChallenge.
    pub first_frame: usize,
}

/// Writes all frames as MOTS text: lines of `frame object class height width rle` by rising frame, the run lengths as COCO packs them.
///
/// Class 1 is `car`, 2 is `person` or `pedestrian`, as MOTS has them; other classes follow from 3 on by their index, but for 10, which MOTS
/// ignores. An object without a class is of class 1. The object's number is `1000 × class + id`. MOTS has no overlaps: where masks overlap,
/// the higher number has the pixel. What is not seen has no line.
///
/// # Errors
/// `Io`, naming `path`; `InvalidArgument` for an object numbered outside of 0 to 999.
pub fn write_mots(out: &mut dyn Write, path: &Path, lines: &MaskLines, options: MotsOptions) -> Result<()> {
    for masks in lines.iter() {
        let mut masks = masks?;
        masks.objects.sort_by_key(|object| object.id);
        let mut taken: Option<Mask> = None;
        let mut told = Vec::new();
        for object in masks.objects.iter().rev() {
            let own = taken.as_ref().map_or_else(|| Ok(object.mask.clone()), |taken| object.mask.difference(taken))?;
            taken = Some(taken.map_or_else(|| Ok(object.mask.clone()), |taken| taken.union(&object.mask))?);
            if !own.is_empty() {
                let (class, number) = numbers(object)?;
                let (width, height) = masks.size;
                let rle = own.to_rle().to_coco_string();
                told.push(format!("{} {number} {class} {height} {width} {rle}\n", masks.index + options.first_frame));
            }
        }
        told.iter().rev().try_for_each(|line| out.write_all(line.as_bytes())).map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}

/// Class and number of an object.
fn numbers(object: &ObjectMask) -> Result<(usize, i64)> {
    if !(0..OBJECTS_PER_CLASS).contains(&object.id) {
        let error = Error::invalid("MOTS").with_expected(format!("objects numbered 0 to {}", OBJECTS_PER_CLASS - 1));
        return Err(error.with_found(format!("object {}", object.id)));
    }
    let class = match (object.label.as_deref(), object.class_id) {
        (Some("car"), _) => 1,
        (Some("person" | "pedestrian"), _) => 2,
        (_, None) => 1,
        (_, Some(index)) if index + 3 < IGNORED_CLASS => index + 3,
        (_, Some(index)) => index + 4,
    };
    Ok((class, class as i64 * OBJECTS_PER_CLASS + object.id))
}
