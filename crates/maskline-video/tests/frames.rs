//! Clips as people have them: uneven, turned, odd, damaged, none at all.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{all, clip, folder, make, open, reference, turned_clip, uneven_clip};
use maskline_video::{ErrorKind, Frame, FrameOptions, Frames, Ratio, Result, Source};

fn indices(frames: &[Frame]) -> Vec<usize> {
    frames.iter().map(|frame| frame.index).collect()
}

fn tenths(frames: &[Frame]) -> Vec<i64> {
    frames.iter().map(|frame| (frame.time.seconds() * 10.0).round() as i64).collect()
}

#[test]
fn frames_are_those_of_ffmpeg_at_their_own_times() {
    let Some(folder) = folder() else { return };
    let path = uneven_clip(folder.path(), "uneven.mp4");
    let frames = all(&path);
    assert_eq!(tenths(&frames), [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]);
    assert_eq!(indices(&frames), (0..13).collect::<Vec<_>>());
    for number in [0, 5, 12] {
        assert!(frames[number].image.pixels() == reference(folder.path(), &path, number), "frame {number}");
    }
    // Exact, not nearly: 0.3 seconds are 3072 ticks of 10240 in a second.
    assert_eq!(frames[2].time.ticks * 10, i64::from(frames[2].time.tick.below()) * 3);
    assert_eq!(open(&path).unwrap().clip().length, Some(13));
}

#[test]
fn clips_are_turned_once_and_odd_sizes_stay() {
    let Some(folder) = folder() else { return };
    let turned = all(&turned_clip(folder.path(), "turned.mp4"));
    let upright = all(&clip(folder.path(), "upright.mp4", 1));
    assert_eq!((turned[0].image.size(), turned.len()), ((240, 320), 10));
    // A quarter to the right: what was at the left end of the bottom row is at the left end of the top row.
    let (from, to) = (&upright[3].image.row(239)[..3], &turned[3].image.row(0)[..3]);
    assert_eq!(from, to);
    let odd = make(folder.path(), "odd.mp4", "-f lavfi -i testsrc=size=321x241:rate=10:duration=1 -pix_fmt yuv444p -c:v libx264");
    let odd = all(&odd);
    assert_eq!((odd[0].image.size(), odd.len()), ((321, 241), 10));
}

#[test]
fn frames_are_read_again_and_backward() {
    let Some(folder) = folder() else { return };
    for path in [uneven_clip(folder.path(), "uneven.mp4"), clip(folder.path(), "even.mkv", 4)] {
        let options = FrameOptions { ahead_bytes: 2 * 320 * 240 * 3, ..FrameOptions::default() };
        let mut frames = Frames::open(Source::at(&path), &options).unwrap();
        // Before a frame came its time is not known, and it is counted.
        let early: Vec<Frame> = frames.read(7..9).unwrap().collect::<Result<_>>().unwrap();
        let whole: Vec<Frame> = frames.by_ref().collect::<Result<_>>().unwrap();
        assert_eq!(indices(&early), [7, 8]);
        let same = |a: &Frame, b: &Frame| a.index == b.index && a.time == b.time && a.image == b.image;
        for range in [0..1, 3..6, 7..9, 12..13] {
            let again: Vec<Frame> = frames.read(range.clone()).unwrap().collect::<Result<_>>().unwrap();
            assert!(again.len() == range.len() && again.iter().zip(&whole[range.clone()]).all(|(a, b)| same(a, b)), "{range:?}");
        }
        assert!(early.iter().zip(&whole[7..9]).all(|(a, b)| same(a, b)));
        let backward: Vec<Frame> = frames.backward(1..whole.len()).unwrap().collect::<Result<_>>().unwrap();
        assert!(backward.len() == whole.len() - 1 && backward.iter().zip(whole.iter().rev()).all(|(a, b)| same(a, b)));
        let behind = frames.read(1000..1001).unwrap_err();
        assert_eq!(behind.kind(), ErrorKind::InvalidArgument, "{behind}");
    }
}

#[test]
fn a_part_of_a_clip_keeps_its_numbers() {
    let Some(folder) = folder() else { return };
    let path = uneven_clip(folder.path(), "uneven.mp4");
    let options = FrameOptions { first: 4, count: Some(3), ..FrameOptions::default() };
    let mut frames = Frames::open(Source::at(&path), &options).unwrap();
    let part: Vec<Frame> = frames.by_ref().collect::<Result<_>>().unwrap();
    assert_eq!((indices(&part), tenths(&part)), (vec![4, 5, 6], vec![6, 8, 9]));
    let again: Vec<Frame> = frames.read(5..7).unwrap().collect::<Result<_>>().unwrap();
    assert_eq!(tenths(&again), [8, 9]);
}

