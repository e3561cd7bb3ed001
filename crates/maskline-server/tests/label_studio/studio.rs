//! A Label Studio of a few lines: it gives out pictures to whoever shows its token, and remembers who asked for what.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was asked: the first line and the headers, in small letters but for the line.
#[derive(Debug, Clone)]
pub struct Heard {
    pub line: String,
    pub authorization: Option<String>,
    pub body: String,
}

/// How a request is answered.
pub struct Reply {
    pub status: &'static str,
    pub location: Option<String>,
    pub body: Vec<u8>,
    /// Before the answer.
    pub pause: Duration,
}

impl Reply {
    pub fn file(body: Vec<u8>) -> Self {
        Self { status: "200 OK", location: None, body, pause: Duration::ZERO }
    }

    pub fn status(status: &'static str) -> Self {
        Self { status, location: None, body: Vec::new(), pause: Duration::ZERO }
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self { location: Some(to.into()), ..Self::status("302 Found") }
    }
}

pub struct Studio {
    pub port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Studio {
    pub fn start(answer: impl Fn(&Heard) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let (answer, told) = (Arc::new(answer), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, told) = (Arc::clone(&answer), Arc::clone(&told));
                std::thread::spawn(move || serve(stream, &*answer, &told));
            }
        });
        Self { port, heard }
    }

    /// One that gives any file out to a token.
    pub fn with_token(token: &'static str, file: Vec<u8>) -> Self {
        Self::start(move |heard| {
            let is_let_in = heard.authorization.as_deref() == Some(&format!("Token {token}"));
            if is_let_in { Reply::file(file.clone()) } else { Reply::status("401 Unauthorized") }
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.line).collect()
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Heard) -> Reply, told: &Mutex<Vec<Heard>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found = lines.iter().skip(1).filter_map(|line| line.split_once(": ")).find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let length: u64 = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body).unwrap();
    let line = lines.first().map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()).unwrap_or_default();
    let heard = Heard { line, authorization: header("authorization"), body };
    told.lock().unwrap().push(heard.clone());
    let Reply { status, location, body, pause } = answer(&heard);
    std::thread::sleep(pause);
    let location = location.map_or_else(String::new, |to| format!("location: {to}\r\n"));
    let head = format!("HTTP/1.1 {status}\r\n{location}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
