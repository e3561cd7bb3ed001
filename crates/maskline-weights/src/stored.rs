//! A tensor of an opened checkpoint: its name, and where its elements lie in the files.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::layout::{Layout, View};
use crate::tensor::TensorInfo;

/// A named tensor of one checkpoint.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) info: TensorInfo,
    /// Its equal parts along the first axis, in order; one, but for a table that the file holds in several tensors.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) used: AtomicBool,
    /// Its name in the file, where that is another.
    pub(crate) origin: Option<String>,
}

/// Elements that lie in one file.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Which of the files.
    pub(crate) file: usize,
    pub(crate) layout: Layout,
}

impl Stored {
    pub(crate) fn new(name: String, info: TensorInfo, piece: Piece) -> Self {
        Self { name, info, pieces: vec![piece], used: AtomicBool::new(false), origin: None }
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// The name for messages: with that in the file, where it is another.
    pub(crate) fn told(&self) -> String {
        match &self.origin {
            Some(origin) => format!("{} (`{origin}` in the file)", self.name),
            None => self.name.clone(),
        }
    }

    /// The name in the file.
    pub(crate) fn name_in_file(&self) -> &str {
        self.origin.as_deref().unwrap_or(&self.name)
    }

    /// The elements in row-major order; `map_of` gives the map of a file.
    pub(crate) fn read<'a>(&self, map_of: impl Fn(usize) -> &'a [u8]) -> Cow<'a, [u8]> {
        let size = self.info.dtype.size();
        if let [piece] = &self.pieces[..] {
            return piece.layout.read(map_of(piece.file), &self.info.shape, size);
        }
        let mut shape = self.info.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first /= self.pieces.len().max(1);
        }
        let parts = self.pieces.iter().map(|piece| piece.layout.read(map_of(piece.file), &shape, size));
        Cow::Owned(parts.fold(Vec::new(), |mut all, part| {
            all.extend_from_slice(&part);
            all
        }))
    }
}

impl Piece {
    /// As a view of this element type and shape, from which others can be taken.
    pub(crate) fn view(&self, info: &TensorInfo) -> View {
        let (shape, element_size) = (info.shape.clone(), info.dtype.size());
        match &self.layout {
            Layout::Contiguous(range) => View::contiguous(range.clone(), shape, element_size),
            Layout::Strided { storage, offset, strides } => {
                View { storage: storage.clone(), offset: *offset, shape, strides: strides.clone(), element_size }
            }
        }
    }
}
