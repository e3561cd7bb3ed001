//! A client of HTTP that sends what it is told, right or wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::server::LIMIT;

/// One connection; requests follow each other on it.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A POST, which `Connection::send` sends.
#[derive(Default, Clone)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Post {
    /// Of JSON.
    pub(crate) fn json(path: &str, json: &Value) -> Self {
        let headers = vec![("Content-Type", "application/json".into())];
        Self { path: path.into(), headers, body: json.to_string().into_bytes() }
    }

    /// Of JSON to a model, with tensors behind it.
    pub(crate) fn infer(model: &str, json: &Value, tensors: &[&[u8]]) -> Self {
        let json = json.to_string().into_bytes();
        let headers = vec![("Inference-Header-Content-Length", json.len().to_string())];
        Self { path: format!("/v2/models/{model}/infer"), headers, body: [json, tensors.concat()].concat() }
    }

    /// With another length of the JSON.
    pub(crate) fn with_length(mut self, length: &str) -> Self {
        self.headers = vec![("Inference-Header-Content-Length", length.into())];
        self
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.request("GET", &Post { path: path.into(), ..Post::default() })
    }

    pub(crate) fn send(&mut self, post: &Post) -> Reply {
        self.request("POST", post)
    }

    pub(crate) fn request(&mut self, method: &str, post: &Post) -> Reply {
        self.write(method, post);
        self.read()
    }

    /// Sends a request, and does not wait for the answer.
    pub(crate) fn write(&mut self, method: &str, post: &Post) {
        let Post { path, headers, body } = post;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        self.write_raw(&[head.as_bytes(), b"\r\n", body].concat());
    }

    pub(crate) fn write_raw(&mut self, message: &[u8]) {
        self.stream.get_mut().write_all(message).unwrap();
    }

    pub(crate) fn read(&mut self) -> Reply {
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let first = line();
        let status = first.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {first:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            match line() {
                end if end.is_empty() => break,
                header => {
                    let (name, value) = header.split_once(':').unwrap();
                    headers.push((name.to_lowercase(), value.trim().to_owned()));
                }
            }
        }
        let reply = Reply { status, headers, body: Vec::new() };
        // Answers from memory always tell how long they are.
        let length: usize = reply.header("content-length").unwrap_or("0").parse().unwrap();
        assert!(reply.header("transfer-encoding").is_none(), "{:?}", reply.headers);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        Reply { body, ..reply }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The JSON, without the tensors behind it.
    pub(crate) fn json(&self) -> Value {
        let length = self.header("inference-header-content-length").map_or(self.body.len(), |length| length.parse().unwrap());
        serde_json::from_slice(&self.body[..length]).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of an answer that must be one.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The bytes of an output that travels as bytes.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let json = self.ok();
        let length: usize = self.header("inference-header-content-length").unwrap().parse().unwrap();
        let mut at = length;
        for output in json["outputs"].as_array().unwrap() {
            let Some(size) = output["parameters"]["binary_data_size"].as_u64() else { continue };
            if output["name"] == name {
                return self.body[at..at + size as usize].to_vec();
            }
            at += size as usize;
        }
        panic!("no bytes of {name}: {json}");
    }

    /// What the error says; clients look it up in any answer that is none.
    pub(crate) fn error(&self) -> String {
        assert!(self.status >= 400, "{self:?}");
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }
}

/// f32 in little-endian.
pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
