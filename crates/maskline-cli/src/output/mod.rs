//! What `run` writes into its folder.
//!
//! No input of the run is ever replaced, and no file that maskline did not write itself ([`journal`]) unless that is wished. All names are
//! chosen before the first picture ([`names`]). What is gathered over the pictures grows on disk, not in memory.

mod answers;
mod encode;
mod folder;
mod gathered;
mod growing;
mod inputs;
mod journal;
mod known;
mod names;
mod place;
mod single;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use maskline::vision::write::{CLASSES_TXT, DATA_YAML, ImageObjects, RESULTS, number_in_name, numbered, yolo_files};
use maskline::{Error, Image};
use serde_json::Value;

pub(crate) use answers::Answers;
pub(crate) use encode::Drawn;
use folder::Folder;
use gathered::{Gathered, Part, Told};
use growing::GrowingFile;
pub(crate) use inputs::Inputs;
use known::Done;
pub(crate) use known::Version;
pub(crate) use known::hash;
use names::Taken;
use place::io;
pub(crate) use place::{About, Place};
pub(crate) use single::{Reports, SingleFile};

use crate::args::{Format, Run};
use crate::failure::Failure;
use crate::pictures::{self, Picture};
use crate::terminal;

/// Folder for results where none is given.
pub(crate) const FOLDER: &str = "maskline-out";
const ABOUT_RESULTS: About<'_> = About { stem: None, format: "json" };
/// Class names and the description of a data set, which belong to YOLO's label files.
const YOLO_FILES: [&str; 2] = [CLASSES_TXT, DATA_YAML];

/// What the files of a run depend on.
pub(crate) struct Plan<'a> {
    pub(crate) arguments: &'a Run,
    pub(crate) pictures: &'a [Picture],
    pub(crate) formats: Vec<Format>,
    /// Files that must never be replaced.
    pub(crate) inputs: Inputs,
    /// Class names by index.
    pub(crate) classes: Vec<String>,
    /// Keypoints of an object, of a model that finds some.
    pub(crate) keypoints: Option<usize>,
    /// A hash of the models and of all options that answers depend on.
    pub(crate) asked: String,
}

/// The files of a run.
pub(crate) struct Outputs<'a> {
    plan: Plan<'a>,
    /// None where nothing is written.
    files: Option<Files>,
}

struct Files {
    folder: Folder,
    /// The numbers of the pictures that an earlier run has answered, which this one goes on with.
    done: Vec<Option<i64>>,
    /// Each picture's number in data sets.
    ids: Vec<i64>,
    /// None until there is something to say: a run that fails before leaves the answers of an earlier one as they are.
    whole: Option<Whole>,
}

/// What grows over all pictures.
struct Whole {
    results: Option<GrowingFile>,
    gathered: Vec<Gathered>,
}

/// The files about all pictures that tell of some which are not of this run, and of how many at most.
#[derive(Default)]
struct Leaving {
    files: Vec<&'static str>,
    most: usize,
}

/// The formats of a run. Of a model that was not named (`is_first_try`) masks are written beside the overlay.
pub(crate) fn formats(arguments: &Run, is_first_try: bool) -> Vec<Format> {
    let mut formats: Vec<Format> = Vec::new();
    arguments.format.iter().for_each(|format| {
        if !formats.contains(format) {
            formats.push(*format)
        }
    });
    if formats.is_empty() && (!arguments.json || arguments.output.is_some()) {
        formats.push(Format::Jpg);
        if is_first_try {
            formats.push(Format::Masks);
        }
    }
    formats
}

/// The folder that a run writes into.
pub(crate) fn folder_of(arguments: &Run) -> PathBuf {
    arguments.output.clone().unwrap_or_else(|| PathBuf::from(FOLDER))
}

impl<'a> Outputs<'a> {
    /// Makes the folder and chooses all names, so that what is wrong with them is told before anything is computed.
    pub(crate) fn open(mut plan: Plan<'a>) -> Result<Self, Failure> {
        let files = if plan.formats.is_empty() { None } else { Some(Files::open(&mut plan)?) };
        Ok(Self { plan, files })
    }

