//! Connected regions: small holes filled, small islands removed, on masks (SAM 1) and on logits (SAM 2).
//!
//! Regions are 8-connected, holes as well as islands, as in OpenCV's and SAM 2's own labelling. They are found on the runs of
//! the columns, so that the cost follows the outline and not the area.

use std::ops::Range;

use super::{Logits, Mask, RunBuilder};

/// What [`remove_small_regions`] removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regions {
    /// Regions of unset pixels become set.
    Holes,
    /// Regions of set pixels become unset. Where all are small, the largest stays.
    Islands,
}

/// The mask without regions of less than `area` pixels, and whether there were any (`segment_anything/utils/amg.py`,
/// `remove_small_regions`, which everything mode calls for holes and then for islands).
///
/// Of largest regions of the same area, the one that OpenCV finds first stays: it scans squares of 2 x 2 pixels by rows.
pub fn remove_small_regions(mask: &Mask, area: u64, regions: Regions) -> (Mask, bool) {
    let parts = match regions {
        Regions::Holes => Parts::new(mask.width(), unset_runs(mask)),
        Regions::Islands => Parts::new(mask.width(), mask.column_runs()),
    };
    if !parts.regions.iter().any(|region| region.area < area) {
        return (mask.clone(), false);
    }
    let changed = match regions {
        Regions::Holes => parts.paint(mask, |region| region.area < area, true),
        Regions::Islands => {
            let largest = parts.regions.iter().max_by_key(|region| (region.area, std::cmp::Reverse(region.first)));
            let is_kept = |region: &Region| region.area >= area || largest == Some(region);
            parts.paint(mask, |region| !is_kept(region), false)
        }
    };
    (changed, true)
}

/// The region of set pixels with the largest area, alone; of several, the one whose first pixel by rows comes first. `None` for an
/// empty mask.
pub fn largest_region(mask: &Mask) -> Option<Mask> {
    let parts = Parts::new(mask.width(), mask.column_runs());
    let most = parts.regions.iter().map(|region| region.area).max()?;
    let runs = || parts.runs.iter().zip(&parts.labels);
    let largest = runs().filter(|(_, label)| parts.regions[**label as usize].area == most);
    let (_, chosen) = largest.min_by_key(|((x, ys), _)| (ys.start, *x))?;
    let mut alone = RunBuilder::of(mask);
    for ((x, ys), _) in runs().filter(|(_, label)| *label == chosen) {
        let column = x * mask.height();
        alone.push_until((column + ys.start) as u32, false);
        alone.push_until((column + ys.end) as u32, true);
    }
    alone.push_until(mask.total(), false);
    Some(alone.finish())
}

/// Which regions of mask logits are too small to be true (`SAM2ImagePredictor`'s `mask_threshold`, `max_hole_area` and
/// `max_sprinkle_area`). Areas are in pixels of the logits; 0 leaves the regions as they are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cleaning {
    /// The logit above which a pixel belongs to the mask.
    pub threshold: f32,
    /// Regions of at most this area that are not above the threshold are raised above it.
    pub max_hole_area: u64,
    /// Regions of at most this area that are above the threshold are lowered below it.
    pub max_sprinkle_area: u64,
}

/// How far from the threshold [`clean`] sets what it changes.
const CLEANED: f32 = 10.0;
/// What [`fill_holes`] sets holes to.
const FILLED: f32 = 0.1;

/// Sets small holes to 10 above the threshold and small sprinkles to 10 below, both found on the logits as they come
/// (`sam2/utils/transforms.py`, `postprocess_masks`). Logits that are not a number stay.
pub fn clean(logits: &mut Logits, cleaning: &Cleaning) {
    let Cleaning { threshold, max_hole_area, max_sprinkle_area } = *cleaning;
    // Sprinkles are found before holes are filled: a hole in a sprinkle does not make it larger.
    let holes = small_parts(logits, max_hole_area, |value| value <= threshold);
    let sprinkles = small_parts(logits, max_sprinkle_area, |value| value > threshold);
    set(logits, &holes, threshold + CLEANED);
    set(logits, &sprinkles, threshold - CLEANED);
}

/// Sets holes (regions at or below 0) of at most `max_area` pixels to 0.1, as SAM 2 does between the frames of a video
/// (`sam2/utils/misc.py`, `fill_holes_in_mask_scores`; there `max_area` is 8).
pub fn fill_holes(logits: &mut Logits, max_area: u64) {
    let holes = small_parts(logits, max_area, |value| value <= 0.0);
    set(logits, &holes, FILLED);
}

/// The column runs of all regions of at most `most` pixels of which the values are chosen.
fn small_parts(logits: &Logits, most: u64, is_chosen: impl Fn(f32) -> bool) -> Vec<(usize, Range<usize>)> {
    if most == 0 {
        return Vec::new();
    }
    let parts = Parts::new(logits.size()[1], logit_runs(logits, is_chosen).into_iter());
    let is_small = |label: u32| parts.regions[label as usize].area <= most;
    let small = parts.runs.iter().zip(&parts.labels).filter(|(_, label)| is_small(**label));
    small.map(|(run, _)| run.clone()).collect()
}

