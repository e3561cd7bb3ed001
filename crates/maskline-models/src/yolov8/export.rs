//! Existing exports (`yolo export format=onnx`): names and task from the metadata, sizes from the ports.

use maskline_onnx::{DType, ModelHeader, Port};

use maskline_weights::Attribute;

use super::head::STRIDES;
use super::{DESCRIPTION, labels, part_role, preprocess, said};
use crate::info::{MOST_SIDE, NETWORK};
use crate::labels::Names;
use crate::{
    BuildOptions, DetectorHead, Error, ErrorKind, Extras, HeadForm, LabelSource, ModelInfo, Output, PartInfo, Result, SizeSource, Task,
};

/// Describes an export, or `None` if the file is none of ultralytics.
pub(super) fn import(header: &ModelHeader, options: &BuildOptions) -> Option<Result<ModelInfo>> {
    let about = header.metadata.get("description").map_or("", String::as_str);
    let is_export = header.metadata.contains_key("task") && header.metadata.contains_key("names") && header.metadata.contains_key("stride");
    (is_export || about.contains("Ultralytics")).then(|| describe(header, options))
}

fn describe(header: &ModelHeader, options: &BuildOptions) -> Result<ModelInfo> {
    let refuse = |message: String, help: &str| Err(Error::new(ErrorKind::UnknownModel, message).with_help(help));
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
    check_input(batch, rows, columns)?;
    check_stride(header, task)?;
    let said = match &options.labels {
        Some(given) => Names::of(&Attribute::List(given.iter().cloned().map(Attribute::Str).collect())).filter(|n| n.classes() > 0),
        None => labels_of(header)?,
    };
    let (output, classes) = match task {
        Task::Classify => classifier(header, said.as_ref())?,
        _ => {
            let head = detector(header, task, said.as_ref())?;
            head.check()
                .map_err(|error| Error::new(ErrorKind::UnknownModel, format!("the export cannot be right: {error}")).with_help(MISFIT))?;
            let classes = head.classes;
            (Output::Detector(head), classes)
        }
    };
    let (labels, labels_from) = match (said, &options.labels) {
        (_, Some(given)) => (labels::check_given(given, classes)?, LabelSource::Given),
        (Some(names), None) => (names.fill(), LabelSource::File),
        (None, None) => labels::by_count(task, classes),
    };
    let (default_size, size_from) = default_size(header, task, rows.zip(columns))?;
    Ok(ModelInfo {
        family: DESCRIPTION.name.into(),
        architecture: architecture(header, task),
        task,
        labels,
        labels_from,
        weights_notes: vec![],
        input: input.clone(),
        preprocess: preprocess(task),
        default_size,
        size_from,
        fixed_size: rows.zip(columns).map(|(rows, columns)| [rows, columns]),
        fixed_batch: batch,
        parts: vec![PartInfo { name: NETWORK.into(), role: part_role(task), eager: true }],
        memory: None,
        output,
    })
}

/// The name that the description begins with, e.g. of `Ultralytics YOLOv8n-seg model trained on coco.yaml`.
fn architecture(header: &ModelHeader, task: Task) -> String {
    let about = header.metadata.get("description").map_or("", String::as_str);
    let name = about.split_whitespace().find(|word| word.to_lowercase().starts_with("yolo") && word.len() < 40);
    name.map_or_else(|| format!("yolov8 {task} export"), str::to_lowercase)
}

/// The fixed sizes of the input are memory that will be asked for.
fn check_input(batch: Option<usize>, rows: Option<usize>, columns: Option<usize>) -> Result<()> {
    const MOST_BATCH: usize = 1024;
    const MOST_VALUES: usize = 1 << 30;
    let side_fits = |side: Option<usize>| side.is_none_or(|side| side.is_multiple_of(32) && (32..=MOST_SIDE).contains(&side));
    let values = [batch, rows, columns].into_iter().fold(3_usize, |values, size| values.saturating_mul(size.unwrap_or(1)));
    if batch.is_none_or(|batch| (1..=MOST_BATCH).contains(&batch)) && side_fits(rows) && side_fits(columns) && values <= MOST_VALUES {
        return Ok(());
    }
    let shown = |size: Option<usize>| size.map_or("?".into(), |size| size.to_string());
    let message = format!(
        "an input of {} pictures of {} × {}: expected at most {MOST_BATCH}, with sides that are multiples of 32 up to {MOST_SIDE}",
        shown(batch),
        shown(rows),
        shown(columns)
    );
    Err(Error::new(ErrorKind::UnknownModel, message).with_help("export it again with another `imgsz` or `batch`"))
}

