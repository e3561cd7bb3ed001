use maskline::Kernels;
use maskline::runtime::GpuOptions;

use super::Takes::{Nothing, Words};
use super::*;
use crate::report::{Precision, PromptKind, TextKind};

fn plan(models: usize, sweeps: &[&str]) -> Plan {
    Plan {
        models: (0..models).map(|i| (format!("m{i}"), ModelSource::Nano)).collect(),
        setting: Setting {
            compute: Compute {
                provider: "cpu".into(),
                gpu: GpuOptions::default(),
                precision: Precision::F32,
                threads: 2,
                size: None,
                decoder: None,
                kernels: Kernels::Auto,
                head: None,
            },
            batch: 1,
            prompts: Prompts { kind: PromptKind::Click, count: 1 },
            texts: Texts { kind: TextKind::Words, count: 1 },
        },
        given: vec![],
        sweeps: sweeps.iter().map(|text| text.parse().expect("a sweep")).collect(),
        absent: vec![],
        limit: 24,
        pictures: Pictures::Generated,
        embeddings: vec![EmbeddingState::Miss],
        texts: vec![TextState::Hit],
        phrases: vec![],
        cold: Cold { runs: 0, empty: false, present: false },
        seconds: 1.0,
        loads: vec![],
        against: None,
        ceilings: false,
        seed: 0,
        place: Place::default(),
        arguments: vec![],
    }
}

#[test]
fn every_combination_once() {
    let plan = plan(2, &["size=512,1024", "prompts=1,8,47"]);
    let all = plan.combinations(&[Takes::Prompts, Takes::Prompts]).expect("12 of 24");
    let names: Vec<String> =
        all.iter().map(|c| c.model.to_string() + &c.values.iter().map(|(_, word, _)| format!(" {word}")).collect::<String>()).collect();
    let first = ["0 512 1", "0 512 8", "0 512 47", "0 1024 1", "0 1024 8", "0 1024 47", "1 512 1"];
    assert_eq!(names[..7], first);
    assert_eq!((all.len(), plan.processes().expect("fine").len()), (12, 4));
    assert_eq!((all[5].setting.compute.size, all[5].setting.prompts.count), (Some(1024), 47));
}

#[test]
fn a_parameter_that_means_nothing_to_a_model_is_left_out() {
    let plan = plan(2, &["prompts=1,8", "batch=1,2,4"]);
    let all = plan.combinations(&[Takes::Prompts, Nothing]).expect("one promptable, one not");
    let counts = [0, 1].map(|model| all.iter().filter(|c| c.model == model).count());
    assert_eq!(counts, [2, 3]);
    let error = plan.combinations(&[Nothing, Nothing]).expect_err("nobody takes prompts");
    assert!(error.to_string().contains("--sweep prompts"), "{error}");
    assert!(plan.combinations(&[Takes::Prompts, Takes::Prompts]).is_err(), "nobody takes batches");
}

#[test]
fn what_no_model_takes_is_refused() {
    let refused = |models: &[Takes], given: Given| {
        let plan = Plan { given: vec![given], ..plan(models.len(), &[]) };
        plan.combinations(models).err().map(|error| error.to_string())
    };
    for given in [Given::Prompts, Given::Kind, Given::Embedding] {
        let message = refused(&[Nothing], given).expect("a detector takes no prompts");
        assert!(message.contains(&format!("--{} does not apply to m0", given.name())) && message.contains("help: leave it out"));
        assert_eq!((refused(&[Takes::Prompts], given), refused(&[Nothing, Takes::Prompts], given)), (None, None));
    }
    let message = refused(&[Takes::Prompts, Takes::Prompts], Given::Batch).expect("nobody takes batches");
    assert!(message.contains("m0 and m1, which take one picture at a time") && message.contains("--prompts"), "{message}");
    assert_eq!((refused(&[Nothing], Given::Batch), refused(&[Nothing, Takes::Prompts], Given::Batch)), (None, None));
}

#[test]
fn words_are_for_models_that_take_some() {
    let swept = plan(2, &["text=1,10,100", "size=64,128"]);
    let counts = |takes: &[Takes]| swept.combinations(takes).map(|all| [0, 1].map(|model| all.iter().filter(|c| c.model == model).count()));
    assert_eq!(counts(&[Words, Takes::Prompts]).expect("one takes words"), [6, 2]);
    assert!(counts(&[Nothing, Takes::Prompts]).expect_err("nobody takes words").to_string().contains("--sweep text"));
    let refused = |takes: Takes, given: Given| {
        let plan = Plan { given: vec![given], ..plan(1, &[]) };
        plan.combinations(&[takes]).err().map(|error| error.to_string())
    };
    for given in [Given::Text, Given::Phrases, Given::TextCache] {
        for takes in [Nothing, Takes::Prompts] {
            let message = refused(takes, given).expect("it takes no words");
            assert!(message.contains(&format!("--{} does not apply to m0, which takes no words", given.name())), "{message}");
        }
        assert_eq!(refused(Words, given), None);
    }
    assert_eq!(refused(Words, Given::Embedding), None);
    for given in [Given::Prompts, Given::Kind] {
        assert!(refused(Words, given).expect("it takes no prompts").contains("takes no prompts"));
    }
    assert!(refused(Words, Given::Batch).expect("one at a time").contains("--sweep text"));
}

