//! An encoded picture: the trunk's cells, and what each head makes of them when it is first asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use maskline_models::ConceptHead;
use maskline_runtime::{Outputs, SharedTensor, Tensor};

use crate::drivers::NOT_FINITE;
use crate::drivers::{Call, Encoded, Encoding, Lanes, Tensors};
use crate::promptable::{EmbeddingFile, Stored};
use crate::{Error, ErrorKind, Result, Stage, Stages};

/// What is made once, by whoever needs it first.
#[derive(Debug)]
struct Once<T>(Mutex<Option<T>>);

impl<T: Clone> Once<T> {
    fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What was made already.
    fn made(&self) -> Option<T> {
        // One that is just being made is not made yet.
        self.0.try_lock().ok().and_then(|slot| slot.clone())
    }

    /// Waiting for another thread that makes it is told in `stages`.
    fn get_or_make(&self, stages: &mut Stages, make: impl FnOnce(&mut Stages) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stages.spend(Stage::Queue, start.elapsed());
        if let Some(made) = &*slot {
            return Ok(made.clone());
        }
        let made = make(stages)?;
        *slot = Some(made.clone());
        Ok(made)
    }
}

/// A network that makes of a picture's trunk what a head takes.
#[derive(Debug, Clone)]
pub(super) struct Neck {
    pub(super) lanes: Arc<Lanes>,
    pub(super) trunk: Arc<Tensors>,
    /// Outputs that the head takes.
    pub(super) names: &'static [&'static str],
}

impl Neck {
    /// All that it gives.
    pub(super) fn run(&self, call: &Call) -> Result<(Outputs, Stages)> {
        self.trunk
            .ask(call, |trunk| self.lanes.run_staying(vec![(ConceptHead::TRUNK, trunk[0].clone())], self.names, Stage::ImageEncode, call))
    }

    /// What the head takes.
    pub(super) fn see(self, stages: &mut Stages, call: &Call) -> Result<Tensors> {
        let (tensors, spent) = self.tensors(call)?;
        *stages += spent;
        Ok(Tensors::new(tensors).or_again(0, move |call| self.tensors(call)))
    }

    fn tensors(&self, call: &Call) -> Result<(Vec<SharedTensor>, Stages)> {
        let (mut outputs, stages) = self.run(call)?;
        Ok((Tensors::take(&mut outputs, self.names)?, stages))
    }
}

/// What the concept neck gives of a picture, see [`ConceptHead::FEATURES`].
#[derive(Debug)]
pub(super) struct Features(Tensors);

impl Features {
    fn of(tensors: Tensors, head: &ConceptHead) -> Result<Self> {
        for (name, tensor) in ConceptHead::FEATURES.iter().zip(&*tensors.now()) {
            check(name, tensor, &feature_shape(name, head))?;
        }
        Ok(Self(tensors))
    }

    /// One of them as it is now, by its name.
    pub(super) fn get(&self, name: &str) -> Result<SharedTensor> {
        let index = ConceptHead::FEATURES.iter().position(|known| *known == name);
        let unknown = || Error::new(ErrorKind::Failed, format!("the neck gives no `{name}`"));
        index.and_then(|index| self.0.now().get(index).cloned()).ok_or_else(unknown)
    }

    /// Runs what takes some of them; where they are lost, makes them again first.
    pub(super) fn ask<T>(&self, call: &Call, run: impl Fn() -> Result<(T, Stages)>) -> Result<(T, Stages)> {
        self.0.ask(call, |_| run())
    }
}

fn feature_shape(name: &str, head: &ConceptHead) -> Vec<usize> {
    let ConceptHead { grid, width, .. } = *head;
    match name {
        ConceptHead::BLANK => vec![1, 1, width],
        ConceptHead::MIDDLE => vec![1, width, 4 * grid, grid],
        ConceptHead::FINE => vec![1, width, 8 * grid, 2 * grid],
        _ => vec![1, grid * grid, width],
    }
}

