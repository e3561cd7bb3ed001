//! `maskline bench track`.

use maskline::{Error, ErrorKind, LoadOptions};
use maskline_bench::video::{self, Plan};

use super::arguments::{Format, Track};
use super::progress::Talk;
use crate::failure::Failure;
use crate::{model, terminal};

/// Measures how fast objects are followed through a video.
pub(crate) fn track(arguments: &Track) -> Result<(), Failure> {
    let Track { options, objects, frames, .. } = arguments;
    let source = super::source(options, &arguments.model)?;
    let threads = model::threads(arguments.threads);
    let runtime = model::Runtime { path: options.runtime.as_deref(), offline: options.offline, threads, ..model::Runtime::default() };
    let loaded = runtime.engine()?.load(source, &LoadOptions::default())?;
    let plan = Plan { objects: objects.clone(), frames: *frames, ..Plan::default() };
    let talk = Talk::new();
    let peer = if arguments.against_transformers {
        let used = if threads == 0 { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) } else { threads };
        let environment = super::environment(arguments.peer_python.clone(), options.offline);
        Some(video::transformers(&environment, &loaded.info().architecture, used)?)
    } else {
        None
    };
    let report = video::run(&loaded, &plan, peer, &|what, done| talk.tell(what, done))?;
    drop(talk);
    let broken = |error: serde_json::Error| Error::new(ErrorKind::Failed, error.to_string());
    terminal::print(&match arguments.format {
        Format::Text => report.text(false),
        Format::Md => report.text(true),
        Format::Json => serde_json::to_string_pretty(&report).map_err(broken)? + "\n",
        Format::Csv | Format::Html => {
            return Err(Failure::new(ErrorKind::InvalidOption, "bench track prints text, md or json"));
        }
    })?;
    Ok(())
}
