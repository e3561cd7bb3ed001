//! The queue of a lane: bounded, the most urgent first, with jobs that run together taken together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::joiner::{Description, group};
use crate::waiting::{Priority, Waiting, Waits};

/// A job that is to wait; `payload` is what its owner needs to run and answer it.
#[derive(Debug)]
pub(super) struct Entry<P> {
    pub(super) description: Description,
    pub(super) asked: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) priority: Priority,
    pub(super) payload: P,
}

impl<P> Waits for Entry<P> {
    fn priority(&self) -> Priority {
        self.priority
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

/// A caller that waits for room.
#[derive(Debug)]
struct Outsider {
    priority: Priority,
}

impl Waits for Outsider {
    fn priority(&self) -> Priority {
        self.priority
    }

    /// It looks at the clock itself.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// Why a job was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Closed,
    /// Its deadline passed while it waited for room.
    Late,
}

/// What the owner has to do next.
#[derive(Debug)]
pub(super) enum Turn<P> {
    /// Answer these: their deadline has passed.
    Late(Vec<Entry<P>>),
    /// Run these, together if they are several.
    Run(Vec<Entry<P>>),
}

/// Limits of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Jobs that may wait.
    pub(super) capacity: usize,
    /// Rows that may run together.
    pub(super) max_rows: usize,
    /// How long a job may wait for others to run with.
    pub(super) max_wait: Duration,
}

#[derive(Debug)]
pub(super) struct Queue<P> {
    state: Mutex<State<P>>,
    /// Something came, or the end.
    came: Condvar,
    /// There may be room, or the end.
    went: Condvar,
}

#[derive(Debug)]
struct State<P> {
    limits: Limits,
    waiting: Waiting<Entry<P>>,
    /// Callers that wait for room: who does not wait cannot overtake those that are as urgent.
    outside: Waiting<Outsider>,
    is_joining: bool,
    is_closed: bool,
}

impl<P> Queue<P> {
    pub(super) fn new(limits: Limits) -> Self {
        let limits = Limits { capacity: limits.capacity.max(1), max_rows: limits.max_rows.max(1), ..limits };
        let state = State { limits, waiting: Waiting::default(), outside: Waiting::default(), is_joining: true, is_closed: false };
        Self { state: Mutex::new(state), came: Condvar::new(), went: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        // Nothing that is done under the lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_max_rows(&self, rows: usize) {
        self.lock().limits.max_rows = rows.max(1);
        // Who waits for others may have enough of them now.
        self.came.notify_one();
    }

    /// From now on every job runs alone.
    pub(super) fn never_join(&self) {
        self.lock().is_joining = false;
    }

    /// Jobs that wait, with those that wait for room.
    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.outside.len()
    }

    /// Takes a job in, if there is room; tells its number.
    pub(super) fn try_push(&self, entry: Entry<P>) -> Result<u64, Refusal> {
        let state = self.lock();
        if state.is_closed {
            return Err(Refusal::Closed);
        }
        if !state.has_room() || state.outside.iter().any(|outsider| outsider.priority >= entry.priority) {
            return Err(Refusal::Full);
        }
        Ok(self.admit(state, entry))
    }

    /// Takes a job in as soon as there is room, at the latest at its deadline.
    pub(super) fn push(&self, entry: Entry<P>) -> Result<u64, Refusal> {
        let mut state = self.lock();
        let turn = state.outside.push(Outsider { priority: entry.priority });
        let refusal = loop {
            if state.is_closed {
                break Some(Refusal::Closed);
            }
            if state.has_room() && state.outside.first() == Some(turn) {
                break None;
            }
            let now = Instant::now();
            if entry.is_late(now) {
                break Some(Refusal::Late);
            }
            state = match entry.deadline {
                None => self.went.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(now);
                    self.went.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        state.outside.remove(turn);
        // The next one may find room too, or be the first now.
        self.went.notify_all();
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self.admit(state, entry)),
        }
    }

    fn admit(&self, mut state: MutexGuard<'_, State<P>>, entry: Entry<P>) -> u64 {
        let number = state.waiting.push(entry);
        drop(state);
        self.came.notify_one();
        number
    }

    pub(super) fn is_waiting(&self, number: u64) -> bool {
        self.lock().waiting.contains(number)
    }

    /// Takes a job out again that has not begun; whether it had not.
    pub(super) fn cancel(&self, number: u64) -> bool {
        let entry = self.lock().waiting.remove(number);
        if entry.is_some() {
            self.went.notify_all();
        }
        // What it holds goes here, not under the lock: it may do anything then.
        entry.is_some()
    }

    /// Waits for something to do; `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<Turn<P>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            let now = Instant::now();
            let late = state.waiting.take_late(now);
            if !late.is_empty() {
                self.went.notify_all();
                return Some(Turn::Late(late));
            }
            let together = state.together();
            state = if together.is_empty() {
                self.came.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else if let Some(patience) = state.patience(&together, now) {
                self.came.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
            } else {
                let together = state.waiting.take(&together);
                self.went.notify_all();
                return Some(Turn::Run(together));
            };
        }
    }

