//! Many callers of one model, with threads of their own and without: `cargo run --release --example many_threads -- nano photo.jpg`.
//!
//! Clicks that come at the same time go through the decoder together.

use std::error::Error;
use std::sync::mpsc::channel;
use std::time::Duration;

use maskline::{Ask, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Prompt, Request, SegmentOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(picture)) = (arguments.next(), arguments.next()) else {
        return Err("expected a model and a picture".into());
    };
    let engine = Engine::new(EngineOptions::default())?;
    let model = engine.load(&model, &LoadOptions::default())?;
    let embedding = model.embed(&Image::open(picture)?)?;
    let (width, height) = embedding.size();
    let places: Vec<Prompt> = (1..=8).map(|i| Prompt::click((width * i / 9) as f32, (height / 2) as f32)).collect();

    // Threads that wait for their answers.
    std::thread::scope(|scope| {
        for (caller, prompt) in places.iter().enumerate() {
            let embedding = embedding.clone();
            scope.spawn(move || match embedding.find(std::slice::from_ref(prompt), &SegmentOptions::default()) {
                Ok(found) => println!("caller {caller}: {} objects, {}", found.objects().count(), found.timings.line()),
                Err(error) => eprintln!("caller {caller}: {error}"),
            });
        }
    });

    // Tickets: nobody waits. Dropping one calls it off; one that is late is not begun.
    let (sender, answers) = channel();
    let mut tickets = Vec::new();
    for (caller, prompt) in places.into_iter().enumerate() {
        let request = Request::new(embedding.clone(), [Ask::Object(prompt)]).within(Duration::from_secs(10));
        match model.ask(request) {
            Ok(ticket) => {
                let sender = sender.clone();
                // The channel's other end lives as long as there are answers to come.
                ticket.on_ready(move |answers| drop(sender.send((caller, answers))));
                tickets.push(ticket);
            }
            Err(error) if error.kind() == ErrorKind::Busy => eprintln!("caller {caller}: too many wait, ask again later"),
            Err(error) => return Err(error.into()),
        }
    }
    drop(sender);
    for (caller, answers) in answers {
        let answers = answers?;
        for answer in &answers.answers {
            match answer {
                Ok(answer) => {
                    println!("ticket {caller}: {} objects, {} prompts ran together", answer.objects.len(), answers.timings.rows_together())
                }
                Err(error) => eprintln!("ticket {caller}: {error}"),
            }
        }
    }
    Ok(())
}
