//! `grpc.health.v1`: what it tells is looked up when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use super::super::describe::Which;
use crate::app::App;

/// How often watchers hear of changes.
const LOOKS: Duration = Duration::from_millis(500);
/// The name of the protocol's service.
const SERVICE: &str = "inference.GRPCInferenceService";

/// The health of the server (no name, or that of the protocol's service), and of each model by its name.
#[derive(Clone)]
pub(super) struct Health {
    app: Arc<App>,
}

impl Health {
    pub(super) fn new(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app) }
    }

    fn status(&self, name: &str) -> ServingStatus {
        let is_ready = if name.is_empty() || name == SERVICE { Ok(self.app.is_ready()) } else { Which::new(name, "").is_ready(&self.app) };
        match is_ready {
            Ok(true) => ServingStatus::Serving,
            Ok(false) => ServingStatus::NotServing,
            Err(_) => ServingStatus::ServiceUnknown,
        }
    }

    /// Tells of every change, the last one being that the server ends.
    async fn tell(self, name: String, watcher: mpsc::Sender<Result<HealthCheckResponse, Status>>) {
        let mut told = None;
        while !watcher.is_closed() {
            let status = self.status(&name);
            if told.replace(status) != Some(status) && watcher.send(Ok(HealthCheckResponse { status: status.into() })).await.is_err() {
                return;
            }
            if self.app.ending.is_cancelled() {
                return;
            }
            tokio::select! {
                () = watcher.closed() => return,
                () = self.app.ending.cancelled() => {}
                () = tokio::time::sleep(LOOKS) => {}
            }
        }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no such service or model")),
            status => Ok(Response::new(HealthCheckResponse { status: status.into() })),
        }
    }

    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, told) = mpsc::channel(1);
        tokio::spawn(self.clone().tell(request.into_inner().service, sender));
        Ok(Response::new(ReceiverStream::new(told)))
    }
}
