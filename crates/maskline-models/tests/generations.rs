//! YOLO11 and YOLO26: told apart, built as their modules say, and answered by the head that is wished.
#![allow(clippy::unwrap_used)]

use maskline_models::{BuildOptions, Coding, Error, Extras, HeadBranch, HeadForm, ModelInfo, Output, Selection, Task, recognise};
use maskline_onnx::proto::ModelProto;
use maskline_weights::Source;
use prost::Message;
use support::generations::{activated, classifier, fused, with_keypoints, yolo11, yolo26};
use support::{Module, Value, detector, save_pickle, save_tensors};
use tempfile::TempDir;

mod support;

/// What is built of a checkpoint: its description and its graph.
struct Made {
    info: ModelInfo,
    graph: ModelProto,
}

impl Made {
    fn count(&self, kind: &str) -> usize {
        self.graph.graph.as_ref().unwrap().node.iter().filter(|node| node.op_type == kind).count()
    }

    /// Nodes whose name holds this.
    fn named(&self, part: &str) -> usize {
        self.graph.graph.as_ref().unwrap().node.iter().filter(|node| node.name.contains(part)).count()
    }

    fn selection(&self) -> Selection {
        let Output::Detector(head) = &self.info.output else { panic!("no detector") };
        head.selection
    }

    fn coding(&self) -> Coding {
        let Output::Detector(head) = &self.info.output else { panic!("no detector") };
        let HeadForm::Raw { coding, .. } = head.form else { panic!("not raw") };
        coding
    }
}

fn build(path: &std::path::Path, options: &BuildOptions) -> Result<Made, Error> {
    let (source, family) = recognise(Source::open(path)?)?;
    let built = family.build(&source, options)?;
    let graph = ModelProto::decode(built.parts()[0].model.to_bytes()?.as_slice()).unwrap();
    Ok(Made { info: built.info().clone(), graph })
}

fn pickled(model: &Module, options: &BuildOptions) -> Result<Made, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.pt");
    save_pickle(&path, model, &[]);
    build(&path, options)
}

fn tensors(model: &Module, metadata: &[(&str, &str)], options: &BuildOptions) -> Result<Made, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    save_tensors(&path, model, ("", metadata));
    build(&path, options)
}

fn refused(model: &Module, options: &BuildOptions, words: &[&str]) {
    let error = pickled(model, options).map(|made| made.info).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)) && error.contains("model.pt"), "{words:?}: {error}");
}

fn wish(head: HeadBranch) -> BuildOptions {
    BuildOptions { head: Some(head), ..BuildOptions::default() }
}

#[test]
fn each_generation_is_what_its_pickle_says() {
    let usual = BuildOptions::default();
    for (model, family, softmaxes) in [(yolo11(3), "yolo11", 1), (yolo26("Detect", [3, 0]), "yolo26", 2), (detector(3), "yolov8", 0)] {
        let (made, bare) = (pickled(&model, &usual).unwrap(), tensors(&model, &[], &usual).unwrap());
        assert_eq!(made.graph.graph, bare.graph.graph, "{family}: modules that say what is taken for granted change nothing");
        assert_eq!((made.info.family.as_str(), made.count("Softmax")), (family, softmaxes));
        assert_eq!((made.info.classes(), made.selection()), (Some(3), Selection::Suppression));
    }
}

#[test]
fn the_wished_head_answers() {
    let both = yolo26("Detect", [3, 0]);
    let many = pickled(&both, &BuildOptions::default()).unwrap();
    assert!(many.named("one2one_cv2") == 0 && many.named("model.23.cv2") > 0);
    let one = pickled(&both, &wish(HeadBranch::OneToOne)).unwrap();
    assert!(one.named("one2one_cv2") > 0 && one.named("model.23.cv2") == 0);
    assert_eq!(one.selection(), Selection::Best { most: 300 });
    assert_eq!(pickled(&both, &wish(HeadBranch::OneToMany)).unwrap().graph, many.graph);
    // Of what fusing left, the rest answers.
    let rest = fused(both.clone(), |name| name.starts_with("cv"));
    assert_eq!(pickled(&rest, &BuildOptions::default()).unwrap().selection(), Selection::Best { most: 300 });
    refused(&rest, &wish(HeadBranch::OneToMany), &["one2many", "only the one2one head"]);
    let rest = fused(both, |name| name.starts_with("one2one"));
    assert_eq!(pickled(&rest, &BuildOptions::default()).unwrap().graph, many.graph);
    for model in [rest, yolo11(3), detector(3)] {
        refused(&model, &wish(HeadBranch::OneToOne), &["one2one", "only the one2many head"]);
    }
    refused(&classifier(3), &wish(HeadBranch::OneToOne), &["one2one", "classifier"]);
}

