//! Reading the header of a safetensors file.

use safetensors::{Dtype, SafeTensors};

use crate::attribute::Attribute;
use crate::contents::Contents;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::tensor::{DType, TensorInfo};

/// Lists the tensors and the `__metadata__` strings. Bounds, overlaps and sizes are checked by the `safetensors` crate.
pub(crate) fn read(file: &[u8]) -> Result<Contents> {
    let (header_length, metadata) = SafeTensors::read_metadata(file).map_err(|error| {
        Error::corrupt(format!("damaged safetensors file: {error}"))
            .with_help("the download was probably cut off or changed on its way; fetch the file again")
    })?;
    let data = header_length + size_of::<u64>();
    let mut contents = Contents::default();
    for (name, tensor) in metadata.tensors() {
        let Some(dtype) = dtype(tensor.dtype) else {
            contents.skipped.insert(name, format!("{:?}", tensor.dtype));
            continue;
        };
        // A size of zero hides what the others multiply to: [2⁶³, 4, 0] would overflow in later products of dimensions.
        let nonzero = tensor.shape.iter().filter(|&&size| size != 0);
        if nonzero.copied().try_fold(dtype.size(), usize::checked_mul).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(Error::corrupt(format!("{name:.200}: shape {:?} overflows", tensor.shape)));
        }
        let (start, end) = tensor.data_offsets;
        let info = TensorInfo { dtype, shape: tensor.shape.clone() };
        contents.tensors.push((name, info, Layout::Contiguous(data + start..data + end)));
    }
    let mut strings: Vec<_> = metadata.metadata().iter().flatten().collect();
    strings.sort();
    let strings = strings.into_iter().map(|(key, value)| (Attribute::Str(key.clone()), Attribute::Str(value.clone())));
    contents.facts.root = strings.collect();
    Ok(contents)
}

fn dtype(stored: Dtype) -> Option<DType> {
    Some(match stored {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}
