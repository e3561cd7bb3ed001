//! Requests of maskline's own interface.

use maskline::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::client::{Header, Message};
use super::oip::Ask;
use super::requests::{Asked, Asking, Manner, Picture, Place, Question, Request, Requests, askers};
use super::server::{Metadata, Server, said};
use crate::report::EmbeddingState;

/// Between the parts of a form: 120 bits that no picture has.
const BOUNDARY: &str = "maskline-bench-5b0c7e1f9a3d48268fd1c94e70ab36";

/// Path of a model's answers.
fn path(metadata: &Metadata, manner: Manner) -> &'static str {
    match manner {
        Manner::Prompts => "/v1/segment",
        Manner::Words => "/v1/detect",
        Manner::Nothing if metadata.gives("boxes") => "/v1/detect",
        Manner::Nothing => "/v1/classify",
    }
}

/// What a request says beside its picture.
fn told(model: &str, question: &Question) -> Value {
    let mut told = json!({"model": model});
    match question {
        Question::Nothing => {}
        Question::Words(words) => told["texts"] = json!(words),
        Question::Boxes(boxes) => told["prompts"] = boxes.iter().map(|edges| json!({"box": edges})).collect(),
        Question::Clicks(clicks) => told["prompts"] = clicks.iter().map(|[x, y]| json!({"points": [[x, y, 1]]})).collect(),
    }
    told
}

/// A form of two parts: what is asked, and the picture. It ends with the file and the last boundary.
fn form(told: &Value, file: &[u8]) -> Request {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"request\"\r\nContent-Type: application/json\r\n\r\n{told}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"picture\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    let headers = vec![Header { name: "content-type", value: format!("multipart/form-data; boundary={BOUNDARY}") }];
    Request { headers, body: [head.as_bytes(), file, end.as_bytes()].concat(), fresh: None }
}

/// Requests with the whole picture, always another one.
///
/// # Errors
/// `InvalidOption` for what a model cannot be asked.
fn whole(metadata: &Metadata, pictures: &[Picture], asked: &Asked, ask: Ask<'_>) -> Result<Requests> {
    let request_of = |picture: &Picture, caller: usize| -> Result<Request> {
        let question = ask.manner.question(asked, Asking { caller, size: picture.size })?;
        let file = picture.fresh.file();
        let mut request = form(&told(ask.model, &question), file);
        let end = BOUNDARY.len() + "\r\n----\r\n".len();
        let at = request.body.len() - end - file.len();
        request.fresh = Some(Place { picture: picture.fresh.clone(), at });
        Ok(request)
    };
    let of_picture = |picture: &Picture| (0..askers(ask.state)).map(|caller| request_of(picture, caller)).collect();
    Ok(Requests { path: path(metadata, ask.manner).into(), all: pictures.iter().map(of_picture).collect::<Result<_>>()? })
}

/// Sends a picture once, with the question of the first asker; gives what the server calls it.
fn uploaded(server: &Server, path: &str, request: &Request) -> Result<String> {
    let mut answer = Vec::new();
    let sent = server.client.post(Message { path, headers: &request.headers, body: &request.body }, &mut answer);
    let status = sent.map_err(|broken| Error::new(ErrorKind::Unavailable, format!("{path}: {}", broken.message)))?;
    let json: Value = serde_json::from_slice(&answer).unwrap_or_default();
    match (status, json["image"]["ref"].as_str()) {
        (200, Some(name)) => Ok(name.to_owned()),
        (200, None) => {
            let error = Error::new(ErrorKind::BadAnswer, format!("{}{path}", server.address.url()));
            Err(error.expecting("image.ref, by which a picture that was sent is asked about").but_found(said(&answer)))
        }
        _ => Err(Error::new(ErrorKind::Failed, format!("{}{path} answers {status}: {}", server.address.url(), said(&answer)))),
    }
}

/// Requests about pictures that are sent once, here, or in every call.
///
/// # Errors
/// `InvalidOption` for what a model cannot be asked; what the server says to a picture that it refuses.
pub(super) fn of_pictures(server: &Server, metadata: &Metadata, sent: Sent<'_>) -> Result<Requests> {
    let Sent { pictures, asked, ask } = sent;
    if ask.state == EmbeddingState::Miss {
        return whole(metadata, pictures, asked, ask);
    }
    let path = path(metadata, ask.manner);
    let of_picture = |picture: &Picture| -> Result<Vec<Request>> {
        let question = |caller| ask.manner.question(asked, Asking { caller, size: picture.size });
        let name = uploaded(server, path, &form(&told(ask.model, &question(0)?), &picture.file))?;
        let request_of = |caller| -> Result<Request> {
            let mut told = told(ask.model, &question(caller)?);
            told["image"] = json!({"ref": name});
            let headers = vec![Header { name: "content-type", value: "application/json".into() }];
            Ok(Request { headers, body: told.to_string().into_bytes(), fresh: None })
        };
        (0..askers(ask.state)).map(request_of).collect()
    };
    Ok(Requests { path: path.into(), all: pictures.iter().map(of_picture).collect::<Result<_>>()? })
}

/// Pictures, and what is asked about them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) pictures: &'a [Picture],
    pub(super) asked: &'a Asked,
    pub(super) ask: Ask<'a>,
}
