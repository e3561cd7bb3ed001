//! One network of a model, asked with tensors.

use std::path::Path;
use std::sync::Arc;

use maskline_runtime::{Job, Lane, LaneOptions, Library, ModelSource, Outputs, Port, Ticket};

use crate::drivers::{Graph, Lanes};
use crate::{Concern, Degradation, Error, ErrorKind, LoadOptions, Result};

/// One network, asked with tensors: a part of a model ([`Model::part`](crate::Model::part)), or a plain ONNX graph
/// ([`Engine::graph`](crate::Engine::graph)). Cheap to clone; it outlives its `Model` value, with which it shares sessions and queue.
#[derive(Debug, Clone)]
pub struct Part {
    lanes: Arc<Lanes>,
}

impl Part {
    /// # Errors
    /// `BadInput` where a port is no tensor of numbers.
    pub(crate) fn of(lanes: Arc<Lanes>) -> Result<Self> {
        let part = Self { lanes };
        let ports = part.inputs().iter().map(|port| ("input", port)).chain(part.outputs().iter().map(|port| ("output", port)));
        match ports.into_iter().find(|(_, port)| port.element_type.is_none()) {
            Some((side, port)) => {
                let error = Error::new(ErrorKind::BadInput, format!("{side} `{}` of {}", port.name, part.name())).about(Concern::Model);
                let error = error.expecting("a tensor of numbers").but_found("text, a sequence or a map");
                Err(error.with_help("export the graph without that port: tokens and texts are made outside of it"))
            }
            None => Ok(part),
        }
    }

    /// A plain ONNX graph.
    pub(crate) fn of_file(library: &Arc<Library>, path: &Path, options: &LoadOptions) -> Result<Self> {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
        let lane_options = LaneOptions { name: Some(name.to_string()), ..options.lane() };
        Self::of(Arc::new(Graph { name: &name, file: ModelSource::File(path), lane_options, options }.open(library)?))
    }

    /// Name of the part: `image_encoder`; of a graph, the stem of its file.
    pub fn name(&self) -> &str {
        self.lanes.name()
    }

    /// What it takes, in order.
    pub fn inputs(&self) -> &[Port] {
        self.lanes.first().inputs()
    }

    /// What it gives, in order.
    pub fn outputs(&self) -> &[Port] {
        self.lanes.first().outputs()
    }

    /// Whether jobs of several callers can run together, row by row; see [`Lane::is_joinable`].
    pub fn is_joinable(&self) -> bool {
        self.lanes.first().is_joinable()
    }

    /// So many rows of several callers may run together from now on, but never more than [`LoadOptions::together`].
    pub fn set_max_rows(&self, rows: usize) {
        self.lanes.set_max_rows(rows);
    }

    /// Queues a job where the fewest wait. `reply` is called with the answer on a thread of the network, once, unless the ticket is dropped
    /// before the job began: it should only hand on, and never wait for this part.
    ///
    /// # Errors
    /// `BadInput` if the inputs are not those of the network, `Busy` if too many wait: then `reply` is not called. The answer is `Failed`
    /// where the network fails, `TimedOut` where the job's turn comes after its deadline.
    pub fn submit(&self, job: Job, reply: impl FnOnce(Result<Outputs>) + Send + 'static) -> Result<Ticket> {
        Ok(self.lanes.idlest().submit(job, |outcome| reply(outcome.map_err(Error::from)))?)
    }

    /// Runs the network once on zeros in each session that has not run yet, so that the first job is as fast as the others. Free sizes are
    /// 1; where the network does not take that, or its inputs are beyond all bounds, nothing is warmed.
    ///
    /// # Errors
    /// `Failed` where the network fails in sizes that it says itself.
    pub fn warm_up(&self) -> Result<()> {
        self.lanes.warm_up()
    }

    /// What really runs the network now, e.g. `cpu`; several are joined by `+`.
    pub fn provider(&self) -> String {
        joined(self.lanes.providers())
    }

    /// Whether the CPU stands in for the provider that was wished for.
    pub fn degraded(&self) -> Option<Degradation> {
        self.lanes.degraded()
    }

    /// Jobs that wait now.
    pub fn queued(&self) -> usize {
        self.lanes.iter().map(Lane::queued).sum()
    }
}

/// Names of providers without repetitions, as [`Part::provider`] tells them.
pub(crate) fn joined(names: Vec<String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct.join("+")
}
