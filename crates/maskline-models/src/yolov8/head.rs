//! Heads: what the network outputs.
//!
//! A detector's graph ends with the last convolutions of each level, as they are: no sigmoid, no softmax, no transposes and no
//! joining of some 8,400 anchors of which a handful is wanted. [`super::decode`] does the rest for those few.

use maskline_onnx::{ConvOptions, Graph, Value};
use maskline_weights::Scope;

use super::config::Config;
use super::graph::conv_silu;
use crate::blocks::{ConvSpec, constant, convolution};
use crate::{Error, ErrorKind, Extras, Result, Task};

/// Strides of the three levels.
pub(super) const STRIDES: [usize; 3] = [8, 16, 32];

/// Box, class and extras branches on each level; prototypes from the finest one. Outputs as [`crate::HeadForm::Raw`] says.
pub(super) fn detect<'w>(g: &mut Graph<'w>, head: &Scope<'w>, (levels, config): ([&Value; 3], &Config), taps: bool) -> Result<()> {
    check_distance_bins(head, config)?;
    let [boxes, classes, extras] = config.head_channels;
    for (i, (level, stride)) in levels.into_iter().zip(STRIDES).enumerate() {
        let input = config.channels[2 + i];
        let mut branch = |name: &str, (hidden, output): (usize, usize)| {
            let scope = head.push(name).push(i);
            let x =
                conv_silu(g, (&scope.push(0), config.task), level, ConvSpec { input, output: hidden, kernel: 3, stride: 1, groups: 1 })?;
            let x = conv_silu(
                g,
                (&scope.push(1), config.task),
                &x,
                ConvSpec { input: hidden, output: hidden, kernel: 3, stride: 1, groups: 1 },
            )?;
            convolution(g, &scope.push(2), &x, ConvSpec { input: hidden, output, kernel: 1, stride: 1, groups: 1 })
        };
        let box_distribution = branch("cv2", (boxes, 4 * config.reg_max))?;
        let scores = branch("cv3", (classes, config.classes))?;
        let more = match config.extras {
            Extras::None => None,
            kind => Some(branch("cv4", (extras, kind.channels()))?),
        };
        g.output(&format!("boxes_{stride}"), &box_distribution)?;
        g.output(&format!("scores_{stride}"), &scores)?;
        if let Some(more) = more {
            g.output(&format!("extras_{stride}"), &more)?;
        }
    }
    if config.task == Task::Segment {
        let protos = prototypes(g, &head.push("proto"), (levels[0], config))?;
        g.output("protos", &protos)?;
    }
    if taps {
        g.output("p5", levels[2])?;
    }
    Ok(())
}

/// Mask prototypes [B, count, H/4, W/4] from the finest level.
fn prototypes<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, (p3, config): (&Value, &Config)) -> Result<Value> {
    let (input, hidden, output) = (config.channels[2], config.proto_channels, config.extras.channels());
    let x = conv_silu(g, (&scope.push("cv1"), config.task), p3, ConvSpec { input, output: hidden, kernel: 3, stride: 1, groups: 1 })?;
    let upsample = scope.push("upsample");
    let weight = upsample.f32("weight", &[hidden, hidden, 2, 2])?;
    let bias = upsample.f32("bias", &[hidden])?;
    let x = g.scoped(upsample.name(), |g| {
        let weight = constant(g, (&upsample, "weight"), weight)?;
        let bias = constant(g, (&upsample, "bias"), bias)?;
        let options = ConvOptions { stride: [2; 2], ..ConvOptions::default() };
        Ok::<_, Error>(g.conv_transpose(&x, &weight, Some(&bias), &options)?)
    })?;
    let x =
        conv_silu(g, (&scope.push("cv2"), config.task), &x, ConvSpec { input: hidden, output: hidden, kernel: 3, stride: 1, groups: 1 })?;
    conv_silu(g, (&scope.push("cv3"), config.task), &x, ConvSpec { input: hidden, output, kernel: 1, stride: 1, groups: 1 })
}

/// Convolution, mean over the picture, linear layer, softmax: `probabilities` [B, classes].
pub(super) fn classify<'w>(g: &mut Graph<'w>, head: &Scope<'w>, (x, config): (&Value, &Config), taps: bool) -> Result<()> {
    let hidden = config.head_channels[0];
    let x = conv_silu(
        g,
        (&head.push("conv"), config.task),
        x,
        ConvSpec { input: config.channels[4], output: hidden, kernel: 1, stride: 1, groups: 1 },
    )?;
    let linear = head.push("linear");
    let weight = linear.f32("weight", &[config.classes, hidden])?;
    let bias = linear.f32("bias", &[config.classes])?;
    g.scoped(linear.name(), |g| {
        let pooled = g.reduce_mean(&x, &[2, 3], false)?;
        let weight = constant(g, (&linear, "weight"), weight)?;
        let bias = constant(g, (&linear, "bias"), bias)?;
        let logits = g.linear(&pooled, &weight, Some(&bias))?;
        let probabilities = g.softmax(&logits, -1)?;
        g.output("probabilities", &probabilities)?;
        if taps {
            g.output("logits", &logits)?;
        }
        Ok(())
    })
}

/// The distribution's bins are a stored "convolution" with the weights 0, 1, 2, …: [`super::decode`] relies on that.
fn check_distance_bins(head: &Scope<'_>, config: &Config) -> Result<()> {
    let dfl = head.push("dfl");
    if head.checkpoint().is_synthetic() || !dfl.contains("conv.weight") {
        return Ok(());
    }
    let bins = dfl.f32("conv.weight", &[1, config.reg_max, 1, 1])?;
    if bins.data.iter().enumerate().all(|(i, bin)| *bin == i as f32) {
        return Ok(());
    }
    let message = format!("{}.conv.weight: expected the bins 0, 1, 2, …, found {:?}", dfl.name(), bins.data);
    Err(Error::new(ErrorKind::Checkpoint, message).at(head.checkpoint().path()))
}