#[test]
fn the_length_of_short_clips_is_found_without_losing_a_frame() {
    let Some(folder) = folder() else { return };
    let mut frames = open(&uneven_clip(folder.path(), "uneven.mp4")).unwrap();
    assert_eq!(frames.length_up_to(15), Some(13));
    assert_eq!(frames.length_up_to(12), None);
    assert_eq!(indices(&frames.collect::<Result<Vec<_>>>().unwrap()), (0..13).collect::<Vec<_>>());
    let mut frames = open(&clip(folder.path(), "long.mp4", 4)).unwrap();
    assert_eq!(frames.length_up_to(15), None);
    assert_eq!(frames.count(), 40);
}

#[test]
fn damaged_clips_give_what_they_have_and_say_so() {
    let Some(folder) = folder() else { return };
    let whole = clip(folder.path(), "whole.mp4", 6);
    let streamed = make(folder.path(), "streamed.mp4", &format!("-i {} -c copy -movflags +faststart", whole.display()));
    let bytes = std::fs::read(&streamed).unwrap();
    let cut = folder.path().join("cut.mp4");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let mut frames: Vec<_> = open(&cut).unwrap().collect();
    let error = frames.pop().unwrap().unwrap_err();
    assert!(frames.len() > 5 && frames.iter().all(Result::is_ok), "{}", frames.len());
    assert_eq!((error.kind(), error.path()), (ErrorKind::Corrupt, Some(cut.as_path())));
    assert!(error.message().contains("cut off") && error.message().contains("of the 60"), "{error}");

    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let error = open(&cut).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("its index") && error.help().is_some(), "{error}");
}

#[test]
fn what_is_no_clip_is_refused() {
    let Some(folder) = folder() else { return };
    let kind = |path: &Path| open(path).map(drop).unwrap_err().kind();
    let written = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    assert_eq!(kind(&make(folder.path(), "sound.m4a", "-f lavfi -i sine=duration=1")), ErrorKind::NoFrames);
    assert_eq!(kind(&written("empty.mp4", b"")), ErrorKind::NoFrames);
    assert_eq!(kind(&written("text.mp4", b"no clip at all")), ErrorKind::Corrupt);
    assert_eq!(kind(&folder.path().join("missing.mp4")), ErrorKind::Io);
    // A picture that a song has for its cover is no clip.
    let cover = make(folder.path(), "cover.png", "-f lavfi -i testsrc=size=64x64 -frames:v 1");
    let song = format!("-f lavfi -i sine=duration=1 -i {} -map 0 -map 1 -c:v copy -disposition:v attached_pic", cover.display());
    assert_eq!(kind(&make(folder.path(), "song.m4a", &song)), ErrorKind::NoFrames);
    let options = FrameOptions { most_pixels: 1000, ..FrameOptions::default() };
    let large = Frames::open(Source::at(&clip(folder.path(), "large.mp4", 1)), &options).unwrap_err();
    assert_eq!(large.kind(), ErrorKind::TooLarge, "{large}");
}

