//! What a YOLOv8 checkpoint says about itself is what is computed, or it is refused by name.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use maskline_models::{BuildOptions, Error, LabelSource, ModelInfo, SizeSource, recognise};
use maskline_onnx::proto::{ModelProto, NodeProto};
use maskline_weights::Source;
use prost::Message;
use support::{Module, Value, activation, detector, save_pickle, save_tensors};
use tempfile::TempDir;

mod support;

/// What is built of a checkpoint: its description and its graph.
struct Made {
    info: ModelInfo,
    graph: ModelProto,
}

impl Made {
    fn count(&self, kind: &str) -> usize {
        self.nodes(kind).count()
    }

    fn nodes(&self, kind: &str) -> impl Iterator<Item = &NodeProto> {
        self.graph.graph.as_ref().unwrap().node.iter().filter(move |node| node.op_type == kind)
    }

    /// The numbers of the first convolution's weight.
    fn first_weight(&self) -> Vec<f32> {
        let name = &self.nodes("Conv").next().unwrap().input[1];
        let tensors = &self.graph.graph.as_ref().unwrap().initializer;
        let bytes = tensors.iter().find(|tensor| tensor.name == *name).unwrap().raw_data.clone().unwrap();
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }
}

fn build(path: PathBuf, options: &BuildOptions) -> Result<Made, Error> {
    let (source, family) = recognise(Source::open(&path)?)?;
    let built = family.build(&source, options)?;
    let graph = ModelProto::decode(built.parts()[0].model.to_bytes()?.as_slice()).unwrap();
    Ok(Made { info: built.info().clone(), graph })
}

fn pickled(model: &Module, entries: &[(&str, Value)]) -> Result<Made, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.pt");
    save_pickle(&path, model, entries);
    build(path, &BuildOptions::default())
}

fn tensors(model: &Module, metadata: &[(&str, &str)], options: &BuildOptions) -> Result<Made, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    save_tensors(&path, model, ("", metadata));
    build(path, options)
}

fn refused(model: &Module, words: &[&str]) {
    let error = pickled(model, &[]).map(|made| made.info).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)) && error.contains("model.pt"), "{words:?}: {error}");
}

/// Every activation is another one.
fn activated(by: &Module) -> Module {
    detector(3).each(&|name, module| if name == "act" { by.clone() } else { module })
}

#[test]
fn the_published_network_is_what_its_pickle_says() {
    let (made, plain) = (pickled(&detector(3), &[]).unwrap(), tensors(&detector(3), &[], &BuildOptions::default()).unwrap());
    assert_eq!(made.graph.graph, plain.graph.graph, "modules that say what is taken for granted change nothing");
    assert_eq!((made.count("Sigmoid"), made.count("MaxPool"), made.count("Add")), (53, 3, 4));
    assert_eq!((made.info.default_size, made.info.size_from), (640, SizeSource::Published));
    assert!(made.info.labels.is_empty() && made.info.labels_from == LabelSource::None);
}

#[test]
fn activations_are_those_of_the_modules() {
    for (module, kind) in [
        (activation("ReLU"), "Relu"),
        (activation("LeakyReLU").set("negative_slope", 0.1), "LeakyRelu"),
        (activation("Hardswish"), "HardSwish"),
        (activation("Mish"), "Mish"),
        (activation("GELU").set("approximate", "none"), "Gelu"),
        (activation("ELU").set("alpha", 1.0), "Elu"),
        (activation("ReLU6"), "Clip"),
        (activation("Softplus").set("beta", 1), "Softplus"),
    ] {
        let made = pickled(&activated(&module), &[]).unwrap();
        assert_eq!((made.count(kind), made.count("Sigmoid")), (53, 0), "{kind}");
    }
    let none = pickled(&activated(&Module::new("torch.nn.modules.linear.Identity")), &[]).unwrap();
    assert_eq!(none.count("Sigmoid"), 0);
    // One layer may differ from the others.
    let mixed = pickled(&detector(3).with("model.4.m.0.cv1.act", activation("ReLU")), &[]).unwrap();
    assert_eq!((mixed.count("Sigmoid"), mixed.count("Relu")), (52, 1));
    let learned = activated(&Module { tensors: vec![("weight".into(), vec![1])], ..activation("PReLU") });
    assert_eq!(pickled(&learned, &[]).unwrap().count("PRelu"), 53);
    assert_eq!(tensors(&learned, &[], &BuildOptions::default()).unwrap().count("PRelu"), 53, "slopes tell it without modules");
}

