//! Every mask format, read back.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use maskline_vision::decode::{DecodeOptions, decode};
use maskline_vision::draw::{DrawOptions, Marks, annotate_prompted};
use maskline_vision::mask::{Polygon, Rle};
use maskline_vision::write::{
    Answer, ImageObjects, LabelMeShapes, MaskFormat, MaskOptions, PictureFormat, encode_masks, voc_palette, write_masks,
};
use maskline_vision::{ErrorKind, Mask, Object, RgbImage, RotatedBox};
use png::{BitDepth, ColorType};
use serde_json::{Value, json};

const SIZE: [usize; 2] = [60, 40];

fn mask(is_set: impl FnMut(usize, usize) -> bool) -> Mask {
    Mask::from_fn(SIZE[0], SIZE[1], is_set).unwrap()
}

fn object(score: f32, mask: Mask) -> Object {
    let bounds = mask.bounds().unwrap_or_default().map(|side| side as f32);
    Object { score, bounds, mask: Some(mask), ..Object::default() }
}

fn disc(center: [f32; 2], radius: f32) -> Mask {
    mask(|x, y| (x as f32 - center[0]).hypot(y as f32 - center[1]) < radius)
}

fn ring() -> Mask {
    mask(|x, y| (3.0..9.0).contains(&(x as f32 - 40.0).hypot(y as f32 - 20.0)))
}

fn two_parts() -> Mask {
    mask(|x, y| (2..12).contains(&x) && (3..9).contains(&y) || (20..24).contains(&x) && (30..39).contains(&y))
}

/// A disc below a ring that overlaps it, a mask without pixels, one of two parts, a box.
fn objects() -> Vec<Object> {
    vec![
        object(0.5, disc([32.0, 20.0], 10.0)),
        Object { label: Some("ring".into()), class_id: Some(3), ..object(0.9, ring()) },
        object(0.7, mask(|_, _| false)),
        Object { prompt: Some(2), ..object(0.8, two_parts()) },
        Object { label: Some("box".into()), score: 0.6, bounds: [1.0, 2.0, 30.5, 20.0], ..Object::default() },
    ]
}

fn picture() -> RgbImage {
    let pixels = (0..SIZE[0] * SIZE[1]).flat_map(|at| [at % 251, at % 7 * 30, at / 60 * 6].map(|value| value as u8));
    RgbImage::new(SIZE[0], SIZE[1], pixels.collect()).unwrap()
}

fn answer<'a>(objects: &'a [Object], pixels: Option<&'a RgbImage>) -> Answer<'a> {
    let found = ImageObjects { image_id: 7, width: SIZE[0], height: SIZE[1], objects };
    Answer { found, file_name: "photo.v2.jpg", pixels, marks: Marks::default() }
}

fn only(format: MaskFormat, objects: &[Object], options: &MaskOptions<'_>) -> Vec<u8> {
    let mut files = encode_masks(format, &answer(objects, Some(&picture())), options).unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0).bytes
}

fn json_of(format: MaskFormat, objects: &[Object], options: &MaskOptions<'_>) -> Value {
    serde_json::from_slice(&only(format, objects, options)).unwrap()
}

/// A PNG as it is in the file.
struct ReadPng {
    size: [usize; 2],
    kind: (ColorType, BitDepth),
    values: Vec<u8>,
    palette: Option<Vec<u8>>,
}

fn read_png(bytes: &[u8]) -> ReadPng {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let palette = reader.info().palette.as_ref().map(|palette| palette.to_vec());
    let mut values = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut values).unwrap();
    values.truncate(info.buffer_size());
    ReadPng { size: [info.width as usize, info.height as usize], kind: (info.color_type, info.bit_depth), values, palette }
}

fn mask_of_rle(segmentation: &Value) -> Mask {
    let size: [usize; 2] = serde_json::from_value(segmentation["size"].clone()).unwrap();
    Mask::from_rle(&Rle::from_coco_string(size, segmentation["counts"].as_str().unwrap()).unwrap()).unwrap()
}

fn filled<'a>(rings: impl IntoIterator<Item = &'a Polygon>) -> Mask {
    Mask::from_polygons(SIZE[0], SIZE[1], rings).unwrap()
}

