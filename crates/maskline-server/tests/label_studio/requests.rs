//! What Label Studio sends.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::running::SIZE;

pub const BRUSH: &str = r#"<View><Image name="img" value="$image"/>
    <BrushLabels name="brush" toName="img"><Label value="Mug"/><Label value="Plate"/></BrushLabels>
    <RectangleLabels name="rect" toName="img" smart="true"><Label value="Mug"/></RectangleLabels>
    <KeyPointLabels name="point" toName="img" smart="true"><Label value="Mug"/></KeyPointLabels></View>"#;

/// A configuration with one control.
pub fn config(tag: &str, labels: &str) -> String {
    format!(r#"<View><Image name="img" value="$image"/><{tag} name="only" toName="img">{labels}</{tag}></View>"#)
}

pub fn data_uri(file: &[u8]) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file))
}

pub fn task(id: u64, image: &str) -> Value {
    json!({"id": id, "project": 1, "data": {"image": image, "other": [1, {"a": 2}]}, "annotations": [], "predictions": []})
}

pub fn predict(tasks: &[Value], config: &str, context: Value) -> Value {
    json!({
        "tasks": tasks, "project": "1.1700000000", "label_config": config,
        "params": {"login": null, "password": null, "context": context},
    })
}

/// A click in pixels, as the page sends it.
pub fn click(x: f64, y: f64, is_positive: bool) -> Value {
    json!({
        "original_width": SIZE.0, "original_height": SIZE.1, "image_rotation": 0, "is_positive": is_positive,
        "value": {"x": x / f64::from(SIZE.0) * 100.0, "y": y / f64::from(SIZE.1) * 100.0, "width": 0.5, "keypointlabels": ["Mug"], "labels": ["Mug"]},
        "id": "aBcDeF", "from_name": "point", "to_name": "img", "type": "keypointlabels", "origin": "manual",
    })
}

/// A box in pixels.
pub fn rectangle([x1, y1, x2, y2]: [f32; 4], label: &str) -> Value {
    let percent = |place: f32, side: u32| f64::from(place) / f64::from(side) * 100.0;
    json!({
        "original_width": SIZE.0, "original_height": SIZE.1, "image_rotation": 0,
        "value": {
            "x": percent(x1, SIZE.0), "y": percent(y1, SIZE.1), "width": percent(x2 - x1, SIZE.0), "height": percent(y2 - y1, SIZE.1),
            "rotation": 0, "rectanglelabels": [label],
        },
        "id": "gHiJkL", "from_name": "rect", "to_name": "img", "type": "rectanglelabels",
    })
}

pub fn drawn(items: &[Value]) -> Value {
    json!({"result": items})
}

pub fn setup(hostname: &str, token: &str) -> Value {
    json!({"project": "1.1700000000", "schema": BRUSH, "hostname": hostname, "access_token": token, "extra_params": null})
}
