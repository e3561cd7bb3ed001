//! Clicks on a held embedding: the picture is encoded once, every click is answered by the decoder alone, and the mask of one click is
//! the start of the next: `cargo run --release --example clicks -- nano photo.jpg 320,240 400,300`.

use std::error::Error;

use maskline::{Engine, EngineOptions, Image, LoadOptions, Prompt, SegmentOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(picture)) = (arguments.next(), arguments.next()) else {
        return Err("expected a model, a picture, and clicks as X,Y".into());
    };
    let engine = Engine::new(EngineOptions::default())?;
    let model = engine.load(&model, &LoadOptions::default())?;
    let embedding = model.embed(&Image::open(picture)?)?;
    println!("encoded: {}", embedding.timings().line());
    let mut prompt = Prompt::default();
    for click in arguments {
        let (x, y) = click.split_once(',').ok_or("expected a click as X,Y")?;
        prompt = prompt.with_click(x.parse()?, y.parse()?, true);
        let mut segments = embedding.segment(std::slice::from_ref(&prompt), &SegmentOptions::default())?;
        for object in segments.objects()? {
            let pixels = object.mask.as_ref().map_or(0, |mask| mask.area());
            println!("{click}: {pixels} pixels at {:?}, score {:.2}, {}", object.bounds, object.score, segments.timings.line());
        }
        // Or why there is no mask: a click beside the picture is an error of its own prompt.
        let best = segments.answers.remove(0)?;
        if let Some(best) = best.first() {
            prompt = prompt.with_mask(best.to_prompt());
        }
    }
    Ok(())
}
