//! What runs a lane's jobs: a session with the provider that was wished for or, while that fails, one on the CPU in its place.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::job::Input;
use super::plan::Plan;
use super::recovery::{Attempts, Pauses, Recovery, Zeros};
use super::status::{Degraded, Status};
use super::{Faults, LaneOptions};
use crate::compute::{Compute, Values};
use crate::error::{Error, ErrorKind, Result};
use crate::kept::Kept;
use crate::port::Ports;
use crate::provider::ProviderShare;
use crate::residence::Residence;
use crate::shared::ort_value;

/// Inputs of a run by name, and the outputs that may stay on its device. They stay there for another run.
pub(super) struct Bound<'a> {
    inputs: Vec<(&'a str, Arc<Kept>)>,
    staying: Vec<String>,
}

impl<'a> Bound<'a> {
    /// # Errors
    /// `RunFailed` where ONNX Runtime refuses one.
    pub(super) fn of(inputs: impl IntoIterator<Item = (&'a str, Input)>) -> Result<Self> {
        let bound = inputs.into_iter().map(|(name, input)| {
            let kept = match input {
                Input::Owned(tensor) => Arc::new(Kept::here(ort_value(tensor).map_err(failed)?)),
                Input::Shared(tensor) => tensor.kept,
            };
            Ok((name, kept))
        });
        Ok(Self { inputs: bound.collect::<Result<_>>()?, staying: Vec::new() })
    }

    /// With outputs that may stay.
    pub(super) fn staying(self, staying: Vec<String>) -> Self {
        Self { staying, ..self }
    }

    fn are_lost(&self) -> bool {
        self.inputs.iter().any(|(_, kept)| kept.is_lost())
    }

    /// A job like this one; of one row, where rows can be counted at all.
    fn in_small(&self, ports: &Ports) -> Vec<Zeros> {
        let has_rows = ports.are_joinable();
        let inputs = self.inputs.iter().zip(&ports.inputs).filter_map(|((name, kept), port)| {
            let (element_type, mut shape) = (kept.element_type()?, kept.shape());
            if let Some(rows) = shape.first_mut().filter(|_| has_rows && port.is_free()) {
                *rows = 1;
            }
            Some(Zeros { name: (*name).to_owned(), element_type, shape })
        });
        inputs.collect()
    }
}

/// A run that failed.
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether the inputs are at fault: ONNX Runtime says so, or they are lost.
    is_of_inputs: bool,
}

fn failed(error: ort::Error) -> Error {
    Error::new(ErrorKind::RunFailed, error.to_string()).with_source(error)
}

/// A provider that starts and then fails its very first run is as little there as one that does not start.
fn unable(provider: &str, error: &Error) -> Error {
    let message = format!("the {provider} provider failed at its first run: {}", error.message());
    let help = "`maskline doctor` says what of it is here and what is missing; or choose another provider";
    Error::new(ErrorKind::ProviderUnavailable, message).with_help(help)
}

/// Runs a session once.
pub(super) fn attempt(session: &mut Compute, inputs: &Bound<'_>) -> Result<Values, Failure> {
    let given = inputs.inputs.iter().map(|(name, kept)| Ok((*name, kept.for_session(session.device())?)));
    let given = given.collect::<Result<Vec<_>>>().map_err(|error| Failure { error, is_of_inputs: true })?;
    session.run(&given, &inputs.staying).map_err(|error| {
        let is_of_inputs = error.code() == ort::ErrorCode::InvalidArgument;
        Failure { error: failed(error), is_of_inputs }
    })
}

/// A session, and what runs its nodes.
pub(super) struct Placed {
    pub(super) session: Compute,
    pub(super) providers: Vec<ProviderShare>,
}

/// The sessions of a lane.
pub(super) struct Runner {
    session: Compute,
    faults: Faults,
    /// What stays on its device.
    residence: Arc<Residence>,
    /// Runs of the session with the wished provider.
    runs: u64,
    status: Arc<Status>,
    /// The provider, if it is not ONNX Runtime's own CPU kernels.
    wished: Option<String>,
    standby: Option<Standby>,
}

/// Of a lane that may fall back to the CPU.
struct Standby {
    plan: Arc<Plan>,
    wished: String,
    pauses: Pauses,
    /// Whether the CPU runs the lane.
    is_on: bool,
    /// Meanwhile; `None` also where the system gave no thread for it: then the CPU answers for good.
    recovery: Option<Recovery>,
    /// When the wished provider came back the last time.
    came_back: Option<Instant>,
    /// The CPU's session, where a job failed there as well and the wished provider stayed: the next doubt costs less.
    spare: Option<Placed>,
}

impl Runner {
    pub(super) fn new(session: Compute, options: &LaneOptions, plan: Option<Plan>, status: Arc<Status>) -> Self {
        let faults = options.faults;
        let wished = if faults.are_any() { Faults::PROVIDER } else { options.provider.name() };
        let standby = plan.map(|plan| Standby {
            plan: Arc::new(plan),
            wished: wished.to_owned(),
            pauses: Pauses::new(faults.pause),
            is_on: false,
            recovery: None,
            came_back: None,
            spare: None,
        });
        let is_foreign = faults.are_any() || !options.provider.is_cpu();
        let residence = Arc::clone(&options.residence);
        Self { session, faults, residence, runs: 0, status, wished: is_foreign.then(|| wished.to_owned()), standby }
    }

