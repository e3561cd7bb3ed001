//! What waits for its turn: the most urgent first, else in the order in which it came.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

/// How urgent something is: the greatest goes first.
///
/// Under steady load what is low can wait for ever: a deadline bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// When nothing else waits.
    Low,
    /// As most things are.
    #[default]
    Normal,
    /// Before all that waits; what runs is not interrupted.
    High,
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that can wait.
pub trait Waits {
    /// How urgent it is.
    fn priority(&self) -> Priority;

    /// When it is too late for it.
    fn deadline(&self) -> Option<Instant>;

    /// Whether it is too late for it.
    fn is_late(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

/// What waits, in the order in which it goes. Each has a number, by which it can leave before its turn.
#[derive(Debug)]
pub struct Waiting<T> {
    entries: VecDeque<(u64, T)>,
    last: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), last: 0 }
    }
}

impl<T: Waits> Waiting<T> {
    /// Takes its place behind all that is as urgent; its number.
    pub fn push(&mut self, value: T) -> u64 {
        self.last += 1;
        let behind = self.entries.iter().rposition(|(_, other)| other.priority() >= value.priority());
        self.entries.insert(behind.map_or(0, |at| at + 1), (self.last, value));
        self.last
    }

    /// Takes out the one whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        self.entries.pop_front().map(|(_, value)| value)
    }

    /// Takes out the one of this number, if it still waits.
    pub fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.entries.iter().position(|(other, _)| *other == number)?;
        self.entries.remove(at).map(|(_, value)| value)
    }

    /// Takes out what stands at these places, which are in order.
    pub fn take(&mut self, places: &[usize]) -> Vec<T> {
        // From behind, so that the places before stay where they are.
        let mut taken: Vec<T> = places.iter().rev().filter_map(|at| self.entries.remove(*at)).map(|(_, value)| value).collect();
        taken.reverse();
        taken
    }

    /// Takes out what it is too late for.
    pub fn take_late(&mut self, now: Instant) -> Vec<T> {
        let late: Vec<usize> = self.iter().enumerate().filter(|(_, value)| value.is_late(now)).map(|(at, _)| at).collect();
        self.take(&late)
    }

    /// When it is next too late for something.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.iter().filter_map(Waits::deadline).min()
    }

    /// The number of the one whose turn it is.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|(number, _)| *number)
    }

    /// Whether the one of this number still waits.
    pub fn contains(&self, number: u64) -> bool {
        self.entries.iter().any(|(other, _)| *other == number)
    }

    /// The one at a place.
    pub fn get(&self, place: usize) -> Option<&T> {
        self.entries.get(place).map(|(_, value)| value)
    }

    /// All that waits, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// How much waits.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Guest(&'static str, Priority, Option<Instant>);

    impl Waits for Guest {
        fn priority(&self) -> Priority {
            self.1
        }

        fn deadline(&self) -> Option<Instant> {
            self.2
        }
    }

    fn names(guests: &[Guest]) -> Vec<&'static str> {
        guests.iter().map(|guest| guest.0).collect()
    }

    #[test]
    fn the_urgent_go_first_and_equals_in_their_order() {
        let mut waiting = Waiting::default();
        let guests =
            [("l1", Priority::Low), ("n1", Priority::Normal), ("h1", Priority::High), ("l2", Priority::Low), ("n2", Priority::Normal)];
        let numbers: Vec<u64> = guests.map(|(name, priority)| waiting.push(Guest(name, priority, None))).into();
        assert_eq!(waiting.first(), Some(numbers[2]));
        assert_eq!(waiting.remove(numbers[0]).map(|guest| guest.0), Some("l1"));
        assert!(!waiting.contains(numbers[0]) && waiting.remove(numbers[0]).is_none());
        let order: Vec<&str> = std::iter::from_fn(|| waiting.pop()).map(|guest| guest.0).collect();
        assert_eq!(order, ["h1", "n1", "n2", "l2"]);
    }

    #[test]
    fn the_late_leave_and_the_next_to_be_late_is_known() {
        let now = Instant::now();
        let after = |seconds| Some(now + Duration::from_secs(seconds));
        let mut waiting = Waiting::default();
        for (name, deadline) in [("a", after(3)), ("b", None), ("c", after(1)), ("d", after(2))] {
            waiting.push(Guest(name, Priority::Normal, deadline));
        }
        assert_eq!(waiting.next_deadline(), after(1));
        assert!(waiting.take_late(now).is_empty());
        assert_eq!(names(&waiting.take_late(now + Duration::from_secs(2))), ["c", "d"]);
        assert_eq!((waiting.len(), waiting.next_deadline()), (2, after(3)));
        assert_eq!(names(&waiting.take(&[0, 1])), ["a", "b"]);
        assert!(waiting.is_empty() && waiting.next_deadline().is_none());
    }
}
