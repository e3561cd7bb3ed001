//! The tool's side: how it builds its requests, and what it does with the answers.

use std::net::SocketAddr;
use std::sync::LazyLock;

use maskline::ModelSource;
use maskline_server::ServerOptions;
use maskline_testing::{TinySam3, kept_folder};
use serde_json::{Map, Value, json};

use super::client::{Answer, Call};
use super::running::{Running, spec};

/// nano, a small SAM 3, a classifier and detectors with generated weights.
pub fn server() -> SocketAddr {
    static SHARED: LazyLock<Running> = LazyLock::new(|| {
        let folder = kept_folder(env!("CARGO_TARGET_TMPDIR"), env!("CARGO_CRATE_NAME"));
        let words = folder.join("sam3");
        TinySam3::new().write(&words);
        let generated = |name: &str| spec(name, ModelSource::Synthetic { architecture: name.into(), seed: 1 });
        let mut models = vec![spec("words", ModelSource::of_path(&words)), spec("nano", ModelSource::Nano)];
        models.extend(["yolov8n", "yolov8n-seg", "yolov8n-obb", "yolov8n-pose", "yolov8n-cls"].map(generated));
        Running::with_cache(&folder.join("cache"), ServerOptions { models, ..ServerOptions::default() })
    });
    SHARED.address
}

/// The tool, at a server's address and with a key, where it has one.
pub struct Tool {
    pub server: SocketAddr,
    pub token: &'static str,
}

impl Tool {
    pub fn new() -> Self {
        Self { server: server(), token: "" }
    }

    /// It appends paths to the address that it is given, and sends both headers with all requests.
    fn call(&self, method: &'static str, path: &str) -> Call {
        Call::new(method, &format!("/x-anylabeling{path}")).header("content-type", "application/json").header("token", self.token)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path).answer(self.server)
    }

    pub fn models(&self) -> Map<String, Value> {
        let answer = self.get("/v1/models").expect(200).json();
        assert_eq!(answer["success"], true);
        answer["data"].as_object().unwrap().clone()
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let mut call = self.call("POST", path);
        call = call.raw(body.to_string().into_bytes());
        call.answer(self.server)
    }

    /// `params` as its window fills them in, with what is said beside that.
    pub fn predict(&self, model: &str, more: Value) -> Answer {
        let mut params = json!({"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/predict", &json!({"model": model, "image": data_uri(), "params": params}))
    }

    /// What it draws: of each shape it reads label, type and points, and all else where it is there.
    pub fn shapes(&self, model: &str, more: Value) -> Vec<Value> {
        let answer = self.predict(model, more).expect(200).json();
        assert_eq!(answer["success"], true);
        let shapes = answer["data"]["shapes"].as_array().unwrap().clone();
        for shape in &shapes {
            assert!(shape["label"].is_string() && shape["shape_type"].is_string(), "{shape}");
            let points = shape["points"].as_array().unwrap();
            assert!(points.iter().all(|point| point[0].is_f64() && point[1].is_f64() && point.as_array().unwrap().len() == 2), "{shape}");
        }
        shapes
    }
}

/// The file of a picture as the tool sends it.
pub fn data_uri() -> String {
    use base64::Engine;
    let file = super::running::picture(80);
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(file))
}
