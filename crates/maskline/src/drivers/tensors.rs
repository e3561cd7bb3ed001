//! What a network gives other networks: tensors that may stay on a device, and are made again where they are lost with it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use maskline_runtime::{Outputs, SharedTensor};

use super::Call;
use crate::{Result, Stages};

/// Tensors in an order of their own. Wherever they lie, they count the same bytes.
pub(crate) struct Tensors {
    now: Mutex<Arc<[SharedTensor]>>,
    again: Option<Again>,
    bytes: usize,
}

/// How often one call makes them again. That a device is gone each network finds out by itself, and may take along what was made meanwhile.
const MOST_LOSSES: usize = 3;

/// Makes tensors again, in the same order.
type Again = Box<dyn Fn(&Call) -> Result<(Vec<SharedTensor>, Stages)> + Send + Sync>;

impl fmt::Debug for Tensors {
    /// Without the elements, which may be millions of numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shapes: Vec<_> = self.now().iter().map(|tensor| tensor.shape().to_vec()).collect();
        f.debug_struct("Tensors").field("shapes", &shapes).field("device_bytes", &self.device_bytes()).finish_non_exhaustive()
    }
}

impl Tensors {
    pub(crate) fn new(tensors: Vec<SharedTensor>) -> Self {
        let bytes = tensors.iter().map(SharedTensor::bytes).sum();
        Self { now: Mutex::new(tensors.into()), again: None, bytes }
    }

    /// Outputs of these names.
    pub(crate) fn take(outputs: &mut Outputs, names: &[&str]) -> Result<Vec<SharedTensor>> {
        names.iter().map(|name| Ok(outputs.take(name)?)).collect()
    }

    /// With a way to make them again, which holds so many bytes: kept only where a device has some of them, as nothing else is ever lost.
    pub(crate) fn or_again(
        self,
        bytes: usize,
        again: impl Fn(&Call) -> Result<(Vec<SharedTensor>, Stages)> + Send + Sync + 'static,
    ) -> Self {
        if self.device_bytes() == 0 {
            return self;
        }
        Self { again: Some(Box::new(again)), bytes: self.bytes + bytes, ..self }
    }

    /// As they are now.
    pub(crate) fn now(&self) -> Arc<[SharedTensor]> {
        // They are replaced as a whole.
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes of memory, on whatever device.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of a device's memory that they take now.
    pub(crate) fn device_bytes(&self) -> usize {
        self.now().iter().filter(|tensor| tensor.is_on_device()).map(SharedTensor::bytes).sum()
    }

    /// Runs what takes them; where they turn out to be lost, makes them again first, which is told in the stages.
    pub(crate) fn ask<T>(&self, call: &Call, mut run: impl FnMut(&[SharedTensor]) -> Result<(T, Stages)>) -> Result<(T, Stages)> {
        let mut spent = Stages::default();
        for _ in 0..MOST_LOSSES {
            let tensors = self.now();
            match run(&tensors) {
                Err(_) if self.again.is_some() && tensors.iter().any(SharedTensor::is_lost) => spent += self.make_again(call)?,
                outcome => return outcome.map(|(answer, stages)| (answer, spent + stages)),
            }
        }
        run(&self.now()).map(|(answer, stages)| (answer, spent + stages))
    }

    /// With all of them in ordinary memory.
    pub(crate) fn fetched(&self, call: &Call) -> Result<Arc<[SharedTensor]>> {
        let (tensors, _) = self.ask(call, |tensors| {
            tensors.iter().try_for_each(|tensor| tensor.view::<f32>().map(drop))?;
            Ok((tensors.to_vec(), Stages::default()))
        })?;
        Ok(tensors.into())
    }

    /// Makes them again, unless another call has done so meanwhile, which is waited for.
    fn make_again(&self, call: &Call) -> Result<Stages> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = now.iter().any(SharedTensor::is_lost);
        let Some(again) = self.again.as_ref().filter(|_| is_lost) else { return Ok(Stages::default()) };
        let (tensors, spent) = again(call)?;
        *now = tensors.into();
        Ok(spent)
    }
}
