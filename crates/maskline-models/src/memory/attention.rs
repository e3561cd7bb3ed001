//! Memory attention: the features of a picture look at themselves and at what is remembered of an object.
//!
//! With one head, which is wider than a memory (256 against 64), the weights of the attention are applied to the memories as they are, and
//! what comes out is projected: `(A m) Wᵥ + bᵥ` is `A (m Wᵥ + bᵥ)`, as the weights of a row add up to 1, at a quarter of the arithmetic.
//! The projection of the values and that of the output are one product then.

use maskline_onnx::{AttentionOptions, DType, Dim, Graph, MemoryAttention, Rotation, Value};
use maskline_weights::Scope;

use super::Memory;
use crate::blocks::{Axial, Norm, computed, grid_positions, layer_norm, linear, parameter, tokens, wavelength};
use crate::info::MemoryHead;
use crate::{Error, ErrorKind, Result};

/// Share of the position encoding that is added to the features before the first layer.
const POSITION_SHARE: f32 = 0.1;
/// Base of the rotary frequencies.
const THETA: f32 = 10_000.0;
/// Epsilon of the layer norms.
const EPSILON: f32 = 1e-5;

/// What is remembered of O objects.
struct Past {
    /// f32 [O, n, T, M]: memories, each cell with its place and the memory's age, and as they are.
    memories: [Value; 2],
    /// The same as f32 [O, T, n, M], as maskline's own operator takes them.
    by_cells: [Value; 2],
    /// f32 [O, tokens, M]: pointers with their age, and as they are.
    pointers: [Value; 2],
}

/// An attention of a layer, in `scope`, from width C to queries of `inner` in heads.
struct Looking<'a, 'w> {
    memory: &'a Memory<'a, 'w>,
    scope: Scope<'w>,
    rotation: &'a Rotation,
}

impl<'w> Memory<'_, 'w> {
    /// [`MemoryHead::ATTENTION`]: features [1, T, C] of a picture, and what is remembered of O objects → [O, T, C].
    pub(super) fn attention(&self, g: &mut Graph<'w>) -> Result<()> {
        let (config, scope) = (self.config, self.scope.push(self.names.attention));
        let features = g.input(MemoryHead::FEATURES, DType::F32, [1, self.area(), config.width])?;
        let past = self.past(g)?;
        let positions = grid_positions(g, config.grid, config.width)?;
        let share = g.scalar(POSITION_SHARE);
        let positions = g.mul(&positions, &share)?;
        let places = Axial::grid(config.grid, 1.0);
        let rotation = Axial { places, head: config.inner / config.heads, theta: THETA }.rotation(g)?;
        // Until the first look at the past, all objects see the same.
        let mut x = g.add(&features, &positions)?;
        for index in 0..config.layers {
            let layer = scope.push("layers").push(index);
            let looking = |name: &str| Looking { memory: self, scope: layer.push(name), rotation: &rotation };
            let y = self.norm(g, &layer, 1, &x)?;
            let seen = looking("self_attn").at_itself(g, &y)?;
            x = g.add(&x, &seen)?;
            let y = self.norm(g, &layer, 2, &x)?;
            let seen = looking("cross_attn_image").at_past(g, &y, &past)?;
            x = g.add(&x, &seen)?;
            let y = self.norm(g, &layer, 3, &x)?;
            let hidden = dense(g, &layer.push("linear1"), &y, [config.width, config.feed_forward])?;
            let hidden = g.relu(&hidden)?;
            let moved = dense(g, &layer.push("linear2"), &hidden, [config.feed_forward, config.width])?;
            x = g.add(&x, &moved)?;
        }
        let x = layer_norm(g, &scope.push(self.names.norm), &x, Norm::of(config.width, EPSILON))?;
        Ok(g.output(MemoryHead::CONDITIONED, &x)?)
    }

    fn norm(&self, g: &mut Graph<'w>, layer: &Scope<'w>, number: usize, x: &Value) -> Result<Value> {
        layer_norm(g, &layer.push(format!("{}{number}", self.names.norm)), x, Norm::of(self.config.width, EPSILON))
    }

    /// The inputs that hold what is remembered, as [`MemoryHead`] tells.
    fn past(&self, g: &mut Graph<'w>) -> Result<Past> {
        let (area, width) = (self.area(), self.config.memory_width);
        let [objects, count, tokens] = ["objects", "memories", "pointers"].map(Dim::symbol);
        let memories = g.input(MemoryHead::MEMORIES, DType::F32, [objects.clone(), count.clone(), area.into(), width.into()])?;
        let ages = g.input(MemoryHead::AGES, DType::I64, [objects.clone(), count.clone()])?;
        let pointers = g.input(MemoryHead::POINTERS, DType::F32, [objects.clone(), tokens.clone(), width.into()])?;
        let distances = g.input(MemoryHead::DISTANCES, DType::F32, [objects.clone(), tokens])?;

        let table = parameter(g, &self.scope, self.names.ages, &[self.config.memories, 1, 1, width])?;
        let table = g.reshape(&table, [self.config.memories, width])?;
        let age = g.gather(&table, &ages, 0)?;
        let age = g.unsqueeze(&age, 2)?;
        let places = grid_positions(g, self.config.grid, width)?;
        let told = g.add(&places, &age)?;
        let placed = g.add(&memories, &told)?;
        let aged = self.aged(g, &pointers, &distances)?;
        let by_cells = [g.transpose(&placed, &[0, 2, 1, 3])?, g.transpose(&memories, &[0, 2, 1, 3])?];
        Ok(Past { memories: [placed, memories], by_cells, pointers: [aged, pointers] })
    }

    /// Pointers with what tells how old they are: the sine encoding of their distance in time.
    fn aged(&self, g: &mut Graph<'w>, pointers: &Value, distances: &Value) -> Result<Value> {
        if !self.config.tells_pointer_ages {
            return Ok(pointers.clone());
        }
        let (width, memory_width) = (self.config.width, self.config.memory_width);
        let half = width / 2;
        let factors = (0..half).map(|channel| (1.0 / wavelength(channel, half)) as f32).collect();
        let factors = computed(g, &[1, 1, half], factors)?;
        let distances = g.unsqueeze(distances, 2)?;
        let angles = g.mul(&distances, &factors)?;
        let (sine, cosine) = (g.sin(&angles)?, g.cos(&angles)?);
        let waves = g.concat(&[&sine, &cosine], -1)?;
        let told = linear(g, &self.scope.push(self.names.pointer_ages), &waves, [width, memory_width])?;
        Ok(g.add(pointers, &told)?)
    }
}

