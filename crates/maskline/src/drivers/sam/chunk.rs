//! How many prompts go through a decoder together: measured while warming up, and remembered with the bundle.
//!
//! A measurement made beside other work is a wrong one, and a file is read for a long time. So
//! - each chunk is run in two rounds, one chunk after the other, and only what repeats itself is remembered: what comes and goes on the
//!   machine meets one round and not the other;
//! - what is remembered comes with its time. A process that finds the decoder much faster than that knows that the machine was busy then,
//!   for longer than two rounds, and measures again. (Much slower means that it is busy now, which is no time to measure.)
//! - what is remembered is good for a week: machines get other limits, neighbours and drivers.

use std::path::Path;
use std::time::{Duration, SystemTime};

/// Chunks that are tried.
pub(super) const CHUNKS: [usize; 4] = [1, 2, 4, 8];
/// Where nothing was measured.
pub(super) const DEFAULT_CHUNK: usize = 4;
/// How often each chunk is timed: this is time that somebody waits.
pub(super) const ROUNDS: usize = 2;

/// Larger chunks take more memory: they must be worth it.
const WORTH: f64 = 0.97;
/// Rounds that lie within this factor of each other repeat themselves.
const REPEATS: f64 = 1.2;
/// Something else was going on where a decoder is so much faster than it was.
const CONTRADICTS: f64 = 1.5;
/// How long a measurement is good for.
const SHELF_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The fastest chunk of an earlier process, and how fast it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Remembered {
    pub(super) chunk: usize,
    /// Milliseconds per prompt.
    pub(super) per_prompt: f64,
}

impl Remembered {
    /// What a file says; `None` where it is missing, damaged, or too old.
    pub(super) fn read(file: &Path) -> Option<Self> {
        let written = std::fs::metadata(file).and_then(|facts| facts.modified()).ok()?;
        // A file from the future was written by a clock that was wrong.
        let age = SystemTime::now().duration_since(written).ok()?;
        (age <= SHELF_LIFE).then_some(())?;
        Self::parse(&std::fs::read_to_string(file).ok()?)
    }

    /// `4 7.25`: a chunk and milliseconds per prompt.
    fn parse(text: &str) -> Option<Self> {
        let (chunk, per_prompt) = text.trim().split_once(' ')?;
        let (chunk, per_prompt) = (chunk.parse().ok()?, per_prompt.parse().ok()?);
        (CHUNKS.contains(&chunk) && per_prompt > 0.0 && f64::is_finite(per_prompt)).then_some(Self { chunk, per_prompt })
    }

    /// Whether a run of the same chunk, in milliseconds per prompt, shows that the machine was busy when this was measured.
    pub(super) fn is_contradicted(&self, per_prompt: f64) -> bool {
        per_prompt * CONTRADICTS < self.per_prompt
    }
}

/// What a measurement says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chosen {
    pub(super) best: Remembered,
    /// Whether the rounds agree with each other.
    is_repeatable: bool,
}

impl Chosen {
    /// From milliseconds per prompt of each chunk of [`CHUNKS`], in several rounds.
    pub(super) fn of(rounds: &[[f64; CHUNKS.len()]]) -> Self {
        let mut best = Remembered { chunk: DEFAULT_CHUNK, per_prompt: f64::INFINITY };
        let mut is_repeatable = true;
        for (at, chunk) in CHUNKS.into_iter().enumerate() {
            let (fastest, slowest) =
                rounds.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), round| (low.min(round[at]), high.max(round[at])));
            is_repeatable &= slowest <= REPEATS * fastest;
            if fastest < WORTH * best.per_prompt {
                best = Remembered { chunk, per_prompt: fastest };
            }
        }
        Self { best, is_repeatable }
    }

    /// Writes it down if it is worth it, and removes what was written before if not.
    pub(super) fn remember(&self, file: &Path) {
        let Remembered { chunk, per_prompt } = self.best;
        // Not to remember costs a measurement next time, and nothing else.
        let _ = if self.is_repeatable { std::fs::write(file, format!("{chunk} {per_prompt:.4}\n")) } else { std::fs::remove_file(file) };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Milliseconds per prompt of a machine on which 4 is the fastest.
    const QUIET: [f64; 4] = [9.0, 6.0, 5.0, 5.1];

    #[test]
    fn the_smallest_of_the_fastest_chunks_is_chosen() {
        let chosen = Chosen::of(&[QUIET, QUIET.map(|time| 1.1 * time)]);
        assert_eq!((chosen.best, chosen.is_repeatable), (Remembered { chunk: 4, per_prompt: 5.0 }, true));
        assert_eq!(Chosen::of(&[[9.0, 6.0, 5.0, 4.0]]).best.chunk, 8);
        assert_eq!(Chosen::of(&[[5.0, 4.9, 4.9, 4.9]]).best.chunk, 1, "a larger chunk must be worth its memory");
    }

    #[test]
    fn what_does_not_repeat_itself_is_used_and_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chunk.txt");
        Chosen::of(&[QUIET, QUIET]).remember(&file);
        assert_eq!(Remembered::read(&file), Some(Remembered { chunk: 4, per_prompt: 5.0 }));
        // Somebody else worked while 2 and 4 had their turn in the second round.
        let disturbed = Chosen::of(&[QUIET, [9.0, 11.0, 17.0, 5.2]]);
        assert_eq!((disturbed.best.chunk, disturbed.is_repeatable), (4, false));
        disturbed.remember(&file);
        assert_eq!(Remembered::read(&file), None, "nor is what contradicted it");
    }

    #[test]
    fn what_was_measured_under_load_is_contradicted_by_a_quiet_machine_and_not_the_other_way_round() {
        let under_load = Remembered { chunk: 1, per_prompt: 20.0 };
        assert!(under_load.is_contradicted(9.0) && !under_load.is_contradicted(15.0));
        let quiet = Remembered { chunk: 4, per_prompt: 5.0 };
        assert!(!quiet.is_contradicted(40.0), "a busy machine is no place to measure");
    }

    #[test]
    fn files_that_are_old_or_damaged_are_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chunk.txt");
        for damaged in ["", "4", "3 5.0", "4 0", "4 NaN", "4 -1", "four 5.0", "4 5.0 more"] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(Remembered::read(&file), None, "`{damaged}`");
        }
        std::fs::write(&file, "4 5.0\n").unwrap();
        assert!(Remembered::read(&file).is_some());
        let written = SystemTime::now() - SHELF_LIFE - Duration::from_secs(60);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(written).unwrap();
        assert_eq!(Remembered::read(&file), None);
    }
}
