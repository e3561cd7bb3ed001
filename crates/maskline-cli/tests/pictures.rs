//! Which pictures a command line names, and what is said of the rest.
#![allow(clippy::unwrap_used)]

mod common;

use std::ffi::OsStr;

use common::{Outcome, Place};

/// Asks nano, which needs nothing to be built.
fn ask(place: &Place, pictures: &[&str]) -> Outcome {
    place.maskline(&[&["run", "--json", "--box", "10,10,60,60"], pictures].concat())
}

/// The pictures of the answers and errors, in their order.
fn images(outcome: &Outcome) -> Vec<String> {
    outcome.json_lines().iter().map(|line| line["image"].as_str().unwrap().to_owned()).collect()
}

/// Copies the photo to these places, making their folders.
fn copies(place: &Place, names: &[&str]) {
    for name in names {
        std::fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        std::fs::copy(place.path("photo.png"), place.path(name)).unwrap();
    }
}

fn done(outcome: &Outcome, expected: &[&str]) {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(images(outcome), expected, "{}", outcome.stderr);
}

#[cfg(unix)]
#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new();
    let name = OsStr::from_bytes(b"shots/caf\xe9.png");
    std::fs::create_dir(place.path("shots")).unwrap();
    std::fs::copy(place.path("photo.png"), place.folder.path().join(name)).unwrap();
    for word in [name, OsStr::new("shots"), OsStr::new("shots/*.png"), OsStr::new("sh*/caf?.png")] {
        let run = ["run", "--json", "--box", "10,10,60,60", "-o", "out", "-f", "masks"];
        let outcome = place.maskline_of(&[&run.map(OsStr::new)[..], &[word]].concat());
        done(&outcome, &[r"shots/caf\xe9.png"]);
        let outcome = place.maskline_of(&[&run.map(OsStr::new)[..1], &[OsStr::new("--box"), OsStr::new("1,1,9,9"), word]].concat());
        assert_eq!(outcome.code, 0, "for people too: {}", outcome.stderr);
    }
    let missing = OsStr::from_bytes(b"none\xff.png");
    let outcome = place.maskline_of(&[OsStr::new("run"), OsStr::new("--json"), OsStr::new("--box=1,1,9,9"), missing]);
    outcome.fails(3, &["no such picture"]);
    assert_eq!(images(&outcome), [r"none\xff.png"]);
    for command in [&["run"][..], &["build"], &["eval", "--data", "x.json"]] {
        let words: Vec<&OsStr> = command.iter().map(OsStr::new).chain([OsStr::from_bytes(b"w\xe9.pt"), OsStr::new("photo.png")]).collect();
        place.maskline_of(&words[..if command[0] == "run" { words.len() } else { words.len() - 1 }]).fails(3, &[]);
    }
}

#[cfg(unix)]
#[test]
fn the_home_of_models_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new();
    let home = place.folder.path().join(OsStr::from_bytes(b"h\xe9"));
    let run = ["run", "--json", "--box", "10,10,60,60", "photo.png"];
    for words in [&run[..], &["cache", "du", "--json"], &["show", "yolov8n", "--json"], &["doctor", "--json"]] {
        let outcome = place.maskline_at(&home, words);
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
        assert_eq!(outcome.json_lines().len(), 1, "{words:?}");
    }
}

#[test]
fn what_a_folder_holds_beside_pictures_is_said_once() {
    let place = Place::new();
    copies(&place, &["in/a.JFIF", "in/b.bmp", "in/c.TIFF", "in/d.gif", "in/e.tif", "in/sub/f.png"]);
    for name in ["in/notes.txt", "in/more.TXT", "in/README", "in/.hidden"] {
        std::fs::write(place.path(name), b"text").unwrap();
    }
    // Content tells the format, not the ending.
    let outcome = ask(&place, &["in"]);
    done(&outcome, &["in/a.JFIF", "in/b.bmp", "in/c.TIFF", "in/d.gif", "in/e.tif"]);
    let said: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("left out:")).collect();
    assert_eq!(said, ["left out: 2 .txt, 1 without an ending, 1 folder (-r looks into them)"]);
    done(&ask(&place, &["photo.png"]), &["photo.png"]);
    assert!(!ask(&place, &["photo.png"]).stderr.contains("left out"), "nothing is left out, nothing is said");
    std::fs::create_dir(place.path("bare")).unwrap();
    std::fs::create_dir(place.path("bare/er")).unwrap();
    ask(&place, &["bare"]).fails(3, &["the folder bare holds no pictures", "jfif", "-r looks into the 1 folder"]);
    ask(&place, &["-r", "bare"]).fails(3, &["holds no pictures"]);
}

