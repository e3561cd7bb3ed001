//! Options that mean nothing to the models at hand are refused, not ignored.

mod classes;
mod company;
mod part;
#[cfg(test)]
pub(crate) mod stand_in;

use clap::ArgMatches;
use clap::parser::ValueSource;
use maskline::vision::write::has_coco_classes;
use maskline::{Error, ErrorKind, Model, ModelInfo, SizeRule};

pub(crate) use classes::classes;
pub(crate) use company::{check_everything, check_words};
use part::Part;
pub(crate) use part::is_judged_by_prompts;

use crate::args::{Multimask, Run};
use crate::eval::Eval;
use crate::failure::Failure;

/// What an option needs of at least one of the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Finds objects of classes by itself.
    Detector,
    /// Finds objects with boxes, by itself or told by words and examples.
    Boxes,
    /// Takes words and examples.
    Concepts,
    /// Was measured with several phrasings of a word.
    Phrasings,
    /// Takes pictures without prompts and words: a detector or a classifier.
    Predictor,
    /// Its network takes several sizes; nano looks at every picture as it is.
    Size,
    /// Is built for one size.
    BuiltSize,
    /// Finds keypoints.
    Pose,
    /// Finds objects of classes by itself, at whichever of its heads.
    Head,
    /// Has a mask decoder, of which there are two forms.
    MaskDecoder,
    /// Answers prompts.
    Prompts,
    /// Encodes pictures, for what is asked about them.
    Encoder,
    /// Answers prompts, as a model that stands for itself.
    Promptable,
    /// Gives masks that can be kept from overlapping: of prompts, or of what is found.
    Apart,
    /// Answers prompts with several masks each.
    SeveralMasks,
    /// Finds objects.
    Objects,
    /// Finds objects with masks.
    Masks,
    /// Finds objects of COCO's classes, or of the first of them alone, as pose models do.
    CocoClasses,
}

/// An option by its name among the arguments and on the command line.
#[derive(Debug)]
struct Rule {
    id: &'static str,
    flag: &'static str,
    needs: Needs,
}

const fn rule(id: &'static str, flag: &'static str, needs: Needs) -> Rule {
    Rule { id, flag, needs }
}

/// Options of `build` that do not apply to every model.
const BUILD: [Rule; 5] = [
    rule("size", "--size", Needs::BuiltSize),
    rule("keypoints", "--keypoints", Needs::Pose),
    rule("head", "--head", Needs::Head),
    rule("decoder", "--decoder", Needs::MaskDecoder),
    rule("kernels", "--kernels", Needs::Encoder),
];

/// Options of `run` that do not apply to every model; `--multimask on` needs more than the others and is checked by itself.
const RUN: [Rule; 33] = [
    rule("decoder", "--decoder", Needs::MaskDecoder),
    rule("kernels", "--kernels", Needs::Encoder),
    rule("names", "--names", Needs::Predictor),
    rule("size", "--size", Needs::Size),
    rule("keypoints", "--keypoints", Needs::Pose),
    rule("head", "--head", Needs::Head),
    rule("rect", "--rect", Needs::Detector),
    rule("conf", "--conf", Needs::Boxes),
    rule("iou", "--iou", Needs::Boxes),
    rule("max_detections", "--max-detections", Needs::Boxes),
    rule("classes", "--classes", Needs::Detector),
    rule("agnostic_nms", "--agnostic-nms", Needs::Boxes),
    rule("batch", "--batch", Needs::Predictor),
    rule("text", "--text", Needs::Concepts),
    rule("texts", "--texts", Needs::Concepts),
    rule("like", "--like", Needs::Concepts),
    rule("like_box", "--like-box", Needs::Concepts),
    rule("unlike_box", "--unlike-box", Needs::Concepts),
    rule("templates", "--templates", Needs::Phrasings),
    rule("truncate", "--truncate", Needs::Concepts),
    rule("point", "--point", Needs::Prompts),
    rule("bounds", "--box", Needs::Prompts),
    rule("mask", "--mask", Needs::Prompts),
    rule("label", "--label", Needs::Prompts),
    rule("object", "--object", Needs::Prompts),
    rule("prompts", "--prompts", Needs::Prompts),
    rule("multimask", "--multimask", Needs::Prompts),
    rule("mask_threshold", "--mask-threshold", Needs::Prompts),
    rule("fill_holes", "--fill-holes", Needs::Prompts),
    rule("remove_spots", "--remove-spots", Needs::Prompts),
    rule("no_overlap", "--no-overlap", Needs::Apart),
    rule("embedding_cache", "--embedding-cache", Needs::Encoder),
    rule("chunk", "--chunk", Needs::Prompts),
];

