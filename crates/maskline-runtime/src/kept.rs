//! Values of ONNX Runtime that stay where they were computed: in the memory of a device, until they are needed here or it needs the room.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ort::memory::AllocationDevice;
use ort::value::{DynTensorValueType, DynValue, ValueType};

use crate::error::{Error, ErrorKind, Result};
use crate::tensor::ElementType;

/// A device's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) kind: AllocationDevice<'static>,
    pub(crate) id: i32,
}

/// A value, wherever it lies. It is fetched from a device when it is first read here, once; what was fetched stays.
#[derive(Debug)]
pub(crate) struct Kept {
    dtype: ValueType,
    here: OnceLock<Arc<DynValue>>,
    there: Mutex<There>,
    /// When a run last took it from the device, in [`NOW`]'s time.
    used: AtomicU64,
}

/// What a device has of a value.
#[derive(Debug)]
enum There {
    Nothing,
    All {
        device: Device,
        value: Arc<DynValue>,
    },
    /// It had it, and nobody fetched it in time.
    Lost,
}

/// Counts the runs that take values from devices.
static NOW: AtomicU64 = AtomicU64::new(0);

impl Kept {
    /// In ordinary memory.
    pub(crate) fn here(value: DynValue) -> Self {
        let dtype = value.dtype().clone();
        Self { dtype, here: OnceLock::from(Arc::new(value)), there: Mutex::new(There::Nothing), used: AtomicU64::new(0) }
    }

    /// In the memory of a device.
    pub(crate) fn there(value: DynValue, device: Device) -> Self {
        let dtype = value.dtype().clone();
        let there = Mutex::new(There::All { device, value: Arc::new(value) });
        Self { dtype, here: OnceLock::new(), there, used: AtomicU64::new(NOW.fetch_add(1, Ordering::Relaxed)) }
    }

    pub(crate) fn dtype(&self) -> &ValueType {
        &self.dtype
    }

    /// The type of the elements; `None` where these are no tensor of numbers.
    pub(crate) fn element_type(&self) -> Option<ElementType> {
        match &self.dtype {
            ValueType::Tensor { ty, .. } => ElementType::from_ort(*ty),
            _ => None,
        }
    }

    /// Size of every dimension; none where it is no tensor.
    pub(crate) fn shape(&self) -> Vec<usize> {
        let sizes = self.dtype.tensor_shape().map(|shape| shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)));
        sizes.map(Iterator::collect).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.element_type().map_or(0, ElementType::size)
    }

    /// The value in ordinary memory, fetched from the device where it is not here yet.
    ///
    /// # Errors
    /// `Lost` where it cannot be fetched any more.
    pub(crate) fn fetched(&self) -> Result<&Arc<DynValue>> {
        if let Some(value) = self.here.get() {
            return Ok(value);
        }
        let mut there = self.lock();
        // Another thread may have fetched it meanwhile.
        if let Some(value) = self.here.get() {
            return Ok(value);
        }
        let There::All { value, .. } = &*there else { return Err(lost()) };
        match fetch(value) {
            Ok(value) => Ok(self.here.get_or_init(|| Arc::new(value))),
            Err(error) => {
                *there = There::Lost;
                Err(lost().with_source(error))
            }
        }
    }

    /// The value as a session takes it that computes with this device's memory, or with ordinary memory.
    ///
    /// # Errors
    /// `Lost` where it is nowhere any more.
    pub(crate) fn for_session(&self, device: Option<&Device>) -> Result<Arc<DynValue>> {
        if let (Some(wanted), There::All { device, value }) = (device, &*self.lock())
            && wanted == device
        {
            self.used.store(NOW.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
            return Ok(Arc::clone(value));
        }
        self.fetched().cloned()
    }

    /// The device that has it now.
    pub(crate) fn device(&self) -> Option<Device> {
        match &*self.lock() {
            There::All { device, .. } => Some(device.clone()),
            There::Nothing | There::Lost => None,
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether it is nowhere any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.here.get().is_none() && matches!(*self.lock(), There::Lost)
    }

    /// Gives the device its memory back: the value is fetched first, and lost where that fails.
    pub(crate) fn leave(&self) {
        // That it is lost is told to whoever wants it.
        let _ = self.fetched();
        let mut there = self.lock();
        if matches!(*there, There::All { .. }) {
            *there = There::Nothing;
        }
    }

    /// The device has it no longer.
    pub(crate) fn lose(&self) {
        let mut there = self.lock();
        *there = if self.here.get().is_some() { There::Nothing } else { There::Lost };
    }

    fn lock(&self) -> MutexGuard<'_, There> {
        // It is replaced as a whole.
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fetch(value: &DynValue) -> ort::Result<DynValue> {
    Ok(value.view().downcast::<DynTensorValueType>()?.to(AllocationDevice::CPU, 0)?.into_dyn())
}

fn lost() -> Error {
    Error::new(ErrorKind::Lost, "what a network gave earlier is gone with the memory of its device").with_help("compute it again")
}
