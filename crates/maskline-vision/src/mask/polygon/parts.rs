//! Which holes lie in which part.

use std::collections::HashMap;

use super::components::{Components, Touch};
use super::{Polygon, area, outlines, signed_area, simplified};
use crate::Mask;

/// A connected part of a mask: its outer outline and those of its holes. Parts inside a hole are parts of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The outer outline, clockwise (y down).
    pub outer: Polygon,
    /// The outlines of the holes, counter-clockwise, largest first.
    pub holes: Vec<Polygon>,
}

impl Part {
    /// The outer outline and then the holes, as [`Mask::from_polygons`] takes them.
    pub fn rings(&self) -> impl Iterator<Item = &Polygon> {
        std::iter::once(&self.outer).chain(&self.holes)
    }
}

impl Mask {
    /// The mask's parts with their holes, largest outer outline first. Pixels that touch at a corner belong to one part; holes
    /// that touch at a corner are two.
    ///
    /// With `tolerance` 0 the outlines follow the pixel edges, and [`Mask::from_polygons`] gives the mask back; above,
    /// vertices are dropped as [`Mask::polygons`] does.
    pub fn parts(&self, tolerance: f32) -> Vec<Part> {
        let components = Components::of(self.column_runs().collect(), Touch::Corners);
        let (outer, holes) = outlines(self).into_iter().partition::<Vec<_>, _>(|outline| signed_area(&outline.corners) > 0.0);
        let mut parts: Vec<Part> = Vec::with_capacity(outer.len());
        let mut part_of: HashMap<Option<usize>, usize> = HashMap::with_capacity(outer.len());
        for outline in outer {
            part_of.insert(components.at(outline.pixel), parts.len());
            parts.push(Part { outer: outline.corners, holes: Vec::new() });
        }
        for outline in holes {
            if let Some(&index) = part_of.get(&components.at(outline.pixel)) {
                parts[index].holes.push(outline.corners);
            }
        }
        parts.sort_by(|a, b| area(&b.outer).total_cmp(&area(&a.outer)));
        for part in &mut parts {
            part.holes.sort_by(|a, b| area(b).total_cmp(&area(a)));
            let rings = std::iter::once(&mut part.outer).chain(&mut part.holes);
            rings.for_each(|ring| *ring = simplified(std::mem::take(ring), tolerance));
        }
        parts
    }
}
