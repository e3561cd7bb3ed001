//! `maskline pull`, `show`, `rm`, and what `list` says of models with names.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use comfy_table::presets;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskline::{Description, ErrorKind, ModelSource, families};
use maskline_hub::{Entry, Hub, HubOptions, Listed, PullEvent, State};
use serde_json::{Value, json};

use crate::args::{Json, Named, Pull};
use crate::failure::Failure;
use crate::pictures::shown;
use crate::terminal;

/// How often a line tells of progress where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The hub that the environment names.
pub(crate) fn hub(offline: bool) -> Result<Hub, Failure> {
    let mut options = HubOptions::from_env();
    options.offline |= offline;
    Ok(Hub::new(options)?)
}

/// `maskline pull`.
pub(crate) fn pull(arguments: &Pull) -> Result<(), Failure> {
    if let Some(family) = carried(&arguments.name) {
        terminal::say(&format!("{} is carried by maskline: there is nothing to pull", family.name));
        return if arguments.json { terminal::print(&format!("{}\n", carried_json(family))) } else { Ok(()) };
    }
    let hub = hub(arguments.offline)?;
    let Listed { entry, state, .. } = hub.show(&arguments.name)?;
    terminal::say(&format!("{}: {} from {}, licence {}", entry.name, size_of(entry, &state), hub.page(entry), entry.licence));
    if let Some(remark) = remark(entry) {
        terminal::say(&format!("  {remark}"));
    }
    let progress = RefCell::new(Progress::default());
    let pulled = hub.pull(&arguments.name, |event| progress.borrow_mut().tell(event));
    progress.into_inner().clear();
    let pulled = pulled?;
    if pulled.files == 0 {
        terminal::say("it was here already");
    }
    if arguments.json {
        let line = json!({"name": entry.name, "path": shown(&pulled.path), "files": pulled.files, "licence": entry.licence});
        return terminal::print(&format!("{line}\n"));
    }
    terminal::say(&format!("run it: maskline run {} PICTURE…", entry.name));
    terminal::print(&format!("{}\n", pulled.path.display()))
}

/// What a user should know of a model before he uses it.
fn remark(entry: &Entry) -> Option<String> {
    if entry.licence.starts_with("AGPL") {
        return Some("the AGPL sets conditions for services with the model too; Ultralytics also sells another licence".into());
    }
    if entry.licence == "SAM License" {
        return Some("the SAM License is not Apache-2.0: it bars some uses, and goes with the weights in whatever form; read it".into());
    }
    None
}

/// Tells how a pull goes: a bar where a person watches, else lines.
#[derive(Default)]
struct Progress {
    bar: Option<ProgressBar>,
    lines: Option<Lines>,
}

/// Progress in lines.
struct Lines {
    /// When the last one was.
    last: Instant,
    /// When the connection began.
    start: Instant,
    /// Bytes that were there then.
    first: u64,
}

