//! Time, real or simulated.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// A clock that never goes back, and threads that wait on it.
pub trait Clock: Sync {
    /// Time since the clock's beginning.
    fn now(&self) -> Duration;

    /// Returns no earlier than `time`.
    fn sleep_until(&self, time: Duration);

    /// A thread begins to take part; called before it starts.
    fn join(&self) {}

    /// A thread that took part has ended.
    fn leave(&self) {}
}

/// The machine's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct RealClock {
    beginning: Instant,
}

impl Default for RealClock {
    fn default() -> Self {
        Self { beginning: Instant::now() }
    }
}

impl Clock for RealClock {
    fn now(&self) -> Duration {
        self.beginning.elapsed()
    }

    fn sleep_until(&self, time: Duration) {
        // Systems may wake a thread early.
        while let Some(left) = time.checked_sub(self.now()).filter(|left| !left.is_zero()) {
            std::thread::sleep(left);
        }
    }
}

/// Simulated time: it stands still while any thread works, and leaps to the next waking when all that take part wait. One thread wakes
/// at a time, in the order of their times and then of their going to sleep, so that a run has one outcome.
///
/// A target that takes time says so with [`pass`](Self::pass); it must not wait on another thread in any other way.
#[derive(Debug, Default)]
pub struct VirtualClock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    taking_part: usize,
    sleepers: Vec<Sleeper>,
    slept: u64,
    /// Who was woken and has not noticed yet.
    woken: Option<u64>,
}

#[derive(Debug)]
struct Sleeper {
    time: Duration,
    /// Order of going to sleep.
    who: u64,
    thread: Thread,
}

impl State {
    /// Wakes the next sleeper if nobody is awake.
    fn leap(&mut self) {
        if self.woken.is_some() || self.sleepers.len() < self.taking_part.max(1) {
            return;
        }
        let next = self.sleepers.iter().enumerate().min_by_key(|(_, sleeper)| (sleeper.time, sleeper.who)).map(|(i, _)| i);
        if let Some(next) = next {
            let sleeper = self.sleepers.swap_remove(next);
            self.now = self.now.max(sleeper.time);
            self.woken = Some(sleeper.who);
            sleeper.thread.unpark();
        }
    }
}

impl VirtualClock {
    /// Lets time pass for the calling thread: how long a simulated piece of work takes.
    pub fn pass(&self, time: Duration) {
        self.sleep_until(self.now().saturating_add(time));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after each statement: a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.lock().now
    }

    fn sleep_until(&self, time: Duration) {
        let mut state = self.lock();
        let who = state.slept;
        state.slept += 1;
        state.sleepers.push(Sleeper { time, who, thread: std::thread::current() });
        state.leap();
        while state.woken != Some(who) {
            drop(state);
            // Whoever wakes this thread unparks it after setting `woken`, also if that is before the next line.
            std::thread::park();
            state = self.lock();
        }
        state.woken = None;
    }

    fn join(&self) {
        self.lock().taking_part += 1;
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.taking_part = state.taking_part.saturating_sub(1);
        state.leap();
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, RealClock, VirtualClock};
    use std::time::Duration;

    #[test]
    fn virtual_time_passes_at_once_and_in_order() {
        let clock = VirtualClock::default();
        let log = std::sync::Mutex::new(Vec::new());
        (0..3).for_each(|_| clock.join());
        std::thread::scope(|scope| {
            for step in [7_u64, 11, 13] {
                let (clock, log) = (&clock, &log);
                scope.spawn(move || {
                    for i in 1..=3 {
                        clock.sleep_until(Duration::from_secs(step * i * 1000));
                        log.lock().expect("no panic").push((clock.now().as_secs() / 1000, step));
                    }
                    clock.leave();
                });
            }
        });
        let log = log.into_inner().expect("no panic");
        assert_eq!(log, [(7, 7), (11, 11), (13, 13), (14, 7), (21, 7), (22, 11), (26, 13), (33, 11), (39, 13)]);
    }

    #[test]
    fn the_real_clock_waits() {
        let clock = RealClock::default();
        let time = clock.now() + Duration::from_millis(20);
        clock.sleep_until(time);
        assert!(clock.now() >= time);
        clock.sleep_until(Duration::ZERO);
    }
}
