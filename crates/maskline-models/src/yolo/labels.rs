//! Class names: given, else from the checkpoint, else those of the data set that the class count tells of.

use maskline_weights::Checkpoint;

use super::config::Config;
use super::said;
use crate::labels::Names;
use crate::{BuildOptions, Error, ErrorKind, LabelSource, Result, Task};

/// Names of the 80 COCO classes, one per line, in the order of the published models.
const COCO: &str = include_str!("../../assets/coco.txt");
/// Names of the 15 DOTA v1 classes, likewise.
const DOTA: &str = include_str!("../../assets/dota.txt");

/// Names by class index, and who says so; empty where nobody does and the class count tells nothing.
pub(super) fn of_checkpoint(checkpoint: &Checkpoint, config: &Config, options: &BuildOptions) -> Result<(Vec<String>, LabelSource)> {
    if let Some(given) = &options.labels {
        return Ok((check_given(given, config.classes)?, LabelSource::Given));
    }
    let fail = |message: String| {
        let help = "give the names of the classes: the API's `labels`, the program's `--names FILE`";
        Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()).with_help(help))
    };
    const PLACES: [&[&str]; 6] =
        [&["names"], &["classes"], &["id2label"], &["yaml", "names"], &["hyper_parameters", "names"], &["args", "names"]];
    let Some(said) = said::told(checkpoint, &PLACES) else {
        return Ok(by_count(config.task, config.classes));
    };
    match Names::of(&said) {
        Some(names) if names.classes() == config.classes => Ok((names.fill(), LabelSource::File)),
        Some(names) => fail(format!("the checkpoint names {} classes, its head has {}", names.classes(), config.classes)),
        None => {
            let shown = crate::blocks::pickled::shown(&said);
            fail(format!("the names of the classes are {shown}; expected a list of names, or a dictionary from class index to name"))
        }
    }
}

/// Names that the caller gives, one for each class.
pub(super) fn check_given(given: &[String], classes: usize) -> Result<Vec<String>> {
    if given.len() == classes {
        return Ok(given.to_vec());
    }
    let misfit = Error::new(ErrorKind::Configuration, "names of classes").expecting(classes).finding(given.len());
    Err(misfit.with_help("give one name for each class, in the order of the model's classes"))
}

/// The names of a published data set with this many classes.
pub(super) fn by_count(task: Task, classes: usize) -> (Vec<String>, LabelSource) {
    let (lines, data_set) = match (task, classes) {
        (Task::Detect | Task::Segment, 80) => (COCO, "COCO"),
        (Task::Pose, 1) => ("person", "COCO"),
        (Task::Obb, 15) => (DOTA, "DOTA"),
        _ => return (vec![], LabelSource::None),
    };
    (lines.lines().map(str::to_string).collect(), LabelSource::Assumed { data_set: data_set.into() })
}
