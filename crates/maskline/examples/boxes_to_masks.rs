//! A detector's boxes to masks: `cargo run --release --example boxes_to_masks -- yolov8n.safetensors nano photo.jpg`.

use std::error::Error;

use maskline::{Engine, EngineOptions, Image, LoadOptions, Pair, PairOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(finder), Some(segmenter), Some(picture)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("expected a detector, a promptable model and a picture".into());
    };
    let engine = Engine::new(EngineOptions::default())?;
    let pair = Pair::new(engine.load(&finder, &LoadOptions::default())?, engine.load(&segmenter, &LoadOptions::default())?)?;
    let found = pair.find(&Image::open(picture)?, &PairOptions::default())?;
    for object in &found.objects {
        let (name, pixels) = (object.label.as_deref().unwrap_or("?"), object.mask.as_ref().map_or(0, |mask| mask.area()));
        println!("{name} {:.2} at {:?}: {pixels} pixels", object.score, object.bounds);
    }
    for (index, error) in &found.errors {
        eprintln!("object {index} has no mask: {error}");
    }
    println!("{}", found.timings.line());
    Ok(())
}
