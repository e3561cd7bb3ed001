//! A small SAM 2.1 with generated weights, a clip of a disc that moves, and what tests do with them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use image::{ExtendedColorType, ImageEncoder};
use maskline::vision::decode::DecodeOptions;
use maskline::{Engine, EngineOptions, Image, LoadOptions, Model, ModelSource, Tracked};
use maskline_server::{ModelSpec, ServerOptions};
use maskline_testing::kept_folder;
use serde_json::{Value, json};

use super::client::{Answer, Call, get, post};
use super::running::{Running, spec};

/// Width and height of the clip.
pub const SIZE: (u32, u32) = (96, 64);

/// Side of the network's input.
const SIDE: usize = 64;

pub fn source() -> ModelSource {
    ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 1 }
}

fn load() -> LoadOptions {
    let mut load = spec("", ModelSource::Nano).load;
    load.bundle.image_size = Some(SIDE);
    load
}

pub fn film() -> ModelSpec {
    ModelSpec { load: load(), ..spec("film", source()) }
}

/// Where the built model lies, for all servers of these tests.
fn cache() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| kept_folder(env!("CARGO_TARGET_TMPDIR"), env!("CARGO_CRATE_NAME")));
    BUILT.clone()
}

/// The server that tests share: the model, and nano, which remembers nothing.
pub fn shared() -> SocketAddr {
    static SHARED: LazyLock<Running> = LazyLock::new(|| server(|_| {}));
    SHARED.address
}

pub fn server(change: impl FnOnce(&mut ServerOptions)) -> Running {
    let mut options = ServerOptions { models: vec![film(), spec("nano", ModelSource::Nano)], ..ServerOptions::default() };
    options.video.sessions = 200;
    change(&mut options);
    Running::with_cache(&cache(), options)
}

/// The model itself.
pub fn model() -> Model {
    static MODEL: LazyLock<Model> = LazyLock::new(|| {
        let engine = Engine::new(EngineOptions { cache: cache(), ..EngineOptions::default() }).unwrap();
        engine.load(source(), &load()).unwrap()
    });
    MODEL.clone()
}

/// The file of a frame: a disc on uneven ground, which moves from left to right.
pub fn frame(number: usize) -> Vec<u8> {
    frame_of(SIZE, number)
}

pub fn frame_of(size: (u32, u32), number: usize) -> Vec<u8> {
    let center = [20.0 + 6.0 * number as f32, 30.0];
    let pixels = (0..size.1).flat_map(|y| (0..size.0).map(move |x| (x, y))).flat_map(|(x, y)| {
        let noise = ((x * 31 + y * 17) % 23) as u8;
        let distance = (x as f32 - center[0]).hypot(y as f32 - center[1]);
        if distance < 12.0 { [220, 190 + noise, 60] } else { [40 + noise, 60, 90 + noise] }
    });
    let mut file = std::io::Cursor::new(Vec::new());
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    encoder.write_image(&pixels.collect::<Vec<u8>>(), size.0, size.1, ExtendedColorType::Rgb8).unwrap();
    file.into_inner()
}

/// A frame as the library takes it.
pub fn image(number: usize) -> Image {
    Image::from_bytes(&frame(number), &DecodeOptions::default()).unwrap()
}

pub fn delete(path: &str) -> Call {
    Call::new("DELETE", path)
}

/// A session, which its drop closes.
pub struct Session {
    pub to: SocketAddr,
    pub id: String,
}

impl Session {
    pub fn open(to: SocketAddr, options: &Value) -> Self {
        let opened = post("/v1/video").json(options).answer(to).expect(201);
        let state = opened.json();
        let id = state["id"].as_str().unwrap().to_owned();
        assert_eq!(opened.header("location"), Some(format!("/v1/video/{id}").as_str()));
        Self { to, id }
    }

    pub fn new(to: SocketAddr) -> Self {
        Self::open(to, &json!({"model": "film"}))
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/v1/video/{}{rest}", self.id)
    }

    pub fn state(&self) -> Value {
        get(&self.path("")).answer(self.to).expect(200).json()
    }

    /// Gives a frame of the clip; `query` with its question mark.
    pub fn give(&self, number: usize, query: &str) -> Answer {
        self.give_file(frame(number), query)
    }

    pub fn give_file(&self, file: Vec<u8>, query: &str) -> Answer {
        post(&self.path(&format!("/frames{query}"))).body("image/png", file).answer(self.to)
    }

    pub fn say(&self, said: &Value) -> Answer {
        post(&self.path("/objects")).json(said).answer(self.to)
    }

    pub fn forget(&self, rest: &str) -> Answer {
        delete(&self.path(rest)).answer(self.to)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its server may have ended.
        if std::net::TcpStream::connect(self.to).is_ok() {
            let _ = delete(&self.path("")).answer(self.to);
        }
    }
}

/// The objects of an answer; times and the session's name are of no account.
#[track_caller]
pub fn objects(answer: Answer) -> Value {
    let answer = answer.expect(200).json();
    assert!(answer["timings_ms"]["total"].is_number() && answer["session"].is_string(), "{answer}");
    answer["objects"].clone()
}

/// What the library answered, as the server tells it.
pub fn told(tracked: &Tracked) -> Value {
    let told = tracked.objects.iter().map(|object| {
        let mut value = json!(object.object().unwrap());
        value["id"] = json!(object.id);
        value["iou"] = json!((f64::from(object.iou) * 1e5).round() / 1e5);
        value["prompted"] = json!(object.is_prompted);
        if object.mask().unwrap().is_empty() {
            value.as_object_mut().unwrap().remove("box");
        }
        value
    });
    told.collect()
}