/// A picture.
#[derive(Debug)]
pub(super) struct Sight {
    trunk: Arc<Tensors>,
    features: Once<Arc<Features>>,
    /// What prompts are answered from.
    clicks: Once<Encoded>,
    /// With what the heads make of it.
    bytes: usize,
}

impl Sight {
    /// Of the image encoder's output alone.
    pub(super) fn of(trunk: Tensors, head: &ConceptHead) -> Result<Self> {
        for tensor in &*trunk.now() {
            check(ConceptHead::TRUNK, tensor, &trunk_shape(head))?;
            // Fetching it from a device would take as long as leaving it there saves; what heads make of it is looked at anyway.
            let numbers = if tensor.is_on_device() { &[] } else { tensor.view::<f32>()?.data };
            if let Some(bad) = numbers.iter().find(|value| !value.is_finite()) {
                let message = format!("the network's answer is not finite: `{}` holds {bad}", ConceptHead::TRUNK);
                return Err(Error::new(ErrorKind::BadAnswer, message).with_help(NOT_FINITE));
            }
        }
        let of_features: usize = ConceptHead::FEATURES.iter().map(|name| feature_shape(name, head).iter().product::<usize>()).sum();
        // Cells, their three projections of half the width, and maps of two and four times the resolution.
        let of_clicks = head.clicks.as_ref().map_or(0, |clicks| clicks.grid * clicks.grid * head.width * 11 / 2);
        let bytes = trunk.bytes() + size_of::<f32>() * (of_features + of_clicks);
        Ok(Self { trunk: Arc::new(trunk), features: Once::new(), clicks: Once::new(), bytes })
    }

    /// Of a file.
    pub(super) fn restore(file: &EmbeddingFile, head: &ConceptHead) -> Result<Self> {
        let shape = trunk_shape(head);
        let data = file.f32(ConceptHead::TRUNK, &shape)?;
        Self::of(Tensors::new(vec![SharedTensor::new(Tensor::new(shape, data)?)?]), head)
    }

    pub(super) fn trunk(&self) -> &Arc<Tensors> {
        &self.trunk
    }

    /// What concepts are compared with; `make` runs the concept neck.
    pub(super) fn features(
        &self,
        head: &ConceptHead,
        stages: &mut Stages,
        make: impl FnOnce(&mut Stages) -> Result<Tensors>,
    ) -> Result<Arc<Features>> {
        self.features.get_or_make(stages, |stages| Ok(Arc::new(Features::of(make(stages)?, head)?)))
    }

    /// What prompts are answered from.
    pub(super) fn clicks(&self, stages: &mut Stages, make: impl FnOnce(&mut Stages) -> Result<Encoded>) -> Result<Encoded> {
        self.clicks.get_or_make(stages, make)
    }
}

fn trunk_shape(head: &ConceptHead) -> Vec<usize> {
    vec![1, head.grid * head.grid, head.trunk_width]
}

fn check(name: &str, tensor: &SharedTensor, expected: &[usize]) -> Result<()> {
    if tensor.shape() == expected {
        return Ok(());
    }
    let error = Error::new(ErrorKind::BadAnswer, format!("the network's output `{name}`"));
    Err(error.expecting(format!("{expected:?}")).but_found(format!("{:?}", tensor.shape())))
}

impl Encoding for Sight {
    /// Of all that it will hold: the same before and after a head was asked.
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn device_bytes(&self) -> usize {
        let features = self.features.made().map_or(0, |features| features.0.device_bytes());
        self.trunk.device_bytes() + features + self.clicks.made().map_or(0, |clicks| clicks.device_bytes())
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        let trunk = self.trunk.fetched(&Call::default())?;
        Ok(trunk.iter().map(|tensor| Stored::tensor(ConceptHead::TRUNK, tensor.clone())).collect())
    }
}
