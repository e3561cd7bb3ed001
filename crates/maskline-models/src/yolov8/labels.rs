//! Class names: from the checkpoint, else from the data set that the class count tells of.

use maskline_weights::{Attribute, Checkpoint};

use super::Config;
use crate::{Error, ErrorKind, Result, Task};

/// Names of the 80 COCO classes, one per line, in the order of the published models.
const COCO: &str = include_str!("../../assets/coco.txt");
/// Names of the 15 DOTA v1 classes, likewise.
const DOTA: &str = include_str!("../../assets/dota.txt");

/// Names by class index; empty where neither the checkpoint nor the class count tells.
pub(super) fn of_checkpoint(checkpoint: &Checkpoint, config: &Config) -> Result<Vec<String>> {
    match checkpoint.attribute(&["names"]).and_then(names) {
        Some(names) if names.len() == config.classes => Ok(names),
        Some(names) => {
            let message = format!("the checkpoint names {} classes, its head has {}", names.len(), config.classes);
            Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()))
        }
        None => Ok(by_count(config.task, config.classes)),
    }
}

/// The names of a published data set with this many classes.
pub(super) fn by_count(task: Task, classes: usize) -> Vec<String> {
    let lines = match (task, classes) {
        (Task::Detect | Task::Segment, 80) => COCO,
        (Task::Pose, 1) => "person",
        (Task::Obb, 15) => DOTA,
        _ => "",
    };
    lines.lines().map(str::to_string).collect()
}

/// `names` of a model: a list, or a map from index to name.
fn names(attribute: &Attribute) -> Option<Vec<String>> {
    if let Some(list) = attribute.as_list() {
        return list.iter().map(|name| name.as_str().map(str::to_string)).collect();
    }
    let mut entries: Vec<(i64, String)> =
        attribute.as_map()?.iter().map(|(key, name)| Some((key.as_int()?, name.as_str()?.to_string()))).collect::<Option<_>>()?;
    entries.sort();
    entries.iter().map(|e| e.0).eq(0..entries.len() as i64).then(|| entries.into_iter().map(|e| e.1).collect())
}
