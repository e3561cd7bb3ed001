//! maskline's own operators for transformers, see `maskline_kernels::{Linear, Mlp, MultiHeadAttention}`: a fully connected layer with what comes
//! before and after it, two of them, and an attention that reads queries, keys and values where their projection left them.

use crate::graph::Op;
use crate::{DType, Dim, ErrorKind, Graph, Result, Rotation, Value};

/// What follows a layer's product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerActivation {
    /// Nothing.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// GELU, exact form.
    Gelu,
    /// GELU, by a hyperbolic tangent.
    GeluTanh,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `x * sigmoid(x)`.
    Silu,
}

impl LayerActivation {
    /// Stable name, as the operator has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::QuickGelu => "quick_gelu",
            Self::Silu => "silu",
        }
    }
}

/// A layer normalisation in front of a layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// Gain, `[K]`.
    pub weight: &'a Value,
    /// Shift, `[K]`.
    pub bias: &'a Value,
    /// What the variance is increased by.
    pub epsilon: f32,
}

/// What goes with a fully connected layer in one pass: `residual + activation(norm(x) weightᵀ + bias)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LayerOptions<'a> {
    /// Normalises `x`.
    pub norm: Option<LayerNorm<'a>>,
    /// `[O]`.
    pub bias: Option<&'a Value>,
    /// Applied to the sum of both.
    pub activation: LayerActivation,
    /// [.., O].
    pub residual: Option<&'a Value>,
}

/// Two fully connected layers, as a transformer's block ends.
#[derive(Debug, Clone, Copy)]
pub struct MlpLayers<'a> {
    /// Normalises `x`.
    pub norm: LayerNorm<'a>,
    /// [H, I] and [I, H].
    pub weights: [&'a Value; 2],
    /// `[H]` and `[I]`.
    pub biases: [&'a Value; 2],
    /// Between both.
    pub activation: LayerActivation,
}

/// Rows of numbers in which heads lie, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    /// Maps [B, rows, columns, stride] or sequences [B, T, stride].
    pub rows: &'a Value,
    /// Where in a row the first head begins.
    pub offset: usize,
}

/// Windows of maps, whose cells look at each other.
#[derive(Debug, Clone, Copy)]
pub struct Windows<'a> {
    /// Side in cells of the keys. Where queries are pooled, their windows are as much smaller.
    pub side: usize,
    /// Numbers of the cells that fill the last windows up, as long as a row of the keys.
    pub padding: &'a Value,
}

/// What [`Graph::attention_in_place`] looks from and at.
#[derive(Debug, Clone, Copy)]
pub struct AttentionInPlace<'a> {
    /// What looks.
    pub queries: Heads<'a>,
    /// What is looked at.
    pub keys: Heads<'a>,
    /// What is seen.
    pub values: Heads<'a>,
    /// Number of heads.
    pub heads: usize,
    /// Numbers of a head.
    pub head_width: usize,
    /// `None`: every cell of an entry of the batch looks at all.
    pub windows: Option<Windows<'a>>,
    /// Turns queries and keys.
    pub rotation: Option<&'a Rotation>,
    /// What the rows and the columns of a square of keys add to each query's scores, [B, T, heads · side] each.
    pub relative: Option<[&'a Value; 2]>,
    /// Factor of the scores; `None` is `1 / sqrt(head width)`.
    pub scale: Option<f32>,
}

