//! What `run` writes into its folder.
//!
//! No input of the run is ever replaced, and no file that maskline did not write itself ([`journal`]) unless that is wished. All names are
//! chosen before the first picture ([`names`]). What is gathered over the pictures grows on disk, not in memory.

mod encode;
mod folder;
mod gathered;
mod growing;
mod inputs;
mod journal;
mod names;
mod place;
mod single;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use maskline::vision::write::{ImageObjects, YoloDataSet, classes_txt, data_yaml};
use maskline::{Error, Image, Object};
use serde_json::Value;

pub(crate) use encode::{Drawn, name};
use folder::{Folder, Owner};
use gathered::{Gathered, Part};
use growing::GrowingFile;
pub(crate) use inputs::Inputs;
pub(crate) use journal::hash;
use journal::{Done, Version};
use place::{About, io};
pub(crate) use single::{Reports, SingleFile};

use crate::args::{Format, Run};
use crate::failure::Failure;
use crate::pictures::{self, Picture};
use crate::run::UNNAMED;
use crate::terminal;

/// Folder for results where none is given.
const FOLDER: &str = "maskline-out";
/// All answers as JSON lines.
const RESULTS: &str = "results.jsonl";
const ABOUT_RESULTS: About<'_> = About { stem: None, format: "json" };
/// Class names and the description of a data set, which belong to YOLO's label files.
const YOLO_FILES: [&str; 2] = ["classes.txt", "data.yaml"];

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
    /// Pictures that an earlier run has answered, which this one goes on with.
    is_done: Vec<bool>,
    /// Each picture's number in data sets.
    ids: Vec<i64>,
    results: Option<GrowingFile>,
    gathered: Vec<Gathered>,
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

    /// Names the classes and counts the keypoints, once the models tell them.
    pub(crate) fn describe(&mut self, classes: Vec<String>, keypoints: Option<usize>) {
        (self.plan.classes, self.plan.keypoints) = (classes, keypoints);
    }

    /// Whether an earlier run has answered the picture, and this one goes on with it.
    pub(crate) fn is_done(&self, place: usize) -> bool {
        self.files.as_ref().is_some_and(|files| files.is_done[place])
    }

    /// Whether a picture's files can be written, as far as that is known before it is answered.
    pub(crate) fn check(&self, place: usize) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        let stem = &files.folder.stems[place];
        let mut endings = self.plan.formats.iter().filter_map(|format| encode::single_ending(*format));
        endings.try_for_each(|ending| files.folder.place.may_write(&format!("{stem}{ending}"), Some(stem)))
    }

    /// Writes one picture's files and gathers the rest; returns the files.
    pub(crate) fn write(&mut self, place: usize, image: &Image, drawn: &Drawn<'_>) -> Result<Vec<PathBuf>, Error> {
        let Some(files) = &mut self.files else { return Ok(Vec::new()) };
        files.write(&self.plan, (place, image), drawn)
    }

    /// Adds an answer, or an error in place of one, to the lines.
    pub(crate) fn line(&mut self, line: &Value) -> Result<(), Error> {
        match self.files.as_mut().and_then(|files| files.results.as_mut()) {
            Some(results) => results.append(line.to_string().as_bytes()).map_err(|error| io(results.path(), &error)),
            None => Ok(()),
        }
    }

    /// Notes that nothing is left to do for a picture.
    pub(crate) fn note_done(&mut self, place: usize) -> Result<(), Error> {
        self.files.as_mut().map_or(Ok(()), |files| files.note_done(&self.plan, place))
    }

    /// Writes the files that hold all pictures; returns them.
    pub(crate) fn finish(self) -> Result<Vec<PathBuf>, Error> {
        let Some(mut files) = self.files else { return Ok(Vec::new()) };
        let mut written = Vec::new();
        if let Some(results) = files.results.take() {
            let path = results.path().to_path_buf();
            files.folder.place.note_final(RESULTS, ABOUT_RESULTS)?;
            written.push(path);
        }
        for gathered in &files.gathered {
            let name = gathered::file_name(gathered.format()).unwrap_or_default();
            let classes = &self.plan.classes;
            written.push(files.folder.write_whole(name, |out| gathered.assemble(out, classes))?);
        }
        if is_yolo(&self.plan.formats) {
            let pictures = files.folder.relative(RESULTS, &names::common_folder(self.plan.pictures));
            let pictures = if pictures.is_empty() { ".".into() } else { pictures };
            let data_set =
                YoloDataSet { train: &pictures, validation: &pictures, keypoints: self.plan.keypoints, ..YoloDataSet::default() };
            let texts = [classes_txt(&self.plan.classes), data_yaml(&self.plan.classes, &data_set)];
            for (name, text) in YOLO_FILES.into_iter().zip(texts) {
                match files.folder.write_whole(name, |out| out.write_all(text.as_bytes())) {
                    Ok(path) => written.push(path),
                    // Nobody asked for them by name, and the user's own serve as well.
                    Err(error) => terminal::say(&format!("not written: {error}")),
                }
            }
        }
        Ok(written)
    }
}

