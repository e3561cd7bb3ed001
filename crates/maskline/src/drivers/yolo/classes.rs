//! A classifier's answer.

use maskline_models::ModelInfo;

use crate::drivers::NOT_FINITE;
use crate::{ClassScore, Error, ErrorKind, Result};

/// The `top` most probable classes, the best first.
pub(super) fn best_classes(probabilities: &[f32], top: usize, info: &ModelInfo) -> Result<Vec<ClassScore>> {
    if let Some(bad) = probabilities.iter().find(|p| !p.is_finite()) {
        let message = format!("the network's answer is not finite: a class probability is {bad}");
        return Err(Error::new(ErrorKind::BadAnswer, message).with_help(NOT_FINITE));
    }
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
    let score = |class_id: usize| ClassScore { class_id, label: info.labels.get(class_id).cloned(), score: probabilities[class_id] };
    Ok(order.into_iter().take(top).map(score).collect())
}
