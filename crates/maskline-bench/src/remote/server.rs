//! What a server says of itself and of a model, before anything is measured.

use maskline::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;

use super::address::{Address, Key};
use super::client::{Broken, Client, Header, Message};

/// A server that is there and ready.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) address: Address,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) extensions: Vec<String>,
}

/// A port of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) datatype: String,
    /// Sizes; -1 where they are free.
    pub(super) shape: Vec<i64>,
}

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) platform: Option<String>,
    pub(super) inputs: Vec<Port>,
    #[serde(default)]
    pub(super) outputs: Vec<Port>,
}

impl Metadata {
    pub(super) fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    pub(super) fn gives(&self, name: &str) -> bool {
        self.outputs.iter().any(|port| port.name == name)
    }

    /// Whether it takes pictures as files, not tensors.
    pub(super) fn takes_pictures(&self) -> bool {
        self.input("image").is_some_and(|port| port.datatype == "BYTES")
    }
}

/// State of a model that answers.
const READY: &str = "READY";

/// A model in the list of a server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl Listed {
    fn told(&self) -> String {
        let state = self.state.as_deref().unwrap_or("not loaded");
        let reason = self.reason.as_deref().filter(|reason| !reason.is_empty());
        format!("{} is {state}{}", self.name, reason.map_or_else(String::new, |reason| format!(" ({reason})")))
    }
}

impl Server {
    /// Asks who is there.
    ///
    /// # Errors
    /// `Unavailable` if nobody is, or nobody that speaks the protocol, or it is not ready.
    pub(super) fn find(address: &Address, key: Option<&Key>) -> Result<Self> {
        #[derive(Deserialize)]
        struct Who {
            name: String,
            #[serde(default)]
            version: String,
            #[serde(default)]
            extensions: Vec<String>,
        }
        let client = Client::new(address, key);
        let mut body = Vec::new();
        let status = client.get("/v2", &mut body).map_err(|broken| unreachable(address, &broken))?;
        let who: Option<Who> = (status == 200).then(|| serde_json::from_slice(&body).ok()).flatten();
        let Some(Who { name, version, extensions }) = who else {
            return Err(refused(status, &body).unwrap_or_else(|| stranger(address, status)));
        };
        let server = Self { client, address: address.clone(), name, version, extensions };
        server.check_ready()?;
        Ok(server)
    }

    /// Whether it keeps an extension of the protocol.
    pub(super) fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|own| own == extension)
    }

    fn check_ready(&self) -> Result<()> {
        let mut body = Vec::new();
        let status = self.client.get("/v2/health/ready", &mut body).map_err(|broken| unreachable(&self.address, &broken))?;
        let says_no = serde_json::from_slice::<Value>(&body).is_ok_and(|answer| answer["ready"] == false);
        if status == 200 && !says_no {
            return Ok(());
        }
        // Models without a state could be loaded: nobody waits for them.
        let is_late = |model: &&Listed| model.state.as_deref().is_some_and(|state| state != READY);
        let late: Vec<String> = self.list().iter().filter(is_late).map(Listed::told).collect();
        let states = if late.is_empty() { format!("its readiness is {status}") } else { late.join(", ") };
        let error = Error::new(ErrorKind::Unavailable, format!("the server at {} is not ready: {states}", self.address.url()));
        Err(error.with_help("wait until it is: a server that loads models is not what is to be measured"))
    }

    /// The models that it lists; none where it has no list.
    fn list(&self) -> Vec<Listed> {
        let headers = [Header { name: "content-type", value: "application/json".into() }];
        let mut body = Vec::new();
        match self.client.post(Message { path: "/v2/repository/index", headers: &headers, body: b"{}" }, &mut body) {
            Ok(200) => serde_json::from_slice(&body).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// State of a model as the server's list has it.
    pub(super) fn state(&self, model: &str) -> Option<String> {
        self.list().into_iter().find(|listed| listed.name == model)?.state
    }

    /// What the server's own interface tells of a model, where the server is maskline: its provider among other things.
    pub(super) fn described(&self, model: &str) -> Option<Value> {
        let mut body = Vec::new();
        let status = self.client.get(&format!("/v1/models/{model}"), &mut body).ok()?;
        (self.is_maskline() && status == 200).then(|| serde_json::from_slice(&body).ok()).flatten()
    }

    pub(super) fn is_maskline(&self) -> bool {
        self.name == "maskline"
    }

    /// What a model takes and gives.
    ///
    /// # Errors
    /// `BadInput` for a name that the server does not know; `Unavailable` for a model that is not ready, or an answer that is none.
    pub(super) fn metadata(&self, model: &str) -> Result<Metadata> {
        let mut body = Vec::new();
        let path = format!("/v2/models/{model}");
        let status = self.client.get(&path, &mut body).map_err(|broken| unreachable(&self.address, &broken))?;
        if status == 200 {
            return serde_json::from_slice(&body).map_err(|error| {
                let error = Error::new(ErrorKind::Unavailable, format!("what the server says of {model} is no metadata: {error}"));
                error.at_place(format!("{}{path}", self.address.url()))
            });
        }
        if let Some(error) = refused(status, &body) {
            return Err(error);
        }
        let list = self.list();
        if let Some(listed) = list.iter().find(|listed| listed.name == model) {
            return Err(Error::new(ErrorKind::Unavailable, format!("the server at {}: {}", self.address.url(), listed.told())));
        }
        let names: Vec<&str> = list.iter().filter(|listed| listed.state.is_some()).map(|listed| listed.name.as_str()).collect();
        let error = Error::new(ErrorKind::BadInput, format!("the server at {} has no model {model}", self.address.url()));
        Err(match names.as_slice() {
            [] => error.with_help(format!("it answers {status}, and lists no models: {}", said(&body))),
            names => error.with_help(format!("it has: {}", names.join(", "))),
        })
    }
}

fn unreachable(address: &Address, broken: &Broken) -> Error {
    let error = Error::new(ErrorKind::Unavailable, format!("no server answers at {}: {}", address.url(), broken.message));
    error.with_help("start one (maskline serve), or name another: --url")
}

/// Somebody else.
fn stranger(address: &Address, status: u16) -> Error {
    let message = format!("what is at {} does not speak the Open Inference Protocol", address.url());
    let error = Error::new(ErrorKind::Unavailable, message).expecting("a name and a version at /v2");
    error
        .but_found(format!("status {status}, and something else"))
        .with_help("name the HTTP port of the server, not that of gRPC or metrics")
}

/// An answer that asks for a key.
fn refused(status: u16, body: &[u8]) -> Option<Error> {
    let error = || Error::new(ErrorKind::Unavailable, format!("the server answers {status}: {}", said(body)));
    matches!(status, 401 | 403).then(|| error().with_help("its key is read from MASKLINE_API_KEY"))
}

/// What an answer that is an error says, in either of the forms that errors have.
pub(super) fn said(body: &[u8]) -> String {
    const MOST: usize = 300;
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = json["error"].as_str().or(json["detail"].as_str()).or(json["title"].as_str()).map(str::to_owned);
    let text = words.unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(MOST)]).into_owned());
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(MOST).collect();
    if text.is_empty() { "nothing".to_owned() } else { text }
}