#[test]
fn names_are_read_back() {
    for format in MaskFormat::ALL {
        assert_eq!(format.to_string().parse::<MaskFormat>().unwrap(), format);
    }
    let names = MaskFormat::ALL.map(|format| format.to_string());
    assert_eq!(names, ["coco-rle", "coco", "png-index", "png", "cutout", "polygons", "labelme", "yolo-seg", "label-studio", "overlay"]);
    let error = "coco_rle".parse::<MaskFormat>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("coco-rle, coco, png-index") && error.to_string().contains("\"coco_rle\""), "{error}");
}

#[test]
fn every_format_writes_its_files_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, image) = (objects(), picture());
    let stem = folder.path().join("photo.v2");
    let mut all = Vec::new();
    for format in MaskFormat::ALL {
        let files = write_masks(format, &answer(&objects, Some(&image)), &stem, &MaskOptions::default()).unwrap();
        assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() > 0), "{format}");
        all.extend(files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()));
    }
    let expected = [
        "rle.json",
        "coco.json",
        "index.png",
        "mask-001.png",
        "mask-002.png",
        "mask-004.png",
        "cutout-001.png",
        "cutout-002.png",
        "cutout-004.png",
        "polygons.json",
        "json",
        "txt",
        "label-studio.json",
        "overlay.png",
    ];
    assert_eq!(all, expected.map(|suffix| format!("photo.v2.{suffix}")));
    let again = write_masks(MaskFormat::YoloSeg, &answer(&objects[..1], None), &stem, &MaskOptions::default()).unwrap();
    assert_eq!(fs::read_to_string(&again[0]).unwrap().lines().count(), 1, "replaced, not appended to");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), all.len());
}

#[test]
fn pictures_without_objects() {
    for format in MaskFormat::ALL {
        let files = encode_masks(format, &answer(&[], Some(&picture())), &MaskOptions::default()).unwrap();
        assert_eq!(files.len(), usize::from(!matches!(format, MaskFormat::Png | MaskFormat::Cutout)), "{format}");
    }
    assert_eq!(only(MaskFormat::YoloSeg, &[], &MaskOptions::default()), b"");
    assert_eq!(json_of(MaskFormat::Coco, &[], &MaskOptions::default()), json!([]));
    let ReadPng { size, values, .. } = read_png(&only(MaskFormat::PngIndex, &[], &MaskOptions::default()));
    assert_eq!((size, values), (SIZE, vec![0; SIZE[0] * SIZE[1]]));
}

#[test]
fn what_does_not_fit_the_picture_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let small = [object(0.5, Mask::from_fn(9, 8, |_, _| true).unwrap())];
    let (good, other) = (objects(), RgbImage::new(2, 2, vec![0; 12]).unwrap());
    for format in MaskFormat::ALL {
        let cases = [
            (answer(&small, None), 1.0, "mask of object 0: expected 60 × 40, found 9 × 8"),
            (answer(&good, Some(&other)), 1.0, "found 2 × 2"),
            (answer(&good, None), f32::NAN, "tolerance"),
            (answer(&good, None), -1.0, "tolerance"),
        ];
        for (answer, tolerance, expected) in cases {
            let options = MaskOptions { tolerance, ..MaskOptions::default() };
            let error = write_masks(format, &answer, &folder.path().join("a"), &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(expected), "{format}: {error}");
        }
        if format.needs_pixels() {
            let error = encode_masks(format, &answer(&good, None), &MaskOptions::default()).unwrap_err();
            assert!(error.to_string().contains(&format!("{format}: expected the picture's pixels")), "{error}");
        }
    }
    let missing = write_masks(MaskFormat::Png, &answer(&good, None), &folder.path().join("no/a"), &MaskOptions::default()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn coco_run_lengths_come_back() {
    let objects = objects();
    let value = json_of(MaskFormat::CocoRle, &objects, &MaskOptions::default());
    assert_eq!(
        [&value["image"], &value["image_id"], &value["width"], &value["height"]],
        [&json!("photo.v2.jpg"), &json!(7), &json!(60), &json!(40)]
    );
    let read = value["objects"].as_array().unwrap();
    assert_eq!(read.len(), 5);
    for (read, object) in read.iter().zip(&objects) {
        let Some(mask) = &object.mask else { continue };
        assert_eq!(&mask_of_rle(&read["segmentation"]), mask);
        assert_eq!(read["area"], mask.area());
        assert_eq!(read["box"], json!(object.bounds.map(f64::from)));
    }
    assert_eq!([&read[1]["label"], &read[1]["score"], &read[4]["segmentation"]], [&json!("ring"), &json!(0.9), &Value::Null]);
    let nowhere = [Object { bounds: [f32::NAN; 4], ..objects[0].clone() }];
    assert_eq!(json_of(MaskFormat::CocoRle, &nowhere, &MaskOptions::default())["objects"], json!([]));
}

#[test]
fn coco_results_have_run_lengths_or_boxes() {
    let objects = objects();
    let table = [10, 11, 12, 13];
    let options = MaskOptions { category_ids: Some(&table), ..MaskOptions::default() };
    let value = json_of(MaskFormat::Coco, &objects, &options);
    let keys = |index: usize| value[index].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(keys(1), ["category_id", "image_id", "score", "segmentation"]);
    assert_eq!(keys(4), ["bbox", "category_id", "image_id", "score"]);
    assert_eq!([&value[1]["category_id"], &value[1]["image_id"]], [&json!(13), &json!(7)]);
    assert_eq!(mask_of_rle(&value[1]["segmentation"]), ring());
}

#[test]
fn the_palette_is_pascal_vocs() {
    let palette = voc_palette();
    let first =
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128], [128, 128, 128], [64, 0, 0]];
    assert_eq!(palette[..9], first);
    assert_eq!([palette[20], palette[21], palette[255]], [[0, 64, 128], [128, 64, 128], [224, 224, 192]]);
    let mut distinct = palette.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 256);
}

