//! Objects that come back to be written as files. That the files are those of `maskline run`, the command's own tests show.

use serde_json::{Value, json};

use super::client::{Answer, Call, post};
use super::running::{BOX, Running, picture_of, shared};

/// Of a size that no other test asks about.
fn picture(seed: u8) -> Vec<u8> {
    picture_of((96, 61), seed)
}

/// A picture that is held, and an object in it.
fn seen(seed: u8) -> (Value, Value) {
    let request = json!({"prompts": [{"box": BOX, "label": "egg"}], "model": "nano"}).to_string();
    let form = super::client::Form::default().file("image", &picture(seed)).text("request", &request);
    let answer = post("/v1/segment").form(form).answer(shared()).expect(200).json();
    (json!({"ref": answer["image"]["ref"]}), answer["objects"][0].clone())
}

fn export(request: &Value) -> Answer {
    post("/v1/export").json(request).answer(shared())
}

#[test]
fn files_are_called_as_the_command_calls_them() {
    let (image, object) = seen(70);
    let named = |format: &str, name: Value| {
        let mut request = json!({"image": image, "objects": [object], "format": format});
        if !name.is_null() {
            request["name"] = name;
        }
        let answer = export(&request).expect(200);
        answer.header("content-disposition").unwrap().to_owned()
    };
    let of_photo = |format: &str| named(format, json!("photo.jpg"));
    for (format, file) in [
        ("json", "results.jsonl"),
        ("jpg", "photo.jpg"),
        ("png", "photo.png"),
        ("coco", "coco.json"),
        ("coco-results", "coco-results.json"),
        ("label-studio", "label-studio.json"),
        ("coco-rle", "photo.rle.json"),
        ("png-index", "photo.index.png"),
        ("polygons", "photo.polygons.json"),
        ("labelme", "photo.json"),
        ("masks", "photo.masks.zip"),
        ("cutout", "photo.cutout.zip"),
        ("yolo", "photo.yolo.zip"),
        ("yolo-seg", "photo.yolo-seg.zip"),
    ] {
        assert_eq!(of_photo(format), format!("attachment; filename=\"{file}\""));
    }
    assert_eq!(named("coco-rle", Value::Null), "attachment; filename=\"rle.json\"");
    let strange = named("labelme", json!("Bär.jpg"));
    assert_eq!(strange, "attachment; filename=\"B_r.json\"; filename*=UTF-8''B%C3%A4r.json");
}

#[test]
fn a_picture_that_is_called_like_a_file_of_the_labels_makes_way() {
    let (image, object) = seen(71);
    let answer = export(&json!({"image": image, "objects": [object], "format": "yolo", "name": "Classes.jpg"})).expect(200);
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.body)).unwrap();
    let mut names: Vec<String> = (0..zip.len()).map(|index| zip.by_index(index).unwrap().name().unwrap().into_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Classes.jpg.txt", "classes.txt", "data.yaml"]);
}

#[test]
fn objects_of_no_class_get_those_of_their_names_and_others_the_given_ones() {
    let (image, mut object) = seen(72);
    let categories = |request: Value| {
        let document = export(&request).expect(200).json();
        let names: Vec<String> =
            document["categories"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().into()).collect();
        (names, document["annotations"][0]["category_id"].as_u64().unwrap())
    };
    let coco = |object: &Value, classes: Value| json!({"image": image, "objects": [object], "format": "coco", "classes": classes});
    assert_eq!(categories(coco(&object, json!([]))), (vec!["egg".into()], 1));
    assert_eq!(categories(coco(&object, json!(["mug", "egg"]))), (vec!["mug".into(), "egg".into()], 2));
    object["class_id"] = json!(1);
    assert_eq!(categories(coco(&object, json!([]))), (vec!["class_0".into(), "egg".into()], 2));
    // A box alone is an object too.
    let boxed = json!({"box": [1.25, 2, 30, 40], "score": 0.5});
    assert_eq!(categories(coco(&boxed, json!([]))), (vec!["object".into()], 1));
}

