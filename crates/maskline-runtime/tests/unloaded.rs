//! Before ONNX Runtime is loaded. In a file of its own, as a process loads it once.

use maskline_runtime::{ErrorKind, SharedTensor, Tensor};

#[test]
fn a_shared_tensor_needs_the_runtime_and_looks_for_none_itself() {
    let shared = Tensor::new([1], vec![1f32]).and_then(SharedTensor::new);
    assert_eq!(shared.map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::LibraryNotFound));
}
