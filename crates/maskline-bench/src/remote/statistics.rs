//! A server's counts of a model, before and after: what it says that its requests took.

use std::ops::{AddAssign, Sub};

use serde_json::Value;

use super::server::Server;
use crate::report::Told;

/// How often, and how long in all, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Timed {
    count: f64,
    ns: f64,
}

/// The counts of all versions of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    success: Timed,
    fail: Timed,
    queue: Timed,
    input: Timed,
    infer: Timed,
    output: Timed,
    /// Requests whose picture's embedding was there.
    pub(super) cache_hits: f64,
    inferences: f64,
    executions: f64,
}

impl Counts {
    /// As the server has them now; `None` where it keeps none.
    pub(super) fn now(server: &Server, model: &str) -> Option<Self> {
        let mut body = Vec::new();
        let status = server.client.get(&format!("/v2/models/{model}/stats"), &mut body).ok()?;
        if status != 200 {
            return None;
        }
        Self::read(&serde_json::from_slice(&body).ok()?)
    }

    fn read(answer: &Value) -> Option<Self> {
        let mut counts = Self::default();
        for version in answer["model_stats"].as_array()? {
            let timed = |name: &str| {
                let part = &version["inference_stats"][name];
                Timed { count: part["count"].as_f64().unwrap_or(0.0), ns: part["ns"].as_f64().unwrap_or(0.0) }
            };
            counts += Self {
                success: timed("success"),
                fail: timed("fail"),
                queue: timed("queue"),
                input: timed("compute_input"),
                infer: timed("compute_infer"),
                output: timed("compute_output"),
                cache_hits: timed("cache_hit").count,
                inferences: version["inference_count"].as_f64().unwrap_or(0.0),
                executions: version["execution_count"].as_f64().unwrap_or(0.0),
            };
        }
        Some(counts)
    }

    /// Means per request that was answered; `None` where none was.
    pub(super) fn told(&self) -> Option<Told> {
        let requests = self.success.count;
        let mean_ms = |part: Timed| (part.ns / requests / 1e6).max(0.0);
        (requests > 0.0).then(|| Told {
            requests: requests as u64,
            failures: self.fail.count.max(0.0) as u64,
            queue_ms: mean_ms(self.queue),
            compute_input_ms: mean_ms(self.input),
            compute_infer_ms: mean_ms(self.infer),
            compute_output_ms: mean_ms(self.output),
            rows_per_run: (self.executions > 0.0).then(|| self.inferences / self.executions),
        })
    }
}

impl Sub for Timed {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { count: self.count - before.count, ns: self.ns - before.ns }
    }
}

impl AddAssign for Timed {
    fn add_assign(&mut self, more: Self) {
        self.count += more.count;
        self.ns += more.ns;
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            success: self.success - before.success,
            fail: self.fail - before.fail,
            queue: self.queue - before.queue,
            input: self.input - before.input,
            infer: self.infer - before.infer,
            output: self.output - before.output,
            cache_hits: self.cache_hits - before.cache_hits,
            inferences: self.inferences - before.inferences,
            executions: self.executions - before.executions,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.success += more.success;
        self.fail += more.fail;
        self.queue += more.queue;
        self.input += more.input;
        self.infer += more.infer;
        self.output += more.output;
        self.cache_hits += more.cache_hits;
        self.inferences += more.inferences;
        self.executions += more.executions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stats(count: u64, runs: u64) -> Value {
        let part = |ns: u64| json!({"count": count, "ns": count * ns});
        let parts = json!({
            "success": part(9_000_000), "fail": {"count": 3, "ns": 7}, "queue": part(1_000_000), "compute_input": part(2_000_000),
            "compute_infer": part(3_000_000), "compute_output": part(500_000), "cache_hit": part(0), "cache_miss": part(0),
        });
        json!({"model_stats": [{"name": "m", "version": "1", "inference_count": 2 * count, "execution_count": runs, "inference_stats": parts}]})
    }

    #[test]
    fn means_are_per_request_between_two_looks() {
        let read = |count, runs| Counts::read(&stats(count, runs)).expect("statistics");
        let mut sum = read(15, 10) - read(5, 5);
        sum += read(20, 20) - read(20, 20);
        let told = sum.told().expect("requests");
        assert_eq!((told.requests, told.failures, told.rows_per_run), (10, 0, Some(4.0)));
        assert_eq!((told.queue_ms, told.compute_input_ms, told.compute_infer_ms, told.compute_output_ms), (1.0, 2.0, 3.0, 0.5));
        assert_eq!(told.all_ms(), 6.5);
        assert_eq!((read(5, 5) - read(5, 5)).told(), None, "no requests have no mean");
        assert_eq!(Counts::read(&json!({"error": "no statistics"})), None);
    }
}
