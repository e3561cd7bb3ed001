//! Masks as files, read back by other readers than those that wrote them.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::path::Path;

use common::{folder, make};
use maskline_video::write::{
    FrameMasks, MaskLines, MaskSink, MotsOptions, ObjectFolders, ObjectMask, Overlay, OverlayOptions, PaletteFolder, YoutubeVisOptions,
    palette_png, write_mots, write_whole, write_youtube_vis,
};
use maskline_video::{ErrorKind, Frame, FrameOptions, Frames, Ratio, Result, Source, Time};
use maskline_vision::{Mask, RgbImage};
use serde_json::Value;

const SIZE: (usize, usize) = (6, 4);

fn rectangle([x1, y1, x2, y2]: [usize; 4]) -> Mask {
    Mask::from_fn(SIZE.0, SIZE.1, |x, y| (x1..x2).contains(&x) && (y1..y2).contains(&y)).unwrap()
}

fn object(id: i64, bounds: [usize; 4]) -> ObjectMask {
    ObjectMask { id, score: 0.5, label: None, class_id: None, mask: rectangle(bounds) }
}

fn frame(index: usize, objects: Vec<ObjectMask>) -> FrameMasks {
    FrameMasks { index, time: Time { ticks: index as i64 * 1001, tick: Ratio::new(1, 30000).unwrap() }, size: SIZE, objects }
}

fn black() -> RgbImage {
    RgbImage::new(SIZE.0, SIZE.1, vec![0; SIZE.0 * SIZE.1 * 3]).unwrap()
}

/// Colour type, palette and values of a PNG.
fn read_png(bytes: &[u8]) -> (png::ColorType, Vec<u8>, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let palette = reader.info().palette.as_deref().unwrap_or_default().to_vec();
    let mut values = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut values).unwrap();
    (reader.info().color_type, palette, values)
}

