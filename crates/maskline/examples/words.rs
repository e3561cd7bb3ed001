//! What words mean in a picture: `cargo run --release --example words -- owlv2-base photo.jpg "a red car" person`.

use std::error::Error;

use maskline::{Concept, Engine, EngineOptions, Image, LoadOptions, PredictOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(picture)) = (arguments.next(), arguments.next()) else {
        return Err("expected a model, a picture, and phrases".into());
    };
    let engine = Engine::new(EngineOptions::default())?;
    let model = engine.load(&model, &LoadOptions::default())?;
    let phrases: Vec<Concept> = arguments.map(Concept::text).collect();
    let found = model.find_concepts(&Image::open(picture)?, &phrases, &PredictOptions::default())?;
    for object in &found.objects {
        println!("{} {:.2} at {:?}", object.label.as_deref().unwrap_or("?"), object.score, object.bounds);
    }
    println!("{}", found.timings.line());
    Ok(())
}
