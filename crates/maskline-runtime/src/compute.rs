//! A session that computes: as it comes, with outputs that stay on its device, or with a CUDA graph, which wants everything to stay where it
//! is.

use std::sync::Arc;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session, SessionInputValue};
use ort::value::{DynTensor, DynTensorValueType, DynValue, ValueType};

use crate::kept::{Device, Kept};
use crate::port::Port;

/// Outputs by name.
pub(crate) type Values = Vec<(String, Arc<Kept>)>;

/// Inputs by name, where the session takes them.
pub(crate) type Given<'a> = [(&'a str, Arc<DynValue>)];

/// A session, and how it is run.
pub(crate) struct Compute {
    session: Session,
    /// Whose memory it computes in; `None`: ordinary memory.
    device: Option<Device>,
    fixed: Option<Fixed>,
}

/// The memory of a device that a session reads and writes at every run.
struct Fixed {
    binding: IoBinding,
    inputs: Vec<(String, DynTensor)>,
    outputs: Vec<(String, DynTensor)>,
}

impl Compute {
    /// Takes every job as it comes.
    pub(crate) fn new(session: Session) -> Self {
        Self { session, device: None, fixed: None }
    }

    /// As a session that computes in the memory of a device.
    pub(crate) fn on(self, device: Option<Device>) -> Self {
        Self { device, ..self }
    }

    /// Copies every job to the same place on a device, and its outputs from there. A session that captures its runs replays what it did
    /// with what lies there: it must be run in no other way. All sizes must be [fixed](has_fixed_shapes).
    pub(crate) fn in_place(session: Session, device: &Device) -> ort::Result<Self> {
        let allocator = Allocator::new(&session, memory_of(device)?)?;
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
        Ok(Self { session, device: Some(device.clone()), fixed: Some(Fixed { binding, inputs, outputs }) })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whose memory it computes in; `None`: ordinary memory.
    pub(crate) fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// Runs it once. Outputs of the names in `staying` stay on its device, if it has one.
    pub(crate) fn run(&mut self, inputs: &Given<'_>, staying: &[String]) -> ort::Result<Values> {
        match (&mut self.fixed, &self.device) {
            (Some(fixed), Some(device)) => fixed.run(&mut self.session, inputs, &Staying { names: staying, device }),
            (None, Some(device)) if !staying.is_empty() => run_bound(&mut self.session, inputs, &Staying { names: staying, device }),
            _ => {
                let values: Vec<(&str, SessionInputValue<'_>)> =
                    inputs.iter().map(|(name, value)| (*name, value.as_ref().into())).collect();
                let outputs = self.session.run(values)?;
                Ok(outputs.into_iter().map(|(name, value)| (name.to_owned(), Arc::new(Kept::here(value)))).collect())
            }
        }
    }
}

/// Outputs that stay on a device.
struct Staying<'a> {
    names: &'a [String],
    device: &'a Device,
}

impl Staying<'_> {
    /// The device that an output stays on.
    fn place_of(&self, name: &str) -> Option<&Device> {
        self.names.iter().any(|staying| staying == name).then_some(self.device)
    }
}

fn kept(value: DynValue, device: Option<&Device>) -> Arc<Kept> {
    Arc::new(match device {
        Some(device) => Kept::there(value, device.clone()),
        None => Kept::here(value),
    })
}

fn memory_of(device: &Device) -> ort::Result<MemoryInfo<'static>> {
    MemoryInfo::new(device.kind.clone(), device.id, AllocatorType::Device, MemoryType::Default)
}

/// Runs a session once, with each output where it is to be.
fn run_bound(session: &mut Session, inputs: &Given<'_>, staying: &Staying<'_>) -> ort::Result<Values> {
    let here = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput)?;
    let there = memory_of(staying.device)?;
    let mut binding = session.create_binding()?;
    inputs.iter().try_for_each(|(name, value)| binding.bind_input(*name, value))?;
    for outlet in session.outputs() {
        let place = if staying.place_of(outlet.name()).is_some() { &there } else { &here };
        binding.bind_output_to_device(outlet.name(), place)?;
    }
    let outputs = session.run_binding(&binding)?;
    Ok(outputs.into_iter().map(|(name, value)| (name.to_owned(), kept(value, staying.place_of(name)))).collect())
}

