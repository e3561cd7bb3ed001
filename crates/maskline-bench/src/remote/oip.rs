//! Requests of the Open Inference Protocol, version 2, over HTTP.

use maskline::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use super::client::Header;
use super::requests::{Asked, Asking, Manner, Picture, Place, Question, Request, Requests, askers};
use super::server::Metadata;
use super::tensors::Tensor;
use crate::report::EmbeddingState;

/// How tensors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Behind the JSON: the extension `binary_tensor_data`.
    Binary,
    /// As numbers in the JSON, which every server reads.
    Json,
}

impl Form {
    /// As a report has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Binary => "oip, binary",
            Self::Json => "oip, JSON",
        }
    }
}

/// Path of a model's answers.
pub(super) fn path(model: &str) -> String {
    format!("/v2/models/{model}/infer")
}

/// A request with these inputs.
///
/// # Errors
/// `Unavailable` for what JSON cannot carry.
pub(super) fn request(tensors: &[Tensor], form: Form) -> Result<Request> {
    let mut inputs = Vec::new();
    for tensor in tensors {
        let mut input = Map::new();
        input.insert("name".into(), json!(tensor.name));
        input.insert("shape".into(), json!(tensor.shape));
        input.insert("datatype".into(), json!(tensor.datatype));
        match form {
            Form::Binary => input.insert("parameters".into(), json!({"binary_data_size": tensor.content.len()})),
            Form::Json => {
                let none = || {
                    Error::new(
                        ErrorKind::Unavailable,
                        format!("the server does not take binary tensors, and JSON has no {}", tensor.datatype),
                    )
                };
                input.insert("data".into(), Value::Array(tensor.numbers().ok_or_else(none)?))
            }
        };
        inputs.push(Value::Object(input));
    }
    let mut message = json!({"inputs": inputs});
    let header = |name, value: String| Header { name, value };
    if form == Form::Json {
        let headers = vec![header("content-type", "application/json".into())];
        return Ok(Request { headers, body: message.to_string().into_bytes(), fresh: None });
    }
    message["parameters"] = json!({"binary_data_output": true});
    let mut body = message.to_string().into_bytes();
    let headers =
        vec![header("content-type", "application/octet-stream".into()), header("inference-header-content-length", body.len().to_string())];
    tensors.iter().for_each(|tensor| body.extend_from_slice(&tensor.content));
    Ok(Request { headers, body, fresh: None })
}

/// Requests with pictures as files, of a model that takes them. The picture is sent in every call; for [`EmbeddingState::Miss`] it is always
/// another one.
///
/// # Errors
/// `InvalidOption` for what the model cannot be asked.
pub(super) fn of_pictures(metadata: &Metadata, pictures: &[Picture], asked: &Asked, asks: Ask<'_>) -> Result<Requests> {
    let request_of = |picture: &Picture, caller: usize| -> Result<Request> {
        let question = asks.manner.question(asked, Asking { caller, size: picture.size })?;
        let is_fresh = asks.state == EmbeddingState::Miss;
        let file = if is_fresh { picture.fresh.file() } else { &picture.file };
        // The last tensor, so that its place is known from the end.
        let mut tensors = told(metadata, &question)?;
        tensors.push(Tensor::bytes("image", &[file])?);
        let mut request = request(&tensors, Form::Binary)?;
        let at = request.body.len() - file.len();
        request.fresh = is_fresh.then(|| Place { picture: picture.fresh.clone(), at });
        Ok(request)
    };
    let of_picture = |picture: &Picture| (0..askers(asks.state)).map(|caller| request_of(picture, caller)).collect();
    Ok(Requests { path: path(asks.model), all: pictures.iter().map(of_picture).collect::<Result<_>>()? })
}

/// How a model is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) model: &'a str,
    pub(super) manner: Manner,
    pub(super) state: EmbeddingState,
}

fn told(metadata: &Metadata, question: &Question) -> Result<Vec<Tensor>> {
    Ok(match question {
        Question::Nothing => Vec::new(),
        Question::Words(words) => vec![Tensor::bytes("text", &words.iter().map(String::as_bytes).collect::<Vec<_>>())?],
        Question::Boxes(boxes) => vec![Tensor::floats("boxes", vec![boxes.len(), 4], boxes.as_flattened())],
        Question::Clicks(clicks) => {
            let labels = if metadata.input("point_labels").is_some() { "point_labels" } else { "labels" };
            let mut tensors = vec![
                Tensor::floats("points", vec![clicks.len(), 2], clicks.as_flattened()),
                Tensor::integers(labels, &vec![1; clicks.len()]),
            ];
            if metadata.input("point_objects").is_some() {
                tensors.push(Tensor::integers("point_objects", &(0..).take(clicks.len()).collect::<Vec<i64>>()));
            } else if clicks.len() > 1 {
                let error = Error::new(ErrorKind::InvalidOption, "--prompts").expecting("1: the model takes the clicks of one object");
                return Err(error.but_found(clicks.len()).with_help("several objects are --kind box"));
            }
            tensors
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_tensors_stand_behind_their_description() {
        let tensors = [Tensor::floats("a", vec![1, 2], &[1.0, -2.0]), Tensor::bytes("b", &[b"xyz"]).expect("short")];
        let request = request(&tensors, Form::Binary).expect("a request");
        let length: usize = request.headers[1].value.parse().expect("a length");
        let (head, data) = request.body.split_at(length);
        let head: Value = serde_json::from_slice(head).expect("JSON");
        let sizes = [&head["inputs"][0], &head["inputs"][1]].map(|input| input["parameters"]["binary_data_size"].as_u64());
        assert_eq!((sizes, &head["inputs"][0]["shape"]), ([Some(8), Some(7)], &json!([1, 2])));
        assert_eq!(data, [&1f32.to_le_bytes()[..], &(-2f32).to_le_bytes(), &3u32.to_le_bytes(), b"xyz"].concat());
    }

    #[test]
    fn without_the_extension_numbers_are_json() {
        let request = request(&[Tensor::integers("a", &[3, -4])], Form::Json).expect("a request");
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body, json!({"inputs": [{"name": "a", "datatype": "INT64", "shape": [2], "data": [3, -4]}]}));
        assert!(super::request(&[Tensor::bytes("b", &[b"x"]).expect("short")], Form::Json).is_err());
    }
}