#[test]
fn pictures_of_numbers_have_the_palette_of_davis() {
    let masks = frame(0, vec![object(3, [0, 0, 3, 2]), object(1, [2, 1, 6, 4])]);
    let (color, palette, values) = read_png(&palette_png(&masks).unwrap());
    assert_eq!(color, png::ColorType::Indexed);
    // As DAVIS's own files begin: black, dark red, dark green, dark yellow.
    assert_eq!(&palette[..12], [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]);
    // Where both are, the higher number wins, whatever the order of the list.
    assert_eq!(values, [3, 3, 3, 0, 0, 0, 3, 3, 3, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1]);
    let (color, _, values) = read_png(&palette_png(&frame(0, vec![object(300, [0, 0, 1, 1])])).unwrap());
    assert_eq!((color, &values[..4]), (png::ColorType::Grayscale, &[1, 44, 0, 0][..]));
    for id in [0, -1, 65_536] {
        assert_eq!(palette_png(&frame(0, vec![object(id, [0, 0, 1, 1])])).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn folders_have_a_picture_per_frame() {
    let folder = tempfile::tempdir().unwrap();
    let mut palette = PaletteFolder::open(&folder.path().join("davis")).unwrap();
    let mut objects = ObjectFolders::open(&folder.path().join("sav")).unwrap();
    for masks in [frame(0, vec![object(1, [0, 0, 2, 2])]), frame(100_000, vec![object(1, [0; 4]), object(12, [1, 1, 2, 2])])] {
        palette.put(&black(), &masks).unwrap();
        objects.put(&black(), &masks).unwrap();
    }
    let path = |name: &str| folder.path().join(name);
    assert_eq!(Box::new(palette).finish().unwrap(), Some(path("davis")));
    assert_eq!(Box::new(objects).finish().unwrap(), Some(path("sav")));
    let values = |name: &str| read_png(&std::fs::read(path(name)).unwrap());
    assert_eq!(values("davis/00000.png").2[..3], [1, 1, 0]);
    assert_eq!(values("davis/100000.png").2[7..9], [12, 0]);
    assert_eq!(values("sav/001/00000.png"), (png::ColorType::Grayscale, vec![], rectangle([0, 0, 2, 2]).to_rows(255)));
    assert_eq!(values("sav/001/100000.png"), (png::ColorType::Grayscale, vec![], vec![0; 24]), "not seen");
    assert!(!path("sav/012/00000.png").exists(), "not there yet");
    let names: Vec<_> = std::fs::read_dir(path("davis")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left beside them: {names:?}");
}

#[test]
fn lines_tell_what_is_done_and_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("masks.jsonl");
    let mut lines = MaskLines::create(&path).unwrap();
    let named = ObjectMask { label: Some("a \"b\"\n".into()), class_id: Some(7), ..object(2, [1, 1, 4, 3]) };
    let all: Vec<FrameMasks> = (0..4).map(|index| frame(index, vec![object(1, [0, 0, index, index]), named.clone()])).collect();
    for index in [2, 3, 1] {
        lines.append(&all[index]).unwrap();
    }
    assert_eq!(lines.read(1).unwrap().unwrap(), all[1]);
    assert_eq!(lines.read(0).unwrap(), None);
    drop(lines);
    // A killed process leaves a line that is cut off.
    let whole = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"frame\": 0, \"time\": ").unwrap();
    let mut lines = MaskLines::resume(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
    assert_eq!(lines.frames().collect::<Vec<_>>(), [1, 2, 3]);
    assert!(!lines.has(0) && lines.has(3));
    lines.append(&all[0]).unwrap();
    let corrected = frame(2, vec![object(1, [0, 0, 6, 4])]);
    lines.append(&corrected).unwrap();
    assert_eq!(lines.iter().collect::<Result<Vec<_>>>().unwrap(), [all[0].clone(), all[1].clone(), corrected, all[3].clone()]);
    lines.finish().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.iter().map(|value| value["frame"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!((&values[3]["time"], &values[3]["tick"]), (&Value::from(0.1001), &Value::from("1/30000")));
    assert_eq!(values[1]["objects"][1]["segmentation"]["size"], serde_json::json!([4, 6]));
    assert_eq!((&values[1]["objects"][1]["box"], &values[1]["objects"][1]["area"]), (&serde_json::json!([1, 1, 4, 3]), &Value::from(6)));
    std::fs::write(&path, "{\"other\": 1}\n").unwrap();
    assert_eq!(MaskLines::resume(&path).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// `/dev/full` is a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_error() {
    let error = MaskLines::create(Path::new("/dev/full")).and_then(|mut lines| lines.append(&frame(0, vec![]))).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Io, Some(Path::new("/dev/full"))));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.txt");
    std::fs::write(&path, "old").unwrap();
    let error = write_whole(&path, |_| Err(MaskLines::create(Path::new("/dev/full/x")).map(drop).unwrap_err())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

fn some_lines(folder: &Path) -> MaskLines {
    let car = |bounds| ObjectMask { label: Some("car".into()), class_id: Some(2), score: 0.9, ..object(4, bounds) };
    let dog = |bounds| ObjectMask { label: Some("dog".into()), class_id: Some(16), ..object(5, bounds) };
    let mut lines = MaskLines::create(&folder.join("masks.jsonl")).unwrap();
    lines.append(&frame(2, vec![dog([0; 4]), car([0, 0, 3, 4])])).unwrap();
    lines.append(&frame(0, vec![car([0, 0, 2, 2]), dog([1, 1, 4, 4]), object(6, [0; 4])])).unwrap();
    lines
}

fn text(folder: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> String {
    let path = folder.join("text");
    write_whole(&path, fill).unwrap();
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn mots_has_no_overlaps() {
    let folder = tempfile::tempdir().unwrap();
    let lines = some_lines(folder.path());
    let path = Path::new("mots.txt");
    let text = text(folder.path(), |out| write_mots(out, path, &lines, MotsOptions::default()));
    let fields: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let heads: Vec<String> = fields.iter().map(|fields| fields[..5].join(" ")).collect();
    assert_eq!(heads, ["0 1004 1 4 6", "0 20005 20 4 6", "2 1004 1 4 6"]);
    let mask = |text: &str| Mask::from_rle(&maskline_vision::mask::Rle::from_coco_string([4, 6], text).unwrap()).unwrap();
    assert_eq!(mask(fields[0][5]), rectangle([0, 0, 2, 2]).difference(&rectangle([1, 1, 4, 4])).unwrap());
    assert_eq!(mask(fields[1][5]), rectangle([1, 1, 4, 4]));
    let wrong = MaskLines::create(&folder.path().join("wrong.jsonl")).and_then(|mut lines| {
        lines.append(&frame(0, vec![object(1000, [0, 0, 1, 1])]))?;
        write_mots(&mut Vec::new(), path, &lines, MotsOptions::default())
    });
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn youtube_vis_has_a_place_for_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let lines = some_lines(folder.path());
    let options = YoutubeVisOptions { video_id: 9, length: Some(4) };
    let text = text(folder.path(), |out| write_youtube_vis(out, Path::new("y.json"), &lines, options));
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(list.len(), 2, "what is never seen has no entry");
    assert_eq!((&list[0]["category_id"], &list[1]["category_id"]), (&Value::from(3), &Value::from(17)));
    assert_eq!((&list[0]["score"], &list[0]["video_id"]), (&Value::from(0.9), &Value::from(9)));
    let nulls = |entry: &Value| entry["segmentations"].as_array().unwrap().iter().map(Value::is_null).collect::<Vec<_>>();
    assert_eq!(nulls(&list[0]), [false, true, false, true]);
    assert_eq!(nulls(&list[1]), [false, true, true, true]);
    let mask: Mask = serde_json::from_value(list[1]["segmentations"][0].clone()).unwrap();
    assert_eq!(mask, rectangle([1, 1, 4, 4]), "entries may overlap");
}

fn read(path: &Path) -> Vec<Frame> {
    Frames::open(Source::at(path), &FrameOptions::default()).unwrap().collect::<Result<_>>().unwrap()
}

#[test]
fn overlays_keep_times_and_colours() {
    let Some(folder) = folder() else { return };
    let size = (61, 47);
    let grey = RgbImage::new(size.0, size.1, [90, 120, 60].repeat(size.0 * size.1)).unwrap();
    let path = folder.path().join("overlay.mp4");
    let options = || OverlayOptions { quality: 5, ..OverlayOptions::default() };
    let mut overlay = Overlay::open(&path, options()).unwrap();
    let tick = Ratio::new(1, 10240).unwrap();
    let times = [5000, 6024, 8072, 8073, 20_000];
    for (index, ticks) in times.into_iter().enumerate() {
        let mask = Mask::from_fn(size.0, size.1, |x, _| x < 20).unwrap();
        let masks = FrameMasks {
            index,
            time: Time { ticks, tick },
            size,
            objects: vec![ObjectMask { mask, ..object(7, [0; 4]) }].into_iter().filter(|_| index != 1).collect(),
        };
        overlay.put(&grey, &masks).unwrap();
        assert!(!path.exists(), "not before it is whole");
    }
    let repeated = FrameMasks { index: 5, time: Time { ticks: 20_000, tick }, size, objects: vec![] };
    assert_eq!(overlay.put(&grey, &repeated).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(Box::new(overlay).finish().unwrap(), Some(path.clone()));
    let frames = read(&path);
    assert_eq!(frames.iter().map(|frame| frame.time.ticks).collect::<Vec<_>>(), times.map(|ticks| ticks - 5000));
    assert_eq!((frames[0].image.size(), frames[0].time.tick), ((62, 48), tick));
    let pixel = |frame: usize, x: usize| frames[frame].image.row(30)[x * 3..x * 3 + 3].to_vec();
    let is_near = |found: &[u8], wished: [u8; 3]| found.iter().zip(wished).all(|(a, b)| a.abs_diff(b) < 8);
    assert!(is_near(&pixel(0, 45), [90, 120, 60]) && is_near(&pixel(1, 5), [90, 120, 60]), "{:?}", pixel(0, 45));
    assert!(!is_near(&pixel(0, 5), [90, 120, 60]) && !is_near(&pixel(4, 5), [90, 120, 60]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    // Nothing that was begun and never finished stays.
    let mut begun = Overlay::open(&folder.path().join("begun.mp4"), options()).unwrap();
    begun.put(&grey, &FrameMasks { index: 0, time: Time { ticks: 0, tick }, size, objects: vec![] }).unwrap();
    drop(begun);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn overlays_of_uneven_clips_are_as_uneven() {
    let Some(folder) = folder() else { return };
    let filter = "-vf select='not(eq(mod(n,3),1))' -vsync vfr";
    let source = format!("-f lavfi -i testsrc=size=64x48:rate=30000/1001:duration=1 {filter} -c:v libx264 -pix_fmt yuv420p");
    for name in ["uneven.mp4", "uneven.mkv", "uneven.ts"] {
        let clip = read(&make(folder.path(), name, &source));
        let path = folder.path().join("overlay.mp4");
        let mut overlay = Overlay::open(&path, OverlayOptions::default()).unwrap();
        for frame in &clip {
            let masks = FrameMasks { index: frame.index, time: frame.time, size: (64, 48), objects: vec![] };
            overlay.put(&frame.image, &masks).unwrap();
        }
        Box::new(overlay).finish().unwrap();
        let seconds = |frames: &[Frame]| frames.iter().map(|frame| frame.time.seconds() - frames[0].time.seconds()).collect::<Vec<_>>();
        let (wished, found) = (seconds(&clip), seconds(&read(&path)));
        assert!(
            wished.len() == 20 && found.len() == 20 && wished.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-9),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn an_overlay_that_cannot_be_written_says_why() {
    let Some(folder) = folder() else { return };
    let mut overlay = Overlay::open(&folder.path().join("missing/overlay.mp4"), OverlayOptions::default()).unwrap();
    assert_eq!(overlay.put(&black(), &frame(0, vec![])).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(
        Overlay::open(&folder.path().join("a.mp4"), OverlayOptions { quality: 52, ..OverlayOptions::default() }).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
}
