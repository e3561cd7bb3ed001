//! Heads: what the network outputs.
//!
//! A detector's graph ends with the last convolutions of each level, as they are: no sigmoid, no softmax, no transposes and no
//! joining of some 8,400 anchors of which a handful is wanted. [`super::decode`] does the rest for those few.

use maskline_onnx::{ConvOptions, Graph, Value};
use maskline_weights::Scope;

use super::config::Config;
use super::graph::ConvStyle;
use crate::blocks::{ConvSpec, constant, convolution};
use crate::{Error, ErrorKind, Extras, Result, Task};

/// Strides of the three levels.
pub(super) const STRIDES: [usize; 3] = [8, 16, 32];

/// The last layer of a network.
pub(super) struct Head<'h, 'w> {
    pub(super) scope: Scope<'w>,
    pub(super) config: &'h Config,
    pub(super) style: ConvStyle,
    /// Also output the inner tensors that golden cases hold.
    pub(super) taps: bool,
}

impl<'w> Head<'_, 'w> {
    /// Box, class and extras branches on each level; prototypes from the finest one. Outputs as [`crate::HeadForm::Raw`] says.
    pub(super) fn detect(&self, g: &mut Graph<'w>, levels: [&Value; 3]) -> Result<()> {
        let config = self.config;
        check_distance_bins(&self.scope, config)?;
        let [boxes, classes, extras] = config.head_channels;
        for (i, (level, stride)) in levels.into_iter().zip(STRIDES).enumerate() {
            let mut branch = |name: &str, sizes| self.branch(g, &self.scope.push(name).push(i), level, sizes);
            let input = config.channels[2 + i];
            let box_distribution = branch("cv2", [input, boxes, 4 * config.reg_max])?;
            let scores = branch("cv3", [input, classes, config.classes])?;
            let more = match config.extras {
                Extras::None => None,
                kind => Some(branch("cv4", [input, extras, kind.channels()])?),
            };
            g.output(&format!("boxes_{stride}"), &box_distribution)?;
            g.output(&format!("scores_{stride}"), &scores)?;
            if let Some(more) = more {
                g.output(&format!("extras_{stride}"), &more)?;
            }
        }
        if config.task == Task::Segment {
            let protos = self.prototypes(g, levels[0])?;
            g.output("protos", &protos)?;
        }
        if self.taps {
            for (name, level) in ["p3", "p4", "p5"].into_iter().zip(levels) {
                g.output(name, level)?;
            }
        }
        Ok(())
    }

    /// Two convolutions and a plain one.
    fn branch(&self, g: &mut Graph<'w>, scope: &Scope<'w>, level: &Value, [input, hidden, output]: [usize; 3]) -> Result<Value> {
        let x = self.conv(g, &scope.push(0), level, ConvSpec { kernel: 3, ..ConvSpec::point(input, hidden) })?;
        let x = self.conv(g, &scope.push(1), &x, ConvSpec { kernel: 3, ..ConvSpec::point(hidden, hidden) })?;
        convolution(g, &scope.push(2), &x, ConvSpec::point(hidden, output))
    }

    fn conv(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
        self.style.conv(g, scope, x, spec)
    }

    /// Mask prototypes [B, count, H/4, W/4] from the finest level.
    fn prototypes(&self, g: &mut Graph<'w>, p3: &Value) -> Result<Value> {
        let config = self.config;
        let scope = self.scope.push("proto");
        let (input, hidden, output) = (config.channels[2], config.proto_channels, config.extras.channels());
        let x = self.conv(g, &scope.push("cv1"), p3, ConvSpec { kernel: 3, ..ConvSpec::point(input, hidden) })?;
        let upsample = scope.push("upsample");
        let weight = upsample.f32("weight", &[hidden, hidden, 2, 2])?;
        let bias = upsample.f32("bias", &[hidden])?;
        let x = g.scoped(upsample.name(), |g| {
            let weight = constant(g, &upsample, "weight", weight)?;
            let bias = constant(g, &upsample, "bias", bias)?;
            let options = ConvOptions { stride: [2; 2], ..ConvOptions::default() };
            Ok::<_, Error>(g.conv_transpose(&x, &weight, Some(&bias), &options)?)
        })?;
        let x = self.conv(g, &scope.push("cv2"), &x, ConvSpec { kernel: 3, ..ConvSpec::point(hidden, hidden) })?;
        self.conv(g, &scope.push("cv3"), &x, ConvSpec::point(hidden, output))
    }

    /// Convolution, mean over the picture, linear layer, softmax: `probabilities` [B, classes].
    pub(super) fn classify(&self, g: &mut Graph<'w>, x: &Value) -> Result<()> {
        let hidden = self.config.head_channels[0];
        let x = self.conv(g, &self.scope.push("conv"), x, ConvSpec::point(self.config.channels[4], hidden))?;
        let linear = self.scope.push("linear");
        let weight = linear.f32("weight", &[self.config.classes, hidden])?;
        let bias = linear.f32("bias", &[self.config.classes])?;
        g.scoped(linear.name(), |g| {
            let pooled = g.reduce_mean(&x, &[2, 3], false)?;
            let weight = constant(g, &linear, "weight", weight)?;
            let bias = constant(g, &linear, "bias", bias)?;
            let logits = g.linear(&pooled, &weight, Some(&bias))?;
            let probabilities = g.softmax(&logits, -1)?;
            g.output("probabilities", &probabilities)?;
            if self.taps {
                g.output("logits", &logits)?;
            }
            Ok(())
        })
    }
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
    let misfit = Error::new(ErrorKind::Checkpoint, format!("{}.conv.weight", dfl.name()));
    Err(misfit.expecting("the bins 0, 1, 2, …").finding(format!("{:?}", bins.data)).at(head.checkpoint().path()))
}