#[test]
fn index_pictures_number_the_objects_and_better_scores_win() {
    let objects = objects();
    let ReadPng { size, kind, values, palette } = read_png(&only(MaskFormat::PngIndex, &objects, &MaskOptions::default()));
    assert_eq!((size, kind), (SIZE, (ColorType::Indexed, BitDepth::Eight)));
    assert_eq!(palette.unwrap(), voc_palette().concat());
    let masks: Vec<&Mask> = objects.iter().filter_map(|object| object.mask.as_ref()).collect();
    for (at, &value) in values.iter().enumerate() {
        let (x, y) = (at % SIZE[0], at / SIZE[0]);
        // The ring (2) before the two parts (4) before the disc (1).
        let expected = if masks[1].get(x, y) {
            2
        } else {
            [(3, 4), (0, 1)].iter().find(|(mask, _)| masks[*mask].get(x, y)).map_or(0, |(_, index)| *index)
        };
        assert_eq!(value, expected, "{x}, {y}");
    }
    assert!(values.contains(&1) && values.contains(&2) && values.contains(&4));
    let equal = [object(0.5, disc([20.0, 20.0], 9.0)), object(0.5, disc([24.0, 20.0], 9.0))];
    let ReadPng { values, .. } = read_png(&only(MaskFormat::PngIndex, &equal, &MaskOptions::default()));
    assert_eq!(values[20 * SIZE[0] + 22], 2, "of equal scores the later wins");
    let unknown = [Object { score: f32::NAN, ..equal[0].clone() }];
    assert!(read_png(&only(MaskFormat::PngIndex, &unknown, &MaskOptions::default())).values.iter().all(|&value| value == 0));
}