#[test]
fn what_cannot_be_written_is_told_by_its_place() {
    let (image, object) = seen(73);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut request = json!({"image": image, "objects": [{"box": BOX, "score": 1}, object], "format": "coco-rle"});
        change(&mut request);
        export(&request)
    };
    let set = |key: &'static str, value: Value| with(&move |request| request["objects"][1][key] = value.clone());
    for (key, value, told) in [
        ("segmentation", json!({"size": [61, 95], "counts": "0"}), "segmentation"),
        ("segmentation", json!({"size": [61, 96], "counts": "0"}), "segmentation"),
        ("segmentation", json!({"size": [61, 96], "counts": "\u{7f}"}), "segmentation"),
        ("segmentation", json!({"size": [61, 96], "counts": [1, 2]}), "segmentation"),
        ("box", json!([0, 0, 1e39, 1]), "box"),
        ("box", json!([0, 0, 1]), "box"),
        ("rotated_box", json!({"center": [1, 2], "size": [1e20, 3], "angle": 0}), "rotated_box"),
        ("keypoints", json!([[1, 2, 0.5], [1]]), "keypoints"),
        ("score", json!("high"), "score"),
        ("class_id", json!(-1), "class_id"),
        ("class_id", json!(10_000), "class_id"),
    ] {
        let problem = set(key, value.clone()).problem(400);
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains("objects") && message.contains(told), "{value}: {problem}");
    }
    let unknown = set("bxo", json!([])).problem(400);
    assert_eq!(unknown["help"], "is `box` meant?");
    let misspelt = with(&|request| request["formt"] = json!("x")).problem(400);
    assert_eq!(misspelt["help"], "is `format` meant?");
    let nowhere = with(&|request| request["objects"][1] = json!({"score": 1})).problem(400);
    assert_eq!((nowhere["message"].as_str(), nowhere["found"].as_str()), (Some("objects[1]"), Some("none of them")));
    with(&|request| request["format"] = json!("coco92")).problem(406);
    let others = with(&|request| request["format"] = json!("coco91")).problem(400);
    assert!(others["help"].as_str().is_some_and(|help| help.contains("`model`")), "{others}");
    for name in ["../photo.jpg", "a/b", "", "x\r\ny"] {
        with(&|request| request["name"] = json!(name)).problem(400);
    }
    with(&|request| request["model"] = json!("nothing")).problem(404);
    with(&|request| request["image"] = json!({"ref": "ab".repeat(32)})).problem(404);
    with(&|request| request["prompts"] = json!([{"points": [[1, 2, 7]]}])).problem(400);
    with(&|request| request["objects"] = json!(null)).problem(400);
    post("/v1/export").body("application/json", b"{".to_vec()).answer(shared()).problem(400);
    post("/v1/export").body("image/png", picture(73)).answer(shared()).problem(415);
    Call::new("GET", "/v1/export").answer(shared()).problem(405);
}

#[test]
fn objects_are_bounded_by_number_and_by_what_they_take() {
    let (image, _) = seen(74);
    let many: Vec<Value> = (0..10_001).map(|_| json!({"box": BOX})).collect();
    let over = export(&json!({"image": image, "objects": many, "format": "coco"})).problem(413);
    assert_eq!((over["message"].as_str(), over["expected"].as_str()), (Some("objects"), Some("at most 10000")));
    let long = json!({"box": BOX, "label": "x".repeat(2000)});
    export(&json!({"image": image, "objects": [long], "format": "coco"})).problem(413);
    // A chequerboard: each pixel is a run (as long as the one before the last), and its outlines take many times its bytes.
    let (width, height) = (1024, 1023);
    let noise = format!("111{}", "0".repeat(width * height - 3));
    let file = picture_of((1024, 1023), 75);
    let server = Running::with_nano(|options| options.limits.memory = 64 << 20);
    let kept = Call::new("PUT", "/v1/images").body("image/png", file).answer(server.address).expect(201).json();
    let object = json!({"segmentation": {"size": [height, width], "counts": noise}, "score": 1});
    let ask = |format: &str, objects: Vec<&Value>| {
        let request = json!({"image": {"ref": kept["ref"]}, "objects": objects, "format": format});
        post("/v1/export").json(&request).answer(server.address)
    };
    ask("coco", vec![&object]).problem(413);
    ask("label-studio", vec![&object]).problem(413);
    ask("png-index", vec![&object]).expect(200);
    server.stop.end();
    server.end().unwrap();
}