#[test]
fn unknown_activations_are_refused_by_name() {
    refused(&activated(&activation("Threshold")), &["model.0.act", "torch.nn.modules.activation.Threshold"]);
    refused(&detector(3).with("model.9.cv2.act", Module::new("my.code.SiLU")), &["model.9.cv2.act", "my.code.SiLU"]);
    refused(&activated(&activation("Softplus").set("beta", 2)), &["Softplus"]);
    let mut without = detector(3);
    without.at("model.2.cv1").children.retain(|(name, _)| name != "act");
    refused(&without, &["model.2.cv1", "without an activation"]);
}

#[test]
fn state_dicts_say_their_activation_in_words() {
    for metadata in [("activation", "nn.ReLU()"), ("yaml", "{'nc': 3, 'activation': 'torch.nn.ReLU(inplace=True)'}")] {
        let made = tensors(&detector(3), &[metadata], &BuildOptions::default()).unwrap();
        assert_eq!((made.count("Relu"), made.count("Sigmoid")), (53, 0), "{metadata:?}");
    }
    let error = tensors(&detector(3), &[("activation", "nn.Threshold(1, 2)")], &BuildOptions::default()).err().unwrap().to_string();
    assert!(error.contains("nn.Threshold(1, 2)"), "{error}");
}

#[test]
fn normalisations_have_their_own_epsilon() {
    let usual = pickled(&detector(3), &[]).unwrap().first_weight();
    let other = pickled(&detector(3).say("model.0.bn", "eps", 0.5), &[]).unwrap().first_weight();
    // The first channel's variance is the first number of the storage: 0.5.
    let expected = f64::from(usual[0]) * (0.5_f64 + 1e-3).sqrt() / (0.5_f64 + 0.5).sqrt();
    assert!((f64::from(other[0]) - expected).abs() < 1e-6, "{} {expected}", other[0]);
    refused(&detector(3).say("model.0.bn", "eps", f64::NAN), &["model.0.bn", "eps"]);
    refused(&detector(3).say("model.0.bn", "eps", -1.0), &["model.0.bn", "eps"]);
    // Bare tensors have no modules to say it.
    let said = |text: &str| tensors(&detector(3), &[("batch_norm_eps", text)], &BuildOptions::default());
    let same = detector(3).each(&|name, module| if name == "bn" { module.set("eps", 0.5) } else { module });
    assert_eq!(said("0.5").unwrap().graph.graph, pickled(&same, &[]).unwrap().graph.graph);
    assert!(["-1", "nan", "small"].iter().all(|bad| said(bad).err().unwrap().to_string().contains("epsilon")));
    let group = detector(3).each(&|name, module| match name {
        "bn" => Module { class: ("torch.nn.modules.normalization".into(), "GroupNorm".into()), ..module },
        _ => module,
    });
    refused(&group, &["model.0.bn", "GroupNorm"]);
}

