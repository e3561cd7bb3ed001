//! Answers as a process gives them, to be compared.

use maskline::vision::mask::Rle;
use maskline::{Error, ErrorKind, Mask, Object, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    score: f32,
    #[serde(rename = "box")]
    bounds: [f32; 4],
    class_id: Option<usize>,
    segmentation: Option<RunLengths>,
}

#[derive(Deserialize)]
struct RunLengths {
    size: [usize; 2],
    counts: String,
}

/// The objects of an answer.
pub(super) fn objects(answer: &serde_json::Value) -> Result<Vec<Object>> {
    let broken = |error: String| Error::new(ErrorKind::Failed, format!("a process gave a broken answer: {error}"));
    let answers = Vec::<Answer>::deserialize(answer).map_err(|error| broken(error.to_string()))?;
    let object = |answer: Answer| {
        let mask = answer.segmentation.map(|run| Rle::from_coco_string(run.size, &run.counts).and_then(|rle| Mask::from_rle(&rle)));
        let mask = mask.transpose().map_err(|error| broken(error.to_string()))?;
        Ok(Object { score: answer.score, bounds: answer.bounds, class_id: answer.class_id, mask, ..Object::default() })
    };
    answers.into_iter().map(object).collect()
}
