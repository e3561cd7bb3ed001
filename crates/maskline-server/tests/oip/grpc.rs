//! gRPC: the same by the protocol's own client, streams, and health.

use bytes::Bytes;
use maskline_server::oip::grpc::proto;
use maskline_server::oip::grpc::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use maskline_server::oip::grpc::proto::infer_parameter::ParameterChoice;
use maskline_server::oip::grpc::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use maskline_server::oip::grpc::proto::{InferParameter, InferTensorContents, ModelInferRequest};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::codegen::tokio_stream::{self, StreamExt};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{TestServer, runtime, shared};
use crate::wire::floats;

async fn channel(server: &TestServer) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap()
}

pub(crate) async fn client(server: &TestServer) -> GrpcInferenceServiceClient<Channel> {
    let client = GrpcInferenceServiceClient::new(channel(server).await);
    client.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX)
}

fn input(name: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor { name: name.into(), datatype: "FP32".into(), shape: shape.to_vec(), ..InferInputTensor::default() }
}

/// Twice as much of `values`.
fn twice(id: &str, values: &[f32]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "twice_f32".into(),
        id: id.into(),
        inputs: vec![input("INPUT", &[1, values.len() as i64])],
        raw_input_contents: vec![floats(values).into()],
        ..ModelInferRequest::default()
    }
}

fn parameter(choice: ParameterChoice) -> InferParameter {
    InferParameter { parameter_choice: Some(choice) }
}

#[test]
fn the_server_and_its_models_are_described() {
    runtime().block_on(async {
        let mut client = client(shared()).await;
        assert!(client.server_live(proto::ServerLiveRequest {}).await.unwrap().get_ref().live);
        assert!(client.server_ready(proto::ServerReadyRequest {}).await.unwrap().get_ref().ready);
        let server = client.server_metadata(proto::ServerMetadataRequest {}).await.unwrap().into_inner();
        assert!(server.name == "maskline" && server.extensions.iter().any(|name| name == "statistics"), "{server:?}");
        let ask = |name: &str, version: &str| proto::ModelReadyRequest { name: name.into(), version: version.into() };
        for (name, version, is_ready) in [("add_sub", "", true), ("add_sub", "1", true), ("add_sub", "2", false), ("none", "", false)] {
            assert_eq!(client.model_ready(ask(name, version)).await.unwrap().get_ref().ready, is_ready, "{name} {version}");
        }
        let ask = |name: &str| proto::ModelMetadataRequest { name: name.into(), version: String::new() };
        let metadata = client.model_metadata(ask("add_sub")).await.unwrap().into_inner();
        assert_eq!((metadata.inputs[1].name.as_str(), metadata.inputs[1].shape.as_slice()), ("INPUT1", &[-1, 16][..]));
        assert_eq!(client.model_metadata(ask("none")).await.unwrap_err().code(), Code::NotFound);
        let ask = |name: &str| proto::ModelConfigRequest { name: name.into(), version: String::new() };
        let config = client.model_config(ask("add_sub")).await.unwrap().into_inner().config.unwrap();
        assert_eq!((config.max_batch_size, config.input[0].dims.as_slice(), config.input[0].data_type), (1024, &[16][..], 11));
        let config = client.model_config(ask("nano")).await.unwrap().into_inner().config.unwrap();
        assert_eq!((config.max_batch_size, config.input[0].data_type, config.input[0].optional), (0, 13, false));
        assert!(config.input[1].optional, "points may be left out");
    });
}

#[test]
fn tensors_come_raw_or_typed_and_are_answered_raw() {
    runtime().block_on(async {
        let mut client = client(shared()).await;
        let answer = client.model_infer(twice("7", &[1., 2.])).await.unwrap().into_inner();
        assert_eq!((answer.id.as_str(), answer.model_version.as_str(), answer.outputs[0].shape.as_slice()), ("7", "1", &[1, 2][..]));
        assert_eq!(answer.raw_output_contents, [floats(&[2., 4.])]);
        let mut typed = twice("", &[]);
        typed.raw_input_contents.clear();
        let contents = InferTensorContents { fp32_contents: vec![1., 2.], ..InferTensorContents::default() };
        typed.inputs = vec![InferInputTensor { contents: Some(contents), ..input("INPUT", &[1, 2]) }];
        typed.outputs = vec![InferRequestedOutputTensor { name: "OUTPUT".into(), ..InferRequestedOutputTensor::default() }];
        // As tritonclient sends them.
        typed.parameters.insert("priority".into(), parameter(ParameterChoice::Uint64Param(1)));
        typed.parameters.insert("timeout".into(), parameter(ParameterChoice::Int64Param(60_000_000)));
        let answer = client.model_infer(typed).await.unwrap().into_inner();
        assert_eq!(answer.raw_output_contents, [floats(&[2., 4.])]);
        assert!(answer.outputs[0].contents.is_none());
    });
}

