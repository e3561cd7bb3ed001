//! Sizes of a YOLOv8, from its published name or from the shapes of its tensors.

use maskline_weights::{Checkpoint, Scope};

use super::said;
use crate::blocks::pickled;
use crate::{BuildOptions, Error, ErrorKind, Extras, Result, Task};

/// Channels, repeats and head of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Published name, or the channel counts where the sizes are no published ones.
    pub architecture: String,
    /// What the head answers.
    pub task: Task,
    /// Channels of P1/2, P2/4, P3/8, P4/16, P5/32.
    pub channels: [usize; 5],
    /// Bottlenecks of the C2f blocks: layers 2, 4, 6, 8 of the backbone, then 12, 15, 18, 21 of the neck.
    pub repeats: [usize; 8],
    /// Number of classes.
    pub classes: usize,
    /// Bins of the distance distribution per box side.
    pub reg_max: usize,
    /// What each anchor carries besides box and scores.
    pub extras: Extras,
    /// Hidden channels of the box, class and extras branches of the head (classify: of its convolution, in the first).
    pub head_channels: [usize; 3],
    /// Hidden channels of the prototype network.
    pub proto_channels: usize,
}

/// Layers with a C2f block.
pub(super) const C2F_LAYERS: [usize; 8] = [2, 4, 6, 8, 12, 15, 18, 21];
/// Layers whose convolution sets the channels of P1..P5.
const CHANNEL_LAYERS: [usize; 5] = [0, 1, 3, 5, 7];
/// Head of the detectors and of the classifier.
pub(super) const DETECT_LAYER: usize = 22;
pub(super) const CLASSIFY_LAYER: usize = 9;

/// Published scales: name, depth, width, widest layer before scaling (classifiers: always 1024).
const SCALES: [(&str, f64, f64, usize); 5] =
    [("n", 0.33, 0.25, 1024), ("s", 0.33, 0.5, 1024), ("m", 0.67, 0.75, 768), ("l", 1.0, 1.0, 512), ("x", 1.0, 1.25, 512)];

/// Published architectures.
pub(super) const ARCHITECTURES: &[&str] = &[
    "yolov8n",
    "yolov8s",
    "yolov8m",
    "yolov8l",
    "yolov8x",
    "yolov8n-seg",
    "yolov8s-seg",
    "yolov8m-seg",
    "yolov8l-seg",
    "yolov8x-seg",
    "yolov8n-pose",
    "yolov8s-pose",
    "yolov8m-pose",
    "yolov8l-pose",
    "yolov8x-pose",
    "yolov8n-cls",
    "yolov8s-cls",
    "yolov8m-cls",
    "yolov8l-cls",
    "yolov8x-cls",
    "yolov8n-obb",
    "yolov8s-obb",
    "yolov8m-obb",
    "yolov8l-obb",
    "yolov8x-obb",
];

impl Config {
    /// The sizes of a published architecture.
    ///
    /// # Errors
    /// `UnknownModel` for another name.
    pub fn published(architecture: &str) -> Result<Self> {
        let unknown = || Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published YOLOv8"));
        let rest = architecture.strip_prefix("yolov8").ok_or_else(unknown)?;
        let (scale, suffix) = rest.split_once('-').unwrap_or((rest, ""));
        let (_, depth, width, widest) = *SCALES.iter().find(|s| s.0 == scale).ok_or_else(unknown)?;
        let (task, classes, extras) = match suffix {
            "" => (Task::Detect, 80, Extras::None),
            "seg" => (Task::Segment, 80, Extras::Masks { count: 32 }),
            "pose" => (Task::Pose, 1, Extras::Keypoints { count: 17, dims: 3 }),
            "cls" => (Task::Classify, 1000, Extras::None),
            "obb" => (Task::Obb, 15, Extras::Angle),
            _ => return Err(unknown()),
        };
        let widest = if task == Task::Classify { 1024 } else { widest };
        let scaled = |channels: usize| ((channels.min(widest) as f64 * width) / 8.0).ceil() as usize * 8;
        let repeated = |count: usize| ((count as f64 * depth).round() as usize).max(1);
        let channels = [64, 128, 256, 512, 1024].map(scaled);
        let (reg_max, p3) = (16, channels[2]);
        let head_channels = match task {
            Task::Classify => [1280, 0, 0],
            _ => [(p3 / 4).max(4 * reg_max).max(16), p3.max(classes.min(100)), (p3 / 4).max(extras.channels())],
        };
        Ok(Self {
            architecture: architecture.into(),
            task,
            channels,
            repeats: [3, 6, 6, 3, 3, 3, 3, 3].map(repeated),
            classes,
            reg_max,
            extras,
            head_channels,
            proto_channels: scaled(256),
        })
    }

