//! ONNX Runtime and a tiny model.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::sync::{Arc, LazyLock};

use maskline_runtime::{Library, LibraryOptions, ModelSource, Session, SessionOptions, Tensor, load};

pub static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| load(&LibraryOptions::from_env()).unwrap());

/// A protobuf field with a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2, content.len() as u8];
    bytes.extend_from_slice(content);
    bytes
}

/// `y = x + x` for f32 [n, 3], written byte by byte.
pub fn double() -> Vec<u8> {
    let dims = [field(1, &field(2, b"n")), field(1, &[0x08, 3])].concat();
    let tensor_type = [vec![0x08, 1], field(2, &dims)].concat();
    let port = |name: &[u8]| [field(1, name), field(2, &field(1, &tensor_type))].concat();
    let node = [field(1, b"x"), field(1, b"x"), field(2, b"y"), field(4, b"Add")].concat();
    let graph = [field(1, &node), field(2, b"double"), field(11, &port(b"x")), field(12, &port(b"y"))].concat();
    let opset = [field(1, b""), vec![0x10, 21]].concat();
    [vec![0x08, 10], field(7, &graph), field(8, &opset)].concat()
}

pub fn open(options: &SessionOptions) -> Session {
    Session::open(&LIBRARY, ModelSource::Bytes(&double()), options).unwrap()
}

pub fn input(rows: usize) -> Tensor {
    Tensor::new([rows, 3], (0..rows * 3).map(|i| i as f32).collect::<Vec<_>>()).unwrap()
}
