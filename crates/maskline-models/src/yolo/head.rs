//! Heads: what the network outputs.
//!
//! A detector's graph ends with the last convolutions of each level, as they are: no sigmoid, no softmax, no transposes and no
//! joining of some 8,400 anchors of which a handful is wanted. [`super::decode`] does the rest for those few.

use maskline_onnx::{ConvOptions, Graph, Interpolation, Value};
use maskline_weights::{Init, Scope};

use super::checks;
use super::config::Config;
use super::conv::ConvStyle;
use super::graph::channels;
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
    /// Box, class and extras branches on each level; prototypes from the finest one, or from all. Outputs as [`crate::HeadForm::Raw`] says.
    pub(super) fn detect(&self, g: &mut Graph<'w>, levels: [&Value; 3]) -> Result<()> {
        let config = self.config;
        check_distance_bins(&self.scope, config)?;
        for (i, (level, stride)) in levels.into_iter().zip(STRIDES).enumerate() {
            let boxes = self.branch(g, "cv2", i, level)?;
            let scores = if config.head.has_light_classes { self.light_classes(g, i, level)? } else { self.branch(g, "cv3", i, level)? };
            g.output(&format!("boxes_{stride}"), &boxes)?;
            g.output(&format!("scores_{stride}"), &scores)?;
            if config.extras != Extras::None {
                let extras = self.branch(g, "cv4", i, level)?;
                g.output(&format!("extras_{stride}"), &extras)?;
            }
        }
        if config.task == Task::Segment {
            let features = if config.head.has_fused_protos { self.fused(g, levels)? } else { levels[0].clone() };
            let protos = self.prototypes(g, &features)?;
            g.output("protos", &protos)?;
        }
        if self.taps {
            for (name, level) in ["p3", "p4", "p5"].into_iter().zip(levels) {
                g.output(name, level)?;
            }
        }
        Ok(())
    }

    /// A part of the head that answers: `cv2`, or `one2one_cv2`.
    fn part(&self, name: &str, level: usize) -> Scope<'w> {
        self.scope.push(format!("{}{name}", self.config.head.branch.prefix())).push(level)
    }

    /// Two convolutions and a plain one.
    fn branch(&self, g: &mut Graph<'w>, name: &str, level: usize, x: &Value) -> Result<Value> {
        let config = self.config;
        let [boxes, classes, extras] = config.head.hidden;
        let (hidden, output) = match name {
            "cv2" => (boxes, 4 * config.reg_max),
            "cv3" => (classes, config.classes),
            _ => (extras, config.extras.channels()),
        };
        let scope = self.part(name, level);
        let x = self.conv(g, &scope.push(0), x, ConvSpec { kernel: 3, ..ConvSpec::point(channels(x)?, hidden) })?;
        let x = self.conv(g, &scope.push(1), &x, ConvSpec { kernel: 3, ..ConvSpec::point(hidden, hidden) })?;
        let has_own_layer = name == "cv4" && config.head.has_keypoint_layer;
        let last = if has_own_layer { self.part("cv4_kpts", level) } else { scope.push(2) };
        // Distances that were generated about 0 would turn half of the boxes inside out; training begins here too.
        let bias = if name == "cv2" && config.reg_max == 1 { Init::Normal { mean: 2.0, std: 0.5 } } else { Init::Auto };
        convolution(g, &last, &x, ConvSpec { bias, ..ConvSpec::point(hidden, output) })
    }

    /// Twice a depthwise and a pointwise convolution, and a plain one.
    fn light_classes(&self, g: &mut Graph<'w>, level: usize, x: &Value) -> Result<Value> {
        let scope = self.part("cv3", level);
        let (input, hidden) = (channels(x)?, self.config.head.hidden[1]);
        let mut x = x.clone();
        for (i, width) in [input, hidden].into_iter().enumerate() {
            let pair = scope.push(i);
            checks::class(&pair, "Sequential")?;
            x = self.conv(g, &pair.push(0), &x, ConvSpec::depthwise(width, 3, 1))?;
            x = self.conv(g, &pair.push(1), &x, ConvSpec::point(width, hidden))?;
        }
        convolution(g, &scope.push(2), &x, ConvSpec::point(hidden, self.config.classes))
    }

    fn conv(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
        self.style.conv(g, scope, x, spec)
    }

    /// The finest level, and what the coarser ones add to it.
    fn fused(&self, g: &mut Graph<'w>, [p3, p4, p5]: [&Value; 3]) -> Result<Value> {
        let scope = self.scope.push("proto");
        checks::class(&scope, "Proto26")?;
        let width = channels(p3)?;
        let mut sum = p3.clone();
        for (i, level) in [p4, p5].into_iter().enumerate() {
            let refined = self.conv(g, &scope.push("feat_refine").push(i), level, ConvSpec::point(channels(level)?, width))?;
            sum = g.scoped(scope.name(), |g| {
                let enlarged = g.upsample(&refined, 2 << i, Interpolation::Nearest)?;
                Ok::<_, Error>(g.add(&sum, &enlarged)?)
            })?;
        }
        self.conv(g, &scope.push("feat_fuse"), &sum, ConvSpec { kernel: 3, ..ConvSpec::point(width, self.config.head.proto) })
    }

    /// Mask prototypes [B, count, H/4, W/4] from features at an eighth of the picture's size.
    fn prototypes(&self, g: &mut Graph<'w>, features: &Value) -> Result<Value> {
        let scope = self.scope.push("proto");
        let (hidden, output) = (self.config.head.proto, self.config.extras.channels());
        let x = self.conv(g, &scope.push("cv1"), features, ConvSpec { kernel: 3, ..ConvSpec::point(channels(features)?, hidden) })?;
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
        let hidden = self.config.head.hidden[0];
        let x = self.conv(g, &self.scope.push("conv"), x, ConvSpec::point(channels(x)?, hidden))?;
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
