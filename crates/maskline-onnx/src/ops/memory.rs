//! maskline's own operators.

use super::AttentionOptions;
use crate::graph::{Dialect, Op};
use crate::{ErrorKind, Graph, Result, Shape, Value};

/// What [`Graph::memory_attention`] looks from and at; T = `grid`² cells, O objects, n memories, p pointers.
#[derive(Debug, Clone, Copy)]
pub struct MemoryAttention<'a> {
    /// [1 or O, T, C], before they are turned by their places.
    pub queries: &'a Value,
    /// [O, T, n, M]: memories with what tells their place and age, and as they are; all of a cell lie together.
    pub memories: [&'a Value; 2],
    /// [O, p, M]: pointers with what tells their age, and as they are.
    pub pointers: [&'a Value; 2],
    /// Weight `[C, M]` and bias `[C]` of the projection to keys.
    pub keys: [&'a Value; 2],
    /// Side of the grid.
    pub grid: usize,
    /// Base of the rotary frequencies.
    pub theta: f32,
}

impl<'w> Graph<'w> {
    /// Whether graphs may have maskline's own operators, which a processor runs.
    pub fn has_own_operators(&self) -> bool {
        self.dialect == Dialect::Native
    }

    /// Attention with one head: `q` [B, N, C], `k` [B, M, C], `v` [B, M, D] → [B, N, D]. As [`Graph::attention`], but in the `native` dialect by
    /// maskline's own operator, which is faster where rows are long and heads wide.
    ///
    /// # Errors
    /// `Shape` if the operands do not fit.
    pub fn wide_attention(&mut self, [q, k, v]: [&Value; 3]) -> Result<Value> {
        let Some(width) = q.shape().0.last().and_then(crate::Dim::known).filter(|_| self.has_own_operators()) else {
            return self.attention([q, k, v], &AttentionOptions { heads: 1, scale: None });
        };
        let (dtype, shape) = self.attended([q, k, v])?;
        let op = Op::own("Attention", &[q, k, v]).float("scale", 1.0 / (width as f32).sqrt());
        Ok(self.emit(op, dtype, shape))
    }

    /// Attention with one head to memories on the grid of the queries, both turned by their places by axes (rotary), and to pointers without
    /// a place: → [O, T, M], the weighted memories and pointers as they are, not projected.
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` in another dialect than `native`.
    pub fn memory_attention(&mut self, of: MemoryAttention<'_>) -> Result<Value> {
        let MemoryAttention {
            queries, memories: [memory_keys, memories], pointers: [pointer_keys, pointers], keys: [weight, bias], ..
        } = of;
        let operands = [queries, memory_keys, memories, pointer_keys, pointers, weight, bias];
        let dtype = self.same_dtype("MemoryAttention", &operands)?;
        if !self.has_own_operators() {
            return Err(self.fail("MemoryAttention", ErrorKind::Invalid, "only the native dialect has this operator"));
        }
        let ranks = operands.map(Value::rank) == [3, 4, 4, 3, 3, 2, 1];
        let fits = ranks
            && memory_keys.shape() == memories.shape()
            && pointer_keys.shape() == pointers.shape()
            && (queries.shape()[0].is_one() || queries.shape()[0] == memories.shape()[0])
            && queries.shape()[1].known() == Some(of.grid * of.grid)
            && queries.shape()[1] == memories.shape()[1]
            && queries.shape()[2] == weight.shape()[0]
            && weight.shape()[0] == bias.shape()[0]
            && [&memories.shape()[3], &pointers.shape()[2]].iter().all(|width| **width == weight.shape()[1]);
        if !fits {
            let shapes: Vec<String> = operands.iter().map(|operand| operand.shape().to_string()).collect();
            return Err(self.fail("MemoryAttention", ErrorKind::Shape, format!("{} do not fit", shapes.join(", "))));
        }
        let shape = Shape(vec![memories.shape()[0].clone(), queries.shape()[1].clone(), weight.shape()[1].clone()]);
        let op = Op::own("MemoryAttention", &operands).int("grid", of.grid as i64).float("theta", of.theta);
        Ok(self.emit(op, dtype, shape))
    }
}
