//! Existing exports (`yolo export format=onnx`): names and task from the metadata, sizes from the ports.

use maskline_onnx::{DType, ModelHeader, Port};

use super::{DESCRIPTION, preprocess};
use crate::{DetectorHead, Error, ErrorKind, Extras, HeadForm, ModelInfo, Output, Result, Task};

/// Describes an export, or `None` if the file is none of ultralytics.
pub(super) fn import(header: &ModelHeader) -> Option<Result<ModelInfo>> {
    let about = header.metadata.get("description").map_or("", String::as_str);
    let is_export = header.metadata.contains_key("task") && header.metadata.contains_key("names") && header.metadata.contains_key("stride");
    (is_export || about.contains("Ultralytics")).then(|| describe(header, about))
}

fn describe(header: &ModelHeader, about: &str) -> Result<ModelInfo> {
    let refuse = |message: String, help: &str| Err(Error::new(ErrorKind::UnknownModel, message).help(help));
    let task = match header.metadata.get("task").map(String::as_str) {
        Some("detect") => Task::Detect,
        Some("segment") => Task::Segment,
        Some("pose") => Task::Pose,
        Some("classify") => Task::Classify,
        Some("obb") => Task::Obb,
        other => return refuse(format!("the export's metadata says task `{}`", other.unwrap_or("nothing")), "export a YOLOv8 again"),
    };
    let [(input, dtype, dims)] = header.inputs.as_slice() else {
        return refuse(format!("expected one input, found {}", header.inputs.len()), "export without further inputs");
    };
    if *dtype != Some(DType::F32) {
        let found = dtype.map_or("another type".into(), |d| d.to_string());
        return refuse(format!("expected an f32 input, found {found}"), "export again without `half=True` or `int8=True`");
    }
    let &[batch, Some(3), rows, columns] = dims.as_slice() else {
        return refuse(format!("expected input [batch, 3, height, width], found {dims:?}"), "export a model for RGB pictures");
    };
    let names = labels_of(header)?;
    let (output, names) = match task {
        Task::Classify => (classifier(header)?, names),
        _ => {
            let head = detector(header, task, names.len())?;
            (Output::Detector(head), names)
        }
    };
    let architecture = about.split_whitespace().find(|word| word.to_lowercase().starts_with("yolov8")).map(str::to_lowercase);
    let stored_size = header.metadata.get("imgsz").and_then(|text| integers(text).first().copied());
    Ok(ModelInfo {
        family: DESCRIPTION.name.into(),
        architecture: architecture.unwrap_or_else(|| format!("yolov8 {task} export")),
        task,
        labels: names,
        input: input.clone(),
        preprocess: preprocess(task),
        default_size: rows.or(stored_size).unwrap_or_else(|| super::default_size(task)),
        fixed_size: rows.zip(columns).map(|(rows, columns)| [rows, columns]),
        fixed_batch: batch,
        output,
    })
}

fn classifier(header: &ModelHeader) -> Result<Output> {
    match header.outputs.as_slice() {
        [(name, _, dims)] if dims.len() == 2 => Ok(Output::Classifier { probabilities: name.clone() }),
        outputs => Err(unexpected_outputs(outputs)),
    }
}

fn detector(header: &ModelHeader, task: Task, classes: usize) -> Result<DetectorHead> {
    let (predictions, protos) = match header.outputs.as_slice() {
        [predictions] if task != Task::Segment => (predictions, None),
        [predictions, protos] if task == Task::Segment => (predictions, Some(protos)),
        outputs => return Err(unexpected_outputs(outputs)),
    };
    if header.metadata.get("args").is_some_and(|args| args.contains("'nms': True")) || predictions.2.get(2) == Some(&Some(6)) {
        let message = "the export contains its own NMS; thresholds could not be chosen and results would differ";
        return Err(Error::new(ErrorKind::UnknownModel, message).help("export again with `nms=False` (the default)"));
    }
    let &[_, Some(channels), _] = predictions.2.as_slice() else { return Err(unexpected_outputs(&header.outputs)) };
    let extras = match (task, protos) {
        (Task::Segment, Some((_, _, dims))) => Extras::Masks { count: dims.get(1).copied().flatten().unwrap_or(32) },
        (Task::Pose, _) => {
            let shape = header.metadata.get("kpt_shape").map(|text| integers(text)).unwrap_or_default();
            let &[count, dims] = shape.as_slice() else {
                return Err(Error::new(ErrorKind::UnknownModel, "the export's metadata lacks `kpt_shape`"));
            };
            Extras::Keypoints { count, dims }
        }
        (Task::Obb, _) => Extras::Angle,
        _ => Extras::None,
    };
    if channels != 4 + classes + extras.channels() {
        let message = format!(
            "output `{}` has {channels} channels; 4 box, {classes} class and {} further ones were expected",
            predictions.0,
            extras.channels()
        );
        return Err(Error::new(ErrorKind::UnknownModel, message).help("its metadata does not fit its graph; export it again"));
    }
    let form = HeadForm::Decoded { predictions: predictions.0.clone(), protos: protos.map(|p| p.0.clone()) };
    Ok(DetectorHead { classes, extras, form })
}

fn unexpected_outputs(outputs: &[Port]) -> Error {
    let found: Vec<String> = outputs.iter().map(|(name, _, dims)| format!("{name} {dims:?}")).collect();
    let message = format!("unexpected outputs: {}", found.join(", "));
    Error::new(ErrorKind::UnknownModel, message).help("export a YOLOv8 with `yolo export format=onnx`")
}

/// `names` as Python prints a dict: `{0: 'person', 1: "cat's toy"}`.
fn labels_of(header: &ModelHeader) -> Result<Vec<String>> {
    let text = header.metadata.get("names").map_or("", String::as_str);
    match parse_names(text) {
        Some(names) => Ok(names),
        None => Err(Error::new(ErrorKind::UnknownModel, format!("the export's metadata has unreadable names: {text:.80}"))),
    }
}

fn parse_names(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':')?;
        if key.trim().parse::<usize>().ok()? != names.len() {
            return None;
        }
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut name = String::new();
        let mut characters = after[1..].char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => name.push(characters.next()?.1),
                (i, c) if c == quote => break i,
                (_, c) => name.push(c),
            }
        };
        names.push(name);
        rest = after[1 + end + 1..].trim_start().trim_start_matches(',').trim_start();
    }
    Some(names)
}

/// The integers in a text such as `[17, 3]`.
fn integers(text: &str) -> Vec<usize> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yolov8::labels;

    #[test]
    fn python_dicts_of_names() {
        assert_eq!(
            parse_names(r#"{0: 'person', 1: "cat's toy", 2: 'a, b: {c}', 3: 'it\'s'}"#),
            Some(vec!["person".into(), "cat's toy".into(), "a, b: {c}".into(), "it's".into()])
        );
        assert_eq!(parse_names("{}"), Some(vec![]));
        assert_eq!(parse_names("{1: 'x'}"), None);
        assert_eq!(parse_names("{0: 'x"), None);
        assert_eq!(labels::by_count(Task::Detect, 80).len(), 80);
    }

    #[test]
    fn files_of_others_are_not_ours() {
        let header = ModelHeader { producer: "x".into(), opset: 17, metadata: Default::default(), inputs: vec![], outputs: vec![] };
        assert!(import(&header).is_none());
    }
}
