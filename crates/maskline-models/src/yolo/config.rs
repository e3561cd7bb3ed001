//! Sizes of a network, from its published name; [`super::sizes`] reads them off checkpoints.

use super::generation::{Generation, Layer, Link, Scale};
use crate::{Coding, Error, ErrorKind, Extras, HeadBranch, Result, Task};

/// Channels, repeats and head of one network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    /// Published name, or the channel counts where the sizes are no published ones.
    pub(super) architecture: String,
    pub(super) generation: &'static Generation,
    /// What the head answers.
    pub(super) task: Task,
    /// Of the layers below the head.
    pub(super) layers: Vec<Sizes>,
    /// Number of classes.
    pub(super) classes: usize,
    /// Bins of the distance distribution per box side.
    pub(super) reg_max: usize,
    /// What each anchor carries besides box and scores.
    pub(super) extras: Extras,
    /// How keypoints and angles are coded.
    pub(super) coding: Coding,
    pub(super) head: HeadSizes,
}

/// Sizes of a layer; 0 of what it has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Output channels.
    pub(super) output: usize,
    /// Channels of the links, of the pooled maps, or of the blocks of attention.
    pub(super) hidden: usize,
    /// Number of links or blocks.
    pub(super) repeats: usize,
    /// Of a stage.
    pub(super) link: LinkSizes,
}

/// Sizes of the links of a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LinkSizes {
    pub(super) kind: LinkKind,
    /// Channels inside.
    pub(super) hidden: usize,
    /// Bottlenecks of a nested link.
    pub(super) repeats: usize,
}

/// What a link is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum LinkKind {
    #[default]
    Bottleneck,
    Nested,
    Attended,
}

/// Sizes and forms of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadSizes {
    /// The one of two that answers.
    pub(super) branch: HeadBranch,
    /// Hidden channels of the box, class and extras branches (classify: of its convolution, in the first).
    pub(super) hidden: [usize; 3],
    /// Class branches of depthwise and pointwise convolutions.
    pub(super) has_light_classes: bool,
    /// Keypoints come from a layer of their own, beside one for their deviations.
    pub(super) has_keypoint_layer: bool,
    /// Prototypes come from all levels.
    pub(super) has_fused_protos: bool,
    /// Hidden channels of the prototype network.
    pub(super) proto: usize,
}

/// The published architectures of a generation.
macro_rules! architectures {
    ($($generation:literal),*) => {
        &[$(
            concat!($generation, "n"), concat!($generation, "s"), concat!($generation, "m"), concat!($generation, "l"),
            concat!($generation, "x"),
            concat!($generation, "n-seg"), concat!($generation, "s-seg"), concat!($generation, "m-seg"), concat!($generation, "l-seg"),
            concat!($generation, "x-seg"),
            concat!($generation, "n-pose"), concat!($generation, "s-pose"), concat!($generation, "m-pose"),
            concat!($generation, "l-pose"), concat!($generation, "x-pose"),
            concat!($generation, "n-cls"), concat!($generation, "s-cls"), concat!($generation, "m-cls"), concat!($generation, "l-cls"),
            concat!($generation, "x-cls"),
            concat!($generation, "n-obb"), concat!($generation, "s-obb"), concat!($generation, "m-obb"), concat!($generation, "l-obb"),
            concat!($generation, "x-obb"),
        )*]
    };
}
pub(super) use architectures;