#[test]
fn blocks_do_what_their_modules_say() {
    let pool = |made: &Made| {
        made.nodes("MaxPool").map(|n| n.attribute.iter().find(|a| a.name == "kernel_shape").unwrap().ints.clone()).collect::<Vec<_>>()
    };
    let nine = detector(3).say("model.9.m", "kernel_size", 9).say("model.9.m", "padding", 4);
    assert_eq!(pool(&pickled(&nine, &[]).unwrap()), [[9, 9]; 3]);
    let linear = detector(3).say("model.10", "mode", "bilinear").say("model.10", "align_corners", false);
    let modes: Vec<_> = pickled(&linear, &[])
        .unwrap()
        .nodes("Resize")
        .map(|n| String::from_utf8(n.attribute.iter().find(|a| a.name == "mode").unwrap().s.clone().unwrap()).unwrap())
        .collect();
    assert_eq!(modes, ["linear", "nearest"]);
    let adds = detector(3).say("model.2.m.0", "add", false).say("model.12.m.0", "add", true).say("model.15.m.0", "add", true);
    assert_eq!(pickled(&adds, &[]).unwrap().count("Add"), 5);
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for (path, key, value, words) in [
        ("model.10", "scale_factor", Value::Float(4.0), ["model.10", "scale_factor"]),
        ("model.10", "mode", Value::from("area"), ["model.10", "area"]),
        ("model.10", "size", Value::from([40, 40]), ["model.10", "size"]),
        ("model.9.m", "kernel_size", Value::Int(4), ["model.9.m", "kernel_size"]),
        ("model.9.m", "kernel_size", Value::Int(i64::MAX), ["model.9.m", "kernel_size"]),
        ("model.9.m", "stride", Value::Int(2), ["model.9.m", "stride"]),
        ("model.9", "n", Value::Int(1 << 40), ["model.9", "`n`"]),
        ("model.5.conv", "stride", Value::from([1, 1]), ["model.5.conv", "stride"]),
        ("model.4.cv1.conv", "dilation", Value::from([2, 2]), ["model.4.cv1.conv", "dilation"]),
        ("model.2.m.0.cv1.conv", "padding", Value::from([0, 0]), ["model.2.m.0.cv1.conv", "padding"]),
        ("model.2.m.0.cv1.conv", "padding_mode", Value::from("reflect"), ["model.2.m.0.cv1.conv", "padding_mode"]),
        ("model.22.cv3.0.2", "groups", Value::Int(2), ["model.22.cv3.0.2", "groups"]),
        ("model.11", "d", Value::Int(2), ["model.11", "`d`"]),
        ("model.14", "f", Value::from([-1, 6]), ["model.14", "`f`"]),
        ("model.22", "f", Value::from([15, 18]), ["model.22", "`f`"]),
        ("model.22", "stride", Value::from([0, 0, 0]), ["model.22", "stride"]),
        ("model.22", "stride", Value::from([4, 8, 16]), ["model.22", "stride"]),
        ("model.22", "nc", Value::Int(9), ["model.22", "`nc`"]),
        ("model.22", "reg_max", Value::Int(16), ["model.22", "reg_max"]),
        ("model.22", "end2end", Value::Bool(true), ["model.22", "end2end"]),
    ] {
        refused(&detector(3).say(path, key, value), &words);
    }
    for (path, class) in
        [("model.4", "C3k2"), ("model.0", "Focus"), ("model.22", "WorldDetect"), ("model.6.m.0", "Bottleneck_Res2"), ("model.9", "SPPELAN")]
    {
        let mut model = detector(3);
        model.at(path).class.1 = class.into();
        refused(&model, &[path, class]);
    }
    let mut more = detector(3);
    more.at("model.4").children.push(("attention".into(), Module::new("my.code.Attention")));
    refused(&more, &["model.4.attention", "my.code.Attention"]);
}

