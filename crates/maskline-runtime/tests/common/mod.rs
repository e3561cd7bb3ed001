//! ONNX Runtime and a tiny model.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::sync::{Arc, LazyLock};

use maskline_runtime::{Job, Lane, LaneOptions, Library, LibraryOptions, ModelSource, Tensor, load};

pub static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| load(&LibraryOptions::from_env()).unwrap());

/// A protobuf field with a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut length = content.len();
    while length > 127 {
        bytes.push(length as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

const F32: u8 = 1;
const I64: u8 = 7;

/// An input or output; its sizes are numbers, or names of free ones.
struct Value {
    name: &'static str,
    element: u8,
    sizes: &'static [&'static str],
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        let size = |size: &&str| match size.parse::<u8>() {
            Ok(size) => field(1, &[0x08, size]),
            Err(_) => field(1, &field(2, size.as_bytes())),
        };
        let shape: Vec<u8> = self.sizes.iter().flat_map(size).collect();
        let tensor_type = [vec![0x08, self.element], field(2, &shape)].concat();
        [field(1, self.name.as_bytes()), field(2, &field(1, &tensor_type))].concat()
    }
}

/// A graph of one operator with one output `y`, written byte by byte.
fn model(operator: &str, operands: &[&str], values: &[Value]) -> Vec<u8> {
    let operands: Vec<u8> = operands.iter().flat_map(|name| field(1, name.as_bytes())).collect();
    let node = [operands, field(2, b"y"), field(4, operator.as_bytes())].concat();
    let ports = values.iter().flat_map(|value| field(if value.name == "y" { 12 } else { 11 }, &value.bytes()));
    let graph = [field(1, &node), field(2, b"tiny"), ports.collect()].concat();
    let opset = [field(1, b""), vec![0x10, 21]].concat();
    [vec![0x08, 10], field(7, &graph), field(8, &opset)].concat()
}

/// `y = x + x` for f32 [n, 3].
pub fn double() -> Vec<u8> {
    let port = |name| Value { name, element: F32, sizes: &["n", "3"] };
    model("Add", &["x", "x"], &[port("x"), port("y")])
}

/// `y = x + s` for f32 `x` [n, 3] and `s` [1, 3].
pub fn sum() -> Vec<u8> {
    let rows = |name| Value { name, element: F32, sizes: &["n", "3"] };
    model("Add", &["x", "s"], &[rows("x"), Value { name: "s", element: F32, sizes: &["1", "3"] }, rows("y")])
}

/// `y = table[x]` for i64 `x` [n] and f32 `table` [4, 2]: it fails where `x` is no row of the table.
pub fn look_up() -> Vec<u8> {
    let x = Value { name: "x", element: I64, sizes: &["n"] };
    let table = Value { name: "table", element: F32, sizes: &["4", "2"] };
    model("Gather", &["table", "x"], &[x, table, Value { name: "y", element: F32, sizes: &["n", "2"] }])
}

/// The different numbers of i64 `x` [n], in order, said to be as many.
pub fn unique() -> Vec<u8> {
    let port = |name| Value { name, element: I64, sizes: &["n"] };
    model("Unique", &["x"], &[port("x"), port("y")])
}

/// `y = x`, of an element type by its number in ONNX, and of these sizes.
pub fn identity(element: u8, sizes: &'static [&'static str]) -> Vec<u8> {
    let port = |name| Value { name, element, sizes };
    model("Identity", &["x"], &[port("x"), port("y")])
}

pub fn open_model(model: &[u8], options: &LaneOptions) -> Lane {
    Lane::open(&LIBRARY, ModelSource::Bytes(model), options).unwrap()
}

/// The threads of this process.
#[cfg(target_os = "linux")]
pub fn threads() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap()
}

/// Keeps a lane's thread in a reply until it is dropped, so that what comes meanwhile waits.
pub struct Hold {
    _release: std::sync::mpsc::Sender<()>,
}

impl Hold {
    pub fn new(lane: &Lane, job: Job) -> Self {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (tell, begun) = std::sync::mpsc::channel();
        let reply = move |outcome: maskline_runtime::Result<_>| {
            tell.send(outcome.map(drop)).unwrap();
            // Ends when the other side is dropped.
            let _ = released.recv();
        };
        lane.submit(job, reply).unwrap().detach();
        begun.recv().unwrap().unwrap();
        Self { _release: release }
    }
}

pub fn open(options: &LaneOptions) -> Lane {
    open_model(&double(), options)
}

pub fn input(rows: usize) -> Tensor {
    Tensor::new([rows, 3], (0..rows * 3).map(|i| i as f32).collect::<Vec<_>>()).unwrap()
}