impl Config {
    /// The sizes of a published architecture.
    ///
    /// # Errors
    /// `UnknownModel` for another name, `Configuration` if it has no such head.
    pub(super) fn published(generation: &'static Generation, architecture: &str, wish: Option<HeadBranch>) -> Result<Self> {
        let unknown = || Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published {}", generation.name));
        let rest = architecture.strip_prefix(generation.name).ok_or_else(unknown)?;
        let (name, suffix) = rest.split_once('-').unwrap_or((rest, ""));
        let scale = generation.scales.iter().find(|scale| scale.name == name).ok_or_else(unknown)?;
        let (task, classes, extras) = match suffix {
            "" => (Task::Detect, 80, Extras::None),
            "seg" => (Task::Segment, 80, Extras::Masks { count: 32 }),
            "pose" => (Task::Pose, 1, Extras::Keypoints { count: 17, dims: 3 }),
            "cls" => (Task::Classify, 1000, Extras::None),
            "obb" => (Task::Obb, 15, Extras::Angle),
            _ => return Err(unknown()),
        };
        let branch = wish.unwrap_or_default();
        if branch == HeadBranch::OneToOne && (!generation.has_two_heads || task == Task::Classify) {
            return Err(no_branch(branch).with_help("leave it out: this architecture has one head"));
        }
        let widest = if task == Task::Classify { scale.widest_classifier } else { scale.widest };
        let layers = Scaling { scale, widest }.layers(generation.layers(task == Task::Classify));
        let (reg_max, p3) = (generation.reg_max, layers[generation.levels[0].min(layers.len() - 1)].output);
        let has_keypoint_layer = generation.has_two_heads && task == Task::Pose;
        let inner = match extras {
            Extras::Keypoints { count, dims } if has_keypoint_layer => count * (dims + 2),
            extras => extras.channels(),
        };
        let hidden = match task {
            Task::Classify => [1280, 0, 0],
            _ => [(p3 / 4).max(4 * reg_max).max(16), p3.max(classes.min(100)), (p3 / 4).max(inner)],
        };
        let head = HeadSizes {
            branch,
            hidden,
            has_light_classes: generation.has_light_classes,
            has_keypoint_layer,
            has_fused_protos: generation.has_two_heads,
            proto: Scaling { scale, widest }.channels(256),
        };
        let architecture = architecture.into();
        Ok(Self { architecture, generation, task, layers, classes, reg_max, extras, coding: generation.coding, head })
    }

    /// Whether it gives classes of whole pictures.
    pub(super) fn is_classifier(&self) -> bool {
        self.task == Task::Classify
    }

    /// The published name of these sizes (whatever the classes), else a description.
    pub(super) fn name(&self, architectures: &[&str]) -> String {
        let published = architectures.iter().filter_map(|name| Self::published(self.generation, name, None).ok());
        let same = |other: &Self| other.task == self.task && other.layers == self.layers;
        let channels: Vec<String> = self.layers.iter().map(|sizes| sizes.output).filter(|c| *c > 0).map(|c| c.to_string()).collect();
        let description = || format!("{} {} {}", self.generation.name, self.task, channels.join("-"));
        published.into_iter().find(same).map_or_else(description, |config| config.architecture)
    }
}

/// The error for a head that is not there.
pub(super) fn no_branch(branch: HeadBranch) -> Error {
    Error::new(ErrorKind::Configuration, format!("head: there is no {} head", branch.name()))
}

/// How a scale makes layers larger or smaller.
struct Scaling {
    scale: &'static Scale,
    widest: usize,
}

impl Scaling {
    fn layers(&self, layers: &[Layer]) -> Vec<Sizes> {
        let mut scaled: Vec<Sizes> = Vec::with_capacity(layers.len());
        for layer in layers {
            let input = scaled.last().map_or(3, |sizes| sizes.output);
            scaled.push(self.layer(layer, input));
        }
        scaled
    }

    fn layer(&self, layer: &Layer, input: usize) -> Sizes {
        match *layer {
            Layer::Down(channels) => Sizes { output: self.channels(channels), ..Sizes::default() },
            Layer::Stage(stage) => {
                let output = self.channels(stage.channels);
                let hidden = (output as f64 * stage.share) as usize;
                let link = self.link(stage.link, hidden);
                Sizes { output, hidden, repeats: self.repeats(stage.repeats), link }
            }
            Layer::Pool(pool) => Sizes { output: self.channels(pool.channels), hidden: input / 2, ..Sizes::default() },
            Layer::Attention { channels, repeats } => {
                let output = self.channels(channels);
                Sizes { output, hidden: output / 2, repeats: self.repeats(repeats), ..Sizes::default() }
            }
            Layer::Upsample | Layer::Concat(_) => Sizes::default(),
        }
    }

