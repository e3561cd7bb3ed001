//! Existing exports (`yolo export format=onnx`): names and task from the metadata, sizes from the ports.

use maskline_onnx::{DType, ModelHeader, Port};

use maskline_weights::Attribute;

use super::generation::{Generation, V8, V11, V26};
use super::head::STRIDES;
use super::{labels, part_role, preprocess, said};
use crate::info::{MOST_SIDE, NETWORK};
use crate::labels::Names;
use crate::{
    BuildOptions, DetectorHead, Error, ErrorKind, Extras, HeadForm, LabelSource, ModelInfo, Output, PartInfo, Result, Selection,
    SizeSource, Task,
};

/// Describes an export of a generation, or `None` if the file is none. Those that do not say of which they are count as the first: what is in the
/// graph already sets no generation apart.
pub(super) fn import(generation: &Generation, header: &ModelHeader, options: &BuildOptions) -> Option<Result<ModelInfo>> {
    let about = header.metadata.get("description").map_or("", String::as_str);
    let is_export = header.metadata.contains_key("task") && header.metadata.contains_key("names") && header.metadata.contains_key("stride");
    let said = name(header).unwrap_or_default();
    let of = [&V26, &V11].into_iter().find(|generation| said.starts_with(generation.name)).unwrap_or(&V8);
    let is_ours = std::ptr::eq(generation, of) && (is_export || about.contains("Ultralytics"));
    is_ours.then(|| describe(generation, header, options))
}