impl Fixed {
    /// Runs a session where it always runs.
    fn run(&mut self, session: &mut Session, inputs: &Given<'_>, staying: &Staying<'_>) -> ort::Result<Values> {
        for (name, value) in inputs {
            if let Some((_, place)) = self.inputs.iter_mut().find(|(port, _)| port == name) {
                value.view().downcast::<DynTensorValueType>()?.copy_into(place)?;
            }
        }
        session.run_binding(&self.binding)?;
        // The next run overwrites what lies there.
        let copied = |(name, place): &(String, DynTensor)| {
            let device = staying.place_of(name);
            let copy = device.map_or_else(|| place.to(AllocationDevice::CPU, 0), |device| place.to(device.kind.clone(), device.id));
            Ok((name.clone(), kept(copy?.into_dyn(), device)))
        };
        self.outputs.iter().map(copied).collect()
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

    /// Ordinary memory, taken for that of a device.
    const DEVICE: Device = Device { kind: AllocationDevice::CPU, id: 0 };

    /// A session that doubles three numbers, x to y.
    fn session() -> Session {
        let library = load(&LibraryOptions::from_env()).expect("ONNX Runtime");
        let session = Session::builder(&library.environment).and_then(|mut builder| builder.commit_from_memory(ADDITION));
        session.expect("a session")
    }

    fn given(first: f32) -> [(&'static str, Arc<DynValue>); 1] {
        let value = ort::value::Tensor::from_array(([3_usize], vec![first, 2.0, 3.0])).expect("a tensor");
        [("x", Arc::new(value.into_dyn()))]
    }

    fn sums(output: &Kept) -> [f32; 3] {
        let (_, sums) = output.fetched().expect("it is here").try_extract_tensor::<f32>().expect("floats");
        [sums[0], sums[1], sums[2]]
    }

    #[test]
    fn jobs_that_run_in_place_are_answered_each_with_its_own() {
        let session = session();
        assert!(has_fixed_shapes(&session));
        let mut compute = Compute::in_place(session, &DEVICE).expect("places");
        let mut earlier = Vec::new();
        for first in [1.0_f32, -4.5] {
            for staying in [vec![], vec!["y".to_owned()]] {
                let mut outputs = compute.run(&given(first), &staying).expect("a run");
                let (name, output) = outputs.remove(0);
                assert_eq!((name.as_str(), output.device().is_some(), sums(&output)), ("y", !staying.is_empty(), [2.0 * first, 4.0, 6.0]));
                earlier.push((first, output));
            }
        }
        assert!(earlier.iter().all(|(first, output)| sums(output)[0] == 2.0 * first), "a later run harms no earlier one");
    }

    #[test]
    fn an_output_stays_on_the_device_and_is_an_input_there() {
        let mut compute = Compute::new(session()).on(Some(DEVICE));
        let first = compute.run(&given(1.0), &["y".to_owned()]).expect("a run").remove(0).1;
        assert_eq!((first.device(), first.shape()), (Some(DEVICE), vec![3]));
        let again = [("x", first.for_session(compute.device()).expect("it is there"))];
        let second = compute.run(&again, &[]).expect("a run").remove(0).1;
        assert_eq!((second.device(), sums(&second), sums(&first)), (None, [4.0, 8.0, 12.0], [2.0, 4.0, 6.0]));
        let elsewhere = compute.run(&given(1.0), &["z".to_owned()]).expect("a run").remove(0).1;
        assert_eq!(elsewhere.device(), None, "nothing of another name stays");
        let nowhere = Compute::new(session()).run(&given(1.0), &["y".to_owned()]).expect("a run").remove(0).1;
        assert_eq!(nowhere.device(), None, "without a device nothing stays");
    }
}
