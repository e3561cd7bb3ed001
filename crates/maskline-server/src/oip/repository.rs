//! Which models there are, and how they come and go by request.

use std::sync::Arc;

use maskline::{Error, ErrorKind};
use serde::Serialize;

use super::describe::VERSION;
use crate::app::App;
use crate::fault::{Fault, Reason, Result};
use crate::models::{Named, Slot, State, part_names};

/// An entry of the index.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Of models that were named to the server: others could be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// The models of the server with their networks, and those that could be loaded; or only those that answer.
pub(super) fn index(app: &App, is_ready: bool) -> Vec<Entry> {
    let mut entries: Vec<Entry> = app.models.all().iter().flat_map(of_slot).collect();
    if is_ready {
        entries.retain(|entry| entry.state == Some(READY));
    } else {
        entries.extend(app.models.others().into_iter().map(|name| Entry { name, version: None, state: None, reason: None }));
    }
    entries
}

const READY: &str = "READY";

fn of_slot(slot: &Arc<Slot>) -> Vec<Entry> {
    let status = slot.status();
    let state = match status.state {
        State::Ready | State::Degraded => READY,
        State::Downloading | State::Building | State::Loading | State::Warming => "LOADING",
        State::Draining => "UNLOADING",
        State::Unloaded | State::Failed => "UNAVAILABLE",
    };
    let entry = |name: String| Entry { name, version: Some(VERSION), state: Some(state), reason: status.reason.clone() };
    let parts = slot.served().map(|served| part_names(&served)).unwrap_or_default();
    let parts = parts.into_iter().map(|part| entry(format!("{}.{part}", slot.name())));
    std::iter::once(entry(slot.name().to_owned())).chain(parts).collect()
}

/// Loads a model, if need be one that was not named to the server before.
///
/// # Errors
/// `Forbidden` where requests may not do that, `NotFound`, and as loading it.
pub(super) async fn load(app: &Arc<App>, name: &str) -> Result<()> {
    check(app, name)?;
    app.models.load_named(name).await
}

/// Unloads a model once all that it accepted is answered.
///
/// # Errors
/// `Forbidden` where requests may not do that, `NotFound`.
pub(super) async fn unload(app: &Arc<App>, name: &str) -> Result<()> {
    check(app, name)?;
    let slot = app.models.get(name)?;
    app.models.unload(&slot, false).await;
    Ok(())
}

fn check(app: &App, name: &str) -> Result<()> {
    if !app.options.control {
        let error = Error::new(ErrorKind::InvalidOption, "models are not loaded and unloaded by requests here");
        return Err(Fault::new(Reason::Forbidden, error));
    }
    match app.models.named(name) {
        Ok(Named::Part { slot, .. }) => {
            Err(Fault::bad("model", "a whole one", "a network of one").with_help(format!("name the model, `{}`", slot.name())))
        }
        _ => Ok(()),
    }
}
