//! `--like PATH`, `--like PATH#x1,y1,x2,y2`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use maskline::vision::decode::DecodeOptions;
use maskline::{Error, ErrorKind, Exemplar, Image};

use crate::pictures::{exists, on_a_line, shown};
use crate::prompts;

/// A picture, or a box on it, of what is looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Example {
    pub(super) path: PathBuf,
    /// In pixels of its picture; none for all of it.
    pub(super) bounds: Option<[f32; 4]>,
}

impl Example {
    /// A word of the command line. One that names a file is that file, also where there is a `#` in its name.
    pub(super) fn parse(word: &OsStr) -> Result<Self, Error> {
        let whole = || Self { path: word.into(), bounds: None };
        let Some((path, bounds)) = word.to_str().filter(|_| !Path::new(word).exists()).and_then(|word| word.rsplit_once('#')) else {
            return Ok(whole());
        };
        let error = |why: String| {
            let error = Error::new(ErrorKind::BadInput, format!("--like {}", on_a_line(&word.to_string_lossy())));
            error.expecting("PICTURE or PICTURE#x1,y1,x2,y2").with_help(why)
        };
        Ok(Self { path: path.into(), bounds: Some(prompts::parse_bounds(bounds).map_err(error)?) })
    }

    /// What objects that look like it are called: the file's name without its ending.
    pub(super) fn stem(&self) -> String {
        let stem = shown(Path::new(self.path.file_stem().unwrap_or_default()));
        stem.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }

    /// Refuses a box without an inside.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Some(bounds) = self.bounds else { return Ok(()) };
        maskline::Concept::like(Exemplar::here(bounds)).check().map_err(|error| self.told(error))
    }

    /// Refuses a box beside its picture.
    pub(super) fn check_on(&self, width: usize, height: usize) -> Result<(), Error> {
        let Some([x1, y1, x2, y2]) = self.bounds else { return Ok(()) };
        if x1 < width as f32 && y1 < height as f32 && x2 > 0.0 && y2 > 0.0 {
            return Ok(());
        }
        let error = Error::new(ErrorKind::BadInput, "example").expecting(format!("a box that overlaps its picture of {width} × {height}"));
        Err(self.told(error.but_found(format!("{x1},{y1},{x2},{y2}"))))
    }

    /// Reads its picture.
    pub(super) fn read(&self, limits: &DecodeOptions) -> Result<Image, Error> {
        let image = exists(&self.path).and_then(|()| Image::open_with(&self.path, limits)).map_err(|error| error.named("--like"))?;
        // Reading it is no part of the answer to any picture.
        Ok(Image::from_pixels(image.pixels().clone()))
    }

    fn told(&self, error: Error) -> Error {
        error.named("--like").at_place(on_a_line(&shown(&self.path)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_number_sign_in_its_name_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a#1,2,3,4");
        let boxed = Example { path: folder.path().join("a"), bounds: Some([1.0, 2.0, 3.0, 4.0]) };
        assert_eq!(Example::parse(path.as_os_str()).unwrap(), boxed);
        std::fs::write(&path, []).unwrap();
        assert_eq!(Example::parse(path.as_os_str()).unwrap(), Example { path: path.clone(), bounds: None });
        let inner = Example::parse(folder.path().join("a#1,2,3,4#5,6,7,8").as_os_str()).unwrap();
        assert_eq!((inner.path, inner.bounds), (path, Some([5.0, 6.0, 7.0, 8.0])));
        assert!(Example::parse("a#1,2".as_ref()).unwrap_err().to_string().contains("PICTURE#x1,y1,x2,y2"));
    }

    #[test]
    fn a_box_needs_an_inside_and_a_part_on_its_picture() {
        let check = |bounds: [f32; 4]| {
            let example = Example { path: "a.png".into(), bounds: Some(bounds) };
            example.check().and_then(|()| example.check_on(10, 10)).is_ok()
        };
        assert!(check([-5.0, 0.0, 1.0, 1.0]) && check([9.0, 9.0, 99.0, 99.0]));
        for bounds in [[1.0; 4], [5.0, 1.0, 2.0, 9.0], [10.0, 0.0, 20.0, 9.0], [-9.0, -9.0, 0.0, 5.0], [f32::NAN, 0.0, 1.0, 1.0]] {
            assert!(!check(bounds), "{bounds:?}");
        }
    }
}