/// Options of `eval` that do not apply to every model.
const EVAL: [Rule; 15] = [
    rule("size", "--size", Needs::Size),
    rule("keypoints", "--keypoints", Needs::Pose),
    rule("head", "--head", Needs::Head),
    rule("rect", "--rect", Needs::Detector),
    rule("conf", "--conf", Needs::Boxes),
    rule("iou", "--iou", Needs::Boxes),
    rule("max_detections", "--max-detections", Needs::Boxes),
    rule("batch", "--batch", Needs::Detector),
    rule("templates", "--templates", Needs::Phrasings),
    rule("min_area", "--min-area", Needs::Promptable),
    rule("objects_limit", "--objects-limit", Needs::Promptable),
    rule("clicks", "--clicks", Needs::Promptable),
    rule("mask_feedback", "--mask-feedback", Needs::Promptable),
    rule("multimask", "--multimask", Needs::Promptable),
    rule("per_object", "--per-object", Needs::Promptable),
];

/// Options of `eval` that mean nothing where detections are read from a file, beside those of [`EVAL`].
const MODEL_ONLY: [(&str, &str); 17] = [
    ("images", "--images"),
    ("images_limit", "--images-limit"),
    ("seed", "--seed"),
    ("synthetic", "--synthetic"),
    ("provider", "--provider"),
    ("device", "--device"),
    ("gpu_memory_limit", "--gpu-memory-limit"),
    ("tf32", "--tf32"),
    ("cuda_graph", "--cuda-graph"),
    ("tensorrt_level", "--tensorrt-level"),
    ("tensorrt_workspace", "--tensorrt-workspace"),
    ("hint", "--hint"),
    ("streams", "--streams"),
    ("inference_precision", "--inference-precision"),
    ("threads", "--threads"),
    ("max_pixels", "--max-pixels"),
    ("runtime", "--runtime"),
];

/// Refuses options of `run` that apply to none of the models.
///
/// # Errors
/// `InvalidOption`, which names the options, the models and the way out.
pub(crate) fn check(matches: &ArgMatches, models: &[Model], arguments: &Run) -> Result<(), Failure> {
    let subjects: Vec<Subject<'_>> = match models {
        [model] => vec![Subject { part: Part::asked(matches, model.info()), ..Subject::of(model) }],
        [finder, segmenter] => {
            vec![Subject { part: Part::FINDER, ..Subject::of(finder) }, Subject { part: Part::SEGMENTER, ..Subject::of(segmenter) }]
        }
        _ => models.iter().map(Subject::of).collect(),
    };
    let fits = match subjects.as_slice() {
        [_] => true,
        [detector, segmenter] => detector.meets(Needs::Boxes) && segmenter.meets(Needs::Prompts),
        _ => false,
    };
    // Models that do not go together are told by what joins them.
    if !fits {
        return Ok(());
    }
    refuse(matches, &RUN, &subjects)?;
    if subjects.len() == 2 && is_given(matches, "batch") {
        let message = "--batch does not apply to a detector with a segmenter: their pictures are done one by one";
        return Err(Error::new(ErrorKind::InvalidOption, message).with_help("leave it out").into());
    }
    refuse_several_masks(arguments.prompted.multimask, &subjects)?;
    company::check_formats(arguments, &subjects)
}

/// The same for `eval`; without a model, detections are read from a file.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_eval(matches: &ArgMatches, model: Option<&Model>, arguments: &Eval) -> Result<(), Failure> {
    if let Some(model) = model {
        let subjects = [Subject { part: Part::judged(matches, model.info()), ..Subject::of(model) }];
        refuse(matches, &EVAL, &subjects)?;
        refuse_several_masks(arguments.multimask, &subjects)?;
        return company::check_eval(arguments);
    }
    let all = EVAL.iter().map(|rule| (rule.id, rule.flag)).chain(MODEL_ONLY);
    let named: Vec<&str> = all.filter(|(id, _)| is_given(matches, id)).map(|(_, flag)| flag).collect();
    if named.is_empty() {
        return Ok(());
    }
    let error = Error::new(ErrorKind::InvalidOption, format!("{} to --predictions, where no model runs", verb(&named)));
    Err(error.with_help(format!("leave {} out", it(&named))).into())
}

