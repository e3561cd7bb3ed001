//! The bandwidth of memory, by STREAM's triad (McCalpin 1995, <https://www.cs.virginia.edu/stream/ref.html>).

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use super::files::Files;
use super::{processor, system};

/// Passes over the arrays; the first only brings the pages in.
const PASSES: usize = 11;

/// Bytes of an array where the caches are not known: four times 16 MiB.
const LEAST_ARRAY: u64 = 64 << 20;

/// Bandwidth of memory in thousand million bytes per second with so many threads (0: one per processor): the best of ten passes of
/// `a[i] = b[i] + s · c[i]`.
///
/// As STREAM counts: three times 8 bytes per element, without the line of `a` that most processors read before they write it. Each
/// array holds at least four times all last-level caches together, of what a quarter of the free memory allows; each thread works
/// on a part of its own that it has touched first, so that it lies in its own memory node.
pub fn bandwidth(threads: usize) -> f64 {
    let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) } else { threads };
    let part = (array_bytes(&Files::of_system()) as usize / size_of::<f64>()).div_ceil(threads);
    let (begin, end) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let seconds = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(part, &begin, &end));
        }
        let pass = |_| {
            begin.wait();
            let start = Instant::now();
            end.wait();
            start.elapsed().as_secs_f64()
        };
        (0..PASSES).map(pass).skip(1).fold(f64::INFINITY, f64::min)
    });
    (3 * size_of::<f64>() * part * threads) as f64 / seconds / 1e9
}

fn array_bytes(files: &Files) -> u64 {
    let wished = processor::last_level_cache(files).map_or(LEAST_ARRAY, |cache| (4 * cache).max(LEAST_ARRAY));
    let most = system::available_memory(files).map_or(u64::MAX, |bytes| bytes / 4 / 3);
    wished.min(most)
}

fn work(elements: usize, begin: &Barrier, end: &Barrier) {
    let (mut a, b, c) = (vec![0.5; elements], vec![1.5; elements], vec![2.5; elements]);
    for _ in 0..PASSES {
        begin.wait();
        triad(&mut a, &b, &c, black_box(3.0));
        black_box(&a);
        end.wait();
    }
}

fn triad(a: &mut [f64], b: &[f64], c: &[f64], scalar: f64) {
    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
        *a = b + scalar * c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triad_is_a_sum_and_a_product() {
        let mut a = [0.0; 3];
        triad(&mut a, &[1.0, 2.0, 3.0], &[0.5, 0.25, 0.0], 10.0);
        assert_eq!(a, [6.0, 4.5, 3.0]);
    }

    #[test]
    fn arrays_exceed_the_caches_and_fit_into_memory() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let cache = "sys/devices/system/cpu/cpu0/cache/index3";
        let (level, size, shared) = (format!("{cache}/level"), format!("{cache}/size"), format!("{cache}/shared_cpu_list"));
        let memory = "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\n";
        let files = Files::with(folder.path(), &[(&level, "3"), (&size, "65536K"), (&shared, "0-15"), ("proc/meminfo", memory)]);
        assert_eq!(array_bytes(&files), 256 << 20);
        let scarce = Files::with(folder.path(), &[("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 1572864 kB\n")]);
        assert_eq!(array_bytes(&scarce), 128 << 20);
    }

    #[test]
    fn memory_has_a_bandwidth() {
        let found = bandwidth(1);
        assert!((0.2..2000.0).contains(&found), "{found} GB/s");
    }
}
