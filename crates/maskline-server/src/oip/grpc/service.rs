//! The protocol's service.

use std::sync::Arc;

use axum::Router;
use maskline::{Error, ErrorKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::codec::CompressionEncoding;
use tonic::codegen::tokio_stream::StreamExt;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::super::describe::Which;
use super::super::http::{Body, EXTENSIONS, no_shared_memory};
use super::super::infer::Arrived;
use super::super::message::Parameter;
use super::super::{counts, repository};
use super::health::Health;
use super::proto::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer};
use super::proto::{self, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};
use super::{answer, described};
use crate::app::App;
use crate::fault::{Fault, Result as Answered};

/// What a message has beside its tensors.
const HEAD: usize = 1 << 20;
/// Requests of one stream that are under way at a time; more wait to be read.
const OF_A_STREAM: usize = 64;

/// All of gRPC.
pub(crate) fn routes(app: &Arc<App>) -> Router {
    let service = GrpcInferenceServiceServer::new(Service { app: Arc::clone(app) })
        .max_decoding_message_size(app.limits().body.saturating_add(HEAD))
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate);
    let health = tonic_health::pb::health_server::HealthServer::new(Health::new(app));
    tonic::service::Routes::new(service).add_service(health).into_axum_router()
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        Self::new(fault.reason.grpc_code(), fault.line())
    }
}

/// The service.
struct Service {
    app: Arc<App>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    /// Loading reads no parameters but those that change nothing.
    fn check_parameters(parameters: &std::collections::HashMap<String, proto::ModelRepositoryParameter>) -> Answered<()> {
        match parameters.keys().find(|name| *name == "config" || name.starts_with("file:")) {
            None => Ok(()),
            Some(name) => {
                let error = Error::new(ErrorKind::InvalidOption, "models are loaded as the server was told");
                Err(error.at_place(format!("parameter `{name}`")).into())
            }
        }
    }
}

/// Answers one request.
async fn infer(app: &Arc<App>, message: ModelInferRequest) -> Answered<ModelInferResponse> {
    let which = Which::new(message.model_name.as_str(), message.model_version.as_str());
    let arrived = Arrived::new(app, which, "grpc");
    let mut room = None;
    let reading = async {
        let size: usize = message.raw_input_contents.iter().map(bytes::Bytes::len).sum();
        room = Some(app.pictures.room(size as u64).await?);
        Ok(Body::Request(Box::new(super::read(message)?)))
    };
    let told = arrived.answer(reading, |answer| Ok(super::write(answer))).await;
    drop(room);
    told
}

/// Answers one request of a stream. What goes wrong is an answer of its own: the stream goes on.
async fn infer_in_stream(app: &Arc<App>, message: ModelInferRequest) -> ModelStreamInferResponse {
    let wants_final = message.parameters.get("triton_enable_empty_final_response");
    let wants_final = wants_final.is_some_and(|wants| wants == &answer::parameter(Parameter::Bool(true)));
    let (id, model_name) = (message.id.clone(), message.model_name.clone());
    let (error_message, mut response) = match infer(app, message).await {
        Ok(response) => (String::new(), response),
        Err(fault) => (fault.line(), ModelInferResponse { id, model_name, ..ModelInferResponse::default() }),
    };
    if wants_final {
        // Every request has one answer, which is its last.
        response.parameters.insert("triton_final_response".into(), answer::parameter(Parameter::Bool(true)));
    }
    ModelStreamInferResponse { error_message, infer_response: Some(response) }
}

/// Answers the requests of a stream as they come and in the order in which they are ready, until it ends or nobody listens any more.
async fn stream(
    app: Arc<App>,
    mut messages: Streaming<ModelInferRequest>,
    answers: mpsc::Sender<Result<ModelStreamInferResponse, Status>>,
) {
    // Dropped with this, which calls off what is under way.
    let mut under_way = JoinSet::new();
    let closing = async {
        app.ending.cancelled().await;
        tokio::time::sleep(app.times().notice).await;
    };
    tokio::pin!(closing);
    loop {
        let has_room = under_way.len() < OF_A_STREAM;
        tokio::select! {
            () = answers.closed() => return,
            // What was accepted is answered, and nothing more is read: a stream that is left open would keep the server from ending.
            () = &mut closing => break,
            message = messages.next(), if has_room => match message {
                Some(Ok(message)) => {
                    let app = Arc::clone(&app);
                    under_way.spawn(async move { infer_in_stream(&app, message).await });
                }
                Some(Err(status)) => {
                    // Whoever has gone hears nothing.
                    let _ = answers.send(Err(status)).await;
                    return;
                }
                None => break,
            },
            Some(answer) = under_way.join_next(), if !under_way.is_empty() => send(&answers, answer).await,
        }
    }
    while let Some(answer) = under_way.join_next().await {
        send(&answers, answer).await;
    }
}

async fn send(
    answers: &mpsc::Sender<Result<ModelStreamInferResponse, Status>>,
    answer: Result<ModelStreamInferResponse, tokio::task::JoinError>,
) {
    let answer = answer.map_err(|_| Status::from(crate::app::panicked("answering")));
    // Whoever has gone is noticed by the caller.
    let _ = answers.send(answer).await;
}

