//! A small server of the Open Inference Protocol on loopback, with faults on request.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The JSON before binary tensors, and the tensors.
    pub fn parts(&self) -> (Value, &[u8]) {
        let length = self.header("inference-header-content-length").map_or(self.body.len(), |length| length.parse().unwrap());
        let (head, data) = self.body.split_at(length);
        (serde_json::from_slice(head).unwrap_or_default(), data)
    }
}

pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string().into_bytes() }
    }
}

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct Manner {
    pub name: &'static str,
    pub extensions: Vec<&'static str>,
    /// What it has as `GET /v2/models/NAME` answers.
    pub models: Vec<(&'static str, Value)>,
    pub is_ready: bool,
    /// Each call takes so long.
    pub takes: Duration,
    /// Every so many calls one is refused, with this status.
    pub refuses: Option<(usize, u16)>,
    /// The call with this number holds everything up for so long.
    pub stalls: Option<(usize, Duration)>,
    pub key: Option<&'static str>,
}

/// A model that takes numbers.
pub fn tensors() -> Value {
    let port = |name: &str| json!({"name": name, "datatype": "FP32", "shape": [-1, 4]});
    json!({"name": "echo", "versions": ["1"], "platform": "test", "inputs": [port("x")], "outputs": [port("y")]})
}

/// A model that takes pictures and prompts.
pub fn segmenter() -> Value {
    let port = |name: &str, datatype: &str, shape: Value| json!({"name": name, "datatype": datatype, "shape": shape});
    json!({
        "name": "nano", "versions": ["1"], "platform": "maskline",
        "inputs": [
            port("image", "BYTES", json!([1])), port("points", "FP32", json!([-1, 2])), port("point_labels", "INT64", json!([-1])),
            port("point_objects", "INT64", json!([-1])), port("boxes", "FP32", json!([-1, 4])),
        ],
        "outputs": [port("masks", "BYTES", json!([-1]))],
    })
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            name: "test-server",
            extensions: vec!["binary_tensor_data", "statistics"],
            models: vec![("echo", tensors())],
            is_ready: true,
            takes: Duration::ZERO,
            refuses: None,
            stalls: None,
            key: None,
        }
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Seen {
    pub connections: AtomicUsize,
    /// Calls of models, refused ones too.
    pub calls: AtomicUsize,
    pub answered: AtomicUsize,
    pub refused: AtomicUsize,
    /// Calls of models, as they came: the first thousand.
    pub asked: Mutex<Vec<Asked>>,
    /// When calls of models came.
    pub times: Mutex<Vec<Instant>>,
    /// One at a time.
    busy: Mutex<()>,
}

/// A server that runs until the test ends.
pub struct Server {
    pub url: String,
    pub seen: Arc<Seen>,
}

impl Server {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let (manner, of_thread) = (Arc::new(manner), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                of_thread.connections.fetch_add(1, Ordering::SeqCst);
                let (manner, seen) = (Arc::clone(&manner), Arc::clone(&of_thread));
                std::thread::spawn(move || serve(&stream, |asked| answer(&manner, &seen, asked)));
            }
        });
        Self { url, seen }
    }

    /// When calls of models came so far.
    pub fn times(&self) -> Vec<Instant> {
        lock(&self.seen.times).clone()
    }

    /// The calls of models so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.seen.asked).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests of one connection, until it is closed.
fn serve(stream: &TcpStream, mut answer: impl FnMut(Asked) -> Reply) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(asked) = read(&mut reader) {
        let Reply { status, body } = answer(asked);
        let head = format!("HTTP/1.1 {status} So\r\ncontent-length: {}\r\n\r\n", body.len());
        if writer.write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut asked = Asked { method: words.next()?, path: words.next()?, ..Asked::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

fn answer(manner: &Manner, seen: &Seen, asked: Asked) -> Reply {
    let is_allowed = manner.key.is_none_or(|key| asked.header("authorization") == Some(&format!("Bearer {key}")));
    if !is_allowed {
        return Reply::json(401, &json!({"error": "a key is wanted"}));
    }
    let path = asked.path.clone();
    let models = || manner.models.iter();
    match path.as_str() {
        "/v2" => Reply::json(200, &json!({"name": manner.name, "version": "9.9", "extensions": manner.extensions})),
        "/v2/health/ready" if manner.is_ready => Reply::json(200, &json!({"ready": true})),
        "/v2/health/ready" => Reply::json(503, &json!({"ready": false})),
        "/v2/repository/index" => {
            let state = if manner.is_ready { "READY" } else { "LOADING" };
            let listed = models().map(|(name, _)| json!({"name": name, "version": "1", "state": state, "reason": "warming up"}));
            Reply::json(200, &listed.collect())
        }
        "/v1/segment" => call(manner, seen, asked),
        path if path.ends_with("/infer") => call(manner, seen, asked),
        path if path.ends_with("/stats") => statistics(seen),
        path => match models().find(|(name, _)| path.strip_prefix("/v2/models/") == Some(name)) {
            Some((_, metadata)) => Reply::json(200, metadata),
            None => Reply::json(404, &json!({"error": "nothing is here"})),
        },
    }
}

/// Of each request it says: 1 ms in the queue, 0.5, 2 and 0.25 ms in the parts of the network; four rows per run.
fn statistics(seen: &Seen) -> Reply {
    let (count, refused) = (seen.answered.load(Ordering::SeqCst), seen.refused.load(Ordering::SeqCst));
    let part = |us: usize| json!({"count": count, "ns": count * us * 1000});
    let parts = json!({
        "success": part(3750), "fail": {"count": refused, "ns": 0}, "queue": part(1000), "compute_input": part(500),
        "compute_infer": part(2000), "compute_output": part(250), "cache_hit": part(0), "cache_miss": part(0),
    });
    let version = json!({"version": "1", "inference_count": 4 * count, "execution_count": count, "inference_stats": parts});
    Reply::json(200, &json!({"model_stats": [version]}))
}

fn call(manner: &Manner, seen: &Seen, asked: Asked) -> Reply {
    let number = seen.calls.fetch_add(1, Ordering::SeqCst);
    let is_native = asked.path.starts_with("/v1/");
    lock(&seen.times).push(Instant::now());
    {
        let mut all = lock(&seen.asked);
        if all.len() < 1000 {
            all.push(asked);
        }
    }
    {
        // Whoever stalls holds everybody up.
        let _busy = lock(&seen.busy);
        if let Some((_, time)) = manner.stalls.filter(|(at, _)| *at == number) {
            std::thread::sleep(time);
        }
    }
    std::thread::sleep(manner.takes);
    if let Some((_, status)) = manner.refuses.filter(|(every, _)| number % every == every - 1) {
        seen.refused.fetch_add(1, Ordering::SeqCst);
        return Reply::json(status, &json!({"error": "too many wait"}));
    }
    seen.answered.fetch_add(1, Ordering::SeqCst);
    if is_native {
        return Reply::json(200, &json!({"model": "nano", "image": {"ref": "0123abcd", "width": 1, "height": 1}, "objects": []}));
    }
    let output = json!({"name": "y", "shape": [1, 1], "datatype": "FP32", "parameters": {"binary_data_size": 4}});
    let mut reply = Reply::json(200, &json!({"model_name": "echo", "outputs": [output]}));
    reply.body.extend([0; 4]);
    reply
}
