//! Against the same formula in f64; and the same answer for any number of threads.

use super::*;
use crate::is_small;
use crate::testing::{Threads, are_same, error_function, numbers};

/// A layer of random numbers.
struct Case {
    rows: usize,
    inputs: usize,
    outputs: usize,
    activation: Activation,
    has_bias: bool,
    has_norm: bool,
    has_scale: bool,
    has_residual: bool,
}

impl Case {
    fn of([rows, inputs, outputs]: [usize; 3]) -> Self {
        let activation = Activation::Identity;
        Self { rows, inputs, outputs, activation, has_bias: false, has_norm: false, has_scale: false, has_residual: false }
    }

    fn everything(self, activation: Activation) -> Self {
        Self { activation, has_bias: true, has_norm: true, has_scale: true, has_residual: true, ..self }
    }

    fn tensors(&self) -> Tensors {
        let Self { rows, inputs, outputs, .. } = *self;
        let scale = 1.0 / (inputs.max(1) as f32).sqrt();
        Tensors {
            x: numbers(rows * inputs, 1).iter().map(|x| 3.0 * x + 0.5).collect(),
            weight: numbers(inputs * outputs, 2).iter().map(|w| scale * w).collect(),
            bias: numbers(outputs, 3),
            gamma: numbers(inputs, 4),
            beta: numbers(inputs, 5),
            layer_scale: numbers(outputs, 6),
            residual: numbers(rows * outputs, 7),
        }
    }

    fn options<'a>(&self, tensors: &'a Tensors) -> LinearOptions<'a> {
        LinearOptions {
            norm: self.has_norm.then_some(LayerNorm { gamma: &tensors.gamma, beta: &tensors.beta, epsilon: 1e-5 }),
            bias: self.has_bias.then_some(&tensors.bias),
            activation: self.activation,
            layer_scale: self.has_scale.then_some(&tensors.layer_scale),
            widen: false,
        }
    }

    fn weights<'a>(&self, numbers: &'a [f32]) -> Weights<'a> {
        Weights { numbers: Numbers::F32(numbers), order: Order::InputsFirst, inputs: self.inputs, outputs: self.outputs }
    }

    fn residual<'a>(&self, tensors: &'a Tensors) -> Option<&'a [f32]> {
        self.has_residual.then_some(&tensors.residual)
    }

    /// The formula as it is written.
    fn expected(&self, tensors: &Tensors) -> Vec<f64> {
        let Self { rows, inputs, outputs, .. } = *self;
        let mut out = Vec::with_capacity(rows * outputs);
        for row in 0..rows {
            let x = self.normalised(tensors, &tensors.x[row * inputs..][..inputs]);
            let mut sums = vec![0.0; outputs];
            for (x, weights) in x.iter().zip(tensors.weight.chunks_exact(outputs)) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * f64::from(*weight));
            }
            for (column, sum) in sums.into_iter().enumerate() {
                let bias = if self.has_bias { f64::from(tensors.bias[column]) } else { 0.0 };
                let scale = if self.has_scale { f64::from(tensors.layer_scale[column]) } else { 1.0 };
                let residual = if self.has_residual { f64::from(tensors.residual[row * outputs + column]) } else { 0.0 };
                out.push(activate(self.activation, sum + bias) * scale + residual);
            }
        }
        out
    }

    fn normalised(&self, tensors: &Tensors, x: &[f32]) -> Vec<f64> {
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        if !self.has_norm {
            return x;
        }
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / x.len() as f64;
        let scaled = x.iter().zip(&tensors.gamma).map(|(x, gamma)| (x - mean) / (variance + 1e-5).sqrt() * f64::from(*gamma));
        scaled.zip(&tensors.beta).map(|(x, beta)| x + f64::from(*beta)).collect()
    }

    fn check(&self, processor: Processor) {
        let tensors = self.tensors();
        let linear = Linear::new(self.weights(&tensors.weight), self.options(&tensors)).expect("it fits").on(processor);
        let found = apply(&linear, self, &tensors, 1);
        assert!(are_same(&found, &apply(&linear, self, &tensors, 3)), "{processor:?}: threads differ");
        self.compare(&found, &self.expected(&tensors), 2e-6);
    }

    fn compare(&self, found: &[f32], expected: &[f64], tolerance: f64) {
        let error = |(found, expected): (&f32, &f64)| (f64::from(*found) - expected).abs() / expected.abs().max(1.0);
        let worst = found.iter().zip(expected).map(error).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a });
        assert!(worst < tolerance, "{} × {} × {}, {:?}: wrong by {worst}", self.rows, self.inputs, self.outputs, self.activation);
    }
}

