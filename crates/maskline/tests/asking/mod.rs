//! Promptable models small enough to be asked often, and what they are asked.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

pub mod parts;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use maskline::vision::mask::Logits;
use maskline::{
    BundleOptions, Embedding, Engine, EngineOptions, Image, LoadOptions, Mask, MaskPrompt, Model, ModelSource, Prompt, RgbImage,
    SegmentOptions,
};
use tempfile::TempDir;

/// Side of the network input of [`Place::synthetic`]: masks of 16 × 16 logits.
pub const SIDE: usize = 64;
/// Side of its mask logits.
pub const MASK_SIDE: usize = SIDE / 4;
/// Width and height of the picture that most tests ask about; no multiple of anything.
pub const SIZE: (usize, usize) = (97, 61);

/// A folder of the shared test material, or `None` (said aloud) where it is missing.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if folder.exists() {
        return Some(folder);
    }
    maskline_testing::skip(format_args!("{} is missing", folder.display()));
    None
}

/// An engine with a cache of its own.
pub struct Place {
    pub folder: TempDir,
    pub engine: Engine,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() }).unwrap();
        Self { folder, engine }
    }

    /// A SAM 2.1 at its real width with generated weights, for pictures of [`SIDE`].
    pub fn synthetic(&self, options: LoadOptions) -> Model {
        let source = ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 3 };
        let bundle = BundleOptions { image_size: Some(SIDE), ..options.bundle };
        self.engine.load(source, &LoadOptions { bundle, warm_up: false, ..options }).unwrap()
    }
}

/// The synthetic model, shared by the tests of a file, which get the same bits whoever else asks. Its bundle is gone: both decoders are
/// open and need it no more.
pub static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let place = Place::new();
    let model = place.synthetic(LoadOptions { together: Some(1), ..LoadOptions::default() });
    let mask = MaskPrompt::Picture(Mask::from_fn(SIZE.0, SIZE.1, |x, _| x < 50).unwrap());
    let opening = Prompt::default().with_mask(mask);
    let segments = model.embed(&picture(1, SIZE)).unwrap().segment(&[opening], &SegmentOptions::default()).unwrap();
    assert!(segments.answers[0].is_ok());
    model
});

/// What the synthetic model knows of a picture of [`SIZE`].
pub fn embedding() -> Embedding {
    MODEL.embed(&picture(1, SIZE)).unwrap()
}

/// Knuth's linear congruential generator; the upper bits are the good ones.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// From 0 to `end`.
    pub fn up_to(&mut self, end: f32) -> f32 {
        self.next() as f32 / (1_u64 << 31) as f32 * end
    }

    /// Clicks, a box, both, a mask, or all of them.
    pub fn prompt(&mut self, (width, height): (usize, usize), mask_side: usize) -> Prompt {
        let (width, height) = (width as f32, height as f32);
        let what = self.below(6);
        let mut prompt = Prompt::default();
        if matches!(what, 1 | 2 | 5) {
            let (x, y) = (self.up_to(width * 0.7), self.up_to(height * 0.7));
            prompt.bounds = Some([x, y, x + 1.0 + self.up_to(width), y + 1.0 + self.up_to(height)]);
        }
        if matches!(what, 0 | 2 | 4 | 5) {
            for _ in 0..=self.below(3) {
                prompt = prompt.with_click(self.up_to(width), self.up_to(height), self.below(3) > 0);
            }
        }
        if matches!(what, 3..) {
            let logits = (0..mask_side * mask_side).map(|_| self.up_to(20.0) - 10.0).collect();
            prompt.mask = Some(MaskPrompt::Logits(Logits::new(logits, [mask_side; 2]).unwrap()));
        }
        prompt
    }
}

/// A picture with shapes and some noise.
pub fn picture(seed: u64, (width, height): (usize, usize)) -> Image {
    let mut random = Random(seed);
    let mut pixels = Vec::with_capacity(3 * width * height);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let is_inside = 2 * x.abs_diff(width / 2) < width / 2 && 2 * y.abs_diff(height / 2) < height / 2;
        let base = if is_inside { [200, 40, 60] } else { [30, (x * 255 / width) as u8, (y * 255 / height) as u8] };
        pixels.extend(base.map(|level: u8| level.saturating_add(random.below(30) as u8)));
    }
    Image::from_pixels(RgbImage::new(width, height, pixels).unwrap())
}
