//! The counts of models as Triton's statistics tell them.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::Serialize;

use super::describe::{VERSION, Which};
use crate::app::App;
use crate::fault::Result;
use crate::models::{Named, Slot, part_names};
use crate::statistics::{Counts, Statistics, Timed};

/// The counts of a model, or of one of its networks.
#[derive(Debug, Serialize)]
pub(super) struct ModelCounts {
    pub(super) name: String,
    pub(super) version: &'static str,
    /// Milliseconds since 1970; 0 for never.
    pub(super) last_inference: u64,
    pub(super) inference_count: u64,
    pub(super) execution_count: u64,
    pub(super) inference_stats: Parts,
    /// Nothing is counted by the number of rows.
    batch_stats: [(); 0],
}

/// Where the time of requests went.
#[derive(Debug, Serialize)]
pub(super) struct Parts {
    pub(super) success: Count,
    pub(super) fail: Count,
    pub(super) queue: Count,
    pub(super) compute_input: Count,
    pub(super) compute_infer: Count,
    pub(super) compute_output: Count,
    pub(super) cache_hit: Count,
    pub(super) cache_miss: Count,
}

/// How often, and how long in all.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Count {
    pub(super) count: u64,
    pub(super) ns: u64,
}

impl From<Timed> for Count {
    fn from(timed: Timed) -> Self {
        Self { count: timed.count, ns: u64::try_from(timed.time.as_nanos()).unwrap_or(u64::MAX) }
    }
}

impl ModelCounts {
    fn new(name: String, statistics: &Statistics) -> Self {
        let Counts {
            success,
            fail,
            queue,
            compute_input,
            compute_infer,
            compute_output,
            cache_hit,
            cache_miss,
            inferences,
            executions,
            last,
        } = statistics.counts();
        let last = last.and_then(|last| last.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Self {
            name,
            version: VERSION,
            last_inference: u64::try_from(last.as_millis()).unwrap_or(u64::MAX),
            inference_count: inferences,
            // Runs that requests shared add up to whole ones.
            execution_count: executions.round() as u64,
            inference_stats: Parts {
                success: success.into(),
                fail: fail.into(),
                queue: queue.into(),
                compute_input: compute_input.into(),
                compute_infer: compute_infer.into(),
                compute_output: compute_output.into(),
                cache_hit: cache_hit.into(),
                cache_miss: cache_miss.into(),
            },
            batch_stats: [],
        }
    }
}

/// The counts of one model, or of all and their networks.
///
/// # Errors
/// `NotFound`.
pub(super) fn of(app: &App, which: Option<&Which>) -> Result<Vec<ModelCounts>> {
    let Some(which) = which else {
        return Ok(app.models.all().iter().flat_map(of_slot).collect());
    };
    let statistics = match which.find(app)? {
        Named::Whole(slot) => Arc::clone(&slot.statistics),
        // An account is opened only for a network that there is.
        Named::Part { slot, part } if slot.served().is_some() => slot.part_statistics(&part),
        Named::Part { .. } => Arc::default(),
    };
    Ok(vec![ModelCounts::new(which.model.clone(), &statistics)])
}

fn of_slot(slot: &Arc<Slot>) -> Vec<ModelCounts> {
    let parts = slot.served().map(|served| part_names(&served)).unwrap_or_default();
    let whole = ModelCounts::new(slot.name().to_owned(), &slot.statistics);
    let parts = parts.into_iter().map(|part| ModelCounts::new(format!("{}.{part}", slot.name()), &slot.part_statistics(&part)));
    std::iter::once(whole).chain(parts).collect()
}
