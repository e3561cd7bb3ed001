//! Eight-bit integers: products and convolutions on quantised numbers, as pairs of QuantizeLinear and DequantizeLinear around operators that
//! stay what they are. Runtimes with kernels for it fuse them; others compute the same numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::rewriting::Rewriting;
use crate::graph::{Node, Op};
use crate::model::node_names;
use crate::{Constant, DType, Dim, Graph, Model, Result, Shape, Value};

/// Outputs of [`Model::observed`] are called so, and then as the tensor that they tell of.
pub const SEEN: &str = "seen/";

/// Fewer weights are not worth it.
const SMALLEST_WEIGHT: usize = 1024;
/// About so many numbers of a tensor are told, beside the least and the largest.
const SAMPLES: f64 = 4096.0;
/// What rows or columns that are not known are taken for where samples are chosen.
const UNKNOWN: usize = 32;
/// Steps of an activation.
const LEVELS: f32 = 255.0;

/// From where to where a tensor's numbers go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The least.
    pub low: f32,
    /// The largest.
    pub high: f32,
}

/// How a model is quantised.
#[derive(Debug, Clone, Copy)]
pub struct IntegerOptions<'a> {
    /// Of each tensor that [`Model::observed`] tells of, by its name. Operators whose tensors are not in it stay f32.
    pub ranges: &'a BTreeMap<String, Range>,
    /// Bits of a weight: 8, or 7 for processors whose products of bytes are summed in pairs of 16 bits, which 8 would overflow (AVX2 and
    /// AVX-512 without VNNI).
    pub weight_bits: u32,
}

impl<'w> Model<'w> {
    /// The same model with a further output for every tensor that quantising asks about: its least number, its largest, and a sample of
    /// those between, f32 [2 + samples].
    ///
    /// # Errors
    /// As operators of a [`Graph`].
    pub fn observed(self) -> Result<Self> {
        let names = names_of_tensors(&self.graph);
        let tensors = Sites::of(&self.graph).tensors();
        let (mut rewriting, nodes) = Rewriting::of(self.graph, false)?;
        for node in nodes {
            rewriting.copy(node)?;
        }
        for id in tensors {
            let (value, name) = (rewriting.value(id, DType::F32)?, format!("{SEEN}{}", names[&id]));
            let seen = seen(rewriting.graph(), &value, id)?;
            rewriting.graph().output(&name, &seen)?;
        }
        rewriting.finish()
    }

    /// The same model on integers: weights i8, symmetric, with a scale for each output channel; what comes in, and out of a convolution, u8
    /// with one scale for the whole tensor.
    ///
    /// # Errors
    /// As operators of a [`Graph`].
    pub fn in_integers(self, options: &IntegerOptions<'_>) -> Result<Self> {
        let names = names_of_tensors(&self.graph);
        let sites = Sites::of(&self.graph);
        let range = |id: usize| options.ranges.get(&names[&id]).and_then(|range| Scale::of(*range));
        let (mut rewriting, nodes) = Rewriting::of(self.graph, false)?;
        let mut quantising = Quantising { known: HashMap::new(), weight_bits: options.weight_bits };
        for (at, node) in nodes.into_iter().enumerate() {
            let Some(site) = sites.0.get(&at) else {
                rewriting.copy(node)?;
                continue;
            };
            let (before, behind) = (range(site.input), if site.is_convolution { range(site.output) } else { None });
            match (before, site.is_convolution && behind.is_none()) {
                (Some(before), false) => quantising.write(&mut rewriting, node, Quantised { site, before, behind })?,
                _ => rewriting.copy(node)?,
            }
        }
        rewriting.finish()
    }
}

/// The names that values have in the written file: they tell tensors apart from build to build.
fn names_of_tensors(graph: &Graph<'_>) -> HashMap<usize, String> {
    graph.value_names(&node_names(&graph.nodes))
}

/// A node that is computed on integers.
struct Site {
    input: usize,
    weight: usize,
    output: usize,
    /// Axis of the weight along which the output's channels lie.
    axis: usize,
    is_convolution: bool,
}

/// By the index of the node.
struct Sites(BTreeMap<usize, Site>);

