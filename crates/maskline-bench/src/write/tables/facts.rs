//! What was measured, on what, with what.

use super::super::table::{Column, Kind, Table, Terminal};
use super::NONE;
use crate::format::{NOT_AVAILABLE, bytes, percent, significant};
use crate::report::{Card, Identity, Machine, ModelIdentity, Precision, Provider, Report, Server, Subject};

/// What the report is about, for its title: the models, the first of them by name.
pub(in crate::write) fn title(report: &Report) -> String {
    const MOST: usize = 3;
    let mut models = Vec::<&str>::new();
    for subject in &report.identity.subjects {
        if !models.contains(&subject.model.name.as_str()) {
            models.push(&subject.model.name);
        }
    }
    match models.len() {
        0 => "Benchmark".to_owned(),
        count if count <= MOST => format!("Benchmark of {}", models.join(", ")),
        count => format!("Benchmark of {} and {} other models", models[..MOST - 1].join(", "), count + 1 - MOST),
    }
}

/// Where and when, in one line.
pub(in crate::write) fn place(report: &Report) -> String {
    let Identity { created, machine, .. } = &report.identity;
    let device = machine.device.iter();
    let parts: Vec<&str> = [&machine.cpu].into_iter().chain(device).chain([&machine.os, created]).map(String::as_str).collect();
    parts.join(" · ")
}

/// What a reader must know before any figure.
pub(in crate::write) fn warnings(report: &Report) -> Vec<String> {
    /// Of a processor. Less is what measuring itself leaves behind.
    const BUSY: f64 = 0.5;
    let Identity { machine, subjects, .. } = &report.identity;
    let other = |subject: &&Subject| subject.provider.asked != subject.provider.actual;
    let ran = |Subject { name, provider, .. }: &Subject| {
        format!("{name}: the provider {} was asked for, but {} ran.", provider.asked, provider.actual)
    };
    let mut warnings: Vec<String> = subjects.iter().filter(other).map(ran).collect();
    if let Some(load) = machine.load_before.filter(|load| *load > BUSY) {
        warnings.push(format!("{} processors were busy before the run: something else was running.", significant(load)));
    }
    if let Some(count) = machine.throttles.filter(|count| *count > 0) {
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        warnings.push(format!("The processor slowed down for heat, {times} during the run."));
    }
    let slowed = machine.cards.iter().filter(|card| !card.slowed_by.is_empty());
    warnings.extend(slowed.map(|card| format!("{} was slowed down during the steady calls: {}.", card.name, card.slowed_by.join(", "))));
    warnings
}

/// What all subjects share.
pub(super) fn identity(identity: &Identity) -> Table {
    let column = || Column::new("", Kind::Words, Terminal::Never);
    let rows = lines(identity).into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    Table::new("What was measured", "", vec![column(), column()]).rows(rows)
}

/// Names and values of what all subjects share.
pub(in crate::write) fn lines(identity: &Identity) -> Vec<(&'static str, String)> {
    let Identity { created, tool, machine, run, inputs, .. } = identity;
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut lines = vec![
        ("processor", format!("{}, {} logical", machine.cpu, machine.logical_cpus)),
        ("vector instructions", or_unknown(&machine.isa)),
        ("governor", or_unknown(&machine.governor)),
        ("system", machine.os.clone()),
        ("inputs", inputs.name.clone()),
        ("inputs (SHA-256)", inputs.sha256.clone()),
        ("maskline", format!("{}, commit {}", tool.version, or_unknown(&tool.commit))),
        ("ONNX Runtime", tool.onnx_runtime.clone()),
        ("arguments", run.arguments.join(" ")),
        ("seed", run.seed.to_string()),
        ("measured", format!("{created}, in {} s", significant(run.seconds))),
    ];
    let more = [
        ("memory", machine.memory_bytes.map(bytes)),
        ("memory bandwidth", machine.bandwidth_gbs.map(|bandwidth| format!("{} GB/s", significant(bandwidth)))),
        ("multiply-add peak", machine.multiply_add_gflops.map(|peak| format!("{} GFLOP/s", significant(peak)))),
        ("clock", clock(machine)),
        ("temperature", machine.temperature_celsius.map(|degrees| format!("{degrees:.0} °C at most"))),
        ("slowed down for heat", machine.throttles.map(|count| format!("{count} times"))),
        ("busy before", machine.load_before.map(|load| format!("{} processors", significant(load)))),
        ("device", machine.device.clone()),
        ("driver", machine.driver.clone()),
    ];
    lines.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    lines.extend(machine.cards.iter().map(|card| ("card", described(card))));
    lines
}

