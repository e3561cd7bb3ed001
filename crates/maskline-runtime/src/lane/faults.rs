//! Failures that are asked for, to test what happens when a provider fails.

use std::time::Duration;

use ort::memory::AllocationDevice;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::kept::Device;

/// Runs that fail as those of a provider would that is out of memory. Only tests want any: few machines have a provider that fails on
/// demand. A lane with faults counts as one of a provider called `faulty`, although the CPU computes; the CPU's lane in its place has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// So many runs of each session work before the first that fails, warm-up among them.
    pub after: u64,
    /// So many fail, one after the other; 0: there are no faults. A session that is opened anew begins to count anew.
    pub count: u64,
    /// So many attempts to come back fail, each time.
    pub refusals: u32,
    /// The pause before the first attempt to come back, and a 300th of the longest; `None`: a second.
    pub pause: Option<Duration>,
    /// Whether it has memory of its own, where outputs can stay: ordinary memory, used as that of a device is.
    pub memory: bool,
    /// Whether a run that fails takes along what stays there, as a device does that is lost.
    pub loses: bool,
}

impl Faults {
    /// What counts as the provider of a lane with faults.
    pub(crate) const PROVIDER: &str = "faulty";
    /// No faults.
    pub const NONE: Self = Self { after: 0, count: 0, refusals: 0, pause: None, memory: false, loses: false };

    /// Whether there are any.
    pub fn are_any(&self) -> bool {
        self.count > 0
    }

    /// Whether the run fails before which there were so many.
    pub(super) fn hit(&self, runs: u64) -> bool {
        runs >= self.after && runs - self.after < self.count
    }

    /// The memory of its own.
    pub(crate) fn device(&self) -> Option<Device> {
        // No other provider has it.
        self.memory.then_some(Device { kind: AllocationDevice::CPU, id: 0 })
    }

    pub(super) fn error() -> Error {
        Error::new(ErrorKind::RunFailed, "the provider is out of memory (a fault that was asked for)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_runs_fail_as_are_asked_for() {
        let failing = |faults: Faults| (0..6).filter(|runs| faults.hit(*runs)).collect::<Vec<u64>>();
        assert!(failing(Faults::default()).is_empty());
        assert_eq!(failing(Faults { count: 2, ..Faults::default() }), [0, 1]);
        assert_eq!(failing(Faults { after: 4, count: u64::MAX, ..Faults::default() }), [4, 5]);
        assert!(Faults { count: 1, ..Faults::default() }.are_any() && !Faults { after: 1, ..Faults::default() }.are_any());
    }
}