    /// Runs jobs together. Where that fails it fails, and nothing follows from it: each of them may still run alone.
    pub(super) fn run_together(&mut self, inputs: &Bound<'_>) -> Result<Values> {
        self.try_once(inputs).map_err(|failure| failure.error)
    }

    /// Runs a job; where the provider fails it, again without anything that stays on its device, then on the CPU, which stays until the
    /// provider works again. A job that fails there too was at fault itself. `ports` are those of the lane.
    pub(super) fn run(&mut self, inputs: &Bound<'_>, ports: &Ports) -> Result<Values> {
        let Failure { error, is_of_inputs } = match self.try_with_room(inputs) {
            Ok(values) => return Ok(values),
            Err(failure) => failure,
        };
        let Some(standby) = self.standby.as_mut().filter(|standby| !is_of_inputs && !standby.is_on) else {
            let is_at_fault = self.standby.is_none() && !is_of_inputs && !self.status.has_run();
            return Err(match &self.wished {
                Some(wished) if is_at_fault => unable(wished, &error),
                _ => error,
            });
        };
        let Some((cpu, outcome)) = standby.run(inputs) else { return Err(error) };
        // What the provider still holds is free from here on.
        self.session = cpu.session;
        standby.stand_in(&self.status, cpu.providers, &error);
        standby.seek_return(&self.status, inputs.in_small(ports));
        outcome.inspect(|_| self.status.ran())
    }

    /// As [`Runner::try_once`], and once more where that fails and something stays on the device: its memory may be all that was lacking.
    fn try_with_room(&mut self, inputs: &Bound<'_>) -> Result<Values, Failure> {
        let failure = match self.try_once(inputs) {
            Err(failure) if !failure.is_of_inputs => failure,
            outcome => return outcome,
        };
        let left = self.session.device().map_or(0, |device| self.residence.empty(device));
        if left > 0 && !inputs.are_lost() { self.try_once(inputs) } else { Err(failure) }
    }

    fn try_once(&mut self, inputs: &Bound<'_>) -> Result<Values, Failure> {
        self.take_back();
        if !self.standby.as_ref().is_some_and(|standby| standby.is_on) {
            self.runs += 1;
            if self.faults.hit(self.runs - 1) {
                if let Some(device) = self.session.device().filter(|_| self.faults.loses) {
                    self.residence.lose(device);
                }
                return Err(Failure { error: Faults::error(), is_of_inputs: false });
            }
        }
        let values = attempt(&mut self.session, inputs)?;
        self.status.ran();
        values.iter().filter(|(_, kept)| kept.device().is_some()).for_each(|(_, kept)| self.residence.take_in(kept));
        Ok(values)
    }

    /// The session that has come back meanwhile.
    fn take_back(&mut self) {
        let Some(standby) = &mut self.standby else { return };
        let Some((pauses, session)) = standby.recovery.as_ref().and_then(Recovery::take) else { return };
        (self.session, self.runs) = (session, 0);
        (standby.is_on, standby.recovery) = (false, None);
        (standby.came_back, standby.pauses) = (Some(Instant::now()), pauses.longer());
    }
}

impl Standby {
    /// What the CPU says to a job; `None` where it cannot run it either. A job whose inputs are lost with the device proves nothing against
    /// the CPU: `Lost` is what it says.
    fn run(&mut self, inputs: &Bound<'_>) -> Option<(Placed, Result<Values>)> {
        let mut cpu = self.spare.take().or_else(|| self.plan.on_cpu().ok())?;
        match attempt(&mut cpu.session, inputs) {
            Ok(values) => Some((cpu, Ok(values))),
            Err(Failure { error, .. }) if error.kind() == ErrorKind::Lost => Some((cpu, Err(error))),
            Err(_) => {
                self.spare = Some(cpu);
                None
            }
        }
    }

    /// The CPU runs the lane from now on.
    fn stand_in(&mut self, status: &Status, providers: Vec<ProviderShare>, error: &Error) {
        self.is_on = true;
        // Who fails again and again is asked less and less often.
        if self.came_back.is_some_and(|then| then.elapsed() > self.pauses.longest()) {
            self.pauses = self.pauses.restarted();
        }
        let since = SystemTime::now();
        let degraded = Degraded {
            wished: self.wished.clone(),
            reason: error.message().to_owned(),
            since,
            attempts: 0,
            next_attempt: since + self.pauses.next(),
        };
        status.fell_back(degraded, providers);
    }

    fn seek_return(&mut self, status: &Arc<Status>, proof: Vec<Zeros>) {
        let (plan, status) = (Arc::clone(&self.plan), Arc::clone(status));
        self.recovery = Recovery::start(Attempts { plan, status, proof, pauses: self.pauses }).ok();
    }
}