fn logit_runs(logits: &Logits, is_chosen: impl Fn(f32) -> bool) -> Vec<(usize, Range<usize>)> {
    let [height, width] = logits.size();
    // Row by row, with a run kept open for each column: down the columns, memory would be read against the grain.
    let mut open = vec![None; width];
    let mut runs = Vec::new();
    for y in 0..height {
        for (x, (value, open)) in logits.row(y).iter().zip(&mut open).enumerate() {
            if is_chosen(*value) {
                open.get_or_insert(y);
            } else if let Some(start) = open.take() {
                runs.push((x, start..y));
            }
        }
    }
    runs.extend(open.into_iter().enumerate().filter_map(|(x, start)| Some((x, start?..height))));
    runs.sort_unstable_by_key(|(x, ys)| (*x, ys.start));
    runs
}

fn set(logits: &mut Logits, runs: &[(usize, Range<usize>)], value: f32) {
    let width = logits.size()[1];
    let data = logits.data_mut();
    runs.iter().for_each(|(x, ys)| ys.clone().for_each(|y| data[y * width + x] = value));
}

/// What lies between the set runs of each column.
fn unset_runs(mask: &Mask) -> impl Iterator<Item = (usize, Range<usize>)> {
    let height = mask.height();
    let mut set = mask.column_runs().peekable();
    (0..mask.width()).flat_map(move |x| {
        let mut gaps = Vec::new();
        let mut start = 0;
        while let Some((_, ys)) = set.next_if(|(column, _)| *column == x) {
            gaps.push((x, start..ys.start));
            start = ys.end;
        }
        gaps.push((x, start..height));
        gaps.retain(|(_, ys)| !ys.is_empty());
        gaps
    })
}

/// A connected region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    /// In pixels.
    area: u64,
    /// Row and column of the first square of 2 x 2 pixels that it touches, counted by rows.
    first: (usize, usize),
}

/// Runs and the regions that they belong to.
struct Parts {
    /// Column and rows, from left to right and top to bottom.
    runs: Vec<(usize, Range<usize>)>,
    /// For each run, the index of its region.
    labels: Vec<u32>,
    regions: Vec<Region>,
}

impl Parts {
    /// Labels runs that come from left to right and top to bottom.
    fn new(width: usize, runs: impl Iterator<Item = (usize, Range<usize>)>) -> Self {
        let runs: Vec<_> = runs.collect();
        let mut parents: Vec<u32> = (0..runs.len() as u32).collect();
        let mut columns = vec![0; width + 1];
        runs.iter().for_each(|(x, _)| columns[x + 1] += 1);
        (0..width).for_each(|x| columns[x + 1] += columns[x]);
        for x in 1..width {
            let (mut left, mut own) = (columns[x - 1], columns[x]);
            while left < columns[x] && own < columns[x + 1] {
                let (before, here) = (&runs[left].1, &runs[own].1);
                // Corners touch too.
                if before.start <= here.end && here.start <= before.end {
                    join(&mut parents, left as u32, own as u32);
                }
                if before.end < here.end { left += 1 } else { own += 1 }
            }
        }
        Self::gather(runs, parents)
    }

    fn gather(runs: Vec<(usize, Range<usize>)>, mut parents: Vec<u32>) -> Self {
        let mut regions = Vec::<Region>::new();
        let mut labels: Vec<u32> = Vec::with_capacity(runs.len());
        for (index, (x, ys)) in runs.iter().enumerate() {
            let root = root(&mut parents, index as u32) as usize;
            let first = (ys.start / 2, x / 2);
            // A root is the first run of its region.
            let label = if root == index { regions.len() as u32 } else { labels[root] };
            if root == index {
                regions.push(Region { area: 0, first });
            }
            labels.push(label);
            let region = &mut regions[label as usize];
            region.area += ys.len() as u64;
            region.first = region.first.min(first);
        }
        Self { runs, labels, regions }
    }

    /// The mask with all pixels of the chosen regions set or unset.
    fn paint(&self, mask: &Mask, is_chosen: impl Fn(&Region) -> bool, value: bool) -> Mask {
        let height = mask.height();
        let position = |(x, ys): &(usize, Range<usize>)| (x * height + ys.start) as u32..(x * height + ys.end) as u32;
        let chosen: Vec<bool> = self.regions.iter().map(is_chosen).collect();
        let mut runs = RunBuilder::of(mask);
        // The runs are those of the value that is painted over, and all else has the other.
        for (run, label) in self.runs.iter().zip(&self.labels) {
            let run = position(run);
            runs.push_until(run.start, value);
            runs.push_until(run.end, if chosen[*label as usize] { value } else { !value });
        }
        runs.push_until(mask.total(), value);
        runs.finish()
    }
}

/// Joins the trees of two runs under the earlier root.
fn join(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b) as usize] = a.min(b);
}

fn root(parents: &mut [u32], mut index: u32) -> u32 {
    while parents[index as usize] != index {
        let grandparent = parents[parents[index as usize] as usize];
        parents[index as usize] = grandparent;
        index = grandparent;
    }
    index
}
