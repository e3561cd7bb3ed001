//! `maskline bench --url`: servers under load.

use clap::ArgMatches;
use maskline::{Error, ErrorKind};
use maskline_bench::measure::{Given, Load, Pictures};
use maskline_bench::remote::{Asked, Key, Plan, Protocol};
use maskline_bench::report::{PromptKind, Prompts};

use super::arguments::{self, Bench};
use super::{embeddings, given, loads, texts};
use crate::applies::is_given;
use crate::failure::Failure;
use crate::pictures::all_there;

/// All of them.
const OTHERS: [Unfit; 4] = [
    Unfit {
        options: &["synthetic", "seed", "keypoints", "head", "names", "runtime", "offline", "provider", "precision", "threads", "size"],
        why: "the server decides that",
    },
    Unfit {
        options: &["device", "gpu_memory_limit", "tf32", "cuda_graph", "tensorrt_level", "tensorrt_workspace"],
        why: "the server decides that",
    },
    Unfit { options: &["sweep", "limit", "batch", "text_cache"], why: "a server's models are measured as they are" },
    Unfit { options: &["cold", "cache", "against", "peer_python", "no_ceiling"], why: "a server is warm, and its machine is not ours" },
];

/// Options that mean nothing beside `--url`.
struct Unfit {
    options: &'static [&'static str],
    why: &'static str,
}

fn refuse_others(matches: &ArgMatches) -> Result<(), Failure> {
    let all = OTHERS.iter().flat_map(|Unfit { options, why }| options.iter().map(move |option| (option, why)));
    let Some((option, why)) = all.into_iter().find(|(option, _)| is_given(matches, option)) else { return Ok(()) };
    let error = Error::new(ErrorKind::InvalidOption, format!("--{} does not apply beside --url: {why}", option.replace('_', "-")));
    Err(error.with_help("leave it out").into())
}

/// What the arguments ask for.
pub(super) fn plan(arguments: &Bench, matches: &ArgMatches) -> Result<Plan, Failure> {
    refuse_others(matches)?;
    let Bench { models, setting, calls, remote, .. } = arguments;
    let given = given(arguments);
    let mut loads = loads(calls);
    if loads.is_empty() {
        loads.push(Load::Closed { callers: 1 });
    }
    let has = |some: &[Given]| given.iter().any(|given| some.contains(given));
    Ok(Plan {
        servers: remote.url.iter().map(|url| url.parse()).collect::<maskline::Result<_>>()?,
        key: remote.api_key.as_deref().map(Key::new),
        models: models.clone(),
        protocol: remote.protocol.map(|protocol| match protocol {
            arguments::Protocol::Oip => Protocol::Oip,
            arguments::Protocol::Rest => Protocol::Rest,
        }),
        shapes: remote.input.clone(),
        pictures: if setting.images.is_empty() { Pictures::Generated } else { Pictures::Files(all_there(&setting.images)?) },
        asked: Asked {
            prompts: Prompts { kind: setting.kind.unwrap_or(PromptKind::Click), count: setting.prompts.unwrap_or(1) },
            texts: texts(setting),
            phrases: setting.text.clone(),
            is_by_prompts: has(&[Given::Prompts, Given::Kind]) && !has(&[Given::Text, Given::Phrases]),
        },
        given,
        embeddings: embeddings(calls),
        seconds: calls.time,
        loads,
        seed: calls.run_seed,
        arguments: std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
    })
}
