//! Numbers of a model: what a bundle is made of, and how far its answers go from f32.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use maskline::{
    BundleOptions, Calibrating, Calibration, CalibrationOptions, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Mask, Model,
    ModelSource, Numbers, Precision, Preprocessing, Prompt, RgbImage, SegmentOptions,
};

/// A bright ellipse over a dark, uneven ground; each seed another place.
fn picture(seed: usize) -> Image {
    const SIZE: (usize, usize) = (301, 203);
    let (x0, y0) = (120.0 + 20.0 * seed as f32, 100.0 - 5.0 * seed as f32);
    let mut pixels = Vec::with_capacity(3 * SIZE.0 * SIZE.1);
    for (y, x) in (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (y, x))) {
        let (dx, dy) = ((x as f32 - x0) / 70.0, (y as f32 - y0) / 45.0);
        let noise = ((x * 31 + y * 17 + seed * 7) % 23) as u8;
        pixels.extend(if dx * dx + dy * dy < 1.0 { [220, 190 + noise, 60] } else { [40 + noise, 60, 90 + noise] });
    }
    Image::from_pixels(RgbImage::new(SIZE.0, SIZE.1, pixels).unwrap())
}

fn engine(folder: &tempfile::TempDir) -> Engine {
    let mut options = EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() };
    // What is kept beside models must not be the user's.
    options.library.path = Some(maskline::runtime::locate(&options.library).unwrap().path);
    options.library.home = folder.path().join("home");
    Engine::new(options).unwrap()
}

fn options(precision: Precision) -> LoadOptions {
    LoadOptions { precision, warm_up: false, ..LoadOptions::default() }
}

fn mask(model: &Model, seed: usize) -> Mask {
    let prompt = Prompt::click(120.0 + 20.0 * seed as f32, 100.0 - 5.0 * seed as f32);
    model.find(&picture(seed), &[prompt], &SegmentOptions::default()).unwrap().into_objects().remove(0).mask.unwrap()
}

#[test]
fn f16_halves_the_weights_and_hardly_changes_masks() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder);
    let load = |precision| engine.load(ModelSource::Nano, &options(precision)).unwrap();
    let plain = load(Precision::Auto);
    assert_eq!(plain.bundle().numbers(), Numbers::F32);
    let weights = |model: &Model| model.part_names().iter().map(|part| model.bundle().weights_bytes(part).unwrap()).sum::<u64>();
    let (half, emulated) = (load(Precision::F16), load(Precision::F16Emulated));
    assert_eq!((half.bundle().numbers(), emulated.bundle().numbers()), (Numbers::F16Weights, Numbers::F16Emulated));
    assert!(weights(&half) * 10 < weights(&plain) * 6, "{} of {}", weights(&half), weights(&plain));
    for seed in 0..3 {
        let expected = mask(&plain, seed);
        assert!(expected.area() > 5000);
        for model in [&half, &emulated] {
            assert!(mask(model, seed).iou(&expected).unwrap() > 0.98, "{}", model.bundle().numbers().name());
        }
    }
}

#[test]
fn integers_need_ranges_and_are_near_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder);
    let error = engine.load(ModelSource::Nano, &options(Precision::Int8)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("maskline quantise"), "{error}");
    let plain = options(Precision::F32);
    let calibrating = Calibrating { load: &plain, options: CalibrationOptions::default() };
    let ask = &mut |model: &Model| {
        (0..6).for_each(|seed| drop(mask(model, seed)));
        Ok(())
    };
    let calibration = engine.calibrate(&ModelSource::Nano, &calibrating, ask).unwrap();
    assert!(calibration.calls >= 6);
    assert!(calibration.ranges.values().map(|ranges| ranges.len()).sum::<usize>() > 20);
    // In memory, and kept.
    let mut in_memory = options(Precision::Int8);
    in_memory.bundle.calibration = Some(Arc::new(calibration.clone()));
    let model = engine.load(ModelSource::Nano, &in_memory).unwrap();
    assert_eq!(model.bundle().numbers(), Numbers::Int8);
    let expected = engine.load(ModelSource::Nano, &plain).unwrap();
    for seed in 6..8 {
        let overlap = mask(&model, seed).iou(&mask(&expected, seed)).unwrap();
        assert!(overlap > 0.9, "{overlap}");
    }
    let path = engine.calibration_file(&ModelSource::Nano, &plain).unwrap();
    calibration.write(&path).unwrap();
    assert_eq!(Calibration::read(&path).unwrap(), calibration);
    let kept = engine.load(ModelSource::Nano, &options(Precision::Int8)).unwrap();
    assert_eq!(kept.bundle().directory, model.bundle().directory);
    // Damaged, it is refused by name.
    std::fs::write(&path, "{").unwrap();
    let error = engine.load(ModelSource::Nano, &options(Precision::Int8)).unwrap_err();
    assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains("calibration"), "{error}");
}

#[test]
fn an_export_is_run_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder);
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
    let bundle = engine.build(source, &BundleOptions::default()).unwrap();
    let (_, file) = bundle.parts().next().unwrap();
    let export = ModelSource::Onnx(file);
    for precision in [Precision::F16, Precision::F16Emulated, Precision::Int8] {
        let error = engine.load(export.clone(), &options(precision)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption, "{precision}: {error}");
    }
}

#[test]
fn pictures_that_the_provider_prepares_give_the_same_masks() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder);
    // A resize in floats, and one of bytes with a border.
    for architecture in ["sam2.1-tiny", "mobile-sam"] {
        let source = ModelSource::Synthetic { architecture: architecture.into(), seed: 3 };
        let [host, device] = [Preprocessing::Host, Preprocessing::Device].map(|preprocessing| {
            let bundle = BundleOptions { image_size: Some(64), ..BundleOptions::default() };
            let model =
                engine.load(source.clone(), &LoadOptions { preprocessing, bundle, warm_up: false, ..LoadOptions::default() }).unwrap();
            let segments = model.embed(&picture(0)).unwrap().segment(&[Prompt::click(120.0, 100.0)], &SegmentOptions::default()).unwrap();
            segments.answers[0].as_ref().unwrap()[0].mask().unwrap()
        });
        assert!(host.area() > 0 && host.iou(&device).unwrap() > 0.98, "{architecture}: {}", host.iou(&device).unwrap());
    }
    let detector = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 3 };
    let error = engine.load(detector, &LoadOptions { preprocessing: Preprocessing::Device, ..LoadOptions::default() }).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("prepared by the host"), "{error}");
}
