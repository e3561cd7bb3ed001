//! A server of this process, on ports of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use maskline::{Engine, EngineOptions, Error, ErrorKind, LoadOptions, ModelSource};
use maskline_onnx::{DType, Dialect, Dim, Graph};
use maskline_server::{Limits, ModelSpec, Parts, Repository, Server, ServerOptions, SpecSource, Stop, Times};
use tokio::runtime::Runtime;

use crate::wire::Connection;

/// What is waited for takes seconds; so long nothing takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct TestServer {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    stop: Stop,
    running: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

/// Models that can be loaded by their name: `spare`, a graph.
struct Spare(PathBuf);

impl Repository for Spare {
    fn names(&self) -> Vec<String> {
        vec!["spare".into()]
    }

    fn find(&self, name: &str) -> Result<ModelSpec, Error> {
        if name == "spare" { Ok(graph(name, &self.0)) } else { Err(Error::new(ErrorKind::BadInput, "no such model")) }
    }

    fn fetch(&self, _: &str, _: &mut dyn FnMut(String)) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Unavailable, "nothing is fetched"))
    }
}

fn graph(name: &str, path: &Path) -> ModelSpec {
    ModelSpec { name: name.into(), source: SpecSource::Graph(path.into()), needs: Vec::new(), load: LoadOptions::default() }
}

/// nano, by a name, loaded so.
pub(crate) fn nano(name: &str, load: LoadOptions) -> ModelSpec {
    ModelSpec { name: name.into(), source: SpecSource::One(ModelSource::Nano), needs: Vec::new(), load }
}

/// INPUT0 and INPUT1 [n, 16] to their sum and difference.
fn save_add_sub(path: &Path) {
    let mut g = Graph::new("add_sub", Dialect::Portable);
    let shape = || [Dim::symbol("n"), 16.into()];
    let a = g.input("INPUT0", DType::F32, shape()).unwrap();
    let b = g.input("INPUT1", DType::F32, shape()).unwrap();
    let (sum, difference) = (g.add(&a, &b).unwrap(), g.sub(&a, &b).unwrap());
    g.output("OUTPUT0", &sum).unwrap();
    g.output("OUTPUT1", &difference).unwrap();
    std::fs::write(path, g.finish().unwrap().to_bytes().unwrap()).unwrap();
}

/// INPUT [n, m] of a type to OUTPUT, which is twice as large.
fn save_twice(path: &Path, dtype: DType) {
    let mut g = Graph::new("twice", Dialect::Portable);
    let x = g.input("INPUT", dtype, [Dim::symbol("n"), Dim::symbol("m")]).unwrap();
    let twice = g.add(&x, &x).unwrap();
    g.output("OUTPUT", &twice).unwrap();
    std::fs::write(path, g.finish().unwrap().to_bytes().unwrap()).unwrap();
}

impl TestServer {
    /// With these models beside graphs: `add_sub`, `twice_f32`, `twice_f16`, `twice_i64`. Ready when this returns.
    pub(crate) fn start(models: Vec<ModelSpec>, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        save_add_sub(&path("add_sub.onnx"));
        let mut models = models;
        models.push(graph("add_sub", &path("add_sub.onnx")));
        for dtype in [DType::F32, DType::F16, DType::I64] {
            let name = format!("twice_{}", format!("{dtype:?}").to_lowercase());
            save_twice(&path(&name), dtype);
            models.push(graph(&name, &path(&name)));
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let times = Times { notice: Duration::ZERO, ..Times::default() };
        let options = ServerOptions { http: any, grpc: Some(any), models, limits, times, ..ServerOptions::default() };
        let parts = Parts { engine: Box::new(|| Engine::new(EngineOptions::default())), repository: Arc::new(Spare(path("add_sub.onnx"))) };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        // On a thread of its own: a test that asks for the shared server may run within another runtime.
        let opened = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(Server::open(options, parts))).join());
        let server = opened.unwrap().unwrap();
        let (http, grpc, stop) = (server.http().unwrap(), server.grpc().unwrap(), server.stop());
        let running = std::thread::spawn(move || runtime.block_on(server.run()).unwrap());
        let server = Self { http, grpc, stop, running: Some(running), _folder: folder };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        let since = Instant::now();
        while Connection::open(self.http).get("/v2/health/ready").status != 200 {
            assert!(since.elapsed() < LIMIT, "not ready in {LIMIT:?}");
            assert!(self.running.as_ref().is_some_and(|running| !running.is_finished()), "it ended");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.http)
    }

    /// Fails unless the server goes on answering.
    pub(crate) fn is_well(&self) {
        assert_eq!(self.connect().get("/v2/health/ready").status, 200);
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.close();
        if let Some(running) = self.running.take() {
            let ended = running.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the server failed");
        }
    }
}

/// The server that most tests ask: nano and the graphs.
pub(crate) fn shared() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(|| TestServer::start(vec![nano("nano", LoadOptions::default())], Limits::default()))
}

/// Where asynchronous clients run.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}