impl<'a> AttentionInPlace<'a> {
    /// Of queries, keys and values that each have rows of their own, of so many heads of such a width, without windows.
    pub fn of([queries, keys, values]: [&'a Value; 3], [heads, head_width]: [usize; 2]) -> Self {
        let at = |rows| Heads { rows, offset: 0 };
        Self {
            queries: at(queries),
            keys: at(keys),
            values: at(values),
            heads,
            head_width,
            windows: None,
            rotation: None,
            relative: None,
            scale: None,
        }
    }
}

impl<'w> Graph<'w> {
    /// A fully connected layer and what goes with it as one operator: `x` [.., I], constant `weight` `[O, I]`, of single or half precision
    /// → [.., O].
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` where layers are not to be maskline's own.
    pub fn layer(&mut self, x: &Value, weight: &Value, options: LayerOptions<'_>) -> Result<Value> {
        const NAME: &str = "Linear";
        self.check_own_layers(NAME)?;
        let LayerOptions { norm, bias, activation, residual } = options;
        let (Some(inputs), [outputs, width]) = (x.shape().0.last(), &weight.shape().0[..]) else {
            return Err(self.unfit(NAME, &[x, weight]));
        };
        let mut shape = x.shape().clone();
        shape.0.pop();
        shape.0.push(outputs.clone());
        let fits = inputs == width
            && bias.is_none_or(|bias| bias.shape().0 == [outputs.clone()])
            && norm.is_none_or(|norm| [norm.weight, norm.bias].iter().all(|value| value.shape().0 == [width.clone()]))
            && residual.is_none_or(|residual| *residual.shape() == shape);
        if !fits {
            let operands: Vec<&Value> = [x, weight].into_iter().chain(bias).chain(residual).collect();
            return Err(self.unfit(NAME, &operands));
        }
        self.check_weights(NAME, &[weight])?;
        let op = Op::own(NAME, &[x, weight]).optional(bias).optional(norm.map(|norm| norm.weight)).optional(norm.map(|norm| norm.bias));
        let op = op.optional(residual).text("activation", activation.name()).float("epsilon", norm.map_or(0.0, |norm| norm.epsilon));
        Ok(self.emit(op, x.dtype(), shape))
    }

    /// `x` and what two fully connected layers make of it, `x + second(activation(first(norm(x))))`, as one operator: [.., I] → the same. The
    /// weights are constants, of single or half precision.
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` where layers are not to be maskline's own.
    pub fn mlp(&mut self, x: &Value, layers: MlpLayers<'_>) -> Result<Value> {
        const NAME: &str = "Mlp";
        self.check_own_layers(NAME)?;
        let MlpLayers { norm: LayerNorm { weight, bias, epsilon }, weights: [first, second], biases: [of_first, of_second], activation } =
            layers;
        let operands = [x, first, of_first, weight, bias, second, of_second];
        let fits = match (x.shape().0.last(), &first.shape().0[..]) {
            (Some(width), [hidden, inputs]) => {
                let has = |value: &Value, shape: &[&Dim]| value.shape().0.iter().eq(shape.iter().copied());
                inputs == width
                    && has(second, &[width, hidden])
                    && has(of_first, &[hidden])
                    && [weight, bias, of_second].iter().all(|value| has(value, &[width]))
            }
            _ => false,
        };
        if !fits {
            return Err(self.unfit(NAME, &operands));
        }
        self.check_weights(NAME, &[first, second])?;
        let op = Op::own(NAME, &operands).text("activation", activation.name()).float("epsilon", epsilon);
        Ok(self.emit(op, x.dtype(), x.shape().clone()))
    }

