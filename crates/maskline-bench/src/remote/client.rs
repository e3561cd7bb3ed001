//! HTTP to a server: one connection for each caller, kept alive.

use std::io::Read;
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body};

use super::address::{Address, Key};

/// A server that takes longer for an answer has stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// Large messages pass in few steps.
const BUFFER: usize = 1 << 20;
/// Longer answers are none.
const LONGEST: u64 = 1 << 30;

/// Somebody who asks a server. His connection is his own.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    base: String,
    authorization: Option<String>,
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) path: &'a str,
    pub(super) headers: &'a [Header],
    pub(super) body: &'a [u8],
}

/// Why there is no answer at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// `timeout` or `connection`.
    pub(super) what: &'static str,
    pub(super) message: String,
}

impl Client {
    pub(super) fn new(address: &Address, key: Option<&Key>) -> Self {
        let config = Agent::config_builder()
            // What stands in the environment for browsing must not stand between a benchmark and its server.
            .proxy(None)
            .no_delay(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(PATIENCE))
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER)
            .max_idle_connections_per_host(1)
            .build();
        Self { agent: Agent::new_with_config(config), base: address.url().to_owned(), authorization: key.map(Key::header) }
    }

    /// Asks for what is at a path; the answer is read into `answer`. Gives its status.
    pub(super) fn get(&self, path: &str, answer: &mut Vec<u8>) -> Result<u16, Broken> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        read(request.call(), answer)
    }

    /// Sends a message; the answer is read into `answer`, whole. Gives its status.
    pub(super) fn post(&self, message: Message<'_>, answer: &mut Vec<u8>) -> Result<u16, Broken> {
        let mut request = self.agent.post(format!("{}{}", self.base, message.path));
        for Header { name, value } in message.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        read(request.send(message.body), answer)
    }
}

fn read(response: Result<Response<Body>, ureq::Error>, answer: &mut Vec<u8>) -> Result<u16, Broken> {
    answer.clear();
    let mut response = response.map_err(|error| broken(&error))?;
    let body = response.body_mut().as_reader().take(LONGEST).read_to_end(answer);
    body.map_err(|error| Broken { what: kind_of(&error), message: error.to_string() })?;
    Ok(response.status().as_u16())
}

fn broken(error: &ureq::Error) -> Broken {
    let what = match error {
        ureq::Error::Timeout(_) => "timeout",
        ureq::Error::Io(error) => kind_of(error),
        _ => "connection",
    };
    Broken { what, message: error.to_string() }
}

fn kind_of(error: &std::io::Error) -> &'static str {
    let is_late = matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock);
    if is_late { "timeout" } else { "connection" }
}
