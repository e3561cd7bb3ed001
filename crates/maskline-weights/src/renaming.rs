//! Tensors under other names than in the file: the layouts in which one network is published.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, ErrorKind, Result};
use crate::layout::View;
use crate::stored::{Piece, Stored};
use crate::tensor::TensorInfo;

/// What a tensor of the file stands for, see [`Checkpoint::rename`](crate::Checkpoint::rename).
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renaming {
    /// The tensor of the same name.
    Kept,
    /// The tensor of this name.
    To(String),
    /// Tensors of these names, of equal sizes along the first axis: fused projections.
    Parts(Vec<String>),
    /// Equal parts of the first axis of one tensor: a table that the file holds row by row. All of them make it.
    PartOf {
        /// Name of the whole.
        whole: String,
        /// Which part, from 0.
        index: usize,
    },
    /// The tensor of this name, a matrix that the file holds with rows and columns exchanged.
    Transposed(String),
    /// The tensor of this name, before whose entries along the second axis the file holds one more: a class token.
    WithoutFirst(String),
}

impl Renaming {
    /// The new names of what was called `old`.
    pub(crate) fn names(self, old: String) -> Vec<String> {
        match self {
            Self::Kept => vec![old],
            Self::To(name) | Self::Transposed(name) | Self::WithoutFirst(name) | Self::PartOf { whole: name, .. } => vec![name],
            Self::Parts(names) => names,
        }
    }
}

/// The parts of a table as they are found, by index.
type Parts<'t> = BTreeMap<usize, &'t Stored>;

/// The tensors under their new names, sorted by them. `stripped` is what was taken off in front of all names before.
pub(crate) fn renamed(tensors: &[Stored], stripped: &str, rule: impl Fn(&str) -> Renaming) -> Result<Vec<Stored>> {
    let (mut renamed, mut tables) = (Vec::with_capacity(tensors.len()), BTreeMap::<String, Parts<'_>>::new());
    for tensor in tensors {
        let old = Old { tensor, stripped };
        match rule(&tensor.name) {
            Renaming::Kept => renamed.push(old.whole(tensor.name.clone())),
            Renaming::To(name) => renamed.push(old.whole(name)),
            Renaming::Parts(names) => renamed.append(&mut old.parts(names)?),
            Renaming::Transposed(name) => renamed.push(old.transposed(name)?),
            Renaming::WithoutFirst(name) => renamed.push(old.without_first(name)?),
            Renaming::PartOf { whole, index } => {
                if let Some(other) = tables.entry(whole.clone()).or_default().insert(index, tensor) {
                    return Err(clash(&whole, [&other.name, &tensor.name]));
                }
            }
        }
    }
    for (name, parts) in tables {
        renamed.push(joined(name, &parts, stripped)?);
    }
    renamed.sort_by(|left, right| left.name.cmp(&right.name));
    match renamed.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some([left, right]) => Err(clash(&left.name, [left, right].map(Stored::name_in_file))),
        _ => Ok(renamed),
    }
}

/// A tensor under the name that it had.
struct Old<'t> {
    tensor: &'t Stored,
    stripped: &'t str,
}

impl Old<'_> {
    fn whole(&self, name: String) -> Stored {
        self.stored(name, self.tensor.info.shape.clone(), self.tensor.pieces.clone())
    }

    fn parts(&self, names: Vec<String>) -> Result<Vec<Stored>> {
        let count = names.len();
        let rows = match self.tensor.info.shape.first() {
            Some(&rows) if count > 0 && rows % count == 0 => rows / count,
            _ => return Err(self.misfit(format!("a first axis of {count} equal parts"))),
        };
        let part = |(index, name)| self.seen(name, |view| view.cut(0, index * rows..(index + 1) * rows));
        names.into_iter().enumerate().map(part).collect()
    }

    fn transposed(&self, name: String) -> Result<Stored> {
        match self.tensor.info.shape.len() {
            2 => self.seen(name, View::transposed),
            _ => Err(self.misfit("a matrix")),
        }
    }

    fn without_first(&self, name: String) -> Result<Stored> {
        match self.tensor.info.shape[..] {
            [_, entries, ..] if entries > 1 => self.seen(name, |view| view.cut(1, 1..entries)),
            _ => Err(self.misfit("two entries or more along the second axis")),
        }
    }

    /// What `look` leaves of the elements.
    fn seen(&self, name: String, look: impl FnOnce(View) -> View) -> Result<Stored> {
        let [piece] = &self.tensor.pieces[..] else { return Err(self.misfit("elements that lie in one place")) };
        let view = look(piece.view(&self.tensor.info));
        let layout = view.layout()?;
        Ok(self.stored(name, view.shape, vec![Piece { file: piece.file, layout }]))
    }

    fn stored(&self, name: String, shape: Vec<usize>, pieces: Vec<Piece>) -> Stored {
        let info = TensorInfo { dtype: self.tensor.info.dtype, shape };
        let old = || format!("{}{}", self.stripped, self.tensor.name);
        let origin = self.tensor.origin.clone().or_else(|| (name != self.tensor.name).then(old));
        Stored { name, info, pieces, used: AtomicBool::new(self.tensor.is_used()), origin }
    }

    fn misfit(&self, expected: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Shape, self.tensor.told()).expecting(expected).finding(format!("{:?}", self.tensor.info.shape))
    }
}

/// One tensor of all these parts.
fn joined(name: String, parts: &Parts<'_>, stripped: &str) -> Result<Stored> {
    let Some(first) = parts.values().next() else { return Err(Error::new(ErrorKind::Missing, name)) };
    if let Some(missing) = (0..parts.len()).find(|index| !parts.contains_key(index)) {
        let held: Vec<String> = parts.values().map(|part| format!("`{}`", part.told())).collect();
        let message = format!("{name}: part {missing} (counted from 0) is not in the file, which holds {}", held.join(", "));
        return Err(Error::new(ErrorKind::Missing, message));
    }
    if let Some(other) = parts.values().find(|part| part.info != first.info) {
        let describe = |part: &Stored| format!("{} {:?}", part.info.dtype, part.info.shape);
        return Err(Error::new(ErrorKind::Shape, other.told()).expecting(describe(first)).finding(describe(other)));
    }
    let old = Old { tensor: first, stripped };
    let mut shape = first.info.shape.clone();
    match shape.first_mut().map(|rows| rows.checked_mul(parts.len()).map(|all| *rows = all)) {
        Some(Some(())) => Ok(old.stored(name, shape, parts.values().flat_map(|part| part.pieces.iter().cloned()).collect())),
        _ => Err(old.misfit("one axis or more")),
    }
}

/// Neither of two tensors may win.
fn clash(name: &str, files: [&str; 2]) -> Error {
    Error::corrupt(format!("{name:.200}: two tensors of the file are this one: `{:.200}` and `{:.200}`", files[0], files[1]))
}
