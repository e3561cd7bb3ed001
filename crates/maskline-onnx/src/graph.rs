//! The graph under construction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::proto::AttributeProto;
use crate::{Constant, DType, Error, ErrorKind, Result, Shape, fold};

/// Which operators a graph may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// Also the fused `com.microsoft` operators of ONNX Runtime.
    #[default]
    Ort,
    /// Also operators of maskline's own, which its runtime brings and processors run.
    Native,
    /// Standard operators only: TensorRT, OpenVINO and others.
    Portable,
}

impl Dialect {
    /// Stable name, as in file names and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ort => "ort",
            Self::Native => "native",
            Self::Portable => "portable",
        }
    }
}

/// A tensor in a [`Graph`]: a cheap handle that knows its element type and shape.
#[derive(Debug, Clone)]
pub struct Value {
    pub(crate) graph: u32,
    pub(crate) id: usize,
    dtype: DType,
    shape: Arc<Shape>,
}

impl Value {
    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }
}

/// Where a value comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Input(String),
    Constant(usize),
    Node,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) scope: String,
    /// Value ids; `None` is an optional input that is not given.
    pub(crate) inputs: Vec<Option<usize>>,
    pub(crate) output: usize,
    pub(crate) attributes: Vec<AttributeProto>,
    /// Whether it stays f32, whatever precision the model gets.
    pub(crate) is_full: bool,
}

#[derive(Debug)]
pub(crate) struct ValueInfo {
    pub(crate) source: Source,
    pub(crate) dtype: DType,
    pub(crate) shape: Arc<Shape>,
}

/// A graph under construction; `'w` is the life of the weights that it borrows.
#[derive(Debug)]
pub struct Graph<'w> {
    id: u32,
    pub(crate) name: String,
    pub(crate) dialect: Dialect,
    scope: Vec<String>,
    /// Whether what is emitted now stays f32.
    is_full: bool,
    pub(crate) has_own_layers: bool,
    pub(crate) values: Vec<ValueInfo>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) constants: Vec<Constant<'w>>,
    /// Content hash → value, so that equal constants are stored once.
    pub(crate) known_constants: HashMap<blake3::Hash, usize>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<(String, usize)>,
    pub(crate) metadata: Vec<(String, String)>,
}

/// An operator about to be emitted.
pub(crate) struct Op<'a> {
    pub(crate) kind: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) inputs: Vec<Option<&'a Value>>,
    pub(crate) attributes: Vec<AttributeProto>,
}

/// An operator that stands where a node of another graph stood.
pub(crate) struct Placed<'a> {
    pub(crate) op: Op<'a>,
    pub(crate) scope: String,
    pub(crate) is_full: bool,
}

