//! The header of an ONNX model, the files beside it, and the count of its work.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline_onnx::{GraphFile, ModelHeader, external_files};

fuzz_target!(|bytes: &[u8]| {
    let _ = ModelHeader::parse(bytes);
    if let Ok(graph) = GraphFile::parse(bytes) {
        let sizes = graph.unknowns().into_iter().map(|name| (name, 3)).collect();
        let _ = graph.work(&sizes);
    }
    let path = maskline_fuzz::scratch("model.onnx");
    std::fs::write(&path, bytes).expect("a file for the input");
    let _ = ModelHeader::read(&path);
    let _ = external_files(&path);
    let _ = std::fs::remove_file(&path);
});