#[test]
fn blocks_do_what_their_modules_say() {
    let usual = BuildOptions::default();
    let made = |model: &Module| pickled(model, &usual).unwrap();
    let (plain, adds) = (made(&yolo26("Detect", [3, 0])), |made: &Made| made.count("Add"));
    // The first convolution of the pyramid, with an activation after all, and without the addition.
    let active = made(&activated(yolo26("Detect", [3, 0]), "model.9.cv1", "SiLU"));
    assert_eq!(active.count("Sigmoid"), plain.count("Sigmoid") + 1);
    assert_eq!(adds(&made(&yolo26("Detect", [3, 0]).say("model.9", "add", false))), adds(&plain) - 1);
    assert_eq!(adds(&made(&yolo26("Detect", [3, 0]).say("model.10.m.0", "add", false))), adds(&plain) - 2);
    assert_eq!(adds(&made(&yolo26("Detect", [3, 0]).say("model.6.m.0.m.1", "add", false))), adds(&plain) - 1);
    // Two heads of half the width.
    let heads = |model: Module| {
        let attention = "model.10.m.0.attn";
        model.say(attention, "num_heads", 2).say(attention, "head_dim", 4).say(attention, "key_dim", 2).say(
            attention,
            "scale",
            0.5_f64.sqrt(),
        )
    };
    assert_ne!(made(&heads(yolo26("Detect", [3, 0]))).graph, plain.graph);
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let usual = BuildOptions::default();
    let attention = "model.10.m.0.attn";
    for (path, key, value, word) in [
        (attention, "num_heads", Value::Int(3), "num_heads"),
        (attention, "num_heads", Value::Int(0), "num_heads"),
        (attention, "key_dim", Value::Int(8), "key_dim"),
        (attention, "scale", Value::Float(1.0), "scale"),
        ("model.21", "f", Value::from([-1, 9]), "`f`"),
        ("model.23", "f", Value::from([15, 18, 21]), "`f`"),
        ("model.23", "reg_max", Value::Int(16), "reg_max"),
        ("model.23", "stride", Value::from([4, 8, 16]), "stride"),
        ("model.23.cv3.0.0.0.conv", "groups", Value::Int(1), "groups"),
    ] {
        refused(&yolo26("Detect", [3, 0]).say(path, key, value), &usual, &[path, word]);
    }
    for (path, class) in [("model.2", "C2f"), ("model.6.m.0", "Bottleneck"), ("model.10", "C2fPSA"), ("model.10.m.0.attn", "AAttn")] {
        let mut model = yolo11(3);
        model.at(path).class.1 = class.into();
        refused(&model, &usual, &[path, class]);
    }
    // Whose layers are named as in a family, and which are others.
    for (path, class, what) in [
        ("model.8", "A2C2f", "a YOLO12"),
        ("model.23", "YOLOEDetect", "a YOLOE"),
        ("model.23", "v10Detect", "a YOLOv10"),
        ("model.23", "WorldDetect", "a YOLO-World"),
    ] {
        let mut model = yolo11(3);
        model.at(path).class.1 = class.into();
        refused(&model, &usual, &[what, path, class, "it would need"]);
    }
    let mut more = yolo26("Detect", [3, 0]);
    more.at("model.23").tensors.push(("prior".into(), vec![2]));
    refused(&more, &usual, &["model.23.prior", "a YOLO26"]);
}

#[test]
fn heads_are_coded_as_their_class_says() {
    let usual = BuildOptions::default();
    let turned = yolo26("OBB26", [3, 1]);
    let made = pickled(&turned, &usual).unwrap();
    assert_eq!((made.info.task, made.coding()), (Task::Obb, Coding::Plain));
    assert_eq!(tensors(&turned, &[], &usual).unwrap().coding(), Coding::Plain, "as YOLO26 has it");
    assert_eq!(pickled(&yolo26("OBB", [3, 1]), &usual).unwrap().coding(), Coding::Doubled);
    // 12 channels may be four keypoints of three numbers or six of two; what they deviate by tells it.
    for shape in [[4, 3], [6, 2]] {
        let pose = with_keypoints(yolo26("Pose26", [1, 0]), shape);
        let made = tensors(&pose, &[], &usual).unwrap();
        let Output::Detector(head) = &made.info.output else { panic!("no detector") };
        assert_eq!((head.extras, made.coding()), (Extras::Keypoints { count: shape[0], dims: shape[1] }, Coding::Plain));
        assert!(pickled(&pose, &wish(HeadBranch::OneToOne)).is_ok());
    }
}

#[test]
fn a_classifier_is_of_the_generation_that_it_names() {
    let usual = BuildOptions::default();
    let family = |metadata: &[(&str, &str)]| tensors(&classifier(5), metadata, &usual).unwrap().info.family;
    assert_eq!(family(&[]), "yolo11");
    assert_eq!(family(&[("yaml_file", "yolo26n-cls.yaml")]), "yolo26");
    assert_eq!(family(&[("train_args", "{'model': 'runs/yolo26s-cls.pt'}")]), "yolo26");
    let made = pickled(&classifier(5), &usual).unwrap();
    assert_eq!((made.info.task, made.info.classes(), made.count("Softmax")), (Task::Classify, Some(5), 2));
}
