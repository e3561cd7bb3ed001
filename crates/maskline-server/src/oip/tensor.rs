//! Tensors as they travel.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use maskline::{Error, ErrorKind, Result};

use super::datatype::Datatype;

/// Most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 64;

/// A named tensor. Its content is what binary requests carry: little-endian numbers at any alignment, row-major, or for `BYTES` the elements
/// one after the other, each behind its length as a u32. It is a slice of the request that it came in wherever that had this form.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    name: String,
    datatype: Datatype,
    shape: Vec<usize>,
    content: Bytes,
}

impl Tensor {
    /// A tensor whose content fits its shape.
    ///
    /// # Errors
    /// `BadInput` where it does not, or no number holds the product of the sizes.
    pub fn new(description: Description, content: Bytes) -> Result<Self> {
        let count = description.count()?;
        match description.datatype.size() {
            // Sizes of a slice in memory: where the product is beyond all numbers, it is no such size.
            Some(size) if count.checked_mul(size) != Some(content.len()) => {
                let expected = count.checked_mul(size).map_or("more bytes than there are".into(), |bytes| format!("{bytes} bytes"));
                return Err(description.refused("").expecting(format!("{expected} for {description}")).but_found(content.len()));
            }
            Some(_) if description.datatype == Datatype::Bool => {
                if let Some(strange) = content.iter().find(|byte| **byte > 1) {
                    return Err(description.refused("").expecting("bytes of 0 and 1").but_found(strange));
                }
            }
            Some(_) => {}
            None => description.check_elements(&content, count)?,
        }
        let Description { name, datatype, shape } = description;
        Ok(Self { name, datatype, shape, content })
    }

    /// A tensor of `BYTES` in one dimension.
    pub fn of_elements<T: AsRef<[u8]>>(name: impl Into<String>, elements: &[T]) -> Self {
        let content = join(elements.iter().map(AsRef::as_ref));
        Self { name: name.into(), datatype: Datatype::Bytes, shape: vec![elements.len()], content }
    }

    /// What the model calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its elements.
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Its sizes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its content.
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// The elements of a tensor of `BYTES`, each a slice of its content; nothing where it has numbers.
    pub fn elements(&self) -> impl Iterator<Item = Bytes> {
        let mut rest = if self.datatype == Datatype::Bytes { self.content.clone() } else { Bytes::new() };
        // Checked when the tensor was made.
        std::iter::from_fn(move || next_element(&mut rest))
    }
}

/// What a tensor is, but for its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// What the model calls it.
    pub name: String,
    /// The type of its elements.
    pub datatype: Datatype,
    /// Its sizes.
    pub shape: Vec<usize>,
}

impl Description {
    /// The number of elements.
    ///
    /// # Errors
    /// `BadInput` if no signed number of 64 bits holds the product of the sizes, zeros left out.
    pub fn count(&self) -> Result<usize> {
        if self.shape.len() > MOST_DIMENSIONS {
            return Err(self.refused("shape").expecting(format!("at most {MOST_DIMENSIONS} sizes")).but_found(self.shape.len()));
        }
        let product = self.shape.iter().try_fold(1i64, |product, &size| product.checked_mul(i64::try_from(size.max(1)).ok()?));
        match product {
            Some(_) if self.shape.contains(&0) => Ok(0),
            Some(product) => usize::try_from(product).map_err(|_| self.refused("shape").but_found("more elements than there is memory")),
            None => Err(self.refused("shape").expecting("a product below 2^63").but_found(format!("{:?}", self.shape))),
        }
    }

    /// An error about this tensor.
    pub(super) fn refused(&self, what: &str) -> Error {
        let colon = if what.is_empty() { "" } else { ": " };
        Error::new(ErrorKind::BadInput, format!("tensor `{}`{colon}{what}", self.name))
    }

    /// Fails unless there are so many elements, whole, and nothing else.
    fn check_elements(&self, content: &Bytes, count: usize) -> Result<()> {
        let (mut rest, mut found) = (content.clone(), 0usize);
        while !rest.is_empty() {
            if next_element(&mut rest).is_none() {
                let error = self.refused(&format!("element {found}")).expecting("a length as u32 and as many bytes");
                return Err(error.but_found(format!("{} bytes", rest.len())));
            }
            found += 1;
        }
        if found == count { Ok(()) } else { Err(self.miscounted(count, found)) }
    }

    /// The error of too few or too many elements.
    pub(super) fn miscounted(&self, expected: usize, found: usize) -> Error {
        self.refused("").expecting(format!("{expected} elements for {self}")).but_found(found)
    }
}

impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.datatype, self.shape)
    }
}

/// Takes an element of `BYTES` off; `None`, and nothing taken, at the end and where it is not whole.
fn next_element(rest: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    if rest.len() - 4 < length {
        return None;
    }
    rest.advance(4);
    Some(rest.split_to(length))
}

/// Elements as they travel.
pub(super) fn join<'a>(elements: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut content = BytesMut::new();
    elements.for_each(|element| put_element(&mut content, element));
    content.freeze()
}

/// Adds an element. What no length can tell, no message can carry: longer ones are cut off by no caller of ours, as messages are shorter.
pub(super) fn put_element(content: &mut impl BufMut, element: &[u8]) {
    let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
    content.put_u32_le(length);
    content.put_slice(&element[..length as usize]);
}