    /// Begins the files about all pictures anew, or goes on with them. The first answer does so too.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.files.as_mut().map_or(Ok(()), |files| files.begin(&self.plan).map(drop))
    }

    /// Names the classes and counts the keypoints, once the models tell them.
    pub(crate) fn describe(&mut self, classes: Vec<String>, keypoints: Option<usize>) {
        (self.plan.classes, self.plan.keypoints) = (classes, keypoints);
    }

    /// Whether an earlier run has answered the picture, and this one goes on with it.
    pub(crate) fn is_done(&self, place: usize) -> bool {
        self.files.as_ref().is_some_and(|files| files.done[place].is_some())
    }

    /// Whether a picture's files can be written, as far as that is known before it is answered.
    pub(crate) fn check(&self, place: usize) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        let stem = &files.folder.stems[place];
        let mut endings = self.plan.formats.iter().filter_map(|format| format.of_files().single_ending());
        endings.try_for_each(|ending| files.folder.place.may_write(&format!("{stem}{ending}"), Some(stem)))
    }

    /// Writes one picture's files and gathers the rest; returns the files.
    pub(crate) fn write(&mut self, place: usize, image: &Image, drawn: &Drawn<'_>) -> Result<Vec<PathBuf>, Error> {
        let Some(files) = &mut self.files else { return Ok(Vec::new()) };
        files.write(&self.plan, place, image, drawn)
    }

    /// Adds an answer, or an error in place of one, to the lines.
    pub(crate) fn line(&mut self, line: &Value) -> Result<(), Error> {
        let Some(files) = &mut self.files else { return Ok(()) };
        match &mut files.begin(&self.plan)?.results {
            Some(results) => results.append(line.to_string().as_bytes()).map_err(|error| io(results.path(), &error)),
            None => Ok(()),
        }
    }

    /// Notes that nothing is left to do for a picture.
    pub(crate) fn note_done(&mut self, place: usize) -> Result<(), Error> {
        self.files.as_mut().map_or(Ok(()), |files| files.note_done(&self.plan, place))
    }

    /// Writes the files that hold all pictures, each where it can be; returns them.
    pub(crate) fn finish(self) -> Vec<Result<PathBuf, Error>> {
        let Some(mut files) = self.files else { return Vec::new() };
        let Some(Whole { results, gathered }) = files.whole.take() else { return Vec::new() };
        let mut written = Vec::new();
        if let Some(results) = results {
            let path = results.path().to_path_buf();
            written.push(files.folder.place.note_final(RESULTS, ABOUT_RESULTS).map(|()| path));
        }
        let named = names::in_data_sets(self.plan.pictures);
        let told = Told { classes: &self.plan.classes, names: files.folder.stems.iter().cloned().zip(named).collect() };
        for gathered in gathered {
            let name = gathered::file_name(gathered.format()).unwrap_or_default();
            written.push(files.folder.write_whole(name, |out| gathered.assemble(out, &told)));
        }
        if is_yolo(&self.plan.formats) {
            if let Some(warning) = files.folder.other_classes(&self.plan.classes) {
                terminal::say(&warning.to_string());
            }
            let pictures = files.folder.seen_from_here(&names::common_folder(self.plan.pictures));
            let pictures = if pictures.is_empty() { ".".into() } else { pictures };
            for (name, text) in yolo_files(&self.plan.classes, &pictures, self.plan.keypoints) {
                match files.folder.write_whole(name, |out| out.write_all(text.as_bytes())) {
                    Ok(path) => written.push(Ok(path)),
                    // Nobody asked for them by name, and the user's own serve as well.
                    Err(error) => terminal::say(&format!("not written: {error}")),
                }
            }
        }
        written
    }
}

fn is_yolo(formats: &[Format]) -> bool {
    formats.iter().any(|format| format.of_files().is_yolo())
}

impl Files {
    fn open(plan: &mut Plan<'_>) -> Result<Self, Failure> {
        // Files about all pictures keep their names; a picture that is called like one makes way.
        let shared: Vec<&str> = plan.formats.iter().filter_map(|format| gathered::file_name(*format)).collect();
        let yolo = if is_yolo(&plan.formats) { &YOLO_FILES[..] } else { &[] };
        let results = plan.formats.contains(&Format::Json).then_some(RESULTS);
        let shared: Vec<&str> = shared.into_iter().chain(yolo.iter().copied()).chain(results).collect();
        let endings: Vec<&str> = plan.formats.iter().filter_map(|format| format.of_files().single_ending()).collect();
        let taken = Taken {
            stems: shared.iter().flat_map(|name| endings.iter().filter_map(|ending| name.strip_suffix(ending))).collect(),
            tails: plan.formats.iter().filter_map(|format| format.of_files().tail()).collect(),
        };
        let folder = Folder::open(&folder_of(plan.arguments), plan, &taken)?;
        shared.iter().filter(|name| !YOLO_FILES.contains(name)).try_for_each(|name| folder.place.may_write(name, None))?;
        let done = if plan.arguments.resume { done(&folder, plan)? } else { vec![None; plan.pictures.len()] };
        Ok(Self { ids: ids(plan.pictures, &folder.stems, &done), folder, done, whole: None })
    }

