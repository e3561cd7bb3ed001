//! What a model does in a command, of that which it can.

use clap::ArgMatches;
use maskline::ModelInfo;

use super::is_given;

/// Options of `run` that say what is to be found, and those that ask about objects one by one.
const SOUGHT: [&str; 5] = ["text", "texts", "like", "like_box", "unlike_box"];
const ASKED: [&str; 7] = ["point", "bounds", "mask", "label", "object", "prompts", "everything"];

/// Options of `eval` that are about prompts alone.
const JUDGED_BY_PROMPTS: [&str; 6] = ["min_area", "objects_limit", "clicks", "mask_feedback", "multimask", "per_object"];

/// The parts that a model may have in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// It finds objects.
    pub(super) finds: bool,
    /// It answers prompts.
    pub(super) answers: bool,
}

impl Part {
    pub(super) const ALL: Self = Self { finds: true, answers: true };
    pub(super) const FINDER: Self = Self { finds: true, answers: false };
    pub(super) const SEGMENTER: Self = Self { finds: false, answers: true };

    /// What the words of a `run` ask of the one model that there is.
    pub(super) fn asked(matches: &ArgMatches, info: &ModelInfo) -> Self {
        let is_any = |ids: &[&str]| ids.iter().any(|id| is_given(matches, id));
        match (is_any(&SOUGHT), is_any(&ASKED)) {
            (finds, answers) if is_of_both(info) && (finds || answers) => Self { finds, answers },
            _ => Self::ALL,
        }
    }

    /// What a model is judged by: words, unless options are about prompts.
    pub(super) fn judged(matches: &ArgMatches, info: &ModelInfo) -> Self {
        match is_judged_by_prompts(matches) {
            _ if !is_of_both(info) => Self::ALL,
            true => Self::SEGMENTER,
            false => Self::FINDER,
        }
    }
}

/// Whether options of `eval` stand on the command line that are about prompts.
pub(crate) fn is_judged_by_prompts(matches: &ArgMatches) -> bool {
    JUDGED_BY_PROMPTS.iter().any(|id| is_given(matches, id))
}

/// Whether a model can be asked in two ways: told what to find, and by prompts.
fn is_of_both(info: &ModelInfo) -> bool {
    info.task.takes_concepts() && info.takes_prompts()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;
    use serde_json::json;

    use super::super::stand_in::{both, info};
    use super::super::{EVAL, RUN, Subject, refuse};
    use super::*;
    use crate::args::Arguments;

    /// What is wrong with options of a command: of one model, whose part follows from the words, or of two that are joined.
    fn refusal(words: &str, models: &[&ModelInfo]) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        let all = Arguments::command().try_get_matches_from([&["maskline"], &words[..]].concat()).unwrap();
        let (matches, is_run) = (all.subcommand_matches(words[0]).unwrap(), words[0] == "run");
        let parts = match models {
            [info] if is_run => vec![Part::asked(matches, info)],
            [info] => vec![Part::judged(matches, info)],
            _ => vec![Part::FINDER, Part::SEGMENTER],
        };
        let subjects = models.iter().zip(parts).map(|(info, part)| Subject { name: "m", info, part }).collect::<Vec<_>>();
        let rules = if is_run { &RUN[..] } else { &EVAL };
        refuse(matches, rules, &subjects).err().map(|failure| format!("{failure:?}")).unwrap_or_default()
    }

    #[test]
    fn every_option_that_parts_follow_from_exists() {
        let all = Arguments::command();
        let has = |command: &str, id: &&str| {
            let command = all.find_subcommand(command).unwrap();
            command.get_arguments().any(|argument| argument.get_id() == id)
        };
        assert!(SOUGHT.iter().chain(&ASKED).all(|id| has("run", id)));
        assert!(JUDGED_BY_PROMPTS.iter().all(|id| has("eval", id)));
    }

    #[test]
    fn a_model_that_takes_words_and_prompts_takes_the_options_of_what_it_is_asked() {
        let both = both();
        let refusal = |words: &str| refusal(&format!("run m photo.jpg {words}"), &[&both]);
        for fine in [
            "--text dog --conf 0.3 --iou 0.5 --max-detections 9 --truncate --no-overlap",
            "--like-box 1,1,9,9 --unlike-box 2,2,9,9 --agnostic-nms --size 1008",
            "--point 3,4 --multimask on --fill-holes 3 --no-overlap --chunk 4",
            "--everything --chunk 4 --mask-threshold 1",
            "--text dog --box 1,1,9,9 --conf 0.3 --fill-holes 3",
            "--conf 0.3",
        ] {
            assert_eq!(refusal(fine), "", "{fine}");
        }
        for (words, flag) in [("--fill-holes 3", "--fill-holes"), ("--multimask off", "--multimask"), ("--chunk 3", "--chunk")] {
            let message = refusal(&format!("--text dog {words}"));
            let expected = ["does not apply to m (a segmenter of what words and examples say)", "no prompts are asked", "--point X,Y"];
            assert!(expected.iter().chain([&flag]).all(|word| message.contains(word)), "{message}");
        }
        for (words, flag) in [("--conf 0.3", "--conf"), ("--max-detections 3", "--max-detections"), ("--truncate", "--truncate")] {
            let message = refusal(&format!("--point 3,4 {words}"));
            assert!([flag, "not told what to find", "--text WORDS"].iter().all(|word| message.contains(word)), "{message}");
        }
        let message = refusal("--text dog --templates");
        assert!(message.contains("--templates does not apply") && message.contains("one phrasing"), "{message}");
        assert!(refusal("--text dog --batch 2").contains("--batch"));
    }

    #[test]
    fn in_a_pair_the_first_model_finds_and_the_second_answers() {
        let both = both();
        let detector = info("detect", &json!({"classifier": {"classes": 2, "probabilities": "p"}}));
        let of = |words: &str, models: [&ModelInfo; 2]| refusal(&format!("run a+b photo.jpg {words}"), &models);
        assert_eq!(of("--text dog --conf 0.2 --fill-holes 3 --no-overlap", [&both, &both]), "");
        assert_eq!(of("--conf 0.2 --rect --multimask on", [&detector, &both]), "");
        let message = of("--text dog", [&detector, &both]);
        assert!(message.contains("--text does not apply to m (a detector), which takes no words"), "{message}");
        assert!(of("--point 3,4", [&both, &detector]).contains("takes no prompts"));
    }

    #[test]
    fn a_model_that_takes_both_is_judged_by_words_unless_options_are_about_prompts() {
        let both = both();
        let refusal = |words: &str| refusal(&format!("eval m --data d.json {words}"), &[&both]);
        for fine in ["--conf 0.2", "--max-detections 3", "--clicks 3 --mask-feedback", "--multimask off", "--per-object --json"] {
            assert_eq!(refusal(fine), "", "{fine}");
        }
        assert!(refusal("--clicks 3 --conf 0.2").contains("--conf does not apply"));
        assert!(refusal("--templates").contains("--templates"));
    }
}
