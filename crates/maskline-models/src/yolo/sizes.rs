//! Sizes of a network from the shapes of a few tensors; building checks all the others against them.

use maskline_weights::{Checkpoint, Scope};

use super::config::{Config, HeadSizes, LinkKind, LinkSizes, Sizes, no_branch};
use super::generation::{Generation, Layer};
use super::said;
use crate::blocks::pickled;
use crate::{BuildOptions, Coding, Error, ErrorKind, Extras, HeadBranch, Result, Task};

/// What is read: a checkpoint of a generation.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) generation: &'static Generation,
    pub(super) options: &'a BuildOptions,
}

impl Reading<'_> {
    /// The sizes of the network, with a name among these or a description.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor is missing, `Configuration` if the keypoint shape cannot be told or a wished head is not there.
    pub(super) fn config(&self, architectures: &[&str]) -> Result<Config> {
        let model = self.checkpoint.root().push("model");
        let classifier_head = model.push(self.generation.head_layer(true));
        let mut config = if classifier_head.contains("linear.weight") {
            self.classifier(&classifier_head)?
        } else {
            self.detector(&model.push(self.generation.head_layer(false)))?
        };
        config.architecture = config.name(architectures);
        Ok(config)
    }

    fn layers(&self, is_classifier: bool) -> Result<Vec<Sizes>> {
        let model = self.checkpoint.root().push("model");
        let layers = self.generation.layers(is_classifier).iter().enumerate();
        layers.map(|(index, layer)| sizes(&model.push(index), layer)).collect()
    }

    fn classifier(&self, head: &Scope<'_>) -> Result<Config> {
        if self.options.head == Some(HeadBranch::OneToOne) {
            return Err(no_branch(HeadBranch::OneToOne).at(self.checkpoint.path()).with_help("leave it out: a classifier has one head"));
        }
        Ok(Config {
            architecture: String::new(),
            generation: self.generation,
            task: Task::Classify,
            layers: self.layers(true)?,
            classes: output_channels(head, "linear.weight")?,
            reg_max: 0,
            extras: Extras::None,
            coding: self.generation.coding,
            head: HeadSizes {
                branch: HeadBranch::OneToMany,
                hidden: [output_channels(head, "conv.conv.weight")?, 0, 0],
                has_light_classes: false,
                has_keypoint_layer: false,
                has_fused_protos: false,
                proto: 0,
            },
        })
    }

    fn detector(&self, head: &Scope<'_>) -> Result<Config> {
        let branch = self.branch(head)?;
        let named = |name: &str| format!("{}{name}", branch.prefix());
        let (boxes, classes, extras) = (head.push(named("cv2")), head.push(named("cv3")), head.push(named("cv4")));
        let sides = output_channels(&boxes, "0.2.weight")?;
        if sides % 4 != 0 {
            let misfit = Error::new(ErrorKind::Checkpoint, format!("{}.0.2.weight", boxes.name()));
            let misfit = misfit.expecting("bins for four sides of a box").finding(format!("{sides} channels"));
            return Err(misfit.at(self.checkpoint.path()));
        }
        let has_light_classes = classes.contains("0.0.1.conv.weight");
        let class_hidden = if has_light_classes { "0.0.1.conv.weight" } else { "0.0.conv.weight" };
        let mut sizes = HeadSizes {
            branch,
            hidden: [output_channels(&boxes, "0.0.conv.weight")?, output_channels(&classes, class_hidden)?, 0],
            has_light_classes,
            has_keypoint_layer: head.contains(&named("cv4_kpts.0.weight")),
            has_fused_protos: head.contains("proto.feat_fuse.conv.weight"),
            proto: 0,
        };
        let (mut task, mut kind) = (Task::Detect, Extras::None);
        if extras.contains("0.0.conv.weight") {
            sizes.hidden[2] = output_channels(&extras, "0.0.conv.weight")?;
            (task, kind) = self.extras(head, sizes)?;
        }
        if task == Task::Segment {
            sizes.proto = output_channels(head, "proto.cv1.conv.weight")?;
        }
        Ok(Config {
            architecture: String::new(),
            generation: self.generation,
            task,
            layers: self.layers(false)?,
            classes: output_channels(&classes, "0.2.weight")?,
            reg_max: sides / 4,
            extras: kind,
            coding: self.coding(head, task, sizes),
            head: sizes,
        })
    }

    /// The head that answers: the wished one, else the one that the reference predicts with, else the only one that is left.
    fn branch(&self, head: &Scope<'_>) -> Result<HeadBranch> {
        let is_there = |branch: &HeadBranch| head.contains(&format!("{}cv2.0.2.weight", branch.prefix()));
        let usual = || HeadBranch::ALL.into_iter().find(is_there).unwrap_or_default();
        match self.options.head {
            None => Ok(usual()),
            Some(wish) if is_there(&wish) => Ok(wish),
            Some(wish) => {
                let help = format!("leave it out: the file has only the {} head", usual().name());
                Err(no_branch(wish).at(self.checkpoint.path()).with_help(help))
            }
        }
    }

    fn extras(&self, head: &Scope<'_>, sizes: HeadSizes) -> Result<(Task, Extras)> {
        let prefix = sizes.branch.prefix();
        if sizes.has_keypoint_layer {
            let channels = output_channels(head, &format!("{prefix}cv4_kpts.0.weight"))?;
            return Ok((Task::Pose, self.keypoints(head, channels)?));
        }
        let count = output_channels(head, &format!("{prefix}cv4.0.2.weight"))?;
        Ok(if head.contains("proto.cv3.conv.weight") {
            (Task::Segment, Extras::Masks { count })
        } else if count == 1 {
            (Task::Obb, Extras::Angle)
        } else {
            (Task::Pose, self.keypoints(head, count)?)
        })
    }

    /// Modules are called by how they code; of bare tensors, what came with the plain coding tells it, else the generation.
    fn coding(&self, head: &Scope<'_>, task: Task, sizes: HeadSizes) -> Coding {
        match (pickled::module(head).map(|module| module.class_name()), task) {
            (Some("Pose26" | "OBB26"), _) => Coding::Plain,
            (Some("Pose" | "OBB"), _) => Coding::Doubled,
            (_, Task::Pose) if sizes.has_keypoint_layer => Coding::Plain,
            (_, Task::Pose) => Coding::Doubled,
            _ => self.generation.coding,
        }
    }

    /// Splits `channels` numbers per anchor into keypoints: told by the options, the checkpoint or the layer of their deviations, else by
    /// divisibility.
    fn keypoints(&self, head: &Scope<'_>, channels: usize) -> Result<Extras> {
        let shape = self.options.keypoint_shape;
        let shape = shape.or(self.said_keypoints()?).or_else(|| by_deviations(head, channels)).or(match (channels % 3, channels % 2) {
            (0, 1) => Some([channels / 3, 3]),
            (1 | 2, 0) => Some([channels / 2, 2]),
            _ => None,
        });
        let message = match shape {
            Some([count, dims]) if count.checked_mul(dims) == Some(channels) && (dims == 2 || dims == 3) => {
                return Ok(Extras::Keypoints { count, dims });
            }
            Some([count, dims]) => format!("keypoint shape [{count}, {dims}] does not fit the head's {channels} channels"),
            None => format!(
                "{channels} keypoint channels may be {} × 3 or {} × 2, and the checkpoint does not say which",
                channels / 3,
                channels / 2
            ),
        };
        Err(Error::new(ErrorKind::Configuration, message).at(self.checkpoint.path()).with_help("give the keypoint shape"))
    }

    fn said_keypoints(&self) -> Result<Option<[usize; 2]>> {
        let layer = self.generation.head_layer(false).to_string();
        let said = said::told(self.checkpoint, &[&["kpt_shape"], &["model", &layer, "kpt_shape"], &["yaml", "kpt_shape"]]);
        match said.as_ref().map(|said| (said, said::sizes(said))) {
            None => Ok(None),
            Some((_, Some(sizes))) if sizes.len() == 2 => Ok(Some([sizes[0], sizes[1]])),
            Some((said, _)) => {
                let message = format!("its keypoint shape is {}; expected [count, 2] or [count, 3]", pickled::shown(said));
                Err(Error::new(ErrorKind::Checkpoint, message).at(self.checkpoint.path()).with_help("give the keypoint shape"))
            }
        }
    }
}

