//! Tensors that go into and come out of a session.

use crate::error::{Error, ErrorKind, Result};

/// Calls `$macro!` with every supported element type: variant, Rust type, name.
macro_rules! for_each_element {
    ($macro:ident) => {
        $macro! {
            (F32, f32, "f32", Float32)
            (F16, half::f16, "f16", Float16)
            (BF16, half::bf16, "bf16", Bfloat16)
            (F64, f64, "f64", Float64)
            (I64, i64, "i64", Int64)
            (I32, i32, "i32", Int32)
            (I16, i16, "i16", Int16)
            (I8, i8, "i8", Int8)
            (U64, u64, "u64", Uint64)
            (U32, u32, "u32", Uint32)
            (U16, u16, "u16", Uint16)
            (U8, u8, "u8", Uint8)
            (Bool, bool, "bool", Bool)
        }
    };
}
pub(crate) use for_each_element;

macro_rules! define {
    ($(($variant:ident, $type:ty, $name:literal, $ort:ident))*) => {
        /// The type of a tensor's elements.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ElementType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl ElementType {
            /// The short name: `f32`, `bf16`, `i64`, `u8`, `bool` and their like.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Bytes per element.
            pub fn size(self) -> usize {
                match self { $(Self::$variant => size_of::<$type>(),)* }
            }

            pub(crate) fn from_ort(element: ort::value::TensorElementType) -> Option<Self> {
                match element {
                    $(ort::value::TensorElementType::$ort => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        /// The elements of a tensor, row-major.
        #[derive(Debug, Clone, PartialEq)]
        pub enum TensorData {
            $(#[doc = concat!("`", $name, "` elements")] $variant(Vec<$type>),)*
        }

        impl TensorData {
            /// The type of the elements.
            pub fn element_type(&self) -> ElementType {
                match self { $(Self::$variant(_) => ElementType::$variant,)* }
            }

            /// The number of elements.
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(data) => data.len(),)* }
            }

            /// Whether there are no elements.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Elements from their bytes, in the order that the machine has them (little-endian on all platforms of ONNX Runtime's wheels).
            ///
            /// # Errors
            /// [`ErrorKind::InvalidInput`] where the last element is cut off, or a `bool` is neither 0 nor 1.
            pub fn from_bytes(element_type: ElementType, bytes: &[u8]) -> Result<Self> {
                if !bytes.len().is_multiple_of(element_type.size()) {
                    let error = Error::new(ErrorKind::InvalidInput, format!("elements of {element_type}"));
                    return Err(error.expecting(format!("a multiple of {} bytes", element_type.size())).finding(bytes.len()));
                }
                let read = match element_type { $(ElementType::$variant => <$type as FromBytes>::read(bytes).map(Self::$variant),)* };
                read.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a bool").expecting("bytes of 0 and 1").finding("others"))
            }

            /// So many elements of zero.
            fn zeros(element_type: ElementType, len: usize) -> Self {
                match element_type { $(ElementType::$variant => Self::$variant(vec![bytemuck::Zeroable::zeroed(); len]),)* }
            }
        }

        $(
            impl Element for $type {
                const TYPE: ElementType = ElementType::$variant;

                fn slice(data: &TensorData) -> Option<&[Self]> {
                    match data { TensorData::$variant(data) => Some(data), _ => None }
                }

                fn into_vec(data: TensorData) -> Option<Vec<Self>> {
                    match data { TensorData::$variant(data) => Some(data), _ => None }
                }
            }

            impl From<Vec<$type>> for TensorData {
                fn from(data: Vec<$type>) -> Self {
                    Self::$variant(data)
                }
            }
        )*
    };
}
for_each_element!(define);

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type that can be a tensor's element.
pub trait Element: Copy + Send + Sync + 'static + bytemuck::NoUninit + ort::value::PrimitiveTensorElementType + std::fmt::Debug {
    /// The element type that this is.
    const TYPE: ElementType;

    /// The elements, when they are of this type.
    fn slice(data: &TensorData) -> Option<&[Self]>;

    /// The elements, when they are of this type.
    fn into_vec(data: TensorData) -> Option<Vec<Self>>;
}