impl Sites {
    fn of(graph: &Graph<'_>) -> Self {
        let site = |node: &Node| {
            let [input, weight] = [0, 1].map(|place| node.inputs.get(place).copied().flatten());
            let (input, weight) = (input?, weight?);
            let constant = graph.constant_of(weight)?;
            let of_rank = |rank: usize| constant.shape.len() == rank;
            let is_convolution = node.kind == "Conv";
            let axis = match node.kind {
                "Conv" if of_rank(4) => 0,
                "Gemm" if of_rank(2) => 0,
                "MatMul" if of_rank(2) => 1,
                _ => return None,
            };
            let is_worth_it = !node.is_full && constant.dtype == DType::F32 && constant.len() >= SMALLEST_WEIGHT;
            let is_computed = graph.constant_of(input).is_none();
            (is_worth_it && is_computed).then_some(Site { input, weight, output: node.output, axis, is_convolution })
        };
        Self(graph.nodes.iter().enumerate().filter_map(|(at, node)| Some((at, site(node)?))).collect())
    }

    /// What is asked about.
    fn tensors(&self) -> BTreeSet<usize> {
        self.0.values().flat_map(|site| [Some(site.input), site.is_convolution.then_some(site.output)]).flatten().collect()
    }
}

/// Least, largest, and a sample: every so manieth along each axis.
fn seen(g: &mut Graph<'_>, x: &Value, id: usize) -> Result<Value> {
    let axes: Vec<isize> = (0..x.rank() as isize).collect();
    let (low, high) = (g.reduce_min(x, &axes, false)?, g.reduce_max(x, &axes, false)?);
    let (low, high) = (g.reshape(&low, [1])?, g.reshape(&high, [1])?);
    // Pictures go through one by one.
    let unknown = |axis: usize| if axis == 0 { 1 } else { UNKNOWN };
    let sizes: Vec<usize> = x.shape().0.iter().enumerate().map(|(axis, dim)| dim.known().unwrap_or(unknown(axis))).collect();
    let long = sizes.iter().filter(|size| **size > 1).count().max(1);
    let kept = SAMPLES.powf(1.0 / long as f64).ceil() as usize;
    // An odd step does not always meet the same columns of a grid.
    let steps: Vec<i64> = sizes.iter().map(|size| if *size > kept { (size / kept) as i64 | 1 } else { 1 }).collect();
    let count = x.rank();
    let [starts, ends] = [0, i64::MAX].map(|place| g.i64s(&vec![place; count]));
    let (axes, steps) = (g.i64s(&(0..count as i64).collect::<Vec<_>>()), g.i64s(&steps));
    let free = |of: &str, rank: usize| Shape((0..rank).map(|axis| Dim::symbol(&format!("{of}{id}_{axis}"))).collect());
    let sample = g.emit(Op::new("Slice", &[x, &starts, &ends, &axes, &steps]), DType::F32, free("seen", count));
    let flat = g.i64s(&[-1]);
    let sample = g.emit(Op::new("Reshape", &[&sample, &flat]), DType::F32, free("sample", 1));
    g.concat(&[&low, &high, &sample], 0)
}

/// A tensor's steps: `number = (byte - zero) · step`.
#[derive(Debug, Clone, Copy)]
struct Scale {
    step: f32,
    zero: u8,
}

impl Scale {
    /// `None` for what is no range. Zero is always a number of its own, for paddings and what an activation leaves out.
    fn of(range: Range) -> Option<Self> {
        if !(range.low.is_finite() && range.high.is_finite()) {
            return None;
        }
        let (low, high) = (range.low.min(0.0), range.high.max(0.0));
        let step = (high - low) / LEVELS;
        (step.is_finite() && step > f32::MIN_POSITIVE).then(|| Self { step, zero: (-low / step).round().clamp(0.0, LEVELS) as u8 })
    }
}

/// What of a graph is quantised already.
struct Quantising {
    /// Tensors that went through integers, by value of the old graph.
    known: HashMap<usize, Value>,
    weight_bits: u32,
}

/// How a node is quantised.
struct Quantised<'a> {
    site: &'a Site,
    before: Scale,
    behind: Option<Scale>,
}

impl Quantising {
    fn write(&mut self, rewriting: &mut Rewriting<'_>, node: Node, quantised: Quantised<'_>) -> Result<()> {
        let Quantised { site, before, behind } = quantised;
        let x = match self.known.get(&site.input) {
            Some(x) => x.clone(),
            None => {
                let x = rewriting.value(site.input, DType::F32)?;
                let x = through_bytes(rewriting.graph(), &x, before)?;
                self.known.insert(site.input, x.clone());
                x
            }
        };
        let mut inputs = vec![Some(x)];
        let steps = match rewriting.constant(site.weight).and_then(|weight| Bytes::of(weight, site.axis, self.weight_bits)) {
            Some(bytes) => {
                inputs.push(Some(bytes.dequantised(rewriting.graph())?));
                bytes.steps
            }
            None => return rewriting.copy(node),
        };
        if let Some(bias) = node.inputs.get(2).copied().flatten() {
            let steps: Vec<f32> = steps.iter().map(|step| step * before.step).collect();
            inputs.push(Some(self.bias(rewriting, bias, &steps)?));
        }
        let output = node.output;
        rewriting.emit(node, &inputs, DType::F32);
        if let Some(scale) = behind {
            let y = rewriting.value(output, DType::F32)?;
            let y = through_bytes(rewriting.graph(), &y, scale)?;
            rewriting.stands_for(output, y.clone(), DType::F32);
            self.known.insert(output, y);
        }
        Ok(())
    }