struct Tensors {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    layer_scale: Vec<f32>,
    residual: Vec<f32>,
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Gelu => 0.5 * x * (1.0 + error_function(x * std::f64::consts::FRAC_1_SQRT_2)),
        Activation::GeluTanh => 0.5 * x * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        Activation::GeluSigmoid => x / (1.0 + (-1.702 * x).exp()),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

fn apply(linear: &Linear, case: &Case, tensors: &Tensors, threads: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; case.rows * case.outputs];
    linear.apply(&tensors.x, case.residual(tensors), &Threads(threads), &mut out);
    out
}

#[test]
fn it_is_the_product_of_any_sizes() {
    let mut sizes = vec![[1, 1, 1], [7, 5, 3], [13, 33, 49], [25, 385, 17], [6, 16, 32]];
    if !is_small() {
        sizes.extend([[400, 96, 300], [193, 800, 40], [13, 20, 3200], [1, 1000, 512], [0, 8, 8]]);
    }
    for sizes in sizes {
        for processor in Processor::all() {
            Case::of(sizes).check(processor);
        }
    }
}

#[test]
fn everything_follows_and_precedes_as_it_is_written() {
    let activations =
        [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::GeluSigmoid, Activation::Silu];
    let sizes: &[_] = if is_small() { &[[14, 20, 35]] } else { &[[14, 20, 35], [50, 400, 64], [300, 43, 131]] };
    for sizes in sizes {
        for activation in activations {
            for processor in Processor::all() {
                Case { activation, has_bias: true, ..Case::of(*sizes) }.check(processor);
                Case::of(*sizes).everything(activation).check(processor);
            }
        }
    }
}

#[test]
fn weights_may_be_transposed_and_of_sixteen_bits() {
    let case = Case::of([9, 390, 37]).everything(Activation::Gelu);
    let mut tensors = case.tensors();
    let f16: Vec<u16> = tensors.weight.iter().map(|w| half::f16::from_f32(*w).to_bits()).collect();
    let bf16: Vec<u16> = tensors.weight.iter().map(|w| half::bf16::from_f32(*w).to_bits()).collect();
    let wide = |bits: &[u16], widen: fn(u16) -> f32| bits.iter().map(|bits| widen(*bits)).collect::<Vec<f32>>();
    let exact = tensors.weight.clone();
    let both = [
        (Numbers::F16(&f16), wide(&f16, |bits| half::f16::from_bits(bits).to_f32())),
        (Numbers::BF16(&bf16), wide(&bf16, |bits| half::bf16::from_bits(bits).to_f32())),
        (Numbers::F32(&exact), exact.clone()),
    ];
    for (numbers, weight) in both {
        tensors.weight = weight;
        let expected = case.expected(&tensors);
        for processor in Processor::all() {
            let mut answers = Vec::new();
            for widen in [false, true] {
                let options = LinearOptions { widen, ..case.options(&tensors) };
                for order in [Order::InputsFirst, Order::OutputsFirst] {
                    let turned = match numbers {
                        Numbers::F32(numbers) => Turned::F32(turn(numbers, 37)),
                        Numbers::F16(bits) => Turned::F16(turn(bits, 37)),
                        Numbers::BF16(bits) => Turned::BF16(turn(bits, 37)),
                    };
                    let numbers = if order == Order::InputsFirst { numbers } else { turned.numbers() };
                    let weights = Weights { numbers, order, ..case.weights(&[]) };
                    let linear = Linear::new(weights, options).expect("it fits").on(processor);
                    let size = if widen || matches!(numbers, Numbers::F32(_)) { 4 } else { 2 };
                    assert_eq!(linear.bytes(), 390 * 48 * size);
                    let found = apply(&linear, &case, &tensors, 3);
                    case.compare(&found, &expected, 2e-6);
                    answers.push(found);
                }
            }
            assert!(answers.iter().all(|answer| are_same(answer, &answers[0])), "{processor:?}: the same weights, kept in other ways");
        }
    }
}

/// A matrix of one's own.
enum Turned {
    F32(Vec<f32>),
    F16(Vec<u16>),
    BF16(Vec<u16>),
}

impl Turned {
    fn numbers(&self) -> Numbers<'_> {
        match self {
            Self::F32(numbers) => Numbers::F32(numbers),
            Self::F16(bits) => Numbers::F16(bits),
            Self::BF16(bits) => Numbers::BF16(bits),
        }
    }
}

fn turn<T: Copy>(numbers: &[T], columns: usize) -> Vec<T> {
    (0..columns).flat_map(|column| numbers.iter().skip(column).step_by(columns).copied()).collect()
}

/// Layers from K numbers to `hidden` ones and back.
fn layers([inputs, hidden, outputs]: [usize; 3], processor: Processor) -> [Linear; 2] {
    let first = Case { has_bias: true, has_norm: true, activation: Activation::Gelu, ..Case::of([1, inputs, hidden]) };
    let second = Case { has_bias: true, has_scale: true, ..Case::of([1, hidden, outputs]) };
    [first, second].map(|case| {
        let tensors = case.tensors();
        Linear::new(case.weights(&tensors.weight), case.options(&tensors)).expect("it fits").on(processor)
    })
}

