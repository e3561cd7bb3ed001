//! Clips that `ffmpeg` makes.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use maskline_video::{Frame, FrameOptions, Frames, Result, Source};

/// A folder for clips; `None`, and the test is skipped, without `ffmpeg`.
pub(crate) fn folder() -> Option<tempfile::TempDir> {
    if !maskline_video::is_available() {
        maskline_testing::skip("there is no ffmpeg");
        return None;
    }
    Some(tempfile::tempdir().unwrap())
}

/// Runs ffmpeg with arguments of which `OUT` is the file that it makes.
pub(crate) fn make(folder: &Path, name: &str, arguments: &str) -> PathBuf {
    let path = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).current_dir(folder);
    let made = command.args(arguments.split_whitespace()).arg(format!("file:{name}")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

/// 320 × 240, ten frames a second, a key frame in every ten.
pub(crate) fn clip(folder: &Path, name: &str, seconds: u32) -> PathBuf {
    let source = format!("-f lavfi -i testsrc=size=320x240:rate=10:duration={seconds}");
    make(folder, name, &format!("{source} -pix_fmt yuv420p -c:v libx264 -bf 2 -g 10"))
}

/// 13 of 20 frames: every third is missing.
pub(crate) fn uneven_clip(folder: &Path, name: &str) -> PathBuf {
    let filter = "-vf select='not(eq(mod(n,3),1))' -vsync vfr";
    make(folder, name, &format!("-f lavfi -i testsrc=size=320x240:rate=10:duration=2 {filter} -pix_fmt yuv420p -c:v libx264 -bf 2 -g 5"))
}

/// The same clip, to be turned when it is shown: by what its track's header says (`tkhd`), in whole quarters.
pub(crate) fn turned_clip(folder: &Path, name: &str) -> PathBuf {
    let path = clip(folder, name, 1);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|word| word == b"tkhd").unwrap() + 4 + 40;
    let matrix: [i32; 9] = [0, 1 << 16, 0, -(1 << 16), 0, 0, 240 << 16, 0, 1 << 30];
    bytes[at..at + 36].copy_from_slice(&matrix.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>());
    std::fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn open(path: &Path) -> Result<Frames> {
    Frames::open(Source::at(path), &FrameOptions::default())
}

/// All frames of a clip without a fault.
pub(crate) fn all(path: &Path) -> Vec<Frame> {
    open(path).unwrap().collect::<Result<_>>().unwrap()
}

/// A frame as ffmpeg's own command line gives it, from a file that holds no more than pixels.
pub(crate) fn reference(folder: &Path, clip: &Path, number: usize) -> Vec<u8> {
    let filter = format!("select=eq(n\\,{number}),scale=flags=accurate_rnd+full_chroma_int+bicubic,format=rgb24");
    let raw = make(folder, "reference.raw", &format!("-i {} -vf {filter} -frames:v 1 -f rawvideo", clip.display()));
    std::fs::read(raw).unwrap()
}
