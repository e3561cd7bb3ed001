//! What models are, for tests of what they are asked.

use maskline::{ModelInfo, PartInfo, PartRole};
use serde_json::json;

/// A model that finds masks for words, and answers prompts.
pub(crate) fn both() -> ModelInfo {
    let clicks = json!({
        "grid": 72, "space": 1008, "masks": 4, "object_score": true, "high_resolution": true, "always_padded": true, "single": "first",
        "everything": {"predicted_iou": 0.8, "stability": 0.95, "points_per_side": 32, "cleans_logits": true},
        "prompt_logit_limit": null,
    });
    let head = json!({
        "grid": 72, "width": 256, "trunk_width": 1024, "queries": 200, "pooled": 7, "context": 32, "vocabulary": 49408,
        "tokenizer": "stand_in", "clicks": clicks,
    });
    let reads = PartInfo { name: "text_encoder".into(), role: PartRole::TextEncoder, eager: false };
    ModelInfo { parts: vec![reads], ..info("concepts", &json!({"concepts": head})) }
}

/// A model of a task, with an output of that kind.
pub(crate) fn info(task: &str, output: &serde_json::Value) -> ModelInfo {
    serde_json::from_value(json!({
        "family": "f", "architecture": "a", "task": task, "labels": [], "input": "image", "preprocess": "pyramid", "default_size": 1008,
        "fixed_size": [1008, 1008], "fixed_batch": null, "parts": [], "output": output,
    }))
    .expect("a model")
}