#[test]
fn more_objects_than_colours_have_sixteen_bits() {
    let dots = |count: usize| (0..count).map(|place| object(0.5, mask(move |x, y| y * SIZE[0] + x == place))).collect::<Vec<_>>();
    let ReadPng { kind, values, .. } = read_png(&only(MaskFormat::PngIndex, &dots(255), &MaskOptions::default()));
    assert_eq!((kind, values[254], values[255]), ((ColorType::Indexed, BitDepth::Eight), 255, 0));
    let ReadPng { size, kind, values, palette } = read_png(&only(MaskFormat::PngIndex, &dots(300), &MaskOptions::default()));
    assert_eq!((size, kind, palette), (SIZE, (ColorType::Grayscale, BitDepth::Sixteen), None));
    let values: Vec<usize> = values.chunks(2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]]))).collect();
    assert!(values.iter().enumerate().all(|(at, &value)| value == if at < 300 { at + 1 } else { 0 }));
    let many = vec![Object::default(); 65_536];
    let error = encode_masks(MaskFormat::PngIndex, &answer(&many, None), &MaskOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn binary_pictures_are_pixel_exact() {
    let objects = objects();
    let files = encode_masks(MaskFormat::Png, &answer(&objects, None), &MaskOptions::default()).unwrap();
    for (file, place) in files.iter().zip([0, 1, 3]) {
        let ReadPng { size, kind, values, .. } = read_png(&file.bytes);
        assert_eq!((size, kind), (SIZE, (ColorType::Grayscale, BitDepth::Eight)));
        assert_eq!(values, objects[place].mask.as_ref().unwrap().to_rows(255), "{}", file.suffix);
    }
}

#[test]
fn cutouts_are_the_picture_within_the_mask() {
    let (objects, image) = (objects(), picture());
    for (whole_frame, bounds) in [(false, [32, 12, 49, 29]), (true, [0, 0, 60, 40])] {
        let options = MaskOptions { whole_frame, ..MaskOptions::default() };
        let files = encode_masks(MaskFormat::Cutout, &answer(&objects, Some(&image)), &options).unwrap();
        let ReadPng { size: [width, height], kind, values, .. } = read_png(&files[1].bytes);
        let [left, top, right, bottom] = bounds;
        assert_eq!(([width, height], kind), ([right - left, bottom - top], (ColorType::Rgba, BitDepth::Eight)));
        for (at, pixel) in values.chunks(4).enumerate() {
            let (x, y) = (left + at % width, top + at / width);
            assert_eq!(pixel[..3], image.row(y)[x * 3..x * 3 + 3]);
            assert_eq!(pixel[3], if ring().get(x, y) { 255 } else { 0 }, "{x}, {y}");
        }
    }
}

#[test]
fn polygons_give_the_masks_back_and_tell_what_they_lose() {
    let objects = objects();
    for tolerance in [0.0, 1.5] {
        let value = json_of(MaskFormat::Polygons, &objects, &MaskOptions { tolerance, ..MaskOptions::default() });
        assert_eq!(value["tolerance"], f64::from(tolerance));
        for (read, object) in value["objects"].as_array().unwrap().iter().zip(&objects) {
            let Some(mask) = &object.mask else {
                assert!(read.get("parts").is_none() && read.get("iou").is_none());
                continue;
            };
            let parts: Vec<(Polygon, Vec<Polygon>)> = read["parts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|part| serde_json::from_value(json!([part["outer"], part["holes"]])).unwrap())
                .collect();
            let read_back = filled(parts.iter().flat_map(|(outer, holes)| std::iter::once(outer).chain(holes)));
            let iou = read["iou"].as_f64().unwrap();
            if tolerance == 0.0 || mask.is_empty() {
                assert_eq!((&read_back, iou), (mask, 1.0));
            } else {
                assert!((mask.iou(&read_back).unwrap() - iou).abs() < 1.1e-6 && iou > 0.8, "{iou}");
            }
            assert_eq!(read["area"], mask.area());
        }
        let ious: Vec<f64> = (0..4).map(|index| value["objects"][index]["iou"].as_f64().unwrap()).collect();
        // The parts with straight sides lose nothing; round ones do.
        assert_eq!(ious.iter().filter(|iou| **iou == 1.0).count(), if tolerance == 0.0 { 4 } else { 2 }, "{ious:?}");
        let counts = |index: usize| {
            value["objects"][index]["parts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|part| part["holes"].as_array().unwrap().len())
                .collect::<Vec<_>>()
        };
        assert_eq!([counts(0), counts(1), counts(2), counts(3)], [vec![0], vec![1], vec![], vec![0, 0]]);
    }
}

fn base64_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{byte}"),
    };
    assert_eq!(text.len() % 4, 0);
    let mut bytes = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = (0..4).fold(0u32, |bits, at| bits << 6 | group.get(at).map_or(0, |&byte| u32::from(digit(byte))));
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}

/// A shape's pixels, as LabelMe reads them.
fn labelme_mask(shape: &Value) -> Mask {
    let points: Polygon = serde_json::from_value(shape["points"].clone()).unwrap();
    if shape["shape_type"] == "polygon" {
        return filled([&points]);
    }
    assert_eq!(shape["shape_type"], "mask");
    let [left, top, right, bottom] = [points[0][0], points[0][1], points[1][0], points[1][1]].map(|value| value as usize);
    let ReadPng { size: [width, height], kind, values, .. } = read_png(&base64_decoded(shape["mask"].as_str().unwrap()));
    assert_eq!(([width, height], kind.0), ([right - left + 1, bottom - top + 1], ColorType::Grayscale));
    mask(|x, y| (left..=right).contains(&x) && (top..=bottom).contains(&y) && values[(y - top) * width + x - left] != 0)
}

#[test]
fn labelme_has_polygons_and_masks_where_holes_would_be_lost() {
    let rotated = RotatedBox { center: [30.0, 20.0], size: [10.0, 6.0], angle: 0.0 };
    let mut objects = objects();
    objects.push(Object { class_id: Some(5), score: 0.5, bounds: rotated.bounds(), rotated: Some(rotated), ..Object::default() });
    objects.push(Object { rotated: Some(RotatedBox { center: [f32::NAN; 2], ..rotated }), ..objects[5].clone() });
    let value = json_of(MaskFormat::LabelMe, &objects, &MaskOptions { tolerance: 0.0, ..MaskOptions::default() });
    assert_eq!([&value["imagePath"], &value["imageWidth"], &value["imageHeight"]], [&json!("photo.v2.jpg"), &json!(60), &json!(40)]);
    assert!(value.as_object().unwrap()["imageData"].is_null() && value["version"].is_string() && value["flags"] == json!({}));
    let shapes = value["shapes"].as_array().unwrap();
    let kinds: Vec<[&Value; 3]> = shapes.iter().map(|shape| [&shape["label"], &shape["group_id"], &shape["shape_type"]]).collect();
    let expected = [
        [json!("object"), json!(1), json!("polygon")],
        [json!("ring"), json!(2), json!("mask")],
        [json!("object"), json!(4), json!("polygon")],
        [json!("object"), json!(4), json!("polygon")],
        [json!("box"), json!(5), json!("rectangle")],
        [json!("class_5"), json!(6), json!("polygon")],
    ];
    assert_eq!(kinds, expected.each_ref().map(|[label, group, kind]| [label, group, kind]));
    assert_eq!(labelme_mask(&shapes[0]), disc([32.0, 20.0], 10.0));
    assert_eq!(labelme_mask(&shapes[1]), ring());
    let [a, b] = [labelme_mask(&shapes[2]), labelme_mask(&shapes[3])];
    assert_eq!(mask(|x, y| a.get(x, y) || b.get(x, y)), two_parts());
    assert_eq!(shapes[4]["points"], json!([[1.0, 2.0], [30.5, 20.0]]));
    assert_eq!([&shapes[0]["iou"], &shapes[0]["score"]], [&json!(1.0), &json!(0.5)]);
    assert!(shapes.iter().all(|shape| shape["flags"] == json!({}) && shape["description"] == "" && shape.get("mask").is_some()));
}

#[test]
fn labelme_holes_as_asked_for() {
    let pinhole = [object(0.5, mask(|x, y| (5..40).contains(&x) && (5..30).contains(&y) && (x, y) != (10, 10)))];
    let shapes = |objects: &[Object], labelme| {
        json_of(MaskFormat::LabelMe, objects, &MaskOptions { labelme, ..MaskOptions::default() })["shapes"].clone()
    };
    let auto = shapes(&pinhole, LabelMeShapes::Auto);
    assert_eq!(auto[0]["shape_type"], "polygon", "a hole of one pixel is filled");
    assert_eq!(auto[0]["iou"], 0.998857);
    assert_eq!(labelme_mask(&shapes(&pinhole, LabelMeShapes::Masks)[0]), pinhole[0].mask.clone().unwrap());
    let polygon = &shapes(&objects()[1..2], LabelMeShapes::Polygons)[0];
    assert_eq!(polygon["shape_type"], "polygon");
    assert!(polygon["iou"].as_f64().unwrap() < 0.95);
}

#[test]
fn yolo_polygons_cover_their_masks() {
    let text = String::from_utf8(only(MaskFormat::YoloSeg, &objects(), &MaskOptions::default())).unwrap();
    let lines: Vec<Vec<f32>> = text.lines().map(|line| line.split(' ').map(|value| value.parse().unwrap()).collect()).collect();
    assert_eq!(lines.iter().map(|line| line[0]).collect::<Vec<_>>(), [0.0, 3.0, 2.0, 0.0]);
    let polygon = |line: &[f32]| line[1..].chunks(2).map(|point| [point[0] * 60.0, point[1] * 40.0]).collect::<Polygon>();
    assert!(filled([&polygon(&lines[0])]).iou(&disc([32.0, 20.0], 10.0)).unwrap() > 0.9);
    assert_eq!(filled([&polygon(&lines[2])]), two_parts(), "two parts are one line, joined by a bridge without width");
    assert_eq!(lines[3].len(), 5, "a box");
    assert!(lines.iter().flat_map(|line| &line[1..]).all(|value| (0.0..=1.0).contains(value)));
    let scored = only(MaskFormat::YoloSeg, &objects(), &MaskOptions { yolo_scores: true, ..MaskOptions::default() });
    let last: Vec<String> = String::from_utf8(scored).unwrap().lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(last, ["0.500000", "0.900000", "0.800000", "0.600000"]);
}

#[test]
fn masks_of_many_parts_are_written_in_time() {
    let speckled = Mask::from_fn(900, 600, |x, y| x % 3 == 0 && y % 3 == 0).unwrap();
    let objects = [Object { score: 0.5, mask: Some(speckled), bounds: [0.0, 0.0, 898.0, 598.0], ..Object::default() }];
    let found = ImageObjects { image_id: 7, width: 900, height: 600, objects: &objects };
    let image = RgbImage::new(900, 600, vec![7; 900 * 600 * 3]).unwrap();
    let answer = Answer { found, file_name: "speckles.png", pixels: Some(&image), marks: Marks::default() };
    let length = |format| encode_masks(format, &answer, &MaskOptions::default()).unwrap()[0].bytes.len();
    assert!(MaskFormat::ALL.map(length).iter().all(|&length| length > 1000));
    let polygons = encode_masks(MaskFormat::Polygons, &answer, &MaskOptions::default()).unwrap().remove(0);
    let polygons: Value = serde_json::from_slice(&polygons.bytes).unwrap();
    assert_eq!(polygons["objects"][0]["parts"].as_array().unwrap().len(), 60_000);
}

#[test]
fn overlays_show_masks_and_prompts() {
    let (objects, image) = (objects(), picture());
    let (points, boxes) = ([(10.0, 6.0, true), (50.0, 35.0, false)], [[15.0, 5.0, 45.0, 35.0]]);
    let prompted = Answer { marks: Marks { points: &points, boxes: &boxes, ..Marks::default() }, ..answer(&objects, Some(&image)) };
    let options = MaskOptions { draw: DrawOptions { mask_tags: true, ..DrawOptions::default() }, ..MaskOptions::default() };
    let file = encode_masks(MaskFormat::Overlay, &prompted, &options).unwrap().remove(0);
    let drawn = decode(&file.bytes, &DecodeOptions::default()).unwrap();
    assert_eq!(drawn, annotate_prompted(&image, &objects, &prompted.marks, &options.draw));
    assert_ne!(drawn, annotate_prompted(&image, &objects, &Marks::default(), &options.draw));
    let jpeg = MaskOptions { picture: PictureFormat::Jpeg { quality: 90 }, ..MaskOptions::default() };
    let file = encode_masks(MaskFormat::Overlay, &prompted, &jpeg).unwrap().remove(0);
    assert_eq!((file.suffix.as_str(), &file.bytes[..3]), (".overlay.jpg", &[0xff, 0xd8, 0xff][..]));
    let wrong = MaskOptions { picture: PictureFormat::Jpeg { quality: 0 }, ..MaskOptions::default() };
    let error = write_masks(MaskFormat::Overlay, &prompted, Path::new("nowhere/a"), &wrong).unwrap_err();
    assert_eq!(error.path(), Some(Path::new("nowhere/a")));
}
