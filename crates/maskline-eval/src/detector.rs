//! A detector on the pictures of a data set.

use std::collections::HashMap;

use maskline::{Error, ErrorKind, Image, Model, Object, PredictOptions, Result};

use crate::choice::choose;
use crate::file::wrong;
use crate::{Detection, DetectionReport, Judged, Truth, detections};

/// Options of [`detector`] and [`finder`](crate::finder()).
#[derive(Debug, Clone)]
pub struct DetectorOptions {
    /// How the detector looks: by default down to a score of 0.001, for average precision needs the weak ones too.
    pub predict: PredictOptions,
    /// At most so many pictures, chosen by the seed.
    pub max_images: Option<usize>,
    /// Seed of the choice.
    pub seed: u64,
    /// Most pixels of a picture that is decoded.
    pub max_pixels: u64,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        let predict = PredictOptions { conf: Some(0.001), max_detections: 300, ..PredictOptions::default() };
        Self { predict, max_images: None, seed: 0, max_pixels: 100_000_000 }
    }
}

/// Which category each class of a model is.
struct Classes {
    /// Ids by class index.
    categories: Vec<Option<i64>>,
    labels_without_category: Vec<String>,
    categories_without_label: Vec<String>,
}

/// Lets a detector find objects in the pictures, and judges its boxes, and masks where it has them, as [`detections`] does.
/// Classes and categories are the same where their names are; only those are judged. `progress` hears how many pictures of how many
/// are done.
///
/// # Errors
/// `InvalidOption` for a model that is no detector and options outside their domain; `BadInput` when pictures are missing, cannot be
/// read or have another size than the ground truth says, and when no class has the name of a category.
pub fn detector(model: &Model, truth: &Truth, options: &DetectorOptions, progress: impl FnMut(usize, usize)) -> Result<DetectionReport> {
    if !model.info().task.finds_boxes() {
        let found = format!("a model of the task {}", model.info().task);
        return Err(Error::new(ErrorKind::InvalidOption, model.name()).expecting("a detector").but_found(found));
    }
    let classes = Classes::of(&model.info().labels, truth).map_err(|error| truth.bad(error.named(model.name())))?;
    let find = |images: &[Image], ids: &[i64]| {
        let answers = model.predict_batch(&images.iter().collect::<Vec<&Image>>(), &options.predict)?;
        let mut found = Vec::new();
        for (image_id, answer) in ids.iter().zip(answers) {
            let category = |object: &Object| classes.category(object.class_id?);
            found.extend(answer.objects.into_iter().filter_map(|object| Some(detection(*image_id, category(&object)?, object))));
        }
        Ok(found)
    };
    let looked = Looked { truth, options, categories: classes.categories.iter().copied().flatten().collect() };
    let report = look(&looked, find, progress)?;
    let Classes { labels_without_category, categories_without_label, .. } = classes;
    Ok(DetectionReport { labels_without_category, categories_without_label, ..report })
}

impl Classes {
    fn of(labels: &[String], truth: &Truth) -> Result<Self> {
        let ids: HashMap<&str, i64> = truth.categories().iter().map(|category| (category.name.as_str(), category.id)).collect();
        let categories: Vec<Option<i64>> = labels.iter().map(|label| ids.get(label.as_str()).copied()).collect();
        if categories.iter().all(Option::is_none) {
            let some = |names: Vec<&str>| if names.is_empty() { "no names".into() } else { names.join(", ") };
            let ours = some(labels.iter().map(String::as_str).take(5).collect());
            let theirs = some(truth.categories().iter().map(|category| category.name.as_str()).take(5).collect());
            let message = format!("no class of the model has the name of a category: its classes are {ours}, the categories {theirs}");
            let help = "rename the categories of the data set as the model's classes, or convert its detections and use --predictions";
            return Err(wrong(message).with_help(help));
        }
        let without = labels.iter().zip(&categories).filter(|(_, id)| id.is_none());
        let labels_without_category = without.map(|(label, _)| label.clone()).collect();
        let is_without = |category: &&crate::Category| category.is_thing != Some(false) && !categories.contains(&Some(category.id));
        let categories_without_label = truth.categories().iter().filter(is_without).map(|category| category.name.clone()).collect();
        Ok(Self { categories, labels_without_category, categories_without_label })
    }

    fn category(&self, class: usize) -> Option<i64> {
        self.categories.get(class).copied().flatten()
    }
}

/// What is looked at, and what of it is judged.
pub(crate) struct Looked<'a> {
    pub(crate) truth: &'a Truth,
    pub(crate) options: &'a DetectorOptions,
    /// Ids of the categories that the model can find.
    pub(crate) categories: Vec<i64>,
}

/// Has pictures looked at, as many together as a batch holds, and judges what is found in them; `find` is given the pictures and their
/// ids.
pub(crate) fn look(
    looked: &Looked<'_>,
    mut find: impl FnMut(&[Image], &[i64]) -> Result<Vec<Detection>>,
    mut progress: impl FnMut(usize, usize),
) -> Result<DetectionReport> {
    let Looked { truth, options, categories } = looked;
    let chosen = choose((0..truth.pictures().len()).collect(), options.max_images, options.seed);
    truth.check_files(chosen.iter().copied())?;
    let (mut found, mut done) = (Vec::new(), 0);
    progress(0, chosen.len());
    for together in chosen.chunks(options.predict.batch.max(1)) {
        let images = together.iter().map(|index| truth.read(*index, options.max_pixels)).collect::<Result<Vec<_>>>()?;
        let ids: Vec<i64> = together.iter().map(|index| truth.pictures()[*index].id).collect();
        found.extend(find(&images, &ids)?);
        done += together.len();
        progress(done, chosen.len());
    }
    let images = chosen.iter().map(|index| truth.pictures()[*index].id).collect();
    detections(truth, &found, &Judged { images: Some(images), categories: Some(categories.clone()) })
}

/// An object as it is judged.
pub(crate) fn detection(image_id: i64, category_id: i64, object: Object) -> Detection {
    let [x1, y1, x2, y2] = object.bounds.map(f64::from);
    let bounds = Some([x1, y1, x2 - x1, y2 - y1]);
    Detection { image_id, category_id, score: f64::from(object.score), bounds, mask: object.mask }
}
