//! NVIDIA's cards while something is measured: the memory that processes hold on them, their clocks, and what lowers these.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::nvml;
use super::ticker::Ticker;
use crate::report::{Card, CardState};

/// How often is looked, which takes the driver about a millisecond. What holds memory for less than this may be missed.
const INTERVAL: Duration = Duration::from_millis(100);

/// What the driver tells of a card at one moment; `None` and empty for what it does not tell.
#[derive(Debug, Clone, PartialEq, Default)]
// Drivers are only asked on Linux.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(super) struct Reading {
    pub(super) name: String,
    /// Of the multiprocessors, in MHz.
    pub(super) clock_mhz: Option<f64>,
    /// The highest that they can have.
    pub(super) clock_max_mhz: Option<f64>,
    pub(super) power_limit_watts: Option<f64>,
    pub(super) temperature_celsius: Option<f64>,
    /// What lowers the clock now.
    pub(super) slowed_by: Vec<&'static str>,
    /// Bytes that each process holds, by its number.
    pub(super) memory: BTreeMap<u32, u64>,
}

/// Who tells of the cards, in an order that stays.
pub(super) type Driver = Box<dyn Fn() -> Vec<Reading> + Send + Sync>;

/// Looks at the cards ten times a second, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct CardWatch {
    state: Arc<State>,
    /// Ends with this value.
    _ticker: Ticker,
}

struct State {
    driver: Driver,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The most that each process held at a time, on all cards together.
    most_memory: BTreeMap<u32, u64>,
    /// Since [`CardWatch::begin`].
    steady: Option<Stretch>,
}

#[derive(Debug)]
struct Stretch {
    before: Vec<Reading>,
    /// By card.
    slowed_by: Vec<BTreeSet<&'static str>>,
}

impl CardWatch {
    /// Starts to watch; `None` where there is no driver of NVIDIA's that tells of cards.
    pub fn start() -> Option<Self> {
        let driver = nvml::driver()?;
        (!driver().is_empty()).then(|| Self::over(driver))
    }

    pub(super) fn over(driver: Driver) -> Self {
        let state = Arc::new(State { driver, seen: Mutex::default() });
        let watched = Arc::clone(&state);
        let ticker = Ticker::start("maskline-cards", INTERVAL, move || drop(watched.look()));
        Self { state, _ticker: ticker }
    }

    /// The most memory that a process held on the cards so far, in bytes. `None` where the driver does not tell of it: before it computes, and
    /// in containers, whose processes have other numbers than the driver gives them.
    pub fn most_memory_of(&self, process: u32) -> Option<u64> {
        self.state.look();
        self.state.seen().most_memory.get(&process).copied()
    }

    /// From now on it is kept what lowers clocks.
    pub fn begin(&self) {
        let before = self.state.look();
        let slowed_by = vec![BTreeSet::new(); before.len()];
        self.state.seen().steady = Some(Stretch { before, slowed_by });
    }

    /// What was seen since [`begin`](Self::begin) of the cards on which one of these processes computes; of all where the driver does not tell
    /// which ones these are.
    pub fn end(&self, processes: &[u32]) -> Vec<Card> {
        let after = self.state.look();
        let Some(Stretch { before, slowed_by }) = self.state.seen().steady.take() else { return Vec::new() };
        let is_ours = |card: &Reading| processes.iter().any(|process| card.memory.contains_key(process));
        let is_told = after.iter().any(is_ours);
        let both = before.iter().zip(&after).zip(slowed_by).filter(|((_, after), _)| !is_told || is_ours(after));
        both.map(|((before, after), slowed_by)| described([before, after], slowed_by)).collect()
    }
}

fn described([before, after]: [&Reading; 2], slowed_by: BTreeSet<&'static str>) -> Card {
    let state = |reading: &Reading| CardState { clock_mhz: reading.clock_mhz, temperature_celsius: reading.temperature_celsius };
    Card {
        name: after.name.clone(),
        clock_max_mhz: after.clock_max_mhz,
        power_limit_watts: after.power_limit_watts,
        before: state(before),
        after: state(after),
        slowed_by: slowed_by.into_iter().map(str::to_owned).collect(),
    }
}

impl State {
    /// Asks the driver outside of the lock, so that nobody waits for it.
    fn look(&self) -> Vec<Reading> {
        let cards = (self.driver)();
        let mut now: BTreeMap<u32, u64> = BTreeMap::new();
        for (process, bytes) in cards.iter().flat_map(|card| &card.memory) {
            *now.entry(*process).or_default() += bytes;
        }
        let mut seen = self.seen();
        for (process, bytes) in now {
            let most = seen.most_memory.entry(process).or_default();
            *most = bytes.max(*most);
        }
        if let Some(steady) = &mut seen.steady {
            steady.slowed_by.iter_mut().zip(&cards).for_each(|(known, card)| known.extend(&card.slowed_by));
        }
        cards
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Nothing is half-done while the lock is held.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(name: &str, memory: &[(u32, u64)]) -> Reading {
        let memory = memory.iter().copied().collect();
        Reading { name: name.into(), clock_mhz: Some(1980.0), temperature_celsius: Some(41.0), memory, ..Reading::default() }
    }

    /// A driver that tells what is in the cell.
    fn told(cards: Vec<Reading>) -> (Arc<Mutex<Vec<Reading>>>, CardWatch) {
        let cell = Arc::new(Mutex::new(cards));
        let read = Arc::clone(&cell);
        (cell, CardWatch::over(Box::new(move || read.lock().expect("no panic").clone())))
    }

    #[test]
    fn the_most_memory_of_a_process_is_kept_over_all_cards() {
        let (cards, watch) = told(vec![reading("a", &[(7, 300), (8, 50)]), reading("b", &[(7, 200)])]);
        assert_eq!((watch.most_memory_of(7), watch.most_memory_of(8), watch.most_memory_of(9)), (Some(500), Some(50), None));
        *cards.lock().expect("no panic") = vec![reading("a", &[(7, 100)]), reading("b", &[])];
        assert_eq!((watch.most_memory_of(7), watch.most_memory_of(8)), (Some(500), Some(50)), "what is freed, and who has ended");
    }

    #[test]
    fn what_lowers_clocks_counts_between_begin_and_end() {
        let slowed = |mhz: f64, by: &[&'static str]| Reading { clock_mhz: Some(mhz), slowed_by: by.to_vec(), ..reading("a", &[(7, 1)]) };
        let (cards, watch) = told(vec![slowed(300.0, &["heat"]), reading("b", &[(8, 1)])]);
        assert!(watch.end(&[7]).is_empty(), "nothing has begun");
        *cards.lock().expect("no panic") = vec![slowed(345.0, &[]), reading("b", &[(8, 1)])];
        watch.begin();
        *cards.lock().expect("no panic") = vec![slowed(1200.0, &["power limit"]), reading("b", &[(8, 1)])];
        // A look of its own, as the thread may not have come to it yet.
        assert_eq!(watch.most_memory_of(7), Some(1));
        *cards.lock().expect("no panic") = vec![slowed(1755.0, &[]), reading("b", &[(8, 1)])];
        let found = watch.end(&[7]);
        let clocks: Vec<_> = found.iter().map(|card| (card.name.as_str(), card.before.clock_mhz, card.after.clock_mhz)).collect();
        assert_eq!(clocks, [("a", Some(345.0), Some(1755.0))], "the other card is somebody else's");
        assert_eq!(found[0].slowed_by, ["power limit"], "not what was before");
        watch.begin();
        assert_eq!(watch.end(&[99]).len(), 2, "the driver knows nothing of that process");
    }
}
