//! What the tests of this folder share.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::Response;
use http_body_util::BodyExt;
use maskline::{Error, ErrorKind, Result};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::models::Models;
use crate::pictures::Pictures;
use crate::video::Sessions;
use crate::{ModelSpec, Repository, ServerOptions};

struct NoModels;

impl Repository for NoModels {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn find(&self, name: &str) -> Result<ModelSpec> {
        Err(Error::new(ErrorKind::BadInput, format!("no model `{name}`")))
    }

    fn fetch(&self, name: &str, _: &mut dyn FnMut(String)) -> Result<()> {
        self.find(name).map(drop)
    }
}

/// A server's inside without models.
pub(super) fn app(options: ServerOptions) -> Arc<App> {
    let models = Arc::new(Models::new(Arc::new(NoModels), options.limits.queue, Sessions::new(options.video.clone())));
    let pictures = Pictures::new(&options.limits);
    Arc::new(App { models, pictures, options, ending: CancellationToken::new(), began: Instant::now() })
}

/// The body of an answer.
pub(super) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The body of an answer that is JSON.
pub(super) async fn json(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}