/// Lists that name other files, and addresses, are no clips.
#[test]
fn nothing_but_the_file_itself_is_opened() {
    let Some(folder) = folder() else { return };
    let secret = clip(folder.path(), "secret.mp4", 1);
    let list = folder.path().join("list.mp4");
    std::fs::write(&list, format!("ffconcat version 1.0\nfile {}\n", secret.file_name().unwrap().display())).unwrap();
    assert_eq!(open(&list).map(drop).unwrap_err().kind(), ErrorKind::Corrupt);
    let playlist = folder.path().join("list.m3u8");
    std::fs::write(&playlist, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n").unwrap();
    assert_eq!(open(&playlist).map(drop).unwrap_err().kind(), ErrorKind::Corrupt);
    for address in ["http://127.0.0.1:1/a.mp4", "concat:a|b", "-version"] {
        assert_eq!(open(Path::new(address)).map(drop).unwrap_err().kind(), ErrorKind::Io, "{address}");
    }
    let dashed = clip(folder.path(), "-dashed.mp4", 1);
    assert_eq!(all(&dashed).len(), 10);
}

#[test]
fn folders_are_read_as_people_count() {
    let folder = tempfile::tempdir().unwrap();
    let picture = |name: &str, size: (usize, usize), value: u8| {
        let image = maskline_vision::RgbImage::new(size.0, size.1, vec![value; size.0 * size.1 * 3]).unwrap();
        maskline_vision::write::save_picture(&folder.path().join(name), &image, maskline_vision::write::PictureFormat::Png).unwrap();
    };
    assert_eq!(open(folder.path()).map(drop).unwrap_err().kind(), ErrorKind::NoFrames);
    for number in [10, 9, 1, 2] {
        picture(&format!("{number}.png"), (5, 3), number);
    }
    std::fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();
    let mut frames = Frames::open(Source::at(folder.path()), &FrameOptions { rate: Ratio::whole(24), ..FrameOptions::default() }).unwrap();
    assert_eq!((frames.clip().length, frames.clip().size), (Some(4), (5, 3)));
    let all: Vec<Frame> = frames.by_ref().collect::<Result<_>>().unwrap();
    let values = |frames: &[Frame]| frames.iter().map(|frame| frame.image.pixels()[0]).collect::<Vec<_>>();
    assert_eq!(values(&all), [1, 2, 9, 10]);
    assert_eq!(all[3].time.seconds(), 0.125);
    assert_eq!(values(&frames.backward(0..3).unwrap().collect::<Result<Vec<_>>>().unwrap()), [9, 2, 1]);
    picture("3.png", (5, 4), 0);
    let (whole, faults): (Vec<_>, Vec<_>) = open(folder.path()).unwrap().partition(Result::is_ok);
    let error = faults.into_iter().next().unwrap().unwrap_err();
    assert_eq!((whole.len(), error.kind()), (2, ErrorKind::Corrupt));
    assert!(error.path().unwrap().ends_with("3.png"), "{error}");
}

#[test]
fn raw_frames_are_whole_or_told() {
    let raw =
        |bytes: usize, size| Frames::open(Source::Raw { size, reader: Box::new(Cursor::new(vec![7; bytes])) }, &FrameOptions::default());
    assert_eq!(raw(24, (2, 2)).unwrap().filter(Result::is_ok).count(), 2);
    let frames: Vec<_> = raw(30, (2, 2)).unwrap().collect();
    assert_eq!(frames.len(), 3);
    let error = frames[2].as_ref().unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.found() == Some("6"), "{error}");
    let none = raw(0, (2, 2)).unwrap().next().unwrap().unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NoFrames);
    assert_eq!(raw(9, (0, 2)).map(drop).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(raw(9, (1 << 20, 1 << 20)).map(drop).unwrap_err().kind(), ErrorKind::TooLarge);
    let backward = raw(24, (2, 2)).unwrap().backward(0..2).unwrap_err();
    assert_eq!(backward.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn clips_come_through_pipes_too() {
    let Some(folder) = folder() else { return };
    let path = clip(folder.path(), "clip.mkv", 2);
    let reader = Box::new(std::fs::File::open(&path).unwrap());
    let piped: Vec<Frame> = Frames::open(Source::Reader(reader), &FrameOptions::default()).unwrap().collect::<Result<_>>().unwrap();
    let filed = all(&path);
    assert!(piped.len() == 20 && piped.iter().zip(&filed).all(|(a, b)| a.image == b.image && a.time == b.time));
    let empty = Frames::open(Source::Reader(Box::new(std::io::empty())), &FrameOptions::default()).map(drop).unwrap_err();
    assert!(matches!(empty.kind(), ErrorKind::Corrupt | ErrorKind::NoFrames), "{empty}");
}

/// A reader that never ends and never fails, as a camera.
struct Endless;

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(9);
        Ok(buffer.len())
    }
}

/// A reader that gives a clip and then nothing, for ever.
struct Stalled(Cursor<Vec<u8>>);

impl std::io::Read for Stalled {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => loop {
                std::thread::park();
            },
            count => Ok(count),
        }
    }
}

#[test]
fn a_stream_that_stands_still_can_be_ended() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(clip(folder.path(), "clip.mkv", 2)).unwrap();
    let mut frames = Frames::open(Source::Reader(Box::new(Stalled(Cursor::new(bytes)))), &FrameOptions::default()).unwrap();
    let stopper = frames.stopper();
    let counting = std::thread::spawn(move || frames.by_ref().filter(Result::is_ok).count());
    std::thread::sleep(Duration::from_millis(500));
    assert!(!counting.is_finished(), "it waits for more");
    stopper.stop();
    assert!(counting.join().unwrap() > 0);
}

#[test]
fn whoever_stops_reading_ends_all_of_it() {
    let Some(folder) = folder() else { return };
    let children = || {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        lists.map(|list| list.split_whitespace().count()).sum::<usize>()
    };
    let path = make(folder.path(), "long.mkv", "-f lavfi -i testsrc=size=640x480:rate=30:duration=60 -c:v libx264 -preset ultrafast");
    let begun = Instant::now();
    for _ in 0..3 {
        let mut frames = open(&path).unwrap();
        assert!(frames.next().unwrap().is_ok());
    }
    let mut endless = Frames::open(Source::Raw { size: (640, 480), reader: Box::new(Endless) }, &FrameOptions::default()).unwrap();
    assert!(endless.next().unwrap().is_ok());
    drop(endless);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // Other tests of this process have children too, which end.
    let until = Instant::now() + Duration::from_secs(60);
    while children() > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(children(), 0, "no child is left behind");
}
