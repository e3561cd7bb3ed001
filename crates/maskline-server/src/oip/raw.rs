//! Networks, asked with tensors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use maskline::Part;
use maskline::runtime::{Job, Outputs, Port, Tensor as NetworkTensor, TensorData};
use tokio::sync::oneshot;

use super::datatype::Datatype;
use super::describe::{Signature, TensorSignature};
use super::infer::{Answered, Urgency};
use super::message::InferRequest;
use super::tensor::Tensor;
use crate::fault::{Fault, Result};
use crate::statistics::Spent;

/// Most rows of a request to a network that counts them.
const MOST_ROWS: usize = 1024;

/// What a network takes and gives.
pub(super) fn signature(name: &str, part: &Part) -> Signature {
    let ports = |ports: &[Port]| ports.iter().filter_map(tensor_signature).collect();
    Signature {
        name: name.to_owned(),
        platform: "onnxruntime_onnx",
        max_batch: most_rows(part),
        inputs: ports(part.inputs()),
        outputs: ports(part.outputs()),
    }
}

/// Every port of a part has numbers: others are refused when it is opened.
fn tensor_signature(port: &Port) -> Option<TensorSignature> {
    Some(TensorSignature::new(&port.name, Datatype::of_element(port.element_type?)?, &port.shape))
}

/// Rows are counted where requests can be joined, and nothing else is shared between rows: what all of a request's rows have in common, as
/// the picture of several prompts, is no tensor of rows. Neither is a vector: what would be one of its rows has no sizes.
fn most_rows(part: &Part) -> usize {
    let has_rows = |port: &Port| port.shape.len() > 1 && port.shape.first() == Some(&None);
    if part.is_joinable() && part.inputs().iter().all(has_rows) { MOST_ROWS } else { 0 }
}

/// Asks a network; dropped meanwhile, the request is called off.
///
/// # Errors
/// `BadRequest` for inputs that are not the network's; as running it.
pub(super) async fn infer(part: &Part, request: &InferRequest, urgency: &Urgency) -> Result<Answered> {
    let began = Instant::now();
    check(part, request)?;
    let inputs = request.inputs.iter().map(input).collect::<Result<Vec<_>>>()?;
    let job = Job::new(inputs).with_deadline(urgency.deadline).with_priority(urgency.priority);
    let input = began.elapsed();
    let (sender, answer) = oneshot::channel();
    // Whoever has gone needs no answer; the ticket is held until there is one.
    let _ticket = part.submit(job, move |outcome| drop(sender.send(outcome)))?;
    let outputs = answer.await.map_err(|_| Fault::from(maskline::Error::new(maskline::ErrorKind::Failed, "the network ended")))??;
    let ran = Instant::now();
    let rows = if most_rows(part) > 0 { outputs.rows() } else { 1 };
    let spent = Spent { queue: outputs.queue, input, infer: outputs.run, rows, together: outputs.rows_together, ..Spent::default() };
    let outputs = Arc::new(outputs);
    let wanted: Vec<&str> = match &request.outputs {
        Some(wanted) => wanted.iter().map(|output| output.name.as_str()).collect(),
        None => part.outputs().iter().map(|port| port.name.as_str()).collect(),
    };
    let tensors = wanted.into_iter().map(|name| output(&outputs, name)).collect::<Result<_>>()?;
    Ok(Answered { tensors, parameters: degradation(part), spent: Spent { output: ran.elapsed(), ..spent } })
}

/// Refuses what the network itself would not notice, or only by failing. Names, types and sizes it checks when a job is submitted.
fn check(part: &Part, request: &InferRequest) -> Result<()> {
    // The size that a symbol stands for, and the input that told it.
    let mut sizes: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let most = most_rows(part);
    for tensor in &request.inputs {
        let Some(port) = part.inputs().iter().find(|port| port.name == tensor.name()) else { continue };
        if let Some(&rows) = tensor.shape().first().filter(|rows| most > 0 && **rows > most) {
            return Err(Fault::bad(format!("input `{}`", port.name), format!("at most {most} rows"), rows));
        }
        for (symbol, &size) in port.symbols.iter().zip(tensor.shape()).filter_map(|(symbol, size)| Some((symbol.as_deref()?, size))) {
            let (known, by) = *sizes.entry(symbol).or_insert((size, &port.name));
            if known != size {
                let expected = format!("{known} for the size `{symbol}`, as in `{by}`");
                return Err(Fault::bad(format!("input `{}`", port.name), expected, size));
            }
        }
    }
    Ok(())
}

