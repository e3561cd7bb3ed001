//! Reading a request: JSON, and behind it tensors as bytes.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use maskline::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::super::datatype::Datatype;
use super::super::message::{InferRequest, Parameter, Parameters, WantedOutput, refuse_unserved, taken};
use super::super::tensor::{Description, Tensor};
use super::HEADER_LENGTH;

/// Most parameters of a request or tensor, and most sizes of a tensor that are read at all.
const MOST: usize = 256;

/// What a body holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A request, which lacks the model's name and version: those are in the path.
    Request(Box<InferRequest>),
    /// The content of the model's only input, and nothing else.
    Raw(Bytes),
}

/// Reads a body. `header_length` is the value of `Inference-Header-Content-Length`: the bytes of its JSON, where tensors follow it.
///
/// # Errors
/// `BadInput` for what is no such body, `InvalidOption` for what is asked for and not served.
pub fn read(body: &Bytes, header_length: Option<&str>) -> Result<Body> {
    let length = header_length.map_or(Ok(body.len()), |text| json_length(text, body.len()))?;
    if length == 0 && header_length.is_some() {
        return Ok(Body::Raw(body.clone()));
    }
    let json = body.slice(..length);
    let request: RequestJson<'_> = serde_json::from_slice(&json).map_err(|error| {
        let place = format!("the request's JSON, line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        Error::new(ErrorKind::BadInput, message).at_place(place)
    })?;
    let mut rest = Rest { bytes: body.slice(length..), length: body.len() - length };
    let inputs = request.inputs.into_iter().map(|input| input.tensor(&mut rest)).collect::<Result<_>>()?;
    rest.check_empty()?;
    let mut parameters = request.parameters.unwrap_or_default().0;
    let is_binary = taken(&mut parameters, "binary_data_output", Parameter::as_bool, "true or false")?;
    let outputs = request.outputs.map(|outputs| outputs.into_iter().map(OutputJson::wanted).collect::<Result<_>>()).transpose()?;
    Ok(Body::Request(Box::new(InferRequest {
        id: request.id.filter(|id| !id.is_empty()),
        parameters: Parameters::new(parameters)?,
        inputs,
        outputs,
        binary_by_default: is_binary.unwrap_or_default(),
        ..InferRequest::default()
    })))
}

fn json_length(text: &str, most: usize) -> Result<usize> {
    let length = text.trim().parse().ok().filter(|length| *length <= most);
    length.ok_or_else(|| {
        let error = Error::new(ErrorKind::BadInput, "").at_place(format!("header {HEADER_LENGTH}"));
        error.expecting(format!("a length from 0 to the body's, {most}")).but_found(format!("`{}`", text.escape_debug()))
    })
}

/// The tensors behind the JSON.
struct Rest {
    bytes: Bytes,
    length: usize,
}

impl Rest {
    fn take(&mut self, size: u64) -> Option<Bytes> {
        let size = usize::try_from(size).ok().filter(|size| *size <= self.bytes.len())?;
        Some(self.bytes.split_to(size))
    }