    /// Takes nothing in any more, and gives out what waits.
    pub(super) fn close(&self) -> Vec<Entry<P>> {
        let mut state = self.lock();
        state.is_closed = true;
        let mut left = std::mem::take(&mut state.waiting);
        drop(state);
        self.came.notify_all();
        self.went.notify_all();
        std::iter::from_fn(|| left.pop()).collect()
    }
}

impl<P> State<P> {
    fn has_room(&self) -> bool {
        self.waiting.len() < self.limits.capacity
    }

    fn max_rows(&self) -> usize {
        if self.is_joining { self.limits.max_rows } else { 1 }
    }

    fn together(&self) -> Vec<usize> {
        group(self.waiting.iter().map(|entry| &entry.description), self.max_rows())
    }

    /// How long these jobs may still wait for others; `None` where they had better run now: no more rows fit, no time is left, a
    /// deadline comes first, or something else waits for the model.
    fn patience(&self, together: &[usize], now: Instant) -> Option<Duration> {
        let entries = || together.iter().filter_map(|at| self.waiting.get(*at));
        let first = entries().next()?;
        let rows: usize = entries().map(|entry| entry.description.rows).sum();
        let is_alone = first.description.kin.is_none() || rows >= self.max_rows();
        if is_alone || together.len() < self.waiting.len() || self.waiting.len() >= self.limits.capacity {
            return None;
        }
        // The most urgent is not always the one that has waited longest.
        let asked = entries().map(|entry| entry.asked).min()?;
        let left = self.limits.max_wait.saturating_sub(now.saturating_duration_since(asked));
        let is_urgent = |entry: &Entry<P>| entry.deadline.is_some_and(|deadline| deadline.saturating_duration_since(now) <= left);
        (!left.is_zero() && !entries().any(is_urgent)).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::joiner::Kin;

    const LONG: Duration = Duration::from_secs(3600);

    fn queue(capacity: usize, max_rows: usize) -> Queue<&'static str> {
        Queue::new(Limits { capacity, max_rows, max_wait: Duration::ZERO })
    }

