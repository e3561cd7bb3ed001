//! What is done in the scenarios of a case. Hugging Face's first case tells it in the words of its processor, the others in words of their own.

use serde_json::Value;

use crate::verify::Case;
use crate::{Click, Direction, Error, ErrorKind, MaskPrompt, ObjectId, Prompt, Result};
use maskline_vision::Mask;

/// Prefix of scenarios that keep memories in f32, and are the same otherwise.
pub(super) const FULL: &str = "f32mem_";

/// One step of a scenario.
#[derive(Debug, Clone)]
pub(in crate::drivers::sam) enum Step {
    /// Something is said of an object on a frame.
    Say {
        frame: usize,
        object: ObjectId,
        prompt: Prompt,
        /// Beside what was said before.
        is_more: bool,
        /// Whether it is answered together with what is said next.
        waits: bool,
    },
    /// All objects are followed over frames.
    Run { start: usize, most: Option<usize>, direction: Direction },
    /// An object is followed no longer.
    Remove { object: ObjectId },
}

impl Step {
    /// The frames of a run in a clip of so many, in order.
    pub(super) fn frames(&self, length: usize) -> Vec<usize> {
        match *self {
            Self::Run { start, most, direction: Direction::Forward } => {
                (start..length).take(most.map_or(usize::MAX, |most| most + 1)).collect()
            }
            // A run backward from the first frame has none.
            Self::Run { start: 0, .. } => Vec::new(),
            Self::Run { start, most, direction: Direction::Backward } => {
                (start.saturating_sub(most.unwrap_or(usize::MAX))..=start).rev().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Names of all scenarios that the case has tensors of.
pub(super) fn scenarios(case: &Case) -> Result<Vec<String>> {
    let mut names: Vec<String> = case.outputs()?.names().iter().filter_map(|name| Some(name.split_once('.')?.0.to_owned())).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The entry of `calls` that tells of a scenario.
pub(super) fn entry<'a>(case: &'a Case, scenario: &str) -> Option<&'a Value> {
    let name = scenario.strip_prefix(FULL).unwrap_or(scenario);
    case.entry("calls").as_array()?.iter().find(|call| call["name"] == name)
}

/// The steps of a scenario.
pub(super) fn of(case: &Case, scenario: &str) -> Result<Vec<Step>> {
    let broken = || Error::new(ErrorKind::BadInput, format!("case.json does not tell the steps of `{scenario}`"));
    let steps = entry(case, scenario).and_then(|call| call["steps"].as_array()).ok_or_else(broken)?;
    let name = scenario.strip_prefix(FULL).unwrap_or(scenario);
    let mut all = steps.iter().map(|step| one(case, name, step)?.ok_or_else(broken)).collect::<Result<Vec<Step>>>()?;
    // What Hugging Face's processor is told of one frame waits until the frame is run.
    let told: Vec<Option<usize>> = steps.iter().map(|step| added(step)?["frame_idx"].as_u64().map(|frame| frame as usize)).collect();
    for (step, pair) in all.iter_mut().zip(told.windows(2)) {
        if let Step::Say { waits, .. } = step {
            *waits = pair[0].is_some() && pair[0] == pair[1];
        }
    }
    Ok(all)
}

/// What Hugging Face's processor is told in a step.
fn added(step: &Value) -> Option<&Value> {
    step.get("add").or_else(|| step.get("add_mask"))
}

fn one(case: &Case, scenario: &str, step: &Value) -> Result<Option<Step>> {
    let number = |value: &Value| value.as_u64().map(|number| number as usize);
    let direction = |value: &Value| if value.as_bool() == Some(true) { Direction::Backward } else { Direction::Forward };
    if let Some(run) = step.get("run") {
        let run = number(&run["start_frame_idx"]).map(|start| Step::Run { start, most: None, direction: direction(&run["reverse"]) });
        return Ok(run);
    }
    if let Some(add) = added(step) {
        let Some((frame, object)) = number(&add["frame_idx"]).zip(add["obj_ids"][0].as_i64()) else { return Ok(None) };
        let prompt = match step.get("add_mask") {
            Some(_) => mask(case, scenario)?,
            None => prompt(&add["input_points"][0][0], &add["input_labels"][0][0], &add["input_boxes"][0][0]),
        };
        return Ok(Some(Step::Say { frame, object, prompt, is_more: false, waits: false }));
    }
    let object = step["obj"].as_i64();
    Ok(match step["op"].as_str() {
        Some("run") => {
            number(&step["start"]).map(|start| Step::Run { start, most: number(&step["max"]), direction: direction(&step["reverse"]) })
        }
        Some("remove") => object.map(|object| Step::Remove { object }),
        Some("click") => object.zip(number(&step["frame"])).map(|(object, frame)| {
            let prompt = prompt(&step["points"], &step["labels"], &step["box"]);
            Step::Say { frame, object, prompt, is_more: step["keep"].as_bool() == Some(true), waits: false }
        }),
        Some("mask") => match object.zip(number(&step["frame"])) {
            Some((object, frame)) => Some(Step::Say { frame, object, prompt: mask(case, "mask")?, is_more: false, waits: false }),
            None => None,
        },
        _ => None,
    })
}

fn prompt(points: &Value, labels: &Value, bounds: &Value) -> Prompt {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN) as f32;
    let labels = labels.as_array().into_iter().flatten();
    let click = |(point, label): (&Value, &Value)| Click { x: number(&point[0]), y: number(&point[1]), is_positive: label == 1 };
    let clicks = points.as_array().into_iter().flatten().zip(labels).map(click).collect();
    let bounds = bounds.is_array().then(|| [0, 1, 2, 3].map(|side| number(&bounds[side])));
    Prompt { clicks, bounds, ..Prompt::default() }
}

/// The mask that is given in a scenario.
fn mask(case: &Case, scenario: &str) -> Result<Prompt> {
    let mask = case.input(&format!("{scenario}.mask"))?;
    let &[height, width] = mask.shape.as_slice() else {
        return Err(Error::new(ErrorKind::BadInput, "a mask").expecting("rows and columns").but_found(format!("{:?}", mask.shape)));
    };
    let mask = Mask::from_fn(width, height, |x, y| mask.data[y * width + x] != 0.0)?;
    Ok(Prompt::default().with_mask(MaskPrompt::Picture(mask)))
}
