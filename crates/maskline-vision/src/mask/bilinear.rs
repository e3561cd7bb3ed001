//! PyTorch's bilinear `interpolate` (`align_corners=False`, not antialiased) along one axis.

/// One bilinear step: two neighbouring source positions and their weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bilinear {
    /// Equal at the end of the source.
    pub(crate) positions: [usize; 2],
    /// Each in 0..=1; together 1 but for rounding.
    pub(crate) weights: [f32; 2],
}

impl Bilinear {
    /// `scale` is source positions per output position. In f32, as PyTorch does: pixel centres, nothing before the first.
    pub(crate) fn at(position: usize, scale: f32, size: usize) -> Self {
        let source = (scale * (position as f32 + 0.5) - 0.5).max(0.0);
        let first = (source as usize).min(size - 1);
        let fraction = (source - first as f32).clamp(0.0, 1.0);
        Self { positions: [first, (first + 1).min(size - 1)], weights: [1.0 - fraction, fraction] }
    }

    /// At a position counted in source positions, 0 being the middle of the first; beyond the ends it is the end.
    pub(crate) fn near(position: f64, size: usize) -> Self {
        let source = position.clamp(0.0, (size - 1) as f64);
        let first = source as usize;
        let fraction = (source - first as f64) as f32;
        Self { positions: [first, (first + 1).min(size - 1)], weights: [1.0 - fraction, fraction] }
    }

    /// All steps from `source` positions to `target`; positions never fall.
    pub(crate) fn axis(source: usize, target: usize) -> Vec<Self> {
        let scale = source as f32 / target as f32;
        (0..target).map(|position| Self::at(position, scale, source)).collect()
    }

    /// The blend of two values, in PyTorch's order of operations.
    #[inline(always)]
    pub(crate) fn blend(&self, first: f32, second: f32) -> f32 {
        self.weights[0] * first + self.weights[1] * second
    }
}
