//! Pictures and sizes at the ends of what there is: an answer or an error, never a panic, and no memory for what cannot be.
#![allow(clippy::unwrap_used)]

use maskline_vision::crop::center_crop;
use maskline_vision::draw::{DrawOptions, Marks, annotate, annotate_classes, annotate_prompted};
use maskline_vision::fit::{Normalise, SquareFilter, Target, longest_side, padded_square, stretch, stretch_levels};
use maskline_vision::grid::{layer_grids, point_grid};
use maskline_vision::letterbox::Letterbox;
use maskline_vision::look::Pyramid;
use maskline_vision::mask::{Prototypes, Rle};
use maskline_vision::resize::{Resampling, resize};
use maskline_vision::write::{Answer, ImageObjects, MaskFormat, MaskOptions, PictureFormat, encode_masks, encode_picture};
use maskline_vision::{ErrorKind, Keypoint, Mask, Object, RgbImage, RotatedBox};

const SHAPES: [(usize, usize); 9] = [(1, 1), (1, 540), (540, 1), (70_000, 4), (4, 70_000), (2, 2), (3, 1), (16, 16), (1, 70_000)];

fn picture((width, height): (usize, usize)) -> RgbImage {
    RgbImage::new(width, height, (0..width * height * 3).map(|at| (at % 251) as u8).collect()).unwrap()
}

fn objects((width, height): (usize, usize)) -> Vec<Object> {
    let whole = [0.0, 0.0, width as f32, height as f32];
    // Long outlines take long to draw in a test; jagged ones are those of small pictures.
    let step = (width.max(height) / 500).max(1);
    let keypoints = vec![Keypoint { x: width as f32 / 2.0, y: 0.5, score: Some(0.9) }; 17];
    vec![
        Object { label: Some("name".into()), class_id: Some(1), score: 0.9, bounds: whole, ..Object::default() },
        Object {
            score: 0.8,
            bounds: whole,
            mask: Some(Mask::from_fn(width, height, |x, y| (x / step + y / step) % 3 != 1).unwrap()),
            ..Object::default()
        },
        Object { score: 0.7, bounds: whole, keypoints: Some(keypoints), ..Object::default() },
        Object {
            score: 0.6,
            bounds: whole,
            rotated: Some(RotatedBox { center: [0.5, 0.5], size: [9.0, 2.0], angle: 0.7 }),
            ..Object::default()
        },
    ]
}

#[test]
fn pictures_of_any_shape_reach_the_network() {
    for shape in SHAPES {
        let image = picture(shape);
        for letterbox in [Letterbox::square(shape, 64), Letterbox::rect(shape, 64, 32), Letterbox::fit(shape, (64, 32))] {
            let letterbox = letterbox.unwrap();
            let (width, height) = letterbox.target();
            let mut planes = vec![f32::NAN; 3 * width * height];
            letterbox.to_planar_f32(&image, &mut planes);
            assert!(planes.iter().all(|value| (0.0..=1.0).contains(value)), "{shape:?}");
            assert_eq!(letterbox.to_rgb(&image).pixels().len(), 3 * width * height);
        }
        let mut out = vec![f32::NAN; 3 * 32 * 48];
        stretch(&image, Target { frame: [32, 48], normalise: Normalise::IMAGENET }, &mut out).unwrap();
        assert!(out.iter().all(|value| value.is_finite()), "{shape:?}");
        stretch_levels(&image, Target { frame: [32, 48], normalise: Normalise::SIGNED }, Resampling::TORCH_BICUBIC, &mut out).unwrap();
        let mut square = vec![f32::NAN; 3 * 32 * 32];
        for filter in [SquareFilter::Torchvision, SquareFilter::Scipy] {
            padded_square(&image, Target { frame: [32; 2], normalise: Normalise::CLIP }, filter, &mut square).unwrap();
            assert!(square.iter().all(|value| value.is_finite()), "{shape:?} {filter:?}");
        }
        match longest_side(&image, 32, Target { frame: [32, 32], normalise: Normalise::IMAGENET }, &mut square) {
            Ok(kept) => assert!(kept.contains(&32)),
            Err(error) => assert!(error.kind() == ErrorKind::InvalidArgument && error.to_string().contains("help: "), "{error}"),
        }
        assert_eq!(center_crop(&image, 24).unwrap().len(), 3 * 24 * 24);
        for resampling in [Resampling::PILLOW_BILINEAR, Resampling::PILLOW_BICUBIC, Resampling::TORCH_BILINEAR] {
            assert_eq!(resize(&image, resampling, (5, 7)).unwrap().pixels().len(), 3 * 5 * 7);
        }
        assert!(Pyramid::new(&image, 8).bytes() >= image.pixels().len());
    }
}

