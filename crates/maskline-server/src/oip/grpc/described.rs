//! What a model takes, gives and has done, as messages.

use super::super::counts::{Count, ModelCounts, Parts};
use super::super::describe::{BACKEND, Signature, TensorSignature, VERSION};
use super::proto;
use super::proto::model_config::SchedulingChoice;
use super::proto::model_metadata_response::TensorMetadata;

/// Metadata.
pub(super) fn metadata(signature: Signature) -> proto::ModelMetadataResponse {
    let tensors = |tensors: Vec<TensorSignature>| {
        let told = |tensor: TensorSignature| TensorMetadata {
            shape: tensor.sizes(),
            datatype: tensor.datatype.name().to_owned(),
            name: tensor.name,
        };
        tensors.into_iter().map(told).collect()
    };
    proto::ModelMetadataResponse {
        name: signature.name,
        versions: vec![VERSION.to_owned()],
        platform: signature.platform.to_owned(),
        inputs: tensors(signature.inputs),
        outputs: tensors(signature.outputs),
    }
}

/// A configuration.
pub(super) fn config(signature: Signature) -> proto::ModelConfig {
    let Signature { name, platform, max_batch, inputs, outputs } = signature;
    let input = |tensor: TensorSignature| proto::ModelInput {
        data_type: tensor.datatype.config_number(),
        dims: tensor.dims(max_batch),
        optional: tensor.is_optional,
        name: tensor.name,
    };
    let output = |tensor: TensorSignature| proto::ModelOutput {
        data_type: tensor.datatype.config_number(),
        dims: tensor.dims(max_batch),
        name: tensor.name,
    };
    proto::ModelConfig {
        name,
        platform: platform.to_owned(),
        backend: BACKEND.to_owned(),
        max_batch_size: i32::try_from(max_batch).unwrap_or(i32::MAX),
        input: inputs.into_iter().map(input).collect(),
        output: outputs.into_iter().map(output).collect(),
        scheduling_choice: (max_batch > 0).then(|| SchedulingChoice::DynamicBatching(proto::ModelDynamicBatching::default())),
        model_transaction_policy: None,
    }
}

/// Counts.
pub(super) fn statistics(counts: ModelCounts) -> proto::ModelStatistics {
    let count = |Count { count, ns }: Count| Some(proto::StatisticDuration { count, ns });
    let Parts { success, fail, queue, compute_input, compute_infer, compute_output, cache_hit, cache_miss } = counts.inference_stats;
    proto::ModelStatistics {
        name: counts.name,
        version: counts.version.to_owned(),
        last_inference: counts.last_inference,
        inference_count: counts.inference_count,
        execution_count: counts.execution_count,
        inference_stats: Some(proto::InferStatistics {
            success: count(success),
            fail: count(fail),
            queue: count(queue),
            compute_input: count(compute_input),
            compute_infer: count(compute_infer),
            compute_output: count(compute_output),
            cache_hit: count(cache_hit),
            cache_miss: count(cache_miss),
        }),
        batch_stats: Vec::new(),
    }
}