#[test]
fn folders_within_folders() {
    let place = Place::new();
    copies(&place, &["in/b/2.png", "in/a.png", "in/b/c/3.png", "in/.git/4.png", "in/z.png"]);
    let run = |arguments: &[&str]| ask(&place, &[&["-r", "-o", "in/answers", "-f", "png", "in"], arguments].concat());
    let all = ["in/a.png", "in/b/2.png", "in/b/c/3.png", "in/z.png"];
    done(&run(&[]), &all);
    // The answers of the first run are no pictures of the second.
    let outcome = run(&[]);
    done(&outcome, &all);
    assert!(outcome.stderr.contains("the output folder in/answers") && outcome.stderr.contains("dot"), "{}", outcome.stderr);
    // Unless they are asked for.
    assert_eq!(ask(&place, &["in/answers"]).code, 0);
}

#[cfg(unix)]
#[test]
fn links_that_lead_round_in_circles_end() {
    use std::os::unix::fs::symlink;

    let place = Place::new();
    copies(&place, &["in/a.png", "in/sub/b.png", "other/c.png"]);
    symlink(place.path("in"), place.path("in/sub/again")).unwrap();
    symlink(place.path("other"), place.path("in/other")).unwrap();
    symlink("nowhere.png", place.path("in/broken.png")).unwrap();
    let outcome = ask(&place, &["-r", "in"]);
    outcome.fails(3, &["in/broken.png", "behind a link"]);
    assert_eq!(images(&outcome), ["in/a.png", "in/broken.png", "in/other/c.png", "in/sub/b.png"]);
}

#[test]
fn lists_name_pictures_line_by_line() {
    let place = Place::new();
    copies(&place, &["lists/beside.png", "@odd.png", "#1.png", "in/x.png"]);
    std::fs::write(place.path("lists/list.txt"), b"\xef\xbb\xbfphoto.png\r\n\r\n# a remark\r\n#1.png\r\nbeside.png\r\nin\r\n./@odd.png")
        .unwrap();
    let expected = ["photo.png", "#1.png", "lists/beside.png", "in/x.png", "./@odd.png"];
    done(&ask(&place, &["@lists/list.txt"]), &expected);
    done(&ask(&place, &["./@odd.png"]), &["./@odd.png"]);
    std::fs::write(place.path("list.txt"), "none.png\nphoto.png\n").unwrap();
    let outcome = ask(&place, &["@list.txt"]);
    outcome.fails(3, &["no such picture: none.png"]);
    assert_eq!(images(&outcome), ["none.png", "photo.png"]);
    for (bytes, words) in [(&b"\xff\xfep\0h\0"[..], "UTF-16"), (b"\n# nothing\n", "the list names no pictures"), (b"", "names no pictures")]
    {
        std::fs::write(place.path("bad.txt"), bytes).unwrap();
        ask(&place, &["@bad.txt"]).fails(3, &["bad.txt", words]);
    }
    ask(&place, &["@none.txt"]).fails(3, &["none.txt", "./@NAME"]);
}

#[test]
fn an_argument_that_names_nothing_leaves_the_others_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    let outcome = ask(&place, &["none*.png", "photo.png", "empty", "@none.txt"]);
    outcome.fails(3, &["nothing matches `none*.png`", "the folder empty holds no pictures", "none.txt"]);
    assert_eq!(images(&outcome), ["none*.png", "empty", "none.txt", "photo.png"]);
    assert_eq!(outcome.json_lines()[0]["error"]["kind"], "bad_input");
    ask(&place, &["none*.png", "empty"]).fails(3, &["nothing matches `none*.png`", "the folder empty"]);
}

#[test]
fn a_picture_that_is_named_twice_is_done_once() {
    let place = Place::new();
    copies(&place, &["in/a.png"]);
    let absolute = place.path("photo.png").display().to_string();
    let outcome = ask(&place, &["photo.png", "./photo.png", "in/../photo.png", &absolute, "*.png", "in", "in/a.png"]);
    done(&outcome, &["photo.png", "in/a.png"]);
    assert!(outcome.stderr.contains("5 pictures named more than once"), "{}", outcome.stderr);
}

#[test]
fn words_in_the_wrong_place() {
    let place = Place::new();
    std::fs::write(place.path("model.safetensors"), b"not read").unwrap();
    place.maskline(&["run", "phto.png", "--box=1,1,9,9"]).fails(3, &["no such picture: phto.png", "`photo.png` is there"]);
    place.maskline(&["run", "no/photo.png", "--box=1,1,9,9"]).fails(3, &["no such picture", "there is no folder no"]);
    place.maskline(&["run", "nosuch"]).fails(3, &["no such picture", "`nosuch`"]);
    let swapped = ["comes first", "maskline run model.safetensors photo.png"];
    place.maskline(&["run", "photo.png", "model.safetensors"]).fails(2, &swapped);
    place.maskline(&["run", "model.safetensors"]).fails(2, &["expected pictures", "maskline run model.safetensors photo.jpg"]);
    place.maskline(&["run", "nano", "model.safetensors", "photo.png"]).fails(2, &["another model", "nano+model.safetensors"]);
}