#[test]
fn questions_by_complexity_are_swept_beside_sizes() {
    let swept = plan(2, &["size=336,672", "prompts=word,phrase,objects"]);
    let all = swept.combinations(&[Words, Takes::Prompts]).expect("one takes words");
    let named: Vec<(usize, Vec<String>)> = all.iter().map(|c| (c.model, c.values.iter().map(|value| value.1.clone()).collect())).collect();
    assert_eq!(named[..3].iter().map(|(_, values)| values.join(" ")).collect::<Vec<_>>(), ["336 word", "336 phrase", "336 objects"]);
    assert_eq!((named.len(), &named[6]), (8, &(1, vec!["336".to_owned()])), "a model that takes clicks has sizes alone");
    assert_eq!((all[2].setting.texts.kind, all[2].setting.texts.count), (TextKind::Objects, 3));
    assert!(swept.combinations(&[Takes::Prompts; 2]).expect_err("nobody takes words").to_string().contains("--sweep prompts"));
    let refused = |plan: Plan| plan.processes().expect_err("refused").to_string();
    for (given, name) in [(Given::Text, "text"), (Given::Phrases, "phrases"), (Given::Prompts, "prompts")] {
        let message = refused(Plan { given: vec![given], ..plan(1, &["prompts=word"]) });
        assert!(message.contains(&format!("--{name} does not apply beside --sweep prompts")), "{message}");
    }
    assert!(refused(plan(1, &["prompts=word", "text=1,2"])).contains("--sweep text does not apply beside --sweep prompts"));
    assert!(refused(plan(1, &["prompts=word", "prompts=1,2"])).contains("found twice"));
    let kernels = plan(2, &["kernels=ort,own"]);
    let all = kernels.combinations(&[Takes::Prompts, Nothing]).expect("one has an encoder");
    let chosen: Vec<(usize, Kernels)> = all.iter().map(|c| (c.model, c.setting.compute.kernels)).collect();
    assert_eq!(chosen, [(0, Kernels::Ort), (0, Kernels::Own), (1, Kernels::Auto)]);
    assert!(plan(1, &["kernels=ort,own"]).combinations(&[Nothing]).expect_err("no encoder").to_string().contains("--sweep kernels"));
    assert!("prompts=word,8".parse::<Sweep>().expect_err("a number").contains("expected word, phrase or objects, found 8"));
    assert!("prompts=sentence".parse::<Sweep>().expect_err("neither").contains("whole number"));
}

#[test]
fn a_model_that_takes_words_and_prompts_is_asked_by_what_is_spoken_of() {
    let is_by_prompts = |given: &[Given], sweeps: &[&str]| Plan { given: given.to_vec(), ..plan(1, sweeps) }.is_by_prompts();
    assert!(!is_by_prompts(&[], &["size=336,672"]) && !is_by_prompts(&[Given::Embedding], &[]));
    for (given, sweeps) in [(&[Given::Prompts][..], &[][..]), (&[Given::Kind], &[]), (&[], &["prompts=1,8"]), (&[], &["kind=box,click"])] {
        assert!(is_by_prompts(given, sweeps), "{given:?} {sweeps:?}");
    }
    for (given, sweeps) in [
        (&[Given::Prompts, Given::Text][..], &[][..]),
        (&[Given::Kind, Given::TextCache], &[]),
        (&[Given::Kind], &["text=1,8"]),
        (&[], &["prompts=word,phrase"]),
    ] {
        assert!(!is_by_prompts(given, sweeps), "{given:?} {sweeps:?}");
    }
}

#[test]
fn more_words_than_there_are_and_any_twice_are_refused() {
    let refused = |plan: Plan| plan.processes().expect_err("refused").to_string();
    assert!(refused(plan(1, &["text=1,129"])).contains("at most 128"));
    let mut phrases = plan(1, &["text=1,129"]);
    phrases.setting.texts.kind = TextKind::Phrases;
    assert!(phrases.processes().is_ok());
    let given = Plan { phrases: vec!["a mug".into(), "a mug".into()], ..plan(1, &[]) };
    assert!(refused(given).contains("`a mug` is there twice"));
    let states = Plan { texts: vec![TextState::Hit; 2], ..plan(1, &[]) };
    assert!(refused(states).contains("--text-cache: hit is there twice"));
    let swept = Plan { given: vec![Given::Text], ..plan(1, &["text=1,2"]) };
    assert!(refused(swept).contains("--text does not apply beside --sweep text"));
}

#[test]
fn what_would_be_ignored_is_refused() {
    let refused = |plan: Plan| plan.processes().expect_err("ignored").to_string();
    let swept = Plan { given: vec![Given::Prompts], ..plan(1, &["prompts=1,8"]) };
    assert!(refused(swept).contains("--prompts does not apply beside --sweep prompts"));
    let mut sized = plan(1, &["size=64,128"]);
    sized.setting.compute.size = Some(96);
    assert!(refused(sized).contains("--sweep size"));
    let twice = Plan { embeddings: vec![EmbeddingState::Held, EmbeddingState::Held], ..plan(1, &[]) };
    assert!(refused(twice).contains("held is there twice"));
}

#[test]
fn what_is_wrong_is_said() {
    let words = |text: &str| text.parse::<Sweep>().expect_err(text);
    assert!(words("size").contains("NAME=VALUE"));
    assert!(words("size=").contains("found none"));
    assert!(words("size=512,0").contains("found 0"));
    assert!(words("size=512,512").contains("twice"));
    assert!(words("colour=red").contains("found colour"));
    assert!(words("provider=tpu").contains("tpu"));
    assert!(words("provider=cpu,all").contains("all stands alone"));
    assert!(words("kind=wish").contains("wish"));
    assert!(words("precision=f8").contains("f8"));
    assert!(words("kernels=fast").contains("expected auto, own or ort, found fast"));
    let over = plan(3, &["size=1,2,3", "prompts=1,2,3"]).processes().expect_err("27 of 24");
    assert_eq!(over.kind(), ErrorKind::OverLimit);
    let twice = plan(1, &["size=1,2", "size=3"]).processes().expect_err("twice");
    assert!(twice.to_string().contains("found twice"), "{twice}");
}
