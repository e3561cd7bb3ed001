//! Letters on pictures: of any script, and never over the whole picture.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline_vision::draw::{DrawOptions, Fonts, Marks, Unanswered, annotate, annotate_classes, annotate_classes_with, annotate_prompted};
use maskline_vision::{Mask, Object, RgbImage};

const GRAY: [u8; 3] = [90, 90, 90];

fn picture(width: usize, height: usize) -> RgbImage {
    RgbImage::new(width, height, GRAY.repeat(width * height)).unwrap()
}

fn labelled(label: &str, bounds: [f32; 4]) -> Object {
    Object { label: Some(label.into()), class_id: Some(0), score: 0.89, bounds, ..Object::default() }
}

fn pixel(image: &RgbImage, x: usize, y: usize) -> [u8; 3] {
    image.row(y)[x * 3..x * 3 + 3].try_into().unwrap()
}

/// Pixels that are not as they were.
fn changed(image: &RgbImage) -> usize {
    image.pixels().chunks(3).filter(|pixel| *pixel != GRAY).count()
}

fn with(fonts: Fonts) -> DrawOptions {
    DrawOptions { scores: false, boxes: false, fonts, ..DrawOptions::default() }
}

/// A font with one letter, a filled square.
fn font_of(letter: char) -> Vec<u8> {
    let be16 = |values: &[i32]| values.iter().flat_map(|value| (*value as u16).to_be_bytes()).collect::<Vec<u8>>();
    let code = letter as i32;
    let mut head = be16(&[1, 0, 1, 0, 0, 0, 0x5f0f, 0x3cf5, 0, 1000]);
    head.extend([0; 16]);
    head.extend(be16(&[0, 0, 1000, 1000, 0, 8, 2, 0, 0]));
    let hhea = be16(&[1, 0, 800, -200, 0, 1000, 0, 0, 1000, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    let maxp = be16(&[1, 0, 2, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let hmtx = be16(&[500, 0, 1000, 0]);
    let cmap = be16(&[0, 1, 3, 1, 0, 12, 4, 32, 0, 4, 4, 1, 0, code, 0xffff, 0, code, 0xffff, 1 - code, 1, 0, 0]);
    // Four corners on the line, clockwise; all coordinates as words.
    let mut square = be16(&[1, 100, 0, 900, 700, 3, 0]);
    square.extend([1, 1, 1, 1]);
    square.extend(be16(&[100, 0, 800, 0, 0, 700, 0, -700]));
    let loca = be16(&[0, 0, square.len() as i32 / 2]);
    let tables: [(&[u8; 4], Vec<u8>); 7] =
        [(b"cmap", cmap), (b"glyf", square), (b"head", head), (b"hhea", hhea), (b"hmtx", hmtx), (b"loca", loca), (b"maxp", maxp)];
    let mut file = be16(&[1, 0, tables.len() as i32, 64, 2, 48]);
    let mut offset = 12 + 16 * tables.len();
    for (name, table) in &tables {
        file.extend(*name);
        for value in [0, offset as u32, table.len() as u32] {
            file.extend(value.to_be_bytes());
        }
        offset += table.len().next_multiple_of(4);
    }
    for (_, mut table) in tables {
        table.resize(table.len().next_multiple_of(4), 0);
        file.extend(table);
    }
    file
}

#[test]
fn letters_that_no_font_has_are_written_by_their_number() {
    let draw = |label: &str| annotate(&picture(300, 200), &[labelled(label, [20.0, 60.0, 200.0, 150.0])], &with(Fonts::embedded()));
    assert_eq!(draw("狗"), draw("\\u{72d7}"));
    assert_eq!(draw("a 狗 b"), draw("a \\u{72d7} b"));
    assert_ne!(draw("狗"), draw("猫"), "two letters that are missing look different");
    assert_eq!(draw("собака"), draw("\\u{441}\\u{43e}\\u{431}\\u{430}\\u{43a}\\u{430}"));
    assert_eq!(draw("🐕"), draw("\\u{1f415}"));
    assert_eq!(draw("a\nb\u{200d}\u{fe0f}"), draw("a b"));
    let classes = |label: &str| annotate_classes_with(&picture(300, 200), &[(label.to_owned(), 0.5)], &Fonts::embedded());
    assert_eq!(classes("狗"), classes("\\u{72d7}"));
}

#[test]
fn letters_come_from_the_fonts_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("truetype/noto");
    std::fs::create_dir_all(&below).unwrap();
    std::fs::write(folder.path().join("a-broken.ttf"), b"no font").unwrap();
    std::fs::write(below.join("Dog-Regular.TTF"), font_of('狗')).unwrap();
    std::fs::write(below.join("Cat-Regular.otf"), font_of('猫')).unwrap();
    let fonts = Fonts::in_folders(vec![folder.path().join("missing"), folder.path().to_path_buf()]);
    let draw =
        |label: &str, fonts: &Fonts| annotate(&picture(300, 200), &[labelled(label, [20.0, 60.0, 200.0, 150.0])], &with(fonts.clone()));
    for letter in ["狗", "猫"] {
        let drawn = draw(letter, &fonts);
        assert_ne!(drawn, draw(letter, &Fonts::embedded()), "{letter} is escaped");
        // The square of the font: black on the orange of the tag.
        let dark = drawn.pixels().chunks(3).filter(|pixel| pixel[0] < 40).count();
        assert!((50..200).contains(&dark), "{letter}: {dark} dark pixels");
    }
    assert_eq!(draw("鳥", &fonts), draw("\\u{9ce5}", &fonts), "a letter that is in none");
    assert_eq!(draw("狗", &fonts), draw("狗", &fonts.clone()));
    assert_eq!(draw("dog", &fonts), draw("dog", &Fonts::embedded()));
}

#[test]
fn tags_leave_small_pictures_to_be_seen() {
    for (width, height) in [(81, 108), (16, 16), (1, 540), (540, 1), (64, 64), (120, 30), (2, 2), (1, 1)] {
        let whole = [0.0, 0.0, width as f32, height as f32];
        let object = |index: usize| Object { score: 0.5 + index as f32 / 100.0, ..labelled("a long name of a class", whole) };
        let objects: Vec<Object> = (0..20).map(object).collect();
        let options = DrawOptions { boxes: false, ..DrawOptions::default() };
        let covered = changed(&annotate(&picture(width, height), &objects, &options));
        assert!(covered <= width * height * 3 / 10, "{width} × {height}: tags cover {covered}");
        let classes = vec![("a long name of a class".to_owned(), 0.5); 20];
        let covered = changed(&annotate_classes(&picture(width, height), &classes));
        assert!(covered <= width * height * 6 / 10, "{width} × {height}: classes cover {covered}");
    }
    let one = annotate(&picture(81, 108), &[labelled("dog", [10.0, 30.0, 70.0, 100.0])], &with(Fonts::embedded()));
    assert!(changed(&one) > 100, "a name that has room is written");
    // Where not all tags have room, the best have.
    let crowd: Vec<Object> =
        (0..40).map(|index| Object { score: index as f32 / 40.0, ..labelled("dog", [index as f32 * 2.0, 40.0, 81.0, 90.0]) }).collect();
    let best = annotate(&picture(81, 108), &crowd[39..], &with(Fonts::embedded()));
    let all = annotate(&picture(81, 108), &crowd, &with(Fonts::embedded()));
    assert!(best.pixels().chunks(3).zip(all.pixels().chunks(3)).all(|(best, all)| best == GRAY || best == all));
}

#[test]
fn a_frame_on_a_small_picture_is_seen_and_leaves_its_inside() {
    let drawn = annotate(&picture(16, 16), &[labelled("dog", [0.0, 0.0, 16.0, 16.0])], &DrawOptions::default());
    for (x, y) in [(0, 0), (15, 0), (0, 15), (15, 15), (7, 0), (15, 7)] {
        assert_ne!(pixel(&drawn, x, y), GRAY, "{x}, {y}");
    }
    assert_eq!(pixel(&drawn, 7, 7), GRAY);
    assert_eq!(changed(&drawn), 60);
}

#[test]
fn masks_of_one_class_have_colours_of_their_own() {
    let mask = |left: usize| Mask::from_fn(200, 100, |x, y| (left..left + 40).contains(&x) && (20..80).contains(&y)).unwrap();
    let object = |left: usize| Object { mask: Some(mask(left)), ..labelled("dog", [left as f32, 20.0, left as f32 + 40.0, 80.0]) };
    let drawn = annotate(&picture(200, 100), &[object(10), object(110)], &DrawOptions::default());
    assert_ne!(pixel(&drawn, 30, 50), pixel(&drawn, 130, 50));
    let boxes = [labelled("dog", [10.0, 30.0, 50.0, 80.0]), labelled("dog", [110.0, 30.0, 150.0, 80.0])];
    let drawn = annotate(&picture(200, 100), &boxes, &DrawOptions::default());
    assert_eq!(pixel(&drawn, 10, 60), pixel(&drawn, 110, 60), "boxes have the colour of their class");
    // Thirteen masks have thirteen colours.
    let many: Vec<Object> =
        (0..13).map(|index| Object { mask: Some(Mask::from_fn(200, 100, |x, _| x / 15 == index).unwrap()), ..Object::default() }).collect();
    let drawn = annotate(&picture(200, 100), &many, &DrawOptions::default());
    let mut colours: Vec<[u8; 3]> = (0..13).map(|index| pixel(&drawn, index * 15 + 7, 50)).collect();
    colours.sort_unstable();
    colours.dedup();
    assert_eq!(colours.len(), 13);
}

#[test]
fn a_detectors_box_is_drawn_where_a_segmenter_made_the_mask() {
    let mask = Mask::from_fn(200, 150, |x, y| (80..120).contains(&x) && (60..90).contains(&y)).unwrap();
    let bare = Object { score: 0.9, bounds: [50.0, 40.0, 150.0, 110.0], mask: Some(mask), ..Object::default() };
    let joined = Object { mask_box: Some([80.0, 60.0, 120.0, 90.0]), mask_score: Some(0.7), ..bare.clone() };
    let draw = |object: &Object| annotate(&picture(200, 150), std::slice::from_ref(object), &DrawOptions::default());
    let (bare, joined) = (draw(&bare), draw(&joined));
    assert_eq!(pixel(&bare, 50, 75), GRAY);
    assert_ne!(pixel(&joined, 50, 75), GRAY);
    assert_eq!(pixel(&joined, 100, 75), pixel(&bare, 100, 75));
    assert_ne!(pixel(&joined, 55, 32), GRAY, "the score stands at the box");
}

#[test]
fn prompts_without_an_answer_look_like_it() {
    let image = picture(200, 150);
    let draw = |marks: Marks<'_>| annotate_prompted(&image, &[], &marks, &DrawOptions::default());
    let answered = draw(Marks { points: &[(40.5, 40.5, true)], boxes: &[[60.0, 20.0, 180.0, 80.0]], ..Marks::default() });
    let unanswered = Unanswered { points: &[[40.5, 40.5]], boxes: &[[60.0, 20.0, 180.0, 80.0]] };
    let refused = draw(Marks { unanswered, ..Marks::default() });
    assert_ne!(pixel(&answered, 36, 36), pixel(&refused, 36, 36));
    let [r, g, b] = pixel(&refused, 40, 36).map(i32::from);
    assert!((r - g).abs() < 30 && (g - b).abs() < 30, "grey: {r} {g} {b}");
    assert_ne!(pixel(&refused, 120, 50), GRAY, "crossed out");
    assert_eq!(pixel(&answered, 120, 50), GRAY);
    let nowhere = Unanswered { points: &[[f32::NAN, 1.0], [1e30, -1e30]], boxes: &[[f32::NAN; 4], [300.0, 0.0, 400.0, 9.0]] };
    assert_eq!(draw(Marks { unanswered: nowhere, ..Marks::default() }), image);
}

#[test]
fn points_do_not_cover_small_pictures() {
    for (width, height) in [(16, 16), (24, 40), (1, 540), (81, 108)] {
        let marks = Marks { points: &[(width as f32 / 2.0, height as f32 / 2.0, true)], ..Marks::default() };
        let covered = changed(&annotate_prompted(&picture(width, height), &[], &marks, &DrawOptions::default()));
        assert!(covered > 0 && covered <= width * height / 8, "{width} × {height}: {covered}");
    }
}

#[test]
fn fonts_of_the_machine_are_used_where_there_are_any() {
    let folder = Path::new("/usr/share/fonts/truetype/dejavu");
    if !folder.join("DejaVuSans.ttf").exists() {
        return maskline_testing::skip(format_args!("{} holds no DejaVu Sans", folder.display()));
    }
    let fonts = Fonts::in_folders(vec![folder.to_path_buf()]);
    let draw =
        |label: &str, fonts: &Fonts| annotate(&picture(300, 200), &[labelled(label, [20.0, 60.0, 200.0, 150.0])], &with(fonts.clone()));
    assert_ne!(draw("собака", &fonts), draw("собака", &Fonts::embedded()));
    assert_eq!(draw("狗", &fonts), draw("狗", &Fonts::embedded()), "DejaVu has no Chinese");
    assert_ne!(draw("собака", &fonts), draw("собахх", &fonts), "letters are still found after one that is nowhere");
}

#[test]
fn ten_long_names_at_one_place_are_all_read() {
    let name = |index: usize| match index {
        3 => "مظلة زرقاء يحملها شخص واقف عند المعبر".to_owned(),
        4 => "a bus 🚌 beside a car 🚗 at the crossing".to_owned(),
        index => format!("number {index} of the things that stand at one place"),
    };
    let object = |index: usize| {
        let bounds = [300.0 + index as f32, 200.0, 340.0, 230.0 + index as f32];
        Object { class_id: Some(index), score: 0.9 - index as f32 / 100.0, ..labelled(&name(index), bounds) }
    };
    let objects: Vec<Object> = (0..10).map(object).collect();
    let together = annotate(&picture(640, 480), &objects, &with(Fonts::embedded()));
    for object in &objects {
        let alone = annotate(&picture(640, 480), std::slice::from_ref(object), &with(Fonts::embedded()));
        // The ground of a tag has the colour of its class, and is most of it.
        let [x, y] = [0, 1].map(|side| changed_from(&alone)[side]);
        let color = pixel(&alone, x, y);
        let count = |image: &RgbImage| image.pixels().chunks(3).filter(|pixel| *pixel == color).count();
        assert!(count(&together) * 4 > count(&alone), "{:?}: {} of {}", object.label, count(&together), count(&alone));
    }
}

/// The first pixel that is not as it was.
fn changed_from(image: &RgbImage) -> [usize; 2] {
    let first = image.pixels().chunks(3).position(|pixel| pixel != GRAY).unwrap();
    [first % image.width(), first / image.width()]
}
