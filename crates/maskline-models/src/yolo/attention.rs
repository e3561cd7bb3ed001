//! Attention over the cells of the coarsest map, with positions told by a depthwise convolution (Wang et al. 2024, YOLOv10, Fig. 4).

use maskline_onnx::{Graph, Value};
use maskline_weights::{Attribute, Scope};

use super::conv::ConvStyle;
use super::graph::channels;
use super::sizes::output_channels;
use super::{checks, said};
use crate::blocks::{ConvSpec, pickled};
use crate::{Error, ErrorKind, Result};

/// Channels of a head in the published models.
const HEAD_WIDTH: usize = 64;

/// Attention and two convolutions, each added to its input.
pub(super) fn block<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, style: ConvStyle) -> Result<Value> {
    let width = channels(x)?;
    let adds = said::adds(scope, "PSABlock", true)?;
    let attended = Attention::of(&scope.push("attn"), width, style)?.build(g, x)?;
    let x = if adds { g.scoped(scope.name(), |g| g.add(x, &attended))? } else { attended };
    let ffn = scope.push("ffn");
    checks::class(&ffn, "Sequential")?;
    let inner = style.conv(g, &ffn.push(0), &x, ConvSpec::point(width, 2 * width))?;
    let inner = style.bare().conv(g, &ffn.push(1), &inner, ConvSpec::point(2 * width, width))?;
    if adds { Ok(g.scoped(scope.name(), |g| g.add(&x, &inner))?) } else { Ok(inner) }
}

/// Multi-head attention: of each head queries and keys of half its width, then values, lie side by side in one convolution's output.
struct Attention<'w> {
    scope: Scope<'w>,
    style: ConvStyle,
    width: usize,
    heads: usize,
    key_width: usize,
}

impl<'w> Attention<'w> {
    fn of(scope: &Scope<'w>, width: usize, style: ConvStyle) -> Result<Self> {
        checks::class(scope, "Attention")?;
        let told = pickled::module(scope).and_then(|module| module.attributes.get("num_heads")).map(said::sizes);
        let heads = match told.as_ref().map(Option::as_deref) {
            None => (width / HEAD_WIDTH).max(1),
            Some(Some(&[heads])) if heads > 0 && width.is_multiple_of(heads) => heads,
            _ => return Err(pickled::refuse(scope, &format!("its `num_heads` does not divide its {width} channels"))),
        };
        let key_width = if scope.checkpoint().is_synthetic() {
            width / heads / 2
        } else {
            let all = output_channels(scope, "qkv.conv.weight")?;
            let keys = all.checked_sub(width).filter(|keys| *keys > 0 && keys.is_multiple_of(2 * heads) && width.is_multiple_of(heads));
            let misfit = || {
                let misfit = Error::new(ErrorKind::Checkpoint, format!("{}.qkv.conv.weight", scope.name()));
                let misfit = misfit.expecting(format!("queries, keys and values of {heads} heads, {width} channels of values"));
                misfit.finding(format!("{all} channels")).at(scope.checkpoint().path())
            };
            keys.ok_or_else(misfit)? / (2 * heads)
        };
        pickled::expect(scope, "key_dim", |value| pickled::is_all(value, key_width))?;
        pickled::expect(scope, "head_dim", |value| pickled::is_all(value, width / heads))?;
        let scale = scale(key_width);
        let fits = |value: &Attribute| value.as_float().is_some_and(|said| (said as f32 / scale - 1.0).abs() < 1e-5);
        pickled::expect(scope, "scale", fits)?;
        Ok(Self { scope: scope.clone(), style: style.bare(), width, heads, key_width })
    }

    fn build(&self, g: &mut Graph<'w>, x: &Value) -> Result<Value> {
        let Self { width, heads, key_width, .. } = *self;
        let all = self.style.conv(g, &self.scope.push("qkv"), x, ConvSpec::point(width, width + 2 * heads * key_width))?;
        let [context, values] = g.scoped(self.scope.name(), |g| {
            let all = g.cells_of_groups(&all, heads, "cells")?;
            let parts = g.split(&all, 2, &[key_width, key_width, width / heads])?;
            let scale = g.scalar(scale(key_width));
            let queries = g.mul(&parts[0], &scale)?;
            let queries = g.transpose(&queries, &[0, 1, 3, 2])?;
            let scores = g.matmul(&queries, &parts[1])?;
            let weights = g.softmax(&scores, -1)?;
            let context = g.matmul_transposed(&parts[2], &weights)?;
            Ok::<_, Error>([g.map_of_groups(&context, x)?, g.map_of_groups(&parts[2], x)?])
        })?;
        let positions = self.style.conv(g, &self.scope.push("pe"), &values, ConvSpec::depthwise(width, 3, 1))?;
        let sum = g.scoped(self.scope.name(), |g| g.add(&context, &positions))?;
        self.style.conv(g, &self.scope.push("proj"), &sum, ConvSpec::point(width, width))
    }
}

/// What scores are multiplied by.
fn scale(key_width: usize) -> f32 {
    1.0 / (key_width as f32).sqrt()
}