/// Training also fits how far each keypoint deviates, by two numbers each.
fn by_deviations(head: &Scope<'_>, channels: usize) -> Option<[usize; 2]> {
    let layers = HeadBranch::ALL.map(|branch| format!("{}cv4_sigma.0.weight", branch.prefix()));
    let deviations = layers.iter().find_map(|layer| head.shape(layer).ok()?.first().copied())?;
    let count = Some(deviations / 2).filter(|count| *count > 0)?;
    channels.is_multiple_of(count).then(|| [count, channels / count])
}

/// Sizes of a layer.
fn sizes(layer: &Scope<'_>, kind: &Layer) -> Result<Sizes> {
    Ok(match kind {
        Layer::Down(_) => Sizes { output: output_channels(layer, "conv.weight")?, ..Sizes::default() },
        Layer::Stage(stage) => {
            let output = output_channels(layer, "cv2.conv.weight")?;
            let repeats = layer.push("m").children().len();
            // What its two convolutions say together. Where they disagree, as in a damaged file, what the published models have tells it.
            let hidden = output_channels(layer, "cv1.conv.weight")? / 2;
            let joined = layer.shape("cv2.conv.weight")?.get(1).copied();
            let agreed = Some(hidden).filter(|hidden| *hidden > 0 && joined == Some((2 + repeats) * hidden));
            let hidden = agreed.unwrap_or((output as f64 * stage.share) as usize);
            Sizes { output, hidden, repeats, link: link(&layer.push("m").push(0))? }
        }
        Layer::Pool(_) => {
            let (output, hidden) = (output_channels(layer, "cv2.conv.weight")?, output_channels(layer, "cv1.conv.weight")?);
            Sizes { output, hidden, ..Sizes::default() }
        }
        Layer::Attention { .. } => {
            let (output, hidden) = (output_channels(layer, "cv2.conv.weight")?, output_channels(layer, "cv1.conv.weight")? / 2);
            Sizes { output, hidden, repeats: layer.push("m").children().len(), ..Sizes::default() }
        }
        Layer::Upsample | Layer::Concat(_) => Sizes::default(),
    })
}