impl Progress {
    fn tell(&mut self, event: PullEvent<'_>) {
        match event {
            PullEvent::Waiting => self.say("somebody else is pulling it: waiting"),
            PullEvent::Started { file, done, total } => self.start(file, done, total),
            PullEvent::Progress { file, done, total } => self.advance(file, done, total),
            PullEvent::Retrying { file, reason, wait } => {
                self.say(&format!("  {file}: {reason}; next attempt in {:.1} s", wait.as_secs_f64()));
            }
            PullEvent::Verifying { file } => {
                self.clear();
                terminal::say(&format!("  {file}: checking its checksum"));
            }
            PullEvent::Finished { file, bytes } => {
                self.clear();
                terminal::say(&format!("  {file}: done, {}", megabytes(bytes)));
            }
            _ => {}
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| terminal::say(text)),
            None => terminal::say(text),
        }
    }

    fn start(&mut self, file: &str, done: u64, total: Option<u64>) {
        self.clear();
        if !terminal::is_talking() {
            let whole = total.map_or_else(String::new, |total| format!(" of {}", megabytes(total)));
            let verb = if done > 0 { format!("going on after {}{whole}", megabytes(done)) } else { format!("downloading{whole}") };
            terminal::say(&format!("  {file}: {verb}"));
            self.lines = Some(Lines { last: Instant::now(), start: Instant::now(), first: done });
            return;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("  {msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(file.to_string());
        // What was there already says nothing of the rate.
        bar.set_position(done);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn advance(&mut self, file: &str, done: u64, total: Option<u64>) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
        let Some(lines) = self.lines.as_mut().filter(|lines| lines.last.elapsed() >= LINE_EVERY) else { return };
        lines.last = Instant::now();
        let rate = (done - lines.first) as f64 / lines.start.elapsed().as_secs_f64();
        let rest = total.map_or_else(String::new, |total| {
            let left = total.saturating_sub(done) as f64 / rate.max(1.0);
            format!(" of {}, {left:.0} s left", megabytes(total))
        });
        terminal::say(&format!("  {file}: {}{rest}, {:.1} MB/s", megabytes(done), rate / 1e6));
    }

    fn clear(&mut self) {
        self.lines = None;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// `maskline show`.
pub(crate) fn show(arguments: &Named) -> Result<(), Failure> {
    if let Some(family) = carried(&arguments.name) {
        return show_carried(family, arguments.json);
    }
    let hub = hub(false)?;
    let listed = hub.show(&arguments.name)?;
    let entry = listed.entry;
    if arguments.json {
        let mut line = json_of(&listed);
        line["page"] = json!(hub.page(entry));
        return terminal::print(&format!("{line}\n"));
    }
    let mut rows = vec![
        ("name", entry.name.to_string()),
        ("family", entry.family.to_string()),
        ("architecture", entry.architecture.to_string()),
        ("licence", entry.licence.to_string()),
        ("source", format!("{} ({})", hub.page(entry), entry.revision)),
        ("files", entry.files.join(", ")),
        ("size", size_of(entry, &listed.state)),
        ("here", words_of(&listed.state)),
    ];
    rows.extend(listed.commit.map(|commit| ("commit", commit)));
    match &listed.state {
        State::Pulled { path, .. } => rows.push(("checkpoint", path.display().to_string())),
        _ if entry.gated => rows.push((
            "get it",
            format!("accept the licence at {}, set HF_TOKEN to an access token, then: maskline pull {}", hub.page(entry), entry.name),
        )),
        _ => rows.push(("get it", format!("maskline pull {}", entry.name))),
    }
    rows.extend(remark(entry).map(|remark| ("note", remark)));
    let text: String = rows.iter().map(|(key, value)| format!("{key:13} {value}\n")).collect();
    terminal::print(&text)
}

/// The family of a model that maskline carries.
fn carried(name: &str) -> Option<&'static Description> {
    ModelSource::carried(name)?;
    families().iter().map(|family| family.description()).find(|description| description.name == name)
}

fn show_carried(family: &Description, is_json: bool) -> Result<(), Failure> {
    if is_json {
        return terminal::print(&format!("{}\n", carried_json(family)));
    }
    let rows = [
        ("name", family.name),
        ("family", family.name),
        ("what", family.title),
        ("licence", family.licence),
        ("source", family.source),
        ("here", "yes, carried by maskline"),
    ];
    let text: String = rows.iter().map(|(key, value)| format!("{key:13} {value}\n")).collect();
    terminal::print(&text)
}

fn carried_json(family: &Description) -> Value {
    json!({"name": family.name, "family": family.name, "licence": family.licence, "runnable": true, "pulled": true, "state": "carried"})
}

/// `maskline rm`.
pub(crate) fn remove(arguments: &Named) -> Result<(), Failure> {
    if carried(&arguments.name).is_some() {
        let message = format!("{} is a part of maskline and cannot be removed", arguments.name);
        return Err(Failure::new(ErrorKind::InvalidOption, message));
    }
    let freed = hub(false)?.remove(&arguments.name)?;
    if arguments.json {
        return terminal::print(&format!("{}\n", json!({"name": arguments.name, "bytes": freed})));
    }
    terminal::say(&format!("removed {}, {}", arguments.name, megabytes(freed)));
    Ok(())
}

/// `maskline list`: families with their architectures, and the models that can be pulled.
pub(crate) fn list(arguments: &Json) -> Result<(), Failure> {
    let models = hub(false)?.list();
    if arguments.json {
        return terminal::print(&format!("{}\n", list_json(&models)));
    }
    let mut table = terminal::table(&["family", "architectures", "weights' licence"]);
    for family in families() {
        let d = family.description();
        let lines: Vec<String> = d.architectures.chunks(5).map(|row| row.join(" ")).collect();
        table.add_row([d.name.to_string(), lines.join("\n"), d.licence.to_string()]);
    }
    let mut names = terminal::table(&["model", "family", "size", "licence", "here"]);
    // Lines between dozens of rows would be longer than the screen.
    names.load_style(presets::NOTHING);
    for family in families().iter().filter_map(|family| carried(family.description().name)) {
        names.add_row([family.name, family.name, "2.4 MB", family.licence, "carried"]);
    }
    for listed in &models {
        let entry = listed.entry;
        let licence = if entry.gated { format!("{} (gated)", entry.licence) } else { entry.licence.to_string() };
        names.add_row([entry.name.to_string(), entry.family.to_string(), size_of(entry, &listed.state), licence, words_of(&listed.state)]);
    }
    terminal::print(&format!("{table}\n\n{names}\n"))?;
    terminal::say(
        "run your checkpoint: maskline run CHECKPOINT PICTURE…; a model by name: maskline pull MODEL, maskline run MODEL PICTURE…;",
    );
    terminal::say("an architecture at its real size without weights: maskline run --synthetic NAME PICTURE…");
    Ok(())
}

/// One object per family; `models` are those that can be pulled, all of which are of some family.
fn list_json(models: &[Listed]) -> Value {
    let models_of = |family: &str| -> Vec<Value> {
        let pulled = models.iter().filter(|m| m.entry.family == family).map(json_of);
        carried(family).map(carried_json).into_iter().chain(pulled).collect()
    };
    let list = families().iter().map(|family| {
        let d = family.description();
        json!({
            "family": d.name, "title": d.title, "tasks": d.tasks, "architectures": d.architectures,
            "licence": d.licence, "source": d.source, "runnable": true, "models": models_of(d.name),
        })
    });
    list.collect()
}

fn json_of(listed: &Listed) -> Value {
    let mut line = json!(listed.entry);
    let (state, bytes, path) = match &listed.state {
        State::Absent => ("absent", 0, None),
        State::Partial { bytes } => ("partial", *bytes, None),
        State::Pulled { path, bytes } => ("pulled", *bytes, Some(path)),
    };
    line["runnable"] = json!(true);
    line["pulled"] = json!(path.is_some());
    line["state"] = json!(state);
    line["bytes_on_disk"] = json!(bytes);
    line["checkpoint"] = json!(path.map(|path| shown(path)));
    line["folder"] = json!(shown(&listed.folder));
    line["commit"] = json!(listed.commit);
    line
}

/// The size of a model: exact where it is here, else about.
fn size_of(entry: &Entry, state: &State) -> String {
    match state {
        State::Pulled { bytes, .. } => megabytes(*bytes),
        _ => format!("about {}", megabytes(entry.bytes)),
    }
}

fn words_of(state: &State) -> String {
    match state {
        State::Absent => "no".into(),
        State::Partial { bytes } => format!("{} of it", megabytes(*bytes)),
        State::Pulled { .. } => "yes".into(),
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes as f64 / 1e6 {
        small @ ..10.0 => format!("{small:.1} MB"),
        medium @ ..1000.0 => format!("{medium:.0} MB"),
        large => format!("{:.2} GB", large / 1e3),
    }
}
