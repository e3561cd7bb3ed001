//! Connected pixels, as runs of columns.

use std::ops::Range;

use crate::Mask;

/// What counts as connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// Pixels that share an edge.
    Edges,
    /// Pixels that share an edge or a corner.
    Corners,
}

/// Runs of columns, from left to right and top to bottom, joined where they touch.
pub(super) struct Components {
    runs: Vec<(usize, Range<usize>)>,
    /// Of each run, the first one of its component.
    first: Vec<usize>,
}

impl Components {
    pub(super) fn of(runs: Vec<(usize, Range<usize>)>, touch: Touch) -> Self {
        let corner = usize::from(touch == Touch::Corners);
        let mut first: Vec<usize> = (0..runs.len()).collect();
        let mut before = 0;
        for (index, (x, ys)) in runs.iter().enumerate() {
            // Runs that end above this one touch none below it either.
            while before < index && (runs[before].0 + 1, runs[before].1.end + corner) <= (*x, ys.start) {
                before += 1;
            }
            let neighbours = runs[before..index].iter();
            let touching = neighbours.take_while(|(column, run)| column + 1 == *x && run.start < ys.end + corner).count();
            for neighbour in before..before + touching {
                join(&mut first, neighbour, index);
            }
        }
        // Parents come before their children, so that one step from a settled parent is the root.
        for index in 0..first.len() {
            first[index] = first[first[index]];
        }
        Self { runs, first }
    }

    /// The component of a pixel, by its first run; `None` for a pixel in no run.
    pub(super) fn at(&self, [x, y]: [usize; 2]) -> Option<usize> {
        let index = self.runs.partition_point(|(column, ys)| (*column, ys.start) <= (x, y)).checked_sub(1)?;
        let (column, ys) = &self.runs[index];
        (*column == x && ys.contains(&y)).then(|| self.first[index])
    }
}

fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b)] = a.min(b);
}

/// Halves the paths that it walks, so that they stay short.
fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

/// The unset pixels within a mask's bounds, and which of them are cut off from the outside.
pub(super) struct Holes {
    unset: Components,
    /// Of each component's first run.
    is_outside: Vec<bool>,
}

impl Holes {
    pub(super) fn of(mask: &Mask, bounds: [usize; 4]) -> Self {
        let [x1, y1, x2, y2] = bounds;
        let unset = Components::of(unset_runs(mask, bounds), Touch::Edges);
        let mut is_outside = vec![false; unset.runs.len()];
        for ((x, ys), &first) in unset.runs.iter().zip(&unset.first) {
            is_outside[first] |= *x == x1 || x + 1 == x2 || ys.start == y1 || ys.end == y2;
        }
        Self { unset, is_outside }
    }

    /// Whether the pixel is unset and lies in a hole.
    pub(super) fn contain(&self, pixel: [usize; 2]) -> bool {
        self.unset.at(pixel).is_some_and(|component| !self.is_outside[component])
    }
}

/// The gaps between a mask's runs, within its bounds.
fn unset_runs(mask: &Mask, [x1, y1, x2, y2]: [usize; 4]) -> Vec<(usize, Range<usize>)> {
    let mut runs = Vec::new();
    let mut set = mask.column_runs().peekable();
    for x in x1..x2 {
        let mut start = y1;
        while let Some((_, ys)) = set.next_if(|(column, _)| *column == x) {
            runs.push((x, start..ys.start));
            start = ys.end;
        }
        runs.push((x, start..y2));
    }
    runs.retain(|(_, ys)| !ys.is_empty());
    runs
}