/// Sizes of a stage's links, all of which are like the first one.
fn link(first: &Scope<'_>) -> Result<LinkSizes> {
    let kind = if first.contains("cv3.conv.weight") {
        LinkKind::Nested
    } else if first.contains("0.cv1.conv.weight") {
        LinkKind::Attended
    } else {
        LinkKind::Bottleneck
    };
    let hidden = output_channels(first, if kind == LinkKind::Attended { "0.cv1.conv.weight" } else { "cv1.conv.weight" })?;
    let repeats = if kind == LinkKind::Nested { first.push("m").children().len() } else { 0 };
    Ok(LinkSizes { kind, hidden, repeats })
}

/// First dimension of a stored tensor.
pub(super) fn output_channels(scope: &Scope<'_>, name: &str) -> Result<usize> {
    let shape = scope.shape(name)?;
    // No network is as wide: sums and products of such widths cannot overflow.
    shape.first().copied().filter(|size| (1..=1 << 20).contains(size)).ok_or_else(|| {
        let misfit = Error::new(ErrorKind::Checkpoint, format!("{}.{name}", scope.name()));
        let misfit = misfit.expecting(format!("a weight with 1 to {} output channels", 1 << 20)).finding(format!("{shape:?}"));
        misfit.at(scope.checkpoint().path())
    })
}