/// An element whose bytes may come from anywhere.
trait FromBytes: Sized {
    /// The elements of whole bytes; `None` where these are none.
    fn read(bytes: &[u8]) -> Option<Vec<Self>>;
}

macro_rules! from_any_bytes {
    ($($type:ty)*) => {
        $(impl FromBytes for $type {
            fn read(bytes: &[u8]) -> Option<Vec<Self>> {
                let mut elements = vec![<Self as bytemuck::Zeroable>::zeroed(); bytes.len() / size_of::<Self>()];
                bytemuck::cast_slice_mut(&mut elements).copy_from_slice(bytes);
                Some(elements)
            }
        })*
    };
}
from_any_bytes!(f32 half::f16 half::bf16 f64 i64 i32 i16 i8 u64 u32 u16 u8);

impl FromBytes for bool {
    fn read(bytes: &[u8]) -> Option<Vec<Self>> {
        bytes.iter().all(|byte| *byte <= 1).then(|| bytes.iter().map(|byte| *byte == 1).collect())
    }
}

/// A dense row-major tensor in ordinary memory. An empty shape is a scalar.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

impl Tensor {
    /// A tensor of `shape` with `data`, which is not copied.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when the product of `shape` is not the number of elements, or no number holds it.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<TensorData>) -> Result<Self> {
        let (shape, data) = (shape.into(), data.into());
        let (element_type, len) = (data.element_type(), data.len());
        // Even without elements: whoever computes strides multiplies the other sizes, as signed numbers.
        let strides = shape.iter().try_fold(1i64, |product, &size| product.checked_mul(i64::try_from(size.max(1)).ok()?));
        if strides.is_none() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("a tensor of {element_type} {shape:?}: its sizes are beyond all bounds"),
            ));
        }
        if shape.iter().product::<usize>() != len {
            return Err(Error::new(ErrorKind::InvalidInput, format!("a tensor of {element_type} {shape:?} cannot have {len} elements")));
        }
        Ok(Self { shape, data })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where its bytes are more than memory can be asked for.
    pub fn zeros(element_type: ElementType, shape: impl Into<Vec<usize>>) -> Result<Self> {
        let shape = shape.into();
        let len = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let Some(len) = len.filter(|len| len.checked_mul(element_type.size()).is_some_and(|bytes| isize::try_from(bytes).is_ok())) else {
            let message = format!("a tensor of {element_type} {shape:?}: its sizes are beyond all bounds");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        Self::new(shape, TensorData::zeros(element_type, len))
    }

    /// A scalar.
    pub fn scalar<T: Element>(value: T) -> Self
    where
        TensorData: From<Vec<T>>,
    {
        Self { shape: Vec::new(), data: vec![value].into() }
    }

    /// Size of every dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        self.data.element_type()
    }

    /// The elements as `T`, or `None` when they are of another type.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.data)
    }

    /// The elements as `T`, or `None` when they are of another type.
    pub fn into_vec<T: Element>(self) -> Option<Vec<T>> {
        T::into_vec(self.data)
    }

    /// Shape and elements.
    pub fn into_parts(self) -> (Vec<usize>, TensorData) {
        (self.shape, self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_must_fit_the_elements() {
        assert_eq!(Tensor::new([2, 3], vec![0f32; 6]).map(|t| t.element_type()).ok(), Some(ElementType::F32));
        let error = Tensor::new([2, 3], vec![0f32; 5]).expect_err("five elements");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains("[2, 3]") && error.message().contains('5'), "{error}");
        for absurd in [&[usize::MAX, 2][..], &[0, usize::MAX], &[usize::MAX, 0], &[0, 1 << 40, 1 << 40], &[1 << 62, 0, 2], &[1 << 63]] {
            let error = Tensor::new(absurd, Vec::<f32>::new()).expect_err("no elements");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{absurd:?}");
        }
        assert!(Tensor::new([0, 4], Vec::<i64>::new()).is_ok());
        assert_eq!(Tensor::scalar(7i64).shape(), &[] as &[usize]);
    }
}