#[tonic::async_trait]
impl GrpcInferenceService for Service {
    async fn server_live(&self, _: Request<proto::ServerLiveRequest>) -> Answer<proto::ServerLiveResponse> {
        Ok(Response::new(proto::ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<proto::ServerReadyRequest>) -> Answer<proto::ServerReadyResponse> {
        Ok(Response::new(proto::ServerReadyResponse { ready: self.app.is_ready() }))
    }

    async fn server_metadata(&self, _: Request<proto::ServerMetadataRequest>) -> Answer<proto::ServerMetadataResponse> {
        let extensions = EXTENSIONS.map(str::to_owned).to_vec();
        let (name, version) = ("maskline".into(), env!("CARGO_PKG_VERSION").into());
        Ok(Response::new(proto::ServerMetadataResponse { name, version, extensions }))
    }

    async fn model_ready(&self, request: Request<proto::ModelReadyRequest>) -> Answer<proto::ModelReadyResponse> {
        let proto::ModelReadyRequest { name, version } = request.into_inner();
        // Also of a model that there is not.
        let ready = Which::new(name, version).is_ready(&self.app).unwrap_or(false);
        Ok(Response::new(proto::ModelReadyResponse { ready }))
    }

    async fn model_metadata(&self, request: Request<proto::ModelMetadataRequest>) -> Answer<proto::ModelMetadataResponse> {
        let proto::ModelMetadataRequest { name, version } = request.into_inner();
        Ok(Response::new(described::metadata(Which::new(name, version).signature(&self.app).await?)))
    }

    async fn model_config(&self, request: Request<proto::ModelConfigRequest>) -> Answer<proto::ModelConfigResponse> {
        let proto::ModelConfigRequest { name, version } = request.into_inner();
        let config = described::config(Which::new(name, version).signature(&self.app).await?);
        Ok(Response::new(proto::ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(&self, request: Request<proto::ModelStatisticsRequest>) -> Answer<proto::ModelStatisticsResponse> {
        let proto::ModelStatisticsRequest { name, version } = request.into_inner();
        let which = (!name.is_empty()).then(|| Which::new(name, version));
        let model_stats = counts::of(&self.app, which.as_ref())?.into_iter().map(described::statistics).collect();
        Ok(Response::new(proto::ModelStatisticsResponse { model_stats }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Answer<ModelInferResponse> {
        Ok(Response::new(infer(&self.app, request.into_inner()).await?))
    }

    type ModelStreamInferStream = ReceiverStream<Result<ModelStreamInferResponse, Status>>;

    async fn model_stream_infer(&self, request: Request<Streaming<ModelInferRequest>>) -> Answer<Self::ModelStreamInferStream> {
        let (sender, answers) = mpsc::channel(1);
        tokio::spawn(stream(Arc::clone(&self.app), request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn repository_index(&self, request: Request<proto::RepositoryIndexRequest>) -> Answer<proto::RepositoryIndexResponse> {
        let entries = repository::index(&self.app, request.into_inner().ready);
        let model = |entry: repository::Entry| proto::repository_index_response::ModelIndex {
            name: entry.name,
            version: entry.version.unwrap_or_default().to_owned(),
            state: entry.state.unwrap_or_default().to_owned(),
            reason: entry.reason.unwrap_or_default(),
        };
        Ok(Response::new(proto::RepositoryIndexResponse { models: entries.into_iter().map(model).collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<proto::RepositoryModelLoadRequest>,
    ) -> Answer<proto::RepositoryModelLoadResponse> {
        let proto::RepositoryModelLoadRequest { model_name, parameters, .. } = request.into_inner();
        Self::check_parameters(&parameters)?;
        repository::load(&self.app, &model_name).await?;
        Ok(Response::new(proto::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<proto::RepositoryModelUnloadRequest>,
    ) -> Answer<proto::RepositoryModelUnloadResponse> {
        repository::unload(&self.app, &request.into_inner().model_name).await?;
        Ok(Response::new(proto::RepositoryModelUnloadResponse {}))
    }

    async fn system_shared_memory_status(&self, _: Request<proto::SharedMemoryStatusRequest>) -> Answer<proto::SharedMemoryStatusResponse> {
        Ok(Response::new(proto::SharedMemoryStatusResponse {}))
    }

    async fn system_shared_memory_register(
        &self,
        _: Request<proto::SharedMemoryRegisterRequest>,
    ) -> Answer<proto::SharedMemoryRegisterResponse> {
        Err(no_shared_memory().into())
    }

    async fn system_shared_memory_unregister(
        &self,
        _: Request<proto::SharedMemoryUnregisterRequest>,
    ) -> Answer<proto::SharedMemoryUnregisterResponse> {
        Ok(Response::new(proto::SharedMemoryUnregisterResponse {}))
    }

    async fn cuda_shared_memory_status(&self, _: Request<proto::SharedMemoryStatusRequest>) -> Answer<proto::SharedMemoryStatusResponse> {
        Ok(Response::new(proto::SharedMemoryStatusResponse {}))
    }

    async fn cuda_shared_memory_register(
        &self,
        _: Request<proto::SharedMemoryRegisterRequest>,
    ) -> Answer<proto::SharedMemoryRegisterResponse> {
        Err(no_shared_memory().into())
    }

    async fn cuda_shared_memory_unregister(
        &self,
        _: Request<proto::SharedMemoryUnregisterRequest>,
    ) -> Answer<proto::SharedMemoryUnregisterResponse> {
        Ok(Response::new(proto::SharedMemoryUnregisterResponse {}))
    }
}
