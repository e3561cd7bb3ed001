//! How much arithmetic a graph is, read from its file.

mod expression;
mod facts;
mod infer;
mod own;
mod products;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost::Message;

use crate::proto::{GraphProto, ModelProto, NodeProto};
use crate::{Error, ErrorKind, Result};
use facts::{Facts, Operation};
use infer::Outcome;
use products::Cost;

/// Sizes of the unknown dimensions of a graph's inputs, by name.
pub type Sizes = BTreeMap<String, usize>;

/// The arithmetic of one run of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Floating-point operations in products (matrix products, convolutions, attention): a multiplication with its addition is two.
    ///
    /// Elementwise operators, normalisation, softmax, pooling, resizing and the addition of biases are not counted, as in the
    /// published figures of networks; nor are the savings of a runtime that computes a product in fewer operations (Winograd).
    pub flops: f64,
    /// Bytes of all constants, wherever they lie.
    pub weight_bytes: f64,
    /// [`Work::flops`] by operator, the largest first.
    pub by_operator: Vec<(String, f64)>,
    /// Operators that may hold products and are not counted: unknown ones, those of other graphs inside this one (`If`, `Loop`), and
    /// rare forms of attention and Einstein sums. Where there is one, [`Work::flops`] is a lower bound.
    pub uncounted: Vec<String>,
}

/// The graph of an ONNX file. Weights beside it are not read.
///
/// ```no_run
/// use maskline_onnx::{GraphFile, Sizes};
///
/// # fn main() -> Result<(), maskline_onnx::Error> {
/// let decoder = GraphFile::read("mask_decoder.onnx".as_ref())?;
/// assert_eq!(decoder.unknowns(), ["points", "prompts"]);
/// let work = decoder.work(&Sizes::from([("points".into(), 2), ("prompts".into(), 8)]))?;
/// println!("{:.1} GFLOP", work.flops / 1e9);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct GraphFile {
    graph: GraphProto,
    path: Option<PathBuf>,
}

impl GraphFile {
    /// Reads a file.
    ///
    /// # Errors
    /// `Io` if it cannot be read, `Format` if it is not an ONNX model.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, &e))?;
        let file = Self::parse(&bytes).map_err(|e| Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        Ok(Self { path: Some(path.to_path_buf()), ..file })
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// `Format` if it is not an ONNX model.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let not_onnx = |why: &str| Error::new(ErrorKind::Format, format!("not an ONNX model: {why}"));
        let model = ModelProto::decode(bytes).map_err(|e| not_onnx(&e.to_string()))?;
        Ok(Self { graph: model.graph.ok_or_else(|| not_onnx("it has no graph"))?, path: None })
    }