    fn link(&self, link: Link, width: usize) -> LinkSizes {
        let (kind, hidden, repeats) = match link {
            Link::Wide => (LinkKind::Bottleneck, width, 0),
            Link::Narrow if self.scale.is_nested => (LinkKind::Nested, width / 2, 2),
            Link::Narrow => (LinkKind::Bottleneck, width / 2, 0),
            Link::Nested => (LinkKind::Nested, width / 2, 2),
            Link::Attended => (LinkKind::Attended, width / 2, 0),
        };
        LinkSizes { kind, hidden, repeats }
    }

    fn channels(&self, channels: usize) -> usize {
        ((channels.min(self.widest) as f64 * self.scale.width) / 8.0).ceil() as usize * 8
    }

    fn repeats(&self, count: usize) -> usize {
        if count > 1 { ((count as f64 * self.scale.depth).round() as usize).max(1) } else { count }
    }
}

#[cfg(test)]
mod tests {
    use super::super::generation::{V8, V11, V26};
    use super::super::{YOLO_V8, YOLO11, YOLO26};
    use super::*;
    use crate::Family;

    fn outputs(config: &Config) -> Vec<usize> {
        config.layers.iter().map(|sizes| sizes.output).filter(|output| *output > 0).collect()
    }

    fn repeats(config: &Config) -> Vec<usize> {
        config.layers.iter().map(|sizes| sizes.repeats).filter(|repeats| *repeats > 0).collect()
    }

    #[test]
    fn published_sizes_are_the_official_ones() -> Result<()> {
        let n = Config::published(&V8, "yolov8n", None)?;
        assert_eq!(outputs(&n), [16, 32, 32, 64, 64, 128, 128, 256, 256, 256, 128, 64, 64, 128, 128, 256]);
        assert_eq!((repeats(&n), n.head.hidden), (vec![1, 2, 2, 1, 1, 1, 1, 1], [64, 80, 16]));
        let m = Config::published(&V8, "yolov8m-seg", None)?;
        assert_eq!(outputs(&m)[..9], [48, 96, 96, 192, 192, 384, 384, 576, 576]);
        assert_eq!((repeats(&m), m.head.proto), (vec![2, 4, 4, 2, 2, 2, 2, 2], 192));
        let x = Config::published(&V8, "yolov8x-obb", None)?;
        assert_eq!((outputs(&x)[8], x.head.hidden), (640, [80, 320, 80]));
        let n = Config::published(&V11, "yolo11n", None)?;
        assert_eq!(outputs(&n), [16, 32, 64, 64, 128, 128, 128, 256, 256, 256, 256, 128, 64, 64, 128, 128, 256]);
        assert_eq!((n.layers[2].hidden, n.layers[2].link), (16, LinkSizes { kind: LinkKind::Bottleneck, hidden: 8, repeats: 0 }));
        let x = Config::published(&V26, "yolo26x-pose", None)?;
        assert_eq!((outputs(&x)[9], x.layers[22].repeats, x.layers[22].link.kind), (768, 1, LinkKind::Attended));
        assert_eq!((x.layers[2].link.kind, x.layers[2].repeats, x.head.hidden), (LinkKind::Nested, 2, [96, 384, 96]));
        Ok(())
    }

    #[test]
    fn every_published_name_has_sizes_of_its_own() -> Result<()> {
        for (generation, family) in [(&V8, &YOLO_V8), (&V11, &YOLO11), (&V26, &YOLO26)] {
            let names = family.description().architectures;
            assert_eq!(names.len(), 25);
            for name in names {
                assert_eq!(Config::published(generation, name, None)?.name(names), *name);
            }
            assert!(Config::published(generation, &format!("{}q", generation.name), None).is_err());
        }
        Ok(())
    }

    #[test]
    fn only_detectors_of_yolo26_have_a_second_head() {
        let wish = Some(HeadBranch::OneToOne);
        assert!(Config::published(&V26, "yolo26n-seg", wish).is_ok());
        for (generation, name) in [(&V26, "yolo26n-cls"), (&V11, "yolo11n"), (&V8, "yolov8n")] {
            let error = Config::published(generation, name, wish).map(drop).expect_err("there is none").to_string();
            assert!(error.contains("one2one"), "{error}");
        }
    }
}
