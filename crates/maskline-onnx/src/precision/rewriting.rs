//! Writing a graph again, node by node, with other element types.

use std::collections::HashMap;

use crate::graph::{Node, Op, Placed, Source, ValueInfo};
use crate::{Constant, DType, ErrorKind, Graph, Model, Result, Value};

/// A graph that is being written again.
pub(super) struct Rewriting<'w> {
    values: Vec<ValueInfo>,
    constants: Vec<Constant<'w>>,
    outputs: Vec<(String, usize)>,
    new: Graph<'w>,
    /// What stands for a value of the old graph, in each type that was asked for.
    written: HashMap<(usize, DType), Value>,
    /// The type in which each value that is no constant was first written.
    natural: HashMap<usize, DType>,
    /// Constants that are stored in f16 and used in f32.
    widened: HashMap<usize, Value>,
    /// Whether f16 is written as f32 that was rounded to it.
    is_emulated: bool,
}

impl<'w> Rewriting<'w> {
    /// Nothing is written yet but the inputs; the old nodes come with it.
    pub(super) fn of(mut old: Graph<'w>, is_emulated: bool) -> Result<(Self, Vec<Node>)> {
        let mut new = Graph::new(&old.name, old.dialect);
        new.metadata = std::mem::take(&mut old.metadata);
        let (mut written, mut natural) = (HashMap::new(), HashMap::new());
        for id in &old.inputs {
            let ValueInfo { source, dtype, shape } = &old.values[*id];
            if let Source::Input(name) = source {
                written.insert((*id, *dtype), new.input(name, *dtype, (**shape).clone())?);
                natural.insert(*id, *dtype);
            }
        }
        let Graph { values, constants, outputs, nodes, .. } = old;
        Ok((Self { values, constants, outputs, new, written, natural, widened: HashMap::new(), is_emulated }, nodes))
    }

    /// The old graph's type of a value.
    pub(super) fn dtype(&self, id: usize) -> DType {
        self.values[id].dtype
    }

    /// The constant that a value of the old graph is, if it is one.
    pub(super) fn constant(&self, id: usize) -> Option<&Constant<'w>> {
        match self.values[id].source {
            Source::Constant(index) => Some(&self.constants[index]),
            _ => None,
        }
    }

    /// The type in which a value was computed; of a constant, its own.
    pub(super) fn natural(&self, id: usize) -> DType {
        self.natural.get(&id).copied().unwrap_or_else(|| self.dtype(id))
    }

    /// A value in a type: as it was written, or cast from there. Constants are rounded here.
    pub(super) fn value(&mut self, id: usize, dtype: DType) -> Result<Value> {
        if let Some(value) = self.written.get(&(id, dtype)) {
            return Ok(value.clone());
        }
        let value = match self.constant(id) {
            Some(constant) if constant.dtype == dtype => {
                let constant = constant.clone();
                let value = self.new.constant(constant);
                if self.is_emulated && dtype == DType::F16 { self.new.cast_later(&value, DType::F32) } else { value }
            }
            Some(constant) => match constant.converted(dtype) {
                Some(converted) => {
                    let value = self.new.constant(converted);
                    if self.is_emulated && dtype == DType::F16 { self.new.cast(&value, DType::F32)? } else { value }
                }
                None => return Err(self.new.fail("precision", ErrorKind::DType, format!("a constant cannot become {dtype}"))),
            },
            None => {
                let natural = self.natural(id);
                let Some(written) = self.written.get(&(id, natural)).cloned() else {
                    return Err(self.new.fail("precision", ErrorKind::Invalid, "a value is used before it is made"));
                };
                match dtype {
                    DType::F16 if self.is_emulated => self.rounded(&written),
                    DType::F32 if self.is_emulated => written,
                    dtype => self.new.cast_later(&written, dtype),
                }
            }
        };
        self.written.insert((id, dtype), value.clone());
        Ok(value)
    }

    /// A constant in f32 that is stored rounded to f16.
    pub(super) fn widened(&mut self, id: usize) -> Result<Value> {
        let half = self.value(id, DType::F16)?;
        if let Some(value) = self.widened.get(&id) {
            return Ok(value.clone());
        }
        let value = self.new.cast_later(&half, DType::F32);
        self.widened.insert(id, value.clone());
        Ok(value)
    }

    /// Says that the old value was written as this one, of this type.
    pub(super) fn stands_for(&mut self, id: usize, value: Value, dtype: DType) {
        self.natural.insert(id, dtype);
        self.written.insert((id, dtype), value);
    }

    /// The graph as far as it is written.
    pub(super) fn graph(&mut self) -> &mut Graph<'w> {
        &mut self.new
    }

    /// Writes an old node as it is.
    pub(super) fn copy(&mut self, node: Node) -> Result<()> {
        let inputs = node.inputs.iter().map(|id| id.map(|id| self.value(id, self.dtype(id))).transpose()).collect::<Result<Vec<_>>>()?;
        let dtype = self.dtype(node.output);
        self.emit(node, &inputs, dtype);
        Ok(())
    }

    /// Writes an old node with new inputs; `dtype` is its result's.
    pub(super) fn emit(&mut self, node: Node, inputs: &[Option<Value>], dtype: DType) {
        let Node { kind, domain, scope, output, attributes, is_full, .. } = node;
        let op = Op { kind, domain, inputs: inputs.iter().map(Option::as_ref).collect(), attributes };
        let shape = (*self.values[output].shape).clone();
        if self.is_emulated && dtype == DType::F16 {
            let value = self.new.emit_like(Placed { op, scope, is_full }, DType::F32, shape);
            let value = self.rounded(&value);
            self.stands_for(output, value, dtype);
            return;
        }
        let value = self.new.emit_like(Placed { op, scope, is_full }, dtype, shape);
        self.stands_for(output, value, dtype);
    }

    /// A value in f32, rounded to f16.
    fn rounded(&mut self, value: &Value) -> Value {
        let half = self.new.cast_later(value, DType::F16);
        self.new.cast_later(&half, DType::F32)
    }

    /// The new graph, with the outputs of the old one.
    pub(super) fn finish(mut self) -> Result<Model<'w>> {
        for (name, id) in std::mem::take(&mut self.outputs) {
            let value = self.value(id, self.dtype(id))?;
            self.new.output(&name, &value)?;
        }
        self.new.finish()
    }
}