impl<'w> Looking<'_, 'w> {
    /// A projection `[input → inner]`.
    fn project(&self, g: &mut Graph<'w>, name: &str, x: &Value, input: usize) -> Result<Value> {
        dense(g, &self.scope.push(name), x, [input, self.memory.config.inner])
    }

    fn rotated(&self, g: &mut Graph<'w>, x: &Value) -> Result<Value> {
        g.scoped(self.scope.name(), |g| Ok(g.rotary(x, self.rotation, self.memory.config.heads)?))
    }

    fn out(&self, g: &mut Graph<'w>, x: &Value) -> Result<Value> {
        dense(g, &self.scope.push(self.memory.names.out), x, [self.memory.config.inner, self.memory.config.width])
    }

    fn attend(&self, g: &mut Graph<'w>, qkv: [&Value; 3]) -> Result<Value> {
        let heads = self.memory.config.heads;
        g.scoped(self.scope.name(), |g| {
            Ok(if heads == 1 { g.wide_attention(qkv)? } else { g.attention(qkv, &AttentionOptions { heads, scale: None })? })
        })
    }

    /// [B, T, C] → [B, T, C].
    fn at_itself(&self, g: &mut Graph<'w>, x: &Value) -> Result<Value> {
        let width = self.memory.config.width;
        let (q, k) = (self.project(g, "q_proj", x, width)?, self.project(g, "k_proj", x, width)?);
        let v = self.project(g, "v_proj", x, width)?;
        let (q, k) = (self.rotated(g, &q)?, self.rotated(g, &k)?);
        let seen = self.attend(g, [&q, &k, &v])?;
        self.out(g, &seen)
    }

    /// [1 or O, T, C] → [O, T, C].
    fn at_past(&self, g: &mut Graph<'w>, x: &Value, past: &Past) -> Result<Value> {
        let (width, memory_width) = (self.memory.config.width, self.memory.config.memory_width);
        let q = self.project(g, "q_proj", x, width)?;
        let is_narrow = self.memory.config.heads == 1 && memory_width < self.memory.config.inner;
        if is_narrow && g.has_own_operators() {
            let seen = self.own_attention(g, &q, past)?;
            return self.project_seen(g, &seen);
        }
        let q = self.rotated(g, &q)?;
        let values = self.values(g, past)?;
        let q = if q.shape()[0].is_one() { g.repeat_leading(&q, &values)? } else { q };
        let k = self.keys(g, past)?;
        if is_narrow {
            let seen = self.attend(g, [&q, &k, &values])?;
            return self.project_seen(g, &seen);
        }
        let v = self.project(g, "v_proj", &values, memory_width)?;
        let seen = self.attend(g, [&q, &k, &v])?;
        self.out(g, &seen)
    }

    /// The same as one operator, which makes no keys.
    fn own_attention(&self, g: &mut Graph<'w>, queries: &Value, past: &Past) -> Result<Value> {
        let super::MemoryConfig { memory_width, inner, grid, .. } = *self.memory.config;
        let scope = self.scope.push("k_proj");
        let weight = parameter(g, &scope, "weight", &[inner, memory_width])?;
        let bias = parameter(g, &scope, "bias", &[inner])?;
        let [memory_keys, memories] = &past.by_cells;
        let [pointer_keys, pointers] = &past.pointers;
        let of = MemoryAttention {
            queries,
            memories: [memory_keys, memories],
            pointers: [pointer_keys, pointers],
            keys: [&weight, &bias],
            grid,
            theta: THETA,
        };
        g.scoped(self.scope.name(), |g| Ok(g.memory_attention(of)?))
    }

    /// Memories and pointers as they are, one after the other: [O, n·T + tokens, M].
    fn values(&self, g: &mut Graph<'w>, past: &Past) -> Result<Value> {
        let [_, memories] = &past.memories;
        let [objects, count, area, width] = [0, 1, 2, 3].map(|axis| memories.shape()[axis].clone());
        let cells = count.product(&area).ok_or_else(|| Error::new(ErrorKind::Graph, "a picture has a known number of cells"))?;
        let flat = g.reshape(memories, vec![objects, cells, width])?;
        Ok(g.concat(&[&flat, &past.pointers[1]], 1)?)
    }

    /// Keys of memories, turned by their places as the queries are, and of pointers, which have none: [O, n·T + tokens, inner].
    fn keys(&self, g: &mut Graph<'w>, past: &Past) -> Result<Value> {
        let (area, memory_width, inner) = (self.memory.area(), self.memory.config.memory_width, self.memory.config.inner);
        let [memories, _] = &past.memories;
        let rows = g.merge_leading(memories, "objects*memories")?;
        let keys = self.project(g, "k_proj", &rows, memory_width)?;
        let keys = self.rotated(g, &keys)?;
        let keys = g.split_leading(&keys, memories)?;
        let [objects, count] = [0, 1].map(|axis| memories.shape()[axis].clone());
        let keys = g.reshape(&keys, vec![objects, count.times(area as i64), inner.into()])?;
        let of_pointers = self.project(g, "k_proj", &past.pointers[0], memory_width)?;
        Ok(g.concat(&[&keys, &of_pointers], 1)?)
    }

    /// The projections of values and output as one: [O, T, M] → [O, T, C].
    fn project_seen(&self, g: &mut Graph<'w>, seen: &Value) -> Result<Value> {
        let super::MemoryConfig { width, memory_width, inner, .. } = *self.memory.config;
        let (value, out) = (self.scope.push("v_proj"), self.scope.push(self.memory.names.out));
        let (value_weight, value_bias) = (value.f32("weight", &[inner, memory_width])?, value.f32("bias", &[inner])?);
        let (out_weight, out_bias) = (out.f32("weight", &[width, inner])?, out.f32("bias", &[width])?);
        let (mut weight, mut bias) = (Vec::with_capacity(width * memory_width), Vec::with_capacity(width));
        for (row, shift) in out_weight.data.chunks_exact(inner).zip(out_bias.data.iter()) {
            let mut sums = vec![0.0_f64; memory_width];
            for (factor, column) in row.iter().zip(value_weight.data.chunks_exact(memory_width)) {
                sums.iter_mut().zip(column).for_each(|(sum, w)| *sum += f64::from(*factor) * f64::from(*w));
            }
            weight.extend(sums.iter().map(|sum| *sum as f32));
            let moved: f64 = row.iter().zip(value_bias.data.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            bias.push((moved + f64::from(*shift)) as f32);
        }
        let (weight, bias) = (computed(g, &[width, memory_width], weight)?, computed(g, &[width], bias)?);
        g.scoped(self.scope.name(), |g| tokens(g, seen, |g, rows| Ok(g.linear(rows, &weight, Some(&bias))?)))
    }
}

/// A fully connected layer on every row of [B, N, input], as one product where N is known.
fn dense<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, sizes: [usize; 2]) -> Result<Value> {
    if x.shape()[1].known().is_some() { tokens(g, x, |g, rows| linear(g, scope, rows, sizes)) } else { linear(g, scope, x, sizes) }
}