    fn begin(&mut self, plan: &Plan<'_>) -> Result<&mut Whole, Error> {
        let whole = match self.whole.take() {
            Some(whole) => whole,
            None => self.open_whole(plan)?,
        };
        Ok(self.whole.insert(whole))
    }

    fn leaving(&self, plan: &Plan<'_>) -> std::io::Result<Leaving> {
        let stems: HashSet<&String> = self.folder.stems.iter().collect();
        let pictures: HashSet<PathBuf> = plan.pictures.iter().map(|picture| names::absolute(&picture.path)).collect();
        let mut leaving = Leaving::default();
        for format in &plan.formats {
            let (name, count) = match (gathered::file_name(*format), format) {
                (Some(name), _) => {
                    let old = Gathered::stems(*format, &self.folder.place.own())?;
                    (name, old.iter().filter(|stem| !stems.contains(stem)).count())
                }
                (None, Format::Json) => {
                    let old = GrowingFile::values(&self.folder.place.path_of(RESULTS), "image", |line| line["error"].is_null())?;
                    (RESULTS, old.iter().filter(|image| !pictures.contains(&names::absolute(Path::new(image)))).count())
                }
                _ => continue,
            };
            leaving.most = leaving.most.max(count);
            leaving.files.extend((count > 0).then_some(name));
        }
        Ok(leaving)
    }

    fn open_whole(&mut self, plan: &Plan<'_>) -> Result<Whole, Error> {
        let Leaving { files, most } = self.leaving(plan).map_err(|error| io(&self.folder.place.path, &error))?;
        if most > 0 && !plan.arguments.quiet {
            let pictures = if most == 1 { "1 picture".into() } else { format!("{most} pictures") };
            terminal::say(&format!("{}: {pictures} of an earlier run left out, being none of this one", files.join(", ")));
        }
        let kept = kept(&self.folder.stems, &self.done);
        let is_kept = |stem: &str| kept.contains(stem);
        let results = plan.formats.contains(&Format::Json).then(|| open_results(&mut self.folder, plan, &self.done)).transpose()?;
        let mut gathered = Vec::new();
        for format in plan.formats.iter().filter(|format| gathered::file_name(**format).is_some()) {
            let resumed: Option<&dyn Fn(&str) -> bool> = if plan.arguments.resume { Some(&is_kept) } else { None };
            let own = self.folder.place.own();
            gathered.push(Gathered::open(*format, &own, resumed).map_err(|error| io(&own, &error))?);
        }
        Ok(Whole { results, gathered })
    }

    fn write(&mut self, plan: &Plan<'_>, place: usize, image: &Image, drawn: &Drawn<'_>) -> Result<Vec<PathBuf>, Error> {
        let picture = &plan.pictures[place];
        let stem = self.folder.stems[place].clone();
        let (width, height) = image.size();
        let objects = numbered(drawn.objects, &plan.classes);
        let found = ImageObjects { image_id: self.ids[place], width, height, objects: &objects };
        let file_name = self.folder.relative(&stem, &picture.path);
        let picture = encode::Picture { image, found, file_name: &file_name, save_conf: plan.arguments.save_conf };
        // All is encoded before anything is written: an answer that one of the formats cannot hold leaves nothing behind.
        let encoded = plan.formats.iter().map(|format| Ok((*format, encode::files(*format, &picture, drawn)?)));
        let encoded = encoded.collect::<Result<Vec<_>, Error>>()?;
        self.folder.note_source(&stem, &plan.pictures[place].path)?;
        let written = self.folder.write_all(&stem, encoded)?;
        let part = Part { stem: &stem, found: &found, relative: &self.folder.seen_from_here(&plan.pictures[place].path) };
        self.begin(plan)?.gathered.iter_mut().try_for_each(|gathered| gathered.add(&part))?;
        Ok(written)
    }

    fn note_done(&mut self, plan: &Plan<'_>, place: usize) -> Result<(), Error> {
        let Some(version) = Version::of(&plan.pictures[place].path) else { return Ok(()) };
        let (stem, image_id) = (self.folder.stems[place].clone(), self.ids[place]);
        self.folder.place.note(|journal| journal.note_done(Done { stem, asked: plan.asked.clone(), version, image_id }))
    }
}

