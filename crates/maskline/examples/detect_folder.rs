//! Finds objects in all pictures of a folder: `cargo run --release --example detect_folder -- yolov8n.safetensors photos/`.

use std::error::Error;
use std::path::PathBuf;

use maskline::{Concern, Engine, EngineOptions, Image, LoadOptions, PredictOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(model), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("expected a model and a folder of pictures".into());
    };
    let engine = Engine::new(EngineOptions::default())?;
    let model = engine.load(&model, &LoadOptions::default())?;
    let mut pictures: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    pictures.sort();
    // Neighbours go through the network together; more than these need not be in memory at once.
    for together in pictures.chunks(8) {
        let opened: Vec<_> = together.iter().map(|path| (path, Image::open(path))).collect();
        let images: Vec<&Image> = opened.iter().filter_map(|(_, image)| image.as_ref().ok()).collect();
        let mut answers = model.predict_each(&images, &PredictOptions::default())?.into_iter();
        for (path, image) in &opened {
            // What is wrong with one picture is said, and costs no other its answer.
            match image.as_ref().map_err(Clone::clone).and_then(|_| answers.next().unwrap_or_else(|| unreachable!("an answer each"))) {
                Ok(found) => println!("{}: {} objects, {}", path.display(), found.objects.len(), found.timings.line()),
                Err(error) if error.concerns() == Concern::Picture => eprintln!("{}: {error}", path.display()),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