    fn check_empty(&self) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let error = Error::new(ErrorKind::BadInput, "the bytes behind the request's JSON");
        let used = self.length - self.bytes.len();
        Err(error.expecting(format!("{used}, as the inputs' binary_data_size say")).but_found(self.length))
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a request: an object with `inputs`")]
struct RequestJson<'a> {
    id: Option<String>,
    parameters: Option<Given>,
    #[serde(borrow)]
    inputs: Vec<InputJson<'a>>,
    outputs: Option<Vec<OutputJson>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an input: an object with `name`, `shape` and `datatype`")]
struct InputJson<'a> {
    name: String,
    shape: Sizes,
    datatype: String,
    parameters: Option<Given>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl InputJson<'_> {
    fn tensor(self, rest: &mut Rest) -> Result<Tensor> {
        let Self { name, shape, datatype, parameters, data } = self;
        let datatype = datatype_of(&name, &datatype)?;
        let shape = shape.0.iter().map(|size| size_of_json(&name, size)).collect::<Result<_>>()?;
        let description = Description { name, datatype, shape };
        let mut parameters = parameters.unwrap_or_default().0;
        refuse_unserved(&description.name, &parameters)?;
        let size = taken(&mut parameters, "binary_data_size", Parameter::as_count, "bytes from 0 up")?;
        let content = match (size, data) {
            (Some(size), None) => rest.take(size).ok_or_else(|| {
                let error = description.refused("binary_data_size").expecting(format!("at most {} bytes that are left", rest.bytes.len()));
                error.but_found(size).with_help(format!("tell by {HEADER_LENGTH} where the JSON ends"))
            })?,
            (None, Some(data)) => super::data::read(data.get(), &description)?,
            (Some(_), Some(_)) => return Err(description.refused("").expecting("data, or binary_data_size").but_found("both")),
            (None, None) => return Err(description.refused("").expecting("data, or binary_data_size").but_found("neither")),
        };
        Tensor::new(description, content)
    }
}

/// The type of this name.
pub(in super::super) fn datatype_of(tensor: &str, name: &str) -> Result<Datatype> {
    Datatype::named(name).ok_or_else(|| {
        let known: Vec<&str> = Datatype::ALL.iter().map(|datatype| datatype.name()).collect();
        let error = Error::new(ErrorKind::BadInput, format!("tensor `{tensor}`: datatype")).expecting(known.join(", "));
        error.but_found(format!("`{}`", name.chars().take(40).collect::<String>().escape_debug()))
    })
}

fn size_of_json(tensor: &str, size: &Number) -> Result<usize> {
    size.as_u64().and_then(|size| usize::try_from(size).ok()).ok_or_else(|| bad_size(tensor, size))
}

/// The error of a size that none is.
pub(in super::super) fn bad_size(tensor: &str, size: impl fmt::Display) -> Error {
    Error::new(ErrorKind::BadInput, format!("tensor `{tensor}`: shape")).expecting("whole numbers from 0 up").but_found(size)
}

#[derive(Deserialize)]
#[serde(expecting = "an output: an object with `name`")]
struct OutputJson {
    name: String,
    parameters: Option<Given>,
}

impl OutputJson {
    fn wanted(self) -> Result<WantedOutput> {
        let mut parameters = self.parameters.unwrap_or_default().0;
        refuse_unserved(&self.name, &parameters)?;
        let is_binary = taken(&mut parameters, "binary_data", Parameter::as_bool, "true or false")?;
        Ok(WantedOutput { name: self.name, is_binary })
    }
}

/// Sizes, so many that they can be those of a tensor.
struct Sizes(Vec<Number>);

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Sizes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Sizes, A::Error> {
                let mut read = Vec::new();
                while let Some(size) = sizes.next_element()? {
                    if read.len() == MOST {
                        return Err(A::Error::custom(format_args!("expected at most {MOST} sizes of a tensor")));
                    }
                    read.push(size);
                }
                Ok(Sizes(read))
            }
        }
        deserializer.deserialize_seq(Reading)
    }
}

/// Parameters by name.
#[derive(Default)]
struct Given(BTreeMap<String, Parameter>);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Given, A::Error> {
                let mut read = BTreeMap::new();
                while let Some((name, value)) = pairs.next_entry::<String, Parameter>()? {
                    read.insert(name, value);
                    if read.len() > MOST {
                        return Err(A::Error::custom(format_args!("expected at most {MOST} parameters")));
                    }
                }
                Ok(Given(read))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl Visitor<'_> for Reading {
            type Value = Parameter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a parameter: true, false, a number or a text")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Parameter, E> {
                Ok(Parameter::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Parameter, E> {
                Ok(Parameter::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Parameter, E> {
                Ok(i64::try_from(value).map_or(Parameter::Uint(value), Parameter::Int))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Parameter, E> {
                Ok(Parameter::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Parameter, E> {
                Ok(Parameter::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}