#[test]
fn the_picture_size_is_that_of_the_training() {
    let size = |value: Value| {
        let arguments = Value::Map(vec![("imgsz".into(), value)]);
        pickled(&detector(3), &[("train_args", arguments)])
            .map(|made| (made.info.default_size, made.info.size_from))
            .map_err(|e| e.to_string())
    };
    assert_eq!(size(480.into()), Ok((480, SizeSource::File)));
    assert_eq!(size([416, 736].into()), Ok((736, SizeSource::File)));
    assert_eq!(size("320".into()), Ok((320, SizeSource::File)));
    assert_eq!(size("[320, 256]".into()), Ok((320, SizeSource::File)));
    assert_eq!(size(500.into()), Ok((512, SizeSource::File)), "rounded up to the stride, as in training");
    assert_eq!(size(Value::None), Ok((640, SizeSource::Published)));
    for bad in [0.into(), (-1).into(), (1 << 40).into(), "wide".into(), Value::Float(f64::NAN), [1, 2, 3].into(), Value::List(vec![])] {
        assert!(size(bad).unwrap_err().contains("picture size"));
    }
    let options = BuildOptions::default();
    for text in ["[480, 480]", "480"] {
        assert_eq!(tensors(&detector(3), &[("imgsz", text)], &options).unwrap().info.default_size, 480);
    }
    let made = tensors(&detector(3), &[("train_args", "{\"imgsz\": 352, \"task\": \"detect\"}")], &options).unwrap();
    assert_eq!((made.info.default_size, made.info.size_from), (352, SizeSource::File));
}

