//! The rate of matrix products, in ONNX Runtime as networks run in it.

use std::time::{Duration, Instant};

use maskline::runtime::{Job, Lane, LaneOptions, ModelSource, Provider, SharedTensor, Tensor};
use maskline::{Engine, Error, ErrorKind, Result};
use maskline_onnx::{Constant, DType, Dialect, Graph};

use crate::percentile::median;
use crate::random::Random;

/// `[rows, inner, columns]` for processors, from cheap to dear.
const SHAPES: [[usize; 3]; 3] = [[1024; 3], [2048, 512, 2048], [2048; 3]];

/// And for devices, which are filled by larger ones only.
const DEVICE_SHAPES: [[usize; 3]; 3] = [[1024; 3], [2048; 3], [4096; 3]];

/// Products of one run on a device: enough of them that copies and calls do not show.
const CHAIN: usize = 16;

/// What all of it may take; a shape that would not fit any more is left out.
const LIMIT: Duration = Duration::from_millis(1_500);

/// Runs of a shape, at least and at most.
const RUNS: std::ops::RangeInclusive<usize> = 3..=15;

/// The most operations per second, in thousand million, that matrix products reach on a provider with so many threads (0: one per
/// processor): the median of the best shape of 1024 to 2048 rows (more on devices).
///
/// f32 with a constant right-hand side, which ONNX Runtime packs once, as it does with a network's weights. On the CPU, one product a
/// run, from memory to memory; elsewhere a chain of products of which a single element comes back. At most about two seconds.
///
/// # Errors
/// `Unavailable` if the provider is not there, `Failed` if it cannot run a product.
pub fn gemm(engine: &Engine, threads: usize, provider: &Provider) -> Result<f64> {
    let options = LaneOptions { threads, provider: provider.clone(), ..LaneOptions::default() };
    let (shapes, chain) = if provider.is_cpu() { (SHAPES, 1) } else { (DEVICE_SHAPES, CHAIN) };
    let start = Instant::now();
    let mut best: f64 = 0.0;
    for product in shapes.map(|shape| Product { shape, chain }) {
        // By the rate so far, with the least number of runs and as much again for the session.
        let expected = if best > 0.0 { 2.0 * *RUNS.start() as f64 * product.operations() / (best * 1e9) } else { 0.0 };
        if start.elapsed().as_secs_f64() + expected < LIMIT.as_secs_f64() {
            best = best.max(product.rate(engine, &options, start)?);
        }
    }
    Ok(best)
}

/// A graph of products.
struct Product {
    shape: [usize; 3],
    chain: usize,
}

impl Product {
    fn operations(&self) -> f64 {
        let [rows, inner, columns] = self.shape;
        2.0 * (rows * inner * columns * self.chain) as f64
    }

    /// Thousand million operations per second; stops early when `start` is too long ago.
    fn rate(&self, engine: &Engine, options: &LaneOptions, start: Instant) -> Result<f64> {
        let bytes = self.graph()?;
        let session = Lane::open(engine.library(), ModelSource::Bytes(&bytes), options)?;
        let [rows, inner, _] = self.shape;
        // A device makes its rows itself.
        let rows = if self.chain == 1 { rows } else { 1 };
        let x = SharedTensor::new(Tensor::new([rows, inner], values(rows, inner))?)?;
        session.run(Job::new([("x", x.clone())]))?;
        let mut seconds = Vec::with_capacity(*RUNS.end());
        while seconds.len() < *RUNS.end() && (seconds.len() < *RUNS.start() || start.elapsed() < LIMIT) {
            seconds.push(session.run(Job::new([("x", x.clone())]))?.run.as_secs_f64());
        }
        Ok(self.operations() / median(&mut seconds) / 1e9)
    }

    fn graph(&self) -> Result<Vec<u8>> {
        let [rows, inner, columns] = self.shape;
        let g = &mut Graph::new("product", Dialect::Portable);
        let weight = Constant::f32(&[inner, columns], values(columns, inner))
            .ok_or_else(|| Error::new(ErrorKind::Failed, format!("{inner} × {columns} numbers make no matrix")))?;
        let weight = g.constant(weight);
        let y = if self.chain == 1 {
            let x = g.input("x", DType::F32, [rows, inner])?;
            g.matmul(&x, &weight)?
        } else {
            let x = g.input("x", DType::F32, [1, inner])?;
            let mut y = g.expand(&x, &[rows, inner])?;
            for _ in 0..self.chain {
                y = g.matmul(&y, &weight)?;
            }
            let row = g.slice(&y, 0, 0..1)?;
            g.slice(&row, 1, 0..1)?
        };
        g.output("y", &y)?;
        Ok(std::mem::replace(g, Graph::new("", Dialect::Portable)).finish()?.to_bytes()?)
    }
}

/// Rows of `inner` random numbers that a product keeps as large as they are: their variance is `1 / inner`.
fn values(rows: usize, inner: usize) -> Vec<f32> {
    let mut random = Random::new(inner as u64);
    let most = (3.0 / inner as f64).sqrt();
    (0..rows * inner).map(|_| ((2.0 * random.unit() - 1.0) * most) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> (tempfile::TempDir, Engine) {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let library = maskline::runtime::LibraryOptions::from_env();
        let engine = Engine::new(maskline::EngineOptions { library, cache: folder.path().into(), ..Default::default() });
        (folder, engine.unwrap_or_else(|error| panic!("{error}")))
    }

    #[test]
    fn the_processor_has_a_rate() {
        let (_folder, engine) = engine();
        let start = Instant::now();
        let rate = gemm(&engine, 1, &Provider::Cpu).unwrap_or_else(|error| panic!("{error}"));
        assert!((0.5..5000.0).contains(&rate), "{rate} GFLOP/s");
        eprintln!("{rate:.1} GFLOP/s with one thread, {:?}", start.elapsed());
    }

    #[test]
    fn a_chain_of_products_is_one_and_its_numbers_keep_their_size() {
        let (_folder, engine) = engine();
        let product = Product { shape: [64, 64, 64], chain: CHAIN };
        let session =
            product.graph().and_then(|bytes| Ok(Lane::open(engine.library(), ModelSource::Bytes(&bytes), &LaneOptions::default())?));
        let session = session.unwrap_or_else(|error| panic!("{error}"));
        let outputs = Tensor::new([1, 64], values(1, 64)).and_then(|x| session.run(Job::new([("x", x)])));
        let found = outputs.and_then(|outputs| Ok(outputs.f32("y")?.data.to_vec()));
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        // Sixteen products later, a number is still of the size that it was.
        assert!(found.len() == 1 && found[0].abs() > 1e-4 && found[0].abs() < 1e2, "{found:?}");
        assert_eq!(product.operations(), 2.0 * 64.0_f64.powi(3) * 16.0);
    }
}