fn input(tensor: &Tensor) -> Result<(&str, NetworkTensor)> {
    let wrong = || Fault::bad(format!("input `{}`", tensor.name()), "numbers", tensor.datatype());
    let element_type = tensor.datatype().element_type().ok_or_else(wrong)?;
    let named = |error: maskline::runtime::Error| Fault::from(maskline::Error::from(error).named(format!("input `{}`", tensor.name())));
    let data = TensorData::from_bytes(element_type, tensor.content()).map_err(named)?;
    Ok((tensor.name(), NetworkTensor::new(tensor.shape(), data).map_err(named)?))
}

/// An output, in ONNX Runtime's own memory.
fn output(outputs: &Arc<Outputs>, name: &str) -> Result<Tensor> {
    let view = outputs.raw(name)?;
    let datatype = Datatype::of_element(view.element_type).ok_or_else(|| {
        Fault::from(maskline::Error::new(maskline::ErrorKind::BadAnswer, format!("output `{name}`: no such numbers in the protocol")))
    })?;
    let description = super::Description { name: name.to_owned(), datatype, shape: view.shape };
    let content = Bytes::from_owner(Output { outputs: Arc::clone(outputs), name: name.to_owned() });
    Ok(Tensor::new(description, content)?)
}

/// Keeps the outputs of a run as long as the bytes of one of them are on their way.
struct Output {
    outputs: Arc<Outputs>,
    name: String,
}

impl AsRef<[u8]> for Output {
    fn as_ref(&self) -> &[u8] {
        // It was there when this was made.
        self.outputs.raw(&self.name).map(|view| view.bytes).unwrap_or_default()
    }
}

/// Tells that the CPU stands in for the provider that was wished for.
fn degradation(part: &Part) -> BTreeMap<String, super::Parameter> {
    super::infer::degradation(part.degraded().is_some(), || part.provider())
}

/// What is asked of a network by its content alone: its only input, one row of it, with at most one size that the content decides about.
///
/// # Errors
/// `BadRequest` where that says too little.
pub(super) fn whole_input(signature: &Signature, content: Bytes) -> Result<Tensor> {
    let [input] = signature.inputs.as_slice() else {
        let expected = "a model of one input, as the length of the JSON is 0";
        return Err(Fault::bad(format!("`{}`", signature.name), expected, format!("{} inputs", signature.inputs.len())));
    };
    let Some(size) = input.datatype.size() else {
        // One element, which needs no length.
        let tensor = Tensor::of_elements(input.name.as_str(), &[content]);
        return Ok(tensor);
    };
    let rows = signature.max_batch > 0;
    let mut shape: Vec<Option<usize>> = input.shape.clone();
    if let Some(first) = shape.first_mut().filter(|_| rows) {
        *first = Some(1);
    }
    let free = shape.iter().filter(|size| size.is_none()).count();
    if free > 1 {
        let help = "send JSON with the shape before it: Inference-Header-Content-Length tells where that ends";
        return Err(Fault::bad(format!("input `{}`", input.name), "at most one free size", free).with_help(help));
    }
    let known = shape.iter().flatten().try_fold(size, |product, &size| product.checked_mul(size)).filter(|&product| product > 0);
    let rest = known.map_or(0, |known| content.len() / known);
    let shape = shape.into_iter().map(|size| size.unwrap_or(rest)).collect();
    Ok(Tensor::new(super::Description { name: input.name.clone(), datatype: input.datatype, shape }, content)?)
}
