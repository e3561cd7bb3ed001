//! Models that were pulled, as they lie on disk: a folder of the model's name with a record, which whoever pulled them wrote.
//! Nothing is asked of the network here.

use std::io::ErrorKind as IoKind;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::{Concern, Error, ErrorKind, Result};

/// Folder of the models, in maskline's own.
const MODELS: &str = "models";
const RECORD: &str = "pulled.json";

/// What the record says of the files; older ones say nothing of them.
#[derive(Deserialize)]
struct Record {
    /// Name of the checkpoint.
    checkpoint: Option<String>,
    /// Names of the files that belong to it.
    #[serde(default)]
    companions: Vec<String>,
}

/// The checkpoint of a pulled model; `None` where nothing was pulled under the name.
///
/// # Errors
/// `Unavailable` where not all of the model is there, or its record does not tell which file is the checkpoint; `Io`.
pub(super) fn checkpoint(home: &Path, name: &str) -> Result<Option<PathBuf>> {
    // Such are folders of the hub's own.
    if name.starts_with('.') {
        return Ok(None);
    }
    let folder = home.join(MODELS).join(name);
    let path = folder.join(RECORD);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if is_nothing(error.kind()) => return Ok(None),
        Err(error) => return Err(Error::io(&path, error).about(Concern::Model)),
    };
    let not_whole = |why: String| {
        let error = Error::new(ErrorKind::Unavailable, format!("the model `{name}` is not whole on this machine: {why}")).at(&folder);
        error.with_help(format!("pull it again: maskline pull {name}")).about(Concern::Model)
    };
    let record: Record = serde_json::from_slice(&text).map_err(|error| not_whole(format!("{RECORD}: {error}")))?;
    let Some(checkpoint) = &record.checkpoint else {
        let files =
            maskline_weights::files_of(&folder).map_err(|_| not_whole(format!("{RECORD} names no checkpoint, and not one is there")))?;
        return Ok(files.into_iter().next());
    };
    for file in record.companions.iter().chain([checkpoint]) {
        if !is_file_name(file) {
            return Err(not_whole(RECORD.into()).expecting("names of files").but_found(format!("`{file}`")));
        }
        if !folder.join(file).is_file() {
            return Err(not_whole(format!("{file} is missing")));
        }
    }
    Ok(Some(folder.join(checkpoint)))
}

/// Whether a name stays in the folder that it is joined to.
fn is_file_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}

/// No such file, or no such file is possible.
fn is_nothing(kind: IoKind) -> bool {
    matches!(kind, IoKind::NotFound | IoKind::NotADirectory | IoKind::InvalidFilename | IoKind::InvalidInput)
}
