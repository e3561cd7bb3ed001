//! Threads that answer what is asked of a model by ticket.
//!
//! A ticket's work waits for networks most of its time, so there are more of these than cores, but never more than so many: what is
//! asked beyond that waits in one queue, the most urgent first. Every model has its own, so that a slow one keeps no other waiting.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use maskline_runtime::{Priority, Waiting, Waits};

use crate::{Error, ErrorKind, Result};

/// A piece of work that is to be done. It answers whoever waits for it, at once where nobody does or its deadline has passed: it is called
/// in these cases too, by whoever finds out.
pub(crate) struct Errand {
    pub(crate) priority: Priority,
    pub(crate) deadline: Option<Instant>,
    pub(crate) work: Box<dyn FnOnce() + Send>,
}

impl Waits for Errand {
    fn priority(&self) -> Priority {
        self.priority
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Errand {
    /// What panics takes its own answer along, and no thread.
    fn run(self) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(self.work));
    }
}

/// The threads and their queue. Threads begin when they are needed, and end with the model.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

/// How many there are at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) threads: usize,
    /// Errands that wait.
    pub(crate) queue: usize,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// Something came, or the end.
    came: Condvar,
    /// A deadline may have come nearer, or the end.
    hurried: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Waiting<Errand>,
    running: usize,
    threads: usize,
    idle: usize,
    /// Whether a thread looks after the deadlines of those that wait.
    is_watched: bool,
    is_closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} wait, {} of {} threads are idle", self.waiting.len(), self.idle, self.threads)
    }
}

/// An errand's place in the queue. Dropping it takes the errand out, unless it has begun.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Weak<Shared>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let errand = self.shared.upgrade().and_then(|shared| shared.lock().waiting.remove(self.number));
        errand.into_iter().for_each(Errand::run);
    }
}

