//! What a server says of the calls that were made to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of the calls of a server, and where it says that their time went.
///
/// Means are over all calls that were answered, warm-up too, as a server's counts know no warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSide {
    /// How many calls were not answered, by status (`503`) or by what broke (`timeout`, `connection`). They have no latency.
    pub unanswered: BTreeMap<String, usize>,
    /// From sending to the whole answer. A call that started late, as all connections were busy, has that wait in its latency and not
    /// in this.
    pub call_ms: f64,
    /// What the server says; `None` where it keeps no statistics.
    pub told: Option<Told>,
}

/// What a server says of its requests, in the Open Inference Protocol's parts: means per request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Requests that it answered meanwhile, those of others among them.
    pub requests: u64,
    /// Requests that it failed or refused meanwhile.
    pub failures: u64,
    /// Waiting for the model.
    pub queue_ms: f64,
    /// Decoding and bringing into the network's form.
    pub compute_input_ms: f64,
    /// The network.
    pub compute_infer_ms: f64,
    /// From the network's output to the answer.
    pub compute_output_ms: f64,
    /// Rows that ran together on average, over runs of the network; `None` where it does not count runs.
    pub rows_per_run: Option<f64>,
}

impl Told {
    /// All that the server accounts for.
    pub fn all_ms(&self) -> f64 {
        self.queue_ms + self.compute_input_ms + self.compute_infer_ms + self.compute_output_ms
    }
}

impl ServerSide {
    /// What the caller sees less what the server accounts for: the network, HTTP, reading and writing of messages.
    pub fn overhead_ms(&self) -> Option<f64> {
        self.told.map(|told| self.call_ms - told.all_ms())
    }

    /// The calls that were not answered, in words: `503 × 12, timeout × 1`; empty where all were.
    pub fn unanswered(&self) -> String {
        self.unanswered.iter().map(|(what, count)| format!("{what} × {count}")).collect::<Vec<_>>().join(", ")
    }
}