#[test]
fn an_mlp_is_one_layer_after_the_other() {
    // In shares; few rows; inner numbers that fall into blocks which are no whole vectors.
    let mut cases = vec![(400, [20, 40, 17])];
    if !is_small() {
        cases.extend([(1600, [96, 800, 96]), (1501, [400, 96, 130]), (30, [20, 500, 20]), (1600, [24, 840, 24]), (0, [8, 8, 8])]);
    }
    for (rows, sizes) in cases {
        let [inputs, hidden, outputs] = sizes;
        let (x, residual) = (numbers(rows * inputs, 8), numbers(rows * outputs, 9));
        for processor in Processor::all() {
            for residual in [None, Some(&residual[..])] {
                let [first, second] = layers(sizes, processor);
                let mut between = vec![f32::NAN; rows * hidden];
                let mut expected = vec![f32::NAN; rows * outputs];
                first.apply(&x, None, &Threads(1), &mut between);
                second.apply(&between, residual, &Threads(1), &mut expected);
                let mlp = Mlp::new(first, second).expect("it fits");
                for threads in [1, 3] {
                    let mut found = vec![f32::NAN; rows * outputs];
                    mlp.apply(&x, residual, &Threads(threads), &mut found);
                    assert!(are_same(&found, &expected), "{processor:?}: {rows} rows of {sizes:?}, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn layers_that_do_not_follow_each_other_are_refused() {
    let pair = |sizes, of_second| {
        let ([first, _], [_, second]) = (layers(sizes, Processor::Any), layers(of_second, Processor::Any));
        Mlp::new(first, second)
    };
    assert!(pair([3, 4, 5], [3, 4, 5]).is_some());
    assert!(pair([3, 4, 5], [3, 5, 5]).is_none());
    let [first, second] = layers([4, 4, 4], Processor::Any);
    assert!(Mlp::new(second, first).is_none(), "a normalisation between them");
}

#[test]
fn what_is_no_number_stays_in_its_row() {
    for activation in [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::GeluSigmoid] {
        for has_norm in [false, true] {
            let case = Case { has_norm, activation, has_bias: true, ..Case::of([14, 21, 18]) };
            for (row, number) in [(3, f32::NAN), (13, f32::INFINITY)] {
                let mut tensors = case.tensors();
                tensors.x[row * 21 + 4] = number;
                for processor in Processor::all() {
                    let linear = Linear::new(case.weights(&tensors.weight), case.options(&tensors)).expect("it fits").on(processor);
                    let found = apply(&linear, &case, &tensors, 1);
                    for (at, numbers) in found.chunks_exact(18).enumerate() {
                        if at != row {
                            assert!(numbers.iter().all(|number| number.is_finite()), "{processor:?}: another row");
                        } else if number.is_nan() || has_norm {
                            assert!(numbers.iter().all(|number| number.is_nan()), "{processor:?}, {activation:?}");
                        } else {
                            let is_far = |number: &f32| !number.is_finite() || number.abs() < 1e-6;
                            assert!(numbers.contains(&f32::INFINITY) && numbers.iter().all(is_far), "{processor:?}, {activation:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn variances_of_large_numbers_are_not_lost() {
    let case = Case { has_norm: true, ..Case::of([5, 64, 16]) };
    let mut tensors = case.tensors();
    tensors.x.iter_mut().for_each(|x| *x = 4096.0 + (*x * 64.0).round() / 64.0);
    let expected = case.expected(&tensors);
    for processor in Processor::all() {
        let linear = Linear::new(case.weights(&tensors.weight), case.options(&tensors)).expect("it fits").on(processor);
        case.compare(&apply(&linear, &case, &tensors, 1), &expected, 1e-3);
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let weights = |numbers: &'static [f32]| Weights { numbers: Numbers::F32(numbers), order: Order::InputsFirst, inputs: 2, outputs: 3 };
    assert!(Linear::new(weights(&[0.0; 6]), LinearOptions::default()).is_some());
    assert!(Linear::new(Weights { inputs: 0, ..weights(&[]) }, LinearOptions::default()).is_none());
    assert!(Linear::new(weights(&[0.0; 5]), LinearOptions::default()).is_none());
    assert!(Linear::new(weights(&[0.0; 6]), LinearOptions { bias: Some(&[0.0; 2]), ..Default::default() }).is_none());
    assert!(Linear::new(weights(&[0.0; 6]), LinearOptions { layer_scale: Some(&[0.0; 4]), ..Default::default() }).is_none());
    let norm = LayerNorm { gamma: &[0.0; 2], beta: &[0.0; 3], epsilon: 0.0 };
    assert!(Linear::new(weights(&[0.0; 6]), LinearOptions { norm: Some(norm), ..Default::default() }).is_none());
}
