//! Writing an answer.

use super::super::message::{InferAnswer, Parameter};
use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_response::InferOutputTensor;
use super::proto::{InferParameter, ModelInferResponse};

/// Writes an answer, always with raw contents: clients read no others.
pub fn write(answer: InferAnswer) -> ModelInferResponse {
    let (mut outputs, mut raw) = (Vec::new(), Vec::new());
    for output in answer.outputs {
        let tensor = output.tensor;
        raw.push(tensor.content().clone());
        outputs.push(InferOutputTensor {
            name: tensor.name().to_owned(),
            datatype: tensor.datatype().name().to_owned(),
            // Sizes of what is in memory.
            shape: tensor.shape().iter().map(|&size| size as i64).collect(),
            ..InferOutputTensor::default()
        });
    }
    ModelInferResponse {
        model_name: answer.model,
        model_version: answer.version,
        id: answer.id.unwrap_or_default(),
        parameters: answer.parameters.into_iter().map(|(name, value)| (name, parameter(value))).collect(),
        outputs,
        raw_output_contents: raw,
    }
}

/// A parameter as a message.
pub(super) fn parameter(value: Parameter) -> InferParameter {
    let choice = match value {
        Parameter::Bool(value) => ParameterChoice::BoolParam(value),
        Parameter::Int(value) => ParameterChoice::Int64Param(value),
        Parameter::Uint(value) => ParameterChoice::Uint64Param(value),
        Parameter::Float(value) => ParameterChoice::DoubleParam(value),
        Parameter::Text(value) => ParameterChoice::StringParam(value),
    };
    InferParameter { parameter_choice: Some(choice) }
}
