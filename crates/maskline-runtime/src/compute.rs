//! A session that computes: as it comes, or with a CUDA graph, which wants everything to stay where it is.

use std::sync::Arc;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session, SessionInputValue};
use ort::value::{DynTensor, DynTensorValueType, DynValue, ValueType};

use crate::port::Port;

/// Outputs by name.
pub(crate) type Values = Vec<(String, Arc<DynValue>)>;

/// A session, and how it is run.
pub(crate) struct Compute {
    session: Session,
    fixed: Option<Fixed>,
}

/// The memory of a device that a session reads and writes at every run.
struct Fixed {
    binding: IoBinding,
    inputs: Vec<(String, DynTensor)>,
    outputs: Vec<(String, DynTensor)>,
}

/// A device's memory.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) kind: AllocationDevice<'static>,
    pub(crate) id: i32,
}

impl Compute {
    /// Takes every job as it comes.
    pub(crate) fn new(session: Session) -> Self {
        Self { session, fixed: None }
    }

    /// Copies every job to the same place on a device, and its outputs from there. A session that captures its runs replays what it did
    /// with what lies there: it must be run in no other way. All sizes must be [fixed](has_fixed_shapes).
    pub(crate) fn in_place(session: Session, device: &Device) -> ort::Result<Self> {
        let memory = MemoryInfo::new(device.kind.clone(), device.id, AllocatorType::Device, MemoryType::Default)?;
        let allocator = Allocator::new(&session, memory)?;
        let mut binding = session.create_binding()?;
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for (outlets, places) in [(session.inputs(), &mut inputs), (session.outputs(), &mut outputs)] {
            for outlet in outlets {
                let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else { continue };
                places.push((outlet.name().to_owned(), DynTensor::new(&allocator, *ty, shape.clone())?));
            }
        }
        inputs.iter().try_for_each(|(name, place)| binding.bind_input(name.as_str(), place))?;
        outputs.iter_mut().try_for_each(|(name, place)| binding.bind_output(name.as_str(), place))?;
        Ok(Self { session, fixed: Some(Fixed { binding, inputs, outputs }) })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Runs it once; inputs are found by their names.
    pub(crate) fn run<'a>(&mut self, inputs: impl Iterator<Item = (&'a str, &'a DynValue)>) -> ort::Result<Values> {
        let Some(fixed) = &mut self.fixed else {
            let values: Vec<(&str, SessionInputValue<'_>)> = inputs.map(|(name, value)| (name, value.into())).collect();
            let outputs = self.session.run(values)?;
            return Ok(outputs.into_iter().map(|(name, value)| (name.to_owned(), Arc::new(value))).collect());
        };
        for (name, value) in inputs {
            if let Some((_, place)) = fixed.inputs.iter_mut().find(|(port, _)| port == name) {
                value.view().downcast::<DynTensorValueType>()?.copy_into(place)?;
            }
        }
        self.session.run_binding(&fixed.binding)?;
        let copied = |(name, place): &(String, DynTensor)| Ok((name.clone(), Arc::new(place.to(AllocationDevice::CPU, 0)?.into_dyn())));
        fixed.outputs.iter().map(copied).collect()
    }
}

/// Whether all inputs and outputs of a session are tensors without free sizes.
pub(crate) fn has_fixed_shapes(session: &Session) -> bool {
    let is_fixed = |port: Port| port.element_type.is_some() && port.shape.iter().all(Option::is_some);
    session.inputs().iter().chain(session.outputs()).map(Port::of).all(is_fixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examine::ADDITION;
    use crate::library::{LibraryOptions, load};

    #[test]
    fn jobs_that_run_in_place_are_answered_each_with_its_own() {
        let library = load(&LibraryOptions::from_env()).expect("ONNX Runtime");
        let session = Session::builder(&library.environment).and_then(|mut builder| builder.commit_from_memory(ADDITION));
        let session = session.expect("a session");
        assert!(has_fixed_shapes(&session));
        let mut compute = Compute::in_place(session, &Device { kind: AllocationDevice::CPU, id: 0 }).expect("places");
        for first in [1.0_f32, -4.5] {
            let value = ort::value::Tensor::from_array(([3_usize], vec![first, 2.0, 3.0])).expect("a tensor").into_dyn();
            let outputs = compute.run([("x", &value)].into_iter()).expect("a run");
            let (_, sum) = outputs[0].1.try_extract_tensor::<f32>().expect("floats");
            assert_eq!((outputs[0].0.as_str(), sum), ("y", &[2.0 * first, 4.0, 6.0][..]));
        }
    }
}
