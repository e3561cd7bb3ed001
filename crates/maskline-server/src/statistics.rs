//! What became of requests: for each model as Triton's statistics have it, and for Prometheus.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use maskline::{EmbeddingSource, Stage, Stages};

use crate::fault::{Fault, Reason};

/// How often, and how long in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) count: u64,
    pub(crate) time: Duration,
}

impl Timed {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.time += time;
    }
}

/// The counts of a model since it was named.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Requests that were answered, from their arrival to their answer.
    pub(crate) success: Timed,
    /// Requests that were not.
    pub(crate) fail: Timed,
    pub(crate) queue: Timed,
    /// Decoding and bringing into the network's form.
    pub(crate) compute_input: Timed,
    /// The networks.
    pub(crate) compute_infer: Timed,
    /// From the networks' output to the answer.
    pub(crate) compute_output: Timed,
    pub(crate) cache_hit: Timed,
    pub(crate) cache_miss: Timed,
    /// Rows (pictures, prompts, phrases) that were answered.
    pub(crate) inferences: u64,
    /// Runs of networks, as far as requests know: one that several shared counts for each with its share.
    pub(crate) executions: f64,
    pub(crate) last: Option<SystemTime>,
}

/// The account of a model, or of one of its networks.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    counts: Mutex<Counts>,
}

impl Statistics {
    /// The counts now.
    pub(crate) fn counts(&self) -> Counts {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the time of an answered request went, in Triton's parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) queue: Duration,
    pub(crate) input: Duration,
    pub(crate) infer: Duration,
    pub(crate) output: Duration,
    /// Rows of the request.
    pub(crate) rows: usize,
    /// Rows that ran together with its own, those of others counted too.
    pub(crate) together: usize,
    /// Whether the picture's embedding was there; `None` where none is needed.
    pub(crate) hit: Option<bool>,
}

impl Spent {
    /// From the stages of an answer with so many rows.
    pub(crate) fn of(stages: &Stages, rows: usize) -> Self {
        let mut spent = Self { rows, together: stages.rows_together().max(rows), ..Self::default() };
        for (stage, time) in stages.iter() {
            *match stage {
                Stage::Queue | Stage::Open => &mut spent.queue,
                Stage::Receive | Stage::Decode | Stage::Preprocess => &mut spent.input,
                Stage::Postprocess | Stage::Encode | Stage::Other => &mut spent.output,
                _ => &mut spent.infer,
            } += time;
        }
        spent.hit = stages.embedding().map(|source| source < EmbeddingSource::Waited);
        spent
    }
}

impl std::ops::AddAssign for Spent {
    /// Of a request about several pictures.
    fn add_assign(&mut self, more: Self) {
        self.queue += more.queue;
        self.input += more.input;
        self.infer += more.infer;
        self.output += more.output;
        self.rows += more.rows;
        self.together += more.together;
        self.hit = match (self.hit, more.hit) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        };
    }
}

/// What a request is about, for its account.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// The model's name; empty where there is none of that name, so that callers cannot make up names in the metrics.
    pub(crate) model: String,
    /// `http`, `grpc`, `rest` or `x-anylabeling`.
    pub(crate) protocol: &'static str,
    /// The account of the model, where there is one.
    pub(crate) statistics: Option<Arc<Statistics>>,
}

/// The account of one request, opened when it came. Closed by its end; dropped before, its caller has gone, and that is counted.
#[derive(Debug)]
pub(crate) struct Account {
    ask: Ask,
    began: Instant,
    is_closed: bool,
}

impl Account {
    pub(crate) fn open(ask: Ask) -> Self {
        Self { ask, began: Instant::now(), is_closed: false }
    }

    /// It turns out which model the request is about.
    pub(crate) fn names(&mut self, model: &str, statistics: &Arc<Statistics>) {
        self.ask = Ask { model: model.to_owned(), statistics: Some(Arc::clone(statistics)), ..self.ask.clone() };
    }