/// Detectors answer on levels of stride 8, 16 and 32.
fn check_stride(header: &ModelHeader, task: Task) -> Result<()> {
    let stride = header.metadata.get("stride").map(|text| text.trim());
    let fits = |said: &str| {
        let sizes = Attribute::parse(said).as_ref().and_then(said::sizes);
        sizes.is_some_and(|sizes| sizes == [STRIDES[2]] || sizes == STRIDES)
    };
    match stride.filter(|stride| task != Task::Classify && !fits(stride)) {
        Some(stride) => {
            let message = format!("the export's metadata says stride `{stride:.40}`; expected 32");
            Err(Error::new(ErrorKind::UnknownModel, message).with_help("models of four levels (P6) and others are not supported"))
        }
        None => Ok(()),
    }
}

/// The fixed side; else what the metadata says, else what the published models have.
fn default_size(header: &ModelHeader, task: Task, fixed: Option<(usize, usize)>) -> Result<(usize, SizeSource)> {
    if let Some((rows, _)) = fixed {
        return Ok((rows, SizeSource::File));
    }
    let Some(text) = header.metadata.get("imgsz") else { return Ok((super::default_size(task), SizeSource::Published)) };
    let side = Attribute::parse(text).as_ref().and_then(said::side_of).ok_or_else(|| {
        let message = format!("the export's metadata says imgsz `{text:.40}`; expected one or two numbers from 1 to {MOST_SIDE}");
        Error::new(ErrorKind::UnknownModel, message).with_help("export it again")
    })?;
    Ok((side, SizeSource::File))
}

fn classifier(header: &ModelHeader, names: Option<&Names>) -> Result<(Output, usize)> {
    let [(name, _, dims)] = header.outputs.as_slice() else { return Err(unexpected_outputs(&header.outputs)) };
    let &[_, classes] = dims.as_slice() else { return Err(unexpected_outputs(&header.outputs)) };
    let named = names.map(Names::classes);
    let Some(classes) = classes.or(named).filter(|classes| *classes > 0) else { return Err(unexpected_outputs(&header.outputs)) };
    if named.is_some_and(|named| named != classes) {
        let message = format!("output `{name}` has {classes} classes; there are names for {}", named.unwrap_or(0));
        return Err(Error::new(ErrorKind::UnknownModel, message).with_help(MISFIT));
    }
    Ok((Output::Classifier { classes, probabilities: name.clone() }, classes))
}

const MISFIT: &str = "its metadata does not fit its graph; export it again, or give the names of its classes";

fn detector(header: &ModelHeader, task: Task, names: Option<&Names>) -> Result<DetectorHead> {
    refuse_end_to_end(header, task)?;
    let (predictions, protos) = match header.outputs.as_slice() {
        [predictions] if task != Task::Segment => (predictions, None),
        [predictions, protos] if task == Task::Segment && protos.2.len() == 4 => (predictions, Some(protos)),
        outputs => return Err(unexpected_outputs(outputs)),
    };
    let &[_, Some(channels), _] = predictions.2.as_slice() else { return Err(unexpected_outputs(&header.outputs)) };
    let named = names.map(Names::classes);
    let extras = match (task, protos) {
        (Task::Segment, Some((_, _, dims))) => {
            let left = named.and_then(|classes| channels.checked_sub(classes.saturating_add(4)));
            let count = dims.get(1).copied().flatten().or(left).ok_or_else(|| unexpected_outputs(&header.outputs))?;
            Extras::Masks { count }
        }
        (Task::Pose, _) => keypoints(header)?,
        (Task::Obb, _) => Extras::Angle,
        _ => Extras::None,
    };
    let further = extras.channels();
    let classes =
        channels.checked_sub(further.saturating_add(4)).filter(|classes| *classes > 0 && named.is_none_or(|named| named == *classes));
    let Some(classes) = classes else {
        let message = format!(
            "output `{}` has {channels} channels; 4 box, {} class and {further} further ones were expected",
            predictions.0,
            named.map_or("some".into(), |named| named.to_string())
        );
        return Err(Error::new(ErrorKind::UnknownModel, message).with_help(MISFIT));
    };
    let form = HeadForm::Decoded { predictions: predictions.0.clone(), protos: protos.map(|p| p.0.clone()) };
    Ok(DetectorHead { classes, extras, form })
}