    /// The sizes of a checkpoint, from the shapes of a few tensors; building checks all the others against them.
    ///
    /// # Errors
    /// `Checkpoint` if one of those is missing, `Configuration` if the keypoint shape cannot be told.
    pub fn of_checkpoint(checkpoint: &Checkpoint, options: &BuildOptions) -> Result<Self> {
        let model = checkpoint.root().push("model");
        let mut channels = [0; 5];
        for (size, layer) in channels.iter_mut().zip(CHANNEL_LAYERS) {
            *size = output_channels(&model, &format!("{layer}.conv.weight"))?;
        }
        let repeats = C2F_LAYERS.map(|layer| model.push(layer).push("m").children().len());
        let mut config = if model.contains(&format!("{CLASSIFY_LAYER}.linear.weight")) {
            let classes = output_channels(&model, &format!("{CLASSIFY_LAYER}.linear.weight"))?;
            let hidden = output_channels(&model, &format!("{CLASSIFY_LAYER}.conv.conv.weight"))?;
            Self::sized(channels, repeats, Task::Classify, classes).with_head(0, Extras::None, [hidden, 0, 0])
        } else {
            Self::detector(checkpoint, channels, repeats, options)?
        };
        config.architecture = config.name();
        Ok(config)
    }

    fn detector(checkpoint: &Checkpoint, channels: [usize; 5], repeats: [usize; 8], options: &BuildOptions) -> Result<Self> {
        let head = checkpoint.root().push("model").push(DETECT_LAYER);
        let classes = output_channels(&head, "cv3.0.2.weight")?;
        let sides = output_channels(&head, "cv2.0.2.weight")?;
        if sides % 4 != 0 {
            let misfit = Error::new(ErrorKind::Checkpoint, format!("model.{DETECT_LAYER}.cv2.0.2.weight"));
            let misfit = misfit.expecting("bins for four sides of a box").finding(format!("{sides} channels"));
            return Err(misfit.at(checkpoint.path()));
        }
        let reg_max = sides / 4;
        let mut hidden = [output_channels(&head, "cv2.0.0.conv.weight")?, output_channels(&head, "cv3.0.0.conv.weight")?, 0];
        if !head.contains("cv4.0.2.weight") {
            return Ok(Self::sized(channels, repeats, Task::Detect, classes).with_head(reg_max, Extras::None, hidden));
        }
        hidden[2] = output_channels(&head, "cv4.0.0.conv.weight")?;
        let count = output_channels(&head, "cv4.0.2.weight")?;
        let (task, extras) = if head.contains("proto.cv3.conv.weight") {
            (Task::Segment, Extras::Masks { count })
        } else if count == 1 {
            (Task::Obb, Extras::Angle)
        } else {
            let [count, dims] = keypoint_shape(checkpoint, count, options)?;
            (Task::Pose, Extras::Keypoints { count, dims })
        };
        let mut config = Self::sized(channels, repeats, task, classes).with_head(reg_max, extras, hidden);
        if task == Task::Segment {
            config.proto_channels = output_channels(&head, "proto.cv1.conv.weight")?;
        }
        Ok(config)
    }

