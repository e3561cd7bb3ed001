//! Masks as pictures.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use maskline_vision::draw::Marks;
use maskline_vision::write::{Answer, ImageObjects, MaskFormat, MaskOptions, encode_masks, mask_png, write_atomically};
use maskline_vision::{Object, RgbImage};

use super::documents::unwritable;
use super::{FrameMasks, MaskSink, ObjectMask, frame_name};
use crate::{Error, Result};

/// Highest number of an object that a picture of numbers has a place for.
const HIGHEST_NUMBER: i64 = 65_535;

/// The objects of a frame in one picture, as DAVIS has them: 0 is the background, all else the number of the object.
///
/// Up to number 255 it has 8 bits and DAVIS's palette, above 16 bits of grey. Where masks overlap, the higher number wins.
///
/// # Errors
/// `InvalidArgument` for a number outside of 1 to 65535, and a mask of another size than the frame.
pub fn palette_png(masks: &FrameMasks) -> Result<Vec<u8>> {
    let wrong = |id: i64| {
        let error = Error::invalid("picture of object numbers").with_expected(format!("objects numbered 1 to {HIGHEST_NUMBER}"));
        error.with_found(format!("object {id}")).with_help("write one folder per object")
    };
    let place = |object: &ObjectMask| usize::try_from(object.id).ok().filter(|_| (1..=HIGHEST_NUMBER).contains(&object.id));
    let places = masks.objects.iter().map(|object| place(object).ok_or_else(|| wrong(object.id))).collect::<Result<Vec<_>>>()?;
    // A list in which each object has the place of its number; of equal scores the later one wins.
    let mut listed = vec![Object { score: 1.0, ..Object::default() }; places.iter().copied().max().unwrap_or(0)];
    for (place, object) in places.iter().zip(&masks.objects) {
        listed[place - 1].mask = Some(object.mask.clone());
    }
    index_picture(masks.size, &listed)
}

fn index_picture((width, height): (usize, usize), objects: &[Object]) -> Result<Vec<u8>> {
    let found = ImageObjects { image_id: 0, width, height, objects };
    let answer = Answer { found, file_name: "", pixels: None, marks: Marks::default() };
    let files = encode_masks(MaskFormat::PngIndex, &answer, &MaskOptions::default())?;
    files.into_iter().next().map(|file| file.bytes).ok_or_else(|| Error::invalid("picture of masks").with_found("nothing"))
}

/// A folder of pictures of object numbers, one per frame ([`palette_png`]): `00000.png`, `00001.png`, …
#[derive(Debug)]
pub struct PaletteFolder {
    folder: PathBuf,
    is_any: bool,
}

impl PaletteFolder {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(folder: &Path) -> Result<Self> {
        make(folder)?;
        Ok(Self { folder: folder.to_path_buf(), is_any: false })
    }
}

impl MaskSink for PaletteFolder {
    fn put(&mut self, _image: &RgbImage, masks: &FrameMasks) -> Result<()> {
        let path = self.folder.join(format!("{}.png", frame_name(masks.index)));
        write_atomically(&path, &palette_png(masks)?)?;
        self.is_any = true;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>> {
        Ok(self.is_any.then_some(self.folder))
    }
}

/// A folder per object with a picture of 0 and 255 per frame, as SA-V has them: `000/00000.png`, where `000` is the number of the object.
/// Frames in which an object is not seen are black; before an object began there is none.
#[derive(Debug)]
pub struct ObjectFolders {
    folder: PathBuf,
    made: HashSet<i64>,
}

impl ObjectFolders {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(folder: &Path) -> Result<Self> {
        make(folder)?;
        Ok(Self { folder: folder.to_path_buf(), made: HashSet::new() })
    }
}

impl MaskSink for ObjectFolders {
    fn put(&mut self, _image: &RgbImage, masks: &FrameMasks) -> Result<()> {
        for object in &masks.objects {
            let folder = self.folder.join(format!("{:03}", object.id));
            if self.made.insert(object.id) {
                make(&folder)?;
            }
            write_atomically(&folder.join(format!("{}.png", frame_name(masks.index))), &mask_png(&object.mask, None, u8::MAX)?)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>> {
        Ok((!self.made.is_empty()).then_some(self.folder))
    }
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))
}
