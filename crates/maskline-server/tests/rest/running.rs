//! Servers of the tests: one that all share, and others for those that end theirs.

use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::Duration;

use image::{ExtendedColorType, ImageEncoder};
use maskline::{Engine, EngineOptions, Error, ErrorKind, LoadOptions, ModelSource};
use maskline_server::{Limits, ModelSpec, Parts, Repository, Server, ServerOptions, SpecSource, Stop};
use maskline_testing::{TinySam3, kept_folder};
use tempfile::TempDir;

use super::client::get;

/// Width and height of the picture that most tests ask about.
pub const SIZE: (u32, u32) = (97, 61);

/// A server that runs.
pub struct Running {
    pub address: SocketAddr,
    pub stop: Stop,
    ended: Option<JoinHandle<maskline::Result<()>>>,
    _folder: Option<TempDir>,
}

/// Models that are not there until somebody names them.
struct Shelf;

impl Repository for Shelf {
    fn names(&self) -> Vec<String> {
        vec!["another-nano".into()]
    }

    fn find(&self, name: &str) -> Result<ModelSpec, Error> {
        match name {
            "another-nano" => Ok(spec(name, ModelSource::Nano)),
            _ => Err(Error::new(ErrorKind::BadInput, format!("nothing is known of `{name}`"))),
        }
    }

    fn fetch(&self, name: &str, _: &mut dyn FnMut(String)) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Unavailable, format!("`{name}` cannot be fetched")))
    }
}

pub fn spec(name: &str, source: ModelSource) -> ModelSpec {
    let load = LoadOptions { together: Some(1), ..LoadOptions::default() };
    ModelSpec { name: name.into(), source: SpecSource::One(source), needs: Vec::new(), load }
}

impl Running {
    /// nano, a small SAM 3 (`words`) and a classifier with generated weights (`classes`).
    pub fn with_all() -> Self {
        let folder = kept_folder(env!("CARGO_TARGET_TMPDIR"), env!("CARGO_CRATE_NAME"));
        let words = folder.join("sam3");
        TinySam3::new().write(&words);
        let classes = ModelSource::Synthetic { architecture: "yolov8n-cls".into(), seed: 1 };
        let models = vec![spec("words", ModelSource::of_path(&words)), spec("nano", ModelSource::Nano), spec("classes", classes)];
        Self::with_cache(&folder.join("cache"), ServerOptions { models, ..ServerOptions::default() })
    }

    /// nano alone.
    pub fn with_nano(change: impl FnOnce(&mut ServerOptions)) -> Self {
        let mut options = ServerOptions { models: vec![spec("nano", ModelSource::Nano)], ..ServerOptions::default() };
        change(&mut options);
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        Self { _folder: Some(folder), ..Self::with_cache(&cache, options) }
    }

    /// With what other servers have built there.
    pub fn with_cache(cache: &Path, mut options: ServerOptions) -> Self {
        (options.http, options.grpc) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None);
        options.times.notice = Duration::ZERO;
        let cache = cache.to_owned();
        let engine = move || Engine::new(EngineOptions { cache, ..EngineOptions::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let parts = Parts { engine: Box::new(engine), repository: Arc::new(Shelf) };
        let server = runtime.block_on(Server::open(options, parts)).unwrap();
        let (address, stop) = (server.http().unwrap(), server.stop());
        let ended = std::thread::spawn(move || runtime.block_on(server.run()));
        let running = Self { address, stop, ended: Some(ended), _folder: None };
        running.wait_until_ready();
        running
    }

    fn wait_until_ready(&self) {
        for _ in 0..6000 {
            if get("/v2/health/ready").answer(self.address).status == 200 {
                return;
            }
            // With keys it tells nothing more.
            let server = get("/v1/server").answer(self.address);
            let is_failed = |model: &serde_json::Value| model["state"] == "failed";
            let has_failed = server.status == 200 && server.json()["models"].as_array().unwrap().iter().any(is_failed);
            assert!(!has_failed, "{}", String::from_utf8_lossy(&server.body));
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server is not ready after two minutes");
    }

    /// Waits for the end of a server that was told to end.
    pub fn end(mut self) -> maskline::Result<()> {
        self.ended.take().unwrap().join().unwrap()
    }
}

/// The server that tests share.
pub fn shared() -> SocketAddr {
    static SHARED: LazyLock<Running> = LazyLock::new(Running::with_all);
    SHARED.address
}

/// A picture of its own for each seed: a bright ellipse on uneven ground, as a PNG.
pub fn picture(seed: u8) -> Vec<u8> {
    picture_of(SIZE, seed)
}

pub fn picture_of(size: (u32, u32), seed: u8) -> Vec<u8> {
    let (width, height) = size;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| {
        let noise = ((x * 31 + y * 17 + u32::from(seed) * 7) % 23) as u8;
        if is_inside(size, [x, y]) { [220, 190 + noise, 60] } else { [40 + noise, 60, 90 + noise] }
    });
    png(size, &pixels.collect::<Vec<u8>>(), ExtendedColorType::Rgb8)
}

fn is_inside(size: (u32, u32), place: [u32; 2]) -> bool {
    let part = |place: u32, side: u32| (place as f32 / side as f32 - 0.5) * 2.0;
    let (dx, dy) = (part(place[0], size.0) / 0.5, part(place[1], size.1) / 0.5);
    dx * dx + dy * dy < 1.0
}

/// The ellipse as a mask: a grey PNG.
pub fn mask(size: (u32, u32)) -> Vec<u8> {
    let pixels = (0..size.1).flat_map(|y| (0..size.0).map(move |x| if is_inside(size, [x, y]) { 255 } else { 0 }));
    png(size, &pixels.collect::<Vec<u8>>(), ExtendedColorType::L8)
}

fn png(size: (u32, u32), pixels: &[u8], color: ExtendedColorType) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image::codecs::png::PngEncoder::new(&mut file).write_image(pixels, size.0, size.1, color).unwrap();
    file.into_inner()
}

/// A box around the ellipse.
pub const BOX: [f32; 4] = [20.0, 12.0, 77.0, 49.0];
pub const BOX_TEXT: &str = "20,12,77,49";

/// Limits that are soon reached.
pub fn small_limits() -> Limits {
    Limits { body: 40_000, pixels: 50_000, prompts: 4, ..Limits::default() }
}