#[test]
fn names_are_those_of_the_checkpoint_in_whatever_form() {
    let options = BuildOptions::default();
    for text in ["{0: 'a', 1: \"b's\", 2: 'c'}", r#"{"2": "c", "0": "a", "1": "b's"}"#, r#"["a", "b's", "c"]"#, "('a', 'b\\'s', 'c')"] {
        let info = tensors(&detector(3), &[("names", text)], &options).unwrap().info;
        assert_eq!((info.labels, info.labels_from), (vec!["a".into(), "b's".into(), "c".into()], LabelSource::File), "{text}");
    }
    for (key, text) in [
        ("names", "0: a\n2: c\n1: \"b's\"\n"),
        ("names", "nc: 3\nnames:\n  - a\n  - b's\n  - c"),
        ("names", "\u{feff}a\r\nb's\r\nc\r\n"),
        ("classes", "[\"a\", \"b's\", \"c\"]"),
        ("id2label", r#"{"2": "c", "0": "a", "1": "b's"}"#),
    ] {
        let info = tensors(&detector(3), &[(key, text)], &options).unwrap().info;
        assert_eq!((info.labels, info.labels_from), (vec!["a".into(), "b's".into(), "c".into()], LabelSource::File), "{key} {text}");
    }
    for entry in ["hyper_parameters", "args"] {
        let told = Value::Map(vec![("names".into(), "['a', 'b', 'c']".into()), ("imgsz".into(), 320.into())]);
        let info = pickled(&detector(3), &[(entry, told)]).unwrap().info;
        assert_eq!((info.labels.concat().as_str(), info.default_size), ("abc", 320), "{entry}");
    }
    let map = Value::Map(vec![(2.into(), "c".into()), (0.into(), "a".into()), (1.into(), 7.into())]);
    let info = pickled(&detector(3).set("names", map), &[]).unwrap().info;
    assert_eq!(info.labels, ["a", "7", "c"]);
    for (text, word) in
        [("{0: 'a'}", "names 1 classes"), ("a, b, c", "list of names"), ("{-1: 'a'}", "class index"), ("[[1]]", "list of names")]
    {
        let error = tensors(&detector(3), &[("names", text)], &options).err().unwrap().to_string();
        assert!(error.contains(word) && error.contains("--names"), "{text}: {error}");
    }
    // 80 classes with names of their own are not COCO's.
    let own: Vec<String> = (0..80).map(|i| format!("part {i}")).collect();
    let info = tensors(&detector(80), &[("names", &format!("{own:?}"))], &options).unwrap().info;
    assert_eq!((info.labels, info.labels_from), (own, LabelSource::File));
}

#[test]
fn assumed_names_say_so_and_given_ones_win() {
    let info = tensors(&detector(80), &[], &BuildOptions::default()).unwrap().info;
    assert_eq!((info.labels[0].as_str(), &info.labels_from), ("person", &LabelSource::Assumed { data_set: "COCO".into() }));
    assert!(info.labels_from.note().unwrap().contains("COCO's, assumed"));
    let given = |count: usize| BuildOptions { labels: Some((0..count).map(|i| format!("own {i}")).collect()), ..BuildOptions::default() };
    let info = tensors(&detector(80), &[("names", "unreadable")], &given(80)).unwrap().info;
    assert_eq!((info.labels[79].as_str(), info.labels_from), ("own 79", LabelSource::Given));
    let error = tensors(&detector(80), &[], &given(79)).err().unwrap().to_string();
    assert!(error.contains("expected 80, found 79"), "{error}");
}

/// Every normalisation without these tensors, and saying so.
fn normalised(attribute: &str, tensors: [&str; 2]) -> Module {
    detector(3).each(&|name, mut module| {
        if name == "bn" {
            module.tensors.retain(|(name, _)| !tensors.contains(&name.as_str()));
            module = module.set(attribute, false);
        }
        module
    })
}

#[test]
fn normalisations_without_scale_are_built_and_those_without_statistics_refused() {
    let plain = pickled(&normalised("affine", ["weight", "bias"]), &[]).unwrap();
    let scaled = pickled(&detector(3), &[]).unwrap();
    // The scales of the fixture are below 1 1/2; without them the weights are other ones.
    assert_eq!(plain.count("Conv"), scaled.count("Conv"));
    assert_ne!(plain.first_weight(), scaled.first_weight());
    refused(&normalised("track_running_stats", ["running_mean", "running_var"]), &["model.0.bn", "track_running_stats"]);
}

#[test]
fn a_task_that_the_head_does_not_answer_is_refused() {
    refused(&detector(3).set("task", "segment"), &["`segment`", "`detect`"]);
    let error =
        pickled(&detector(3), &[("train_args", Value::Map(vec![("task".into(), "pose".into())]))]).map(drop).unwrap_err().to_string();
    assert!(error.contains("`pose`") && error.contains("help:"), "{error}");
    let error = tensors(&detector(3), &[("task", "obb")], &BuildOptions::default()).map(drop).unwrap_err().to_string();
    assert!(error.contains("`obb`"), "{error}");
    for fine in ["detect", "object-detection"] {
        assert!(tensors(&detector(3), &[("task", fine)], &BuildOptions::default()).is_ok(), "{fine}");
    }
}

#[test]
fn any_prefix_of_a_trainer_comes_off() {
    let folder = TempDir::new().unwrap();
    for prefix in ["model.", "module.", "ema.module.", "net.detector._orig_mod.", "_orig_mod."] {
        let path = folder.path().join("model.safetensors");
        save_tensors(&path, &detector(3), (prefix, &[]));
        let made = build(path, &BuildOptions::default()).unwrap_or_else(|error| panic!("{prefix}: {error}"));
        assert_eq!(made.info.family, "yolov8");
    }
}

#[test]
fn the_shared_cases_are_read_as_they_say() {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    if !cases.is_dir() {
        maskline_testing::skip(format_args!("{} is missing", cases.display()));
        return;
    }
    let relu = build(cases.join("det_relu.pt"), &BuildOptions::default()).unwrap();
    assert!(relu.count("Relu") > 50 && relu.count("Sigmoid") == 0);
    let small = build(cases.join("det_imgsz480.pt"), &BuildOptions::default()).unwrap();
    assert_eq!((small.info.default_size, small.info.size_from), (480, SizeSource::File));
    let json = std::fs::read(cases.join("sam2_lightning.config.json")).unwrap();
    let options = BuildOptions { config: Some(serde_json::from_slice(&json).unwrap()), ..BuildOptions::default() };
    for options in [options, BuildOptions::default()] {
        assert_eq!(build(cases.join("sam2_lightning.pt"), &options).unwrap().info.family, "sam2", "its configuration lies beside it");
    }
}