#[test]
fn pictures_of_any_shape_are_drawn_on_and_written() {
    for shape in SHAPES {
        let (image, objects) = (picture(shape), objects(shape));
        let points = [(0.5, 0.5, true), (shape.0 as f32, shape.1 as f32, false)];
        let marks = Marks { points: &points, boxes: &[[0.0, 0.0, shape.0 as f32, shape.1 as f32]], ..Marks::default() };
        let options = DrawOptions { mask_tags: true, ..DrawOptions::default() };
        let drawn = annotate_prompted(&image, &objects, &marks, &options);
        assert_eq!((drawn.width(), drawn.height()), shape);
        assert_eq!(annotate_classes(&image, &[("name".into(), 0.5)]).pixels().len(), image.pixels().len());
        assert_eq!(annotate(&image, &[], &options), image);
        let found = ImageObjects { image_id: 1, width: shape.0, height: shape.1, objects: &objects };
        let answer = Answer { found, file_name: "a.png", pixels: Some(&image), marks };
        for format in MaskFormat::ALL {
            assert!(!encode_masks(format, &answer, &MaskOptions::default()).unwrap().is_empty(), "{shape:?} {format}");
        }
        assert!(!encode_picture(&drawn, PictureFormat::Png).unwrap().is_empty());
        let jpeg = encode_picture(&drawn, PictureFormat::Jpeg { quality: 90 });
        match jpeg {
            Ok(bytes) => assert!(shape.0.max(shape.1) <= 65_535 && bytes.starts_with(&[0xff, 0xd8])),
            Err(error) => assert!(shape.0.max(shape.1) > 65_535 && error.to_string().contains("help: write it as PNG"), "{error}"),
        }
    }
}