impl Workers {
    pub(crate) fn new(limits: Limits) -> Self {
        let shared = Shared { limits, state: Mutex::default(), came: Condvar::new(), hurried: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Queues an errand.
    ///
    /// # Errors
    /// `Busy` if too many wait, `Failed` if the system gives no thread.
    pub(crate) fn push(&self, errand: Errand) -> Result<Place> {
        let mut state = self.shared.lock();
        let Limits { threads, queue } = self.shared.limits;
        if state.waiting.len() >= queue.max(1) {
            let error = Error::new(ErrorKind::Busy, format!("{queue} requests wait already"));
            return Err(error.with_help("ask again in a moment, or raise the limit of the queue"));
        }
        let number = state.waiting.push(errand);
        let mut has_thread = state.idle >= state.waiting.len();
        if !has_thread && state.threads < threads.max(1) {
            match self.spawn(Shared::serve) {
                Ok(()) => {
                    state.threads += 1;
                    has_thread = true;
                }
                Err(error) if state.threads == 0 => {
                    state.waiting.remove(number);
                    return Err(Error::new(ErrorKind::Failed, format!("no thread could be started: {error}")));
                }
                // Those that are there take it.
                Err(_) => {}
            }
        }
        if !has_thread {
            self.watch(&mut state);
        }
        drop(state);
        self.shared.came.notify_one();
        Ok(Place { shared: Arc::downgrade(&self.shared), number })
    }

    /// Sees to it that who waits is answered at the deadline.
    fn watch(&self, state: &mut State) {
        if state.waiting.next_deadline().is_some() {
            // Where there is no thread for it, the late are answered by their turn.
            state.is_watched = state.is_watched || self.spawn(Shared::watch).is_ok();
            self.shared.hurried.notify_one();
        }
    }

    fn spawn(&self, run: fn(&Shared)) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("maskline-worker".into()).spawn(move || run(&shared)).map(drop)
    }

    /// How much there is to do now.
    pub(crate) fn load(&self) -> Load {
        let state = self.shared.lock();
        Load { waiting: state.waiting.len(), running: state.running }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.came.notify_all();
        self.shared.hurried.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(errand) = state.waiting.pop() {
                state.running += 1;
                drop(state);
                errand.run();
                state = self.lock();
                state.running -= 1;
            } else if state.is_closed {
                return;
            } else {
                state.idle += 1;
                state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// Answers who waits in vain, while all others are busy.
    fn watch(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let late = state.waiting.take_late(now);
            if !late.is_empty() {
                drop(state);
                late.into_iter().for_each(Errand::run);
                state = self.lock();
            } else if state.is_closed {
                return;
            } else if let Some(deadline) = state.waiting.next_deadline() {
                let left = deadline.saturating_duration_since(now);
                state = self.hurried.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            } else {
                state = self.hurried.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;

    /// More than any machine takes.
    const LONG: Duration = Duration::from_secs(60);

    /// One thread that is busy until the first value is dropped, and what the errands of [`named`] tell.
    struct Scene {
        workers: Workers,
        busy: Sender<()>,
        tell: Sender<&'static str>,
        told: Receiver<&'static str>,
    }

    impl Scene {
        fn new(queue: usize) -> Self {
            let workers = Workers::new(Limits { threads: 1, queue });
            let ((busy, released), (tell, told)) = (channel(), channel());
            let begins = tell.clone();
            let work = move || {
                begins.send("busy").expect("the test listens");
                let _ = released.recv();
            };
            // It has begun, whatever becomes of its place.
            let _place = workers.push(Errand { work: Box::new(work), ..errand() }).expect("room");
            assert_eq!(told.recv_timeout(LONG), Ok("busy"));
            Self { workers, busy, tell, told }
        }

        fn push(&self, name: &'static str, errand: Errand) -> Result<Place> {
            let tell = self.tell.clone();
            let work = move || tell.send(name).expect("the test listens");
            self.workers.push(Errand { work: Box::new(work), ..errand })
        }

        /// What is told when the thread is free.
        fn end(self) -> Vec<&'static str> {
            let Self { workers, busy, tell, told } = self;
            drop((busy, tell));
            let names = told.iter().collect();
            drop(workers);
            names
        }
    }

    fn errand() -> Errand {
        Errand { priority: Priority::Normal, deadline: None, work: Box::new(|| {}) }
    }

    #[test]
    fn the_most_urgent_is_done_first() {
        let scene = Scene::new(8);
        let names = [("low", Priority::Low), ("normal 1", Priority::Normal), ("high", Priority::High), ("normal 2", Priority::Normal)];
        let places = names.map(|(name, priority)| scene.push(name, Errand { priority, ..errand() }).expect("room"));
        assert_eq!(scene.workers.load(), Load { waiting: 4, running: 1 });
        assert_eq!(scene.end(), ["high", "normal 1", "normal 2", "low"]);
        drop(places);
    }

    #[test]
    fn a_thousand_who_go_leave_all_their_room() {
        const QUEUE: usize = 1000;
        let scene = Scene::new(QUEUE);
        for _ in 0..2 {
            let places: Vec<Place> = (0..QUEUE).map(|_| scene.push("gone", errand()).expect("room")).collect();
            assert_eq!(scene.push("more", errand()).expect_err("full").kind(), ErrorKind::Busy);
            drop(places);
            assert_eq!(scene.workers.load(), Load { waiting: 0, running: 1 });
            assert_eq!(scene.told.try_iter().collect::<Vec<_>>(), ["gone"; QUEUE], "each is told of it, once");
        }
        assert!(scene.end().is_empty());
    }

    #[test]
    fn who_waits_is_told_at_the_deadline_though_nobody_is_free() {
        let scene = Scene::new(8);
        let after = |time| Errand { deadline: Instant::now().checked_add(time), ..errand() };
        let places = [
            scene.push("some day", errand()),
            scene.push("in an hour", after(Duration::from_secs(3600))),
            scene.push("second", after(Duration::from_millis(30))),
            scene.push("first", after(Duration::from_millis(1))),
        ];
        assert!(places.iter().all(Result::is_ok));
        assert_eq!([scene.told.recv_timeout(LONG), scene.told.recv_timeout(LONG)], [Ok("first"), Ok("second")]);
        assert_eq!(scene.workers.load(), Load { waiting: 2, running: 1 });
        assert_eq!(scene.end(), ["some day", "in an hour"]);
    }

    #[test]
    fn what_panics_takes_no_thread_along() {
        let scene = Scene::new(8);
        let broken = scene.workers.push(Errand { work: Box::new(|| panic!("a test")), ..errand() }).expect("room");
        let gone = scene.workers.push(Errand { work: Box::new(|| panic!("a test")), ..errand() }).expect("room");
        let next = scene.push("next", errand()).expect("room");
        drop(gone);
        assert_eq!(scene.end(), ["next"]);
        drop((broken, next));
    }
}