/// Of the processor: during the run, and at most.
fn clock(machine: &Machine) -> Option<String> {
    let parts =
        [machine.clock_mhz.map(|clock| format!("{clock:.0} MHz")), machine.clock_max_mhz.map(|most| format!("{most:.0} MHz at most"))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `NVIDIA H200: 345 MHz, 35 °C before and 1755 MHz, 61 °C after the steady calls; at most 1980 MHz, 700 W; slowed down by: power limit`.
fn described(card: &Card) -> String {
    let joined = |clock: Option<f64>, other: Option<String>| {
        let parts: Vec<String> = clock.map(|clock| format!("{clock:.0} MHz")).into_iter().chain(other).collect();
        if parts.is_empty() { "unknown".to_owned() } else { parts.join(", ") }
    };
    let [before, after] = [&card.before, &card.after]
        .map(|state| joined(state.clock_mhz, state.temperature_celsius.map(|degrees| format!("{degrees:.0} °C"))));
    let most = joined(card.clock_max_mhz, card.power_limit_watts.map(|watts| format!("{watts:.0} W")));
    let slowed = if card.slowed_by.is_empty() { String::new() } else { format!("; slowed down by: {}", card.slowed_by.join(", ")) };
    format!("{}: {before} before and {after} after the steady calls; at most {most}{slowed}", card.name)
}

/// One row per subject. Hashes are cut short: JSON and CSV have all digits.
pub(super) fn subjects(subjects: &[Subject]) -> Table {
    let words = |name| Column::new(name, Kind::Words, Terminal::Never);
    let columns = vec![
        words("subject"),
        words("model"),
        words("weights"),
        words("bundle"),
        words("provider"),
        Column::paper("fell back"),
        words("precision"),
        Column::paper("encoder layers"),
        Column::paper("threads"),
        Column::paper("batch"),
        Column::paper("image size"),
        words("prompts"),
    ];
    let cells = |subject: &Subject| {
        let Subject { name, model, batch, .. } = subject;
        let known = [&model.name, &model.family, &model.architecture].into_iter().filter(|word| !word.is_empty());
        let model_text = known.map(String::as_str).collect::<Vec<_>>().join(", ");
        let fell_back = subject.provider.fallback_share.map_or_else(|| NOT_AVAILABLE.to_owned(), percent);
        let mut cells = vec![name.clone(), model_text, weights(model), shortened(&model.bundle), provider(&subject.provider), fell_back];
        let kernels = model.kernels.clone().unwrap_or_else(|| NONE.to_owned());
        cells.extend([precision(subject), kernels, threads(subject), batch.to_string(), size(subject), prompts(subject)]);
        cells
    };
    let note = "Fell back: share of the network's nodes that the CPU ran instead. Hashes are cut short.";
    Table::new("Subjects", note, columns).rows(subjects.iter().map(cells))
}

fn weights(model: &ModelIdentity) -> String {
    match (&model.sha256, model.generated_from_seed) {
        (Some(sha256), _) => format!("SHA-256 {}", shortened(sha256)),
        (None, Some(seed)) => format!("generated from seed {seed}: real speed, meaningless answers"),
        (None, None) => "unknown".to_owned(),
    }
}

/// The first twelve digits: enough to tell hashes apart by eye.
fn shortened(hash: &str) -> String {
    const DIGITS: usize = 12;
    match hash.char_indices().nth(DIGITS) {
        Some((end, _)) => format!("{}…", &hash[..end]),
        None => hash.to_owned(),
    }
}

/// Of the arithmetic.
pub(super) fn precision(subject: &Subject) -> String {
    subject.model.precision.map_or(NONE, Precision::name).to_owned()
}

/// Of the network.
pub(super) fn threads(subject: &Subject) -> String {
    subject.threads.map_or_else(|| NONE.to_owned(), |threads| threads.to_string())
}

/// One row per subject that a server ran, as the server describes itself.
pub(super) fn servers(subjects: &[Subject]) -> Table {
    let columns = ["subject", "server", "at", "protocol", "platform", "state", "requests"].map(|name| Column::words(name, 0));
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| NONE.to_owned());
    let cells = |subject: &Subject| {
        let Server { url, protocol, name, version, platform, state, inputs } = subject.server.as_ref()?;
        let server = format!("{name} {version}").trim_end().to_owned();
        Some(vec![subject.name.clone(), server, url.clone(), protocol.clone(), or_none(platform), or_none(state), inputs.join(", ")])
    };
    Table::new("Servers", "As each describes itself.", columns.into()).rows(subjects.iter().filter_map(cells))
}

fn size(subject: &Subject) -> String {
    subject.image_size.map_or_else(|| NONE.to_owned(), |side| side.to_string())
}

fn prompts(subject: &Subject) -> String {
    match (subject.prompts, subject.texts) {
        (Some(prompts), _) => format!("{} × {}", prompts.count, prompts.kind.name()),
        (None, Some(texts)) => format!("{} × {}", texts.count, texts.kind.name()),
        (None, None) => NONE.to_owned(),
    }
}

/// What ran, and what was asked for where that is something else.
pub(in crate::write) fn provider(provider: &Provider) -> String {
    let Provider { asked, actual, .. } = provider;
    if asked == actual { actual.clone() } else { format!("{actual} (asked for: {asked})") }
}
