//! The facts of an existing ONNX file.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;

use crate::external::checked_length;
use crate::proto::{ModelHeaderProto, ValueInfoProto};
use crate::{DType, Error, ErrorKind, Result};

/// Name, element type (if known to this crate) and dimensions (`None` where free) of an input or output.
pub type Port = (String, Option<DType>, Vec<Option<usize>>);

/// Metadata, inputs and outputs of an existing ONNX file, read without its nodes and weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelHeader {
    /// The program that wrote the file.
    pub producer: String,
    /// Version of the standard operator set.
    pub opset: i64,
    /// The model's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Inputs in order.
    pub inputs: Vec<Port>,
    /// Outputs in order.
    pub outputs: Vec<Port>,
}

impl ModelHeader {
    /// Reads the header from a file's content.
    ///
    /// # Errors
    /// `Format` if the bytes are not an ONNX model.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let not_onnx = |why: &str| Error::new(ErrorKind::Format, format!("not an ONNX model: {why}"));
        let model = ModelHeaderProto::decode(bytes).map_err(|e| not_onnx(&e.to_string()))?;
        let graph = model.graph.ok_or_else(|| not_onnx("it has no graph"))?;
        let opset = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map(|o| o.version);
        Ok(Self {
            producer: model.producer_name,
            opset: opset.ok_or_else(|| not_onnx("it names no operator set"))?,
            metadata: model.metadata_props.into_iter().map(|e| (e.key, e.value)).collect(),
            inputs: graph.input.into_iter().map(port).collect(),
            outputs: graph.output.into_iter().map(port).collect(),
        })
    }

    /// Reads the header of a file.
    ///
    /// # Errors
    /// `Io` if the file cannot be read, `Format` if it is not an ONNX model.
    pub fn read(path: &Path) -> Result<Self> {
        checked_length(path)?;
        Self::parse(&std::fs::read(path).map_err(|e| Error::io(path, &e))?)
    }
}

fn port(info: ValueInfoProto) -> Port {
    let tensor = info.r#type.and_then(|t| t.tensor_type).unwrap_or_default();
    let dims = tensor.shape.unwrap_or_default().dim.into_iter().map(|d| d.dim_value.and_then(|v| usize::try_from(v).ok()));
    (info.name, DType::from_code(tensor.elem_type), dims.collect())
}
