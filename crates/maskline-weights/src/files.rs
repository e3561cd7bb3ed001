//! Which files a checkpoint is made of: one, or the shards that an index names.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::attribute::Attribute;
use crate::error::{Error, ErrorKind, Result};

/// What a folder is opened by, best first.
const WHOLE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const INDEXES: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];
const EXTENSIONS: [&str; 4] = ["safetensors", "pt", "pth", "bin"];
/// How files are called that trainers put beside a checkpoint, without what follows a `_` and a number.
const TRAINER_FILES: [&str; 10] = [
    "optimizer",
    "optimizer_state",
    "optimizer_states",
    "scheduler",
    "lr_scheduler",
    "scaler",
    "sampler",
    "training_args",
    "rng_state",
    "random_states",
];
/// An index names a few thousand tensors; this is a hundred times as much.
const MAX_INDEX_BYTES: u64 = 64 << 20;
const MAX_SHARDS: usize = 1024;

/// The files of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// What errors name: the file itself, or the index.
    pub(crate) place: PathBuf,
    pub(crate) index: Option<Index>,
    /// The files with tensors, each once.
    pub(crate) weights: Vec<PathBuf>,
}

/// Tensor name → position of its file in [`Files::weights`].
pub(crate) type Index = BTreeMap<String, usize>;

/// The files that a checkpoint at `path` is read from: the file itself; of a folder `model.safetensors`, `pytorch_model.bin`, the one
/// checkpoint in it, or an index (`*.index.json`) with all its shards. A shard stands for all of them.
///
/// Whoever caches what was made of a checkpoint must look at all of these.
///
/// # Errors
/// [`ErrorKind::Io`] if the folder or index cannot be read, [`ErrorKind::Unsupported`] if a folder holds no checkpoint or several, or
/// shards without their index, [`ErrorKind::Missing`] if shards are missing, which the message names, [`ErrorKind::Corrupt`] for an
/// index that is none or that names files outside its folder.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    let Files { place, index, mut weights } = resolve(path)?;
    if index.is_some() {
        weights.insert(0, place);
    }
    Ok(weights)
}

pub(crate) fn resolve(path: &Path) -> Result<Files> {
    let file = if path.is_dir() { in_folder(path)? } else { path.to_owned() };
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.ends_with(".index.json") {
        return shards(file);
    }
    match index_of_shard(&name).map(|index| file.with_file_name(index)) {
        Some(index) if index.is_file() => shards(index),
        // One shard of one is whole.
        Some(_) if name.contains("-00001-of-00001.") => Ok(Files { place: file.clone(), index: None, weights: vec![file] }),
        Some(index) => {
            let message = format!("{name} is one of several shards, and their index is missing");
            let help = format!("put {} beside them, and name it or the folder", index.file_name().unwrap_or_default().to_string_lossy());
            Err(Error::new(ErrorKind::Unsupported, message).in_file(&file).with_help(help))
        }
        None => Ok(Files { place: file.clone(), index: None, weights: vec![file] }),
    }
}

/// The file of a folder that stands for its checkpoint.
fn in_folder(folder: &Path) -> Result<PathBuf> {
    let known = WHOLE.iter().chain(&INDEXES).map(|name| folder.join(name)).find(|file| file.is_file());
    if let Some(file) = known {
        return Ok(file);
    }
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, &error))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_weights = |name: &String| name.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && EXTENSIONS.contains(&end));
    let mut names: Vec<String> = names.filter(|name| is_weights(name) && !is_trainers(name)).collect();
    names.sort();
    let refuse = |message: String, help: String| Err(Error::new(ErrorKind::Unsupported, message).in_file(folder).with_help(help));
    match names.as_slice() {
        [] => refuse(
            "a folder without a checkpoint".into(),
            format!("expected {} or an index of shards in it; or name the checkpoint file itself", WHOLE.join(", ")),
        ),
        [name] => Ok(folder.join(name)),
        [name, ..] => match index_of_shard(name) {
            Some(index) => refuse(format!("{} shards without their index", names.len()), format!("put {index} beside them")),
            None => refuse(format!("a folder with {} checkpoints", names.len()), format!("name one of them: {}", listed(&names))),
        },
    }
}

/// Whether a trainer keeps its own state in a file of this name.
fn is_trainers(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    TRAINER_FILES.contains(&stem.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_'))
}

/// The index that belongs to a file called `<stem>-00001-of-00003.<extension>`.
fn index_of_shard(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (rest, total) = stem.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(total) && is_number(number)).then(|| format!("{stem}.{extension}.index.json"))
}

/// The shards that an index names, all of which must be there.
fn shards(index: PathBuf) -> Result<Files> {
    let corrupt = |what: String| Error::corrupt(what).in_file(&index).with_help("download the index again");
    let length = std::fs::metadata(&index).map_err(|error| Error::io(&index, &error))?.len();
    if length > MAX_INDEX_BYTES {
        return Err(Error::limit(format!("an index of {length} bytes; at most {MAX_INDEX_BYTES} are read")).in_file(&index));
    }
    let text = std::fs::read(&index).map_err(|error| Error::io(&index, &error))?;
    let text = std::str::from_utf8(&text).map_err(|_| corrupt("the index of the shards is no text".into()))?;
    let map = Attribute::parse(text).and_then(|json| Some(json.get("weight_map")?.as_map()?.to_vec()));
    let map = map.ok_or_else(|| corrupt(String::new()).expecting("an index of shards: a JSON object with a `weight_map`"))?;
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut places = Index::new();
    for (tensor, file) in &map {
        let (Some(tensor), Some(file)) = (tensor.as_str(), file.as_str()) else {
            return Err(corrupt("weight_map".into()).expecting("names of tensors and files"));
        };
        if !is_plain(file) {
            return Err(corrupt(format!("weight_map: `{file:.200}` is no plain file name in the folder of the index")));
        }
        let next = names.len();
        places.insert(tensor.to_owned(), *names.entry(file).or_insert(next));
        if names.len() > MAX_SHARDS {
            return Err(Error::limit(format!("an index of more than {MAX_SHARDS} shards")).in_file(&index));
        }
    }
    let mut weights = vec![PathBuf::new(); names.len()];
    names.iter().for_each(|(name, at)| weights[*at] = index.with_file_name(name));
    if weights.is_empty() {
        return Err(corrupt("weight_map: it names no tensors".into()));
    }
    let missing: Vec<String> = names.iter().filter(|(_, at)| !weights[**at].is_file()).map(|(name, _)| (*name).to_owned()).collect();
    if !missing.is_empty() {
        let message = format!("{} of {} shards are missing: {}", missing.len(), weights.len(), listed(&missing));
        return Err(Error::new(ErrorKind::Missing, message).in_file(&index).with_help("download them into the folder of the index"));
    }
    Ok(Files { place: index, index: Some(places), weights })
}

/// Whether it is the name of a file, and no way out of the folder.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.contains(['\\', '\0'])
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let more = if names.len() > SHOWN { format!(", and {} more", names.len() - SHOWN) } else { String::new() };
    names[..names.len().min(SHOWN)].join(", ") + &more
}
