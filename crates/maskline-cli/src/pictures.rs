//! Which pictures the arguments name.

mod glob;
mod left_out;
mod list;
mod names;
mod words;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use maskline::vision::decode::EXTENSIONS;
use maskline::{Error, ErrorKind};

pub(crate) use list::named as list_of;
pub(crate) use names::{on_a_line, shown};
pub(crate) use words::split_model;

use crate::failure::Failure;
use crate::nearest::{listed, nearest};
use crate::output::Answers;
use crate::terminal;
use left_out::LeftOut;

/// A picture that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Where it is, as it was named.
    pub(crate) path: PathBuf,
    /// Where it stands below the folder, or the fixed part of the pattern, that named it; of a single file its name. Never leads
    /// upwards: what is written for it may lie there below another folder.
    pub(crate) below: PathBuf,
}

/// How folders are searched.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Search<'a> {
    /// Folders within folders too.
    pub(crate) is_recursive: bool,
    /// A folder that is passed over where it lies within another one: the answers of last time are no pictures of this time.
    pub(crate) without: Option<&'a Path>,
}

/// An argument that names no picture, or a folder that cannot be read.
#[derive(Debug)]
pub(crate) struct Missing {
    /// The argument or the folder.
    pub(crate) argument: PathBuf,
    /// What is wrong with it.
    pub(crate) error: Error,
}

/// What the arguments name.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// At least one picture, each once, in the order of the arguments; of a folder by name.
    pub(crate) pictures: Vec<Picture>,
    /// Arguments that are to be told as errors; the others are done all the same.
    pub(crate) missing: Vec<Missing>,
}

/// Files as they are (also missing ones: each gets its own error), the pictures of folders, patterns, and lists (`@list.txt`).
/// What a folder holds beside its pictures, and files that are named twice, are said.
///
/// # Errors
/// `BadInput` where no argument names a picture.
pub(crate) fn pictures(arguments: &[OsString], search: &Search<'_>) -> Result<Found, Failure> {
    let mut gathering = Gathering::new(search);
    arguments.iter().for_each(|argument| gathering.add(argument, true));
    gathering.add_answers();
    let Gathering { mut found, left_out, .. } = gathering;
    if let Some(remark) = left_out.said() {
        terminal::say(&remark);
    }
    match found.missing.pop() {
        Some(last) if found.pictures.is_empty() => {
            found.missing.iter().for_each(|missing| terminal::complain(&missing.error.to_string()));
            Err(last.error.into())
        }
        last => {
            found.missing.extend(last);
            Ok(found)
        }
    }
}

/// The pictures that arguments name, all of which must be there.
///
/// # Errors
/// `BadInput` for the first that is not.
pub(crate) fn all_there(arguments: &[OsString]) -> Result<Vec<PathBuf>, Failure> {
    let found = pictures(arguments, &Search::default())?;
    if let Some(missing) = found.missing.into_iter().next() {
        return Err(missing.error.into());
    }
    let paths: Vec<PathBuf> = found.pictures.into_iter().map(|picture| picture.path).collect();
    paths.iter().try_for_each(|path| exists(path))?;
    Ok(paths)
}

/// Whether a picture is there: an error names what may have been meant.
///
/// # Errors
/// `BadInput` for a name that nothing has.
pub(crate) fn exists(path: &Path) -> Result<(), Error> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // What else is wrong, opening tells.
        _ => return Ok(()),
    }
    let folder = folder_of(path);
    let names: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let near = nearest(&name, names.iter().map(String::as_str));
    let help = match (near.is_empty(), folder.is_dir()) {
        (false, _) => format!("{} is there", listed(&near)),
        (true, true) => "give the path of a picture, a folder of pictures, or a pattern such as 'photos/*.jpg'".into(),
        (true, false) => format!("there is no folder {} either", folder.display()),
    };
    Err(bad(format!("no such picture: {}", path.display())).with_help(help))
}