    fn sized(channels: [usize; 5], repeats: [usize; 8], task: Task, classes: usize) -> Self {
        Self {
            architecture: String::new(),
            task,
            channels,
            repeats,
            classes,
            reg_max: 0,
            extras: Extras::None,
            head_channels: [0; 3],
            proto_channels: 0,
        }
    }

    fn with_head(self, reg_max: usize, extras: Extras, head_channels: [usize; 3]) -> Self {
        Self { reg_max, extras, head_channels, ..self }
    }

    /// The published name of these sizes (whatever the classes), else a description.
    fn name(&self) -> String {
        let published = ARCHITECTURES.iter().filter_map(|name| Self::published(name).ok());
        let backbone = if self.task == Task::Classify { 4 } else { 8 };
        let same = |c: &Self| c.task == self.task && c.channels == self.channels && c.repeats[..backbone] == self.repeats[..backbone];
        let channels = self.channels.map(|c| c.to_string()).join("-");
        published.into_iter().find(same).map_or_else(|| format!("yolov8 {} {channels}", self.task), |c| c.architecture)
    }
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

/// Splits `channels` numbers per anchor into keypoints: told by the options or the checkpoint, else by divisibility.
fn keypoint_shape(checkpoint: &Checkpoint, channels: usize, options: &BuildOptions) -> Result<[usize; 2]> {
    let said = said::told(checkpoint, &[&["kpt_shape"], &["model", "22", "kpt_shape"], &["yaml", "kpt_shape"]]);
    let stored = match said.as_ref().map(|said| (said, said::sizes(said))) {
        None => None,
        Some((_, Some(sizes))) if sizes.len() == 2 => Some([sizes[0], sizes[1]]),
        Some((said, _)) => {
            let message = format!("its keypoint shape is {}; expected [count, 2] or [count, 3]", pickled::shown(said));
            return Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()).with_help("give the keypoint shape"));
        }
    };
    let shape = options.keypoint_shape.or(stored).or(match (channels % 3, channels % 2) {
        (0, 1) => Some([channels / 3, 3]),
        (1 | 2, 0) => Some([channels / 2, 2]),
        _ => None,
    });
    match shape {
        Some([count, dims]) if count.checked_mul(dims) == Some(channels) && (dims == 2 || dims == 3) => Ok([count, dims]),
        Some([count, dims]) => {
            let message = format!("keypoint shape [{count}, {dims}] does not fit the head's {channels} channels");
            Err(Error::new(ErrorKind::Configuration, message).at(checkpoint.path()))
        }
        None => {
            let message = format!(
                "{channels} keypoint channels may be {} × 3 or {} × 2, and the checkpoint does not say which",
                channels / 3,
                channels / 2
            );
            Err(Error::new(ErrorKind::Configuration, message).at(checkpoint.path()).with_help("give the keypoint shape"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sizes_are_the_official_ones() -> Result<()> {
        let n = Config::published("yolov8n")?;
        assert_eq!((n.channels, n.repeats), ([16, 32, 64, 128, 256], [1, 2, 2, 1, 1, 1, 1, 1]));
        assert_eq!(n.head_channels, [64, 80, 16]);
        let m = Config::published("yolov8m-seg")?;
        assert_eq!((m.channels, m.repeats), ([48, 96, 192, 384, 576], [2, 4, 4, 2, 2, 2, 2, 2]));
        assert_eq!(m.proto_channels, 192);
        let x = Config::published("yolov8x-obb")?;
        assert_eq!((x.channels, x.head_channels), ([80, 160, 320, 640, 640], [80, 320, 80]));
        assert!(ARCHITECTURES.iter().all(|name| Config::published(name).is_ok()));
        assert!(Config::published("yolov8q").is_err());
        Ok(())
    }
}