fn is_yolo(formats: &[Format]) -> bool {
    formats.iter().any(|format| matches!(format, Format::Yolo | Format::YoloSeg))
}

impl Files {
    fn open(plan: &mut Plan<'_>) -> Result<Self, Failure> {
        // Files about all pictures keep their names; a picture that is called like one makes way.
        let shared: Vec<&str> = plan.formats.iter().filter_map(|format| gathered::file_name(*format)).collect();
        let yolo = if is_yolo(&plan.formats) { &YOLO_FILES[..] } else { &[] };
        let results = plan.formats.contains(&Format::Json).then_some(RESULTS);
        let shared: Vec<&str> = shared.into_iter().chain(yolo.iter().copied()).chain(results).collect();
        let taken: Vec<&str> = shared.iter().filter_map(|name| Path::new(name).file_stem()?.to_str()).collect();
        let mut folder = Folder::open(&folder_of(plan.arguments), plan, &taken)?;
        shared.iter().filter(|name| !YOLO_FILES.contains(name)).try_for_each(|name| folder.place.may_write(name, None))?;
        let done = if plan.arguments.resume { done(&folder, plan)? } else { vec![None; plan.pictures.len()] };
        let kept: HashSet<String> = kept(&folder.stems, &done);
        let is_kept = |stem: &str| kept.contains(stem);
        let results = if results.is_some() { Some(open_results(&mut folder, plan, &done)?) } else { None };
        let mut gathered = Vec::new();
        for format in plan.formats.iter().filter(|format| gathered::file_name(**format).is_some()) {
            let resumed: Option<&dyn Fn(&str) -> bool> = if plan.arguments.resume { Some(&is_kept) } else { None };
            gathered.push(Gathered::open(*format, &folder.place.own(), resumed).map_err(|error| io(&folder.place.own(), &error))?);
        }
        Ok(Self {
            ids: ids(plan.pictures, &folder.stems, &done),
            is_done: done.iter().map(Option::is_some).collect(),
            folder,
            results,
            gathered,
        })
    }

    fn write(&mut self, plan: &Plan<'_>, (place, image): (usize, &Image), drawn: &Drawn<'_>) -> Result<Vec<PathBuf>, Error> {
        let picture = &plan.pictures[place];
        let stem = self.folder.stems[place].clone();
        let (width, height) = image.size();
        let objects = classed(drawn.objects, &plan.classes);
        let found = ImageObjects { image_id: self.ids[place], width, height, objects: &objects };
        let file_name = self.folder.relative(&stem, &picture.path);
        let picture = encode::Picture { image, found, file_name: &file_name, save_conf: plan.arguments.save_conf };
        // All is encoded before anything is written: an answer that one of the formats cannot hold leaves nothing behind.
        let encoded = plan.formats.iter().map(|format| Ok((*format, encode::files(*format, &picture, drawn)?)));
        let encoded = encoded.collect::<Result<Vec<_>, Error>>()?;
        self.folder.note_source(&stem, &plan.pictures[place].path)?;
        let mut written = Vec::new();
        for (format, files) in encoded {
            written.extend(self.folder.write_all(Owner { stem: Some(&stem), format }, files)?);
        }
        let part = Part {
            stem: &stem,
            file_name: &data_set_name(&plan.pictures[place]),
            found: &found,
            relative: &self.folder.relative(RESULTS, &plan.pictures[place].path),
        };
        self.gathered.iter_mut().try_for_each(|gathered| gathered.add(&part))?;
        Ok(written)
    }