/// The same for `build`, of a model that is built.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_build(matches: &ArgMatches, name: &str, info: &ModelInfo) -> Result<(), Failure> {
    refuse(matches, &BUILD, &[Subject { name, info, part: Part::ALL }])
}

/// A model as far as options need to know it.
#[derive(Debug)]
struct Subject<'a> {
    name: &'a str,
    info: &'a ModelInfo,
    part: Part,
}

impl<'a> Subject<'a> {
    fn of(model: &'a Model) -> Self {
        Self { name: model.name(), info: model.info(), part: Part::ALL }
    }

    /// Whether its part in the command is what this is about.
    fn is_asked(&self, needs: Needs) -> bool {
        match needs {
            Needs::Detector | Needs::Boxes | Needs::Concepts | Needs::Phrasings => self.part.finds,
            Needs::Prompts | Needs::Promptable | Needs::SeveralMasks => self.part.answers,
            _ => true,
        }
    }

    fn meets(&self, needs: Needs) -> bool {
        self.is_asked(needs) && self.can(needs)
    }

    fn can(&self, needs: Needs) -> bool {
        let (info, task) = (self.info, self.info.task);
        match needs {
            Needs::Detector => task.finds_boxes(),
            Needs::Boxes => task.finds_boxes() || task.takes_concepts(),
            Needs::Concepts => task.takes_concepts(),
            Needs::Phrasings => task.takes_concepts() && !task.has_masks(),
            Needs::Apart => {
                let finds_masks = task.takes_concepts() && task.has_masks();
                self.part.answers && info.takes_prompts() || self.part.finds && finds_masks
            }
            Needs::Encoder => info.takes_prompts() || task.takes_concepts(),
            Needs::Predictor => !info.takes_prompts() && !task.takes_concepts(),
            Needs::Size => info.size_rule() != SizeRule::Own,
            Needs::BuiltSize => info.built_size().is_some(),
            Needs::Pose => info.keypoints().is_some(),
            Needs::Head => task.finds_boxes(),
            Needs::MaskDecoder => info.mask_decoder().is_some(),
            Needs::Prompts | Needs::Promptable => info.takes_prompts(),
            Needs::Objects => task.has_objects(),
            Needs::Masks => task.has_masks(),
            Needs::CocoClasses => task.finds_boxes() && has_coco_classes(&info.labels),
            Needs::SeveralMasks => info.masks_per_prompt() > 1,
        }
    }
}