    /// The unknown dimensions of the inputs: names of the file (`batch`, `prompts`, `points`; `rows` and `columns` where a picture's
    /// sides are `32*rows` and `32*columns`), and `input[axis]` where it gives none.
    pub fn unknowns(&self) -> Vec<String> {
        let texts = self.inputs().flat_map(|info| facts::named_dimensions(info).unwrap_or_default());
        texts.flat_map(|text| expression::names(&text)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The sizes with which the inputs get these shapes; inputs may be left out.
    ///
    /// # Errors
    /// `Shape` if an input cannot have its shape, `Invalid` if there is no such input.
    pub fn sizes_for(&self, shapes: &[(&str, &[usize])]) -> Result<Sizes> {
        let mut sizes = Sizes::new();
        for (name, shape) in shapes {
            let Some(info) = self.inputs().find(|info| info.name == *name) else {
                let known: Vec<&str> = self.inputs().map(|info| info.name.as_str()).collect();
                return Err(self.fail(ErrorKind::Invalid, format!("it has no input `{name}`; there are {}", known.join(", "))));
            };
            let texts = facts::named_dimensions(info).unwrap_or_default();
            let misfit = || {
                let error = self.fail(ErrorKind::Shape, format!("input `{name}`"));
                error.expecting(format!("[{}]", texts.join(", "))).finding(format!("{shape:?}"))
            };
            if texts.len() != shape.len() {
                return Err(misfit());
            }
            for (text, size) in texts.iter().zip(*shape).filter(|(text, _)| !expression::names(text).is_empty()) {
                let (unknown, value) = expression::solve(text, *size).ok_or_else(misfit)?;
                if *sizes.entry(unknown).or_insert(value) != value {
                    return Err(misfit());
                }
            }
            if texts.iter().zip(*shape).any(|(text, size)| expression::evaluate(text, &sizes) != Some(*size)) {
                return Err(misfit());
            }
        }
        Ok(sizes)
    }

    /// Counts the operations of one run. Sizes of other names than [`GraphFile::unknowns`] are ignored.
    ///
    /// # Errors
    /// `Invalid` if the size of an unknown is missing; `Shape` if an operator of products reads a value whose shape neither the file
    /// says nor its operators tell: the message names the first such value.
    pub fn work(&self, sizes: &Sizes) -> Result<Work> {
        self.check_sizes(sizes)?;
        let mut facts = Facts::declared(&self.graph, sizes);
        let mut by_operator = BTreeMap::<&str, f64>::new();
        let mut uncounted = BTreeSet::new();
        for node in &self.graph.node {
            let outcome = facts.follow(node);
            match products::cost(&Operation { node, facts: &facts }) {
                Cost::Operations(operations) => *by_operator.entry(&node.op_type).or_default() += operations,
                Cost::Unknown => return Err(self.unknown_shape(node, &facts)),
                Cost::NoProducts if outcome != Outcome::NoRule => {}
                Cost::NoProducts | Cost::Uncounted => _ = uncounted.insert(full_name(node)),
            }
        }
        let mut by_operator: Vec<(String, f64)> = by_operator.into_iter().map(|(name, flops)| (name.to_string(), flops)).collect();
        by_operator.sort_by(|a, b| b.1.total_cmp(&a.1));
        let flops = by_operator.iter().map(|(_, flops)| flops).sum();
        Ok(Work { flops, weight_bytes: self.weight_bytes(), by_operator, uncounted: uncounted.into_iter().collect() })
    }

    /// Inputs that a caller feeds; old files list their weights among the inputs.
    fn inputs(&self) -> impl Iterator<Item = &crate::proto::ValueInfoProto> {
        let weights: BTreeSet<&str> = self.graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        self.graph.input.iter().filter(move |info| !weights.contains(info.name.as_str()))
    }

    fn check_sizes(&self, sizes: &Sizes) -> Result<()> {
        let missing: Vec<String> = self.unknowns().into_iter().filter(|name| !sizes.contains_key(name)).collect();
        match missing.as_slice() {
            [] => Ok(()),
            names => Err(self
                .fail(ErrorKind::Invalid, format!("expected a size for each unknown of the inputs, found none for {}", names.join(", ")))),
        }
    }

    fn unknown_shape(&self, node: &NodeProto, facts: &Facts<'_>) -> Error {
        let reason = facts.reason(node).unwrap_or_else(|| "its operands do not fit each other".into());
        self.fail(ErrorKind::Shape, format!("the operations of `{}` ({}) cannot be counted: {reason}", node.name, node.op_type))
    }

    fn weight_bytes(&self) -> f64 {
        let constants = self.graph.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.t.as_ref());
        let bytes = |tensor: &crate::proto::TensorProto| infer::count(&tensor.dims) * bytes_of(tensor.data_type);
        self.graph.initializer.iter().chain(constants).map(bytes).sum()
    }

    fn fail(&self, kind: ErrorKind, message: String) -> Error {
        match &self.path {
            Some(path) => Error::new(kind, format!("{}: {message}", path.display())),
            None => Error::new(kind, message),
        }
    }
}

fn full_name(node: &NodeProto) -> String {
    if node.domain.is_empty() { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) }
}

/// Bytes of an element by its number in `TensorProto.DataType`; text counts nothing.
fn bytes_of(code: i32) -> f64 {
    match code {
        7 | 11 | 13 | 14 => 8.0,
        15 => 16.0,
        1 | 6 | 12 => 4.0,
        4 | 5 | 10 | 16 => 2.0,
        2 | 3 | 9 | 17..=20 | 24 => 1.0,
        21..=23 => 0.5,
        _ => 0.0,
    }
}