fn describe(generation: &Generation, header: &ModelHeader, options: &BuildOptions) -> Result<ModelInfo> {
    let refuse = |message: String, help: &str| Err(Error::new(ErrorKind::UnknownModel, message).with_help(help));
    if let Some(head) = options.head {
        let message = format!("head: an export has one head, and the {} one cannot be chosen", head.name());
        let help = "run the checkpoint that it was made of, or leave it out";
        return Err(Error::new(ErrorKind::Configuration, message).with_help(help));
    }
    if let Some(head) = header.metadata.get("head").filter(|head| !HEADS.contains(&head.as_str())) {
        return refuse(format!("the export's metadata says that its head is a `{head:.40}`, which is not read"), KNOWN_TASKS);
    }
    let task = match header.metadata.get("task").map(String::as_str) {
        Some("detect") => Task::Detect,
        Some("segment") => Task::Segment,
        Some("pose") => Task::Pose,
        Some("classify") => Task::Classify,
        Some("obb") => Task::Obb,
        other => return refuse(format!("the export's metadata says task `{:.40}`", other.unwrap_or("nothing")), KNOWN_TASKS),
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
        family: generation.name.into(),
        architecture: name(header).unwrap_or_else(|| format!("{} {task} export", generation.name)),
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
fn name(header: &ModelHeader) -> Option<String> {
    let about = header.metadata.get("description").map_or("", String::as_str);
    about.split_whitespace().find(|word| word.to_lowercase().starts_with("yolo") && word.len() < 40).map(str::to_lowercase)
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
const KNOWN_TASKS: &str = "exports of detect, segment, pose, classify and obb models are read";

/// Heads whose exports are read.
const HEADS: [&str; 13] = [
    "Classify",
    "Detect",
    "OBB",
    "OBB26",
    "Pose",
    "Pose26",
    "Segment",
    "Segment26",
    "WorldDetect",
    "YOLOEDetect",
    "YOLOESegment",
    "YOLOESegment26",
    "v10Detect",
];

fn detector(header: &ModelHeader, task: Task, names: Option<&Names>) -> Result<DetectorHead> {
    let (predictions, protos) = match header.outputs.as_slice() {
        [predictions] if task != Task::Segment => (predictions, None),
        [predictions, protos] if task == Task::Segment && protos.2.len() == 4 => (predictions, Some(protos)),
        outputs => return Err(unexpected_outputs(outputs)),
    };
    let named = names.map(Names::classes);
    let counted = protos.and_then(|(.., dims)| dims.get(1).copied().flatten());
    let chooses = choosing(header, task, counted)?;
    let &[_, rows, columns] = predictions.2.as_slice() else { return Err(unexpected_outputs(&header.outputs)) };
    let channels = if chooses { columns } else { rows };
    let extras = match task {
        Task::Segment => {
            // Box, score and class of an object, or the box and all scores of an anchor.
            let before = if chooses { Some(6) } else { named.map(|classes| classes.saturating_add(4)) };
            let left = before.and_then(|before| channels?.checked_sub(before));
            Extras::Masks { count: counted.or(left).ok_or_else(|| unexpected_outputs(&header.outputs))? }
        }
        Task::Pose => keypoints(header)?,
        Task::Obb => Extras::Angle,
        _ => Extras::None,
    };
    let (predictions, protos) = (predictions.0.clone(), protos.map(|protos| protos.0.clone()));
    if chooses {
        let Some(classes) = named else {
            let message = "the export chooses its objects, and nothing in it tells how many classes there are";
            return Err(Error::new(ErrorKind::UnknownModel, message).with_help("give the names of its classes"));
        };
        let form = HeadForm::Chosen { predictions, protos };
        return Ok(DetectorHead { classes, extras, form, selection: Selection::Made });
    }
    let further = extras.channels();
    // Graphs for any size may not tell it; then the names do.
    let channels = channels.or(named.map(|classes| classes.saturating_add(further).saturating_add(4)));
    let Some(channels) = channels else { return Err(unexpected_outputs(&header.outputs)) };
    let classes =
        channels.checked_sub(further.saturating_add(4)).filter(|classes| *classes > 0 && named.is_none_or(|named| named == *classes));
    let Some(classes) = classes else {
        let message = format!(
            "output `{predictions}` has {channels} channels; 4 box, {} class and {further} further ones were expected",
            named.map_or("some".into(), |named| named.to_string())
        );
        return Err(Error::new(ErrorKind::UnknownModel, message).with_help(MISFIT));
    };
    Ok(DetectorHead { classes, extras, form: HeadForm::Decoded { predictions, protos }, selection: Selection::Suppression })
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

/// Whether an export chooses its objects itself: `nms=True`, and the heads of YOLOv10 and YOLO26 that need no suppression. They give a row of
/// box, score, class and extras for each object, where others have a row for each number of an anchor.
fn choosing(header: &ModelHeader, task: Task, masks: Option<usize>) -> Result<bool> {
    let metadata = |key: &str| header.metadata.get(key).map_or("", String::as_str);
    let is_true = |text: &str| matches!(text.trim(), "True" | "true" | "1");
    let args = Attribute::parse(metadata("args"));
    let is_set = |key: &str| is_true(metadata(key)) || args.as_ref().and_then(|args| args.get(key)?.as_bool()) == Some(true);
    let row = match task {
        Task::Pose => keypoints(header)?.channels().saturating_add(6),
        Task::Segment => masks.map_or(38, |count| count.saturating_add(6)),
        Task::Obb => 7,
        _ => 6,
    };
    let found = header.outputs.first().map_or(&[][..], |(.., dims)| dims);
    let width = found.get(2).copied().flatten();
    if !is_set("end2end") && !is_set("nms") {
        // An anchor grid is never as small as a row: the smallest picture has 21 anchors.
        return Ok(matches!(found, &[_, most, Some(width)] if width == row && most != Some(width) && (width < 21 || most == Some(300))));
    }
    if width.is_none_or(|width| width == row) && found.len() == 3 {
        return Ok(true);
    }
    let shape: Vec<String> = found.iter().map(|size| size.map_or("?".into(), |size| size.to_string())).collect();
    let message =
        format!("the export's metadata says that it chooses its objects; expected rows of {row} numbers, found [{}]", shape.join(", "));
    Err(Error::new(ErrorKind::UnknownModel, message).with_help("export it again"))
}

fn unexpected_outputs(outputs: &[Port]) -> Error {
    let found: Vec<String> = outputs.iter().map(|(name, _, dims)| format!("{name} {dims:?}")).collect();
    let message = format!("unexpected outputs: {}", found.join(", "));
    Error::new(ErrorKind::UnknownModel, message).with_help("export the model with `yolo export format=onnx`")
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
        assert!([&V8, &V11, &V26].iter().all(|generation| import(generation, &header, &BuildOptions::default()).is_none()));
    }
}
