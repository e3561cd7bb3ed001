//! The metadata of existing exports: names as Python would read them, and sizes that no model can have are refused before memory is
//! asked for them.
#![allow(clippy::unwrap_used)]

use maskline_models::{
    BuildOptions, DetectorHead, Extras, HeadBranch, HeadForm, LabelSource, ModelInfo, Output, Selection, SizeSource, family_of_onnx,
};
use maskline_onnx::{DType, ModelHeader};

/// An export of `task` at 640 × 640 with these metadata and output shapes.
fn header(task: &str, metadata: &[(&str, &str)], outputs: &[&[usize]]) -> ModelHeader {
    let known = |sizes: &[usize]| sizes.iter().map(|size| Some(*size)).collect::<Vec<_>>();
    let facts = [("task", task), ("stride", "32"), ("description", "Ultralytics YOLOv8n model trained on x.yaml")];
    ModelHeader {
        producer: "pytorch".into(),
        opset: 17,
        metadata: facts.iter().chain(metadata).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        inputs: vec![("images".into(), Some(DType::F32), known(&[1, 3, 640, 640]))],
        outputs: outputs.iter().enumerate().map(|(i, dims)| (format!("output{i}"), Some(DType::F32), known(dims))).collect(),
    }
}

fn read(header: &ModelHeader) -> Result<ModelInfo, String> {
    family_of_onnx(header, &BuildOptions::default()).map_err(|error| error.to_string())
}

fn refused(header: &ModelHeader, word: &str) {
    let error = read(header).unwrap_err();
    assert!(error.contains(word) && error.contains("help:"), "{word}: {error}");
}