impl<'a> Op<'a> {
    pub(crate) fn new(kind: &'static str, inputs: &[&'a Value]) -> Self {
        Self { kind, domain: "", inputs: inputs.iter().map(|v| Some(*v)).collect(), attributes: Vec::new() }
    }

    /// An operator of the `com.microsoft` domain.
    pub(crate) fn microsoft(kind: &'static str, inputs: &[&'a Value]) -> Self {
        Self { domain: "com.microsoft", ..Self::new(kind, inputs) }
    }

    /// An operator of maskline's own, see `maskline_runtime::OPERATORS`.
    pub(crate) fn own(kind: &'static str, inputs: &[&'a Value]) -> Self {
        Self { domain: crate::OWN_DOMAIN, ..Self::new(kind, inputs) }
    }

    pub(crate) fn optional(mut self, input: Option<&'a Value>) -> Self {
        self.inputs.push(input);
        self
    }

    pub(crate) fn int(mut self, name: &str, value: i64) -> Self {
        self.attributes.push(AttributeProto { name: name.into(), i: Some(value), r#type: 2, ..Default::default() });
        self
    }

    pub(crate) fn float(mut self, name: &str, value: f32) -> Self {
        self.attributes.push(AttributeProto { name: name.into(), f: Some(value), r#type: 1, ..Default::default() });
        self
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.attributes.push(AttributeProto { name: name.into(), s: Some(value.into()), r#type: 3, ..Default::default() });
        self
    }

    pub(crate) fn ints(mut self, name: &str, values: impl IntoIterator<Item = i64>) -> Self {
        self.attributes.push(AttributeProto { name: name.into(), ints: values.into_iter().collect(), r#type: 7, ..Default::default() });
        self
    }
}

impl<'w> Graph<'w> {
    /// An empty graph.
    pub fn new(name: &str, dialect: Dialect) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name: name.into(),
            dialect,
            scope: Vec::new(),
            is_full: false,
            has_own_layers: false,
            values: Vec::new(),
            nodes: Vec::new(),
            constants: Vec::new(),
            known_constants: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            metadata: Vec::new(),
        }
    }

    /// Lets layers be maskline's own operators, in the dialect that has them.
    #[must_use]
    pub fn with_own_layers(self, wished: bool) -> Self {
        Self { has_own_layers: wished && self.dialect == Dialect::Native, ..self }
    }

    /// Whether layers are to be maskline's own operators.
    pub fn has_own_layers(&self) -> bool {
        self.has_own_layers
    }

    /// The dialect that this graph is written in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Runs `build` inside a named scope: nodes and errors carry its dotted path.
    pub fn scoped<T, E>(&mut self, name: impl std::fmt::Display, build: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.scope.push(name.to_string());
        let result = build(self);
        self.scope.pop();
        result
    }

    /// Runs `build`, whose operators stay f32 whatever precision the model gets ([`Model::in_half`](crate::Model::in_half)).
    pub fn full_precision<T, E>(&mut self, build: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let before = std::mem::replace(&mut self.is_full, true);
        let result = build(self);
        self.is_full = before;
        result
    }

    /// Dotted path of the current scope.
    pub fn scope_path(&self) -> String {
        self.scope.join(".")
    }

    /// Adds an input.
    ///
    /// # Errors
    /// `Invalid` if the name is taken.
    pub fn input(&mut self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Result<Value> {
        if self.inputs.iter().any(|id| matches!(&self.values[*id].source, Source::Input(n) if n == name)) {
            return Err(self.fail("input", ErrorKind::Invalid, format!("`{name}` is already an input")));
        }
        let value = self.add_value(Source::Input(name.into()), dtype, shape.into());
        self.inputs.push(value.id);
        Ok(value)
    }

    /// Names a value as an output of the graph.
    ///
    /// # Errors
    /// `Invalid` if the name is taken by another output or an input.
    pub fn output(&mut self, name: &str, value: &Value) -> Result<()> {
        let taken = self.outputs.iter().any(|(n, _)| n == name)
            || self.inputs.iter().any(|id| matches!(&self.values[*id].source, Source::Input(n) if n == name));
        if taken {
            return Err(self.fail("output", ErrorKind::Invalid, format!("`{name}` is already an input or output")));
        }
        // An input, a constant or an output of another name cannot be renamed: it passes through a node.
        let plain = matches!(self.values[value.id].source, Source::Node) && self.outputs.iter().all(|(_, id)| *id != value.id);
        let id = if plain { value.id } else { self.passed(value).id };
        self.outputs.push((name.into(), id));
        Ok(())
    }

    /// A value behind a node. Of a constant, one that needs the inputs' sizes: ONNX Runtime folds an `Identity`, and OpenVINO cannot read a
    /// graph with an output that nothing computes.
    fn passed(&mut self, value: &Value) -> Value {
        let (dtype, shape) = (value.dtype, value.shape().clone());
        let free = |id: &usize| Some((*id, self.values[*id].shape.0.iter().position(|dim| dim.known().is_none())?));
        let is_constant = self.as_constant(value).is_some();
        let Some((input, at)) = self.inputs.iter().find_map(free).filter(|_| is_constant && self.dialect == Dialect::Portable) else {
            return self.emit_unfolded(Op::new("Identity", &[value]), dtype, shape);
        };
        let (input, at) = (self.handle(input), at as i64);
        let size = self.emit_unfolded(Op::new("Shape", &[&input]).int("start", at).int("end", at + 1), DType::I64, Shape::fixed(&[1]));
        let one = self.constant(Constant::i64s(&[1]));
        let one = self.emit_unfolded(Op::new("Min", &[&size, &one]), DType::I64, Shape::fixed(&[1]));
        self.emit_unfolded(Op::new("Expand", &[value, &one]), dtype, shape)
    }

    /// Adds an entry to the model's metadata.
    pub fn metadata(&mut self, key: &str, value: &str) {
        self.metadata.push((key.into(), value.into()));
    }

    /// A constant; an equal one that is already there is used again.
    pub fn constant(&mut self, constant: Constant<'w>) -> Value {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{} {:?}", constant.dtype, constant.shape).as_bytes()).update(&constant.bytes);
        let hash = hasher.finalize();
        if let Some(id) = self.known_constants.get(&hash) {
            return self.handle(*id);
        }
        let (dtype, shape) = (constant.dtype, constant.symbolic_shape());
        self.constants.push(constant);
        let value = self.add_value(Source::Constant(self.constants.len() - 1), dtype, shape);
        self.known_constants.insert(hash, value.id);
        value
    }

    /// A constant of half precision as f32: it stays what it is where the model is stored, and is converted where it is opened.
    pub fn widened(&mut self, constant: Constant<'w>) -> Value {
        let half = self.constant(constant);
        if half.dtype() == DType::F32 {
            return half;
        }
        self.cast_later(&half, DType::F32)
    }

    /// A value in another type, which also of a constant is made where the model is opened.
    pub(crate) fn cast_later(&mut self, x: &Value, dtype: DType) -> Value {
        let cast = Op::new("Cast", &[x]).int("to", i64::from(dtype.code()));
        self.emit_unfolded(cast, dtype, x.shape().clone())
    }

    /// An f32 constant without dimensions.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.constant(Constant { dtype: DType::F32, shape: vec![], bytes: value.to_le_bytes().to_vec().into(), span: None })
    }

    /// A one-dimensional i64 constant: shapes, axes, indices.
    pub fn i64s(&mut self, values: &[i64]) -> Value {
        self.constant(Constant::i64s(values))
    }

    /// The constant behind a value, if it is one.
    pub fn as_constant(&self, value: &Value) -> Option<&Constant<'w>> {
        self.constant_of(value.id)
    }

    /// The constant that a value is, by its number.
    pub(crate) fn constant_of(&self, id: usize) -> Option<&Constant<'w>> {
        match self.values[id].source {
            Source::Constant(i) => Some(&self.constants[i]),
            _ => None,
        }
    }

    pub(crate) fn handle(&self, id: usize) -> Value {
        let info = &self.values[id];
        Value { graph: self.id, id, dtype: info.dtype, shape: info.shape.clone() }
    }

    fn add_value(&mut self, source: Source, dtype: DType, shape: Shape) -> Value {
        self.values.push(ValueInfo { source, dtype, shape: Arc::new(shape) });
        self.handle(self.values.len() - 1)
    }

    /// Emits a node, or the constant that it evaluates to.
    pub(crate) fn emit(&mut self, op: Op<'_>, dtype: DType, shape: Shape) -> Value {
        if let Some(size) = shape.known() {
            let constants: Option<Vec<Option<&Constant<'w>>>> =
                op.inputs.iter().map(|v| v.map_or(Some(None), |v| self.as_constant(v).map(Some))).collect();
            if let Some(folded) = constants.and_then(|inputs| fold::evaluate(&op, &inputs, dtype, &size)) {
                return self.constant(folded);
            }
        }
        self.emit_unfolded(op, dtype, shape)
    }

    pub(crate) fn emit_unfolded(&mut self, op: Op<'_>, dtype: DType, shape: Shape) -> Value {
        assert!(op.inputs.iter().flatten().all(|v| v.graph == self.id), "{}: a value of another graph", op.kind);
        let value = self.add_value(Source::Node, dtype, shape);
        let mut inputs: Vec<Option<usize>> = op.inputs.iter().map(|v| v.map(|v| v.id)).collect();
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        let Op { kind, domain, attributes, .. } = op;
        let (scope, is_full) = (self.scope_path(), self.is_full);
        self.nodes.push(Node { kind, domain, scope, inputs, output: value.id, attributes, is_full });
        value
    }

    /// Emits a node at the place of another graph's node.
    pub(crate) fn emit_like(&mut self, place: Placed<'_>, dtype: DType, shape: Shape) -> Value {
        let Placed { op, scope, is_full } = place;
        let before = (std::mem::replace(&mut self.scope, vec![scope]), std::mem::replace(&mut self.is_full, is_full));
        let value = self.emit_unfolded(op, dtype, shape);
        (self.scope, self.is_full) = before;
        value
    }

    pub(crate) fn fail(&self, operator: &str, kind: ErrorKind, message: impl Into<String>) -> Error {
        let mut scope = self.scope_path();
        if !scope.is_empty() {
            scope.push('.');
        }
        Error::new(kind, message).in_scope(scope + operator)
    }

    /// Refuses operands of different element types.
    pub(crate) fn same_dtype(&self, operator: &str, values: &[&Value]) -> Result<DType> {
        let first = values[0].dtype;
        match values.iter().find(|v| v.dtype != first) {
            Some(other) => Err(self.fail(operator, ErrorKind::DType, format!("operands are {first} and {}", other.dtype))),
            None => Ok(first),
        }
    }

    pub(crate) fn float_only(&self, operator: &str, value: &Value) -> Result<DType> {
        if value.dtype.is_float() {
            return Ok(value.dtype);
        }
        Err(self.fail(operator, ErrorKind::DType, "").expecting("a float tensor").finding(value.dtype))
    }

    /// Turns an axis that may count from the end into an index.
    pub(crate) fn axis(&self, operator: &str, value: &Value, axis: isize) -> Result<usize> {
        let rank = value.rank() as isize;
        let index = if axis < 0 { axis + rank } else { axis };
        if (0..rank).contains(&index) {
            return Ok(index as usize);
        }
        Err(self.fail(operator, ErrorKind::Invalid, format!("axis {axis} is outside {}", value.shape())))
    }
}
