//! Elementwise operators with NumPy broadcasting.

use crate::graph::{Dialect, Op};
use crate::{Constant, DType, ErrorKind, Graph, Result, Value};

/// The two forms of GELU (Hendrycks & Gimpel 2016).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeluForm {
    /// With the error function.
    Exact,
    /// The tanh approximation.
    Tanh,
}

macro_rules! binary {
    ($($(#[$doc:meta])* $method:ident => $kind:literal;)*) => {
        impl<'w> Graph<'w> {
            $($(#[$doc])*
            ///
            /// # Errors
            /// `Shape` if the operands do not broadcast, `DType` if their types differ.
            pub fn $method(&mut self, a: &Value, b: &Value) -> Result<Value> {
                self.binary($kind, a, b, None)
            })*
        }
    };
}

binary! {
    /// `a + b`.
    add => "Add";
    /// `a - b`.
    sub => "Sub";
    /// `a * b`.
    mul => "Mul";
    /// `a / b`.
    div => "Div";
    /// `a` to the power `b`.
    pow => "Pow";
    /// The smaller of both.
    minimum => "Min";
    /// The larger of both.
    maximum => "Max";
}

macro_rules! comparison {
    ($($(#[$doc:meta])* $method:ident => $kind:literal;)*) => {
        impl<'w> Graph<'w> {
            $($(#[$doc])*
            ///
            /// # Errors
            /// `Shape` if the operands do not broadcast, `DType` if their types differ.
            pub fn $method(&mut self, a: &Value, b: &Value) -> Result<Value> {
                self.binary($kind, a, b, Some(DType::Bool))
            })*
        }
    };
}

comparison! {
    /// `a == b`, as bool.
    equal => "Equal";
    /// `a > b`, as bool.
    greater => "Greater";
    /// `a < b`, as bool.
    less => "Less";
}

macro_rules! unary {
    ($($(#[$doc:meta])* $method:ident => $kind:literal;)*) => {
        impl<'w> Graph<'w> {
            $($(#[$doc])*
            ///
            /// # Errors
            /// `DType` if `x` is not a float tensor.
            pub fn $method(&mut self, x: &Value) -> Result<Value> {
                let dtype = self.float_only($kind, x)?;
                Ok(self.emit(Op::new($kind, &[x]), dtype, x.shape().clone()))
            })*
        }
    };
}

unary! {
    /// `-x`.
    neg => "Neg";
    /// Absolute value.
    abs => "Abs";
    /// `eˣ`.
    exp => "Exp";
    /// Natural logarithm.
    log => "Log";
    /// Square root.
    sqrt => "Sqrt";
    /// `1 / x`.
    reciprocal => "Reciprocal";
    /// Gauss error function.
    erf => "Erf";
    /// Logistic function.
    sigmoid => "Sigmoid";
    /// Hyperbolic tangent.
    tanh => "Tanh";
    /// `max(x, 0)`.
    relu => "Relu";
    /// `x * clip(x / 6 + 1/2, 0, 1)` (Howard et al. 2019).
    hard_swish => "HardSwish";
    /// `x * tanh(ln(1 + eˣ))` (Misra 2019).
    mish => "Mish";
    /// `1.0507 * (max(x, 0) + min(1.67326 * (eˣ - 1), 0))` (Klambauer et al. 2017).
    selu => "Selu";
    /// `ln(1 + eˣ)`.
    softplus => "Softplus";
    /// `x / (1 + |x|)`.
    softsign => "Softsign";
    /// Sine.
    sin => "Sin";
    /// Cosine.
    cos => "Cos";
    /// The largest integer not above `x`.
    floor => "Floor";
}

impl<'w> Graph<'w> {
    fn binary(&mut self, kind: &'static str, a: &Value, b: &Value, result: Option<DType>) -> Result<Value> {
        let dtype = self.same_dtype(kind, &[a, b])?;
        let Some(shape) = a.shape().broadcast(b.shape()) else {
            let message = format!("{} and {} do not broadcast", a.shape(), b.shape());
            return Err(self.fail(kind, ErrorKind::Shape, message));
        };
        if result.is_none() && self.is_neutral(kind, b) && shape == *a.shape() {
            return Ok(a.clone());
        }
        Ok(self.emit(Op::new(kind, &[a, b]), result.unwrap_or(dtype), shape))
    }

    /// Whether every element of `b` leaves the other operand unchanged.
    fn is_neutral(&self, kind: &str, b: &Value) -> bool {
        let neutral = match kind {
            // Adding 0 turns -0 into 0, which compares equal; multiplying keeps every bit.
            "Add" | "Sub" => 0.0,
            "Mul" | "Div" | "Pow" => 1.0,
            _ => return false,
        };
        let small = |c: &&Constant<'w>| c.len() <= 4096 && !c.is_empty();
        self.as_constant(b).filter(small).and_then(Constant::floats).is_some_and(|v| v.iter().all(|x| *x == neutral))
    }

    /// `x * sigmoid(x)` (SiLU, also Swish).
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor.
    pub fn silu(&mut self, x: &Value) -> Result<Value> {
        let gate = self.sigmoid(x)?;
        self.mul(x, &gate)
    }

    /// Gaussian error linear unit.
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor.
    pub fn gelu(&mut self, x: &Value, form: GeluForm) -> Result<Value> {
        let dtype = self.float_only("Gelu", x)?;
        let approximate = match form {
            GeluForm::Exact => "none",
            GeluForm::Tanh => "tanh",
        };
        Ok(self.emit(Op::new("Gelu", &[x]).text("approximate", approximate), dtype, x.shape().clone()))
    }

    /// GELU (exact form) of `x + bias`, `bias` as long as the last axis: in the `ort` dialect one pass over `x`.
    ///
    /// # Errors
    /// `Shape` if `bias` does not fit, `DType` if `x` is not a float tensor.
    pub fn bias_gelu(&mut self, x: &Value, bias: &Value) -> Result<Value> {
        let dtype = self.float_only("BiasGelu", x)?;
        if bias.rank() != 1 || x.shape().0.last() != bias.shape().0.first() || self.dialect == Dialect::Portable {
            let shifted = self.add(x, bias)?;
            return self.gelu(&shifted, GeluForm::Exact);
        }
        self.same_dtype("BiasGelu", &[x, bias])?;
        Ok(self.emit(Op::microsoft("BiasGelu", &[x, bias]), dtype, x.shape().clone()))
    }

    /// `x * sigmoid(1.702 x)`, the activation of CLIP.
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor.
    pub fn quick_gelu(&mut self, x: &Value) -> Result<Value> {
        const ALPHA: f32 = 1.702;
        let dtype = self.float_only("QuickGelu", x)?;
        if self.dialect != Dialect::Portable {
            let op = Op::microsoft("QuickGelu", &[x]).float("alpha", ALPHA);
            return Ok(self.emit(op, dtype, x.shape().clone()));
        }
        let alpha = self.scalar_of(ALPHA, dtype)?;
        let scaled = self.mul(x, &alpha)?;
        let gate = self.sigmoid(&scaled)?;
        self.mul(x, &gate)
    }

    /// `x` where it is positive, else `slope * x`.
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor.
    pub fn leaky_relu(&mut self, x: &Value, slope: f32) -> Result<Value> {
        let dtype = self.float_only("LeakyRelu", x)?;
        Ok(self.emit(Op::new("LeakyRelu", &[x]).float("alpha", slope), dtype, x.shape().clone()))
    }

    /// `x` where it is positive, else `alpha * (eˣ - 1)` (Clevert et al. 2016).
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor.
    pub fn elu(&mut self, x: &Value, alpha: f32) -> Result<Value> {
        let dtype = self.float_only("Elu", x)?;
        Ok(self.emit(Op::new("Elu", &[x]).float("alpha", alpha), dtype, x.shape().clone()))
    }

    /// `max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)` (Barron 2017).
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor, `Invalid` for an `alpha` of 0.
    pub fn celu(&mut self, x: &Value, alpha: f32) -> Result<Value> {
        let dtype = self.float_only("Celu", x)?;
        if alpha == 0.0 || !alpha.is_finite() {
            return Err(self.fail("Celu", ErrorKind::Invalid, "").expecting("an alpha other than 0").finding(alpha));
        }
        Ok(self.emit(Op::new("Celu", &[x]).float("alpha", alpha), dtype, x.shape().clone()))
    }

    /// `clip(x / 6 + 1/2, 0, 1)`.
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor.
    pub fn hard_sigmoid(&mut self, x: &Value) -> Result<Value> {
        let dtype = self.float_only("HardSigmoid", x)?;
        Ok(self.emit(Op::new("HardSigmoid", &[x]).float("alpha", 1.0 / 6.0).float("beta", 0.5), dtype, x.shape().clone()))
    }

    /// `x` where it is positive, else `slope * x`; `slope` broadcasts to `x`.
    ///
    /// # Errors
    /// `Shape` if the slope does not broadcast to `x`, `DType` if it has another type.
    pub fn prelu(&mut self, x: &Value, slope: &Value) -> Result<Value> {
        let dtype = self.same_dtype("PRelu", &[x, slope])?;
        self.float_only("PRelu", x)?;
        if x.shape().broadcast(slope.shape()).as_ref() != Some(x.shape()) {
            let message = format!("{} does not broadcast to {}", slope.shape(), x.shape());
            return Err(self.fail("PRelu", ErrorKind::Shape, message));
        }
        Ok(self.emit(Op::new("PRelu", &[x, slope]), dtype, x.shape().clone()))
    }

    /// `x` limited to `low..=high`.
    ///
    /// # Errors
    /// `DType` if `x` is not a float tensor, `Invalid` if `low > high`.
    pub fn clip(&mut self, x: &Value, low: f32, high: f32) -> Result<Value> {
        let dtype = self.float_only("Clip", x)?;
        if low.is_nan() || high.is_nan() || low > high {
            return Err(self.fail("Clip", ErrorKind::Invalid, format!("the range {low}..={high} is empty")));
        }
        let (low, high) = (self.scalar_of(low, dtype)?, self.scalar_of(high, dtype)?);
        Ok(self.emit(Op::new("Clip", &[x, &low, &high]), dtype, x.shape().clone()))
    }

    /// `a` where `condition` holds, else `b`.
    ///
    /// # Errors
    /// `Shape` if the operands do not broadcast, `DType` if the condition is not bool or `a` and `b` differ.
    pub fn select(&mut self, condition: &Value, a: &Value, b: &Value) -> Result<Value> {
        let dtype = self.same_dtype("Where", &[a, b])?;
        if condition.dtype() != DType::Bool {
            return Err(self.fail("Where", ErrorKind::DType, "").expecting("a bool condition").finding(condition.dtype()));
        }
        let shape = a.shape().broadcast(b.shape()).and_then(|s| s.broadcast(condition.shape()));
        let Some(shape) = shape else {
            let message = format!("{}, {} and {} do not broadcast", condition.shape(), a.shape(), b.shape());
            return Err(self.fail("Where", ErrorKind::Shape, message));
        };
        Ok(self.emit(Op::new("Where", &[condition, a, b]), dtype, shape))
    }

    /// The logical opposite of a bool tensor.
    ///
    /// # Errors
    /// `DType` if `x` is not bool.
    pub fn not(&mut self, x: &Value) -> Result<Value> {
        if x.dtype() != DType::Bool {
            return Err(self.fail("Not", ErrorKind::DType, "").expecting("a bool tensor").finding(x.dtype()));
        }
        Ok(self.emit(Op::new("Not", &[x]), DType::Bool, x.shape().clone()))
    }

    /// The same values in another element type.
    ///
    /// # Errors
    /// None today; kept fallible like its neighbours.
    pub fn cast(&mut self, x: &Value, dtype: DType) -> Result<Value> {
        if x.dtype() == dtype {
            return Ok(x.clone());
        }
        Ok(self.emit(Op::new("Cast", &[x]).int("to", i64::from(dtype.code())), dtype, x.shape().clone()))
    }

    /// A float constant without dimensions in the given float type.
    pub(crate) fn scalar_of(&mut self, value: f32, dtype: DType) -> Result<Value> {
        let value = self.scalar(value);
        self.cast(&value, dtype)
    }
}