/// The numbers of the pictures that an earlier run has answered, in its own files and in those of all pictures.
fn done(folder: &Folder, plan: &Plan<'_>) -> Result<Vec<Option<i64>>, Error> {
    let (own, failed) = (folder.place.own(), |error: std::io::Error| io(&folder.place.path, &error));
    let gathered = plan.formats.iter().filter(|format| gathered::file_name(**format).is_some());
    let parts = gathered.map(|format| Gathered::stems(*format, &own)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    // Lines name files as this run would.
    let names_them = |file: &Value| file.as_str().is_some_and(|file| folder.place.names(Path::new(file)));
    let is_right = |line: &Value| line["files"].as_array().is_some_and(|files| files.iter().all(names_them));
    let is_wished = plan.formats.contains(&Format::Json);
    let lines = is_wished.then(|| GrowingFile::values(&folder.place.path_of(RESULTS), "image", is_right));
    let lines = lines.transpose().map_err(failed)?;
    let is_gathered = |place: usize| {
        let name = pictures::shown(&plan.pictures[place].path);
        parts.iter().all(|stems| stems.contains(&folder.stems[place])) && lines.as_ref().is_none_or(|lines| lines.contains(&name))
    };
    let one = |place: usize| folder.done(plan, place).filter(|_| is_gathered(place)).map(|done| done.image_id);
    Ok((0..plan.pictures.len()).map(one).collect())
}

/// Stems of the pictures that are done.
fn kept(stems: &[String], done: &[Option<i64>]) -> HashSet<String> {
    stems.iter().zip(done).filter(|(_, done)| done.is_some()).map(|(stem, _)| stem.clone()).collect()
}

/// `results.jsonl`: anew, or with the lines of the pictures that are done.
fn open_results(folder: &mut Folder, plan: &Plan<'_>, done: &[Option<i64>]) -> Result<GrowingFile, Error> {
    let path = folder.place.path_of(RESULTS);
    folder.place.note_growing(RESULTS, ABOUT_RESULTS)?;
    let opened = if plan.arguments.resume {
        let kept = plan.pictures.iter().zip(done).filter(|(_, done)| done.is_some());
        let named: HashSet<String> = kept.map(|(picture, _)| pictures::shown(&picture.path)).collect();
        GrowingFile::resume(&path, &folder.place.own().join("partial"), |line| {
            line["error"].is_null() && line["image"].as_str().is_some_and(|image| named.contains(image))
        })
    } else {
        GrowingFile::create(&path)
    };
    opened.map_err(|error| io(&path, &error))
}

/// A number for each picture: what it is called by where all are called by numbers, as COCO's are (`000000000139.jpg`), else its place.
/// Pictures of an earlier run keep theirs.
fn ids(pictures: &[Picture], stems: &[String], done: &[Option<i64>]) -> Vec<i64> {
    let number = |picture: &Picture| number_in_name(picture.path.file_stem()?.to_str()?);
    let numbers: Option<Vec<i64>> = pictures.iter().map(number).collect();
    let names: HashSet<&String> = stems.iter().collect();
    let is_kept = |numbers: &[i64]| done.iter().zip(numbers).all(|(done, number)| done.is_none_or(|done| done == *number));
    let is_distinct = |numbers: &[i64]| numbers.iter().collect::<HashSet<_>>().len() == names.len();
    if let Some(numbers) = numbers.filter(|numbers| is_distinct(numbers) && is_kept(numbers)) {
        return numbers;
    }
    let used: HashSet<i64> = done.iter().flatten().copied().collect();
    let mut free = (1..).filter(|id| !used.contains(id));
    let mut given: HashMap<&String, i64> = HashMap::new();
    let ids = stems.iter().zip(done);
    ids.map(|(stem, done)| *given.entry(stem).or_insert_with(|| done.or_else(|| free.next()).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::names::tests::alone;
    use super::*;

    #[test]
    fn every_picture_has_a_number_of_its_own() {
        let pictures = |paths: &[&str]| paths.iter().map(|path| alone(path)).collect::<Vec<_>>();
        let stems = |pictures: &[Picture]| names::stems(pictures, &Taken::default());
        let of = |paths: &[&str], done: &[Option<i64>]| {
            let pictures = pictures(paths);
            ids(&pictures, &stems(&pictures), done)
        };
        assert_eq!(of(&["000139.jpg", "000285.jpg"], &[None; 2]), [139, 285]);
        assert_eq!(of(&["x/139.jpg", "y/139.jpg"], &[None; 2]), [1, 2], "digits that collide");
        assert_eq!(of(&["001.jpg", "1.jpg"], &[None; 2]), [1, 2]);
        assert_eq!(of(&["7.jpg", "bus.jpg"], &[None; 2]), [1, 2], "a number beside a name");
        assert_eq!(of(&["c.jpg", "a.jpg", "b.jpg"], &[None, Some(1), Some(3)]), [2, 1, 3], "what is done keeps its number");
        assert_eq!(of(&["2.jpg", "1.jpg"], &[Some(1), None]), [1, 2], "also where it is called by another one");
    }
}
