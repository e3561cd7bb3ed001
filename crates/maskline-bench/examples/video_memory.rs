//! Whether following objects for hours takes more and more memory: the process' resident memory over many frames with two objects, and over
//! many trackers that come and go. Generated weights, at a small size.
//!
//! `cargo run --release -p maskline-bench --example video_memory [FRAMES]`

use maskline::{BundleOptions, Engine, EngineOptions, Image, LoadOptions, ModelSource, Prompt, RgbImage, TrackerOptions};
use maskline_bench::machine::memory_of;

/// Frames before memory is expected to stay.
const SETTLED: usize = 200;
const TRACKERS: usize = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let frames: usize = std::env::args().nth(1).map_or(Ok(10_000), |word| word.parse())?;
    let engine = Engine::new(EngineOptions::default())?;
    let bundle = BundleOptions { image_size: Some(64), ..BundleOptions::default() };
    let source = ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 0 };
    let model = engine.load(source, &LoadOptions { bundle, ..LoadOptions::default() })?;
    let pictures = (0..16).map(picture).collect::<Result<Vec<_>, _>>()?;

    let mut tracker = model.tracker(TrackerOptions::default())?;
    let mut points = Vec::new();
    for index in 0..frames {
        let answer = tracker.push(&pictures[index % pictures.len()])?;
        for object in &answer.objects {
            object.mask()?;
        }
        if index == 0 {
            tracker.add(1, &Prompt::click(100.0, 60.0))?;
            tracker.add(2, &Prompt::bounds([10.0, 10.0, 90.0, 70.0]))?;
        }
        if index >= SETTLED && index % 100 == 0 {
            points.push((index as f64, resident() as f64));
        }
        if index % 1000 == 0 {
            println!("frame {index}: {:.1} MB resident, {:.2} MB kept", resident() as f64 / 1e6, tracker.state_bytes() as f64 / 1e6);
        }
    }
    let (slope, noise) = line(&points);
    println!("after frame {SETTLED}: {slope:.1} bytes a frame, {:.0} kB about that line", noise / 1e3);

    let mut points = Vec::new();
    for number in 0..TRACKERS {
        let mut tracker = model.tracker(TrackerOptions::default())?;
        tracker.push(&pictures[0])?;
        tracker.add(1, &Prompt::click(100.0, 60.0))?;
        (1..12).try_for_each(|index| tracker.push(&pictures[index]).map(drop))?;
        drop(tracker);
        points.push((number as f64, resident() as f64));
    }
    let (slope, noise) = line(&points);
    println!("{TRACKERS} trackers, one after the other: {slope:.0} bytes each, {:.0} kB about that line", noise / 1e3);
    Ok(())
}

/// 0 where the system does not tell.
fn resident() -> u64 {
    memory_of(std::process::id()).unwrap_or_default()
}

fn picture(number: usize) -> maskline::Result<Image> {
    let (width, height) = (160, 90);
    let level = |at: usize| (at.wrapping_mul(0x9E37_79B1).wrapping_add(number * 7919) >> 9) as u8;
    Ok(Image::from_pixels(RgbImage::new(width, height, (0..width * height * 3).map(level).collect())?))
}

/// Slope of the straight line through points, and the standard deviation about it.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread.max(f64::MIN_POSITIVE);
    let noise = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2)).sum::<f64>() / count;
    (slope, noise.sqrt())
}