/// What two paths of one file have in common: its name in the real folder. A link to a file is a file of its own.
pub(crate) fn identity(path: &Path) -> PathBuf {
    let folder = folder_of(path);
    folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()).join(path.file_name().unwrap_or(path.as_os_str()))
}

/// The folder that a path stands in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What has been found so far.
struct Gathering<'a> {
    search: &'a Search<'a>,
    /// The folder to pass over, as it really is.
    without: Option<PathBuf>,
    /// What lies in that folder of earlier runs: where it is searched itself, or what it is in, that is passed over.
    answers: Option<Answers>,
    answers_named: Vec<PathBuf>,
    found: Found,
    left_out: LeftOut,
    /// Files that were named, each as its name in the real folder.
    named: HashSet<PathBuf>,
    /// Real folders, by the folders that were named.
    real: HashMap<PathBuf, PathBuf>,
    /// How often a file was named: what an argument adds to it, it names.
    count: usize,
}

impl<'a> Gathering<'a> {
    fn new(search: &'a Search<'a>) -> Self {
        Self {
            search,
            without: search.without.and_then(|folder| folder.canonicalize().ok()),
            answers: search.without.and_then(Answers::of),
            answers_named: Vec::new(),
            found: Found::default(),
            left_out: LeftOut::default(),
            named: HashSet::new(),
            real: HashMap::new(),
            count: 0,
        }
    }

    /// All that an argument, or a line of a list, names; lists do not name lists.
    fn add(&mut self, argument: &OsStr, may_be_list: bool) {
        let path = Path::new(argument);
        if path.is_dir() {
            self.add_folder(path);
        } else if path.symlink_metadata().is_ok() {
            self.add_file(path);
        } else if let Some(list) = list::named(argument).filter(|_| may_be_list) {
            self.add_list(&list);
        } else if has_wildcard(argument) {
            self.add_glob(argument);
        } else {
            self.add_file(path);
        }
    }

    fn add_file(&mut self, path: &Path) {
        if self.is_answer(path) {
            self.answers_named.push(path.to_path_buf());
            return;
        }
        self.push_named(path);
    }

    fn push_named(&mut self, path: &Path) {
        let below = path.file_name().map_or_else(|| path.to_path_buf(), PathBuf::from);
        self.push(path.to_path_buf(), below);
    }

    /// Answers that were named: beside other pictures the shell did that (`*.jpg`), and alone they are meant.
    fn add_answers(&mut self) {
        let named = std::mem::take(&mut self.answers_named);
        if self.found.pictures.is_empty() {
            named.iter().for_each(|path| self.push_named(path));
        } else {
            self.left_out.answers += named.len();
        }
    }

    fn is_answer(&self, path: &Path) -> bool {
        self.answers.as_ref().is_some_and(|answers| answers.has(&identity(path)))
    }

