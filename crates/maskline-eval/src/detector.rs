//! A detector on the pictures of a data set.

use std::collections::HashMap;

use maskline::{Error, ErrorKind, Image, Model, Object, PredictOptions, Result};

use crate::choice::choose;
use crate::file::wrong;
use crate::{Detection, DetectionReport, Judged, Truth, detections};

/// Options of [`detector`].
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
        let predict = PredictOptions { conf: 0.001, iou: 0.7, max_detections: 300, ..PredictOptions::default() };
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
pub fn detector(
    model: &Model,
    truth: &Truth,
    options: &DetectorOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<DetectionReport> {
    if !model.info().task.finds_boxes() {
        let found = format!("a model of the task {}", model.info().task);
        return Err(Error::new(ErrorKind::InvalidOption, model.name()).expecting("a detector").but_found(found));
    }
    let classes = Classes::of(&model.info().labels, truth).map_err(|error| truth.bad(error.named(model.name())))?;
    let chosen = choose((0..truth.pictures().len()).collect(), options.max_images, options.seed);
    truth.check_files(chosen.iter().copied())?;
    let mut found = Vec::new();
    let mut done = 0;
    progress(0, chosen.len());
    for together in chosen.chunks(options.predict.batch.max(1)) {
        let images = together.iter().map(|index| truth.read(*index, options.max_pixels)).collect::<Result<Vec<_>>>()?;
        let answers = model.predict_batch(&images.iter().collect::<Vec<&Image>>(), &options.predict)?;
        for (index, answer) in together.iter().zip(answers) {
            let image_id = truth.pictures()[*index].id;
            found.extend(answer.objects.into_iter().filter_map(|object| classes.detection(image_id, object)));
        }
        done += together.len();
        progress(done, chosen.len());
    }
    let judged = Judged {
        images: Some(chosen.iter().map(|index| truth.pictures()[*index].id).collect()),
        categories: Some(classes.categories.iter().copied().flatten().collect()),
    };
    let report = detections(truth, &found, &judged)?;
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

    fn detection(&self, image_id: i64, object: Object) -> Option<Detection> {
        let category_id = self.categories.get(object.class_id?).copied().flatten()?;
        let [x1, y1, x2, y2] = object.bounds.map(f64::from);
        let bounds = Some([x1, y1, x2 - x1, y2 - y1]);
        Some(Detection { image_id, category_id, score: f64::from(object.score), bounds, mask: object.mask })
    }
}