/// Whether an option stands on the command line; one from the environment or by default is no wish for this model.
pub(crate) fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn refuse(matches: &ArgMatches, rules: &[Rule], subjects: &[Subject<'_>]) -> Result<(), Failure> {
    let refused = |rule: &&Rule| is_given(matches, rule.id) && !subjects.iter().any(|subject| subject.meets(rule.needs));
    let refused: Vec<&Rule> = rules.iter().filter(refused).collect();
    // Of phrasings of words nothing is to be said where there are no words.
    let are_told = subjects.iter().any(|subject| subject.info.task.takes_concepts());
    let told = |rule: &Rule| if rule.needs == Needs::Phrasings && !are_told { Needs::Concepts } else { rule.needs };
    let Some(needs) = refused.first().map(|rule| told(rule)) else { return Ok(()) };
    // One kind at a time: the help is about it.
    let is_alike = |rule: &&&Rule| reason(told(rule)) == reason(needs);
    let flags: Vec<&str> = refused.iter().filter(is_alike).map(|rule| rule.flag).collect();
    Err(refusal(&flags, needs, subjects))
}

fn refuse_several_masks(multimask: Multimask, subjects: &[Subject<'_>]) -> Result<(), Failure> {
    let is_wished = multimask == Multimask::On && !subjects.iter().any(|subject| subject.meets(Needs::SeveralMasks));
    if is_wished { Err(refusal(&["--multimask on"], Needs::SeveralMasks, subjects)) } else { Ok(()) }
}

fn refusal(flags: &[&str], needs: Needs, subjects: &[Subject<'_>]) -> Failure {
    let is_alone = subjects.len() == 1;
    let meant = subjects.iter().filter(|subject| is_alone || subject.is_asked(needs));
    let models: Vec<String> = meant.map(|subject| format!("{} ({})", subject.name, subject.info.task.noun())).collect();
    let is_able = is_alone && subjects.iter().any(|subject| subject.can(needs));
    let (why, help) = if is_able { unasked(needs) } else { reason(needs) };
    let more = if help.is_empty() { String::new() } else { format!("; {help}") };
    let more = if is_able || matches!(needs, Needs::Prompts | Needs::Apart | Needs::Encoder | Needs::Concepts) {
        more.replacen("; ", ", or ", 1)
    } else {
        more
    };
    let more = if flags.len() == 1 { more.replacen("they are", "it is", 1) } else { more };
    let error = Error::new(ErrorKind::InvalidOption, format!("{} to {}{why}", verb(flags), models.join(" and ")));
    error.with_help(format!("leave {} out{more}", it(flags))).into()
}

/// Why an option does not apply to a model that could take it, if it were asked in another way, and what else can be done than leave it out.
fn unasked(needs: Needs) -> (&'static str, &'static str) {
    match needs {
        Needs::Detector | Needs::Boxes | Needs::Concepts | Needs::Phrasings => (", which is not told what to find", "add --text WORDS"),
        _ => (", of which no prompts are asked", "add --point X,Y or --box X1,Y1,X2,Y2"),
    }
}

/// Why an option does not apply to a model that lacks what it needs, and what else can be done than leave it out.
fn reason(needs: Needs) -> (&'static str, &'static str) {
    match needs {
        Needs::Detector | Needs::Boxes => ("", "they are for detectors"),
        Needs::Concepts => (", which takes no words and no examples", "ask a model that does: sam3, owlv2-base"),
        Needs::Predictor => ("", "pictures go through the network together where no prompts are asked"),
        Needs::Size => (", which looks at every picture at its own size", ""),
        Needs::BuiltSize => (", which is built for every size", ""),
        Needs::Pose => (", which finds no keypoints", ""),
        Needs::Head => (", which is no detector", ""),
        Needs::MaskDecoder => (", which has no mask decoder", ""),
        Needs::Phrasings => (", which was measured with one phrasing of each word", ""),
        Needs::Prompts | Needs::Apart | Needs::Encoder => {
            (", which takes no prompts", "join it with a promptable model: yolov8n+sam2.1-tiny")
        }
        Needs::Promptable => (", which takes no prompts", ""),
        Needs::SeveralMasks => (", which gives one mask per prompt", ""),
        Needs::Objects | Needs::Masks | Needs::CocoClasses => ("", ""),
    }
}

/// `--a does not apply`, `--a and --b do not apply`.
fn verb(flags: &[&str]) -> String {
    match flags {
        [all @ .., before, last] => {
            let first: String = all.iter().map(|flag| format!("{flag}, ")).collect();
            format!("{first}{before} and {last} do not apply")
        }
        _ => format!("{} does not apply", flags.join("")),
    }
}

fn it(flags: &[&str]) -> &'static str {
    if flags.len() == 1 { "it" } else { "them" }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;
    use crate::args::Arguments;

    /// Whether a command has an argument of this name that is written so.
    fn has(command: &Command, id: &str, flag: &str) -> bool {
        let is_it =
            |argument: &&clap::Arg| argument.get_id() == id && argument.get_long().map(|long| format!("--{long}")).as_deref() == Some(flag);
        command.get_arguments().any(|argument| is_it(&argument))
    }

    #[test]
    fn every_rule_is_about_an_option_that_exists() {
        let all = Arguments::command();
        let (run, eval, build) = (all.find_subcommand("run"), all.find_subcommand("eval"), all.find_subcommand("build"));
        for (command, rules) in [(run, &RUN[..]), (eval, &EVAL[..]), (build, &BUILD[..])] {
            for Rule { id, flag, .. } in rules {
                assert!(command.is_some_and(|command| has(command, id, flag)), "{flag}");
            }
        }
        assert!(MODEL_ONLY.iter().all(|(id, flag)| eval.is_some_and(|eval| has(eval, id, flag))));
    }

    #[test]
    fn options_are_joined_to_sentences() {
        assert_eq!(verb(&["--a"]), "--a does not apply");
        assert_eq!(verb(&["--a", "--b"]), "--a and --b do not apply");
        assert_eq!(verb(&["--a", "--b", "--c"]), "--a, --b and --c do not apply");
    }
}