#[test]
fn wrong_requests_have_codes_of_their_own() {
    let wrong = |change: fn(&mut ModelInferRequest)| {
        let mut request = twice("", &[1., 2.]);
        change(&mut request);
        request
    };
    let cases = [
        ("no such model", Code::NotFound, wrong(|request| request.model_name = "none".into())),
        ("no such version", Code::NotFound, wrong(|request| request.model_version = "2".into())),
        ("no input", Code::InvalidArgument, wrong(|request| (request.inputs, request.raw_input_contents) = (vec![], vec![]))),
        ("no data", Code::InvalidArgument, wrong(|request| request.raw_input_contents.clear())),
        ("short data", Code::InvalidArgument, wrong(|request| request.raw_input_contents = vec![Bytes::from_static(&[0; 7])])),
        ("a negative size", Code::InvalidArgument, wrong(|request| request.inputs[0].shape = vec![-1, -2])),
        ("an overflow", Code::InvalidArgument, wrong(|request| request.inputs[0].shape = vec![1 << 62, 4])),
        ("another type", Code::InvalidArgument, wrong(|request| request.inputs[0].datatype = "INT32".into())),
        ("another name", Code::InvalidArgument, wrong(|request| request.inputs[0].name = "X".into())),
    ];
    runtime().block_on(async {
        let mut client = client(shared()).await;
        for (what, code, request) in cases {
            let status = client.model_infer(request).await.expect_err(what);
            assert_eq!(status.code(), code, "{what}: {}", status.message());
        }
        let region = proto::SharedMemoryRegisterRequest { name: "a".into() };
        assert_eq!(client.system_shared_memory_register(region).await.unwrap_err().code(), Code::Unimplemented);
        assert!(client.system_shared_memory_status(proto::SharedMemoryStatusRequest::default()).await.is_ok());
    });
    shared().is_well();
}

#[test]
fn messages_of_20_megabytes_pass_packed_or_not() {
    let values: Vec<f32> = (0..5_000_000).map(|index| (index % 1000) as f32).collect();
    runtime().block_on(async {
        for packing in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Deflate)] {
            let mut client = client(shared()).await;
            if let Some(packing) = packing {
                client = client.send_compressed(packing);
            }
            let answer = client.model_infer(twice("", &values)).await.unwrap().into_inner();
            let expected: Vec<f32> = values.iter().map(|value| 2. * value).collect();
            assert!(answer.raw_output_contents == [floats(&expected)], "{packing:?}");
        }
    });
}

#[test]
fn a_stream_answers_each_request_once_and_outlives_wrong_ones() {
    runtime().block_on(async {
        let mut client = client(shared()).await;
        let mut requests: Vec<ModelInferRequest> = (0..32).map(|number| twice(&number.to_string(), &[number as f32])).collect();
        requests[7].model_name = "none".into();
        let wants = parameter(ParameterChoice::BoolParam(true));
        requests[8].parameters.insert("triton_enable_empty_final_response".into(), wants.clone());
        let mut answers = client.model_stream_infer(tokio_stream::iter(requests)).await.unwrap().into_inner();
        let mut seen = vec![false; 32];
        while let Some(answer) = answers.next().await {
            let answer = answer.unwrap();
            let response = answer.infer_response.unwrap();
            let number: usize = response.id.parse().unwrap();
            assert!(!std::mem::replace(&mut seen[number], true), "{number} twice");
            match number {
                7 => assert!(answer.error_message.contains("`none`"), "{}", answer.error_message),
                _ => {
                    assert_eq!(answer.error_message, "");
                    assert_eq!(response.raw_output_contents, [floats(&[2. * number as f32])]);
                }
            }
            assert_eq!(response.parameters.get("triton_final_response"), (number == 8).then_some(&wants), "{number}");
        }
        assert!(seen.iter().all(|seen| *seen), "{seen:?}");
    });
}

#[test]
fn health_is_told_of_the_server_and_of_each_model() {
    runtime().block_on(async {
        let mut client = HealthClient::new(channel(shared()).await);
        let ask = |service: &str| HealthCheckRequest { service: service.into() };
        for service in ["", "inference.GRPCInferenceService", "nano", "add_sub"] {
            assert_eq!(client.check(ask(service)).await.unwrap().into_inner().status, 1, "{service}");
        }
        assert_eq!(client.check(ask("none")).await.unwrap_err().code(), Code::NotFound);
        let mut told = client.watch(ask("nano")).await.unwrap().into_inner();
        assert_eq!(told.next().await.unwrap().unwrap().status, 1);
    });
}
