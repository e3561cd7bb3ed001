//! Options that mean nothing without another one, or to files that hold nothing of what the models find.

use clap::ArgMatches;
use maskline::{Error, ErrorKind};

use super::{Needs, Subject, is_given, it, verb};
use crate::args::{Everything, Format, Run};
use crate::concepts::Concepts;
use crate::failure::Failure;

/// Options of everything mode. The parser asks for `--everything` too, but not where a prompt stands beside them, which excludes it.
const EVERYTHING: [(&str, &str); 11] = [
    ("points_per_side", "--points-per-side"),
    ("pred_iou_thresh", "--pred-iou-thresh"),
    ("stability_thresh", "--stability-thresh"),
    ("stability_offset", "--stability-offset"),
    ("box_nms_thresh", "--box-nms-thresh"),
    ("crop_layers", "--crop-layers"),
    ("crop_nms_thresh", "--crop-nms-thresh"),
    ("crop_overlap", "--crop-overlap"),
    ("crop_points_downscale", "--crop-points-downscale"),
    ("min_area", "--min-area"),
    ("m2m", "--m2m"),
];

/// Those of them that are about crops.
const CROPS: [(&str, &str); 3] =
    [("crop_nms_thresh", "--crop-nms-thresh"), ("crop_overlap", "--crop-overlap"), ("crop_points_downscale", "--crop-points-downscale")];

/// Refuses options of everything mode where it is not asked for, and options of crops where there are none.
///
/// # Errors
/// `InvalidOption`, which names the options and the way out.
pub(crate) fn check_everything(matches: &ArgMatches, wished: &Everything) -> Result<(), Failure> {
    if !wished.everything {
        let named = given(matches, &EVERYTHING);
        return refuse(&named, "where prompts are asked", |them| format!("leave {them} out, or ask for --everything in place of prompts"));
    }
    let named = if wished.crop_layers == 0 { given(matches, &CROPS) } else { Vec::new() };
    refuse(&named, "where there are no crops", |them| format!("leave {them} out, or add --crop-layers 1"))
}

/// Refuses options of reading words where there are none.
///
/// # Errors
/// As [`check_everything`].
pub(crate) fn check_words(arguments: &Run, concepts: &Concepts) -> Result<(), Failure> {
    let wished = [("--templates", arguments.worded.templates), ("--truncate", arguments.worded.truncate)];
    let named: Vec<&str> = wished.iter().filter(|(_, is_wished)| *is_wished && !concepts.has_words()).map(|(flag, _)| *flag).collect();
    refuse(&named, "where there are no words", |them| format!("leave {them} out, or add --text WORDS"))
}

/// Refuses options of `eval` that are about what is not asked for: logits between clicks where there is one click at most, and a list
/// in a JSON object where none is written.
///
/// # Errors
/// As [`check_everything`].
pub(crate) fn check_eval(wished: &crate::eval::Eval) -> Result<(), Failure> {
    if wished.mask_feedback && wished.clicks < 2 {
        return refuse(&["--mask-feedback"], "to less than two --clicks", |them| format!("leave {them} out, or ask for more --clicks"));
    }
    if wished.per_object && !wished.json && wished.output.is_none() {
        return refuse(&["--per-object"], "to the table", |them| format!("leave {them} out, or add --json or -o FILE"));
    }
    Ok(())
}

fn given<'a>(matches: &ArgMatches, options: &[(&str, &'a str)]) -> Vec<&'a str> {
    options.iter().filter(|(id, _)| is_given(matches, id)).map(|(_, flag)| *flag).collect()
}

fn refuse(named: &[&str], to: &str, help: impl Fn(&str) -> String) -> Result<(), Failure> {
    if named.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidOption, format!("{} {to}", verb(named))).with_help(help(it(named))).into())
}

/// Refuses formats that the command line names and that hold nothing of what the models find: files without their content would look
/// like answers.
///
/// # Errors
/// As [`check_everything`].
pub(super) fn check_formats(arguments: &Run, subjects: &[Subject<'_>]) -> Result<(), Failure> {
    let empty = |format: &&Format| needs(**format).is_some_and(|needs| !subjects.iter().any(|subject| subject.meets(needs)));
    let Some(format) = arguments.format.iter().find(empty) else { return Ok(()) };
    let models: Vec<String> = subjects.iter().map(|subject| format!("{} ({})", subject.name, subject.info.task.noun())).collect();
    let (why, help) = match needs(*format) {
        Some(Needs::Masks) if subjects.iter().any(|subject| subject.meets(Needs::Boxes)) => {
            ("whose objects have no masks", "leave it out, or let a promptable model add them: yolov8n+nano")
        }
        Some(Needs::CocoClasses) if subjects.iter().any(|subject| subject.meets(Needs::Objects)) => {
            ("whose classes are not the 80 of COCO", "leave it out; -f coco and -f coco-results number the classes that there are")
        }
        _ => ("which finds no objects", "leave it out; -f json and --json have the classes"),
    };
    let message = format!("-f {} does not apply to {}, {why}", format.of_files().name(), models.join(" and "));
    Err(Error::new(ErrorKind::InvalidOption, message).with_help(help).into())
}

fn needs(format: Format) -> Option<Needs> {
    match format {
        Format::Jpg | Format::Png | Format::Json => None,
        Format::Masks | Format::Cutout | Format::PngIndex | Format::Polygons | Format::CocoRle => Some(Needs::Masks),
        // Boxes will do.
        Format::Coco | Format::CocoResults | Format::Yolo | Format::YoloSeg | Format::Labelme | Format::LabelStudio => Some(Needs::Objects),
        Format::Coco91 => Some(Needs::CocoClasses),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Arguments;

    #[test]
    fn every_option_of_everything_mode_is_known() {
        let all = Arguments::command();
        let run = all.find_subcommand("run").expect("a command");
        let heading = Some("Everything mode (promptable models)");
        let in_help = run.get_arguments().filter(|argument| argument.get_help_heading() == heading);
        let expected: Vec<&str> = in_help.map(|argument| argument.get_id().as_str()).filter(|id| *id != "everything").collect();
        assert_eq!(EVERYTHING.map(|(id, _)| id).to_vec(), expected);
        for (id, flag) in EVERYTHING.iter().chain(&CROPS) {
            assert_eq!(format!("--{}", id.replace('_', "-")), *flag);
        }
    }
}