fn keypoints(header: &ModelHeader) -> Result<Extras> {
    let text = header.metadata.get("kpt_shape").map(String::as_str).unwrap_or_default();
    match Attribute::parse(text).as_ref().and_then(said::sizes).as_deref() {
        Some(&[count, dims]) if count > 0 && (dims == 2 || dims == 3) => Ok(Extras::Keypoints { count, dims }),
        _ => {
            let message = format!("the export's metadata says `kpt_shape` `{text:.40}`; expected [count, 2] or [count, 3]");
            Err(Error::new(ErrorKind::UnknownModel, message).with_help("export it again"))
        }
    }
}

/// Exports that choose their boxes themselves: `nms=True`, and the end-to-end heads of YOLOv10 and YOLO26. They give a row of box,
/// score, class and extras for each object, where others have a row for each number of an anchor.
fn refuse_end_to_end(header: &ModelHeader, task: Task) -> Result<()> {
    let metadata = |key: &str| header.metadata.get(key).map_or("", String::as_str);
    let is_true = |text: &str| matches!(text.trim(), "True" | "true" | "1");
    let args = Attribute::parse(metadata("args"));
    let is_set = |key: &str| is_true(metadata(key)) || args.as_ref().and_then(|args| args.get(key)?.as_bool()) == Some(true);
    let row = match task {
        Task::Pose => keypoints(header).map_or(0, |extras| 6_usize.saturating_add(extras.channels())),
        Task::Segment => {
            header.outputs.get(1).and_then(|(.., dims)| dims.get(1).copied().flatten()).map_or(38, |count| count.saturating_add(6))
        }
        Task::Obb => 7,
        _ => 6,
    };
    let found = header.outputs.first().map_or(&[][..], |(.., dims)| dims);
    // An anchor grid is never as small as a row: the smallest picture has 21 anchors.
    let has_rows = matches!(found, &[_, most, Some(width)] if width == row && most != Some(width) && (width < 21 || most == Some(300)));
    let what = if is_set("end2end") {
        "an end-to-end export (as of YOLOv10 and YOLO26)"
    } else if is_set("nms") {
        "an export with its own NMS (`nms=True`)"
    } else if has_rows {
        "an end-to-end export (`nms=True`, YOLOv10, YOLO26)"
    } else {
        return Ok(());
    };
    let shape: Vec<String> = found.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
    let message = format!(
        "{what}: its output [{}] holds objects that are chosen already; thresholds could not be chosen and results would differ",
        shape.join(", ")
    );
    Err(Error::new(ErrorKind::UnknownModel, message)
        .with_help("export again with `nms=False` (the default), YOLOv10 and YOLO26 with `end2end=False`"))
}

fn unexpected_outputs(outputs: &[Port]) -> Error {
    let found: Vec<String> = outputs.iter().map(|(name, _, dims)| format!("{name} {dims:?}")).collect();
    let message = format!("unexpected outputs: {}", found.join(", "));
    Error::new(ErrorKind::UnknownModel, message).with_help("export a YOLOv8 with `yolo export format=onnx`")
}

/// `names` as Python prints a dict: `{0: 'person', 1: "cat's toy"}`. `None` where there are none.
fn labels_of(header: &ModelHeader) -> Result<Option<Names>> {
    let Some(text) = header.metadata.get("names") else { return Ok(None) };
    match Names::of(&Attribute::Str(text.clone())).filter(|names| names.classes() > 0) {
        Some(names) => Ok(Some(names)),
        None => {
            let message = format!("the export's metadata has unreadable names: {text:.80}");
            Err(Error::new(ErrorKind::UnknownModel, message).with_help("export it again, or give the names of its classes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_are_not_ours() {
        let header = ModelHeader { producer: "x".into(), opset: 17, metadata: Default::default(), inputs: vec![], outputs: vec![] };
        assert!(import(&header, &BuildOptions::default()).is_none());
    }
}