    /// Multi-head attention as one operator that reads its heads where they lie: → the queries' shape with rows [heads · head width].
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` where layers are not to be maskline's own.
    pub fn attention_in_place(&mut self, of: AttentionInPlace<'_>) -> Result<Value> {
        const NAME: &str = "MultiHeadAttention";
        self.check_own_layers(NAME)?;
        let AttentionInPlace { queries, keys, values, heads, head_width, windows, rotation, relative, scale } = of;
        let operands = [queries.rows, keys.rows, values.rows];
        let inner = heads * head_width;
        let stride = |heads: &Heads<'_>| heads.rows.shape().0.last().and_then(|stride| stride.known());
        let has_room = [queries, keys, values].iter().all(|heads| stride(heads).is_some_and(|stride| heads.offset + inner <= stride));
        let map = |x: &Value| (x.rank() == 4).then(|| [1, 2].map(|axis| x.shape()[axis].known().unwrap_or(0)));
        let fits = inner > 0
            && has_room
            && operands.iter().all(|x| x.rank() >= 3 && x.rank() == queries.rows.rank() && x.shape()[0] == queries.rows.shape()[0])
            && keys.rows.shape().0[..keys.rows.rank() - 1] == values.rows.shape().0[..values.rows.rank() - 1]
            && windows
                .is_none_or(|windows| map(keys.rows).is_some() && windows.padding.shape().0 == keys.rows.shape().0[keys.rows.rank() - 1..])
            && relative
                .is_none_or(|both| both.iter().all(|added| added.rank() == 3 && added.shape().0[..2] == queries.rows.shape().0[..2]))
            && rotation.is_none_or(|rotation| rotation.cos.shape().0.last().and_then(|pairs| pairs.known()) == Some(head_width / 2));
        if !fits {
            return Err(self.unfit(NAME, &operands));
        }
        let dtype = self.same_dtype(NAME, &operands)?;
        let mut shape = queries.rows.shape().clone();
        shape.0.pop();
        shape.0.push(inner.into());
        let op = Op::own(NAME, &operands).optional(windows.map(|windows| windows.padding));
        let op = op.optional(rotation.map(|rotation| &rotation.cos)).optional(rotation.map(|rotation| &rotation.sin));
        let op = op.optional(relative.map(|[rows, _]| rows)).optional(relative.map(|[_, columns]| columns));
        let op = op
            .int("heads", heads as i64)
            .int("head_width", head_width as i64)
            .float("scale", scale.unwrap_or(1.0 / (head_width as f32).sqrt()));
        let op = op.ints("offsets", [queries, keys, values].map(|heads| heads.offset as i64));
        let op = op.int("window", windows.map_or(0, |windows| windows.side as i64));
        Ok(self.emit(op, dtype, shape))
    }

    fn check_weights(&self, name: &'static str, weights: &[&Value]) -> Result<()> {
        match weights.iter().map(|weight| weight.dtype()).find(|dtype| !matches!(dtype, DType::F32 | DType::F16 | DType::BF16)) {
            Some(dtype) => Err(self.fail(name, ErrorKind::DType, format!("expected a weight of f32, f16 or bf16, found {dtype}"))),
            None => Ok(()),
        }
    }

    fn check_own_layers(&self, name: &'static str) -> Result<()> {
        if self.has_own_layers {
            return Ok(());
        }
        Err(self.fail(name, ErrorKind::Invalid, "only graphs with layers of maskline's own have this operator"))
    }

    fn unfit(&self, name: &'static str, operands: &[&Value]) -> crate::Error {
        let shapes: Vec<String> = operands.iter().map(|operand| operand.shape().to_string()).collect();
        self.fail(name, ErrorKind::Shape, format!("{} do not fit", shapes.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Shape};

    fn graph() -> Graph<'static> {
        Graph::new("layers", Dialect::Native).with_own_layers(true)
    }

    #[test]
    fn only_graphs_that_are_to_have_them_have_layers_of_our_own() {
        assert!(graph().has_own_layers());
        for mut g in [Graph::new("g", Dialect::Ort).with_own_layers(true), Graph::new("g", Dialect::Native)] {
            let (x, w) = (g.input("x", DType::F32, [2, 3]).expect("x"), g.input("w", DType::F32, [4, 3]).expect("w"));
            assert_eq!(g.layer(&x, &w, LayerOptions::default()).expect_err("no such operator").kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn a_layer_is_refused_what_does_not_fit() {
        let mut g = graph();
        let mut input = |name: &str, shape: &[usize]| g.input(name, DType::F32, Shape::fixed(shape)).expect("new");
        let (x, w, bias, other) = (input("x", &[2, 5, 3]), input("w", &[4, 3]), input("b", &[4]), input("o", &[3]));
        let residual = input("r", &[2, 5, 4]);
        let options = LayerOptions { bias: Some(&bias), residual: Some(&residual), ..LayerOptions::default() };
        assert_eq!(g.layer(&x, &w, options).expect("it fits").shape().known(), Some(vec![2, 5, 4]));
        for wrong in [
            LayerOptions { bias: Some(&other), ..options },
            LayerOptions { residual: Some(&x), ..options },
            LayerOptions { norm: Some(LayerNorm { weight: &bias, bias: &other, epsilon: 0.0 }), ..options },
        ] {
            assert_eq!(g.layer(&x, &w, wrong).expect_err("unfit").kind(), ErrorKind::Shape);
        }
        assert_eq!(g.layer(&x, &x, options).expect_err("no matrix").kind(), ErrorKind::Shape);
    }

    #[test]
    fn two_layers_go_there_and_back() {
        let mut g = graph();
        let mut input = |name: &str, shape: &[usize]| g.input(name, DType::F32, Shape::fixed(shape)).expect("new");
        let (x, first, second) = (input("x", &[2, 5, 3]), input("first", &[4, 3]), input("second", &[3, 4]));
        let (three, four) = (input("three", &[3]), input("four", &[4]));
        let norm = LayerNorm { weight: &three, bias: &three, epsilon: 0.0 };
        let layers = MlpLayers { norm, weights: [&first, &second], biases: [&four, &three], activation: LayerActivation::Gelu };
        assert_eq!(g.mlp(&x, layers).expect("it fits").shape().known(), Some(vec![2, 5, 3]));
        for wrong in [
            MlpLayers { weights: [&first, &first], ..layers },
            MlpLayers { weights: [&second, &first], ..layers },
            MlpLayers { biases: [&three, &three], ..layers },
            MlpLayers { norm: LayerNorm { bias: &four, ..norm }, ..layers },
        ] {
            assert_eq!(g.mlp(&x, wrong).expect_err("unfit").kind(), ErrorKind::Shape);
        }
        let mut other = Graph::new("g", Dialect::Native);
        assert_eq!(other.mlp(&x, layers).expect_err("no such operator").kind(), ErrorKind::Invalid);
    }

    #[test]
    fn heads_lie_within_their_rows() {
        let mut g = graph();
        let rows = g.input("x", DType::F32, Shape::fixed(&[2, 6, 5, 24])).expect("rows");
        let padding = g.input("p", DType::F32, Shape::fixed(&[24])).expect("padding");
        let at = |offset| Heads { rows: &rows, offset };
        let windows = Some(Windows { side: 4, padding: &padding });
        let of = AttentionInPlace { queries: at(0), keys: at(8), values: at(16), windows, ..AttentionInPlace::of([&rows; 3], [2, 4]) };
        assert_eq!(g.attention_in_place(of).expect("it fits").shape().known(), Some(vec![2, 6, 5, 8]));
        for wrong in [AttentionInPlace { values: at(17), ..of }, AttentionInPlace { heads: 7, ..of }, AttentionInPlace { heads: 0, ..of }] {
            assert_eq!(g.attention_in_place(wrong).expect_err("unfit").kind(), ErrorKind::Shape);
        }
    }
}
