//! A client that writes bytes and reads bytes, so that nothing is put right on the way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A problem document with this status.
    #[track_caller]
    pub fn problem(self, status: u16) -> Value {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        for field in ["type", "title", "detail", "kind", "message"] {
            assert!(problem[field].is_string(), "{field}: {problem}");
        }
        problem
    }
}

/// A request that is being written.
pub struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

pub fn get(path: &str) -> Call {
    Call::new("GET", path)
}

pub fn post(path: &str) -> Call {
    Call::new("POST", path)
}

impl Call {
    pub fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().into_bytes())
    }

    pub fn body(self, kind: &str, body: Vec<u8>) -> Self {
        Self { body, ..self.header("content-type", kind) }
    }

    /// A body whose kind is told already.
    #[allow(dead_code, reason = "other tests need the rest")]
    pub fn raw(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    pub fn form(self, form: Form) -> Self {
        let body = form.finish();
        self.body(&format!("multipart/form-data; boundary={BOUNDARY}"), body)
    }

    /// Sends it, and leaves the answer to whoever reads.
    pub fn sent(self, to: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(to).unwrap();
        // No test hangs for ever.
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || matches!(self.method, "POST" | "PUT") {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        stream.write_all((head + "\r\n").as_bytes()).unwrap();
        // A server that refuses need not read all of it.
        let _ = stream.write_all(&self.body);
        stream
    }

    pub fn answer(self, to: SocketAddr) -> Answer {
        let is_head = self.method == "HEAD";
        let mut bytes = Vec::new();
        self.sent(to).read_to_end(&mut bytes).unwrap();
        read(&bytes, is_head)
    }
}

fn read(bytes: &[u8], is_head: bool) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the head");
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).unwrap();
    let headers: Vec<(String, String)> = lines.map(header).collect();
    let rest = &bytes[end + 4..];
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if is_chunked && !is_head { unchunked(rest) } else { rest.to_vec() };
    Answer { status, headers, body }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
}

const BOUNDARY: &str = "a-line-that-no-picture-has";

/// A form.
#[derive(Default)]
pub struct Form(Vec<u8>);

impl Form {
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.0.extend(format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").into_bytes());
        self
    }

    pub fn file(mut self, name: &str, file: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"photo.png\"\r\ncontent-type: image/png\r\n\r\n"
        );
        self.0.extend(head.into_bytes());
        self.0.extend_from_slice(file);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
        self.0
    }
}