    fn push(&mut self, path: PathBuf, below: PathBuf) {
        self.count += 1;
        let folder = folder_of(&path).to_path_buf();
        let real = self.real.entry(folder).or_insert_with_key(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        // The name stays: two links to one file are two names.
        if self.named.insert(real.join(path.file_name().unwrap_or(path.as_os_str()))) {
            self.found.pictures.push(Picture { path, below });
        } else {
            self.left_out.twice += 1;
        }
    }

    /// Adds a picture that was not named by itself, unless an earlier run wrote it.
    fn push_found(&mut self, path: PathBuf, below: PathBuf) {
        if self.is_answer(&path) {
            self.left_out.answers += 1;
        } else {
            self.push(path, below);
        }
    }

    fn fail(&mut self, argument: &Path, error: Error) {
        self.found.missing.push(Missing { argument: argument.to_path_buf(), error });
    }

    fn add_folder(&mut self, folder: &Path) {
        let (count, folders, problems) = (self.count, self.left_out.folders, self.found.missing.len());
        let mut visited = HashSet::new();
        self.walk(&Place { folder, below: Path::new("") }, &mut visited);
        if self.count > count || self.found.missing.len() > problems {
            return;
        }
        let error = bad(format!("the folder {} holds no pictures ({})", folder.display(), EXTENSIONS.join(", ")));
        let inner = self.left_out.folders - folders;
        let help = || format!("-r looks into the {} within it", left_out::folders(inner));
        self.fail(folder, if inner > 0 { error.with_help(help()) } else { error });
    }

    /// The pictures of a folder by name, and of those in it where that is wished. `visited` are the real folders that were seen: links
    /// may lead round in circles.
    fn walk(&mut self, place: &Place<'_>, visited: &mut HashSet<PathBuf>) {
        if let Ok(real) = place.folder.canonicalize() {
            visited.insert(real);
        }
        let names = match names_in(place.folder) {
            Ok(names) => names,
            Err(error) => return self.fail(place.folder, unreadable(place.folder, &error)),
        };
        for name in names {
            let (path, below) = (place.folder.join(&name), place.below.join(&name));
            match path.metadata() {
                Ok(facts) if facts.is_dir() => {
                    if self.enters(&path, visited) {
                        self.walk(&Place { folder: &path, below: &below }, visited);
                    }
                }
                // A pipe, or a device: there is no end to reading some of them.
                Ok(facts) if !facts.is_file() => self.left_out.special += 1,
                // Also a link that leads nowhere, which gets its own error.
                _ if EXTENSIONS.contains(&ending(&path).as_str()) => self.push_found(path, below),
                _ if is_hidden(&name) => {}
                _ => self.left_out.ending(&ending(&path)),
            }
        }
    }

    /// Whether a folder within a folder is looked into; else it is counted.
    fn enters(&mut self, folder: &Path, visited: &HashSet<PathBuf>) -> bool {
        if !self.search.is_recursive {
            self.left_out.folders += usize::from(!is_hidden(folder.file_name().unwrap_or_default()));
            return false;
        }
        let real = folder.canonicalize().ok();
        if real.is_some() && real == self.without {
            self.left_out.output = Some(folder.to_path_buf());
        } else if folder.file_name().is_some_and(is_hidden) {
            self.left_out.hidden += 1;
        } else if real.is_some_and(|real| visited.contains(&real)) {
            self.left_out.links += 1;
        } else {
            return true;
        }
        false
    }

    fn add_glob(&mut self, pattern: &OsStr) {
        let matches = match glob::matches(pattern) {
            Ok(matches) => matches,
            Err(error) => return self.fail(Path::new(pattern), error),
        };
        let (count, folders) = (self.count, matches.folders.len());
        for path in matches.files {
            let below = path.strip_prefix(&matches.base).unwrap_or(&path);
            let below = below.components().filter(|part| matches!(part, Component::Normal(_))).collect();
            self.push_found(path, below);
        }
        if self.search.is_recursive {
            matches.folders.iter().for_each(|folder| self.add_folder(folder));
        } else {
            self.left_out.folders += folders;
        }
        if self.count == count && (folders == 0 || !self.search.is_recursive) {
            let error = bad(format!("nothing matches `{}`", pattern.to_string_lossy()));
            let help = || format!("only {}; -r looks into them", left_out::folders(folders));
            self.fail(Path::new(pattern), if folders > 0 { error.with_help(help()) } else { error });
        }
    }

    fn add_list(&mut self, list: &Path) {
        match list::read(list) {
            Ok(lines) => lines.iter().for_each(|line| self.add(line, false)),
            Err(error) => self.fail(list, error),
        }
    }
}

/// A folder that is searched.
struct Place<'a> {
    folder: &'a Path,
    /// Where it stands below the folder that was named.
    below: &'a Path,
}

/// The names in a folder, sorted.
fn names_in(folder: &Path) -> std::io::Result<Vec<OsString>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<OsString>>>()?;
    names.sort();
    Ok(names)
}

/// The part of a name behind its last dot, in small letters.
fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn has_wildcard(word: &OsStr) -> bool {
    word.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadInput, message)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    bad(format!("cannot be read: {error}")).at(path)
}