    /// The request is answered.
    pub(crate) fn succeed(mut self, spent: &Spent) {
        let took = self.began.elapsed();
        if let Some(statistics) = &self.ask.statistics {
            let mut counts = statistics.lock();
            counts.success.add(took);
            counts.queue.add(spent.queue);
            counts.compute_input.add(spent.input);
            counts.compute_infer.add(spent.infer);
            counts.compute_output.add(spent.output);
            match spent.hit {
                Some(true) => counts.cache_hit.add(took),
                Some(false) => counts.cache_miss.add(took),
                None => {}
            }
            counts.inferences += spent.rows.max(1) as u64;
            counts.executions += spent.rows.max(1) as f64 / spent.together.max(1) as f64;
            counts.last = Some(SystemTime::now());
        }
        let model = self.ask.model.clone();
        let parts = [("queue", spent.queue), ("input", spent.input), ("infer", spent.infer), ("output", spent.output)];
        let (span, milliseconds) = (tracing::Span::current(), |time: Duration| time.as_secs_f64() * 1e3);
        for (field, (_, time)) in ["queue_ms", "input_ms", "infer_ms", "output_ms"].into_iter().zip(parts) {
            span.record(field, milliseconds(time));
        }
        for (stage, time) in parts {
            metrics::histogram!("maskline_stage_seconds", "model" => model.clone(), "stage" => stage).record(time.as_secs_f64());
        }
        if spent.together > 0 {
            metrics::histogram!("maskline_rows_together", "model" => model.clone()).record(spent.together as f64);
        }
        if let Some(hit) = spent.hit {
            metrics::counter!("maskline_embedding_requests_total", "model" => model, "found" => if hit { "hit" } else { "miss" })
                .increment(1);
        }
        self.close("ok", took);
    }

    /// The request is not answered.
    pub(crate) fn fail(mut self, fault: &Fault) {
        self.count_failure();
        let took = self.began.elapsed();
        self.close(fault.reason.name(), took);
    }

    fn count_failure(&self) {
        if let Some(statistics) = &self.ask.statistics {
            statistics.lock().fail.add(self.began.elapsed());
        }
    }

    fn close(&mut self, outcome: &'static str, took: Duration) {
        self.is_closed = true;
        let span = tracing::Span::current();
        span.record("model", &self.ask.model).record("outcome", outcome);
        let Ask { model, protocol, .. } = &self.ask;
        metrics::counter!("maskline_requests_total", "model" => model.clone(), "protocol" => *protocol, "outcome" => outcome).increment(1);
        metrics::histogram!("maskline_request_seconds", "model" => model.clone(), "protocol" => *protocol).record(took.as_secs_f64());
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !self.is_closed {
            self.count_failure();
            let took = self.began.elapsed();
            self.close(Reason::Cancelled.name(), took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(statistics: &Arc<Statistics>) -> Account {
        Account::open(Ask { model: "m".into(), protocol: "rest", statistics: Some(Arc::clone(statistics)) })
    }

    #[test]
    fn every_request_is_counted_once_whatever_becomes_of_it() {
        let statistics = Arc::<Statistics>::default();
        account(&statistics).succeed(&Spent { rows: 2, together: 4, hit: Some(true), ..Spent::default() });
        account(&statistics).fail(&Fault::not_found("nothing"));
        drop(account(&statistics));
        let counts = statistics.counts();
        assert_eq!((counts.success.count, counts.fail.count, counts.cache_hit.count, counts.cache_miss.count), (1, 2, 1, 0));
        assert_eq!((counts.inferences, counts.executions), (2, 0.5));
        assert!(counts.last.is_some());
    }

    #[test]
    fn the_stages_of_an_answer_are_told_in_four_parts() {
        const MS: Duration = Duration::from_millis(1);
        let mut stages = Stages::default();
        for (stage, time) in
            [(Stage::Queue, 1), (Stage::Decode, 2), (Stage::Preprocess, 3), (Stage::ImageEncode, 4), (Stage::Postprocess, 5)]
        {
            stages.spend(stage, time * MS);
        }
        let spent = Spent::of(&stages, 1);
        assert_eq!([spent.queue, spent.input, spent.infer, spent.output], [MS, 5 * MS, 4 * MS, 5 * MS]);
        assert_eq!(spent.queue + spent.input + spent.infer + spent.output, stages.total());
    }
}
