//! Layers of transformers: a fully connected one with what goes with it, and two of them.

use maskline_kernels::{Activation, LayerNorm, Linear, LinearOptions, Mlp, Numbers, Order, Weights};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::{Bfloat16, Float16, Float32, Undefined};
use ort::value::{DynTensorValueType, ValueRef};

use super::{Operand, constant, on_threads, wrong};

/// `Linear`: x f32 [.., K], weight [N, K] (f32, f16 or bfloat16) and, each where it is wished, bias `[N]`, gain `[K]` and shift `[K]` of a
/// normalisation in front, residual [.., N] → [.., N]; `activation` and `epsilon` as attributes. All but x and the residual are constants,
/// packed once. See [`maskline_kernels::Linear`].
pub(super) struct LinearOperator;

impl LinearOperator {
    const NAME: &str = "Linear";
    const X: usize = 0;
    const RESIDUAL: usize = 5;
    const LAYER: Layer = Layer { weight: 1, bias: 2, norm: Some([3, 4]) };
}

impl Operator for LinearOperator {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let x_and_weight = [OperatorInput::required(Float32), OperatorInput::required(Undefined)];
        x_and_weight.into_iter().chain([const { OperatorInput::optional(Float32) }; 4])
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, kernel: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let activation = activation(kernel).ok_or_else(|| wrong(Self::NAME, "a known activation"))?;
        let layer = Self::LAYER.packed(kernel, activation)?;
        let layer = layer.ok_or_else(|| wrong(Self::NAME, "weight [N, K], bias [N], gain [K] and shift [K], and an epsilon"))?;
        Ok(Box::new(move |context: &ComputeContext| apply(context, &layer)))
    }
}

fn apply(context: &ComputeContext, layer: &Linear) -> ort::Result<()> {
    let wrong = |expected: &str| wrong(LinearOperator::NAME, expected);
    let x = context.input(LinearOperator::X)?.ok_or_else(|| wrong("x"))?;
    let residual = context.input(LinearOperator::RESIDUAL)?;
    let x = Operand::of(&x)?;
    let residual = residual.as_ref().map(Operand::of).transpose()?;
    let mut shape = x.shape.to_vec();
    let Some(last) = shape.last_mut().filter(|width| **width as usize == layer.inputs()) else { return Err(wrong("x [.., K]")) };
    *last = layer.outputs() as i64;
    if residual.as_ref().is_some_and(|residual| residual.shape != shape) {
        return Err(wrong("a residual [.., N]"));
    }
    let mut output = context.output(0, shape)?.ok_or_else(|| wrong("an output"))?;
    let (_, out) = output.try_extract_tensor_mut::<f32>()?;
    let residual = residual.map(|residual| residual.numbers);
    on_threads(context, LinearOperator::NAME, |workers| layer.apply(x.numbers, residual, workers, out))
}

/// `Mlp`: x f32 [.., K], weight [H, K], bias `[H]`, gain `[K]` and shift `[K]` of a normalisation in front, weight [K, H], bias `[K]` →
/// `x + second(activation(first(norm(x))))`; attributes and types as those of `Linear`. See [`maskline_kernels::Mlp`].
pub(super) struct MlpOperator;

impl MlpOperator {
    const NAME: &str = "Mlp";
    const X: usize = 0;
    const FIRST: Layer = Layer { weight: 1, bias: 2, norm: Some([3, 4]) };
    const SECOND: Layer = Layer { weight: 5, bias: 6, norm: None };
}

impl Operator for MlpOperator {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Float32, Undefined, Float32, Float32, Float32, Undefined, Float32].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, kernel: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let activation = activation(kernel).ok_or_else(|| wrong(Self::NAME, "a known activation"))?;
        let (first, second) = (Self::FIRST.packed(kernel, activation)?, Self::SECOND.packed(kernel, Activation::Identity)?);
        let mlp = first.zip(second).and_then(|(first, second)| Mlp::new(first, second)).filter(|mlp| mlp.inputs() == mlp.outputs());
        let mlp =
            mlp.ok_or_else(|| wrong(Self::NAME, "weights [H, K] and [K, H] with their biases, gain [K], shift [K], and an epsilon"))?;
        Ok(Box::new(move |context: &ComputeContext| add(context, &mlp)))
    }
}

fn add(context: &ComputeContext, mlp: &Mlp) -> ort::Result<()> {
    let wrong = |expected: &str| wrong(MlpOperator::NAME, expected);
    let x = context.input(MlpOperator::X)?.ok_or_else(|| wrong("x"))?;
    let x = Operand::of(&x)?;
    if x.shape.last().is_none_or(|width| *width as usize != mlp.inputs()) {
        return Err(wrong("x [.., K]"));
    }
    let mut output = context.output(0, x.shape.to_vec())?.ok_or_else(|| wrong("an output"))?;
    let (_, out) = output.try_extract_tensor_mut::<f32>()?;
    on_threads(context, MlpOperator::NAME, |workers| mlp.apply(x.numbers, Some(x.numbers), workers, out))
}

/// Where the constants of a layer are among an operator's inputs.
struct Layer {
    weight: usize,
    bias: usize,
    /// Gain and shift.
    norm: Option<[usize; 2]>,
}

impl Layer {
    /// The layer with its constants; `None` if they do not fit.
    fn packed(&self, kernel: &KernelContext<'_>, activation: Activation) -> ort::Result<Option<Linear>> {
        let bias = constant(kernel, self.bias);
        let norm = self.norm.map(|inputs| inputs.map(|index| constant(kernel, index)));
        let norm = match (&norm, kernel.get::<f32>("epsilon")) {
            (Some([Some(gamma), Some(beta)]), Some(epsilon)) => Some(LayerNorm { gamma, beta, epsilon }),
            (Some([None, None]) | None, _) => None,
            _ => return Ok(None),
        };
        let weight = kernel.constant_input::<DynTensorValueType>(self.weight)?;
        let [outputs, inputs] = weight.shape()[..] else { return Ok(None) };
        let Some(numbers) = numbers(&weight)? else { return Ok(None) };
        let weights = Weights { numbers, order: Order::OutputsFirst, inputs: inputs as usize, outputs: outputs as usize };
        Ok(Linear::new(weights, LinearOptions { norm, bias: bias.as_deref(), activation, ..LinearOptions::default() }))
    }
}

/// The numbers of a weight; `None` if they are of another type.
fn numbers<'a>(weight: &'a ValueRef<'_, DynTensorValueType>) -> ort::Result<Option<Numbers<'a>>> {
    use half::slice::HalfFloatSliceExt;
    Ok(Some(match *weight.data_type() {
        Float32 => Numbers::F32(weight.try_extract_tensor()?.1),
        Float16 => Numbers::F16(weight.try_extract_tensor::<half::f16>()?.1.reinterpret_cast()),
        Bfloat16 => Numbers::BF16(weight.try_extract_tensor::<half::bf16>()?.1.reinterpret_cast()),
        _ => return Ok(None),
    }))
}

fn activation(kernel: &KernelContext<'_>) -> Option<Activation> {
    Some(match kernel.get::<String>("activation")?.as_str() {
        "identity" => Activation::Identity,
        "relu" => Activation::Relu,
        "gelu" => Activation::Gelu,
        "gelu_tanh" => Activation::GeluTanh,
        "quick_gelu" => Activation::GeluSigmoid,
        "silu" => Activation::Silu,
        _ => return None,
    })
}