#[test]
fn names_are_read_as_python_reads_them() {
    for (text, expected) in [
        (
            r#"{0: 'a, b: \'c\' "d"', 1: "it's", 2: 'back\\slash\nnew\xa0line\ttab'}"#,
            ["a, b: 'c' \"d\"", "it's", "back\\slash\nnew\u{a0}line\ttab"],
        ),
        (r"{0: '\u72d7', 1: '猫', 2: '\U0001f415'}", ["狗", "猫", "🐕"]),
        ("{2: 'c', 0: 'a', 1: 'b'}", ["a", "b", "c"]),
        ("{0: 'a', 2: 'c'}", ["a", "1", "c"]),
        (r#"{"0": "a", "1": "b", "2": "c"}"#, ["a", "b", "c"]),
        ("['a', 'b', 'c']", ["a", "b", "c"]),
        ("\u{feff}{0: 'a', 1: 'b', 2: 'c', }", ["a", "b", "c"]),
        ("{0: 'x', 1: 'b', 2: 'c', 0: 'a'}", ["a", "b", "c"]),
    ] {
        let info = read(&header("detect", &[("names", text)], &[&[1, 7, 8400]])).unwrap();
        assert_eq!((info.labels, info.labels_from), (expected.map(str::to_owned).to_vec(), LabelSource::File), "{text}");
        assert!(matches!(info.output, Output::Detector(head) if head.classes == 3));
    }
    for bad in ["{0: 'a", "{}", "a, b", "{'a': 'b'}", "{99999999999: 'a'}", ""] {
        refused(&header("detect", &[("names", bad)], &[&[1, 7, 8400]]), "unreadable names");
    }
    refused(&header("detect", &[("names", "{0: 'a', 3: 'd'}")], &[&[1, 7, 8400]]), "7 channels");
    let info = read(&header("detect", &[], &[&[1, 84, 8400]])).unwrap();
    assert_eq!(info.labels_from, LabelSource::Assumed { data_set: "COCO".into() });
    let options = BuildOptions { labels: Some(vec!["a".into(), "b".into(), "c".into()]), ..BuildOptions::default() };
    let info = family_of_onnx(&header("detect", &[("names", "broken")], &[&[1, 7, 8400]]), &options).unwrap();
    assert_eq!((info.labels[2].as_str(), info.labels_from), ("c", LabelSource::Given));
    assert!(family_of_onnx(&header("detect", &[], &[&[1, 8, 8400]]), &options).is_err());
}

fn of_detector(info: &ModelInfo) -> &DetectorHead {
    let Output::Detector(head) = &info.output else { panic!("no detector") };
    head
}

#[test]
fn exports_that_choose_their_objects_are_read_as_rows() {
    let names = ("names", "{0: 'a', 1: 'b'}");
    let shape = ("kpt_shape", "[17, 3]");
    let (nms, end_to_end) = (("args", "{'nms': True, 'batch': 1}"), ("end2end", "True"));
    for (task, outputs, further, extras) in [
        ("detect", vec![&[1, 300, 6][..]], vec![], Extras::None),
        ("segment", vec![&[1, 300, 38], &[1, 32, 160, 160]], vec![], Extras::Masks { count: 32 }),
        ("pose", vec![&[1, 300, 57]], vec![shape], Extras::Keypoints { count: 17, dims: 3 }),
        ("obb", vec![&[1, 300, 7]], vec![], Extras::Angle),
        ("detect", vec![&[1, 100, 6]], vec![nms], Extras::None),
        ("obb", vec![&[1, 20, 7]], vec![nms], Extras::Angle),
        ("detect", vec![&[1, 300, 6]], vec![end_to_end], Extras::None),
    ] {
        let metadata: Vec<_> = std::iter::once(names).chain(further).collect();
        let info = read(&header(task, &metadata, &outputs)).unwrap();
        let head = of_detector(&info);
        assert_eq!((head.classes, head.extras, head.selection), (2, extras, Selection::Made), "{task} {outputs:?}");
        assert!(matches!(&head.form, HeadForm::Chosen { predictions, .. } if predictions == "output0"));
    }
    let plain = read(&header("detect", &[names, ("args", "{'nms': False}")], &[&[1, 6, 8400]])).unwrap();
    assert_eq!(of_detector(&plain).selection, Selection::Suppression);
    refused(&header("detect", &[names, ("args", "{\"nms\": true}")], &[&[1, 6, 8400]]), "rows of 6 numbers");
    refused(&header("detect", &[names, end_to_end], &[&[1, 300, 7]]), "rows of 6 numbers");
    refused(&header("detect", &[end_to_end], &[&[1, 300, 6]]), "how many classes");
}

#[test]
fn graphs_for_any_size_may_tell_their_shapes_by_names_alone() {
    let unknown = |task: &str, metadata: &[(&str, &str)]| {
        let mut header = header(task, metadata, &[&[1, 1, 1]]);
        header.outputs[0].2 = vec![None; 3];
        header
    };
    let names = ("names", "{0: 'a', 1: 'b'}");
    let plain = read(&unknown("pose", &[names, ("kpt_shape", "[17, 3]")])).unwrap();
    assert_eq!((of_detector(&plain).classes, of_detector(&plain).selection), (2, Selection::Suppression));
    assert_eq!(of_detector(&read(&unknown("detect", &[names, ("end2end", "True")])).unwrap()).selection, Selection::Made);
    refused(&unknown("detect", &[]), "unexpected outputs");
}

#[test]
fn an_export_is_of_the_generation_that_it_says() {
    let names = ("names", "{0: 'a'}");
    for (about, family, architecture) in [
        ("Ultralytics YOLO26n-seg model trained on x.yaml", "yolo26", "yolo26n-seg"),
        ("Ultralytics YOLO11x model ", "yolo11", "yolo11x"),
        ("Ultralytics YOLOv8n model", "yolov8", "yolov8n"),
        ("Ultralytics YOLOv10n model", "yolov8", "yolov10n"),
        ("Ultralytics best model", "yolov8", "yolov8 detect export"),
    ] {
        let info = read(&header("detect", &[names, ("description", about)], &[&[1, 5, 8400]])).unwrap();
        assert_eq!((info.family.as_str(), info.architecture.as_str()), (family, architecture));
    }
    for head in ["RTDETRDecoder", "SemanticSegment"] {
        refused(&header("detect", &[names, ("head", head)], &[&[1, 300, 5]]), head);
    }
    let options = BuildOptions { head: Some(HeadBranch::OneToOne), ..BuildOptions::default() };
    let error = family_of_onnx(&header("detect", &[names], &[&[1, 5, 8400]]), &options).unwrap_err().to_string();
    assert!(error.contains("one2one") && error.contains("checkpoint"), "{error}");
}

#[test]
fn sizes_that_no_model_has_are_refused() {
    let names = ("names", "{0: 'a'}");
    for shape in [
        "[17, 0]",
        "[17, 1]",
        "[17, 4]",
        "[0, 3]",
        "[17]",
        "[]",
        "17",
        "[-17, 3]",
        "[9223372036854775807, 3]",
        "[1e30, 3]",
        "[nan, 3]",
        "x",
    ] {
        refused(&header("pose", &[names, ("kpt_shape", shape)], &[&[1, 56, 8400]]), "kpt_shape");
    }
    refused(&header("pose", &[names], &[&[1, 56, 8400]]), "kpt_shape");
    let pose = read(&header("pose", &[names, ("kpt_shape", "(17, 3)")], &[&[1, 56, 8400]])).unwrap();
    assert!(matches!(pose.output, Output::Detector(head) if head.extras == Extras::Keypoints { count: 17, dims: 3 }));
    refused(&header("segment", &[names], &[&[1, 5, 8400], &[1, 0, 160, 160]]), "cannot be right");
    refused(&header("segment", &[names], &[&[1, 37, 8400], &[1, 32]]), "unexpected outputs");
    refused(&header("segment", &[names], &[&[1, 37, 8400], &[1, usize::MAX, 160, 160]]), "channels");
    refused(&header("detect", &[names], &[&[1, 3, 8400]]), "3 channels");
    refused(&header("detect", &[names], &[&[1, usize::MAX, 8400]]), "channels");
    refused(&header("detect", &[], &[&[1, 1 << 40, 8400]]), "cannot be right");
    refused(&header("classify", &[names], &[&[1, 0]]), "unexpected outputs");
    refused(&header("classify", &[names], &[&[1, 9]]), "9 classes");
    for stride in ["64", "0", "-32", "nan", ""] {
        refused(&header("detect", &[names, ("stride", stride)], &[&[1, 5, 8400]]), "stride");
    }
    for stride in ["32.0", "[8, 16, 32]", "[8.0, 16.0, 32.0]"] {
        assert!(read(&header("detect", &[names, ("stride", stride)], &[&[1, 5, 8400]])).is_ok(), "{stride}");
    }
    for sides in
        [[0, 3, 640, 640], [1, 3, 0, 640], [1, 3, 640, 100], [1, 3, 1 << 40, 640], [usize::MAX, 3, 640, 640], [1024, 3, 8192, 8192]]
    {
        let mut header = header("detect", &[names], &[&[1, 5, 8400]]);
        header.inputs[0].2 = sides.map(Some).to_vec();
        refused(&header, "multiples of 32");
    }
}

#[test]
fn a_free_size_is_what_the_metadata_says() {
    let free = |size: Option<&str>| {
        let metadata: Vec<_> = size.map(|size| ("imgsz", size)).into_iter().collect();
        let mut header = header("detect", &metadata, &[&[1, 84, 8400]]);
        header.inputs[0].2 = vec![None, Some(3), None, None];
        read(&header).map(|info| (info.default_size, info.size_from))
    };
    assert_eq!(free(None), Ok((640, SizeSource::Published)));
    assert_eq!(free(Some("[480, 480]")), Ok((480, SizeSource::File)));
    assert_eq!(free(Some("320")), Ok((320, SizeSource::File)));
    for bad in ["[0, 0]", "-1", "99999999999999999999", "[]", "wide", "[1, 2, 3]"] {
        assert!(free(Some(bad)).unwrap_err().contains("imgsz"), "{bad}");
    }
}

#[test]
fn the_shared_exports_are_read() {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    if !cases.is_dir() {
        maskline_testing::skip(format_args!("{} is missing", cases.display()));
        return;
    }
    let names = read(&ModelHeader::read(&cases.join("names.onnx")).unwrap()).unwrap().labels;
    assert_eq!((names[0].as_str(), names[2].as_str()), ("a, b: 'c' \"d\"", "back\\slash\nnew\u{a0}line\ttab"));
    let obb = read(&ModelHeader::read(&cases.join("obb.onnx")).unwrap()).unwrap();
    assert!(matches!(obb.output, Output::Detector(head) if head.extras == Extras::Angle && head.classes == 3));
}