    fn entry(payload: &'static str) -> Entry<&'static str> {
        // Jobs of one first letter are of one kind.
        let kin = Kin::Same(payload.as_bytes()[0].into());
        let description = Description { rows: 1, kin: Some(vec![kin]) };
        Entry { description, asked: Instant::now(), deadline: None, priority: Priority::Normal, payload }
    }

    fn late(payload: &'static str) -> Entry<&'static str> {
        Entry { deadline: Some(Instant::now()), ..entry(payload) }
    }

    fn names(entries: &[Entry<&'static str>]) -> Vec<&'static str> {
        entries.iter().map(|entry| entry.payload).collect()
    }

    fn run(queue: &Queue<&'static str>) -> Vec<&'static str> {
        match queue.next() {
            Some(Turn::Run(entries)) => names(&entries),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn jobs_that_run_together_leave_the_others_in_their_order() {
        let queue = queue(8, 2);
        for name in ["a1", "b1", "c1", "a2", "b2", "a3"] {
            queue.try_push(entry(name)).expect("room");
        }
        assert_eq!((run(&queue), queue.len()), (vec!["a1", "a2"], 4));
        queue.set_max_rows(1);
        assert_eq!(run(&queue), ["b1"]);
        queue.set_max_rows(0);
        assert_eq!(run(&queue), ["c1"]);
        queue.set_max_rows(8);
        queue.never_join();
        queue.try_push(entry("b3")).expect("room");
        assert_eq!(run(&queue), ["b2"]);
        assert_eq!(run(&queue), ["a3"]);
        assert_eq!(run(&queue), ["b3"]);
    }

    fn of(priority: Priority, payload: &'static str) -> Entry<&'static str> {
        Entry { priority, ..entry(payload) }
    }

    #[test]
    fn the_most_urgent_goes_first_with_all_of_its_kind_that_fit() {
        let queue = queue(8, 3);
        for entry in
            [of(Priority::Low, "a1"), entry("b1"), of(Priority::Low, "b2"), entry("a2"), of(Priority::High, "a3"), of(Priority::Low, "a4")]
        {
            queue.try_push(entry).expect("room");
        }
        assert_eq!(run(&queue), ["a3", "a2", "a1"], "what is low goes along");
        assert_eq!(run(&queue), ["b1", "b2"]);
        assert_eq!(run(&queue), ["a4"]);
    }

    #[test]
    fn who_is_urgent_finds_room_first() {
        let queue = queue(1, 1);
        queue.try_push(entry("a1")).expect("room");
        std::thread::scope(|scope| {
            let wait = |waits: usize| {
                while queue.len() < 1 + waits {
                    std::thread::yield_now();
                }
            };
            scope.spawn(|| queue.push(of(Priority::Low, "low")));
            wait(1);
            scope.spawn(|| queue.push(entry("normal")));
            wait(2);
            assert_eq!(run(&queue), ["a1"]);
            assert_eq!(run(&queue), ["normal"]);
            assert_eq!(run(&queue), ["low"]);
        });
    }

    #[test]
    fn who_does_not_wait_overtakes_only_who_is_less_urgent() {
        let queue = queue(1, 1);
        queue.lock().outside.push(Outsider { priority: Priority::Normal });
        assert_eq!(queue.try_push(entry("a1")), Err(Refusal::Full));
        assert!(queue.try_push(of(Priority::High, "a2")).is_ok());
    }

    #[test]
    fn what_is_cancelled_leaves_at_once_and_makes_room() {
        let queue = queue(2, 8);
        let first = queue.try_push(entry("a1")).expect("room");
        queue.try_push(entry("a2")).expect("room");
        assert_eq!(queue.try_push(entry("a3")), Err(Refusal::Full));
        assert!(queue.is_waiting(first));
        assert!(queue.cancel(first));
        assert!(!queue.is_waiting(first));
        queue.try_push(entry("a3")).expect("room again");
        assert!(!queue.cancel(first), "it has gone");
        assert_eq!(run(&queue), ["a2", "a3"]);
    }

    #[test]
    fn the_late_are_answered_before_anything_runs() {
        let queue = queue(8, 8);
        for entry in [entry("a1"), late("a2"), late("b1")] {
            queue.try_push(entry).expect("room");
        }
        assert!(matches!(queue.next(), Some(Turn::Late(entries)) if names(&entries) == ["a2", "b1"]));
        assert_eq!(run(&queue), ["a1"]);
    }

    #[test]
    fn who_waits_for_room_comes_before_who_does_not_and_leaves_at_the_deadline() {
        let queue = queue(1, 1);
        queue.try_push(entry("a1")).expect("room");
        assert_eq!(queue.push(late("a2")), Err(Refusal::Late));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.push(entry("a3")));
            while queue.len() < 2 {
                std::thread::yield_now();
            }
            assert_eq!(queue.try_push(entry("a4")), Err(Refusal::Full));
            assert_eq!(run(&queue), ["a1"]);
            assert!(waits.join().expect("no panic").is_ok());
        });
        assert_eq!(run(&queue), ["a3"]);
    }

    #[test]
    fn the_end_gives_out_what_waits_and_lets_nobody_in() {
        let queue = queue(1, 1);
        queue.try_push(entry("a1")).expect("room");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.push(entry("a2")));
            while queue.len() < 2 {
                std::thread::yield_now();
            }
            assert_eq!(names(&queue.close()), ["a1"]);
            assert_eq!(waits.join().expect("no panic"), Err(Refusal::Closed));
        });
        assert!(queue.next().is_none());
        assert_eq!(queue.try_push(entry("a3")), Err(Refusal::Closed));
    }

    #[test]
    fn jobs_wait_for_others_only_while_that_harms_nobody() {
        let queue = |capacity| Queue::new(Limits { capacity, max_rows: 2, max_wait: LONG });
        let patience_at = |queue: &Queue<&'static str>, now| {
            let state = queue.lock();
            state.patience(&state.together(), now)
        };
        let patience = |queue: &_| patience_at(queue, Instant::now());
        let alone = queue(8);
        alone.try_push(entry("a1")).expect("room");
        assert!(patience(&alone).is_some_and(|wait| wait > LONG / 2));
        assert_eq!(patience_at(&alone, Instant::now() + LONG), None, "it has waited long enough");
        alone.try_push(entry("b1")).expect("room");
        assert_eq!(patience(&alone), None, "something else waits");

        let full = queue(8);
        full.try_push(entry("a1")).expect("room");
        full.try_push(entry("a2")).expect("room");
        assert_eq!(patience(&full), None, "no more rows fit");

        let single = queue(8);
        single.try_push(Entry { description: Description { rows: 1, kin: None }, ..entry("a1") }).expect("room");
        assert_eq!(patience(&single), None, "it runs alone anyway");

        let mixed = queue(8);
        mixed.lock().limits.max_rows = 3;
        mixed.try_push(entry("a1")).expect("room");
        mixed.try_push(Entry { asked: Instant::now() + LONG, ..of(Priority::High, "a2") }).expect("room");
        assert_eq!(patience_at(&mixed, Instant::now() + LONG), None, "the one that goes along has waited long enough");

        let urgent = queue(8);
        urgent.try_push(Entry { deadline: Some(Instant::now() + LONG / 2), ..entry("a1") }).expect("room");
        assert_eq!(patience(&urgent), None, "its deadline comes first");

        let small = queue(1);
        small.try_push(entry("a1")).expect("room");
        assert_eq!(patience(&small), None, "nobody could come");
    }

    #[test]
    fn who_comes_within_the_wait_runs_with_who_waits() {
        let queue = Queue::new(Limits { capacity: 8, max_rows: 2, max_wait: LONG });
        queue.try_push(entry("a1")).expect("room");
        std::thread::scope(|scope| {
            let owner = scope.spawn(|| run(&queue));
            queue.try_push(entry("a2")).expect("room");
            assert_eq!(owner.join().expect("no panic"), ["a1", "a2"]);
        });
    }
}