    /// A bias in steps of the products that it is added to.
    fn bias(&self, rewriting: &mut Rewriting<'_>, id: usize, steps: &[f32]) -> Result<Value> {
        let plain = rewriting.value(id, DType::F32)?;
        let Some(values) = rewriting.constant(id).and_then(Constant::floats).filter(|values| values.len() == steps.len()) else {
            return Ok(plain);
        };
        let whole: Vec<i64> = values.iter().zip(steps).map(|(value, step)| (value / f64::from(*step)).round() as i64).collect();
        let shape = [steps.len()];
        let fits = whole.iter().all(|value| i32::try_from(*value).is_ok());
        let constants = (Constant::from_integers(DType::I32, &shape, &whole), Constant::f32(&shape, steps.to_vec()));
        match constants {
            (Some(whole), Some(steps)) if fits => {
                let g = rewriting.graph();
                let (whole, steps) = (g.constant(whole), g.constant(steps));
                let op = Op::new("DequantizeLinear", &[&whole, &steps]).int("axis", 0);
                Ok(g.emit_unfolded(op, DType::F32, Shape::fixed(&shape)))
            }
            _ => Ok(plain),
        }
    }
}

/// To u8 and back.
fn through_bytes(g: &mut Graph<'_>, x: &Value, scale: Scale) -> Result<Value> {
    let step = g.scalar(scale.step);
    let zero = Constant::new(DType::U8, &[], vec![scale.zero]);
    let Some(zero) = zero.map(|zero| g.constant(zero)) else { return Ok(x.clone()) };
    let bytes = g.emit_unfolded(Op::new("QuantizeLinear", &[x, &step, &zero]), DType::U8, x.shape().clone());
    Ok(g.emit_unfolded(Op::new("DequantizeLinear", &[&bytes, &step, &zero]), DType::F32, x.shape().clone()))
}

/// A weight in i8.
struct Bytes {
    shape: Vec<usize>,
    axis: usize,
    bytes: Vec<u8>,
    /// Per channel.
    steps: Vec<f32>,
}

impl Bytes {
    fn of(weight: &Constant<'_>, axis: usize, bits: u32) -> Option<Self> {
        let values = weight.floats()?;
        let largest = f64::from((1_i32 << (bits - 1)) - 1);
        let channels = weight.shape[axis];
        let inner: usize = weight.shape[axis + 1..].iter().product();
        let channel = |at: usize| at / inner % channels;
        let mut steps = vec![0.0_f64; channels];
        for (at, value) in values.iter().enumerate() {
            steps[channel(at)] = steps[channel(at)].max(value.abs());
        }
        // A channel of zeros stays so with any step.
        let steps: Vec<f32> = steps.iter().map(|most| if *most > 0.0 { (most / largest) as f32 } else { 1.0 }).collect();
        if steps.iter().any(|step| !step.is_finite() || *step < f32::MIN_POSITIVE) {
            return None;
        }
        let byte = |(at, value): (usize, &f64)| (value / f64::from(steps[channel(at)])).round().clamp(-largest, largest) as i8 as u8;
        Some(Self { shape: weight.shape.clone(), axis, bytes: values.iter().enumerate().map(byte).collect(), steps })
    }

    fn dequantised(&self, g: &mut Graph<'_>) -> Result<Value> {
        let Self { shape, axis, bytes, steps } = self;
        let misfit = |g: &Graph<'_>| g.fail("DequantizeLinear", crate::ErrorKind::Shape, "a weight does not fill its shape");
        let (bytes, steps) = (Constant::new(DType::I8, shape, bytes.clone()), Constant::f32(&[steps.len()], steps.clone()));
        let (Some(bytes), Some(steps)) = (bytes, steps) else { return Err(misfit(g)) };
        let (bytes, steps) = (g.constant(bytes), g.constant(steps));
        let op = Op::new("DequantizeLinear", &[&bytes, &steps]).int("axis", *axis as i64);
        Ok(g.emit_unfolded(op, DType::F32, Shape::fixed(shape)))
    }
}
