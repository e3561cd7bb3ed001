//! What a run gives: the rows of one job among those that ran together.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::compute::Values;
use crate::error::{Error, ErrorKind, Result};
use crate::kept::Kept;
use crate::shared::{SharedTensor, View, extract};
use crate::tensor::{Element, ElementType, Tensor, for_each_element};

/// The outputs of one job, in ONNX Runtime's own memory or, as far as the job has said so, in that of a device. Jobs that ran together share
/// it: each keeps all of it while it keeps its outputs.
#[derive(Debug)]
pub struct Outputs {
    pub(crate) values: Values,
    /// This job's rows, where others ran with it.
    pub(crate) part: Option<Range<usize>>,
    /// From asking to the start of the run, with the wait for room in the queue.
    pub queue: Duration,
    /// The run itself.
    pub run: Duration,
    /// Rows in that run: this job's, and those of the jobs that ran with it. 1 where nothing is counted in rows.
    pub rows_together: usize,
}

impl Outputs {
    /// Names in the order of the model.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| name.as_str())
    }

    /// This job's rows.
    pub fn rows(&self) -> usize {
        self.part.as_ref().map_or(self.rows_together, ExactSizeIterator::len)
    }

    /// An output.
    ///
    /// # Errors
    /// `InvalidOutput` if there is none of this name or it has another element type.
    pub fn view<T: Element>(&self, name: &str) -> Result<View<'_, T>> {
        let view = extract(self.value(name)?.fetched()?, &format!("output `{name}`"))?;
        Ok(match &self.part {
            Some(rows) => rows_of(&view, rows),
            None => view,
        })
    }

    /// An f32 output.
    ///
    /// # Errors
    /// As [`Outputs::view`].
    pub fn f32(&self, name: &str) -> Result<View<'_, f32>> {
        self.view(name)
    }

    /// An output of whatever type, as bytes.
    ///
    /// # Errors
    /// `InvalidOutput` if there is none of this name, or it has no elements of a type of ours (text, a sequence).
    pub fn raw(&self, name: &str) -> Result<RawView<'_>> {
        let value = self.value(name)?;
        let Some(element_type) = value.element_type() else {
            let error = Error::new(ErrorKind::InvalidOutput, format!("output `{name}`"));
            return Err(error.expecting("a tensor of numbers").finding(value.dtype()));
        };
        macro_rules! bytes {
            ($(($variant:ident, $type:ty, $name:literal, $ort:ident))*) => {
                match element_type {
                    $(ElementType::$variant => {
                        let View { shape, data } = self.view::<$type>(name)?;
                        RawView { element_type, shape, bytes: bytemuck::cast_slice(data) }
                    })*
                }
            };
        }
        Ok(for_each_element!(bytes))
    }

    fn value(&self, name: &str) -> Result<&Arc<Kept>> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, value)| value).ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            Error::new(ErrorKind::InvalidOutput, format!("no output is called `{name}`; there are {}", known.join(", ")))
        })
    }

    /// Takes an f32 output out, to be an input of other runs. Copied only where the run had rows of other jobs.
    ///
    /// # Errors
    /// As [`Outputs::view`].
    pub fn take(&mut self, name: &str) -> Result<SharedTensor> {
        let kept = Arc::clone(self.value(name)?);
        if kept.element_type() != Some(ElementType::F32) {
            let error = Error::new(ErrorKind::InvalidOutput, format!("output `{name}`"));
            return Err(error.expecting("a tensor of f32").finding(kept.dtype()));
        }
        let shared = match &self.part {
            Some(_) => {
                let View { shape, data } = self.f32(name)?;
                SharedTensor::new(Tensor::new(shape, data.to_vec())?)?
            }
            None => SharedTensor { element_type: ElementType::F32, shape: kept.shape(), kept },
        };
        self.values.retain(|(known, _)| known != name);
        Ok(shared)
    }
}

/// The elements of an output as bytes, not copied.
#[derive(Debug, Clone)]
pub struct RawView<'a> {
    /// Type of the elements.
    pub element_type: ElementType,
    /// Shape.
    pub shape: Vec<usize>,
    /// The elements, row-major, in the order that the machine has their bytes.
    pub bytes: &'a [u8],
}

/// Some rows of a tensor whose first size counts them.
fn rows_of<'a, T>(view: &View<'a, T>, rows: &Range<usize>) -> View<'a, T> {
    let width: usize = view.shape.iter().skip(1).product();
    let mut shape = view.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = rows.len();
    }
    View { shape, data: &view.data[rows.start * width..rows.end * width] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_slices() {
        let data: Vec<i32> = (0..12).collect();
        let view = View { shape: vec![3, 2, 2], data: &data };
        let rows = rows_of(&view, &(1..3));
        assert_eq!((rows.shape, rows.data), (vec![2, 2, 2], &data[4..]));
        let scores = View { shape: vec![3], data: &data[..3] };
        assert_eq!(rows_of(&scores, &(2..3)).data, [2]);
        let nothing = View { shape: vec![3, 0], data: &data[..0] };
        assert_eq!(rows_of(&nothing, &(1..2)).shape, [1, 0]);
    }
}
