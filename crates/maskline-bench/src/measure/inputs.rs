//! The pictures of a run.

use std::path::{Path, PathBuf};

use maskline::vision::RgbImage;
use maskline::vision::write::{PictureFormat, save_picture};
use maskline::{Error, ErrorKind, Image, Result};
use sha2::{Digest, Sha256};

use super::plan::Pictures;
use crate::random::Random;
use crate::report;
use crate::worker::boxes;

/// Files, and what the report says of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inputs {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) described: report::Inputs,
}

/// Width and height of generated pictures: those of a common camera's small setting.
const SIZE: (usize, usize) = (1280, 960);
/// One, as each promptable model encodes all pictures before cached embeddings are measured.
const COUNT: usize = 1;

impl Inputs {
    /// Checks that every picture can be read; generated ones are written into `folder`.
    pub(crate) fn gather(pictures: &Pictures, folder: &Path) -> Result<Self> {
        let (files, name, is_synthetic) = match pictures {
            Pictures::Files(files) => {
                files.iter().try_for_each(|file| Image::open(file).map(drop))?;
                (files.clone(), sizes(files)?, false)
            }
            Pictures::Generated => (generate(folder)?, format!("a generated JPEG file of {} × {} pixels", SIZE.0, SIZE.1), true),
        };
        if files.is_empty() {
            return Err(Error::new(ErrorKind::InvalidOption, "pictures: expected at least one, found none"));
        }
        let described = report::Inputs { name, count: files.len(), sha256: hash(&files)?, is_synthetic };
        Ok(Self { files, described })
    }
}

/// How large the pictures are.
fn sizes(files: &[PathBuf]) -> Result<String> {
    let mut pixels = files.iter().map(|file| Ok(Image::open(file)?.size())).collect::<Result<Vec<_>>>()?;
    pixels.sort_by_key(|(width, height)| width * height);
    let text = |(width, height): &(usize, usize)| format!("{width} × {height}");
    let files = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    Ok(match (pixels.first(), pixels.last()) {
        (Some(first), Some(last)) if first != last => format!("{files} of {} to {} pixels", text(first), text(last)),
        (Some(first), _) => format!("{files} of {} pixels", text(first)),
        _ => files,
    })
}

/// SHA-256 over the lengths and contents of files.
fn hash(files: &[PathBuf]) -> Result<String> {
    let mut hasher = Sha256::new();
    for file in files {
        let bytes = std::fs::read(file).map_err(|error| io(file, &error))?;
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn io(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{error}\n  in   {}", path.display()))
}

fn generate(folder: &Path) -> Result<Vec<PathBuf>> {
    let write = |number: usize| {
        let file = folder.join(format!("generated-{}.jpg", number + 1));
        save_picture(&file, &scene(number as u64)?, PictureFormat::Jpeg { quality: 90 })?;
        Ok(file)
    };
    (0..COUNT).map(write).collect()
}

/// Objects with grain before a slope of light: to a JPEG decoder about as much work as a photograph.
fn scene(seed: u64) -> Result<RgbImage> {
    let (width, height) = SIZE;
    let mut random = Random::new(seed);
    let mut colour = || [0; 3].map(|_: u8| 40.0 + 160.0 * random.unit());
    let (top, bottom) = (colour(), colour());
    let objects: Vec<([f32; 4], [f64; 3])> = boxes(12, SIZE).into_iter().map(|bounds| (bounds, colour())).collect();
    let mut grain = Random::new(seed ^ 0x5eed);
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let down = y as f64 / height as f64;
        for x in 0..width {
            let (across, below) = (x as f32, y as f32);
            let on = objects.iter().rev().position(|([x1, y1, x2, y2], _)| {
                let [dx, dy] = [(2.0 * across - x1 - x2) / (x2 - x1), (2.0 * below - y1 - y2) / (y2 - y1)];
                dx * dx + dy * dy <= 1.0
            });
            let grey = 12.0 * (grain.unit() - 0.5);
            for channel in 0..3 {
                let base = match on {
                    Some(at) => objects[objects.len() - 1 - at].1[channel],
                    None => top[channel] * (1.0 - down) + bottom[channel] * down,
                };
                pixels.push((base + grey).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Ok(RgbImage::new(width, height, pixels)?)
}
