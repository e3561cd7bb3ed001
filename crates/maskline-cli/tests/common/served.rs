//! `maskline serve` in a process of its own, and a client that writes bytes and reads bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Place;

/// Far longer than anything takes; only what hangs comes so far.
const PATIENCE: Duration = Duration::from_secs(240);

/// An answer of the server.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A server in a process of its own, which ends with the test.
pub struct Served {
    pub process: Child,
    http: String,
    lines: Receiver<String>,
    said: String,
}

impl Served {
    pub fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
        command.current_dir(place.folder.path()).envs(place.environment()).env_remove("MASKLINE_API_KEY");
        command.arg("serve").args(["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]).args(arguments);
        let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut served = Self { process, http: String::new(), lines, said: String::new() };
        let line = served.hear("listening: http://");
        let address = line.split("http://").nth(1).unwrap();
        served.http = address.split(',').next().unwrap().trim().to_owned();
        served
    }

    /// Waits for a line with these words.
    pub fn hear(&mut self, words: &str) -> String {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else { break };
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(words) {
                return line;
            }
        }
        panic!("`{words}` was not said: {}", self.said);
    }

    /// Status and body of an answer.
    pub fn ask(&self, head: &str, body: &[u8]) -> (u16, String) {
        let Answer { status, body, .. } = self.answer(head, body);
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// An answer as it came.
    pub fn answer(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: answer.split_off(end + 4) }
    }

    pub fn status(&self, path: &str) -> u16 {
        self.ask(&format!("GET {path} HTTP/1.1"), b"").0
    }

    /// Asks for the object in a box on the picture.
    pub fn segment(&self, place: &Place) -> (u16, Value) {
        let picture = std::fs::read(place.path("photo.png")).unwrap();
        let head = "POST /v1/segment?box=10,10,60,60 HTTP/1.1\r\ncontent-type: image/png";
        let (status, body) = self.ask(head, &picture);
        (status, serde_json::from_str(&body).unwrap())
    }

    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "{what}: {}", self.said);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn wait_ready(&self) {
        self.wait_until("ready", || self.status("/v2/health/ready") == 200);
    }

    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }

    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Where it has ended, there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