    fn note_done(&mut self, plan: &Plan<'_>, place: usize) -> Result<(), Error> {
        let Some(version) = Version::of(&plan.pictures[place].path) else { return Ok(()) };
        let (stem, image_id) = (self.folder.stems[place].clone(), self.ids[place]);
        self.folder.place.note(|journal| journal.note_done(Done { stem, asked: plan.asked.clone(), version, image_id }))
    }
}

/// The objects, each of a class: what answers prompts knows none, and gets those of [`Plan::classes`] that are called like its label.
fn classed<'a>(objects: &'a [Object], classes: &[String]) -> Cow<'a, [Object]> {
    if objects.iter().all(|object| object.class_id.is_some()) {
        return Cow::Borrowed(objects);
    }
    let mut objects = objects.to_vec();
    for object in objects.iter_mut().filter(|object| object.class_id.is_none()) {
        let name = object.label.as_deref().unwrap_or(UNNAMED);
        object.class_id = classes.iter().position(|class| class == name);
    }
    Cow::Owned(objects)
}

/// The numbers of the pictures that an earlier run has answered, in its own files and in those of all pictures.
fn done(folder: &Folder, plan: &Plan<'_>) -> Result<Vec<Option<i64>>, Error> {
    let (own, failed) = (folder.place.own(), |error: std::io::Error| io(&folder.place.path, &error));
    let gathered = plan.formats.iter().filter(|format| gathered::file_name(**format).is_some());
    let parts = gathered.map(|format| Gathered::stems(*format, &own)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let lines = plan.formats.contains(&Format::Json).then(|| GrowingFile::values(&folder.place.path_of(RESULTS), "image"));
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
        let named = plan.pictures.iter().zip(done).filter(|(_, done)| done.is_some()).map(|(picture, _)| pictures::shown(&picture.path));
        let (named, aside): (HashSet<String>, _) = (named.collect(), folder.place.own().join("partial"));
        GrowingFile::resume(&path, &aside, |line| {
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
    let number = |picture: &Picture| picture.path.file_stem()?.to_str()?.parse::<i64>().ok().filter(|number| *number >= 0);
    let numbers: Option<Vec<i64>> = pictures.iter().map(number).collect();
    let names: HashSet<&String> = stems.iter().collect();
    if let Some(numbers) = numbers.filter(|numbers| numbers.iter().collect::<HashSet<_>>().len() == names.len()) {
        return numbers;
    }
    let used: HashSet<i64> = done.iter().flatten().copied().collect();
    let mut free = (1..).filter(|id| !used.contains(id));
    let mut given: std::collections::HashMap<&String, i64> = std::collections::HashMap::new();
    let ids = stems.iter().zip(done);
    ids.map(|(stem, done)| *given.entry(stem).or_insert_with(|| done.or_else(|| free.next()).unwrap_or_default())).collect()
}

/// How a data set names a picture: below the folder that was named, with forward slashes.
fn data_set_name(picture: &Picture) -> String {
    names::slashed(&picture.below)
}

#[cfg(test)]
mod tests {
    use super::names::tests::alone;
    use super::*;

    #[test]
    fn every_picture_has_a_number_of_its_own() {
        let pictures = |paths: &[&str]| paths.iter().map(|path| alone(path)).collect::<Vec<_>>();
        let stems = |pictures: &[Picture]| names::stems(pictures, &[]);
        let of = |paths: &[&str], done: &[Option<i64>]| {
            let pictures = pictures(paths);
            ids(&pictures, &stems(&pictures), done)
        };
        assert_eq!(of(&["000139.jpg", "000285.jpg"], &[None; 2]), [139, 285]);
        assert_eq!(of(&["x/139.jpg", "y/139.jpg"], &[None; 2]), [1, 2], "digits that collide");
        assert_eq!(of(&["001.jpg", "1.jpg"], &[None; 2]), [1, 2]);
        assert_eq!(of(&["7.jpg", "bus.jpg"], &[None; 2]), [1, 2], "a number beside a name");
        assert_eq!(of(&["c.jpg", "a.jpg", "b.jpg"], &[None, Some(1), Some(3)]), [2, 1, 3], "what is done keeps its number");
    }
}
