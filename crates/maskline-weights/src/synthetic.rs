//! Generated weights: any architecture can be measured at its real size without a download, since latency does not depend
//! on weight values.
//!
//! The numbers are a pure function of (seed, full tensor name, position): no look-up order, dependency or machine changes
//! them. Only integer arithmetic and exact IEEE operations are used (no logarithm or cosine, whose last bit differs
//! between machines): a normal value is the scaled sum of four 16-bit uniforms, within ±3.46 standard deviations.

/// The distribution of a generated tensor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Init {
    /// By shape and name, see [`Init::resolve`].
    #[default]
    Auto,
    /// Zero-mean normal with standard deviation `gain / sqrt(fan_in)`; fan-in is the product of all dimensions but the first.
    /// With many input channels each row is centred, so that the common mean of activations (SiLU and GELU are never zero
    /// on average) does not pile up from layer to layer.
    FanIn {
        /// Standard deviation of the output for an input of unit second moment.
        gain: f32,
    },
    /// Normal, cut at ±3.46 standard deviations.
    Normal {
        /// Centre.
        mean: f32,
        /// Standard deviation.
        std: f32,
    },
    /// Uniform on `[low, high)`.
    Uniform {
        /// Lower bound, included.
        low: f32,
        /// Upper bound, excluded.
        high: f32,
    },
    /// One value everywhere.
    Constant(f32),
}

/// Gain of weight matrices and kernels under [`Init::Auto`]: with centred rows the output of 30 layers of linear +
/// SiLU keeps its order of magnitude, and different inputs stay different (`tests/synthetic.rs`).
const GAIN: f32 = 1.7;
/// Rows over fewer input channels stay as they are: a centred stem or depthwise kernel would remove the image's brightness.
const CENTRED_CHANNELS: usize = 16;

impl Init {
    /// Replaces `Auto` by a distribution that keeps signals of deep networks in range.
    ///
    /// `running_var` about 1, `running_mean` and `bias` small, one-dimensional `weight` (norms) about 1,
    /// `num_batches_tracked` 0, other scalars 1, and every `weight` of two or more dimensions scaled by fan-in; all else
    /// (position encodings, tokens) is a small normal. A long chain of residual blocks without norms doubles its variance
    /// with every block: give the last layer of each block a smaller gain.
    pub fn resolve(self, name: &str, shape: &[usize]) -> Self {
        if self != Self::Auto {
            return self;
        }
        let leaf = name.rsplit('.').next().unwrap_or(name);
        match (leaf, shape.len()) {
            ("running_var", _) => Self::Uniform { low: 0.8, high: 1.2 },
            ("running_mean", _) => Self::Normal { mean: 0.0, std: 0.1 },
            ("num_batches_tracked", _) => Self::Constant(0.0),
            (leaf, _) if leaf.ends_with("bias") => Self::Normal { mean: 0.0, std: 0.1 },
            (leaf, 1) if ["weight", "gamma", "scale"].iter().any(|end| leaf.ends_with(end)) => Self::Normal { mean: 1.0, std: 0.1 },
            (_, 0) => Self::Constant(1.0),
            (leaf, _) if leaf.ends_with("weight") => Self::FanIn { gain: GAIN },
            _ => Self::Normal { mean: 0.0, std: 0.1 },
        }
    }
}

/// A new tensor of a shape whose element count does not overflow.
pub(crate) fn generate(seed: u64, name: &str, shape: &[usize], init: Init) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let mut stream = Stream::new(seed, name);
    match init.resolve(name, shape) {
        Init::Constant(value) => vec![value; count],
        Init::Uniform { low, high } => (0..count).map(|_| low + (high - low) * stream.uniform()).collect(),
        Init::Normal { mean, std } => (0..count).map(|_| mean + std * stream.normal()).collect(),
        Init::FanIn { gain } => {
            let fan_in: usize = shape.iter().skip(1).product();
            let std = gain / (fan_in.max(1) as f32).sqrt();
            let mut values: Vec<f32> = (0..count).map(|_| std * stream.normal()).collect();
            if shape.get(1).is_some_and(|&channels| channels >= CENTRED_CHANNELS) && count > 0 {
                values.chunks_mut(fan_in).for_each(centre);
            }
            values
        }
        Init::Auto => unreachable!("resolve never returns Auto"),
    }
}

fn centre(row: &mut [f32]) {
    let mean = row.iter().sum::<f32>() / row.len() as f32;
    row.iter_mut().for_each(|value| *value -= mean);
}

/// SplitMix64 (Steele et al. 2014), keyed by seed and tensor name.
struct Stream {
    state: u64,
}

impl Stream {
    fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name; the mixing decorrelates names and seeds that are close to each other.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { state: mix(hash ^ mix(seed)) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// `[0, 1)`, 24 bits.
    fn uniform(&mut self) -> f32 {
        const STEP: f32 = 1.0 / (1 << 24) as f32;
        (self.next() >> 40) as f32 * STEP
    }

    /// Mean 0, standard deviation 1.
    fn normal(&mut self) -> f32 {
        // The sum of four uniforms on 0..=65535 has mean 131070 and variance 4 (65536² - 1) / 12.
        const MEAN: i32 = 131_070;
        const INVERSE_STD: f32 = 2.642_899_8e-5;
        let bits = self.next();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        (sum as i32 - MEAN) as f32 * INVERSE_STD
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
