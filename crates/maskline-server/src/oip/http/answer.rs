//! Writing an answer: JSON, and behind it tensors as bytes.

use std::collections::BTreeMap;

use bytes::Bytes;
use maskline::{Error, ErrorKind, Result};
use serde::Serialize;

use super::super::message::{AnswerOutput, InferAnswer, Parameter};
use super::data::{Flat, check};

/// An answer's body.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The JSON.
    pub json: Bytes,
    /// The tensors behind it, which are not copied; without any the answer is plain JSON.
    pub tensors: Vec<Bytes>,
}

/// Writes an answer.
///
/// # Errors
/// `InvalidOption` where an output was asked for as JSON and holds what JSON cannot tell: numbers that are not finite, bytes that are no text.
pub fn write(answer: &InferAnswer) -> Result<Written> {
    let outputs = answer.outputs.iter().map(OutputJson::of).collect::<Result<Vec<_>>>()?;
    let InferAnswer { model, version, id, parameters, .. } = answer;
    let told = AnswerJson { model_name: model, model_version: version, id: id.as_deref(), parameters, outputs };
    let json = serde_json::to_vec(&told).map_err(|error| Error::new(ErrorKind::Failed, format!("the answer as JSON: {error}")))?;
    let tensors = answer.outputs.iter().filter(|output| output.is_binary).map(|output| output.tensor.content().clone()).collect();
    Ok(Written { json: json.into(), tensors })
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameters: &'a BTreeMap<String, Parameter>,
    outputs: Vec<OutputJson<'a>>,
}

#[derive(Serialize)]
struct OutputJson<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [usize],
    /// Only where its size is in it: clients look for that in any parameters that they find.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Flat<'a>>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

impl<'a> OutputJson<'a> {
    fn of(AnswerOutput { tensor, is_binary }: &'a AnswerOutput) -> Result<Self> {
        let parameters = is_binary.then(|| BinarySize { binary_data_size: tensor.content().len() });
        let data = if *is_binary { None } else { Some(Flat(tensor)) };
        if data.is_some() {
            check(tensor)?;
        }
        Ok(Self { name: tensor.name(), datatype: tensor.datatype().name(), shape: tensor.shape(), parameters, data })
    }
}
