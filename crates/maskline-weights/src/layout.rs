//! Where the elements of one tensor lie in the mapped file, and how they are read.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, Result};

/// A strided view may hold at most this many times the bytes of its storage (an expanded tensor repeats them) …
const MAX_EXPANSION: usize = 16;
/// … but small ones may always be expanded.
const MAX_SMALL_BYTES: usize = 1 << 20;

/// The elements of a tensor in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// In row-major order, without gaps.
    Contiguous(Range<usize>),
    /// A transposed, sliced or expanded view: `storage` in file bytes, `offset` and `strides` in elements.
    Strided { storage: Range<usize>, offset: usize, strides: Vec<usize> },
}

/// A view into a storage, as PyTorch describes it: offset and strides in elements.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) storage: Range<usize>,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) element_size: usize,
}

impl View {
    /// All elements of a storage, in row-major order.
    pub(crate) fn contiguous(storage: Range<usize>, shape: Vec<usize>, element_size: usize) -> Self {
        // Saturating: with a size of zero the others may be of any size, and no stride is used.
        let stride = |axis: usize| shape[axis + 1..].iter().fold(1_usize, |stride, &size| stride.saturating_mul(size));
        let strides = (0..shape.len()).map(stride).collect();
        Self { storage, offset: 0, shape, strides, element_size }
    }

    /// Only these entries along one axis, which the view must have.
    pub(crate) fn cut(mut self, axis: usize, entries: Range<usize>) -> Self {
        self.offset = self.offset.saturating_add(entries.start.saturating_mul(self.strides[axis]));
        self.shape[axis] = entries.len();
        self
    }

    /// With its axes in the reverse order.
    pub(crate) fn transposed(mut self) -> Self {
        self.shape.reverse();
        self.strides.reverse();
        self
    }

    /// Checks that every element lies inside the storage, and that gathering would not take unreasonable memory.
    pub(crate) fn layout(&self) -> Result<Layout> {
        let overflow = || Error::corrupt(format!("shape {:?} with strides {:?} overflows", self.shape, self.strides));
        if self.shape.len() != self.strides.len() {
            return Err(Error::corrupt(format!("shape {:?} with strides {:?}", self.shape, self.strides)));
        }
        // Sizes without zeros, so that [2⁶³, 4, 0] is refused as well and later products of dimensions cannot overflow.
        let nonzero = self.shape.iter().filter(|&&size| size != 0);
        let bytes = nonzero.copied().try_fold(self.element_size, usize::checked_mul).ok_or_else(overflow)?;
        if self.shape.contains(&0) {
            return Ok(Layout::Contiguous(self.storage.start..self.storage.start));
        }
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |last, (&size, &stride)| last.checked_add((size - 1).checked_mul(stride)?))
            .and_then(|last| last.checked_add(1)?.checked_mul(self.element_size))
            .ok_or_else(overflow)?;
        if last > self.storage.len() {
            return Err(Error::corrupt(format!(
                "shape {:?} with strides {:?} from element {} needs {last} bytes of a storage of {}",
                self.shape,
                self.strides,
                self.offset,
                self.storage.len()
            )));
        }
        if self.is_contiguous() {
            let start = self.storage.start + self.offset * self.element_size;
            return Ok(Layout::Contiguous(start..start + bytes));
        }
        if bytes > MAX_SMALL_BYTES && bytes / MAX_EXPANSION > self.storage.len() {
            return Err(Error::limit(format!(
                "shape {:?} with strides {:?} would expand {} stored bytes to {bytes}",
                self.shape,
                self.strides,
                self.storage.len()
            )));
        }
        // The stride of a dimension of size 1 is never used and may be anything: zero cannot overflow when stepping.
        let strides = self.shape.iter().zip(&self.strides).map(|(&size, &stride)| if size == 1 { 0 } else { stride }).collect();
        Ok(Layout::Strided { storage: self.storage.clone(), offset: self.offset, strides })
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size;
            fits
        })
    }
}

impl Layout {
    /// The elements in row-major order. `file` is the map that the layout was checked against.
    pub(crate) fn read<'a>(&self, file: &'a [u8], shape: &[usize], element_size: usize) -> Cow<'a, [u8]> {
        match self {
            Self::Contiguous(range) => Cow::Borrowed(&file[range.clone()]),
            Self::Strided { storage, offset, strides } => {
                Cow::Owned(Gather { storage: &file[storage.clone()], offset: *offset, strides, element_size }.rows(shape))
            }
        }
    }
}

/// Copies a strided view into row-major order.
struct Gather<'a> {
    storage: &'a [u8],
    offset: usize,
    strides: &'a [usize],
    element_size: usize,
}

impl Gather<'_> {
    fn rows(&self, shape: &[usize]) -> Vec<u8> {
        let Self { storage, offset, strides, element_size } = *self;
        let count: usize = shape.iter().product();
        let mut gathered = Vec::with_capacity(count * element_size);
        let mut index = vec![0; shape.len()];
        let mut element = offset;
        for _ in 0..count {
            let start = element * element_size;
            gathered.extend_from_slice(&storage[start..start + element_size]);
            for dimension in (0..shape.len()).rev() {
                index[dimension] += 1;
                element += strides[dimension];
                if index[dimension] < shape[dimension] {
                    break;
                }
                element -= strides[dimension] * shape[dimension];
                index[dimension] = 0;
            }
        }
        gathered
    }
}