#[test]
fn sizes_that_no_network_has_are_refused() {
    let image = picture((64, 48));
    let huge = 3_200_000;
    let errors = [
        Letterbox::square((64, 48), huge).unwrap_err(),
        Letterbox::rect((64, 48), huge, 32).unwrap_err(),
        Letterbox::rect((1, 540), huge, 32).unwrap_err(),
        Letterbox::fit((64, 48), (usize::MAX, usize::MAX)).unwrap_err(),
        center_crop(&image, huge).unwrap_err(),
        center_crop(&image, usize::MAX).unwrap_err(),
        resize(&image, Resampling::PILLOW_BILINEAR, (huge, huge)).unwrap_err(),
        resize(&image, Resampling::TORCH_BICUBIC, (usize::MAX, 2)).unwrap_err(),
        resize(&picture((1, 70_000)), Resampling::TORCH_BILINEAR, (10_000, 4)).unwrap_err(),
        point_grid(1 << 40).unwrap_err(),
        layer_grids(1 << 40, 1, 1).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    let frame = stretch(&image, Target { frame: [huge, huge], normalise: Normalise::IMAGENET }, &mut [0.0; 12]).unwrap_err();
    assert_eq!(frame.kind(), ErrorKind::InvalidArgument);
}

/// A few bytes of run lengths must not become gigabytes once somebody looks at the rows.
#[test]
fn masks_that_no_picture_has_are_refused() {
    for size in [[65_535, 65_535], [1, u32::MAX as usize], [usize::MAX, 2], [1 << 25, 1]] {
        let count = size[0].checked_mul(size[1]).and_then(|pixels| u32::try_from(pixels).ok()).unwrap_or(7);
        let rle = Rle { size, counts: vec![0, count] };
        assert_eq!(Mask::from_rle(&rle).unwrap_err().kind(), ErrorKind::TooLarge, "{size:?}");
        assert_eq!(Mask::from_rows(size[1], size[0], &[]).unwrap_err().kind(), ErrorKind::TooLarge, "{size:?}");
        assert_eq!(Mask::from_polygons(size[1], size[0], []).unwrap_err().kind(), ErrorKind::TooLarge, "{size:?}");
        let prototypes = Prototypes::new(&[1.0], [1, 1, 1]).unwrap();
        let everywhere = [0.0, 0.0, f32::INFINITY, f32::INFINITY];
        assert_eq!(prototypes.native_mask(&[1.0], everywhere, size).unwrap_err().kind(), ErrorKind::TooLarge, "{size:?}");
        let found = ImageObjects { image_id: 1, width: size[0], height: size[1], objects: &[] };
        let answer = Answer { found, file_name: "a.png", pixels: None, marks: Marks::default() };
        let error = encode_masks(MaskFormat::PngIndex, &answer, &MaskOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{size:?}");
    }
    let largest = Rle { size: [1 << 15, 1 << 15], counts: vec![1 << 30] };
    assert!(Mask::from_rle(&largest).unwrap().is_empty());
}

#[test]
fn what_is_not_finite_is_in_no_file() {
    let nan = f32::NAN;
    let base = Object { label: Some("name".into()), score: 0.5, bounds: [1.0, 2.0, 9.0, 8.0], ..Object::default() };
    let masked = Object { mask: Some(Mask::from_fn(20, 10, |x, y| x > 3 && y > 3).unwrap()), ..base.clone() };
    let mut odd: Vec<Object> = Vec::new();
    for object in [&base, &masked] {
        for value in [nan, f32::INFINITY, f32::NEG_INFINITY] {
            odd.push(Object { score: value, ..object.clone() });
            odd.push(Object { bounds: [value, 2.0, 9.0, 8.0], ..object.clone() });
            odd.push(Object { stability: Some(value), ..object.clone() });
            odd.push(Object { mask_box: Some([1.0, value, 9.0, 8.0]), mask_score: Some(value), ..object.clone() });
            odd.push(Object { keypoints: Some(vec![Keypoint { x: 1.0, y: 1.0, score: Some(value) }]), ..object.clone() });
            odd.push(Object { keypoints: Some(vec![Keypoint { x: value, y: 1.0, score: None }]), ..object.clone() });
            odd.push(Object { rotated: Some(RotatedBox { center: [1.0, value], size: [2.0; 2], angle: 0.0 }), ..object.clone() });
            odd.push(Object { rotated: Some(RotatedBox { center: [1.0, 1.0], size: [2.0, value], angle: value }), ..object.clone() });
        }
    }
    let image = picture((20, 10));
    let found = ImageObjects { image_id: 1, width: 20, height: 10, objects: &odd };
    let answer = Answer { found, file_name: "a.png", pixels: Some(&image), marks: Marks::default() };
    for format in MaskFormat::ALL {
        for file in encode_masks(format, &answer, &MaskOptions::default()).unwrap() {
            let Ok(text) = String::from_utf8(file.bytes) else { continue };
            // LabelMe has two keys that are always null.
            let text = text.replace("\"mask\":null", "").replace("\"imageData\":null", "");
            assert!(!text.contains("null") && !text.contains("NaN") && !text.contains("inf"), "{format}: {text}");
        }
    }
    let lines = serde_json::to_string(&odd).unwrap();
    assert!(!lines.contains("null"), "{lines}");
}
