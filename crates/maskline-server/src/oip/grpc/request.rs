//! Reading a request, with raw bytes or typed lists.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use maskline::{Error, ErrorKind, Result};

use super::super::datatype::Datatype;
use super::super::http::{bad_size, datatype_of};
use super::super::message::{InferRequest, Parameter, Parameters, WantedOutput, refuse_unserved};
use super::super::tensor::{Description, Tensor, join};
use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::{InferParameter, InferTensorContents, ModelInferRequest};

/// Reads a request. Raw contents are not copied.
///
/// # Errors
/// `BadInput` for what is no such request, `InvalidOption` for what is asked for and not served.
pub fn read(message: ModelInferRequest) -> Result<InferRequest> {
    let ModelInferRequest { model_name, model_version, id, parameters, inputs, outputs, raw_input_contents } = message;
    let is_raw = !raw_input_contents.is_empty();
    if is_raw && raw_input_contents.len() != inputs.len() {
        let error = Error::new(ErrorKind::BadInput, "raw_input_contents").expecting(format!("one for each of {} inputs", inputs.len()));
        return Err(error.but_found(raw_input_contents.len()));
    }
    let mut raw = raw_input_contents.into_iter();
    let inputs = inputs.into_iter().map(|input| tensor(input, raw.next())).collect::<Result<_>>()?;
    let outputs = outputs.into_iter().map(wanted).collect::<Result<Vec<_>>>()?;
    Ok(InferRequest {
        model: model_name,
        version: Some(model_version).filter(|version| !version.is_empty()),
        id: Some(id).filter(|id| !id.is_empty()),
        parameters: Parameters::new(given(parameters))?,
        inputs,
        outputs: Some(outputs).filter(|outputs| !outputs.is_empty()),
        binary_by_default: true,
    })
}

fn wanted(output: InferRequestedOutputTensor) -> Result<WantedOutput> {
    refuse_unserved(&output.name, &given(output.parameters))?;
    Ok(WantedOutput { name: output.name, is_binary: None })
}

fn given(parameters: HashMap<String, InferParameter>) -> BTreeMap<String, Parameter> {
    let value = |parameter: InferParameter| {
        Some(match parameter.parameter_choice? {
            ParameterChoice::BoolParam(value) => Parameter::Bool(value),
            ParameterChoice::Int64Param(value) => Parameter::Int(value),
            ParameterChoice::StringParam(value) => Parameter::Text(value),
            ParameterChoice::DoubleParam(value) => Parameter::Float(value),
            ParameterChoice::Uint64Param(value) => Parameter::Uint(value),
        })
    };
    parameters.into_iter().filter_map(|(name, parameter)| Some((name, value(parameter)?))).collect()
}

fn tensor(input: InferInputTensor, raw: Option<Bytes>) -> Result<Tensor> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    refuse_unserved(&name, &given(parameters))?;
    let datatype = datatype_of(&name, &datatype)?;
    let shape = shape.iter().map(|&size| usize::try_from(size).map_err(|_| bad_size(&name, size))).collect::<Result<_>>()?;
    let description = Description { name, datatype, shape };
    let content = match (raw, contents.unwrap_or_default()) {
        (Some(raw), contents) if contents == InferTensorContents::default() => raw,
        (Some(_), _) => return Err(description.refused("").expecting("raw_input_contents, or contents").but_found("both")),
        (None, contents) => typed(&description, contents)?,
    };
    Tensor::new(description, content)
}

/// The content of a typed list. What is in the lists of other types is not looked at: then this one lacks it.
fn typed(description: &Description, contents: InferTensorContents) -> Result<Bytes> {
    let count = description.count()?;
    let whole = |found: usize| if found == count { Ok(()) } else { Err(description.miscounted(count, found)) };
    macro_rules! list {
        ($field:ident) => {{
            whole(contents.$field.len())?;
            Ok(contents.$field.iter().flat_map(|value| value.to_le_bytes()).collect())
        }};
        ($field:ident as $type:ty) => {{
            whole(contents.$field.len())?;
            let narrow = contents.$field.iter().map(|&value| <$type>::try_from(value).map_err(|_| value));
            let bytes = narrow.map(|value| value.map(<$type>::to_le_bytes)).collect::<Result<Vec<_>, _>>();
            let bytes = bytes.map_err(|value| {
                let expected = format!("{} from {} to {}", description.datatype, <$type>::MIN, <$type>::MAX);
                description.refused("contents").expecting(expected).but_found(value)
            })?;
            Ok(bytes.into_flattened().into())
        }};
    }
    match description.datatype {
        Datatype::Bool => {
            whole(contents.bool_contents.len())?;
            Ok(contents.bool_contents.iter().map(|&value| u8::from(value)).collect())
        }
        Datatype::Int8 => list!(int_contents as i8),
        Datatype::Int16 => list!(int_contents as i16),
        Datatype::Int32 => list!(int_contents),
        Datatype::Int64 => list!(int64_contents),
        Datatype::Uint8 => list!(uint_contents as u8),
        Datatype::Uint16 => list!(uint_contents as u16),
        Datatype::Uint32 => list!(uint_contents),
        Datatype::Uint64 => list!(uint64_contents),
        Datatype::Fp32 => list!(fp32_contents),
        Datatype::Fp64 => list!(fp64_contents),
        Datatype::Fp16 | Datatype::Bf16 if count == 0 => Ok(Bytes::new()),
        Datatype::Fp16 | Datatype::Bf16 => {
            let error = description.refused("").expecting("raw_input_contents, as contents have no such list").but_found("none");
            Err(error.with_help("send the bytes of the numbers, little-endian"))
        }
        Datatype::Bytes => Ok(join(contents.bytes_contents.iter().map(AsRef::as_ref))),
    }
}
